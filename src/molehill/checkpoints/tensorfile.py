"""Tensors and a JSON description in one safetensors file, written one tensor at a time.

The library's own writer wants all bytes at once, a second copy of everything; this one holds one
tensor. Reading is the library's: tensors are mapped, and their pages are read when they are used.
This module knows nothing of what the tensors are.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from molehill.errors import CheckpointError
from molehill.files import write_atomically

__all__ = ["open_tensors", "read_description", "tensor_bytes", "write_tensors"]

_KEY = "molehill"
_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def tensor_bytes(tensor: Tensor) -> memoryview:
    """The numbers of a tensor as they lie in a file: row after row, lowest byte first."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], description: Mapping[str, Any]
) -> str:
    """Write a safetensors file whole or not at all.

    Args:
        path: where; its folder must exist.
        tensors: of any of the usual dtypes, on any device.
        description: JSON-able; kept in the header's metadata.

    Returns:
        The sha256 of the file.

    Raises:
        CheckpointError: the file cannot be written; what was there is untouched.
    """
    header = _header(tensors, description)
    digest = sha256()

    def write(file: BinaryIO) -> None:
        for piece in (len(header).to_bytes(8, "little"), header):
            digest.update(piece)
            file.write(piece)
        for tensor in tensors.values():
            piece = tensor_bytes(tensor)
            digest.update(piece)
            file.write(piece)

    try:
        write_atomically(path, write)
    except OSError as error:
        reason = error.strerror or error
        raise CheckpointError(
            f"{os.fspath(path)} could not be written: {reason}. What was there before is untouched."
        ) from error
    return digest.hexdigest()


def _header(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    """The JSON in front, padded so that the numbers after it are aligned for mapping."""
    entries: dict[str, Any] = {"__metadata__": {_KEY: json.dumps(description, allow_nan=False)}}
    start = 0
    for name, tensor in tensors.items():
        end = start + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": _DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries).encode()
    return text + b" " * (-(len(text) + 8) % 64)


def read_description(path: str | os.PathLike[str], kind: str) -> dict[str, Any]:
    """The JSON description of a file that `write_tensors` wrote.

    Args:
        path: the file.
        kind: what its description's "kind" must be, with its version: `molehill.trace/1`.

    Raises:
        CheckpointError: no such file, a damaged one, or one of another kind.
    """
    with open_tensors(path) as file:
        metadata = file.metadata() or {}
    try:
        description = json.loads(metadata[_KEY])
        found = description["kind"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(f"{os.fspath(path)} was not written by Molehill's {kind}.") from None
    if found != kind:
        raise CheckpointError(f"{os.fspath(path)} holds {found!r}, expected {kind!r}.")
    return description


def open_tensors(path: str | os.PathLike[str]) -> Any:
    """A safetensors file opened for reading: a context with `keys()`, `get_tensor(name)` and
    `get_slice(name)`.

    Raises:
        CheckpointError: no such file, or a damaged one.
    """
    path = Path(path)
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        if not path.exists():
            raise CheckpointError(f"{path} cannot be read: there is no such file.") from None
        if isinstance(error, SafetensorError):
            raise CheckpointError(
                f"{path} cannot be read: it is no safetensors file, or is damaged ({error})."
            ) from None
        raise CheckpointError(f"{path} cannot be read: {error}.") from None
