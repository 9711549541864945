"""Folders of SAELens, read: `cfg.json` and `sae_weights.safetensors`.

    found = read_saelens("gpt2-small/blocks.8.hook_resid_pre")

Both forms of the description are read, the flat one (before version 6) and the one with `metadata`.
Codes and outputs are those of sae-lens. What scales all inputs by one factor is put into the
weights; what treats every row by its own length cannot be, and is refused. Layout: sae-lens 6.54,
`saes/*.py` and `loading/pretrained_sae_loaders.py`. `saelens_writing.py` writes them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.raw_file import printable
from molehill.errors import CheckpointError
from molehill.features.foreign import (
    Found,
    Placing,
    Weights,
    check_weights,
    flag,
    placed,
    read_json,
    read_weights,
    text,
    whole,
)

__all__ = ["CONFIG_NAME", "KINDS", "WEIGHTS_NAME", "Kind", "neighbour", "read_saelens"]

CONFIG_NAME = "cfg.json"
WEIGHTS_NAME = "sae_weights.safetensors"

_FACTOR_NAME = "activation_scaler.json"
_PLAIN_NAMES = {"W_enc", "b_enc", "W_dec", "b_dec"}
_RENAMED = {"hook_point": "hook_name", "activation_fn_str": "activation_fn"}


@dataclass(frozen=True)
class Kind:
    """An architecture of theirs."""

    ours: str
    tensors: frozenset[str]
    transcodes: bool = False


def _kind(ours: str, *more: str, transcodes: bool = False) -> Kind:
    return Kind(ours, frozenset(_PLAIN_NAMES | set(more)), transcodes)


KINDS = {
    "standard": _kind("relu"),
    "topk": _kind("topk"),
    "jumprelu": _kind("jumprelu", "threshold"),
    "batchtopk": _kind("batchtopk", "topk_threshold"),
    "matryoshka_batchtopk": _kind("matryoshka", "topk_threshold"),
    "gated": Kind("gated", frozenset({"W_enc", "b_gate", "b_mag", "r_mag", "W_dec", "b_dec"})),
    "transcoder": _kind("relu", transcodes=True),
    "skip_transcoder": _kind("relu", "W_skip", transcodes=True),
    "jumprelu_transcoder": _kind("jumprelu", "threshold", transcodes=True),
    "jumprelu_skip_transcoder": _kind("jumprelu", "threshold", "W_skip", transcodes=True),
}
"""By their names."""
_NO_FACTOR = {
    "constant_norm_rescale": "every row is brought to one length",
    "layer_norm": "every row is centred and scaled by its own spread",
    "covariance_whitening": "rows are multiplied by a matrix that is kept elsewhere",
}


def read_saelens(folder: str | os.PathLike[str], placing: Placing | None = None) -> Found:
    """Features from a folder of SAELens.

    Args:
        folder: with `cfg.json` and `sae_weights.safetensors`.
        placing: what the caller knows; `scale` is the factor of `expected_average_only_in`, where
            the folder does not have it in `activation_scaler.json`.

    Raises:
        CheckpointError: damaged or hostile files, contradictions, or an autoencoder that computes
            what ours do not: the message says what.
        SiteError, ConfigError: its place is not one of the model's.
    """
    folder, placing = Path(folder), placing or Placing()
    path = folder / CONFIG_NAME
    cfg = _flat(read_json(path), path)
    kind = _checked(cfg, path)
    # `scaling_factor` was written for some time, and all ones; others are refused.
    tensors = read_weights(folder / WEIGHTS_NAME, set(kind.tensors), {"scaling_factor"})
    _check_scaling(tensors, path)
    weights = _weights(kind, cfg, tensors, path)
    _compare(weights, cfg, path)
    weights, folded = _folded(weights, cfg, folder, placing.scale)
    kept = cfg.get("molehill")
    kept = kept if isinstance(kept, dict) else {}
    weights = _as_trained(weights, kept)
    model = text(cfg, "model_name", path)
    features = placed(
        weights,
        path,
        placing,
        hook=lambda: _hooks(cfg, kept, path),
        name=text(kept, "name", path, printable(folder.resolve().name) or "features"),
        model=model,
        provenance=_provenance(cfg, kept),
    )
    fingerprint = kept.get("fingerprint")
    if isinstance(fingerprint, str) and len(fingerprint) <= 128:
        features = replace(features, fingerprint=fingerprint)
    return Found(features, "SAELens", tuple(folded))


def _flat(given: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """One form of both descriptions: `metadata` beside the rest, old names renewed."""
    metadata = given.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{printable(str(path))}: metadata is no JSON object.")
    cfg = {_RENAMED.get(key, key): value for key, value in {**metadata, **given}.items()}
    extra = cfg.get("activation_fn_kwargs")
    if cfg.get("activation_fn") == "topk" and isinstance(extra, dict) and "k" in extra:
        cfg |= {"architecture": "topk", "k": extra["k"]}
    cfg["architecture"] = cfg.get("architecture") or "standard"
    normalised = cfg.get("normalize_activations")
    if isinstance(normalised, bool):
        normalised = "expected_average_only_in" if normalised else "none"
    cfg["normalize_activations"] = normalised or "none"
    return cfg


def _checked(cfg: Mapping[str, Any], path: Path) -> Kind:
    """The architecture, if all that the description asks for can be held."""
    name = text(cfg, "architecture", path)
    if name not in KINDS:
        raise CheckpointError(
            f"{printable(str(path))}: the architecture {name!r} is not read; what is read: "
            f"{', '.join(KINDS)}."
        )
    kind = KINDS[name]
    activation = text(cfg, "activation_fn", path, "relu")
    if activation not in ("relu", "topk", "jumprelu"):
        raise _refused(path, f"activation_fn is {activation!r}, and relu or topk are known")
    if activation == "topk" and name != "topk":
        raise _refused(path, "activation_fn is topk, and activation_fn_kwargs has no k")
    shape = text(cfg, "reshape_activations", path, "none")
    of_heads = text(cfg, "hook_name", path).endswith((".hook_z", ".attn.o.hook_in"))
    # Without a word the flat form joins the heads of hook_z, as sae-lens does on reading it.
    if shape not in ("none", "hook_z") or (shape == "hook_z") > of_heads:
        raise _refused(path, f"reshape_activations is {shape!r}, and its hook is not hook_z")
    if shape == "none" and of_heads and "reshape_activations" in cfg:
        raise _refused(path, "it reads every head's vector by itself, and not all side by side")
    if cfg.get("hook_head_index") is not None:
        raise _refused(path, "it reads one head (hook_head_index), which no site of ours is")
    normalised = text(cfg, "normalize_activations", path, "none")
    if normalised in _NO_FACTOR:
        raise _refused(
            path,
            f"normalize_activations is {normalised}: {_NO_FACTOR[normalised]}, which no weights "
            "can stand for",
        )
    if normalised not in ("none", "expected_average_only_in"):
        raise _refused(path, f"normalize_activations is {normalised!r}, which is not known")
    if kind.transcodes and flag(cfg, "apply_b_dec_to_input", path, False):
        raise _refused(path, "a transcoder cannot take its output's bias from its input")
    return kind


def _refused(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(f"{printable(str(path))}: cannot be read as it computes: {reason}.")


def _check_scaling(tensors: Mapping[str, Tensor], path: Path) -> None:
    factors = tensors.get("scaling_factor")
    if factors is not None and not torch.allclose(factors, torch.ones_like(factors)):
        raise _refused(path, "its scaling_factor, from before version 6, is not all ones")


def _weights(
    kind: Kind, cfg: Mapping[str, Any], tensors: Mapping[str, Tensor], path: Path
) -> Weights:
    """In our orientation, and with the choice of features by plain pre-activations."""
    if tensors["W_enc"].ndim != 2:
        raise _refused(path, "W_enc is no matrix")
    gated = kind.ours == "gated"
    threshold = tensors.get("threshold", tensors.get("topk_threshold"))
    if threshold is not None and kind.ours != "jumprelu" and threshold.numel() == 1:
        threshold = threshold.reshape(())
    k = None
    if kind.ours in ("topk", "batchtopk", "matryoshka"):
        # BatchTopK's k is an average there, and need not be whole.
        given = cfg.get("k", 100)
        k = given if isinstance(given, int) or kind.ours == "topk" else _rounded(given, path)
        k = whole({"k": k}, "k", path)
    weights = Weights(
        kind.ours,
        tensors["W_enc"].T,
        tensors["b_gate" if gated else "b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        w_skip=tensors.get("W_skip"),
        threshold=threshold,
        log_ratio=tensors.get("r_mag"),
        b_mag=tensors.get("b_mag"),
        centred=not kind.transcodes and flag(cfg, "apply_b_dec_to_input", path, True),
        k=k,
        prefixes=_prefixes(cfg, tensors["W_dec"], path) if kind.ours == "matryoshka" else (),
    )
    check_weights(weights, path)
    return weights


def _rounded(given: Any, path: Path) -> Any:
    return max(1, round(given)) if isinstance(given, float) and 0 < given < 1e9 else given


def _prefixes(cfg: Mapping[str, Any], w_dec: Tensor, path: Path) -> tuple[int, ...]:
    """The nested widths; the last one is all features, and may be left out."""
    given = cfg.get("matryoshka_widths") or []
    if not isinstance(given, list) or len(given) > 1000:
        raise _refused(path, "matryoshka_widths is no list of numbers")
    widths = [whole({"matryoshka_widths": each}, "matryoshka_widths", path) for each in given]
    if widths and widths[-1] < len(w_dec):
        widths.append(len(w_dec))
    return tuple(widths)


def _compare(weights: Weights, cfg: Mapping[str, Any], path: Path) -> None:
    """The description's sizes against the tensors'."""
    n_features, d_in = weights.w_enc.shape
    found = {"d_in": d_in, "d_sae": n_features}
    found["d_out"] = weights.w_dec.shape[1]
    for key, size in found.items():
        if key in cfg and (said := whole(cfg, key, path)) != size:
            raise CheckpointError(
                f"{printable(str(path))}: {key} is {said}, and its tensors say {size}."
            )


def _folded(
    weights: Weights, cfg: Mapping[str, Any], folder: Path, scale: float | None
) -> tuple[Weights, list[str]]:
    """The factor of the inputs, and the lengths of the decoder's rows, put into the weights."""
    path, folded = folder / CONFIG_NAME, []
    rescaled = flag(cfg, "rescale_acts_by_decoder_norm", path, False)
    if cfg["normalize_activations"] == "expected_average_only_in":
        if weights.w_skip is not None or KINDS[cfg["architecture"]].transcodes:
            raise _refused(path, "a transcoder's output has a factor of its own, which is not kept")
        factor = _factor(folder, scale)
        weights = _scaled(weights, factor, rescaled)
        folded.append(f"inputs were multiplied with {factor:.6g}: put into the weights")
    if rescaled:
        weights = _unit_rows(weights)
        folded.append("rescale_acts_by_decoder_norm: the rows' lengths are put into the encoder")
    if weights.architecture in ("batchtopk", "matryoshka") and weights.threshold is not None:
        # Theirs is active above it, ours from it on.
        weights = replace(weights, threshold=neighbour(weights.threshold.clamp(min=0), torch.inf))
    return weights, folded


