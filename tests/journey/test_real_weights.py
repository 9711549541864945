"""The ledger on real weights: SmolLM2 and MiniLM."""

from __future__ import annotations

import pytest

import molehill
from molehill.journey.paths import ledger
from molehill.journey.shift import MOLE_SENTENCES, shift
from molehill.journey.why import why_attended

TEXT = "In the garden a small blind animal dug a tunnel under the lawn: it was a mole."


@pytest.fixture(scope="module")
def smollm2(smollm2_gguf):
    return molehill.load(smollm2_gguf)


@pytest.fixture(scope="module")
def minilm(minilm_folder):
    return molehill.load(minilm_folder)


def test_smollm2_closes_in_float32_and_its_scores_are_the_models_own(smollm2):
    book = ledger(smollm2, TEXT, "mole")
    assert book.closing_error.relative < 1e-5
    tokens = smollm2.encode([TEXT])
    position = tokens.find("mole")[-1].last
    logits = smollm2.model(tokens.ids).logits[0, position]
    best = int(logits.argmax())
    reading = book.logit(best)
    assert reading.measured == pytest.approx(float(logits[best]), abs=2e-3)
    assert reading.total == pytest.approx(float(logits[best]), abs=2e-3)


def test_smollm2_closes_in_float64(smollm2_gguf):
    lm = molehill.load(smollm2_gguf, dtype="float64")
    assert ledger(lm, TEXT, "mole").closing_error.relative < 1e-12
    why = why_attended(lm, TEXT, layer=17, head=4, query=-2, key=6)
    assert why.closing_error < 1e-8


def test_minilm_closes_through_its_norms_after_every_addition(minilm):
    assert ledger(minilm, TEXT, "mole", at="5.resid_post").closing_error.relative < 1e-5


def test_shift_parts_the_senses_of_mole(smollm2):
    found = shift(smollm2, "mole", MOLE_SENTENCES[:3])
    assert found.closing_error < 1e-4
    assert all(pair.distances[0] == 0.0 for pair in found.pairs)
    assert all(pair.parts_at is not None for pair in found.pairs)
