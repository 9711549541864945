"""`python -m molehill` is the `molehill` command."""

from __future__ import annotations

import sys

from molehill.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
