"""The local web page: a server on loopback behind a token, and the host of the views."""

from __future__ import annotations

from molehill.explorer.app import make_app
from molehill.explorer.gate import Gate
from molehill.explorer.serving import Served, serve

__all__ = ["Gate", "Served", "make_app", "serve"]
