"""A model becomes a folder that `transformers` loads unchanged: the arrow back to disk.

The same tables as in loading say what goes where. Weights are written one tensor at a time, so
saving takes no second copy of the model in memory. A new folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from molehill.checkpoints.certificates import certificate_of
from molehill.checkpoints.families import Family, Slot, family_for, to_theirs, write_config
from molehill.errors import CheckpointError
from molehill.files import write_atomically
from molehill.model import Transformer
from molehill.text import Tokenizer

__all__ = ["save_checkpoint"]

# What the hub and transformers cut at; a model below it is one file.
_SHARD_BYTES = 5 * 10**9
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
}
_INDEX = "model.safetensors.index.json"
# What a tokenizer that is replaced may leave, and transformers would read with the new one.
_OF_TOKENIZERS = {
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
}


@dataclass(frozen=True)
class _Piece:
    """One tensor to be written: its name there, and where its numbers are here."""

    name: str
    slot: Slot
    weight: Tensor

    @property
    def nbytes(self) -> int:
        return torch.Size(self.slot.shape).numel() * self.weight.element_size()

    def numbers(self) -> Tensor:
        part = self.weight.detach()[self.slot.rows].cpu()
        return to_theirs(part, self.slot).contiguous()


def save_checkpoint(
    model: Transformer,
    tokenizer: Tokenizer | None,
    folder: str | os.PathLike[str],
    *,
    family: str | None = None,
    certificate: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    shard_bytes: int = _SHARD_BYTES,
) -> str:
    """Write `config.json`, safetensors and the tokenizer's files.

    Args:
        model: Any model; its dtype is kept.
        tokenizer: Written beside it; its special tokens go into the config.
        folder: Made if it is not there.
        family: The architecture to save as. None: the plainest one of transformers that holds the
            model without loss. "molehill" holds every model of this project, and only this
            project reads it.
        certificate: Kept in the metadata of the weights, under `molehill`. None: the one that
            `molehill check` kept of these weights on this machine, if there is one.
        overwrite: Replace the model in a folder that has one, and its tokenizer if one is given.
            Other files there stay.
        shard_bytes: Weights beyond this are cut into several files.

    Returns:
        The family that it was saved as.

    Raises:
        CheckpointError: no architecture has this model's form (says what none of them has, or what
            the nearest one lacks), or the folder has files and `overwrite` is not set.
    """
    folder = Path(folder)
    chosen = family_for(model.config, family)
    pieces = _pieces(model, chosen)
    if folder.exists() and any(folder.iterdir()) and not overwrite:
        raise CheckpointError(
            f"{folder} has files in it: choose another folder, or give overwrite=True."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    staged = folder.with_name(f".{folder.name}.{secrets.token_hex(8)}.tmp")
    staged.mkdir()
    try:
        known = certificate_of(model) if certificate is None else certificate
        _write_weights(staged, pieces, _metadata(known), shard_bytes)
        if tokenizer is not None:
            tokenizer.save(staged)
        _write_json(staged / "config.json", _config(model, tokenizer, chosen))
        _move(staged, folder)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return chosen.name


def _pieces(model: Transformer, family: Family) -> list[_Piece]:
    weights = dict(model.named_parameters())
    slots = list(family.slots(model))
    if odd := sorted({str(w.dtype) for w in weights.values() if w.dtype not in _DTYPES}):
        raise CheckpointError(f"Weights of type {', '.join(odd)} have no form in safetensors.")
    covered = {slot.ours for slot in slots}
    # `family_for` has compared the configurations; this compares what is really there.
    assert covered == set(weights), f"{family.name}'s table lacks {set(weights) - covered}"
    outside = {row.theirs for row in family.rows if not row.body}
    return [
        _Piece(
            family.saved_name(slot.theirs, slot.theirs not in outside, model.config),
            slot,
            weights[slot.ours],
        )
        for slot in slots
    ]


def _config(model: Transformer, tokenizer: Tokenizer | None, family: Family) -> dict[str, Any]:
    dtype = str(model.dtype).removeprefix("torch.")
    special = {}
    if tokenizer is not None:
        ids = {
            "bos_token_id": tokenizer.bos_id,
            "eos_token_id": tokenizer.eos_id,
            "pad_token_id": tokenizer.pad_id,
        }
        special = {name: number for name, number in ids.items() if number is not None}
    # Both dialects of the dtype; the family's own words win (RoBERTa's padding shifts positions).
    return {**special, "dtype": dtype, "torch_dtype": dtype, **write_config(family, model.config)}


def _metadata(certificate: Mapping[str, Any] | None) -> dict[str, str]:
    plain = {"format": "pt"}
    if certificate is not None:
        plain["molehill"] = json.dumps(certificate, sort_keys=True, allow_nan=False)
    return plain


# --- safetensors ------------------------------------------------------------------------------


def _write_weights(
    folder: Path, pieces: list[_Piece], metadata: Mapping[str, str], shard_bytes: int
) -> None:
    shards = _shards(pieces, shard_bytes)
    if len(shards) == 1:
        _write_safetensors(folder / "model.safetensors", pieces, metadata)
        return
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        _write_safetensors(folder / name, shard, metadata)
        weight_map |= {piece.name: name for piece in shard}
    total = sum(piece.nbytes for piece in pieces)
    _write_json(folder / _INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})


def _shards(pieces: Iterable[_Piece], limit: int) -> list[list[_Piece]]:
    """Pieces in order, in files of at most `limit` bytes; a larger piece has a file of its own."""
    shards: list[list[_Piece]] = [[]]
    used = 0
    for piece in pieces:
        if shards[-1] and used + piece.nbytes > limit:
            shards.append([])
            used = 0
        shards[-1].append(piece)
        used += piece.nbytes
    return shards


def _write_safetensors(path: Path, pieces: list[_Piece], metadata: Mapping[str, str]) -> None:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for piece in pieces:
        start, end = end, end + piece.nbytes
        header[piece.name] = {
            "dtype": _DTYPES[piece.weight.dtype],
            "shape": list(piece.slot.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the numbers begin at a multiple of 8

    def write(file: BinaryIO) -> None:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for piece in pieces:
            file.write(piece.numbers().flatten().view(torch.uint8).numpy())

    write_atomically(path, write)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


# --- moving into place ------------------------------------------------------------------------


def _move(staged: Path, folder: Path) -> None:
    """A new folder takes its name in one step; in one that is there, files are replaced one by
    one, the config last, and what is left of the model before is removed."""
    if not folder.exists():
        os.replace(staged, folder)
        return
    new = {path.name for path in staged.iterdir()}
    for old in folder.iterdir():
        is_weights = old.suffix == ".safetensors" or old.name == _INDEX
        outdated = is_weights and old.name.startswith("model")
        outdated |= "tokenizer.json" in new and old.name in _OF_TOKENIZERS
        if outdated and old.name not in new:
            old.unlink()
    for name in sorted(new, key=lambda name: name == "config.json"):
        os.replace(staged / name, folder / name)
