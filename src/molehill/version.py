"""The version of Molehill; `pyproject.toml` and what is written into files read it here."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
