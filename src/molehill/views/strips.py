"""Drawing with characters: strips of numbers, shares as bars, a colour per sentence.

Everything reads without colour too. Where a terminal cannot write blocks, plain ASCII stands in.
This module knows numbers and no records.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["COLOURS", "binned", "colour_of", "ramp", "strip"]

COLOURS = ("#2f86d1", "#d9622b", "#1a9a70", "#b0609f", "#a5811f", "#3aa6c4", "#7f73d9", "#808080")
"""A colour per sentence, told apart by the colour-blind and legible on light and dark ground."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_ASCII = "_.:-=+*#"


def colour_of(number: int) -> str:
    """The colour of a sentence, counted from 1."""
    return COLOURS[(number - 1) % len(COLOURS)]


def ramp(value: float | None, largest: float, *, ascii_only: bool = False) -> str:
    """One character for a number from 0 to `largest`; `?` for what is not finite."""
    if value is None or value != value:
        return "?"
    marks = _ASCII if ascii_only else _BLOCKS
    level = 0 if largest <= 0 else round(value / largest * (len(marks) - 1))
    return marks[max(0, min(level, len(marks) - 1))]


def strip(
    values: Sequence[float | None],
    *,
    largest: float,
    mark: int | None = None,
    ascii_only: bool = False,
) -> str:
    """Numbers as a row of blocks, with a bar before the one at `mark`."""
    drawn = [ramp(value, largest, ascii_only=ascii_only) for value in values]
    if mark is not None:
        drawn.insert(mark, "|")
    return "".join(drawn)


def binned(values: Sequence[float | None], width: int) -> tuple[list[float | None], int]:
    """At most `width` numbers, each the largest of `step` neighbours, and that step."""
    step = max(1, -(-len(values) // max(width, 1)))
    groups = [values[start : start + step] for start in range(0, len(values), step)]
    return [_largest(group) for group in groups], step


def _largest(group: Sequence[float | None]) -> float | None:
    finite = [value for value in group if value is not None]
    return max(finite) if len(finite) == len(group) else None
