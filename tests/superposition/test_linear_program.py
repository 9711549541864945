"""Delsarte's program against bounds known from the literature, and its proof by hand."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from molehill.superposition.levenshtein import levenshtein_log2
from molehill.superposition.linear_program import negative_on, program_bound, program_cosine


@pytest.mark.parametrize(
    ("dimensions", "count"),
    [(3, 13), (4, 25), (8, 240), (24, 196560)],  # Odlyzko and Sloane (1979), table 1
)
def test_kissing_numbers(dimensions, count):
    found = program_bound(0.5, dimensions, "vectors")
    assert found is not None and found.count == count


@pytest.mark.parametrize(
    ("cosine", "dimensions", "kind", "count"),
    [
        ((1 + math.sqrt(5)) / 4, 4, "vectors", 120),  # where Levenshtein's bound says 121
        (1 / 3, 7, "lines", 28),
        (1 / 5, 23, "lines", 276),
        (1 / 2, 8, "lines", 120),
        (math.cos(math.radians(89)), 100, "lines", 103),
    ],
)
def test_it_is_met_where_it_is_known_to_be_and_never_above_levenshtein(
    cosine, dimensions, kind, count
):
    found = program_bound(cosine, dimensions, kind)
    assert found is not None and found.count == count
    assert found.value <= 2 ** levenshtein_log2(cosine, dimensions, kind) * (1 + 1e-5)


def test_the_proof_can_be_checked_by_hand():
    """Every step anew, with Legendre's polynomials in their closed form, in three dimensions."""
    found = program_bound(0.25, 3, "vectors")
    assert found is not None
    assert all(coefficient >= 0 for coefficient in found.coefficients)
    assert sum(found.coefficients) / found.coefficients[0] < found.count + 1
    steps = 100
    for i in range(steps + 1):
        at = -1 + Fraction(5, 4) * Fraction(i, steps)
        value = sum(float(f) * legendre(n, at) for n, f in enumerate(found.coefficients))
        assert value < 1e-9


def legendre(degree: int, at: Fraction) -> float:
    terms = (
        math.comb(degree, k) ** 2 * (at - 1) ** (degree - k) * (at + 1) ** k
        for k in range(degree + 1)
    )
    return float(sum(terms) / 2**degree)


def test_a_sign_on_an_interval_is_decided_exactly():
    one = Fraction(1)
    touching = [-(one / 9), one * 2 / 3, -one]  # -(x - 1/3)^2
    assert not negative_on(touching, -one, one)
    assert negative_on([touching[0] - Fraction(1, 2**50), *touching[1:]], -one, one)
    crossing = [Fraction(1, 2**60) - one / 9, one * 2 / 3, -one]
    assert not negative_on(crossing, -one, one)
    assert negative_on(touching, one / 2, one) and not negative_on([one, one], -one / 2, one)


def test_a_count_turned_into_a_cosine():
    found = program_cosine(121, 4, "vectors")  # one more than the 600-cell
    assert found is not None and found.count == 120
    assert (1 + math.sqrt(5)) / 4 < found.cosine and 120.5 < found.value < 121
    assert program_cosine(10_000, 100, "lines") is None  # no more than Levenshtein's bound
    assert program_cosine(10, 20, "lines") is None


def test_what_floating_point_cannot_find_is_left_to_others():
    assert program_bound(0.5, 200, "lines") is None
