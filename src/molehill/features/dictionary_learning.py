"""Autoencoders of dictionary_learning, once their pickle `ae.pt` was converted to safetensors.

A pickle is a program, and is refused with the command that converts it; the result,
`model.safetensors` beside `config.json`, is read here: ReLU, TopK, BatchTopK, Matryoshka, Gated and
JumpReLU. `config.json` names the class under `trainer`. Layout: dictionary_learning 0.1,
`dictionary.py` and `trainers/*.py`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.pickles import pickle_error
from molehill.checkpoints.raw_file import printable
from molehill.errors import CheckpointError
from molehill.features.foreign import (
    Found,
    Placing,
    Weights,
    placed,
    read_json,
    read_weights,
    text,
    whole,
)

__all__ = ["PICKLE_NAME", "read_dictionary_learning"]

PICKLE_NAME = "ae.pt"

_WEIGHTS_NAME = "model.safetensors"
_LINEAR = {"encoder.weight", "decoder.weight"}


@dataclass(frozen=True)
class _Kind:
    ours: str
    needed: frozenset[str]
    allowed: frozenset[str] = frozenset()


_RANKED = _Kind("topk", frozenset({*_LINEAR, "encoder.bias", "b_dec"}), frozenset({"k"}))
_MATRICES = {"W_enc", "W_dec", "b_enc", "b_dec"}
_KINDS = {
    "AutoEncoder": _Kind("relu", frozenset({*_LINEAR, "encoder.bias", "bias"})),
    "AutoEncoderTopK": _Kind("topk", _RANKED.needed, frozenset({"k", "threshold"})),
    "BatchTopKSAE": _Kind("batchtopk", _RANKED.needed | {"threshold"}, frozenset({"k"})),
    "MatryoshkaBatchTopKSAE": _Kind(
        "matryoshka", frozenset({*_MATRICES, "threshold"}), frozenset({"k", "group_sizes"})
    ),
    "GatedAutoEncoder": _Kind(
        "gated", frozenset({*_LINEAR, "r_mag", "gate_bias", "mag_bias", "decoder_bias"})
    ),
    "JumpReluAutoEncoder": _Kind("jumprelu", frozenset({*_MATRICES, "threshold"})),
}


def read_dictionary_learning(
    folder: str | os.PathLike[str], placing: Placing | None = None
) -> Found:
    """Features from a folder with `config.json` and the converted weights.

    Args:
        placing: the sites: names in these folders are those of modules, which are not looked up.

    Raises:
        CheckpointError: only the pickle is there; damaged or hostile files; another class.
        SiteError, ConfigError: its place is not one of the model's.
    """
    folder, placing = Path(folder), placing or Placing()
    if not (folder / _WEIGHTS_NAME).exists() and (folder / PICKLE_NAME).exists():
        raise pickle_error(folder / PICKLE_NAME)
    path = folder / "config.json"
    config = read_json(path)
    trainer = config.get("trainer")
    trainer = trainer if isinstance(trainer, dict) else {}
    name = text(trainer, "dict_class", path)
    if name not in _KINDS:
        raise CheckpointError(
            f"{printable(str(path))}: dict_class is {name!r}; what is read: {', '.join(_KINDS)}."
        )
    kind = _KINDS[name]
    tensors = read_weights(folder / _WEIGHTS_NAME, set(kind.needed), set(kind.allowed))
    features = placed(
        _weights(kind, tensors, trainer, path),
        folder / _WEIGHTS_NAME,
        placing,
        hook=lambda: _no_hooks(path),
        name=printable(folder.resolve().name) or "features",
        model=text(trainer, "lm_name", path),
        provenance={"read_from": "dictionary_learning", "class": name},
    )
    return Found(features, "dictionary_learning")


def _weights(
    kind: _Kind, tensors: Mapping[str, Tensor], trainer: Mapping[str, Any], path: Path
) -> Weights:
    for name in _LINEAR | {"W_enc", "W_dec"}:
        if name in tensors and tensors[name].ndim != 2:
            raise CheckpointError(f"{printable(str(path))}: {name} is no matrix.")
    matrices = "W_enc" in tensors
    ranked = kind.ours in ("topk", "batchtopk", "matryoshka")
    b_dec = next(tensors[key] for key in ("b_dec", "bias", "decoder_bias") if key in tensors)
    b_enc = next(tensors[key] for key in ("b_enc", "encoder.bias", "gate_bias") if key in tensors)
    return Weights(
        kind.ours,
        tensors["W_enc"].T if matrices else tensors["encoder.weight"],
        b_enc,
        tensors["W_dec"] if matrices else tensors["decoder.weight"].T,
        b_dec,
        # TopK keeps a threshold as well, and chooses by rank.
        threshold=None if kind.ours == "topk" else _threshold(kind, tensors),
        log_ratio=tensors.get("r_mag"),
        b_mag=tensors.get("mag_bias"),
        # JumpReLU of theirs takes nothing from its input unless told so after loading.
        centred=kind.ours != "jumprelu",
        k=_k(tensors, trainer, path) if ranked else None,
        prefixes=_prefixes(tensors) if kind.ours == "matryoshka" else (),
    )


def _threshold(kind: _Kind, tensors: Mapping[str, Tensor]) -> Tensor | None:
    theta = tensors.get("threshold")
    if theta is None or kind.ours == "jumprelu":
        return theta
    # Theirs is active above it, ours from it on.
    theta = theta.reshape(()) if theta.numel() == 1 else theta
    up = torch.nextafter(theta, torch.full_like(theta, torch.inf))
    return torch.where(theta > 0, up, theta)


def _k(tensors: Mapping[str, Tensor], trainer: Mapping[str, Any], path: Path) -> int:
    found = tensors.get("k")
    if found is not None and found.numel() == 1:
        return whole({"k": found.item()}, "k", path)
    return whole(trainer, "k", path)


def _prefixes(tensors: Mapping[str, Tensor]) -> tuple[int, ...]:
    """The sizes of the groups, added up."""
    sizes = tensors.get("group_sizes")
    if sizes is None or sizes.ndim != 1 or len(sizes) > 1000:
        return ()
    return tuple(int(each) for each in sizes.cumsum(0).tolist())


def _no_hooks(path: Path) -> tuple[str, str]:
    raise CheckpointError(
        f"{printable(str(path))}: names a module and no site; name the site, such as 3.resid_post."
    )
