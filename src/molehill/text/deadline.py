"""Work that cannot be interrupted, and how not to wait for it for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from molehill.errors import TextError

__all__ = ["within"]

_Result = TypeVar("_Result")


def within(seconds: float, work: Callable[[], _Result]) -> _Result:
    """The result of `work`, or what it raised, unless it takes longer than `seconds`.

    Python cannot stop a library in the middle of a call. Past the deadline the thread that waits
    for it is left to itself; it does not keep the process from ending.

    Raises:
        TextError: the deadline has passed.
    """
    outcome: list[tuple[bool, Any]] = []

    def run() -> None:
        try:
            outcome.append((True, work()))
        except BaseException as error:
            outcome.append((False, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise TextError(
            f"Encoding took longer than {seconds:.3g} s: a pattern of this tokenizer is too slow "
            "for such a text."
        )
    succeeded, result = outcome[0]
    if not succeeded:
        raise result
    return result
