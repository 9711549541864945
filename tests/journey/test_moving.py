"""Moving by hand, against recordings made one strength and one word at a time."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.errors import ConfigError, SiteError
from molehill.journey import moving
from molehill.journey.moving import move
from molehill.trace.edits import Add, Replace
from molehill.trace.record import record

TEXT = "some words"
STRENGTHS = (-1.5, 0.0, 0.4, 2.0)
DIRECTION = torch.linspace(-1, 1, 32, dtype=torch.float64).sin()


@pytest.fixture
def letters(monkeypatch):
    """Letters have no stream of their own; what is written is compared by its tokens."""
    monkeypatch.setattr(moving, "_text", lambda lm, tokens, ids: "")
    monkeypatch.setattr("tests.journey.tiny._Letters.eos_id", None)


def brute_force(lm, ids, place, at, strength, frozen):
    """The next word's log probabilities, by `record` with edits, of one row without a cache."""
    plain = record(lm, ids, [at, "*.attn.pattern"], logits="none")
    vector = plain[at][0, place]
    push = strength * vector.norm() * DIRECTION / DIRECTION.norm()
    edits = [Add(at, push, positions=[place])]
    if frozen:
        layers = range(lm.config.n_layers)
        edits += [
            Replace(f"{layer}.attn.pattern", plain[f"{layer}.attn.pattern"][0]) for layer in layers
        ]
    trace = record(lm, ids, [], positions="last", edits=edits, logits="last")
    return trace["logits"][0, -1].log_softmax(-1)


@pytest.mark.parametrize(
    ("name", "place", "at"),
    [
        ("llama", 4, "1.resid_mid"),
        ("gpt2", 0, "embed"),
        ("gpt2", 9, "2.resid_post"),
        ("notes", 3, "0.resid_post"),
        ("neox", 5, "0.resid_post"),
        ("gemma", 2, "1.resid_post"),
        ("opt_post", 4, "1.resid_mid"),
    ],
)
def test_every_strength_is_what_edits_one_by_one_give(letters, name, place, at):
    lm = tiny_language(name)
    found = move(
        lm, TEXT, DIRECTION, position=place, at=at, strengths=STRENGTHS, new_tokens=4, near=3
    )
    assert found.strengths == STRENGTHS and found.position == place
    prompt = lm.encode([TEXT]).ids
    for frozen, rows in ((False, found.free), (True, found.frozen)):
        for row in rows:
            ids, expected = prompt, []
            for step in range(4):
                logs = brute_force(lm, ids, place, at, row.strength, frozen)
                if step == 0:
                    told = torch.tensor(row.probabilities, dtype=torch.float64)
                    assert torch.allclose(told, logs.exp()[list(found.words)], atol=1e-10)
                    plain = brute_force(lm, ids, place, at, 0.0, frozen=False)
                    far = float((plain.exp() * (plain - logs)).sum())
                    assert row.divergence == pytest.approx(far, abs=1e-10)
                expected.append(int(logs.argmax()))
                ids = torch.cat([ids, torch.tensor([expected[-1:]])], dim=1)
            assert row.ids == tuple(expected)


def test_unmoved_rows_are_the_same_both_ways_and_moved_ones_are_not(letters):
    found = move(tiny_language("llama"), TEXT, DIRECTION, position=2, at="0.resid_post")
    assert len(found.strengths) == 21 and found.strengths[0] == -2 and found.strengths[-1] == 2
    middle = found.strengths.index(0.0)
    free, frozen = found.free[middle], found.frozen[middle]
    assert free.ids == frozen.ids and free.divergence == pytest.approx(0, abs=1e-12)
    assert free.probabilities == pytest.approx(frozen.probabilities, abs=1e-12)
    ends = torch.tensor([found.free[-1].probabilities, found.frozen[-1].probabilities])
    assert float((ends[0] - ends[1]).abs().max()) > 1e-3


def test_words_that_were_asked_for_are_followed(letters):
    lm = tiny_language("gpt2")
    found = move(lm, TEXT, DIRECTION, at="1.resid_post", strengths=(), new_tokens=0, track=[3])
    assert 3 in found.words and found.strengths == (0.0,) and found.free[0].ids == ()
    logs = record(lm, TEXT, [], positions="last", logits="last")["logits"][0, -1].softmax(-1)
    assert found.free[0].probabilities[found.words.index(3)] == pytest.approx(float(logs[3]))


def test_what_cannot_be_moved_is_refused():
    lm = tiny_language("gpt2")
    with pytest.raises(SiteError, match="can be moved at embed"):
        move(lm, TEXT, DIRECTION, at="final")
    with pytest.raises(SiteError, match="no token at position 40"):
        move(lm, TEXT, DIRECTION, at="embed", position=40)
    with pytest.raises(ConfigError, match="length 0"):
        move(lm, TEXT, DIRECTION * 0, at="embed")
    with pytest.raises(ConfigError, match="not finite"):
        move(lm, TEXT, DIRECTION, at="embed", strengths=[float("nan")])
    with pytest.raises(ConfigError, match="does not say what comes next"):
        move(tiny_language("bert"), TEXT, DIRECTION, at="0.resid_post")
