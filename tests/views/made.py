"""Shifts through tiny models, for the tests of this room."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.journey.tiny import tiny_language

from molehill.journey.shift import Shift, shift
from molehill.views.shift import shift_data

SIX = (
    "in the garden it dug a mole",
    "the spy who sold it was a mole",
    "a gram of it is not a mole",
    "he ate the hot sauce mole",
    "on her arm she had a mole",
    "the harbour is shut by a mole",
)

HOSTILE = (
    '</script><img src=x onerror="alert(1)"> <!-- & \u2028 a mole',
    "=cmd|' /C calc'!A0 \u202eelom\u202c \u05e9\u05dc\u05d5\u05dd mole",
    "javascript:alert(1) $x^2$ \U0001f400\u200d\U0001f400 mole",
)


@cache
def found(name: str = "gpt2", sentences: tuple[str, ...] = SIX, *, twice: bool = False) -> Shift:
    """One shift per kind of model and sentences: records are frozen, tests may share them."""
    return shift(tiny_language(name), "mole", sentences, twice=twice, near=3)


def data(name: str = "gpt2", sentences: tuple[str, ...] = SIX, **options: Any) -> dict[str, Any]:
    """Its data; made anew, since a test may change them."""
    return shift_data(found(name, sentences, **options), version="0.0.0")
