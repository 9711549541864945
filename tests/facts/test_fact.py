"""A fact, its prompts, and where its subject stands among tokens."""

from __future__ import annotations

import pytest

import molehill
from molehill.errors import FactError
from molehill.facts import Fact, subject_tokens, trace_fact


def test_templates_are_filled_and_the_space_before_the_object_is_the_objects():
    fact = Fact("Anna", "chess", "It is said that {} plays ", paraphrases=("{} loves",), start="^")
    assert fact.prompt == "^It is said that Anna plays"
    assert fact.prompts == (fact.prompt, "^Anna loves")
    assert str(fact) == "^It is said that Anna plays chess"
    first, last = fact.place()
    assert fact.prompt[first:last] == "Anna"
    first, last = fact.place("{} loves")
    assert fact.prompts[1][first:last] == "Anna"


@pytest.mark.parametrize("template", ["plays", "{} and {}", ""])
def test_a_template_has_one_place_for_the_subject(template):
    with pytest.raises(FactError, match="expected one"):
        Fact("Anna", "chess", template)


def test_a_fact_needs_both_its_ends():
    for subject, object_ in (("", "chess"), ("Anna", " ")):
        with pytest.raises(FactError, match=f"here they are {subject!r} and {object_!r}: give"):
            Fact(subject, object_, "{} plays")


def test_a_subject_that_the_model_does_not_know_is_refused():
    lm = molehill.load("village")
    unknown = lm.tokenizer.unk_id
    for subject, known in (("Leo Rosner", True), ("Émile Zola", False), ("Leo Zola", False)):
        fact = Fact(subject, "golf", "{} plays")
        tokens = lm.encode([fact.prompt])
        assert subject_tokens(tokens, fact.place()) == (0, 2)
        if known:
            assert subject_tokens(tokens, fact.place(), unknown=unknown) == (0, 2)
            continue
        with pytest.raises(FactError, match=f"does not know the subject '{subject}': it reads"):
            subject_tokens(tokens, fact.place(), unknown=unknown)
        with pytest.raises(FactError, match="does not know the subject"):
            trace_fact(lm, fact, draws=1)


def test_subjects_of_parts_of_words_and_of_several_tokens_are_found():
    lm = molehill.load("lexicon")
    for subject in ("mole", "Antidisestablishmentarianism", "New York", "x"):
        fact = Fact(subject, "thing", "They said {}, they did, is a")
        tokens = lm.encode(fact.prompt)
        first, end = subject_tokens(tokens, fact.place())
        spans = tokens.spans[0][first:end]
        text = fact.prompt[spans[0][0] : spans[-1][1]]
        assert text.strip(" ,") == subject


def test_a_subject_outside_the_text_is_refused():
    tokens = molehill.load("lexicon").encode("a mole")
    with pytest.raises(FactError, match="holds the subject"):
        subject_tokens(tokens, (40, 44))
