"""What a capture keeps, against all that the model computes, and what it does not lay out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.journey.tiny import BLOCKS, SIZES, random_ids, tiny
from torch.utils._python_dispatch import TorchDispatchMode

from molehill.journey.capture import capture
from molehill.model.transformer import Transformer

WORDS = [(0, (11,)), (1, (6,)), (1, (2, 3, 4))]


class _Whole:
    """Keeps whole values; where a factor is given for a site, multiplies the value by it first."""

    def __init__(self, factors=None):
        self.factors = factors or {}
        self.values = {}

    def begin(self, positions, real):
        pass

    def wants(self, site):
        return not self.factors or site in self.factors

    def __call__(self, site, x):
        x = x * self.factors.get(site, 1.0)
        self.values[site] = x
        return x


@pytest.mark.parametrize("name", BLOCKS)
def test_a_words_rows_are_those_of_the_models_own_scores_and_patterns(name):
    model, texts, whole = tiny(name), random_ids((12, 7)), _Whole()
    model(texts.ids, mask=texts.mask, watch=whole)
    held = capture(model, texts.ids, texts.mask, WORDS, also=("attn.scores", "attn.k"))
    for (text, places), one in zip(WORDS, held, strict=True):
        for layer in range(3):
            for site in (f"{layer}.attn.scores", f"{layer}.attn.pattern"):
                own = whole.values[site][text][:, list(places), : one.length].transpose(0, 1)
                torch.testing.assert_close(one.values[site], own, atol=1e-12, rtol=1e-12)
            keys = whole.values[f"{layer}.attn.k"][text, : one.length]
            torch.testing.assert_close(one.values[f"{layer}.attn.k"], keys)


@pytest.mark.parametrize("site", ["1.attn.scores", "1.attn.pattern"])
def test_where_an_edit_reaches_into_a_pattern_it_is_the_edited_one_that_is_kept(site):
    model, texts = tiny("llama"), random_ids((12,))
    edit = _Whole({site: 0.5})
    held = capture(model, texts.ids, None, [(0, (9,))], also=("attn.scores",), edits=edit)[0]
    edited = edit.values[site][0][:, [9]].transpose(0, 1)
    torch.testing.assert_close(held.values[site], edited)
    plain = capture(model, texts.ids, None, [(0, (9,))], also=("attn.scores",))[0]
    torch.testing.assert_close(held.values["0.attn.pattern"], plain.values["0.attn.pattern"])
    assert not torch.allclose(held.values["1.attn.pattern"], plain.values["1.attn.pattern"])
    assert not torch.allclose(held.values["2.attn.pattern"], plain.values["2.attn.pattern"])


class _Largest(TorchDispatchMode):
    """The largest number of elements of any tensor that an operation makes."""

    def __init__(self):
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else (out,):
            if isinstance(one, torch.Tensor):
                self.numbers = max(self.numbers, one.numel())
        return out


@pytest.mark.parametrize("name", ["gpt2", "llama", "neox", "bert"])
def test_nothing_is_laid_out_for_every_pair_of_tokens(name):
    length = 400
    config = replace(tiny(name).config, n_ctx=length)
    model = Transformer(config, dtype=torch.float64).initialise().requires_grad_(False)
    ids = torch.arange(length)[None] % SIZES["d_vocab"]
    with _Largest() as seen_by_capture:
        capture(model, ids, None, [(0, (length - 1,))])
    assert seen_by_capture.numbers < length**2
    with _Largest() as seen_by_a_watch:  # the measure sees a pattern where there is one
        model(ids, watch=_Whole())
    assert seen_by_a_watch.numbers >= length**2
