"""Folders of SAELens against dense formulas, back and forth, and what is refused."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.features.layouts import (
    OUT,
    D,
    F,
    K,
    agree,
    cfg,
    computed,
    inputs,
    numbers,
    parts,
    thresholds,
    top,
    write_folder,
)
from tests.features.test_architectures import made
from tests.trace.small_families import build

from molehill.errors import CheckpointError, ConfigError, SiteError
from molehill.features.foreign import Placing
from molehill.features.formats import read_features
from molehill.features.making import ARCHITECTURES
from molehill.features.saelens import read_saelens
from molehill.features.saelens_writing import write_saelens
from molehill.features.trained import Features

# --- what is computed -----------------------------------------------------------------------------


def pre(p: dict, x: torch.Tensor, *, centred: bool = True) -> torch.Tensor:
    return (x - p["b_dec"] if centred else x) @ p["W_enc"] + p["b_enc"]


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("name", ["standard", "topk", "jumprelu"])
def test_autoencoders_compute_their_formulas(tmp_path, name, centred):
    p, x, theta = parts(), inputs(), thresholds()
    more = {"k": K} if name == "topk" else {}
    tensors = {**p, "threshold": theta} if name == "jumprelu" else p
    write_folder(tmp_path / "sae", cfg(name, apply_b_dec_to_input=centred, **more), tensors)
    found = read_saelens(tmp_path / "sae")
    h = pre(p, x, centred=centred)
    codes = {"standard": h.relu(), "topk": top(h), "jumprelu": h.relu() * (h > theta)}[name]
    agree(found.features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])
    assert (found.features.reads, found.features.writes) == (("3.resid_post",), ("3.resid_post",))
    assert (found.features.model, found.folded) == ("gpt2-small", ())


def test_thresholds_of_zero_and_below_are_zero(tmp_path):
    p, x = parts(), inputs()
    theta = numbers(F, seed=8)
    assert 0 < (theta < 0).sum() < F
    write_folder(tmp_path / "sae", cfg("jumprelu"), {**p, "threshold": theta})
    h = pre(p, x)
    codes = h.relu() * (h > theta)
    features = read_saelens(tmp_path / "sae").features
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])


def test_gated(tmp_path):
    p, x = parts(), inputs()
    b_gate, b_mag, r_mag = (0.3 * numbers(F, seed=each) for each in (11, 12, 13))
    tensors = {"W_enc": p["W_enc"], "W_dec": p["W_dec"], "b_dec": p["b_dec"]}
    tensors |= {"b_gate": b_gate, "b_mag": b_mag, "r_mag": r_mag}
    write_folder(tmp_path / "sae", cfg("gated"), tensors)
    centred = x - p["b_dec"]
    gate = centred @ p["W_enc"] + b_gate > 0
    codes = gate * (centred @ (p["W_enc"] * r_mag.exp()) + b_mag).relu()
    features = read_saelens(tmp_path / "sae").features
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])


@pytest.mark.parametrize("jump", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_transcoders(tmp_path, jump, skip):
    p, x, theta, w_skip = parts(OUT), inputs(), thresholds(), numbers(OUT, D, seed=7)
    name = ("jumprelu_" if jump else "") + ("skip_" if skip else "") + "transcoder"
    tensors = p | ({"threshold": theta} if jump else {}) | ({"W_skip": w_skip} if skip else {})
    hooks = {"hook_name": "blocks.2.mlp.hook_in", "hook_name_out": "blocks.2.hook_mlp_out"}
    described = cfg(name, d_out=OUT, apply_b_dec_to_input=False, metadata=hooks)
    write_folder(tmp_path / "sae", described, tensors)
    h = pre(p, x, centred=False)
    codes = h.relu() * (h > theta) if jump else h.relu()
    output = codes @ p["W_dec"] + p["b_dec"] + (x @ w_skip.T if skip else 0)
    features = read_saelens(tmp_path / "sae").features
    agree(features.autoencoder, codes, output)
    assert (features.reads, features.writes) == (("2.mlp.in",), ("2.mlp.out",))


def test_topk_by_the_decoders_norms(tmp_path):
    p, x = parts(), inputs()
    described = cfg("topk", k=K, rescale_acts_by_decoder_norm=True)
    write_folder(tmp_path / "sae", described, p)
    lengths = p["W_dec"].norm(dim=1)
    codes = top(pre(p, x) * lengths)
    assert not torch.equal(codes > 0, top(pre(p, x)) > 0)  # it does choose others
    found = read_saelens(tmp_path / "sae")
    agree(found.features.autoencoder, codes, (codes / lengths) @ p["W_dec"] + p["b_dec"])
    assert "rows' lengths" in found.folded[0]


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka_batchtopk"])
def test_a_runs_own_file_has_one_threshold(tmp_path, name):
    p, x = parts(), inputs()
    h = pre(p, x)
    theta = h.flatten().sort().values[-200]  # a pre-activation itself is not above it
    tensors = p | {"topk_threshold": theta.double()}
    described = cfg(name, k=4.5, rescale_acts_by_decoder_norm=False, matryoshka_widths=[7, 14])
    write_folder(tmp_path / "sae", described, tensors)
    codes = h * (h > theta)
    assert codes.count_nonzero() == 199
    features = read_saelens(tmp_path / "sae").features
    assert features.settings.prefixes == ((7, 14, F) if "matryoshka" in name else ())
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])


@pytest.mark.parametrize("name", ["standard", "topk, rescaled", "jumprelu"])
@pytest.mark.parametrize("told", [True, False])
def test_one_factor_of_all_inputs_is_put_into_the_weights(tmp_path, name, told):
    p, x, theta, s = parts(), inputs(), thresholds(), 0.37
    name, _, rescaled = name.partition(", ")
    described = cfg(name, normalize_activations="expected_average_only_in")
    described |= {"k": K, "rescale_acts_by_decoder_norm": bool(rescaled)}
    tensors = p | ({"threshold": theta} if name == "jumprelu" else {})
    folder = write_folder(tmp_path / "sae", described, tensors)
    if not told:
        with pytest.raises(CheckpointError, match=r"no activation_scaler\.json"):
            read_saelens(folder)
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": s}))
    found = read_saelens(folder, Placing(scale=s) if told else None)
    h = pre(p, s * x)
    lengths = p["W_dec"].norm(dim=1)
    if name == "topk":
        values = top(h * lengths) / lengths
        codes = top(h * lengths) / s  # rows of length one: a value is the length it adds
    else:
        values = codes = h.relu() * (h > theta) if name == "jumprelu" else h.relu()
    agree(found.features.autoencoder, codes, (values @ p["W_dec"] + p["b_dec"]) / s)
    assert "0.37" in found.folded[0]


def test_flat_descriptions(tmp_path):
    p, x = parts(), inputs()
    flat = {"d_in": D, "d_sae": F, "hook_point": "blocks.1.hook_resid_pre", "dtype": "float32"}
    write_folder(tmp_path / "relu", {**flat, "normalize_activations": False}, p)
    ones = {"scaling_factor": torch.ones(F)}
    ranked = {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": K}}
    ranked |= {"architecture": "standard"}
    write_folder(tmp_path / "topk", {**flat, **ranked}, p | ones)
    h = pre(p, x)
    for name, codes in {"relu": h.relu(), "topk": top(h)}.items():
        features = read_saelens(tmp_path / name).features
        assert (features.settings.architecture, features.reads) == (name, ("1.resid_pre",))
        agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])


# --- there and back -------------------------------------------------------------------------------


def features_of(name: str, writes: str = "3.mlp.in", **changes) -> Features:
    autoencoder = made(name, **changes).float()
    autoencoder.products = torch.float32
    with torch.no_grad():
        autoencoder.w_dec.mul_(1.7)  # rows need not have length one
    if name in ("batchtopk", "matryoshka"):
        autoencoder.threshold.fill_(0.9)
    provenance = {"steps": 3}
    return Features(autoencoder, ("3.mlp.in",), (writes,), "one", "tiny", "abc", provenance)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_written_reads_back_the_same(tmp_path, name):
    features = features_of(name)
    notes = write_saelens(features, tmp_path / "sae")
    found = read_features(tmp_path / "sae").features
    x = numbers(30, 12)
    for ours, theirs in zip(
        computed(features.autoencoder, x), computed(found.autoencoder, x), strict=True
    ):
        torch.testing.assert_close(theirs, ours, rtol=1e-6, atol=1e-6)
    before, after = features.autoencoder.state_dict(), found.autoencoder.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in ("w_enc", "b_enc", "w_dec", "b_dec"))
    assert found.settings.architecture == name
    assert (found.reads, found.model, found.fingerprint) == (("3.mlp.in",), "tiny", "abc")
    assert found.name == "one"
    assert found.provenance == {"steps": 3}
    assert bool(notes) == (name in ("batchtopk", "matryoshka"))


@pytest.mark.parametrize("name", ["relu", "jumprelu", "batchtopk", "matryoshka"])
@pytest.mark.parametrize("changes", [{"d_out": 7, "centred": False, "skip": True}, {}])
def test_transcoders_there_and_back(tmp_path, name, changes):
    features = features_of(name, "3.mlp.out", **changes)
    write_saelens(features, tmp_path / "sae")
    found = read_saelens(tmp_path / "sae").features
    x = numbers(30, 12)
    for ours, theirs in zip(
        computed(features.autoencoder, x), computed(found.autoencoder, x), strict=True
    ):
        torch.testing.assert_close(theirs, ours, rtol=2e-6, atol=2e-6)
    described = json.loads((tmp_path / "sae" / "cfg.json").read_text())
    assert described["d_out"] == changes.get("d_out", 12)
    assert described["metadata"]["hook_name_out"] == "blocks.3.hook_mlp_out"


def test_one_threshold_is_written_as_sae_lens_compares_it(tmp_path):
    features = features_of("batchtopk")
    write_saelens(features, tmp_path / "sae")
    tensors = load_file(tmp_path / "sae" / "sae_weights.safetensors")
    theta = features.autoencoder.state_dict()["threshold"].item()
    written = tensors["threshold"]
    # Ours is active from it on, theirs above what is written.
    assert bool((written < theta).all())
    assert torch.equal(torch.nextafter(written, torch.tensor(math.inf)), torch.full((40,), theta))


def test_hooks_by_the_model(tmp_path):
    config = build("gemma2", torch.float32).config
    features = replace(features_of("topk"), reads=("1.mlp.raw",), writes=("1.mlp.raw",))
    with pytest.raises(SiteError, match="name the model"):
        write_saelens(features, tmp_path / "one")
    write_saelens(features, tmp_path / "one", config=config)
    described = json.loads((tmp_path / "one" / "cfg.json").read_text())
    assert described["metadata"]["hook_name"] == "blocks.1.mlp.out.hook_out"
    folder = write_folder(tmp_path / "two", cfg("standard"), parts())
    with pytest.raises(SiteError, match="no site"):
        read_saelens(folder, Placing(config=config))  # it has not so many layers
    with pytest.raises(ConfigError, match=f"read {D} numbers, and 0.resid_post of this model has"):
        read_saelens(folder, Placing(config=config, reads="0.resid_post"))


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "temporal"}, "'temporal' is not read"),
        ({"architecture": "matching_pursuit"}, "'matching_pursuit' is not read"),
        ({"architecture": "abstopk"}, "'abstopk' is not read"),
        ({"architecture": 7}, "architecture is 7, expected a line"),
        ({"normalize_activations": "layer_norm"}, "layer_norm: every row is centred"),
        ({"normalize_activations": "constant_norm_rescale"}, "every row is brought to one length"),
        ({"normalize_activations": "covariance_whitening"}, "multiplied by a matrix"),
        ({"reshape_activations": "hook_z"}, "and its hook is not hook_z"),
        ({"reshape_activations": "flat"}, "reshape_activations is 'flat'"),
        ({"hook_head_index": 3}, "reads one head"),
        ({"activation_fn": "tanh-relu"}, "activation_fn is 'tanh-relu'"),
        ({"activation_fn": "topk"}, "has no k"),
        ({"d_in": D + 1}, f"d_in is {D + 1}, and its tensors say {D}"),
        ({"d_sae": 10**12}, f"d_sae is {10**12}, and its tensors say {F}"),
        ({"d_sae": -1}, "d_sae is -1, expected a whole number"),
        ({"d_sae": True}, "d_sae is True, expected a whole number"),
        ({"apply_b_dec_to_input": "no"}, "expected true or false"),
        ({"architecture": "topk", "k": F + 1}, f"k is {F + 1}, expected 1 to"),
        ({"architecture": "topk", "k": "4"}, "k is '4', expected a whole number"),
        ({"metadata": [1]}, "metadata is no JSON object"),
        ({"metadata": {"sae_lens_version": "6.54.12"}}, "names no hook_name"),
    ],
)
def test_what_ours_cannot_compute_or_is_nonsense_is_named(tmp_path, changes, said):
    described = {**cfg("standard"), **changes}
    folder = write_folder(tmp_path / "sae", described, parts())
    with pytest.raises(CheckpointError, match=said):
        read_saelens(folder)


def test_damaged_files_are_named(tmp_path):
    p = parts()
    folder = write_folder(tmp_path / "sae", cfg("standard"), p)

    def refused(said: str, tensors: dict | None = None) -> None:
        if tensors is not None:
            write_folder(folder, cfg("standard"), tensors)
        with pytest.raises(CheckpointError, match=said):
            read_saelens(folder)

    others = {("extra" if name == "b_dec" else name): value for name, value in p.items()}
    refused("lacks b_dec and has extra, which", others)
    refused("w_dec is 10 by 28 .* expected 28 by 10", {**p, "W_dec": p["W_dec"].T})
    refused("W_enc is no matrix", {**p, "W_enc": p["b_enc"]})
    refused("b_enc is 27 .* expected 28", {**p, "b_enc": p["b_enc"][1:]})
    refused("expected 28 by 1 beside", {**p, "b_dec": torch.tensor(1.0)})
    for bad in (math.nan, math.inf):
        refused("not finite in w_enc", {**p, "W_enc": p["W_enc"] * bad})
    refused("scaling_factor, .* not all ones", {**p, "scaling_factor": 2 * torch.ones(F)})
    write_folder(folder, cfg("standard"), p)
    weights = folder / "sae_weights.safetensors"
    raw = weights.read_bytes()
    for length in range(0, len(raw), 97):
        weights.write_bytes(raw[:length])
        refused("sae_weights.safetensors")
    weights.write_bytes(raw)
    for text in ('{"d_in": 1, "d_in": 2}', "[" * 100_000, "[]", "\xff", '{"d_in": NaN, '):
        (folder / "cfg.json").write_text(text, encoding="latin-1")
        refused("cfg.json")


def test_a_description_is_bounded_and_no_pipe(tmp_path):
    folder = write_folder(tmp_path / "sae", cfg("standard"), parts())
    (folder / "cfg.json").write_bytes(b" " * (5 << 20))
    with pytest.raises(CheckpointError, match="at most 4194304 are read"):
        read_saelens(folder)
    (folder / "cfg.json").unlink()
    os.mkfifo(folder / "cfg.json")
    with pytest.raises(CheckpointError, match="no regular file"):
        read_saelens(folder)


def test_names_in_files_are_shown_without_their_control_characters(tmp_path):
    hostile = {"model_name": "gpt2\x1b[2J", "hook_name": "blocks.3.hook_resid_post"}
    folder = write_folder(tmp_path / "sae", cfg("standard", metadata=hostile), parts())
    assert read_saelens(folder).features.model == "gpt2\\x1b[2J"
    described = cfg("standard", metadata={"hook_name": "../../etc/passwd"})
    write_folder(folder, described, parts())
    with pytest.raises(SiteError, match="depends on the model"):
        read_saelens(folder)


def test_what_sae_lens_has_no_form_for_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="transcoder by topk"):
        write_saelens(features_of("topk", "3.mlp.out"), tmp_path / "sae")
    two = Features(made("topk").float(), ("1.resid_post", "2.resid_post"), ("2.resid_post",))
    with pytest.raises(CheckpointError, match="reads 2 sites and writes 1"):
        write_saelens(two, tmp_path / "sae")
    assert not (tmp_path / "sae").exists()
    write_saelens(features_of("topk"), tmp_path / "sae")
    with pytest.raises(CheckpointError, match="has files in it"):
        write_saelens(features_of("topk"), tmp_path / "sae")
    write_saelens(features_of("relu"), tmp_path / "sae", overwrite=True)
    assert read_saelens(tmp_path / "sae").features.settings.architecture == "relu"
