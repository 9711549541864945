"""What a result about facts says of itself when it is printed in Python: a few lines, never its
tensors or texts.

It knows how lines are laid out, and no result.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["clipped", "few"]

_WIDEST = 96
_MOST = 8


def clipped(text: str, width: int = 40) -> str:
    """A text on one line, cut where it is longer."""
    line = " ".join(text.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def few(title: str, lines: Iterable[str] = (), most: int = _MOST) -> str:
    """A title and the first lines below it; what is left out is counted."""
    told = list(lines)
    shown = [f"  {clipped(line, _WIDEST - 2)}" for line in told[:most]]
    if len(told) > most:
        shown.append(f"  and {len(told) - most} more")
    return "\n".join([clipped(title, _WIDEST), *shown])
