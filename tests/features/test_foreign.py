"""Gemma Scope, sparsify, circuit-tracer and dictionary_learning: each layout built as its own
documentation says, against a dense formula; and files that lie."""

from __future__ import annotations

import io
import json
import math
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from tests.features.layouts import (
    OUT,
    D,
    F,
    K,
    agree,
    cfg,
    inputs,
    numbers,
    parts,
    thresholds,
    top,
    write_folder,
)
from tests.trace.small_families import build

from molehill.errors import CheckpointError, SiteError
from molehill.features.foreign import Placing
from molehill.features.formats import agreement, read_features
from molehill.features.trained import save_features

# --- Gemma Scope ----------------------------------------------------------------------------------


def scope(d_out: int = D) -> dict[str, np.ndarray]:
    p = parts(d_out)
    named = {"w_enc": p["W_enc"], "w_dec": p["W_dec"], "b_enc": p["b_enc"], "b_dec": p["b_dec"]}
    return {name: value.numpy() for name, value in {**named, "threshold": thresholds()}.items()}


def test_gemma_scopes_npz(tmp_path):
    p, x = parts(), inputs()
    folder = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82"
    folder.mkdir(parents=True)
    np.savez(folder / "params.npz", **scope())
    h = x @ p["W_enc"] + p["b_enc"]
    codes = h.relu() * (h > thresholds())
    for path in (folder, folder / "params.npz"):
        found = read_features(path)
        agree(found.features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])
        assert (found.layout, found.features.reads) == ("Gemma Scope", ("12.resid_post",))
    np.savez_compressed(folder / "params.npz", **scope())
    agree(read_features(folder).features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])


def test_gemma_scopes_second_release_with_a_skip(tmp_path):
    p, x, skip = parts(OUT), inputs(), numbers(D, OUT, seed=7)
    tensors = {name: torch.from_numpy(value) for name, value in scope(OUT).items()}
    save_file(tensors | {"affine_skip_connection": skip}, tmp_path / "params.safetensors")
    with pytest.raises(CheckpointError, match="neither the file nor its path says"):
        read_features(tmp_path)
    features = read_features(tmp_path, Placing(reads="4.mlp.in", writes="4.mlp.out")).features
    h = x @ p["W_enc"] + p["b_enc"]
    codes = h.relu() * (h > thresholds())
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"] + x @ skip)
    assert (features.reads, features.writes) == (("4.mlp.in",), ("4.mlp.out",))


def test_cross_layer_transcoders_are_refused(tmp_path):
    tensors = {name: torch.from_numpy(value) for name, value in scope().items()}
    tensors["w_dec"] = torch.zeros(F, 3, D)
    save_file(tensors, tmp_path / "params.safetensors")
    with pytest.raises(CheckpointError, match="cross-layer transcoder"):
        read_features(tmp_path)
    save_file({"W_enc_0": torch.zeros(2, 2)}, tmp_path / "W_enc_0.safetensors")
    with pytest.raises(CheckpointError, match="cross-layer transcoder"):
        read_features(tmp_path / "W_enc_0.safetensors")


