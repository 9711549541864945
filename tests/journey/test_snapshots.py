"""A replay over training, against the shift of every snapshot and projections worked out anew."""

from __future__ import annotations

import pytest
import torch

import molehill
from molehill.errors import TextError
from molehill.journey.shift import shift
from molehill.journey.snapshots import replay
from molehill.training.history import snapshot_models

SENTENCES = ["By the lawn the mole digs.", "The spy was a mole.", "Near the acid the mole reacts."]
STEPS = (0, 3, 6)


@pytest.fixture(scope="module")
def models(small_run):
    return list(snapshot_models(small_run, STEPS))


@pytest.fixture(scope="module")
def found(models):
    return replay(models, "mole", SENTENCES)


def test_every_snapshot_is_the_shift_of_its_model(models, found):
    assert [step.step for step in found.steps] == list(STEPS)
    for place, (_, lm) in enumerate(models):
        one = shift(lm, "mole", SENTENCES)
        assert one.points == found.points
        assert found.steps[place].fingerprint == lm.fingerprint
        for number, sentence in enumerate(one.sentences):
            torch.testing.assert_close(found.vectors[place, number], sentence.vectors)
            end = sentence.steps[-1]
            near = found.steps[place].near[number]
            assert [each.token for each in near] == [each.token for each in end.near.near]
            own = found.steps[place].own[number]
            assert [each.token for each in own] == [each.token for each in end.own.near]
        for pair, told in zip(one.pairs, found.pairs, strict=True):
            assert (pair.a, pair.b) == (told.a, told.b)
            assert told.distances[place] == pytest.approx(pair.distances, rel=1e-5, abs=1e-6)
            assert told.without_position[place] == pytest.approx(
                pair.without_position, rel=1e-5, abs=1e-6
            )
            assert told.parts_at[place] == pair.parts_at


def test_one_basis_holds_for_all_snapshots(found):
    unit = torch.nn.functional.normalize(found.vectors.double(), dim=-1)
    words = torch.nn.functional.normalize((found.vectors - found.positions).double(), dim=-1)
    kinds = {
        "directions": unit,
        "raw": found.vectors.double(),
        "differences": words - words.mean(1, keepdim=True),
    }
    for name, vectors in kinds.items():
        basis = found.bases[name]
        flat = vectors.flatten(0, 2)
        centred = flat - flat.mean(0)
        seen = centred @ basis.axes.T
        torch.testing.assert_close(basis.coordinates.flatten(0, 2), seen)
        shares = seen.square().sum(0) / centred.square().sum()
        assert list(basis.explained) == pytest.approx(shares.tolist())
        # No other three axes hold more: the largest eigenvalues, by another way.
        values = torch.linalg.eigvalsh(centred.T @ centred).flip(0)[:3]
        assert list(basis.explained) == pytest.approx((values / centred.square().sum()).tolist())


def test_how_much_of_each_snapshot_is_seen(found):
    unit = torch.nn.functional.normalize(found.vectors.double(), dim=-1)
    for place, shares in enumerate(found.bases["directions"].by_snapshot):
        own = unit[place].flatten(0, 1)
        own = own - own.mean(0)
        seen = (own @ found.bases["directions"].axes.T).square().sum(0)
        assert list(shares) == pytest.approx((seen / own.square().sum()).tolist())


def test_the_outcome_is_the_last_snapshots_own_basis(found):
    outcome, joint = found.bases["outcome"], found.bases["differences"]
    last = [sum(basis.by_snapshot[-1]) for basis in (outcome, joint)]
    assert last[0] >= last[1] - 1e-9, "no three axes hold more of the last snapshot"
    assert sum(outcome.explained) <= sum(joint.explained) + 1e-9


def test_one_sentence_has_nothing_to_differ_from(models):
    alone = replay(models[:1], "mole", SENTENCES[:1])
    assert set(alone.bases) == {"directions", "raw"}
    assert alone.pairs == () and alone.steps[0].own == ()


def test_models_come_one_by_one(small_run):
    asked = []

    def models():
        for step, lm in snapshot_models(small_run, STEPS):
            asked.append(step)
            yield step, lm

    replay(models(), "mole", SENTENCES[:2])
    assert asked == list(STEPS)


def test_what_cannot_be_replayed_is_refused(models):
    with pytest.raises(TextError, match="no snapshot"):
        replay([], "mole", SENTENCES)
    with pytest.raises(TextError, match="at least one sentence"):
        replay(models, "mole", [])
    with pytest.raises(TextError, match="in none of the 3 texts"):
        replay(models, "newt", SENTENCES)
    with pytest.raises(TextError, match="a replay is of one run"):
        replay([models[0], (9, molehill.load("village"))], "mole", ["The spy was a mole."])
