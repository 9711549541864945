"""Directions against ones that were put there, against fits one by one, and against chance."""

from __future__ import annotations

import math

import pytest
import torch
from tests.facts.test_neuron_index import language
from tests.trace.small_families import FAMILIES

import molehill
from molehill.errors import FactError, SiteError, TextError
from molehill.facts.directions import (
    direction_between,
    holds,
    unembedding_difference,
    vectors_at,
)
from molehill.village import fact_prompts, make_world

METHODS = ("difference of means", "linear probe")
each_method = pytest.mark.parametrize("method", METHODS)


def noise(count: int, width: int = 24, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


@each_method
def test_a_direction_that_was_put_there_is_found(method):
    planted = torch.nn.functional.normalize(noise(1)[0], dim=0)
    a, b = noise(400, seed=1) + 2 * planted + 7, noise(300, seed=2) - 2 * planted + 7
    found = direction_between(a, b, method)
    assert float(found.vector.norm()) == pytest.approx(1)
    assert float(found.vector @ planted) > 0.97
    assert found.counts == (400, 300)
    # Groups four deviations apart: the best of all rules is right about Phi(2) of them.
    assert found.control.accuracy == pytest.approx(0.977, abs=0.015)
    assert float((found.above(a) > 0).double().mean()) > 0.95
    assert float((found.above(b) < 0).double().mean()) > 0.95
    middle = (a.mean(0) + b.mean(0)) / 2
    assert float(found.above(middle)) == pytest.approx(0, abs=1e-9)


@each_method
def test_without_anything_to_find_accuracy_is_that_of_shuffled_labels(method):
    found = direction_between(noise(60, seed=3), noise(40, seed=4), method, shuffles=300)
    control = found.control
    assert control.shuffled_mean == pytest.approx(0.5, abs=0.03)
    assert control.accuracy <= control.shuffled_95 + 0.02
    assert 0.5 < control.shuffled_95 < 0.7


def test_only_the_probe_sees_past_a_coordinate_that_all_vectors_vary_in():
    """Two groups that differ along the second axis, while the third carries a hundred times more
    of what both share with it."""
    a, b = noise(200, 3, seed=5), noise(200, 3, seed=6)
    for group, sign in ((a, 1), (b, -1)):
        group[:, 1] = sign * 0.6 + 0.3 * group[:, 1] + group[:, 2]
    means, probe = (direction_between(a, b, method).control.accuracy for method in METHODS)
    assert probe > 0.95 and probe > means + 0.05


@each_method
def test_the_accuracy_is_that_of_fits_one_by_one(method):
    """Every fold again, with a fit of its own for the real labels, by normal equations."""
    a, b = noise(23, 5, seed=7) + 0.5, noise(31, 5, seed=8)
    found = direction_between(a, b, method, folds=4, shuffles=3, seed=11)
    rows, labels = torch.cat([a, b]), torch.arange(54) < 23
    generator = torch.Generator().manual_seed(11)
    fold_of = torch.empty(54, dtype=torch.int64)
    for group in (labels, ~labels):
        places = group.nonzero().flatten()
        fold_of[places[torch.randperm(len(places), generator=generator)]] = (
            torch.arange(len(places)) % 4
        )
    right = []
    for fold in range(4):
        train, test = fold_of != fold, fold_of == fold
        weights, threshold = fit(rows[train], labels[train], method)
        above = rows[test] @ weights > threshold
        truth = labels[test]
        right.append((float(above[truth].double().mean()), float((~above)[~truth].double().mean())))
        counts = [int(truth.sum()), int((~truth).sum())]
        assert counts[0] in (5, 6) and counts[1] in (7, 8)  # its share of both groups
    assert found.control.folds == pytest.approx([sum(pair) / 2 for pair in right])
    assert found.control.accuracy == pytest.approx(sum(map(sum, right)) / 8)
    weights, threshold = fit(rows, labels, method)
    assert torch.allclose(found.vector, weights / weights.norm())
    assert found.threshold == pytest.approx(float(threshold / weights.norm()))


def fit(rows: torch.Tensor, labels: torch.Tensor, method: str):
    """A direction and its threshold, from covariances laid out in full."""
    weights = rows[labels].mean(0) - rows[~labels].mean(0)
    if method == "linear probe":
        scale = rows.std(0, correction=0)
        even = (rows - rows.mean(0)) / scale
        covariance = even.T @ even / len(rows)
        target = torch.eye(rows.shape[1]).double() * covariance.trace() / rows.shape[1]
        error = sum((torch.outer(row, row) - covariance).norm() ** 2 for row in even)
        share = min(1.0, float(error / len(rows) ** 2 / (covariance - target).norm() ** 2))
        shrunk = (1 - share) * covariance + share * target
        weights = torch.linalg.inv(shrunk) @ (weights / scale) / scale
    return weights, weights @ (rows[labels].mean(0) + rows[~labels].mean(0)) / 2


def test_the_same_seed_gives_the_same_and_float32_keeps_its_dtype():
    a, b = noise(12, seed=1).float(), noise(9, seed=2).float()
    first, second = direction_between(a, b, seed=4), direction_between(a, b, seed=4)
    assert first.control == second.control and first.vector.dtype == torch.float32


@pytest.mark.parametrize(
    ("a", "b", "more", "told"),
    [
        (noise(1), noise(5), {}, "two or more"),
        (noise(5, 3), noise(5, 4), {}, "one width"),
        (noise(5), noise(5), {"folds": 1}, "at least 2"),
        (noise(5), noise(5) * math.nan, {}, "NaN"),
        (noise(5), noise(5), {}, "same mean"),
    ],
)
def test_groups_that_cannot_be_parted_are_refused(a, b, more, told):
    with pytest.raises(FactError, match=told):
        direction_between(a, b, **more)


# --- from two words -------------------------------------------------------------------------------

WITH_HEAD = sorted(set(FAMILIES) - {"bert", "minilm"})


@pytest.mark.parametrize("family", WITH_HEAD)
def test_the_difference_of_two_words_is_that_of_their_scores(family):
    lm = language(family, final_softcap=None)
    found = unembedding_difference(lm, 4, 9, stream=False)
    out = lm.model(torch.arange(20).view(2, 10))
    difference = out.logits[..., 4] - out.logits[..., 9]
    assert torch.allclose(found.above(out.final) * found.length, difference)
    read = unembedding_difference(lm, 4, 9)
    if read.threshold is not None:
        # Before the norm only its divisor is missing, and that keeps the sign.
        assert torch.equal(read.above(out.resid) > 0, difference > 0)
    else:
        assert lm.model.final_norm.bias is not None
        with pytest.raises(FactError, match="no threshold"):
            read.above(out.resid)


def test_two_words_need_a_head_and_to_be_two():
    for family in ("bert", "minilm"):
        with pytest.raises(FactError, match="direction_between"):
            unembedding_difference(language(family), 1, 2)
    with pytest.raises(FactError, match="one token"):
        unembedding_difference(language("gpt2"), 3, 3)
    with pytest.raises(TextError, match="tokenizer"):
        unembedding_difference(language("gpt2"), "a", "b")


# --- vectors, and what they hold ------------------------------------------------------------------


def test_vectors_are_those_of_the_models_own_pass():
    lm = molehill.load("village")
    texts = ["the mole digs", "By the lawn the mole digs slowly.", "the mole"]
    found = vectors_at(lm, texts, "1.resid_post", batch_size=2)
    for text, vector in zip(texts, found, strict=True):
        alone = lm.model(lm.encode([text]).ids, last=2).resid[0, -1]
        assert torch.allclose(vector, alone, atol=1e-5)
    assert vectors_at(lm, texts, "0.resid_post", [[0, 1], [2], []]).shape == (3, 96)
    with pytest.raises(FactError, match="no one site"):
        vectors_at(lm, texts, "*.resid_post")
    with pytest.raises(SiteError):
        vectors_at(lm, texts, "9.resid_post")


def test_products_stand_beside_those_of_random_directions():
    vector = noise(1, 64)[0]
    length = float(vector.norm())
    across = noise(1, 64, seed=1)[0]
    across -= across @ vector / length**2 * vector
    found = holds(vector, {"itself": 3 * vector, "across": across, "against": -vector}, seed=5)
    itself, none, against = found.rows
    assert [itself.name, none.name, against.name] == ["itself", "across", "against"]
    assert itself.product == pytest.approx(3 * length**2) and itself.cosine == pytest.approx(1)
    assert none.product == pytest.approx(0, abs=1e-9) and none.quantile == pytest.approx(0.5, 0.1)
    # The cosine of a random direction has the deviation 1/sqrt(64).
    assert itself.z == pytest.approx(8, rel=0.1) and against.z == pytest.approx(-8, rel=0.1)
    assert (itself.quantile, against.quantile) == (1, 0)
    assert found.background == 0 and itself.among is None


def test_a_background_takes_away_what_every_vector_has():
    """All vectors vary along one axis: a direction along it holds nothing remarkable, though its
    cosine is large."""
    background = noise(500, 32, seed=2)
    background[:, 0] *= 30
    vector = noise(1, 32, seed=3)[0]
    vector[0] = 20.0
    directions = {"wide": torch.eye(32).double()[0], "rare": torch.eye(32).double()[5]}
    vector[5] = 6.0
    plain = {one.name: one for one in holds(vector, directions).rows}
    beside = {one.name: one for one in holds(vector, directions, background).rows}
    assert plain["wide"].z > 4
    assert beside["wide"].z < 1.5 and beside["wide"].quantile < 1
    truth = float((background[:, 5] < 6).double().mean())
    assert beside["rare"].among == pytest.approx(truth) and truth > 0.99
    assert plain["wide"].cosine == beside["wide"].cosine


@pytest.mark.parametrize(
    ("directions", "null", "told"),
    [
        ({}, None, "at least one direction"),
        ({"short": noise(1, 3)[0]}, None, "short"),
        ({"none": torch.zeros(24).double()}, None, "more than nothing"),
        ({"one": noise(1)[0]}, noise(1), "at least 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(directions, null, told):
    with pytest.raises(FactError, match=told):
        holds(noise(1)[0], directions, null)


def test_a_fact_of_the_village_is_held_where_it_is_asked():
    """The direction of each sport, made from prompts told in three forms, against vectors of the
    form that was withheld from the fact: the sport that is held most is the answer."""
    lm = molehill.load("village")
    asked = [one for one in fact_prompts(make_world(0)) if one.relation == "sport"]
    vectors = vectors_at(lm, [one.prompt for one in asked], "2.resid_post")
    told = torch.tensor([not one.withheld for one in asked])
    sports = sorted({one.answer for one in asked})
    mine = {sport: torch.tensor([one.answer == sport for one in asked]) for sport in sports}
    directions = {}
    for sport, is_it in mine.items():
        made = direction_between(vectors[told & is_it], vectors[told & ~is_it], shuffles=20)
        directions[sport] = made.vector
    right = [
        holds(vector - vectors[told].mean(0), directions, draws=50).rows[0].name == one.answer
        for vector, one in zip(vectors, asked, strict=True)
        if one.withheld
    ]
    assert len(right) == 60 and sum(right) >= 58
