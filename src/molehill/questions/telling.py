"""How far a long answer is, in words: what is done, of how much, and how long it will take.

This module knows no question.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from molehill.questions.desk import Desk

__all__ = ["telling"]

_EARLY = 1.0
"""Seconds before anything is said of how long it will take."""


def telling(desk: Desk, what: str, whole: int = 0) -> Callable[[int], None]:
    """A callback that adds up steps and tells the desk.

    Args:
        what: is being done.
        whole: how many steps there are; 0 where nobody knows.
    """
    done = 0
    begun = time.monotonic()
    desk.tell(0, whole, what)

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        desk.tell(min(done, whole) if whole else done, whole, f"{what}{_left(begun, done, whole)}")

    return advance


def _left(begun: float, done: int, whole: int) -> str:
    spent = time.monotonic() - begun
    if not whole or not done or spent < _EARLY:
        return ""
    return f", about {max(1, round(spent * (whole - done) / done))} s to go"
