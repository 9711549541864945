"""Families of lines that anyone can write down, with the |cosine| they keep to.

Each is a size (dimensions, count, cosine); a space of more dimensions holds several side by side,
at right angles to each other. What is here needs no search and no luck. This module knows sizes and
cosines alone; it makes no vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Family", "best_explicit", "explicit_families"]

_SPORADIC = (
    (3, 6, 1 / math.sqrt(5), "diagonals of the icosahedron"),
    (5, 10, 1 / 3, "ten equiangular lines"),
    (6, 16, 1 / 3, "sixteen equiangular lines"),
    (7, 28, 1 / 3, "pairs out of eight"),
    (8, 120, 1 / 2, "roots of E8"),
    (15, 36, 1 / 5, "equiangular lines"),
    (21, 126, 1 / 5, "equiangular lines"),
    (22, 176, 1 / 5, "equiangular lines"),
    (23, 276, 1 / 5, "equiangular lines of McLaughlin's group"),
    (24, 98280, 1 / 2, "least vectors of Leech's lattice"),
)
"""P. Lemmens, J. Seidel, "Equiangular lines", J. Algebra 24 (1973); J. H. Conway, N. J. A. Sloane,
"Sphere Packings, Lattices and Groups", chapters 4 and 14."""


@dataclass(frozen=True)
class Family:
    """So many lines in a space, `copies` of one kind side by side and the axes that are left."""

    name: str
    source: str
    dimensions: int
    count: int
    cosine: float
    copies: int


def best_explicit(dimensions: int, cosine: float) -> Family:
    """The largest of them in a space, none of whose |cosines| is above `cosine`."""
    return max(explicit_families(dimensions, cosine), key=lambda family: family.count)


def explicit_families(dimensions: int, cosine: float) -> tuple[Family, ...]:
    """Every kind that fits and keeps to `cosine`, each at its best size; the axes always do."""
    best: dict[str, Family] = {}
    for size, count, largest, name, source in _kinds(dimensions, cosine):
        # The sizes are exact and their cosines are roots: the last bit is no reason to refuse.
        if size > dimensions or largest > cosine * (1 + 1e-12):
            continue
        copies = dimensions // size
        total = copies * count + dimensions % size
        if name not in best or total > best[name].count:
            best[name] = Family(name, source, dimensions, total, largest, copies)
    return tuple(sorted(best.values(), key=lambda family: -family.count))


def _kinds(dimensions: int, cosine: float) -> Iterator[tuple[int, int, float, str, str]]:
    yield dimensions, dimensions, 0.0, "axes", "an orthonormal basis"
    if cosine > 0:
        size = math.ceil(1 / cosine * (1 - 1e-12))
        yield size, size + 1, 1 / size, "simplexes", "d + 1 corners, each pair at -1/d"
    for size, count, largest, name in _SPORADIC:
        yield size, count, largest, name, "see the module"
    yield from _kerdock(dimensions)
    yield from _traces(dimensions, cosine)
    yield from _polynomials(dimensions, cosine)


def _kerdock(dimensions: int) -> Iterator[tuple[int, int, float, str, str]]:
    """d/2 + 1 orthonormal bases, any two unbiased, for d = 4^r: the most there can be."""
    source = (
        "P. Cameron, J. Seidel, Indag. Math. 35 (1973); A. Calderbank et al., Proc. LMS 75 (1997)"
    )
    size = 4
    while size <= dimensions:
        yield size, size * (size // 2 + 1), 1 / math.sqrt(size), "Kerdock's bases", source
        size *= 4


def _traces(dimensions: int, cosine: float) -> Iterator[tuple[int, int, float, str, str]]:
    """(-1)^Tr(a1 x + a3 x^3 + ...) with t odd powers, in d = 2^r: |cos| <= (2t - 2) / sqrt(d)."""
    source = "L. Carlitz, S. Uchiyama, Duke Math. J. 24 (1957): dual BCH codes as signs"
    size = 4
    while size <= dimensions:
        odd = size.bit_length() % 2 == 0
        # So many that |cos| is kept; of two, sqrt(2 / d) may be where 2 / sqrt(d) is not.
        most = max(2, math.floor(cosine * math.sqrt(size) * (1 + 1e-12) / 2) + 1)
        for powers in range(2, most + 1):
            # With an odd r and the cube alone, sums are at most sqrt(2 d) (R. Gold, 1968).
            largest = math.sqrt(2 / size) if odd and powers == 2 else (2 * powers - 2) / size**0.5
            if largest < 1:
                yield size, size**powers, largest, "signs of trace polynomials", source
        size *= 2


def _polynomials(dimensions: int, cosine: float) -> Iterator[tuple[int, int, float, str, str]]:
    """Graphs of polynomials of degree r over a field of q elements, in q^2 dimensions: r / q."""
    source = "R. DeVore, J. Complexity 23 (2007), section 2; W. Kautz, R. Singleton (1964)"
    prime = next((q for q in range(math.isqrt(dimensions), 1, -1) if _is_prime(q)), 0)
    degree = math.floor(cosine * prime * (1 + 1e-12))
    if prime and 0 < degree < prime:
        yield prime**2, prime ** (degree + 1), degree / prime, "graphs of polynomials", source


def _is_prime(number: int) -> bool:
    return number > 1 and all(number % factor for factor in range(2, math.isqrt(number) + 1))
