"""Steering: runs are those of the edits, and words' probabilities those of whole passes."""

from __future__ import annotations

import pytest
import torch

import molehill
from molehill.errors import ConfigError
from molehill.features.autoencoder import Settings
from molehill.features.edits import AddFeature, ClampFeature, ScaleFeature
from molehill.features.making import make_autoencoder
from molehill.features.steering import Change, edits_of, read_change, steer
from molehill.features.trained import Features
from molehill.trace import Editing, record

PROMPT = "the mole"


@pytest.fixture(scope="module")
def lm():
    return molehill.load("village", dtype="float64")


@pytest.fixture(scope="module")
def features():
    made = make_autoencoder(Settings("topk", 96, 96, 200, k=5), seed=1).double()
    made.products = torch.float64
    return Features(made, ("1.resid_post",), ("1.resid_post",), "random")


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("123=+5", Change(123, "add", 5.0)),
        ("123=-2.5", Change(123, "add", -2.5)),
        ("7=5", Change(7, "clamp", 5.0)),
        ("7=x0.5", Change(7, "scale", 0.5)),
        ("7=off", Change(7, "scale", 0.0)),
    ],
)
def test_changes_are_read_as_they_are_written(text, change):
    assert read_change(text) == change


@pytest.mark.parametrize("text", ["", "7", "7=", "=5", "a=5", "7=up", "-7=5", "7=x", "7=5=6"])
def test_other_forms_are_refused(text):
    with pytest.raises(ConfigError, match="is no change of a feature: write 123="):
        read_change(text)


def test_strengths_multiply_and_factors_move_from_one(features):
    changes = [Change(1, "add", 4.0), Change(2, "clamp", 3.0), Change(3, "scale", 0.0)]
    changes.append(Change(4, "add", -2.0))
    assert edits_of(features, changes, 0.5) == [
        AddFeature(features, [1, 4], [2.0, -1.0]),
        ClampFeature(features, [2], [1.5]),
        ScaleFeature(features, [3], [0.5]),
    ]
    assert [str(change) for change in changes[:3]] == [
        "feature 1 +4",
        "feature 2 held at 3",
        "feature 3 off",
    ]


@pytest.mark.parametrize("during", ["all", "prompt", "generated"])
def test_runs_and_words_are_those_of_the_edits_alone(lm, features, during):
    changes = [Change(11, "add", 20.0)]
    found = steer(
        lm, features, PROMPT, changes, strengths=(0.5, 1.0), during=during, max_new_tokens=6
    )
    assert found.strengths == (0.0, 0.5, 1.0)
    for strength, run, following in zip(found.strengths, found.runs, found.next, strict=True):
        edits = edits_of(features, changes, strength, during=during) if strength else []
        watch = Editing(edits, lm.config)
        assert run == lm.generate(PROMPT, max_new_tokens=6, watch=watch, seed=0)[0]
        at_once = edits if during != "generated" else []
        logits = record(lm, PROMPT, [], edits=at_once, logits="last")["logits"][0, -1]
        wanted = logits.softmax(-1)[list(found.words)].tolist()
        assert following.probabilities == pytest.approx(wanted, rel=1e-9)
        best = logits.topk(5).indices.tolist()
        assert set(best) <= set(found.words)
    assert found.next[0].divergence == 0.0
    assert (found.next[2].divergence > 1e-6) == (during != "generated")
    assert found.edits[0] == ()
    assert found.runs[2].ids != found.runs[0].ids


def test_the_same_seed_draws_the_same(lm, features):
    changes = [Change(11, "scale", 1.0)]  # changes nothing
    found = steer(lm, features, PROMPT, changes, temperature=1.0, seed=4, max_new_tokens=8)
    assert found.runs[0] == found.runs[1]
    other = steer(lm, features, PROMPT, changes, temperature=1.0, seed=5, max_new_tokens=8)
    assert other.runs[0] != found.runs[0]


def test_nothing_to_change_is_refused(lm, features):
    with pytest.raises(ConfigError, match="Nothing is changed"):
        steer(lm, features, PROMPT, [])
    with pytest.raises(ConfigError, match="There is no feature 200: random has"):
        steer(lm, features, PROMPT, [Change(200, "add", 1.0)])