def _factor(folder: Path, scale: float | None) -> float:
    """What inputs were multiplied with in training."""
    path = folder / _FACTOR_NAME
    found: Any = scale
    if found is None and path.exists():
        found = read_json(path).get("scaling_factor")
    if found is None:
        raise CheckpointError(
            f"{printable(str(folder))}: was trained on inputs multiplied with one factor "
            f"(expected_average_only_in), and has no {_FACTOR_NAME} that says which: give the "
            "factor, √d over the mean length of the model's vectors there."
        )
    if not isinstance(found, int | float) or not 1e-9 < found < 1e9:
        raise CheckpointError(
            f"{printable(str(folder))}: the inputs' factor is {printable(repr(found), 40)}, "
            "expected a number above zero."
        )
    return float(found)


def _scaled(weights: Weights, factor: float, rescaled: bool) -> Weights:
    """For inputs as the model has them. Values stay, unless the rows' lengths are in them."""
    theta = weights.threshold
    if theta is not None and rescaled:
        theta = theta / factor
    return replace(
        weights,
        w_enc=weights.w_enc * factor,
        w_dec=weights.w_dec / factor,
        b_dec=weights.b_dec / factor,
        threshold=theta,
    )


def _unit_rows(weights: Weights) -> Weights:
    """Features chosen by h times the length of their row: the same with rows of length one."""
    lengths = weights.w_dec.norm(dim=1)
    return replace(
        weights,
        w_enc=weights.w_enc * lengths[:, None],
        b_enc=weights.b_enc * lengths,
        w_dec=weights.w_dec / lengths.clamp(min=1e-30)[:, None],
    )