def archive(path, arrays: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", kind) as made:
        for name, raw in arrays.items():
            made.writestr(f"{name}.npy", raw)


def as_npy(array: np.ndarray, **how) -> bytes:
    raw = io.BytesIO()
    np.save(raw, array, **how)
    return raw.getvalue()


def test_npz_files_that_lie(tmp_path):
    path, good = tmp_path / "params.npz", {name: as_npy(value) for name, value in scope().items()}

    def refused(said: str) -> None:
        with pytest.raises(CheckpointError, match=said):
            read_features(path, Placing(reads="1.resid_post"))

    archive(path, good)
    assert read_features(path, Placing(reads="1.resid_post")).features.n_features == F
    raw = path.read_bytes()
    for length in range(0, len(raw), 131):
        path.write_bytes(raw[:length])
        refused(r"params\.npz")
    objects = as_npy(np.array([{"a": 1}], dtype=object), allow_pickle=True)
    archive(path, {**good, "b_dec": objects})
    refused("holds object, expected floats")
    archive(path, {**good, "b_dec": as_npy(np.arange(D))})
    refused("holds int64, expected floats")
    huge = good["w_enc"].replace(f"({D}, {F})".encode(), f"({D}, 9{F})".encode())
    archive(path, {**good, "w_enc": huge})
    refused("has not the")
    archive(path, {**good, "w_enc": bytes(1 << 26)}, zipfile.ZIP_DEFLATED)
    refused("claim to unpack to")
    archive(path, {name: value for name, value in good.items() if name != "threshold"})
    refused("lacks threshold")
    archive(path, {**good, "../../evil": b""})
    refused("evil, which does not belong there")
    archive(path, {**good, "b_dec": as_npy(np.full(D, np.nan, dtype=np.float32))})
    refused("not finite in b_dec")
    path.write_bytes(b"")
    refused("damaged")


# --- sparsify -------------------------------------------------------------------------------------


def sparsify(folder, tensors=None, **changes):
    p = parts()
    tensors = {
        "encoder.weight": p["W_enc"].T,
        "encoder.bias": p["b_enc"],
        "W_dec": p["W_dec"],
        "b_dec": p["b_dec"],
        **(tensors or {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    described = {"d_in": D, "k": K, "num_latents": F, "expansion_factor": 32, **changes}
    (folder / "cfg.json").write_text(json.dumps(described))
    save_file(
        {name: value.contiguous() for name, value in tensors.items()}, folder / "sae.safetensors"
    )
    return folder


def test_sparsify_autoencoders_take_their_bias_from_the_input(tmp_path):
    p, x = parts(), inputs()
    folder = sparsify(tmp_path / "layers.5", activation="topk", transcode=False)
    (tmp_path / "config.json").write_text(json.dumps({"model": "EleutherAI/pythia-160m"}))
    features = read_features(folder).features
    codes = top((x - p["b_dec"]) @ p["W_enc"] + p["b_enc"])
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])
    assert (features.reads, features.model) == (("5.resid_post",), "EleutherAI/pythia-160m")


def test_sparsify_transcoders_do_not_and_may_skip(tmp_path):
    p, x, skip = parts(), inputs(), numbers(D, D, seed=7)
    changes = {"transcode": True, "skip_connection": True}
    folder = sparsify(tmp_path / "layers.1.mlp", {"W_skip": skip}, **changes)
    with pytest.raises(SiteError, match="depends on the model"):
        read_features(folder)
    places = Placing(reads="1.mlp.in", writes="1.mlp.out")
    features = read_features(folder, places).features
    codes = top(x @ p["W_enc"] + p["b_enc"])
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"] + x @ skip.T)


def test_where_a_module_ends_depends_on_the_model(tmp_path):
    for family, writes in {"llama": "1.mlp.out", "gemma2": "1.mlp.raw"}.items():
        config = build(family, torch.float32).config
        width = config.d_model
        sizes = {"encoder.weight": (F, width), "W_dec": (F, width), "b_dec": (width,)}
        tensors = {name: numbers(*shape) for name, shape in sizes.items()}
        folder = sparsify(tmp_path / family / "layers.1.mlp", tensors, transcode=True, d_in=width)
        features = read_features(folder, Placing(config=config)).features
        assert (features.reads, features.writes) == (("1.mlp.in",), (writes,))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": "groupmax"}, "its activation is groupmax"),
        ({"signed": True}, "its activation is signed TopK"),
        ({"k": 0}, "k is 0"),
        ({"k": F + 1}, f"k is {F + 1}"),
    ],
)
def test_what_sparsify_has_and_ours_has_not(tmp_path, changes, said):
    with pytest.raises(CheckpointError, match=said):
        read_features(sparsify(tmp_path / "layers.0", **changes))


def test_a_folder_with_another_name_needs_a_site(tmp_path):
    with pytest.raises(CheckpointError, match=r"not layers\.N"):
        read_features(sparsify(tmp_path / "mine"))
    placing = Placing(reads="0.resid_post")
    assert read_features(sparsify(tmp_path / "mine"), placing).features.reads == ("0.resid_post",)


# --- circuit-tracer -------------------------------------------------------------------------------


def transcoder(path, **more):
    p = parts(OUT)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {**p, "W_enc": p["W_enc"].T, **more}
    save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    return path


