"""Delsarte's linear program: the best upper bound that pairs of directions alone can give.

A polynomial that is not above zero wherever a cosine may lie, and whose Gegenbauer coefficients are
not negative, proves a bound. The program finds one in floating point; the proof is then made in
whole numbers, so that rounding can weaken a bound but cannot make it wrong. This module knows no
construction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
from scipy.optimize import linprog

from molehill.superposition.levenshtein import Kind, levenshtein_cosine, levenshtein_log2

__all__ = ["ProgramBound", "negative_on", "program_bound", "program_cosine"]

_LARGEST_LOG2 = 36.0


@dataclass(frozen=True)
class ProgramBound:
    """At most `count` directions whose cosines (lines: |cosines|) are at most `cosine`; proven.

    The proof: f = sum of coefficients[i] G_i (lines: G_2i), all of them non-negative, is below zero
    on the whole interval, which was checked in whole numbers; then N <= f(1) / coefficients[0].
    """

    cosine: float
    dimensions: int
    kind: Kind
    count: int
    value: float
    coefficients: tuple[Fraction, ...]


def program_bound(
    cosine: float, dimensions: int, kind: Kind, *, degrees: Sequence[int] = (6, 10, 16, 24)
) -> ProgramBound | None:
    """The bound, or None where it is too large for floating point to find it.

    P. Delsarte, J. M. Goethals, J. J. Seidel, "Spherical codes and designs", Geometriae Dedicata 6
    (1977), theorem 4.3; A. M. Odlyzko, N. J. A. Sloane, J. Combin. Theory A 26 (1979), for the
    program. For kissing numbers it gives 240 in 8 dimensions and 196560 in 24.

    Args:
        degrees: of the polynomials that are tried. A higher one can only help, but rounding grows
            with it: the best that is proven counts.
    """
    if levenshtein_log2(cosine, dimensions, kind) > _LARGEST_LOG2:
        return None
    end = Fraction(cosine) if kind == "vectors" else Fraction(cosine) ** 2
    start = Fraction(-1 if kind == "vectors" else 0)
    best = None
    for degree in degrees:
        base = _gegenbauer(degree, dimensions, kind)
        found = _solve(base, dimensions, float(start), float(end), kind)
        proven = None if found is None else _proven(found, base, start, end)
        if proven is None:
            continue
        value = sum(proven, Fraction(0)) / proven[0]
        if best is None or value < best.value:
            best = ProgramBound(
                cosine, dimensions, kind, math.floor(value), float(value), tuple(proven)
            )
    return best


def program_cosine(count: int, dimensions: int, kind: Kind) -> ProgramBound | None:
    """The largest cosine found that so many directions cannot keep to, with its proof.

    None where the program proves no more than Levenshtein's bound.
    """
    if count <= dimensions:
        return None
    low = levenshtein_cosine(count, dimensions, kind)
    if low <= 0 or math.log2(count) > _LARGEST_LOG2 - 2:
        return None
    high = low + 1e-5 * (1 - low)
    best = program_bound(high, dimensions, kind, degrees=(10, 20))
    if best is None or best.count >= count:
        return None
    low, high = high, low + 0.3 * (1 - low)
    for _ in range(10):
        middle = (low + high) / 2
        found = program_bound(middle, dimensions, kind, degrees=(10, 20))
        if found is not None and found.count < count:
            low, best = middle, found
        else:
            high = middle
    return best


def negative_on(polynomial: list[Fraction], start: Fraction, end: Fraction) -> bool:
    """Whether a polynomial (coefficients from the constant up) is below zero on an interval.

    Exact: its Bernstein coefficients are whole numbers up to a common factor, a piece on which all
    are negative is done, and any other is halved. A touching zero would never be done, so that
    pieces thinner than 2^-40 of the interval count as a no.
    """
    pieces = [(_bernstein(polynomial, start, end), 0)]
    while pieces:
        numbers, depth = pieces.pop()
        if max(numbers) < 0:
            continue
        if numbers[0] >= 0 or numbers[-1] >= 0 or depth == 40:
            return False
        pieces += [(half, depth + 1) for half in _halves(numbers)]
    return True


def _bernstein(polynomial: list[Fraction], start: Fraction, end: Fraction) -> list[int]:
    """Bernstein coefficients on an interval, times a common factor that makes them whole."""
    degree = len(polynomial) - 1
    moved = [Fraction(0)] * (degree + 1)
    for coefficient in reversed(polynomial):  # Horner, in start + (end - start) x
        shifted = [Fraction(0), *moved[:-1]]
        moved = [start * a + (end - start) * b for a, b in zip(moved, shifted, strict=True)]
        moved[0] += coefficient
    numbers = [
        sum(Fraction(math.comb(j, i), math.comb(degree, i)) * moved[i] for i in range(j + 1))
        for j in range(degree + 1)
    ]
    common = math.lcm(*(number.denominator for number in numbers))
    return [int(number * common) for number in numbers]


def _halves(numbers: list[int]) -> tuple[list[int], list[int]]:
    """Both halves by de Casteljau, each times 2^degree."""
    degree = len(numbers) - 1
    left, right, row = [], [], numbers
    for level in range(degree + 1):
        left.append(row[0] << (degree - level))
        right.append(row[-1] << (degree - level))
        row = [a + b for a, b in pairwise(row)]
    return left, right[::-1]


def _gegenbauer(degree: int, dimensions: int, kind: Kind) -> list[list[Fraction]]:
    """G_0 ... G_degree, each 1 at 1; for lines the even ones, in the square of the cosine."""
    d = dimensions
    rows = [[Fraction(1)], [Fraction(0), Fraction(1)]]
    for i in range(1, degree):
        first = [Fraction(0), *(Fraction(2 * i + d - 2, i + d - 2) * c for c in rows[i])]
        for j, coefficient in enumerate(rows[i - 1]):
            first[j] -= Fraction(i, i + d - 2) * coefficient
        rows.append(first)
    if kind == "vectors":
        return rows
    return [row[::2] for row in rows[::2]]


def _solve(
    base: list[list[Fraction]], dimensions: int, start: float, end: float, kind: Kind
) -> np.ndarray | None:
    """Coefficients from the first on, the zeroth being 1: the least sum, found by cutting planes.

    The constraints hold at some points; where the polynomial found is highest between them, points
    are added.
    """
    count = len(base) - 1
    fine = start + (end - start) * (1 - np.cos(np.linspace(0, np.pi, 4001))) / 2
    over = _values(fine, count, dimensions, kind)
    points, solved = fine[::20], None
    precise = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    sizes = np.abs(over).max(axis=1)
    for _ in range(14):
        rows = (_values(points, count, dimensions, kind) / sizes[:, None]).T
        found = linprog(
            sizes.min() / sizes, rows, -np.ones(len(points)), method="highs", options=precise
        )
        if found.status != 0:
            return solved
        solved = found.x / sizes
        heights = 1 + solved @ over
        if heights.max() < 1e-9:
            return solved
        points = np.union1d(points, _tops(fine, heights))
    return solved


def _tops(points: np.ndarray, heights: np.ndarray) -> np.ndarray:
    """Where a sampled curve is highest locally, by the parabola through three samples."""
    i = 1 + np.flatnonzero((heights[1:-1] >= heights[:-2]) & (heights[1:-1] >= heights[2:]))
    a, b, c = points[i - 1], points[i], points[i + 1]
    before, at, after = heights[i - 1], heights[i], heights[i + 1]
    below = (b - a) * (at - after) + (c - b) * (at - before)
    above = (b - a) ** 2 * (at - after) - (b - c) ** 2 * (at - before)
    flat = below == 0
    return np.clip(b - np.where(flat, 0, 0.5 * above / np.where(flat, 1, below)), a, c)


def _values(points: np.ndarray, count: int, dimensions: int, kind: Kind) -> np.ndarray:
    """G_1 ... at points, by recurrence: powers would cancel."""
    at = points if kind == "vectors" else np.sqrt(points)
    rows = [np.ones_like(at), at]
    for i in range(1, count if kind == "vectors" else 2 * count):
        first = (2 * i + dimensions - 2) * at * rows[i] - i * rows[i - 1]
        rows.append(first / (i + dimensions - 2))
    return np.array(rows[1:] if kind == "vectors" else rows[2::2])


def _proven(
    found: np.ndarray, base: list[list[Fraction]], start: Fraction, end: Fraction
) -> list[Fraction] | None:
    """The coefficients made exact, the zeroth lowered until the polynomial is below zero."""
    exact = [Fraction(max(0.0, float(value))).limit_denominator(2**48) for value in found]
    polynomial = [Fraction(0)] * len(base[-1])
    for coefficient, row in zip(exact, base[1:], strict=True):
        for j, value in enumerate(row):
            polynomial[j] += coefficient * value
    for exponent in range(-30, -3):
        zeroth = 1 - Fraction(2) ** exponent
        if negative_on([polynomial[0] + zeroth, *polynomial[1:]], start, end):
            return [zeroth, *exact]
    return None
