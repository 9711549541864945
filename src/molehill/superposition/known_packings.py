"""Packings that no other can beat, each met by a bound, and how close the search comes to them.

Each is built exactly, so that what is compared is a construction and not a number from a table. The
search is not told them: it gets their sizes, and of a few the symmetry to look for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from molehill.superposition.alternating_projection import alternating_projection
from molehill.superposition.exact_packings import (
    derived_code,
    difference_set_lines,
    golay_lines,
    icosahedron,
    latin_square_lines,
    mutually_unbiased,
    one_of_each_line,
    orthoplex,
    petersen_lines,
    plane_and_cube,
    root_lines,
    simplex,
    twenty_eight_lines,
)
from molehill.superposition.packing import pack
from molehill.superposition.worst_pairs import worst_pair

__all__ = ["KNOWN_PACKINGS", "Compared", "KnownPacking", "compare_known"]

# Beyond it, one eigendecomposition of the matrix of cosines per step takes too long to compare.
_ALTERNATING_UP_TO = 70


@dataclass(frozen=True)
class KnownPacking:
    """A packing whose largest cosine is the least that there can be."""

    name: str
    count: int
    dimensions: int
    lines: bool
    cosine: float
    build: Callable[[], Tensor]
    """Makes its unit vectors [count, d] in float64."""
    shifts: int = 1
    """The symmetry that the search is held to; 1: none."""
    starts: int = 16
    steps: int = 1000


@dataclass(frozen=True)
class Compared:
    """What the search found where the answer is known."""

    known: KnownPacking
    largest: float
    bound: float
    bound_name: str
    reached: int
    """How many of the starts came within 0.001 of the answer."""
    alternating: float | None
    """The largest |cosine| by alternating projection towards the answer; None where it was not
    run: of vectors, and of many lines."""
    random: float

    @property
    def gap(self) -> float:
        """How far above the answer the search ended."""
        return self.largest - self.known.cosine


KNOWN_PACKINGS: tuple[KnownPacking, ...] = (
    KnownPacking("simplex", 8, 7, True, 1 / 7, lambda: simplex(7)),
    KnownPacking("icosahedron", 6, 3, True, 5**-0.5, lambda: one_of_each_line(icosahedron())),
    KnownPacking("axes and cube", 7, 3, True, 3**-0.5, plane_and_cube),
    KnownPacking("Petersen", 10, 5, True, 1 / 3, petersen_lines),
    KnownPacking("unbiased bases", 12, 4, True, 1 / 2, lambda: mutually_unbiased(4)),
    KnownPacking("bent function", 16, 6, True, 1 / 3, lambda: difference_set_lines(4), starts=64),
    KnownPacking("28 lines", 28, 7, True, 1 / 3, twenty_eight_lines),
    KnownPacking("E6", 36, 6, True, 1 / 2, lambda: root_lines(6)),
    KnownPacking("E7", 63, 7, True, 1 / 2, lambda: root_lines(7), shifts=7),
    KnownPacking("E8", 120, 8, True, 1 / 2, lambda: root_lines(8), starts=2, steps=1500),
    KnownPacking("Latin square", 36, 15, True, 1 / 5, latin_square_lines, shifts=6, starts=64),
    KnownPacking("unbiased bases", 144, 16, True, 1 / 4, lambda: mutually_unbiased(16), shifts=16),
    KnownPacking("Golay code", 276, 23, True, 1 / 5, golay_lines, shifts=23),
    KnownPacking("simplex", 8, 7, False, -1 / 7, lambda: simplex(7)),
    KnownPacking("orthoplex", 14, 7, False, 0.0, lambda: orthoplex(7)),
    KnownPacking("icosahedron", 12, 3, False, 5**-0.5, icosahedron),
    KnownPacking("Petersen code", 10, 4, False, 1 / 6, lambda: derived_code(4)),
    KnownPacking("half cube", 16, 5, False, 1 / 5, lambda: derived_code(3)),
    KnownPacking("27 lines on a cubic", 27, 6, False, 1 / 4, lambda: derived_code(2)),
    KnownPacking("56 points", 56, 7, False, 1 / 3, lambda: derived_code(1)),
    KnownPacking(
        "roots of E8", 240, 8, False, 1 / 2, lambda: derived_code(0), starts=2, steps=1500
    ),
)
"""Of lines first, then of vectors."""


def compare_known(
    packings: Sequence[KnownPacking] = KNOWN_PACKINGS,
    *,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[Compared, ...]:
    """Search for each packing from random starts and set what was found beside the answer.

    Args:
        progress: called with 1 after each packing.
    """
    found = []
    for known in packings:
        found.append(_compare(known, seed))
        if progress is not None:
            progress(1)
    return tuple(found)


def _compare(known: KnownPacking, seed: int) -> Compared:
    ours = pack(
        known.count,
        known.dimensions,
        lines=known.lines,
        steps=known.steps,
        starts=known.starts,
        shifts=known.shifts,
        seed=seed,
    )
    alternating = None
    if known.lines and known.count <= _ALTERNATING_UP_TO:
        vectors = alternating_projection(known.count, known.dimensions, known.cosine, seed=seed)
        alternating = worst_pair(vectors, lines=True)[0]
    return Compared(
        known=known,
        largest=ours.largest,
        bound=ours.bound,
        bound_name=ours.bound_name,
        reached=sum(largest < known.cosine + 1e-3 for largest in ours.reached),
        alternating=alternating,
        random=ours.random_largest,
    )
