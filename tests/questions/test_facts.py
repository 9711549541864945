"""Questions about facts, on the village: what is answered, and the lines of Python beside it."""

from __future__ import annotations

import json

import pytest

import molehill
from molehill.errors import FactError
from molehill.questions import Desk, ModelEntry, answer
from molehill.questions.catalogue import question
from molehill.questions.facts import AskCard, AskHolds
from molehill.questions.facts_examples import EXAMPLES

OURS = ("facts.card", "facts.trace", "facts.holds", "facts.say", "facts.stack", "facts.difference")
QUICK = {"facts.card": {"draws": 2}, "facts.trace": {"draws": 2}}


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk({name: ModelEntry(molehill.load(name)) for name in ("village", "lexicon")})


@pytest.mark.parametrize("name", OURS)
def test_what_was_left_empty_is_an_example_that_works_and_its_lines_run(desk, name, capsys):
    found = answer(desk, name, {"model": "village", **QUICK.get(name, {})})
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert data["summary"]
    assert found.question.text(data)
    exec(compile(data["python"], name, "exec"), {})
    printed = capsys.readouterr().out
    assert bool(printed) == (name != "facts.stack"), "the list is empty, everything else is shown"


def test_a_card_is_of_the_fact_that_was_named_and_of_what_the_model_says(desk):
    data = answer(desk, "facts.card", {"model": "village", "draws": 0}).data
    assert (data["subject"], data["object"], data["known"]) == ("Leo Rosner", "polo", True)
    assert [one["prompt"] for one in data["asked"]][1] == "The sport of Leo Rosner is"
    asked = {"model": "village", "draws": 0, "prompt": "Helen Fenden plays", "object": "polo"}
    other = answer(desk, "facts.card", asked).data
    assert (other["subject"], other["known"], len(other["asked"])) == ("Helen Fenden", False, 1)


def test_the_trace_tells_how_far_it_is(desk):
    told = []
    telling = desk.telling(lambda done, whole, what: told.append((done, whole, what)))
    data = answer(telling, "facts.trace", {"model": "village", "draws": 2}).data
    places = 3 * len(data["rows"]) * data["layers"]
    assert told[0][:2] == (0, places)
    assert all(done <= whole for done, whole, _ in told)
    assert told[-1][0] > places // 2


def test_what_a_vector_holds_leaves_its_own_subject_out(desk):
    data = answer(desk, "facts.holds", {"model": "village"}).data
    pairs = [one for one in EXAMPLES["village"].pairs if not one.startswith("Leo Rosner")]
    assert data["texts"] == len(pairs)
    assert data["rows"][0]["name"] == "polo"


def test_every_example_names_its_subject_and_every_offer_is_for_a_model():
    for model, example in EXAMPLES.items():
        for template in (example.template, example.asked, *example.paraphrases, *example.keep):
            assert template.count("{}") == 1
        named = AskCard(model=model).named()
        assert named["subject"] in named["prompt"]
        assert AskCard(model=model, prompt=example.prompt).named() == named
        assert AskHolds(model=model).whole()[2][0] == tuple(
            part.strip() for part in example.pairs[0].split(":")
        )
    for name in ("facts.card", "facts.edit"):
        schema = question(name).inputs.model_json_schema()["properties"]
        assert set(schema["subject"]["offers"]) == {*EXAMPLES, ""}


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("facts.card", {"prompt": "somebody plays"}, "under “Subject”"),
        ("facts.card", {"prompt": "Leo met Helen Fenden and"}, "under “Subject”"),
        ("facts.trace", {"window": 9}, "The window is 9"),
        ("facts.trace", {"subject": "Nobody"}, "does not hold the subject"),
        ("facts.holds", {"facts": ["polo"]}, "'polo' is no fact"),
        ("facts.undo", {}, "No edit is applied"),
        ("facts.say", {"edits": ["0" * 64]}, "is not remembered"),
        ("facts.edit", {"template": "plays"}, "has 0 times"),
        ("facts.edit", {"layer": 7, "method": "fine-tuning"}, "no layer 7"),
    ],
)
def test_a_mistake_is_told_in_one_line(desk, name, given, told):
    with pytest.raises(FactError, match=told) as caught:
        answer(desk, name, {"model": "village", **given})
    assert "\n" not in str(caught.value)


def test_the_other_built_in_model_has_examples_too(desk):
    assert answer(desk, "facts.say", {"model": "lexicon", "tokens": 2}).data["rows"][0]["before"]
    assert answer(desk, "facts.holds", {"model": "lexicon"}).data["rows"]
