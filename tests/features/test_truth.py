"""Found features, estimated directions and their ceiling, where everything is known."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.synthetic import Synthetic
from molehill.features.truth import (
    Truth,
    best_threshold,
    estimated_directions,
    found_by_activity,
    linear_ceiling,
)

ROWS, CHOOSING = 6000, 3000


@pytest.fixture(scope="module")
def made() -> Synthetic:
    return Synthetic.random(12, 8, active=2.0, seed=4)


@pytest.fixture(scope="module")
def drawn(made):
    x, values = made.rows(ROWS)
    truth = Truth(tuple(map(str, range(12))), values > 0)
    return x, values, truth


def test_the_right_features_are_found_whatever_their_order_and_noise_below(drawn):
    _, values, truth = drawn
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    noise = 0.3 * torch.rand(ROWS, 12, generator=generator)  # below every true value
    noise *= torch.rand(ROWS, 12, generator=generator) < 0.5
    codes = Codes.of_dense(torch.where(values > 0, values, noise)[:, order])
    found = found_by_activity(codes, truth, choosing=CHOOSING)
    assert order[found.partner].tolist() == list(range(12))
    assert found.f1.min() == 1.0
    assert found.share() == 1.0
    assert found.f1_at_zero.max() < 0.6  # half of the silent rows hold noise
    assert bool(((found.threshold > 0.29) & (found.threshold < 0.51)).all())
    assert found.control < 0.4


def test_a_feature_that_nobody_learnt_is_not_found(drawn):
    _, values, truth = drawn
    found = found_by_activity(Codes.of_dense(values[:, :11]), truth, choosing=CHOOSING)
    assert found.f1[:11].tolist() == [1.0] * 11
    assert found.partner[11] == -1
    assert found.f1[11] == 0.0
    assert found.share(among=[11]) == 0.0


def test_rows_set_aside_do_not_count(drawn):
    _, values, truth = drawn
    begins = truth.active & (torch.arange(ROWS) % 2 == 0)[:, None]
    aside = truth.active & ~begins
    codes = Codes.of_dense(values)
    with_them = found_by_activity(codes, Truth(truth.names, begins), choosing=CHOOSING)
    without = found_by_activity(codes, Truth(truth.names, begins, aside), choosing=CHOOSING)
    assert without.f1.tolist() == [1.0] * 12
    assert with_them.f1.max() < 0.75  # at precision 1/2, F1 is 2/3


def test_the_best_threshold_is_that_of_all_thresholds():
    generator = torch.Generator().manual_seed(7)
    values = torch.randint(0, 6, (80,), generator=generator).float()
    wanted = torch.rand(80, generator=generator) < values / 8
    f1, threshold = best_threshold(values, wanted)
    every = []
    for line in (0.5, 1.5, 2.5, 3.5, 4.5):
        fires = values > line
        every.append(2 * (fires & wanted).sum().item() / (fires.sum() + wanted.sum()).item())
    assert f1 == pytest.approx(max(every))
    fires = values > threshold
    assert 2 * (fires & wanted).sum() / (fires.sum() + wanted.sum()) == pytest.approx(f1)


def test_directions_are_those_that_vectors_were_made_of(made, drawn):
    x, values, truth = drawn
    found = estimated_directions(x, truth, choosing=CHOOSING, ridge=0.0)
    cosines = torch.cosine_similarity(found.effects, made.directions.double(), dim=1)
    assert cosines.min() > 0.995
    # What on and off leave unexplained is the spread of values: 1 + 1/12 against 1.
    left = (x - (values > 0).float() @ made.directions).square().sum()
    assert found.explained == pytest.approx(
        1 - (left / (x - x.mean(0)).square().sum()).item(), abs=0.02
    )
    assert abs(found.explained_shuffled) < 0.02
    # Where a feature is active, the spread of its value and of 11 / 6 others is left: 0.236;
    # without its direction 1 more.
    assert found.own.tolist() == pytest.approx([1 - 0.236 / 1.236] * 12, abs=0.02)


def test_a_name_without_an_effect_has_no_direction_of_its_own(drawn):
    x, _, truth = drawn
    idle = torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(9)) < 0.2
    wider = Truth((*truth.names, "idle"), torch.cat((truth.active, idle), dim=1))
    found = estimated_directions(x, wider, choosing=CHOOSING)
    assert abs(found.own[12]) < 0.05
    assert found.effects[12].norm() < 0.1


def test_the_ceiling_is_high_where_a_direction_tells_and_low_where_none_does(drawn):
    _, values, truth = drawn
    idle = torch.rand(ROWS, 1, generator=torch.Generator().manual_seed(9)) < 0.2
    wider = Truth((*truth.names, "idle"), torch.cat((truth.active, idle), dim=1))
    found = linear_ceiling(values, wider, choosing=CHOOSING, steps=150, batch=512)
    assert found[:12].min() > 0.99
    assert found[12] < 0.45


def test_choosing_and_judging_need_rows(drawn):
    _, values, truth = drawn
    with pytest.raises(ConfigError, match="6000 of 6000 rows choose"):
        found_by_activity(Codes.of_dense(values), truth, choosing=ROWS)
    with pytest.raises(ConfigError, match="12 columns and 1 names"):
        Truth(("one",), truth.active)
