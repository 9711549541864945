"""Features of what attention has mixed, all heads side by side (`hook_z`), against its definition:
each head's pattern times the values that it reads."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import islice

import pytest
import torch
from tests.features.layouts import cfg, numbers, write_folder
from tests.features.made_examples import texts, village
from tests.trace.small_families import build

from molehill.errors import CheckpointError, ConfigError, SiteError
from molehill.features.activations import Live, Place
from molehill.features.autoencoder import Settings
from molehill.features.edits import AblateFeature, ClampFeature, Splice
from molehill.features.foreign import Placing
from molehill.features.making import make_autoencoder
from molehill.features.parts import feature_parts
from molehill.features.saelens import read_saelens
from molehill.features.saelens_writing import write_saelens
from molehill.features.splicing import LeftOut, spliced_losses
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.text import Tokens
from molehill.trace import Replace, record

SITE = "1.attn.mix"
TOKENS = Tokens.of_ids([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3]])
CLOSE = {"rtol": 0, "atol": 1e-10}


def of_heads(config) -> Features:
    width = config.n_heads * config.d_head
    autoencoder = make_autoencoder(Settings("topk", width, width, 40, k=5), seed=2).double()
    autoencoder.products = torch.float64
    return Features(autoencoder, (SITE,), (SITE,), "heads")


def mixed(model) -> torch.Tensor:
    """By the definition [batch, pos, heads times d_head]."""
    trace = record(model, TOKENS, ["1.attn.pattern", "1.attn.v"], logits="none")
    pattern, values = trace["1.attn.pattern"], trace["1.attn.v"]
    values = values.repeat_interleave(pattern.shape[1] // values.shape[2], dim=2)
    return torch.einsum("bhqk,bkhd->bqhd", pattern, values).flatten(-2)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_is_read_is_every_heads_mix_side_by_side(family):
    model = build(family)
    features, real = of_heads(model.config), TOKENS.mask
    trace = record(model, TOKENS, [SITE], logits="none")
    with torch.no_grad():
        wanted = features.autoencoder.encode(mixed(model)[real]).dense()
    found = features.encode(trace).dense().view(*real.shape, -1)[real]
    torch.testing.assert_close(found, wanted, **CLOSE)
    parts = feature_parts(features, {SITE: trace[SITE][real]})
    torch.testing.assert_close(parts.total(), mixed(model)[real], **CLOSE)


def by_hand(model, features, new) -> Replace:
    with torch.no_grad():
        x = mixed(model)
        codes = features.autoencoder.encode(x.flatten(0, 1)).dense().view(*x.shape[:2], -1)
        changed = x + (new(codes.clone()) - codes) @ features.autoencoder.w_dec
    config = model.config
    return Replace(SITE, changed.unflatten(-1, (config.n_heads, config.d_head)))


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_edits_change_all_heads(family):
    model = build(family)
    features = of_heads(model.config)
    codes = features.encode(record(model, TOKENS, [SITE], logits="none"))
    most = int(codes.counts().argmax())

    def held(codes):
        codes[..., most] = 3.0
        return codes

    found = record(model, TOKENS, ["final"], edits=[ClampFeature(features, most, 3.0)])["final"]
    wanted = record(model, TOKENS, ["final"], edits=[by_hand(model, features, held)])["final"]
    torch.testing.assert_close(found[TOKENS.mask], wanted[TOKENS.mask], **CLOSE)
    off = record(model, TOKENS, ["final"], edits=[AblateFeature(features, most)])["final"]
    assert not torch.allclose(off, wanted, atol=1e-5)


def test_the_loss_with_them_spliced_in_is_that_of_the_edit():
    model = build("llama")
    features, nothing = of_heads(model.config), LeftOut(0, False)
    lm = LanguageModel(model, None, "tiny")
    found = spliced_losses(lm, features, TOKENS, left_out=nothing)
    logits = record(model, TOKENS, [], edits=[Splice(features)], logits="all")["logits"]
    after = TOKENS.mask[:, 1:]
    logs = logits[:, :-1].log_softmax(-1).gather(-1, TOKENS.ids[:, 1:, None])[..., 0]
    assert found.spliced == pytest.approx(float(-logs[after].mean()), abs=1e-9)
    assert found.spliced != pytest.approx(found.original, abs=1e-6)


def test_they_are_trained_on_rows_of_all_heads():
    source = Live(village(), [SITE], lambda: texts(), context=20, chunk=200)
    config = village().config
    width = config.n_heads * config.d_head
    assert source.widths == {SITE: width}
    batch, _ = next(islice(source.batches(50, Place()), 1))
    assert batch[SITE].shape == (50, width)


def test_folders_of_saelens_are_read_by_either_form_and_written(tmp_path):
    config = build("llama", torch.float32).config
    width = config.n_heads * config.d_head
    tensors = {"W_enc": numbers(width, 28), "b_enc": numbers(28)}
    tensors |= {"W_dec": numbers(28, width, seed=2), "b_dec": numbers(width, seed=3)}
    hook = {"metadata": {"hook_name": "blocks.1.attn.hook_z"}}
    told = cfg("standard", reshape_activations="hook_z", d_in=width, **hook)
    flat = {"d_in": width, "d_sae": 28, "hook_name": "blocks.1.attn.hook_z", "dtype": "float32"}
    for name, described in (("new", told), ("flat", flat)):
        folder = write_folder(tmp_path / name, described, tensors)
        for placing in (Placing(), Placing(config=config)):
            assert read_saelens(folder, placing).features.reads == (SITE,)
    features = read_saelens(tmp_path / "new").features
    write_saelens(features, tmp_path / "again")
    written = json.loads((tmp_path / "again" / "cfg.json").read_text())
    assert written["reshape_activations"] == "hook_z"
    assert written["metadata"]["hook_name"] == "blocks.1.attn.hook_z"
    assert read_saelens(tmp_path / "again").features.digest == features.digest
    apart = write_folder(tmp_path / "apart", {**told, "reshape_activations": "none"}, tensors)
    with pytest.raises(CheckpointError, match="reads every head's vector by itself"):
        read_saelens(apart)
    narrow = replace(config, d_head=config.d_head * 2)
    with pytest.raises(ConfigError, match=rf"read {width} numbers, and 1.attn.mix"):
        read_saelens(tmp_path / "new", Placing(config=narrow))


def test_a_norms_own_output_is_refused_with_the_reason(tmp_path):
    told = cfg("standard", metadata={"hook_name": "blocks.1.ln2.hook_normalized"})
    tensors = {"W_enc": numbers(10, 28), "b_enc": numbers(28)}
    tensors |= {"W_dec": numbers(28, 10, seed=2), "b_dec": numbers(10, seed=3)}
    folder = write_folder(tmp_path / "sae", told, tensors)
    with pytest.raises(SiteError, match="before or after its gain, by the version"):
        read_saelens(folder)
    with pytest.raises(SiteError, match=r"before or after the norm's gain.*'1.mlp.in' is the"):
        read_saelens(folder, Placing(config=build("llama").config))
    features = read_saelens(folder, Placing(reads="1.mlp.in")).features
    assert features.reads == ("1.mlp.in",)
