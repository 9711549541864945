"""Measures of heads, against loops over the definition's words, and on patterns known by hand."""

from __future__ import annotations

import math

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language

from molehill.journey.attention import attention
from molehill.journey.head_measures import MEASURES, measure_heads

TEXT = "abcabdabe"


def shares(pattern, wanted, sees):
    """The mean over queries that see a wanted key of what they give such keys; by plain loops."""
    count, found = len(pattern), []
    for query in range(count):
        keys = [key for key in range(count) if sees(query, key) and wanted(query, key)]
        if keys:
            found.append(sum(float(pattern[query, key]) for key in keys))
    return sum(found) / len(found) if found else None


def by_loops(lm, head, layer, ids):
    config, pattern = lm.config, head.pattern
    window = config.window_of(layer)

    def sees(query, key):
        if not config.causal:
            return True
        return key <= query and (window is None or query - key < window)

    def choice(query):
        return sum(sees(query, key) for key in range(len(ids))) > 1

    wanted = {
        "previous": lambda q, k: k == q - 1,
        "following": lambda q, k: k == q + 1,
        "first": lambda q, k: k == 0 and q > 0,
        "itself": lambda q, k: k == q and choice(q),
        "duplicate": lambda q, k: k != q and ids[k] == ids[q],
        "induction": lambda q, k: k != q and k > 0 and k - 1 < q and ids[k - 1] == ids[q],
    }
    found = {name: shares(pattern, rule, sees) for name, rule in wanted.items()}
    rows = [query for query in range(len(ids)) if choice(query)]
    bits = [-sum(p * math.log2(p) for p in pattern[q].tolist() if p > 0) for q in rows]
    far = [sum(p * abs(q - k) for k, p in enumerate(pattern[q].tolist())) for q in rows]
    found["entropy"], found["distance"] = sum(bits) / len(rows), sum(far) / len(rows)
    return found


@pytest.mark.parametrize("name", [*BLOCKS])
def test_measures_are_what_their_words_say(name):
    lm = tiny_language(name)
    found = attention(lm, TEXT)
    toward = found.toward_move()
    heard = []
    values = measure_heads(found, toward, 5, hear=heard.append)
    assert len(heard) == lm.config.n_layers * lm.config.n_heads
    assert ("following" in values) == (not lm.config.causal)
    for head in heard:
        expected = by_loops(lm, head, head.layer, found.ids)
        for name, value in values.items():
            if name in expected:
                assert value[head.layer][head.head] == pytest.approx(expected[name]), name
        assert values["adds"][head.layer][head.head] == pytest.approx(float(head.adds.mean()))
        along = float(head.toward[5].sum())
        assert values["toward"][head.layer][head.head] == pytest.approx(along)


def test_one_token_has_no_choice_and_no_measure_invents_one():
    lm = tiny_language("llama")
    found = attention(lm, "a")
    values = measure_heads(found, found.toward_move())
    for name in ("previous", "first", "itself", "duplicate", "induction", "entropy", "distance"):
        assert values[name][0][0] is None
    assert values["adds"][0][0] > 0


def test_heads_that_are_made_for_it_score_one():
    """A head whose scores are large for one place alone looks there and nowhere else."""
    lm = tiny_language("gpt2")
    block, config = lm.model.blocks[0], lm.config
    rows, width = config.n_heads * config.d_head, config.d_model
    with torch.no_grad():
        # Positions as vectors of their own; keys are shifted by one place: the token before.
        lm.model.w_token.zero_()
        lm.model.w_pos.zero_()
        lm.model.w_pos[:8, :8] = torch.eye(8, dtype=lm.model.w_pos.dtype) * 40
        block.attn.w_qkv.zero_()
        block.attn.b_qkv.zero_()
        block.norm1.gain.fill_(1.0)
        block.norm1.bias.zero_()
        block.attn.w_qkv[:8, :8] = torch.eye(8, dtype=lm.model.w_pos.dtype) * 10
        block.attn.w_qkv[rows : rows + 8, :8] = torch.eye(8, dtype=lm.model.w_pos.dtype).roll(1, 0)
    assert width > 8
    found = attention(lm, "abcdefgh")
    values = measure_heads(found, found.toward_move())
    assert values["previous"][0][0] > 0.99
    assert values["distance"][0][0] == pytest.approx(1, abs=0.02)
    assert values["entropy"][0][0] < 0.1
    # Without queries and keys the next head looks everywhere alike.
    alike = sum(math.log2(count) for count in range(2, 9)) / 7
    assert values["entropy"][0][1] == pytest.approx(alike)


def test_every_measure_says_what_it_is():
    assert len({one.name for one in MEASURES}) == len(MEASURES)
    assert all(one.told.endswith(".") for one in MEASURES)
