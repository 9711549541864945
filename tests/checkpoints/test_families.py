"""Every family against transformers, both ways: its tiny random models through our loading, and
ours through its loading. float64 within 1e-9, float32 within 1e-5."""

from __future__ import annotations

import json
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.checkpoints.peers import GGUF_PEERS, PEERS, Peer, ask, texts
from tests.checkpoints.write_gguf import write_gguf
from torch import Tensor

from molehill.checkpoints import load_checkpoint, save_checkpoint
from molehill.checkpoints.families import read_config, read_gguf_config
from molehill.checkpoints.gguf import GgufFile
from molehill.model import Transformer

TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-5}

each_peer = pytest.mark.parametrize("name", PEERS)


class Keep:
    """A watcher that keeps the residual stream, what the unembedding reads, and the patterns."""

    def __init__(self) -> None:
        self.kept: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        pass

    def wants(self, site: str) -> bool:
        return site.endswith(("resid_pre", "attn.pattern")) or site == "final"

    def __call__(self, site: str, x: Tensor) -> Tensor:
        self.kept[site] = x
        return x


def close(ours: Tensor, theirs: Tensor, dtype: torch.dtype) -> None:
    """Equal within the dtype's tolerance, measured against the largest value that occurs."""
    assert ours.dtype == theirs.dtype == dtype
    scale = max(1.0, float(theirs.abs().max()))
    assert float((ours - theirs).abs().max()) / scale < TOLERANCE[dtype]


@each_peer
def test_theirs_loaded_by_us_gives_their_numbers(name, tmp_path):
    peer = PEERS[name]
    theirs = peer.build(torch.float64)
    theirs.save_pretrained(tmp_path)
    for dtype in TOLERANCE:
        loaded = load_checkpoint(tmp_path, dtype=dtype)
        assert loaded.report.family == peer.family
        for padding in ("none", "left", "right"):
            compare(peer, theirs.to(dtype), loaded.model, *texts(padding))


def compare(peer: Peer, theirs: Any, model: Transformer, ids: Tensor, mask: Tensor | None) -> None:
    """Logits, every layer's stream, every pattern, what the unembedding reads; real tokens only."""
    expected, keep, config = ask(peer, theirs, ids, mask), Keep(), model.config
    real = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
    plain = model(ids, mask=mask)
    out = model(ids, mask=mask, watch=keep)
    assert (out.logits is None) == (expected.logits is None) == (not config.has_head)
    if config.has_head:
        close(out.logits[real], expected.logits[real], model.dtype)
        close(plain.logits[real], expected.logits[real], model.dtype)
    for layer in range(config.n_layers):
        close(keep.kept[f"{layer}.resid_pre"][real], expected.hidden[layer][real], model.dtype)
        ours = keep.kept[f"{layer}.attn.pattern"].transpose(1, 2)[real]
        close(ours, expected.patterns[layer].transpose(1, 2)[real], model.dtype)
    if config.d_embed is None:
        close(keep.kept["final"][real], expected.hidden[-1][real], model.dtype)


@each_peer
def test_ours_saved_by_us_gives_our_numbers_in_their_hands(name, tmp_path):
    peer, dtype = PEERS[name], torch.float32
    peer.build(dtype).save_pretrained(tmp_path / "theirs")
    loaded = load_checkpoint(tmp_path / "theirs", dtype=dtype)
    assert save_checkpoint(loaded.model, None, tmp_path / "ours") == peer.family
    theirs = getattr(transformers, peer.head).from_pretrained(
        tmp_path / "ours", attn_implementation="eager"
    )
    ids, mask = texts("right")
    expected = ask(peer, theirs.eval(), ids, mask)
    out = loaded.model(ids, mask=mask)
    if out.logits is None:
        close(out.final[mask], expected.hidden[-1][mask], dtype)
    else:
        close(out.logits[mask], expected.logits[mask], dtype)
    # The way there and back changes no bit, and no name but those of what we leave out.
    before = load_file(tmp_path / "theirs" / "model.safetensors")
    after = load_file(tmp_path / "ours" / "model.safetensors")
    assert {key for key in before.keys() - after.keys() if "pooler" not in key} == set()
    assert after.keys() <= before.keys()
    assert all(torch.equal(tensor, before[key]) for key, tensor in after.items())


@pytest.mark.parametrize("name", GGUF_PEERS)
def test_a_gguf_file_gives_the_numbers_of_the_model_it_was_made_from(name, tmp_path):
    peer, dtype = GGUF_PEERS[name], torch.float32
    theirs = peer.build(dtype)
    write_gguf(theirs, peer.family, tmp_path / "tiny.gguf")
    loaded = load_checkpoint(tmp_path / "tiny.gguf", dtype=dtype)
    assert loaded.report.family == peer.family
    ids, mask = texts("left")
    expected = ask(peer, theirs, ids, mask)
    close(loaded.model(ids, mask=mask).logits[mask], expected.logits[mask], dtype)


