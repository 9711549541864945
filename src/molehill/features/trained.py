"""Features: a trained autoencoder with the sites it reads and writes, and where it came from; one
safetensors file.

    features = load_features("lexicon-3.safetensors")
    features.check(lm)                       # is it for this model?
    codes = features.encode(trace)           # the trace has its sites

Weights are those for the model's own vectors, with no scale left to apply. This module knows no
training; other tools' folders are read by `formats.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.checkpoints.fingerprint import fingerprint
from molehill.checkpoints.names import built_in_models
from molehill.checkpoints.tensorfile import (
    open_tensors,
    read_description,
    tensor_bytes,
    write_tensors,
)
from molehill.errors import CheckpointError, ConfigError
from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.codes import Codes
from molehill.features.making import make_autoencoder
from molehill.language_model import LanguageModel
from molehill.trace.trace import Trace

__all__ = [
    "Features",
    "describe_features",
    "features_path",
    "heads_joined",
    "load_features",
    "save_features",
]

_KIND = "molehill.features/1"


@dataclass(frozen=True)
class Features:
    """An autoencoder at its place in a model."""

    autoencoder: Autoencoder
    reads: tuple[str, ...]
    """Sites whose vectors, side by side, it reads."""
    writes: tuple[str, ...]
    """Sites whose vectors it reconstructs; the same, unless it is a transcoder."""
    name: str = "features"
    model: str = ""
    """The model's name."""
    fingerprint: str = ""
    """Of the model's weights; empty where it is not known (files of other tools)."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: data, what was left out, steps, scores; JSON-able."""

    @property
    def settings(self) -> Settings:
        """Sizes and choices."""
        return self.autoencoder.settings

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return self.settings.n_features

    @property
    def transcodes(self) -> bool:
        """Whether it reconstructs something else than it reads."""
        return self.writes != self.reads

    @property
    def digest(self) -> str:
        """The sha256 of the sites and of all numbers: the same for the same features, whatever
        they are called and wherever they lie."""
        found = sha256(json.dumps([self.settings.to_dict(), self.reads, self.writes]).encode())
        state = self.autoencoder.state_dict()
        for name in sorted(state):
            found.update(f"{name} {state[name].dtype} {tuple(state[name].shape)}".encode())
            found.update(tensor_bytes(state[name]))
        return found.hexdigest()

    def __repr__(self) -> str:
        place = " + ".join(self.reads)
        if self.transcodes:
            place += " -> " + " + ".join(self.writes)
        return (
            f"Features {self.name!r}: {self.n_features:,} by {self.settings.architecture} at "
            f"{place} of {self.model or 'an unknown model'}"
        )

    def check(self, lm: LanguageModel) -> None:
        """Whether it belongs to this model, or to its rounded weights: training reads a model in
        bfloat16 as a rule.

        Raises:
            ConfigError: it was trained on other weights.
        """
        if not self.fingerprint or lm.fingerprint == self.fingerprint:
            return
        if lm.model.dtype == torch.float32:
            for narrow in (torch.bfloat16, torch.float16):
                if fingerprint(lm.model, narrow) == self.fingerprint:
                    return
        dtype = str(lm.model.dtype).removeprefix("torch.")
        data = self.provenance.get("data")
        trained = data.get("model_dtype") if isinstance(data, Mapping) else None
        told = f"{self.model or 'a model'} in {trained or 'a dtype that is not known'}"
        remedy = "load the model that it belongs to"
        if dtype != "float32" and trained != dtype:
            remedy = (
                "the same weights in another dtype have another fingerprint; load the model in "
                "float32, of which all are known"
            )
        raise ConfigError(
            f"{self.name} was trained on {told} ({self.fingerprint[:12]}), and {lm.name} in "
            f"{dtype} is {lm.fingerprint[:12]}: {remedy}."
        )

    @torch.no_grad()
    def encode(self, values: Mapping[str, Tensor] | Trace) -> Codes:
        """The active features of every vector at its sites, which come row by row.

        Args:
            values: [..., width] by site, such as a trace; leading axes are flattened into rows.
        """
        return self.autoencoder.encode(self.rows(values, self.reads))

    @staticmethod
    def rows(values: Any, sites: tuple[str, ...]) -> Float[Tensor, "rows width"]:
        """The vectors at some sites, side by side, one row each."""
        parts = [heads_joined(site, values[site]).flatten(0, -2) for site in sites]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def heads_joined(site: str, value: Tensor) -> Tensor:
    """What attention has mixed, all heads side by side as one vector [..., heads times d_head];
    values of other sites as they are."""
    return value.flatten(-2) if site.endswith(".attn.mix") else value


def save_features(
    features: Features, path: str | os.PathLike[str], dtype: torch.dtype | None = None
) -> str:
    """Write features into one safetensors file, whole or not at all; returns its sha256.

    Args:
        features: an autoencoder at its place.
        path: of the file; its folder must exist.
        dtype: what weights are kept in; None: as they are. Reading makes them float32.

    Raises:
        CheckpointError: it cannot be written.
    """
    description = {
        "kind": _KIND,
        "settings": features.settings.to_dict(),
        "reads": list(features.reads),
        "writes": list(features.writes),
        "name": features.name,
        "model": features.model,
        "fingerprint": features.fingerprint,
        "provenance": dict(features.provenance),
    }
    tensors = {
        name: value.cpu().to(dtype or value.dtype if value.is_floating_point() else value.dtype)
        for name, value in features.autoencoder.state_dict().items()
    }
    return write_tensors(path, tensors, description)


def load_features(path: str | os.PathLike[str]) -> Features:
    """Features from their file.

    Args:
        path: a file, or the name of features that ship with Molehill: `lexicon-4`, `village-2`.

    Raises:
        CheckpointError: no such file, a damaged one, one of something else, or with numbers that
            are not finite.
    """
    path = features_path(path)
    found = read_description(path, _KIND)
    with open_tensors(path) as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    try:
        settings = Settings.from_dict(found["settings"])
        autoencoder = make_autoencoder(settings)
        autoencoder.load_state_dict(tensors)
        features = Features(
            autoencoder.eval(),
            tuple(found["reads"]),
            tuple(found["writes"]),
            found["name"],
            found["model"],
            found["fingerprint"],
            found["provenance"],
        )
    except (KeyError, TypeError, ConfigError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{path} is damaged or of another version: {reason}.") from None
    bad = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise CheckpointError(f"{path} holds numbers that are not finite in {', '.join(bad)}.")
    return features


def describe_features(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a file of features says of itself, without its numbers: `settings`, `reads`, `writes`,
    `name`, `model`, `fingerprint`, `provenance`.

    Args:
        path: a file, or the name of features that ship.

    Raises:
        CheckpointError: as `load_features`.
    """
    return read_description(features_path(path), _KIND)


def features_path(name: str | os.PathLike[str]) -> Path:
    """The path itself, or that of the file that ships under this name."""
    path = Path(name)
    shipped = built_in_models() / "features" / f"{path.name}.safetensors"
    bare = len(path.parts) == 1 and not path.suffix
    return shipped if bare and not path.exists() and shipped.exists() else path
