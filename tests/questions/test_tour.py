"""Every step and every invitation of the tour is a question that is answered."""

from __future__ import annotations

import pytest

from molehill.questions import Desk, ModelEntry, question
from molehill.questions.catalogue import answer, read_inputs
from molehill.questions.offers import shipped_features
from molehill.questions.tour import TOUR

# What takes seconds is answered in tests of its own.
SLOW = {"facts.card", "facts.write", "features.here"}


@pytest.fixture(scope="module")
def desk():
    models = {name: ModelEntry(name) for name in ("lexicon", "village")}
    return Desk(models, features=shipped_features())


def test_the_story_has_ten_steps_with_words_for_each():
    assert len(TOUR) == 10
    for step in TOUR:
        assert step.title and step.look and 1 <= len(step.story) <= 3
        assert all(len(paragraph) < 480 for paragraph in step.story), step.title


@pytest.mark.parametrize("step", TOUR, ids=lambda step: step.title)
def test_what_a_step_asks_is_understood(step):
    asked = [(step.question, step.inputs), *((one.question, one.inputs) for one in step.tries)]
    for name, inputs in asked:
        read_inputs(question(name), inputs)


@pytest.mark.parametrize(
    "step", [step for step in TOUR if step.question not in SLOW], ids=lambda step: step.title
)
def test_what_a_step_asks_is_answered(desk, step):
    data = answer(desk, step.question, step.inputs).data
    assert data["summary"] and data["python"]


def test_the_story_says_what_the_model_does(desk):
    """Numbers and words that the steps name."""
    lexicon = desk.model("lexicon").config
    assert (lexicon.d_model, lexicon.d_mlp) == (256, 1024)
    start = answer(desk, TOUR[0].question, TOUR[0].inputs).data
    paths = start["bases"]["directions"]["paths"]
    assert all(path[0] == paths[0][0] for path in paths), "one start"
    second = answer(desk, TOUR[1].question, TOUR[1].inputs).data
    assert {row["name"] for row in second["rows"]} == {"embedding", "position"}
    neuron = answer(desk, TOUR[4].question, TOUR[4].inputs).data
    assert "instrument" in " ".join(neuron["summary"]) or "instrument" in str(neuron["column"])
    last = answer(desk, TOUR[9].question, TOUR[9].inputs).data
    assert "polo" in " ".join(last["summary"])