@pytest.mark.parametrize("family", ["gemma2", "gemma3"])
def test_the_largest_gemma_has_a_scale_of_its_own_which_gguf_does_not_hold(family, tmp_path):
    """Published: query_pre_attn_scalar 144 for gemma-2-27b, 168 for gemma-3-27b."""
    layers, width, scalar = {"gemma2": (46, 4608, 144), "gemma3": (62, 5376, 168)}[family]
    writer = gguf.GGUFWriter(tmp_path / "header.gguf", family)
    writer.add_block_count(layers)
    writer.add_embedding_length(width)
    writer.add_head_count(32)
    writer.add_key_length(128)
    writer.add_feed_forward_length(4 * width)
    writer.add_context_length(8192)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tensor("token_embd.weight", np.zeros((3, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with GgufFile(tmp_path / "header.gguf") as source:
        _, config = read_gguf_config(source)
    assert config.score_scale == pytest.approx(scalar**-0.5)


@pytest.mark.parametrize("name", ["llama3", "mistral", "gemma3", "pythia"])
def test_both_dialects_of_a_config_say_the_same(name, tmp_path):
    """What transformers 5 writes, against the same in the words of transformers 4."""
    PEERS[name].config().save_pretrained(tmp_path)
    new = json.loads((tmp_path / "config.json").read_text())
    old = {key: value for key, value in new.items() if key != "rope_parameters"}
    rope = new["rope_parameters"]
    if name == "gemma3":
        old["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        rope = rope["full_attention"]
    old["rope_theta"] = rope["rope_theta"]
    if name == "pythia":
        old["rotary_pct"] = rope["partial_rotary_factor"]
        old["rotary_emb_base"] = old.pop("rope_theta")
    if rope["rope_type"] != "default":
        old["rope_scaling"] = {
            key: value for key, value in rope.items() if key not in ("rope_theta", "rope_type")
        } | {"type": rope["rope_type"]}
    old["torch_dtype"] = old.pop("dtype", "float32")
    assert read_config(old)[1] == read_config(new)[1]


def test_a_gemma_that_sees_is_read_without_its_eyes(tmp_path):
    peer = PEERS["gemma3"]
    theirs = peer.build(torch.float32)
    theirs.save_pretrained(tmp_path / "text")
    weights = load_file(tmp_path / "text" / "model.safetensors")
    config = json.loads((tmp_path / "text" / "config.json").read_text())
    plain = load_checkpoint(tmp_path / "text").model
    ids, _ = texts()
    outer = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "model_type": "gemma3",
        "text_config": config,
        "vision_config": {"hidden_size": 8},
    }
    for number, prefix in enumerate(("language_model.", "model.language_model.")):
        body = {"language_model.": "language_model.model."}.get(prefix, prefix)
        named = {name.replace("model.", body, 1): weight for name, weight in weights.items()}
        eye = "vision_tower.patch.weight" if number == 0 else "model.vision_tower.patch.weight"
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file({**named, eye: torch.ones(2, 2)}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(outer))
        seeing = load_checkpoint(folder)
        assert seeing.report.ignored == (eye,)
        assert torch.equal(seeing.model(ids).logits, plain(ids).logits)


def test_names_in_the_hubs_oldest_files_are_known(tmp_path):
    """GPT-2 without prefix and with its triangle; BERT with gamma, beta, a copied head and a
    pooler."""
    ids, _ = texts()
    for name in ("gpt2", "bert"):
        PEERS[name].build(torch.float32).save_pretrained(tmp_path / name)
        plain = load_checkpoint(tmp_path / name).model(ids).logits
        weights = load_file(tmp_path / name / "model.safetensors")
        if name == "gpt2":
            old = {key.removeprefix("transformer."): value for key, value in weights.items()}
            old["h.0.attn.bias"] = torch.ones(1, 1, 4, 4).tril()
            old["lm_head.weight"] = old["wte.weight"].clone()
        else:
            old = {
                key.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
                    "LayerNorm.bias", "LayerNorm.beta"
                ): value
                for key, value in weights.items()
            }
            old["cls.predictions.decoder.weight"] = weights[
                "bert.embeddings.word_embeddings.weight"
            ].clone()
            old["bert.pooler.dense.weight"] = torch.ones(2, 2)
            old["cls.seq_relationship.bias"] = torch.ones(2)
            old["bert.embeddings.position_ids"] = torch.arange(32)[None]
        save_file(old, tmp_path / name / "model.safetensors")
        again = load_checkpoint(tmp_path / name)
        assert torch.equal(again.model(ids).logits, plain)
        assert again.report.left_over == again.report.missing == ()
