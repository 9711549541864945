"""Transcoders of circuit-tracer, one safetensors file a layer.

`W_enc` features by d_in, `b_enc`, `W_dec` features by d_out, `b_dec`, and in some `W_skip` d_out by
d_in and `activation_function.threshold`: with it JumpReLU, without it ReLU. The layer is in the
file's name, `layer_3.safetensors`, and the hooks are in `config.yaml` beside it. Of that file only
lines `key: value` are read. Cross-layer transcoders write into every later layer and are refused.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from molehill.checkpoints.raw_file import RawFile, printable
from molehill.errors import CheckpointError
from molehill.features.foreign import Found, Placing, Weights, placed, read_weights

__all__ = ["read_circuit_tracer", "refuse_cross_layer"]

_NEEDED = {"W_enc", "b_enc", "W_dec", "b_dec"}
_THRESHOLD = "activation_function.threshold"
_FILE = re.compile(r"layer_(\d{1,4})\.safetensors")
_LINE = re.compile(r"([A-Za-z_]{1,60}):[ \t]+([\"']?)([^\"'#\n]{1,300}?)\2[ \t]*(?:#.*)?")
_LARGEST_CONFIG = 1 << 20
_CONFIG_NAME = "config.yaml"


def read_circuit_tracer(path: str | os.PathLike[str], placing: Placing | None = None) -> Found:
    """A transcoder from one file.

    Raises:
        CheckpointError: a damaged or hostile file; thresholds below zero, whose values would be.
        SiteError, ConfigError: its place is not one of the model's.
    """
    path, placing = Path(path), placing or Placing()
    tensors = read_weights(path, _NEEDED, {"W_skip", _THRESHOLD})
    if tensors["W_enc"].ndim != 2:
        raise CheckpointError(f"{printable(str(path))}: W_enc is no matrix.")
    threshold = tensors.get(_THRESHOLD)
    if threshold is not None:
        threshold = threshold.flatten()
        if bool((threshold < 0).any()):
            raise CheckpointError(
                f"{printable(str(path))}: has thresholds below zero, with which features are "
                "active below zero too; ours are not."
            )
        if threshold.numel() == 1:
            threshold = threshold.expand(tensors["W_enc"].shape[0])
    weights = Weights(
        "relu" if threshold is None else "jumprelu",
        tensors["W_enc"],
        tensors["b_enc"],
        tensors["W_dec"],
        tensors["b_dec"],
        w_skip=tensors.get("W_skip"),
        threshold=threshold,
        centred=False,
    )
    config = _config(path.parent)
    features = placed(
        weights,
        path,
        placing,
        hook=lambda: _hooks(path, config),
        name=printable(path.stem),
        model=config.get("model_name", ""),
        provenance={"read_from": "circuit-tracer", "theirs": config},
    )
    return Found(features, "circuit-tracer")


def refuse_cross_layer(path: str | os.PathLike[str]) -> CheckpointError:
    """The refusal of a cross-layer transcoder."""
    return CheckpointError(
        f"{printable(str(path))}: is a cross-layer transcoder, whose features write into every "
        "later layer; transcoders of a single layer (layer_N.safetensors) are read."
    )


def _config(folder: Path) -> dict[str, str]:
    """The lines `key: value` of the configuration; none, if there is no such file."""
    path = folder / _CONFIG_NAME
    if not path.exists():
        return {}
    file = RawFile(path)
    try:
        if file.size > _LARGEST_CONFIG:
            raise file.error(f"has {file.size} bytes; at most {_LARGEST_CONFIG} are read")
        lines = bytes(file.read(0, file.size)).decode("utf-8", "replace").splitlines()
    finally:
        file.close()
    found = [match for line in lines if (match := _LINE.fullmatch(line))]
    return {match[1]: printable(match[3].strip(), 300) for match in found}


def _hooks(path: Path, config: dict[str, str]) -> tuple[str, str]:
    """The hooks of the file's layer."""
    match = _FILE.fullmatch(path.name)
    reads, writes = config.get("feature_input_hook"), config.get("feature_output_hook")
    if match is None or not reads or not writes:
        raise CheckpointError(
            f"{printable(str(path))}: its layer is in a name such as layer_3.safetensors and its "
            f"hooks are in {_CONFIG_NAME} beside it; where they are not, name both sites."
        )
    return f"blocks.{match[1]}.{reads}", f"blocks.{match[1]}.{writes}"
