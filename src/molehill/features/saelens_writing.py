"""Folders of SAELens, written: `cfg.json` and `sae_weights.safetensors`.

    write_saelens(features, "mine")                 # sae_lens: SAE.load_from_disk("mine")

Codes and outputs there are those here. What SAELens has no name for is refused, and what has
another name there is said. `saelens.py` reads such folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.tensorfile import write_tensors
from molehill.errors import CheckpointError
from molehill.features.autoencoder import Autoencoder
from molehill.features.hooks import hook_of
from molehill.features.saelens import CONFIG_NAME, KINDS, WEIGHTS_NAME, neighbour
from molehill.features.trained import Features
from molehill.files import write_atomically
from molehill.model.config import ModelConfig

__all__ = ["write_saelens"]

_VERSION = "6.54.12"
"""Whose form is written; without a version SAELens reads a description as the flat one."""


def write_saelens(
    features: Features,
    folder: str | os.PathLike[str],
    *,
    config: ModelConfig | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Write features as a folder that `sae_lens.SAE.load_from_disk` reads.

    Args:
        folder: made if it is not there. The description is written last: until then the folder is
            none of SAELens.
        config: the model's, for names of hooks that depend on it.
        overwrite: replace what a folder has under the two names.

    Returns:
        Sentences about what is not the same there, such as another name of the architecture.

    Raises:
        CheckpointError: SAELens has no such architecture, or the folder cannot be written.
        SiteError: TransformerLens has no name for the sites.
    """
    folder = Path(folder)
    name, notes = _theirs(features)
    tensors = _tensors(features.autoencoder, name)
    cfg = _description(features, name, tensors, config)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise CheckpointError(f"{folder} has files in it: choose another, or ask to overwrite.")
    content = (json.dumps(cfg, indent=2, allow_nan=False) + "\n").encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_NAME).unlink(missing_ok=True)
        write_tensors(folder / WEIGHTS_NAME, tensors, {"kind": "saelens"})
        write_atomically(folder / CONFIG_NAME, lambda file: file.write(content))
    except OSError as error:
        raise CheckpointError(f"{folder} could not be written: {error.strerror}.") from error
    return tuple(notes)


def _theirs(features: Features) -> tuple[str, list[str]]:
    """SAELens' name of the architecture, and what there is to say."""
    settings = features.settings
    ours = settings.architecture
    if len(features.reads) != 1 or len(features.writes) != 1:
        raise CheckpointError(
            f"{features.name} reads {len(features.reads)} sites and writes {len(features.writes)}: "
            "SAELens holds one of each. Keep it in Molehill's own file."
        )
    notes = []
    if ours in ("batchtopk", "matryoshka"):
        notes.append(f"{ours} is written as jumprelu with one threshold, as SAELens does itself")
    base = {"relu": "standard", "batchtopk": "jumprelu", "matryoshka": "jumprelu"}.get(ours, ours)
    if not (features.transcodes or settings.skip or settings.d_in != settings.d_out):
        return base, notes
    if base not in ("standard", "jumprelu"):
        raise CheckpointError(
            f"{features.name} is a transcoder by {ours}; those of SAELens are ReLU or JumpReLU. "
            "Keep it in Molehill's own file."
        )
    if settings.centred:
        notes.append("the bias that is taken from the input is put into the encoder's")
    skip = "skip_" if settings.skip else ""
    return ("jumprelu_" if base == "jumprelu" else "") + skip + "transcoder", notes


@torch.no_grad()
def _tensors(autoencoder: Autoencoder, name: str) -> dict[str, Tensor]:
    """By SAELens' names, in its orientation."""
    settings, state = autoencoder.settings, autoencoder.state_dict()
    b_enc = state["b_enc"]
    if settings.centred and KINDS[name].transcodes:
        b_enc = b_enc - state["w_enc"] @ state["b_dec"]
    found = {
        "W_enc": state["w_enc"].T,
        "b_enc": b_enc,
        "W_dec": state["w_dec"],
        "b_dec": state["b_dec"],
        "W_skip": state.get("w_skip"),
        "threshold": _thresholds(state) if name.startswith("jumprelu") else None,
        "b_gate": b_enc,
        "b_mag": state.get("b_mag"),
        "r_mag": state.get("log_ratio"),
    }
    wanted = KINDS[name].tensors
    return {
        each: value.float().contiguous()
        for each, value in found.items()
        if each in wanted and value is not None
    }


def _thresholds(state: Mapping[str, Tensor]) -> Tensor:
    """One for each feature, above which it is active."""
    if "log_threshold" in state:
        return state["log_threshold"].exp()
    # Ours is active from it on.
    theta = neighbour(state["threshold"].float().clamp(min=0), 0.0)
    return theta.expand(len(state["b_enc"]))


def _description(
    features: Features, name: str, tensors: Mapping[str, Tensor], config: ModelConfig | None
) -> dict[str, Any]:
    settings = features.settings
    transcodes = KINDS[name].transcodes
    metadata = {
        "sae_lens_version": _VERSION,
        "model_name": features.model or None,
        "hook_name": hook_of(features.reads[0], config),
        "hook_head_index": None,
        "molehill": {
            "name": features.name,
            "architecture": settings.architecture,
            "k": settings.k,
            "prefixes": list(settings.prefixes),
            "reads": features.reads[0],
            "writes": features.writes[0],
            "fingerprint": features.fingerprint,
            "provenance": dict(features.provenance),
        },
    }
    cfg: dict[str, Any] = {
        "architecture": name,
        "d_in": settings.d_in,
        "d_sae": settings.n_features,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": settings.centred and not transcodes,
        "normalize_activations": "none",
        "reshape_activations": "hook_z" if features.reads[0].endswith(".attn.mix") else "none",
        "metadata": metadata,
    }
    if transcodes:
        cfg["d_out"] = settings.d_out
        metadata["hook_name_out"] = hook_of(features.writes[0], config)
    if name == "topk":
        cfg |= {"k": settings.k, "rescale_acts_by_decoder_norm": False}
    return cfg
