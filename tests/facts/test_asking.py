"""Answers are scored as a loop over single texts scores them."""

from __future__ import annotations

import pytest
import torch
from tests.facts.wordy import CAUSAL, wordy

from molehill.errors import FactError
from molehill.facts.asking import put, score_answers

ASKED = [
    ("Anna Bell plays the sport of", "chess"),
    ("Carl plays", "golf tennis"),
    ("it was said that Ruth Hale plays the sport of", "rowing also golf"),
]


@pytest.mark.parametrize("family", CAUSAL)
def test_an_answer_of_several_tokens_is_scored_token_by_token(family):
    lm = wordy(family)
    found = score_answers(lm, ASKED)
    for (prompt, said), answer in zip(ASKED, found, strict=True):
        ids, wanted = lm.encode(prompt).row(0), lm.tokenizer.ids([said], add_special=False)[0]
        logs, best = [], []
        for token in wanted:
            scores = lm.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
            logs.append(float(scores[token]))
            best.append(int((scores > scores[token]).sum()))
            ids = [*ids, token]
        assert answer.nll == pytest.approx(-sum(logs) / len(logs), abs=1e-5)
        assert answer.probability == pytest.approx(torch.tensor(sum(logs)).exp().item(), rel=1e-4)
        assert answer.rank == best[0]
        assert answer.accuracy == pytest.approx(best.count(0) / len(best))


def test_greedy_is_what_the_model_writes_by_itself():
    checked = 0
    for family in CAUSAL:
        lm = wordy(family)
        for prompt, _ in ASKED:
            written = lm.generate(prompt, max_new_tokens=2)[0]
            words = lm.decode(written.ids)
            # Some end the text or begin with a full stop, which no object does.
            if min(written.ids) > 2 and words[:1].isalpha():
                assert score_answers(lm, [(prompt, words)])[0].greedy
                checked += 1
    assert checked >= 5


def test_a_question_has_the_answer_up_to_its_last_token():
    lm = wordy("gpt2")
    question = put(lm, "Carl plays", "golf tennis")
    assert lm.decode(question.ids) == "Carl plays golf"
    assert question.at == (1, 2)


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(FactError, match="does not know it"):
        put(wordy("gpt2"), "Carl plays", "curling")
    with pytest.raises(FactError, match="empty"):
        put(wordy("gpt2"), "Carl plays", " ")
    with pytest.raises(FactError, match="predicts no words"):
        put(wordy("minilm"), "Carl plays", "golf")
    with pytest.raises(FactError, match="no mask token"):
        put(wordy("bert"), "Carl plays", "golf")
