"""Levenshtein's universal bound: how many lines or vectors a largest cosine allows.

For every cosine there is one polynomial of the lowest degree that does the work, so that the bound
needs no optimiser. It holds for every set of directions; for a few famous ones it is met exactly.
This module knows no construction and no random set.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from molehill.errors import GeometryError

__all__ = ["MOST_DEGREE", "Kind", "levenshtein_cosine", "levenshtein_log2", "polynomial_degree"]

MOST_DEGREE = 20_000
"""Of the polynomial: a small angle in very many dimensions would take long and tell nothing."""

Kind = Literal["lines", "vectors"]
"""Lines: a vector and its opposite are one direction, and |cos| counts. Vectors: cos counts."""


def levenshtein_log2(cosine: float, dimensions: int, kind: Kind) -> float:
    """log2 of the most directions whose cosines (lines: |cosines|) are at most `cosine`.

    V. I. Levenshtein, "Universal bounds for codes and designs", Handbook of Coding Theory (1998),
    section 4: L_m(s) = (1 - Q_(k-1+e)^(1,0)(s) / Q_k^(0,e)(s)) (r_0 + ... + r_(k-1+e)),
    m = 2k - 1 + e, with Jacobi polynomials Q of the sphere or of projective space and m chosen by
    the interval in which s lies. Its first case is Welch's bound (lines) or the simplex (vectors).

    Args:
        cosine: at least 0 and below 1 for lines, above -1 and below 1 for vectors.
        dimensions: at least 2.

    Raises:
        GeometryError: it would take a polynomial of a degree above `MOST_DEGREE`.
    """
    assert dimensions >= 2 and -1 < cosine < 1, "the caller has set the edges aside"
    assert kind == "vectors" or cosine >= 0, "|cosines| are not negative"
    if polynomial_degree(cosine, dimensions) > MOST_DEGREE:
        raise GeometryError(
            f"An angle of {math.degrees(math.acos(cosine)):.3g} degrees in {dimensions:,} "
            f"dimensions takes polynomials of a degree above {MOST_DEGREE:,}: ask for a larger "
            "angle or fewer dimensions."
        )
    alpha, beta = _indices(dimensions, kind)
    at = cosine if kind == "vectors" else 2 * cosine**2 - 1
    degree = _degree(at, alpha, beta)
    k, even = (degree + 1) // 2, 1 - degree % 2
    above, above_scale = _jacobi(k - 1 + even, alpha + 1, beta, at)
    below, below_scale = _jacobi(k, alpha, beta + even, at)
    factor = 1 - above / below * 2.0 ** (above_scale - below_scale)
    return math.log2(factor) + math.log2(_harmonics(k - 1 + even, dimensions, kind))


def levenshtein_cosine(count: int, dimensions: int, kind: Kind) -> float:
    """The least largest cosine (lines: |cosine|) of so many directions, by the same bound.

    Args:
        count: above `dimensions` for lines; above 2 for vectors.
        dimensions: at least 2.
    """
    if dimensions == 2:
        # In a plane the bound is what a regular polygon has, at any count.
        return math.cos((1 if kind == "lines" else 2) * math.pi / count)
    if kind == "lines" and count <= math.comb(dimensions + 1, 2):
        return math.sqrt((count - dimensions) / (dimensions * (count - 1)))
    if kind == "lines" and count <= math.comb(dimensions + 2, 3):
        above = 3 * count - dimensions**2 - 2 * dimensions
        return math.sqrt(above / ((dimensions + 2) * (count - dimensions)))
    least, most = (0.0 if kind == "lines" else -1 + 1e-12), 1 - 1e-15
    wanted = math.log2(count)
    for _ in range(60):
        middle = (least + most) / 2
        if levenshtein_log2(middle, dimensions, kind) < wanted:
            least = middle
        else:
            most = middle
    return least


def polynomial_degree(cosine: float, dimensions: int) -> float:
    """About the degree that the bound takes: as its largest zero does in many dimensions."""
    sine = math.sqrt(1 - cosine**2)
    return dimensions * (1 - sine) / (2 * sine) if cosine > 0 else 1.0


def _indices(dimensions: int, kind: Kind) -> tuple[float, float]:
    alpha = (dimensions - 3) / 2
    return alpha, alpha if kind == "vectors" else -0.5


def _harmonics(degree: int, dimensions: int, kind: Kind) -> int:
    """Independent harmonics up to a degree; of lines, the even ones up to twice the degree."""
    if kind == "lines":
        return math.comb(dimensions + 2 * degree - 1, 2 * degree)
    lower = math.comb(dimensions + degree - 2, degree - 1) if degree else 0
    return math.comb(dimensions + degree - 1, degree) + lower


def _degree(at: float, alpha: float, beta: float) -> int:
    """The m in whose interval a point lies: the first whose largest zero is not below it."""
    high = 1
    while _largest_zero(high, alpha, beta) < at:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _largest_zero(middle, alpha, beta) < at else (low, middle)
    return high


def _largest_zero(degree: int, alpha: float, beta: float) -> float:
    """The upper end of interval m: the largest zero of the polynomial with indices (1, e)."""
    size, even = (degree + 1) // 2, 1 - degree % 2
    a, b = alpha + 1, beta + even
    n = np.arange(size, dtype=np.float64)
    diagonal = np.full(size, (b - a) / (a + b + 2))
    diagonal[1:] = (b * b - a * a) / ((2 * n[1:] + a + b) * (2 * n[1:] + a + b + 2))
    square = np.full(size, 4 * (1 + a) * (1 + b) / ((2 + a + b) ** 2 * (3 + a + b)))
    m = n[2:]
    twice = 2 * m + a + b
    square[2:] = 4 * m * (m + a) * (m + b) * (m + a + b) / (twice**2 * (twice + 1) * (twice - 1))
    ends = eigvalsh_tridiagonal(
        diagonal, np.sqrt(square[1:]), select="i", select_range=(size - 1, size - 1)
    )
    return float(np.asarray(ends).item())


def _jacobi(degree: int, alpha: float, beta: float, at: float) -> tuple[float, int]:
    """A Jacobi polynomial that is 1 at 1, as (mantissa, power of two): it can be very small."""
    before, value, scale = 0.0, 1.0, 0
    for n in range(1, degree + 1):
        before, value = value, _step(n, alpha, beta, at, value, before)
        if max(abs(value), abs(before)) < 2.0**-200:
            before, value, scale = before * 2.0**200, value * 2.0**200, scale - 200
    return value, scale


def _step(n: int, alpha: float, beta: float, at: float, value: float, before: float) -> float:
    """The three-term recurrence, divided by the values at 1."""
    both = alpha + beta
    if n == 1:
        return ((both + 2) * at + alpha - beta) / (2 * (alpha + 1))
    twice = 2 * n + both
    first = (twice - 1) * (twice * (twice - 2) * at + alpha * alpha - beta * beta)
    second = 2 * (n + alpha - 1) * (n + beta - 1) * twice
    share = n / (n + alpha)
    later = second * share * (n - 1) / (n + alpha - 1)
    return (first * share * value - later * before) / (2 * n * (n + both) * (twice - 2))
