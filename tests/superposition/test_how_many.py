"""How many directions keep an angle: known answers, and bounds that do not cross."""

from __future__ import annotations

import math

import pytest

from molehill.errors import GeometryError
from molehill.superposition.constructions import best_explicit
from molehill.superposition.how_many import (
    dimensions_needed,
    growth,
    growth_rates,
    how_many,
)
from molehill.superposition.levenshtein import levenshtein_log2
from molehill.superposition.random_vectors import exceeding


def test_a_hundred_dimensions_hold_101_to_103_lines_at_89_degrees():
    found = how_many(100, 89.0)
    assert (found.at_least.count, found.at_least.how) == (101, "explicit")
    assert {one.name: one.count for one in found.upper} == {
        "Welch": 103,
        "Levenshtein": 103,
        "Delsarte's linear program": 103,
    }
    signed = how_many(100, 89.0, "vectors")
    assert (signed.at_least.count, signed.at_most.count) == (202, 381)


def test_four_thousand_and_ninety_six_dimensions_hold_millions():
    found = how_many(4096, 89.0)
    assert (found.at_least.count, found.at_least.name) == (4096 * 2049, "Kerdock's bases")
    assert found.at_most.count == 9578862


def test_very_many_lines_are_answered_by_searching_upwards():
    found = dimensions_needed(10**23, 89.0)
    # Families that small enough spaces hold by definition: neither one less, nor a bound crossed.
    cosine = math.cos(math.radians(89))
    assert best_explicit(found.explicit, cosine).count >= 10**23
    assert best_explicit(found.explicit - 1, cosine).count < 10**23
    assert found.at_least <= found.explicit < 10**6


@pytest.mark.parametrize("ask", [lambda a: how_many(100, a), lambda a: dimensions_needed(9, a)])
def test_an_angle_that_is_zero_in_floating_point_is_refused(ask):
    with pytest.raises(GeometryError, match="1e-09 degrees cannot be told from 0"):
        ask(1e-9)


def test_right_angles():
    assert (how_many(10, 90.0).at_least.count, how_many(10, 90.0).at_most.count) == (10, 10)
    assert how_many(10, 90.0, "vectors").at_least.count == 20
    assert how_many(10, 90.0, "vectors").at_most.count == 20


def test_kissing_in_eight_dimensions_is_settled():
    found = how_many(8, 60.0, "vectors")
    assert found.at_least.count == found.at_most.count == 240


@pytest.mark.parametrize("kind", ["lines", "vectors"])
@pytest.mark.parametrize("dimensions", [2, 9, 50, 400, 6000])
@pytest.mark.parametrize("degrees", [30.0, 60.0, 80.0, 85.0, 89.0])
def test_lower_bounds_are_below_upper_ones(dimensions, degrees, kind):
    found = how_many(dimensions, degrees, kind)
    assert 0 <= found.at_least.log2 <= found.at_most.log2 + 1e-9


def test_the_volume_argument_at_the_edge_of_floating_point():
    # On both sides of where the chance can be held as a number, the same doublings a dimension.
    cosine = math.cos(math.radians(80))
    points = growth(80.0, (30_000, 30_001, 60_000))
    assert points[0].exists == pytest.approx(-math.log2(exceeding(cosine, 30_000)), rel=1e-6)
    assert points[2].exists / 60_000 == pytest.approx(growth_rates(80.0).lower, rel=0.01)
    assert 0 < points[1].exists - points[0].exists < 0.05


def test_growth_has_no_faster_rate_than_its_bound():
    rates = growth_rates(80.0)
    assert rates.lower == pytest.approx(-math.log2(math.sin(math.radians(80))))
    (point,) = growth(80.0, (100_000,))
    assert rates.lower < point.upper / 100_000 < 1.03 * rates.upper
    with pytest.raises(GeometryError, match="at 90 it is not exponential"):
        growth_rates(90.0)


def test_dimensions_for_ten_thousand_at_89_degrees():
    found = dimensions_needed(10_000, 89.0)
    cosine = math.cos(math.radians(89))
    assert (found.explicit, found.explicit_name) == (4096, "Kerdock's bases")
    assert best_explicit(4095, cosine).count < 10_000
    most = [2 ** levenshtein_log2(cosine, d, "lines") for d in (found.at_least - 1, found.at_least)]
    assert most[0] < 10_000 <= most[1]
    assert found.at_least < found.explicit < found.random < found.johnson_lindenstrauss


def test_what_cannot_be_is_refused():
    with pytest.raises(GeometryError, match="Directions 95 degrees apart"):
        how_many(5, 95.0)
    with pytest.raises(GeometryError, match="at least 2 lines"):
        dimensions_needed(1, 80.0)