def _as_trained(weights: Weights, kept: Mapping[str, Any]) -> Weights:
    """BatchTopK again, where we wrote it as JumpReLU with one threshold for all."""
    name, theta = kept.get("architecture"), weights.threshold
    if name not in ("batchtopk", "matryoshka") or weights.architecture != "jumprelu":
        return weights
    assert theta is not None, "JumpReLU comes with its thresholds"
    if not len(theta) or not bool((theta == theta[0]).all()):
        return weights
    k, prefixes = kept.get("k"), kept.get("prefixes")
    if type(k) is not int or not isinstance(prefixes, list):
        return weights
    return replace(
        weights,
        architecture=str(name),
        threshold=neighbour(theta[0].clamp(min=0), torch.inf),
        k=k,
        prefixes=tuple(each for each in prefixes if type(each) is int),
    )


def neighbour(theta: Tensor, toward: float) -> Tensor:
    """The neighbouring number of a threshold; zero stays, where both mean "above zero"."""
    return torch.nextafter(theta, torch.full_like(theta, toward)) if theta > 0 else theta


def _hooks(cfg: Mapping[str, Any], kept: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """The hooks that it reads and writes; sites where we wrote the folder."""
    reads = kept.get("reads") or cfg.get("hook_name")
    writes = kept.get("writes") or cfg.get("hook_name_out")
    given = {"hook_name": reads, "hook_name_out": writes}
    reads = text(given, "hook_name", path)
    if not reads:
        raise CheckpointError(f"{printable(str(path))}: names no hook_name; name the site.")
    return reads, text(given, "hook_name_out", path) or reads


def _provenance(cfg: Mapping[str, Any], kept: Mapping[str, Any]) -> dict[str, Any]:
    """Ours, where we wrote the folder; else what the description says, as far as it is plain."""
    ours = kept.get("provenance")
    if isinstance(ours, dict):
        return ours
    facts = {
        printable(key, 60): printable(value, 200) if isinstance(value, str) else value
        for key, value in cfg.items()
        if isinstance(value, str | int | float | bool)
    }
    return {"read_from": "SAELens", "theirs": facts}
