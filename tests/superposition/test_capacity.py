"""Reading back what was written: counts against theory, against hand-made cases, and learned."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.capacity import (
    capacity_curve,
    draw_active,
    learn_directions,
    measure_reading,
    random_directions,
)
from molehill.superposition.capacity_theory import expected, guaranteed_active


@pytest.mark.parametrize(("features", "active"), [(200, 3.0), (600, 5.0)])
@pytest.mark.parametrize("fixed", [True, False])
def test_random_directions_do_what_theory_says(features, active, fixed):
    (point,) = capacity_curve(
        lambda count: random_directions(count, 60),
        [features],
        active=active,
        fixed=fixed,
        inputs=3000,
    )
    theory, counted = point.expected, point.measured
    # One set of directions: its own deviation comes on top of what the draws vary.
    assert counted.misses == pytest.approx(theory.misses, rel=0.1)
    assert counted.false_fires == pytest.approx(theory.false_fires, rel=0.15)
    assert counted.linear == pytest.approx(theory.linear, rel=0.05)
    assert counted.gated == pytest.approx(theory.gated, rel=0.1)
    assert point.mean_square == pytest.approx(1 / 60, rel=0.05)


def test_counts_are_those_of_a_loop():
    rows = random_directions(12, 6, seed=1)
    theory = dataclasses.replace(expected(12, 6, 2.0), threshold=0.6, gain=1.5)
    found = measure_reading(rows, theory, inputs=50, seed=3)
    there = draw_active(50, 12, 2.0, fixed=True, generator=torch.Generator().manual_seed(3))
    false = missed = right = 0
    linear = gated = 0.0
    for picked in there.tolist():
        vector = sum(row for row, on in zip(rows, picked, strict=True) if on)
        wrong = 0
        for row, on in zip(rows, picked, strict=True):
            reading = float(vector @ row)
            false += reading > 0.6 and not on
            missed += reading <= 0.6 and on
            wrong += (reading > 0.6) != on
            linear += (reading - on) ** 2
            gated += (1.5 * max(0.0, reading - theory.gated_threshold) - on) ** 2
        right += wrong == 0
    assert (found.read_active, found.read_others) == (100, 500)
    assert found.false_fires == pytest.approx(false / 500)
    assert found.misses == pytest.approx(missed / 100)
    assert found.wrong_bits == pytest.approx((false + missed) / 50)
    assert found.all_right == pytest.approx(right / 50)
    assert found.linear == pytest.approx(linear / 100, rel=1e-5)
    assert found.gated == pytest.approx(gated / 100, rel=1e-5)


def test_every_input_is_read_where_coherence_guarantees_it():
    # 28 lines at 1/3 in 7 dimensions.
    pairs = torch.combinations(torch.arange(8))
    rows = torch.full((28, 8), -1.0).scatter_(1, pairs, 3.0)
    assert guaranteed_active(1 / 3 + 1e-9) == 1
    theory = dataclasses.replace(expected(28, 7, 1.0), threshold=0.5)
    assert measure_reading(rows, theory, inputs=300).all_right == 1
    # With two active the guarantee is gone, and so is the certainty.
    theory = dataclasses.replace(expected(28, 7, 2.0), threshold=2 / 3)
    assert measure_reading(rows, theory, inputs=300).all_right < 1


def test_axes_are_read_without_error_and_draws_repeat():
    (point,) = capacity_curve(lambda count: torch.eye(30)[:count], [20], active=4.0, inputs=100)
    assert point.measured.wrong_bits == point.measured.linear == 0
    assert point.measured.all_right == 1 and point.coherence == 0
    theory = expected(50, 20, 3.0)
    rows = random_directions(50, 20)
    assert measure_reading(rows, theory, seed=5) == measure_reading(rows, theory, seed=5)


def test_learned_directions_are_read_better_and_shun_positive_cosines():
    rows = learn_directions(60, 20, active=2.0, steps=150)
    assert torch.equal(rows, learn_directions(60, 20, active=2.0, steps=150))
    theory = expected(60, 20, 2.0)
    learned = measure_reading(rows, theory, calibrate=True, inputs=2000)
    drawn = measure_reading(random_directions(60, 20), theory, calibrate=True, inputs=2000)
    assert learned.wrong_bits < drawn.wrong_bits / 3
    cosines = (rows @ rows.T)[~torch.eye(60, dtype=torch.bool)]
    assert float(cosines.max()) < -float(cosines.min())


def test_a_calibrated_threshold_is_better_than_a_wrong_one():
    rows = random_directions(100, 40)
    theory = expected(100, 40, 3.0)
    skewed = dataclasses.replace(theory, threshold=0.3)
    found = measure_reading(rows, skewed, calibrate=True, inputs=2000)
    assert found.threshold == pytest.approx(theory.threshold, abs=0.06)
    assert found.wrong_bits < measure_reading(rows, skewed, inputs=2000).wrong_bits / 2


def test_active_features_are_drawn_as_asked():
    generator = torch.Generator().manual_seed(0)
    fixed = draw_active(500, 40, 3.0, fixed=True, generator=generator)
    assert (fixed.sum(1) == 3).all()
    assert float(fixed.float().mean(0).max()) < 3 / 40 + 4 * math.sqrt(3 / 40 / 500)
    free = draw_active(5000, 40, 2.5, fixed=False, generator=generator)
    assert float(free.sum(1).float().mean()) == pytest.approx(2.5, rel=0.05)
    assert float(free.sum(1).float().var()) == pytest.approx(2.5 * (1 - 2.5 / 40), rel=0.1)


def test_what_cannot_be_is_refused():
    theory = expected(10, 4, 2.5, fixed=False)
    with pytest.raises(GeometryError, match=r"2\.5 active features in every input"):
        measure_reading(random_directions(10, 4), theory)
    with pytest.raises(GeometryError, match="have no direction"):
        measure_reading(torch.zeros(10, 4), expected(10, 4, 2.0))
