"""Folders of EleutherAI's sparsify: `cfg.json` and `sae.safetensors`, one folder a hook.

TopK: `encoder.weight` features by d_in, `encoder.bias`, `W_dec` features by d_out, `b_dec`, and
`W_skip` d_out by d_in in skip transcoders. Autoencoders take `b_dec` from the input, transcoders do
not. The folder's name says where it belongs: `layers.3` is what block 3 gives, `layers.3.mlp` what
its MLP reads and gives. Layout: sparsify 1.3, `sparse_coder.py`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from molehill.checkpoints.raw_file import printable
from molehill.errors import CheckpointError
from molehill.features.foreign import (
    Found,
    Placing,
    Weights,
    flag,
    placed,
    read_json,
    read_weights,
    text,
    whole,
)

__all__ = ["SPARSIFY_NAME", "read_sparsify"]

SPARSIFY_NAME = "sae.safetensors"

_NEEDED = {"encoder.weight", "encoder.bias", "W_dec", "b_dec"}
_PLACE = re.compile(r"(?:.*\.)?(?:layers|h)\.(\d{1,4})(\.mlp)?")


def read_sparsify(folder: str | os.PathLike[str], placing: Placing | None = None) -> Found:
    """Features from one folder of sparsify.

    Raises:
        CheckpointError: damaged or hostile files, or another activation than TopK.
        SiteError, ConfigError: its place is not one of the model's.
    """
    folder, placing = Path(folder), placing or Placing()
    path = folder / "cfg.json"
    cfg = read_json(path)
    activation = text(cfg, "activation", path, "topk")
    if activation != "topk" or flag(cfg, "signed", path, False):
        kind = "signed TopK" if activation == "topk" else activation
        raise CheckpointError(
            f"{printable(str(path))}: its activation is {printable(kind)}, and TopK is read."
        )
    transcodes = flag(cfg, "transcode", path, False)
    tensors = read_weights(folder / SPARSIFY_NAME, _NEEDED, {"W_skip"})
    if tensors["encoder.weight"].ndim != 2:
        raise CheckpointError(f"{printable(str(folder))}: encoder.weight is no matrix.")
    weights = Weights(
        "topk",
        tensors["encoder.weight"],
        tensors["encoder.bias"],
        tensors["W_dec"],
        tensors["b_dec"],
        w_skip=tensors.get("W_skip"),
        centred=not transcodes,
        k=whole(cfg, "k", path),
    )
    features = placed(
        weights,
        folder / SPARSIFY_NAME,
        placing,
        hook=lambda: _hooks(folder, transcodes),
        name=printable(folder.resolve().name) or "features",
        model=_model(folder),
        provenance={"read_from": "sparsify", "theirs": _plain(cfg)},
    )
    return Found(features, "sparsify")


def _hooks(folder: Path, transcodes: bool) -> tuple[str, str]:
    """The hooks that the folder's name says. The newer dialect's names are those of a module's two
    ends, as sparsify's are."""
    match = _PLACE.fullmatch(folder.resolve().name)
    if match is None:
        raise CheckpointError(
            f"{printable(str(folder))}: the folder's name is not layers.N or layers.N.mlp, as "
            "sparsify names them: name the site."
        )
    if match[2]:
        at = f"blocks.{match[1]}"
        return (f"{at}.mlp.hook_in" if transcodes else f"{at}.mlp.hook_out"), f"{at}.mlp.hook_out"
    at = f"blocks.{match[1]}"
    return (f"{at}.hook_in" if transcodes else f"{at}.hook_out"), f"{at}.hook_out"


def _model(folder: Path) -> str:
    """The model's name, if the run's own description is beside the folder."""
    path = folder.resolve().parent / "config.json"
    if not path.is_file():
        return ""
    return text(read_json(path), "model", path)


def _plain(cfg: Mapping[str, Any]) -> dict[str, Any]:
    return {
        printable(key, 60): printable(value, 200) if isinstance(value, str) else value
        for key, value in cfg.items()
        if isinstance(value, str | int | float | bool)
    }
