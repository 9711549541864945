"""A typed prompt becomes a fact: its subject, its templates and the model's own answer."""

from __future__ import annotations

import pytest

import molehill
from molehill.errors import FactError
from molehill.facts.prompts import fact_of, find_subject, own_answer, template_of
from molehill.village import make_world
from molehill.village.tell import fact_prompts


@pytest.fixture(scope="module")
def village():
    return molehill.load("village")


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("The capital of France is", "France"),
        ("The sport that Michael Jordan plays is", "Michael Jordan"),
        ("Michael Jordan plays the sport of", "Michael Jordan"),
        ("In Paris, people like Paris for its", "Paris"),
        ("The Eiffel Tower is in the city of", "Eiffel Tower"),
        ("Émile Zola wrote", "Émile Zola"),
    ],
)
def test_the_one_run_of_capitals_is_the_subject(prompt, subject):
    assert find_subject(prompt) == subject


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("Paris is to France as", "'Paris', 'France'"),
        ("Michael, Jordan and", "'Michael', 'Jordan'"),
        ("the iPhone was made by", "no word has a capital"),
        ("The capital is", "no word has a capital"),
    ],
)
def test_what_could_be_several_or_none_has_to_be_named(prompt, told):
    with pytest.raises(FactError, match="--subject") as caught:
        find_subject(prompt)
    assert told in str(caught.value)


def test_a_template_has_the_last_of_equal_subjects_and_needs_one():
    assert template_of("Rome and Rome are", "Rome") == "Rome and {} are"
    for subject in ("Oslo", "", " "):
        with pytest.raises(FactError, match="does not hold the subject"):
            template_of("Rome is", subject)


def test_the_models_own_answer_is_the_object(village):
    known = [one for one in fact_prompts(make_world(0)) if not one.withheld][:12]
    for one in known:
        first, end = one.subject
        subject = one.prompt[first:end]
        assert own_answer(village, one.prompt) == one.answer
        fact = fact_of(village, one.prompt, subject=subject)
        assert (fact.prompt, fact.object) == (one.prompt, one.answer)


def test_paraphrases_are_prompts_or_templates(village):
    fact = fact_of(
        village,
        "the home of Ada is",
        subject="Ada",
        answer="Elmham",
        paraphrases=["Ada lives in", "we know that {} lives in"],
        start="the ",
    )
    assert fact.prompts == (
        "the the home of Ada is",
        "the Ada lives in",
        "the we know that Ada lives in",
    )
    with pytest.raises(FactError, match="does not hold"):
        fact_of(village, "Ada lives in", subject="Ada", answer="x", paraphrases=["Bob lives in"])