@pytest.mark.parametrize("kind", ["relu", "jumprelu", "one threshold"])
def test_transcoders_of_circuit_tracer(tmp_path, kind):
    p, x, skip = parts(OUT), inputs(), numbers(OUT, D, seed=7)
    theta = torch.tensor([0.6]) if kind == "one threshold" else thresholds()
    more = {"W_skip": skip}
    if kind != "relu":
        more["activation_function.threshold"] = theta
    path = transcoder(tmp_path / "layer_7.safetensors", **more)
    lines = [
        'model_name: "Qwen/Qwen3-0.6B"  # the model',
        "model_kind: transcoder_set",
        "feature_input_hook: mlp.hook_in",
        "feature_output_hook: 'hook_mlp_out'",
        "transcoders:",
        "  - hf://someone/else",
    ]
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    features = read_features(path).features
    h = x @ p["W_enc"] + p["b_enc"]
    codes = h.relu() if kind == "relu" else h * (h > theta)
    agree(features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"] + x @ skip.T)
    assert (features.reads, features.writes) == (("7.mlp.in",), ("7.mlp.out",))
    assert features.model == "Qwen/Qwen3-0.6B"


def test_transcoders_without_their_configuration_and_with_negative_thresholds(tmp_path):
    path = transcoder(tmp_path / "layer_7.safetensors")
    with pytest.raises(CheckpointError, match="name both sites"):
        read_features(path)
    with pytest.raises(CheckpointError, match="name one of its files"):
        read_features(tmp_path)
    theta = {"activation_function.threshold": -thresholds()}
    with pytest.raises(CheckpointError, match="thresholds below zero"):
        read_features(transcoder(tmp_path / "layer_8.safetensors", **theta))


# --- dictionary_learning --------------------------------------------------------------------------


def dictionary(folder, name: str, tensors) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    described = {"trainer": {"dict_class": name, "k": K, "lm_name": "EleutherAI/pythia-70m"}}
    (folder / "config.json").write_text(json.dumps(described))
    tensors = {key: value.contiguous() for key, value in tensors.items()}
    save_file(tensors, folder / "model.safetensors")


@pytest.mark.parametrize(
    "name", ["AutoEncoder", "AutoEncoderTopK", "BatchTopKSAE", "MatryoshkaBatchTopKSAE"]
)
def test_converted_files_of_dictionary_learning(tmp_path, name):
    p, x, theta = parts(), inputs(), 0.7
    tensors = {"encoder.weight": p["W_enc"].T, "decoder.weight": p["W_dec"].T}
    tensors |= {"encoder.bias": p["b_enc"]}
    tensors["bias" if name == "AutoEncoder" else "b_dec"] = p["b_dec"]
    extra = {"k": torch.tensor(K, dtype=torch.int32), "threshold": torch.tensor(theta)}
    if name == "MatryoshkaBatchTopKSAE":
        tensors = p | {"group_sizes": torch.tensor([7, F - 7])}
    dictionary(tmp_path, name, tensors | ({} if name == "AutoEncoder" else extra))
    found = read_features(tmp_path, Placing(reads="2.resid_post"))
    h = (x - p["b_dec"]) @ p["W_enc"] + p["b_enc"]
    codes = {"AutoEncoder": h.relu(), "AutoEncoderTopK": top(h)}.get(name, h * (h > theta))
    agree(found.features.autoencoder, codes, codes @ p["W_dec"] + p["b_dec"])
    assert found.features.model == "EleutherAI/pythia-70m"
    if name == "MatryoshkaBatchTopKSAE":
        assert found.features.settings.prefixes == (7, F)


def test_pickles_are_refused_with_what_to_do(tmp_path):
    marker = tmp_path / "marker"
    (tmp_path / "ae.pt").write_bytes(b"cposix\nsystem\n(S'touch %s'\ntR." % bytes(marker))
    (tmp_path / "config.json").write_text("{}")
    for path in (tmp_path, tmp_path / "ae.pt"):
        with pytest.raises(CheckpointError, match=r"is a pickle.*convert it.*model\.safetensors"):
            read_features(path)
    assert not marker.exists()


# --- which layout ---------------------------------------------------------------------------------


def test_our_own_file_and_what_is_nothing(tmp_path):
    folder = write_folder(tmp_path / "sae", cfg("standard"), parts())
    features = read_features(folder).features
    assert read_features(folder / "sae_weights.safetensors").layout == "SAELens"
    save_features(features, tmp_path / "ours.safetensors")
    found = read_features(tmp_path / "ours.safetensors")
    assert (found.layout, found.features.reads) == ("Molehill", ("3.resid_post",))
    assert agreement(features.autoencoder, found.features.autoencoder).relative == 0
    with pytest.raises(CheckpointError, match="there is no such file"):
        read_features(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name in ("empty", "other.safetensors"):
        with pytest.raises(CheckpointError, match=r"is not known\. What is read: a file"):
            read_features(tmp_path / name)


def test_agreement_finds_a_difference_and_its_size(tmp_path):
    folder = write_folder(tmp_path / "sae", cfg("standard"), parts())
    first, second = (read_features(folder).features.autoencoder for _ in range(2))
    same = agreement(first, second)
    assert (same.codes_apart, same.outputs_apart, same.rows) == (0, 0, 64)
    assert same.active > 4
    with torch.no_grad():
        second.b_enc[3] += 0.5
        second.b_dec[0] += 2
    apart = agreement(first, second)
    assert math.isclose(apart.codes_apart, 0.5, rel_tol=1e-5) or apart.codes_apart > 0.5
    assert apart.outputs_apart > 1
    assert apart.relative > 1e-2
