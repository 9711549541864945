"""The command line: one file per family of verbs, each with a `register(app)` that `main` calls.

A verb's file imports its room inside the command function, so that `molehill --help` starts without
torch. `common` holds what verbs share; `models` is the smallest worked example.
"""

from __future__ import annotations

from molehill.cli.main import main

__all__ = ["main"]
