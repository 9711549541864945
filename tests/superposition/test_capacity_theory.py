"""The theory of reading against integrals done numerically and cases worked by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from molehill.errors import GeometryError
from molehill.superposition.capacity_theory import (
    breaking_points,
    expected,
    guaranteed_active,
    guaranteeing_coherence,
    reading_densities,
)


def test_errors_are_those_of_a_million_normal_draws():
    found = expected(400, 100, 5.0)
    rng = np.random.default_rng(0)
    silent = rng.normal(0, math.sqrt(5 / 100), 10**6)
    firing = 1 + rng.normal(0, math.sqrt(4 / 100), 10**6)
    assert found.spread == pytest.approx(silent.std(), rel=0.01)
    assert found.false_fires == pytest.approx((silent > found.threshold).mean(), rel=0.15)
    assert found.misses == pytest.approx((firing < found.threshold).mean(), rel=0.02)
    assert found.wrong_bits == pytest.approx(395 * found.false_fires + 5 * found.misses)

    def value_error(cut: float, gain: float) -> float:
        wrong = (gain * np.maximum(firing - cut, 0) - 1) ** 2
        return wrong.mean() + 395 / 5 * ((gain * np.maximum(silent - cut, 0)) ** 2).mean()

    best = value_error(found.gated_threshold, found.gain)
    assert found.gated == pytest.approx(best, rel=0.02)
    for cut, gain in product((-0.05, 0.05), (0.95, 1.05)):
        assert value_error(found.gated_threshold + cut, found.gain * gain) > best


def test_the_threshold_has_the_fewest_wrong_bits():
    # The slopes of both tails meet: (k - s) times one normal density is s times the other.
    found = expected(1000, 200, 4.0)
    at, silent, firing = found.threshold, math.sqrt(4 / 200), math.sqrt(3 / 200)
    false = 996 * math.exp(-((at / silent) ** 2) / 2) / silent
    missed = 4 * math.exp(-(((1 - at) / firing) ** 2) / 2) / firing
    assert false == pytest.approx(missed, rel=0.01)


def test_features_by_themselves_are_a_mixture_over_how_many_are_active():
    found = expected(300, 100, 3.0, fixed=False)
    rng = np.random.default_rng(1)
    others = rng.binomial(299, 0.01, 10**6)
    noise = rng.normal(0, 1, 10**6) * np.sqrt(others / 100)
    assert found.false_fires == pytest.approx((noise > found.threshold).mean(), rel=0.1)
    assert found.misses == pytest.approx((1 + noise < found.threshold).mean(), rel=0.05)
    assert found.wrong_bits > 1.5 * expected(300, 100, 3.0).wrong_bits


def test_linear_readings():
    found = expected(300, 100, 5.0)
    assert found.linear == pytest.approx((295 * 5 / 100 + 5 * 4 / 100) / 5)
    assert found.least_squares == pytest.approx(2 / 3)


def test_directions_at_right_angles_are_read_without_error():
    found = expected(50, 100, 5.0, mean_square=0.0)
    assert found.wrong_bits == found.gated == found.linear == found.least_squares == 0


def test_a_simplex_shifts_every_reading_alike():
    mean = -1 / 49
    found = expected(50, 49, 5.0, mean=mean, mean_square=mean**2)
    assert found.spread == found.wrong_bits == 0
    assert found.linear == pytest.approx((45 * (5 * mean) ** 2 + 5 * (4 * mean) ** 2) / 5)


def test_where_each_way_of_reading_breaks():
    found = breaking_points(100, 5.0)
    assert (found.linear, found.least_squares) == (50, 200)
    for count, broken in ((0.99, False), (1.01, True)):
        assert (expected(int(found.bits * count), 100, 5.0).wrong_bits >= 1) is broken
        assert (expected(int(found.gated * count), 100, 5.0).gated >= 0.5) is broken
    assert breaking_points(100, 1.0).bits == math.inf
    assert breaking_points(100, 20.0).bits == 0


def test_the_guarantee_by_hand():
    # At 1/5 two features add at most 2/5 to a third, and take at most 1/5 from one of themselves.
    assert guaranteed_active(0.2 + 1e-6) == 2
    assert guaranteed_active(0.2 - 1e-6) == 3
    assert guaranteed_active(1.0) == 0 and guaranteed_active(0.99) == 1
    assert guaranteeing_coherence(3) == pytest.approx(0.2)


@pytest.mark.parametrize("fixed", [True, False])
def test_densities_are_those_of_what_theory_counts(fixed):
    at = np.linspace(-3, 4, 7001)
    silent, firing = (
        np.array(one) for one in reading_densities(at.tolist(), 300, 50, 4.0, fixed=fixed)
    )
    found = expected(300, 50, 4.0, fixed=fixed)
    step = at[1] - at[0]
    # Of features by themselves, a chance that no other is active has no density.
    alone = 0 if fixed else (1 - 4 / 300) ** 299
    assert silent.sum() * step == pytest.approx(1 - alone, abs=1e-3)
    above = silent[at > found.threshold].sum() * step
    assert above == pytest.approx(found.false_fires, rel=0.02)
    assert firing[at < found.threshold].sum() * step == pytest.approx(found.misses, rel=0.02)


def test_what_cannot_be_is_refused():
    with pytest.raises(GeometryError, match="at most half of the features active"):
        expected(10, 5, 6.0)
    with pytest.raises(GeometryError, match="read back for any number"):
        guaranteed_active(0.0)
