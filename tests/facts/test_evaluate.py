"""Metrics on cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tests.facts.wordy import wordy

from molehill.errors import FactError
from molehill.facts.asking import score_answers
from molehill.facts.edits import Dense, FactEdit
from molehill.facts.evaluate import (
    METRICS,
    Evaluation,
    consistency,
    evaluate,
    harmonic_mean,
    judge,
    ngram_entropy,
)
from molehill.facts.fact import Fact
from molehill.facts.relations import Case

CASE = Case(
    fact=Fact("Anna", "chess", "{} plays the sport of"),
    new="golf",
    paraphrases=("we say that Anna plays", "Anna plays"),
    neighbours=(("Ruth plays the sport of", "chess"), ("Carl plays the sport of", "rowing tennis")),
    generation=("Anna is",),
    reference=("Carl plays golf .",),
)


def test_every_definition_against_probabilities_worked_out_one_by_one():
    lm = wordy("gpt2")
    found = judge(lm, CASE, original=lm, words=6)

    def nll(prompt, said):
        return score_answers(lm, [(prompt, said)])[0].nll

    own = CASE.fact.prompt
    assert found["efficacy"] == float(nll(own, "golf") < nll(own, "chess"))
    magnitude = math.exp(-nll(own, "golf")) - math.exp(-nll(own, "chess"))
    assert found["efficacy_magnitude"] == pytest.approx(magnitude, abs=1e-6)
    better = [nll(text, "golf") < nll(text, "chess") for text in CASE.paraphrases]
    assert found["paraphrase"] == pytest.approx(sum(better) / 2)
    kept = [nll(text, true) < nll(text, "golf") for text, true in CASE.neighbours]
    assert found["neighbourhood"] == pytest.approx(sum(kept) / 2)
    parts = [found[name] for name in ("efficacy", "paraphrase", "neighbourhood")]
    assert found["score"] == pytest.approx(harmonic_mean(parts))
    # Held against itself a model has changed nothing.
    assert found["locality"] == found["neighbourhood_generation"] == 1.0
    assert set(found) == set(METRICS)


def test_generation_looks_for_whole_words_in_what_the_model_writes():
    lm = wordy("opt")
    written = lm.generate([CASE.fact.prompt], max_new_tokens=10)[0].text.split()
    for word in ("ago", "Bell", "chess", "tennis"):
        found = judge(lm, Case(CASE.fact, word, (), ()), original=lm)
        assert found["generation"] == float(word in written)
    assert "ago" in written and "tennis" not in written
    with pytest.raises(FactError, match="does not know it"):
        judge(lm, Case(CASE.fact, "go", (), ()), original=lm)  # part of `ago`, and no word here


def test_cases_are_edited_by_themselves_and_averaged():
    lm = wordy("opt")
    weight = lm.model.get_parameter("blocks.0.mlp.w_out")

    def make(case):
        change = Dense("blocks.0.mlp.w_out", torch.zeros_like(weight))
        return FactEdit("none", (case.fact,), (change,), lm.name, lm.fingerprint)

    found = evaluate(lm, [CASE, CASE], make, method="none")
    assert isinstance(found, Evaluation) and len(found.cases) == 2
    for name in METRICS:
        assert found.mean(name) == found.mean(name, after=False)
    assert found.deviation("efficacy") == 0.0 and found.deviation("score") is None


def test_harmonic_means():
    # The published scores of ROME on GPT-2 XL: 100.0, 96.4, 75.4 make 89.2.
    assert 100 * harmonic_mean([1.0, 0.964, 0.754]) == pytest.approx(89.2, abs=0.05)
    assert harmonic_mean([1.0, 0.0]) == 0.0 and harmonic_mean([]) is None


def test_entropy_of_words_in_a_row():
    assert ngram_entropy("a a a a a") == 0.0
    # Four pairs, all different: 2 bits; three triples: log2 3.
    expected = (2 * 2 / 3 + math.log2(3) * 4 / 3) / 2
    assert ngram_entropy("a b c d e") == pytest.approx(expected)
    assert ngram_entropy("") == 0.0


def test_consistency_is_a_cosine():
    assert consistency("golf golf", ["golf"]) == pytest.approx(1.0)
    assert consistency("chess", ["golf"]) == 0.0
    # Two texts, one word shared: weights 1 for the shared, ln(3/2) + 1 for the others.
    other = math.log(3 / 2) + 1
    expected = 1 / (1 + other**2)
    assert consistency("a b", ["a c"]) == pytest.approx(expected)
