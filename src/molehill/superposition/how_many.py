"""The question turned round: how many directions keep an angle in d dimensions, and how that grows.

Lower bounds say that so many exist: written down, drawn and repaired, or proven to be there without
being shown. Upper bounds are theorems. Counts are also given as powers of two, because they soon
have thousands of digits. This module makes no vectors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import betaln

from molehill.errors import GeometryError
from molehill.superposition.constructions import best_explicit, explicit_families
from molehill.superposition.johnson_lindenstrauss import direction_dimensions
from molehill.superposition.levenshtein import Kind, levenshtein_log2
from molehill.superposition.linear_program import program_bound
from molehill.superposition.random_vectors import exceeding, random_dimensions

__all__ = [
    "Estimate",
    "GrowthPoint",
    "HowMany",
    "Needed",
    "Rates",
    "dimensions_needed",
    "growth",
    "growth_rates",
    "how_many",
]


@dataclass(frozen=True)
class Estimate:
    """One bound on a number of directions: its value as a power of two, and whole if it has room.

    `how`: for lower bounds `explicit` (anyone can write them down), `drawn` (draw, then leave out
    what is too close) or `exists` (shown to be there, not shown); for upper bounds `theorem` or
    `certificate` (a polynomial, checked in whole numbers).
    """

    name: str
    how: Literal["explicit", "drawn", "exists", "theorem", "certificate"]
    log2: float
    count: int | None


@dataclass(frozen=True)
class HowMany:
    """How many lines or vectors keep at least `degrees` from each other, from below and above."""

    degrees: float
    cosine: float
    dimensions: int
    kind: Kind
    lower: tuple[Estimate, ...]
    upper: tuple[Estimate, ...]

    @property
    def at_least(self) -> Estimate:
        """The best of the lower bounds."""
        return max(self.lower, key=lambda estimate: estimate.log2)

    @property
    def at_most(self) -> Estimate:
        """The best of the upper bounds."""
        return min(self.upper, key=lambda estimate: estimate.log2)


@dataclass(frozen=True)
class GrowthPoint:
    """One number of dimensions on a growth curve; counts of lines as powers of two."""

    dimensions: int
    explicit: float
    explicit_name: str
    exists: float
    upper: float


@dataclass(frozen=True)
class Rates:
    """Doublings per dimension in the long run, for one angle: from below and from above."""

    degrees: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Needed:
    """Dimensions for so many lines at an angle: fewer than `at_least` cannot do, the rest can."""

    count: int
    degrees: float
    at_least: int
    explicit: int
    explicit_name: str
    random: int
    johnson_lindenstrauss: int


def how_many(dimensions: int, degrees: float, kind: Kind = "lines") -> HowMany:
    """Bounds on the number of directions that keep an angle.

    From below: families of `constructions.py`; E. Gilbert's argument (1952; for the sphere C.
    Shannon 1959, A. Wyner 1965): where no direction can be added, caps of this angle around them
    cover the sphere, so there are at least 1 / P(|cos| > c); drawing 1 / P and leaving out one of
    each close pair keeps half as many on average. From above: Welch, Levenshtein and, for counts
    that floating point can hold, Delsarte's program. Opposites of lines are vectors, so that twice
    the lines are a lower bound for vectors.

    Raises:
        GeometryError: fewer than 2 dimensions, an angle not above 0 and up to 90 degrees, or one
            too small for floating point.
    """
    if dimensions < 2 or not 0 < degrees <= 90:
        raise GeometryError(
            f"Directions {degrees:g} degrees apart in {dimensions} dimensions: give at least 2 "
            "dimensions and an angle above 0 and up to 90 degrees."
        )
    # A cosine just too large weakens a bound by a hair and keeps it true.
    cosine = _cosine(degrees)
    return HowMany(
        degrees=degrees,
        cosine=cosine,
        dimensions=dimensions,
        kind=kind,
        lower=_lower(dimensions, cosine, kind),
        upper=_upper(dimensions, cosine, kind),
    )


def growth(degrees: float, dimensions: Sequence[int]) -> tuple[GrowthPoint, ...]:
    """Lower and upper bounds on the number of lines over a range of dimensions.

    Raises:
        GeometryError: an angle too small for floating point.
    """
    cosine = _cosine(degrees)
    found = []
    for size in dimensions:
        family = best_explicit(size, cosine)
        found.append(
            GrowthPoint(
                dimensions=size,
                explicit=math.log2(family.count),
                explicit_name=family.name,
                exists=_gilbert(size, cosine),
                upper=_levenshtein(size, cosine, "lines"),
            )
        )
    return tuple(found)


def growth_rates(degrees: float) -> Rates:
    """log2 N / d as d grows: at least -log2 sin(angle), at most Kabatiansky and Levenshtein's rate.

    G. Kabatiansky, V. Levenshtein, "Bounds for packings on a sphere and in space", Problems of
    Information Transmission 14 (1978), for angles of 63 degrees and more as they stand.

    Raises:
        GeometryError: an angle not between 0 and 90 degrees.
    """
    if not 0 < degrees < 90:
        raise GeometryError(
            f"Growth at {degrees:g} degrees: at 90 it is not exponential; give an angle between "
            "0 and 90."
        )
    sine = math.sin(math.radians(degrees))
    x = (1 - sine) / (2 * sine)
    upper = (1 + x) * math.log2(1 + x) - x * math.log2(x)
    return Rates(degrees, -math.log2(sine), upper)


def dimensions_needed(count: int, degrees: float) -> Needed:
    """In how many dimensions so many lines can keep an angle.

    Raises:
        GeometryError: fewer than 2 lines, an angle not between 0 and 90 degrees, or more than
            10^12 dimensions.
    """
    if count < 2 or not 0 < degrees < 90:
        raise GeometryError(
            f"{count} lines {degrees:g} degrees apart: give at least 2 lines and an angle between "
            "0 and 90 degrees."
        )
    cosine = _cosine(degrees)
    wanted = math.log2(count) - 1e-12
    explicit = _first(lambda d: best_explicit(d, cosine).count >= count, count)
    return Needed(
        count=count,
        degrees=degrees,
        at_least=_first(lambda d: _may(d, cosine, wanted), count),
        explicit=explicit,
        explicit_name=best_explicit(explicit, cosine).name,
        random=random_dimensions(count, cosine),
        johnson_lindenstrauss=direction_dimensions(count, cosine),
    )


def _cosine(degrees: float) -> float:
    found = 0.0 if degrees == 90 else math.nextafter(math.cos(math.radians(degrees)), 2)
    if found >= 1:
        raise GeometryError(
            f"An angle of {degrees:g} degrees cannot be told from 0 in floating point: ask for a "
            "larger one."
        )
    return found


def _first(enough: Callable[[int], bool], most: int) -> int:
    """The least number of dimensions that is enough; as many as there are lines always are."""
    # Upwards: far above the answer, families of lines have astronomically many members.
    low, high = 1, 2
    while high < most and not enough(high):
        low, high = high, high * 2
    high = max(2, min(high, most))
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _may(dimensions: int, cosine: float, wanted: float) -> bool:
    """Whether the upper bound allows so many: not asked where they are known to exist."""
    if dimensions > 1 and _gilbert(dimensions, cosine) >= wanted:
        return True
    return _levenshtein(dimensions, cosine, "lines") >= wanted


def _lower(dimensions: int, cosine: float, kind: Kind) -> tuple[Estimate, ...]:
    twice = 2 if kind == "vectors" else 1
    found = [
        Estimate(family.name, "explicit", math.log2(twice * family.count), twice * family.count)
        for family in explicit_families(dimensions, cosine)
    ]
    if cosine > 0:
        volume = _gilbert(dimensions, cosine) + math.log2(twice)
        found.append(_estimate("volume of caps (Gilbert)", "exists", volume, math.ceil))
        found.append(_estimate("drawn, close ones left out", "drawn", volume - 1, math.ceil))
    return tuple(found)


def _upper(dimensions: int, cosine: float, kind: Kind) -> tuple[Estimate, ...]:
    if cosine == 0:
        count = dimensions if kind == "lines" else 2 * dimensions
        name = "linear algebra" if kind == "lines" else "Rankin"
        return (Estimate(name, "theorem", math.log2(count), count),)
    found = []
    square = dimensions * cosine**2
    if kind == "lines" and square < 1:
        welch = math.log2(dimensions * (1 - cosine**2) / (1 - square))
        found.append(_estimate("Welch", "theorem", welch, math.floor))
    above = _levenshtein(dimensions, cosine, kind)
    found.append(_estimate("Levenshtein", "theorem", above, math.floor))
    program = program_bound(cosine, dimensions, kind)
    if program is not None:
        name = "Delsarte's linear program"
        found.append(Estimate(name, "certificate", math.log2(program.value), program.count))
    return tuple(found)


def _levenshtein(dimensions: int, cosine: float, kind: Kind) -> float:
    if dimensions == 1:
        return 0.0 if kind == "lines" else 1.0
    return levenshtein_log2(cosine, dimensions, kind)


def _estimate(
    name: str,
    how: Literal["drawn", "exists", "theorem"],
    log2: float,
    whole: Callable[[float], int],
) -> Estimate:
    """A bound computed in floating point: whole up to 2^40, to within its rounding."""
    log2 = max(log2, 0.0)
    if log2 > 40:
        return Estimate(name, how, log2, None)
    slack = 1e-9 if whole is math.floor else -1e-9
    return Estimate(name, how, log2, whole(2**log2 * (1 + slack)))


def _gilbert(dimensions: int, cosine: float) -> float:
    """log2 of 1 / P(|cos| > c), or a little less where P is too small for floating point."""
    chance = exceeding(cosine, dimensions) if dimensions > 1 else 1.0
    if chance > 1e-290:
        return -math.log2(chance)
    # P is at most its leading factor times 1 / c^2 (a geometric series bounds the rest).
    half = (dimensions - 1) / 2
    log = half * math.log1p(-(cosine**2)) - math.log(cosine) - math.log(half) - betaln(half, 0.5)
    return float(-log / math.log(2))
