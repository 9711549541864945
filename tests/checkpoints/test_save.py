"""Saving: what has a form and what has none, whole folders or none. Equality of numbers with
transformers is the matter of `test_families`."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import transformers
from safetensors import safe_open

from molehill import files
from molehill.checkpoints import load_checkpoint, save_checkpoint
from molehill.checkpoints.families import family_for, why_no_family
from molehill.errors import CheckpointError
from molehill.model import ModelConfig, RopeScaling, Transformer
from molehill.text import Tokenizer

NOTES = ModelConfig(
    n_layers=2,
    d_model=12,
    n_heads=3,
    d_head=4,
    d_mlp=48,
    d_vocab=300,
    n_ctx=16,
    norm_place="block_end",
    final_norm=False,
)
GPT2 = replace(
    NOTES,
    norm_place="pre",
    final_norm=True,
    qkv_bias=True,
    attn_out_bias=True,
    mlp_bias=True,
)
LLAMA = ModelConfig(
    n_layers=2,
    d_model=12,
    n_heads=2,
    d_head=6,
    d_mlp=16,
    d_vocab=300,
    n_ctx=16,
    activation="silu",
    gated=True,
    norm="rms",
    positions="rotary",
)


def made(config: ModelConfig) -> Transformer:
    return Transformer(config).initialise().requires_grad_(False)


def same(one: Transformer, other: Transformer) -> bool:
    pairs = zip(one.named_parameters(), other.named_parameters(), strict=True)
    return all(a == b and torch.equal(x, y) for (a, x), (b, y) in pairs)


# --- forms ------------------------------------------------------------------------------------


def test_the_notes_block_has_no_form_in_transformers_and_the_reason_is_told(tmp_path):
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(made(NOTES), None, tmp_path / "model")
    assert "norm_place 'block_end'" in str(caught.value)
    assert 'family="molehill"' in str(caught.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        # Only what none has is told of it, not what the nearest lacks besides.
        ({"norm_place": "block_end", "final_norm": False}, " has norm_place 'block_end'. "),
        ({"positions": "none"}, " has positions 'none'. "),
        # BERT is not causal and GPT-NeoX is parallel, but neither has the rest.
        ({"causal": False}, "lacks: causal False"),
        ({"parallel": True}, "lacks: parallel True"),
    ],
)
def test_what_no_architecture_has_is_told_apart_from_what_the_nearest_lacks(changes, said):
    config = replace(LLAMA, **changes)
    with pytest.raises(CheckpointError, match=re.escape(said)):
        family_for(config)
    reason = why_no_family(config)
    assert reason is not None and said.strip() in reason and "family=" not in reason
    assert why_no_family(config, "molehill") is None


@pytest.mark.parametrize("config", [NOTES, GPT2, LLAMA], ids=["notes", "gpt2", "llama"])
def test_our_own_format_holds_every_model_bit_for_bit(config, tmp_path):
    model = made(config)
    assert save_checkpoint(model, None, tmp_path / "model", family="molehill") == "molehill"
    again = load_checkpoint(tmp_path / "model").model
    assert again.config == config
    assert same(model, again)


@pytest.mark.parametrize(
    ("config", "family"),
    [
        (GPT2, "gpt2"),
        (replace(GPT2, has_head=False), "gpt2"),
        (replace(GPT2, position_offset=2), "opt"),
        (replace(GPT2, norm_place="post", final_norm=False, position_offset=2), "opt"),
        (replace(GPT2, positions="rotary", rotary_dims=2, parallel=True), "gpt_neox"),
        (LLAMA, "llama"),
        (replace(LLAMA, rope_scaling=RopeScaling("linear", 2.0)), "llama"),
        (replace(LLAMA, window=4, windowed_layers=(0, 1)), "mistral"),
        (replace(LLAMA, qkv_bias=True), "qwen2"),
        (replace(LLAMA, window=4, windowed_layers=(1,), qkv_bias=True), "qwen2"),
        (replace(LLAMA, qk_norm=True, d_head=8), "qwen3"),
        (replace(LLAMA, qk_norm=True, window=4, windowed_layers=(0,)), "qwen3"),
    ],
)
def test_the_plainest_form_that_holds_a_model_is_chosen(config, family, tmp_path):
    model = made(config)
    assert save_checkpoint(model, None, tmp_path / "model") == family
    assert same(model, load_checkpoint(tmp_path / "model").model)
    # It is transformers' judge, too: its own class for this config takes the weights as they are.
    auto = transformers.AutoModelForCausalLM if config.has_head else transformers.AutoModel
    theirs, told = auto.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(told[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    ids = torch.arange(12)[None]
    ours = model(ids)
    with torch.no_grad():
        out = theirs.eval()(ids)
    if config.has_head:
        assert torch.allclose(ours.logits, out.logits, atol=1e-5)
    else:
        assert torch.allclose(ours.final, out.last_hidden_state, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "lacking"),
    [
        ({"attn_scale": 0.3}, "attn_scale 0.3"),
        ({"final_softcap": 30.0}, "final_softcap 30.0"),
        ({"embed_scale": 3.0}, "embed_scale 3.0"),
        ({"attn_out_bias": True}, "attn_out_bias True"),
        ({"causal": False}, "causal False"),
        ({"window": 4, "windowed_layers": (1,)}, "windowed_layers (1,)"),
    ],
)
def test_what_the_nearest_form_lacks_is_named(changes, lacking, tmp_path):
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(made(replace(LLAMA, **changes)), None, tmp_path / "model")
    assert lacking in str(caught.value)


def test_a_form_that_was_asked_for_is_taken_or_refused(tmp_path):
    assert save_checkpoint(made(LLAMA), None, tmp_path / "a", family="mistral") == "mistral"
    assert same(made(LLAMA), load_checkpoint(tmp_path / "a").model)
    with pytest.raises(CheckpointError, match="gpt2 does not have"):
        save_checkpoint(made(LLAMA), None, tmp_path / "b", family="gpt2")
    with pytest.raises(CheckpointError, match="no family 'nonsense'"):
        save_checkpoint(made(LLAMA), None, tmp_path / "b", family="nonsense")


# --- files ------------------------------------------------------------------------------------


def test_shards_are_read_back_by_us_and_by_transformers(tmp_path):
    model = made(LLAMA)
    save_checkpoint(model, None, tmp_path / "model", shard_bytes=2000)
    index = json.loads((tmp_path / "model" / "model.safetensors.index.json").read_text())
    shards = set(index["weight_map"].values())
    assert len(shards) > 3
    assert index["metadata"]["total_size"] == sum(4 * w.numel() for w in model.parameters())
    assert same(model, load_checkpoint(tmp_path / "model").model)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.arange(9)[None]
    with torch.no_grad():
        assert torch.allclose(theirs(ids).logits, model(ids).logits, atol=1e-5)


def test_the_files_say_what_transformers_expects_and_carry_the_certificate(tmp_path):
    certificate = {"closing_error": 1e-7, "checks": ["sum", "cache"]}
    save_checkpoint(made(GPT2).bfloat16(), None, tmp_path / "model", certificate=certificate)
    with safe_open(tmp_path / "model" / "model.safetensors", "pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["molehill"]) == certificate
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config["architectures"] == ["GPT2LMHeadModel"]
    assert config["dtype"] == config["torch_dtype"] == "bfloat16"
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "model").dtype == (
        torch.bfloat16
    )


def test_the_tokenizer_goes_with_it(tmp_path):
    text = "The mole dug a tunnel; the spy was a mole."
    tokenizer = Tokenizer.train([text] * 5, d_vocab=280)
    save_checkpoint(made(GPT2), tokenizer, tmp_path / "model")
    again = load_checkpoint(tmp_path / "model").tokenizer
    assert again is not None
    assert again.encode(text).ids.tolist() == tokenizer.encode(text).ids.tolist()
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert [theirs(text)["input_ids"]] == tokenizer.encode(text).ids.tolist()
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert config.get("eos_token_id") == tokenizer.eos_id


def test_a_folder_with_files_is_left_alone_unless_told(tmp_path):
    folder = tmp_path / "model"
    save_checkpoint(made(LLAMA), None, folder, shard_bytes=2000)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="overwrite=True"):
        save_checkpoint(made(GPT2), None, folder)
    assert same(made(LLAMA), load_checkpoint(folder).model)
    save_checkpoint(made(GPT2), None, folder, overwrite=True)
    assert same(made(GPT2), load_checkpoint(folder).model)
    # The shards of the model before are gone; what else was there is not.
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "notes.txt",
    }


def test_a_tokenizer_that_is_replaced_leaves_nothing_behind(tmp_path):
    folder = tmp_path / "model"
    save_checkpoint(made(GPT2), Tokenizer.train(["a spy"], d_vocab=260), folder)
    left = ("chat_template.jinja", "vocab.json", "merges.txt", "added_tokens.json")
    for name in left:
        (folder / name).write_text("{}")
    # Without a new one, the old one goes on being the folder's.
    save_checkpoint(made(GPT2), None, folder, overwrite=True)
    assert all((folder / name).exists() for name in (*left, "tokenizer.json"))
    save_checkpoint(made(GPT2), Tokenizer.train(["a mole"], d_vocab=260), folder, overwrite=True)
    assert not any((folder / name).exists() for name in left)
    theirs = transformers.AutoTokenizer.from_pretrained(folder)
    assert theirs.chat_template is None


def test_a_failure_leaves_no_folder_and_no_scraps(tmp_path, monkeypatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_checkpoint(made(GPT2), None, tmp_path / "model")
    assert list(Path(tmp_path).iterdir()) == []
