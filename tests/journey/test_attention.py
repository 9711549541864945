"""Every head's matrices: against the model's own sites, and against the ledger's rows."""

from __future__ import annotations

import sys

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language

from molehill.errors import SiteError, TextError
from molehill.journey.attention import attention
from molehill.journey.paths import follow
from molehill.model.sites import BlockSites
from molehill.trace.record import record

TEXT = "abcabdabe"
LAST = len(TEXT) - 1


def seen(lm, *sites):
    return record(lm, lm.encode([TEXT]), list(sites))


@pytest.mark.parametrize("name", BLOCKS)
def test_the_pattern_is_the_models_own(name):
    lm = tiny_language(name)
    found = attention(lm, TEXT)
    for layer in range(lm.config.n_layers):
        own = seen(lm, f"{layer}.attn.pattern")[f"{layer}.attn.pattern"][0]
        for head in range(lm.config.n_heads):
            torch.testing.assert_close(found.head(layer, head).pattern, own[head])


@pytest.mark.parametrize("name", BLOCKS)
def test_what_is_added_is_as_long_as_the_ledgers_row(name):
    """Of the stream right behind attention: there no later norm has changed the row."""
    lm = tiny_language(name)
    found = attention(lm, TEXT)
    for layer, query in ((0, 3), (2, LAST)):
        after = f"{layer}.resid_post" if lm.config.parallel else f"{layer}.resid_mid"
        if lm.config.norm_place == "post":
            after = None
        sites = BlockSites.of(layer)
        for head in (0, 3):
            one = found.head(layer, head)
            if after is not None and lm.config.norm_place != "block_end":
                part = _heads(follow(lm, TEXT, query).ledger(after), layer)
                torch.testing.assert_close(one.added[query], part.norms()[head])
            values = seen(lm, sites.v, sites.pattern)
            share = lm.config.n_heads // lm.config.kv_heads
            rows = slice(head * lm.config.d_head, (head + 1) * lm.config.d_head)
            writer = lm.model.blocks[layer].attn.w_out[:, rows]
            written = values[sites.v][0][:, head // share] @ writer.T
            if lm.config.norm_place != "sandwich":
                torch.testing.assert_close(one.sizes, written.norm(dim=-1))
                mixed = values[sites.pattern][0, head, query] @ written
                torch.testing.assert_close(one.adds[query], mixed.norm())


@pytest.mark.parametrize("name", BLOCKS)
def test_along_its_own_move_is_what_the_ledger_says(name):
    lm = tiny_language(name)
    found = attention(lm, TEXT)
    toward = found.toward_move()
    for query in (0, 4, LAST):
        at = "final" if lm.config.final_norm else f"{lm.config.n_layers - 1}.resid_post"
        ledger = follow(lm, TEXT, query).ledger(at)
        move = ledger.move
        torch.testing.assert_close(toward.measured[query], move.norm())
        reading = ledger.toward(move / move.norm())
        for part, values in zip(ledger.parts, reading.values, strict=True):
            if part.kind == "head":
                for head in range(lm.config.n_heads):
                    one = found.head(part.layer, head, toward).toward
                    torch.testing.assert_close(one[query], values[head])


@pytest.mark.parametrize("name", [name for name in BLOCKS if name not in ("bert", "notes")])
def test_toward_a_word_is_what_the_ledger_says(name):
    """Soft-capped scores, an unembedding bias and a narrow table included."""
    lm = tiny_language(name)
    found = attention(lm, TEXT)
    toward = found.toward_word(7)
    for query in (2, LAST):
        ledger = follow(lm, TEXT, query).ledger()
        reading = ledger.logit(7)
        assert float(toward.measured[query]) == pytest.approx(reading.measured)
        for part, values in zip(ledger.parts, reading.values, strict=True):
            if part.kind == "head":
                one = found.head(part.layer, 1, toward).toward
                torch.testing.assert_close(one[query], values[1])


def test_a_model_without_a_head_has_no_words():
    with pytest.raises(SiteError, match="no head that predicts words"):
        attention(tiny_language("bert"), TEXT).toward_word(3)


def test_a_word_outside_the_vocabulary_and_a_head_outside_the_model_are_refused():
    found = attention(tiny_language("llama"), TEXT)
    with pytest.raises(SiteError, match="vocabulary of 60"):
        found.toward_word(60)
    with pytest.raises(SiteError, match=r"no head 0\.4"):
        found.head(0, 4)


def test_no_token_and_too_many_are_refused(monkeypatch):
    lm = tiny_language("llama")
    with pytest.raises(SiteError, match="no token"):
        attention(lm, "")
    # The room's name `attention` is the function; the module is found by its own.
    monkeypatch.setattr(sys.modules["molehill.journey.attention"], "MOST_TOKENS", 8)
    with pytest.raises(TextError, match=r"has 9 tokens; .* at most 8"):
        attention(lm, TEXT)


def test_it_prints_in_a_few_lines():
    shown = repr(attention(tiny_language("llama"), TEXT))
    assert "3 layers of 4 heads over 9 tokens" in shown and len(shown.splitlines()) <= 4


def _heads(ledger, layer):
    return next(part for part in ledger.parts if part.kind == "head" and part.layer == layer)
