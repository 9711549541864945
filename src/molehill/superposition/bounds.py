"""How far apart N directions in d dimensions can be at most: lower bounds on their coherence.

Every bound here is a theorem, given by name and source. Two conventions are told apart: *lines*,
where a vector and its opposite count as one direction and |cos| is what matters, as for feature
directions that must not be confused; and *vectors*, where only a cosine above zero is close. A
claim about angles "between 89 and 91 degrees" is one about lines. This module knows no packing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from molehill.errors import GeometryError
from molehill.superposition.levenshtein import levenshtein_cosine
from molehill.superposition.random_vectors import random_asymptotic, random_largest

__all__ = ["Bounds", "VectorBounds", "bounds", "degrees", "welch"]


@dataclass(frozen=True)
class VectorBounds:
    """Lower bounds on the largest signed cosine; None where a theorem does not speak."""

    simplex: float | None
    rankin: float | None
    levenshtein: float | None
    best: float
    which: str

    @property
    def degrees(self) -> float:
        """The least angle of the closest pair, at best."""
        return degrees(self.best)


@dataclass(frozen=True)
class Bounds:
    """What theorems say of the largest |cosine| among `count` directions, and what chance gives.

    `welch_orders` has (order, bound) for every order that says anything. A bound that does not
    speak (too few directions) is 0. `best` is the largest of the bounds and `which` its name.
    """

    count: int
    dimensions: int
    welch: float
    welch_orders: tuple[tuple[int, float], ...]
    orthoplex: float
    levenshtein: float
    best: float
    which: str
    vectors: VectorBounds
    random_expected: float
    random_median: float
    random_asymptotic: float

    @property
    def degrees(self) -> float:
        """The angle of the closest pair of lines, at best."""
        return degrees(self.best)


def degrees(cosine: float) -> float:
    """The angle whose cosine it is."""
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def bounds(count: int, dimensions: int) -> Bounds:
    """Lower bounds on the coherence of so many unit vectors, and what random ones have.

    Sources: L. R. Welch, IEEE Trans. IT 20 (1974), with the averages of real vectors in place of
    complex ones (S. Waldron, IEEE Trans. IT 49 (2003)); R. A. Rankin, Proc. Glasgow Math. Assoc. 2
    (1955), and for lines J. H. Conway, R. H. Hardin, N. J. A. Sloane, Experimental Math. 5 (1996),
    section 2 (orthoplex); V. I. Levenshtein, as in `levenshtein_log2`. In a plane the answer is
    known: equal steps.

    Raises:
        GeometryError: fewer than 2 directions or less than one dimension.
    """
    if count < 2 or dimensions < 1:
        raise GeometryError(
            f"{count} directions in {dimensions} dimensions have no closest pair: give at least 2 "
            "directions and 1 dimension."
        )
    if dimensions == 1:
        return _of_one_dimension(count)
    orders = _welch_orders(count, dimensions)
    orthoplex = 1 / math.sqrt(dimensions) if count > math.comb(dimensions + 1, 2) else 0.0
    above = levenshtein_cosine(count, dimensions, "lines") if count > dimensions else 0.0
    named = [(value, f"Welch, order {order}" if order > 1 else "Welch") for order, value in orders]
    named += [(orthoplex, "orthoplex"), (above, "Levenshtein")]
    if dimensions == 2:
        named.append((math.cos(math.pi / count), "equal steps in a plane"))
    best, which = _tightest(named)
    return Bounds(
        count=count,
        dimensions=dimensions,
        welch=welch(count, dimensions),
        welch_orders=orders,
        orthoplex=orthoplex,
        levenshtein=above,
        best=best,
        which=which,
        vectors=_vectors(count, dimensions),
        random_expected=random_largest(count, dimensions),
        random_median=random_largest(count, dimensions, 0.5),
        random_asymptotic=random_asymptotic(count, dimensions),
    )


def welch(count: int, dimensions: int, order: int = 1) -> float:
    """Welch's bound of an order on the largest |cosine| of real unit vectors; 0 where it is silent.

    The mean of cos^(2k) over all pairs, each vector with itself included, is at least
    m_k = 1·3·...·(2k-1) / (d(d+2)···(d+2k-2)), what directions spread evenly have; therefore
    coherence^(2k) >= (N m_k - 1) / (N - 1).
    """
    mean = math.prod((2 * i + 1) / (dimensions + 2 * i) for i in range(order))
    left = (count * mean - 1) / (count - 1)
    return left ** (1 / (2 * order)) if left > 0 else 0.0


def _welch_orders(count: int, dimensions: int) -> tuple[tuple[int, float], ...]:
    """All orders that speak, up to 64: in a few dimensions very many do, and add nothing."""
    found = [(order, welch(count, dimensions, order)) for order in range(1, 65)]
    return tuple((order, value) for order, value in found if value > 0)


def _tightest(named: list[tuple[float, str]]) -> tuple[float, str]:
    """The largest bound, by the name that stands first where several meet."""
    largest = max(value for value, _ in named)
    if largest <= 0:
        return 0.0, "orthonormal"
    return largest, next(name for value, name in named if value >= largest * (1 - 1e-12))


def _vectors(count: int, dimensions: int) -> VectorBounds:
    simplex = -1 / (count - 1)
    if count <= dimensions + 1:
        return VectorBounds(simplex, None, None, simplex, "simplex")
    rankin = 0.0
    if count <= 2 * dimensions:
        return VectorBounds(simplex, rankin, None, rankin, "Rankin")
    above = levenshtein_cosine(count, dimensions, "vectors")
    if dimensions == 2:
        step = math.cos(2 * math.pi / count)
        return VectorBounds(simplex, rankin, above, step, "equal steps in a plane")
    return VectorBounds(simplex, rankin, above, above, "Levenshtein")


def _of_one_dimension(count: int) -> Bounds:
    """In one dimension there is one line, and there are two vectors."""
    signed = -1.0 if count == 2 else 1.0
    name = "one dimension"
    return Bounds(
        count=count,
        dimensions=1,
        welch=1.0,
        welch_orders=((1, 1.0),),
        orthoplex=0.0,
        levenshtein=1.0,
        best=1.0,
        which=name,
        vectors=VectorBounds(-1 / (count - 1), None, None, signed, name),
        random_expected=1.0,
        random_median=1.0,
        random_asymptotic=1.0,
    )
