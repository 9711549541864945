"""Files of weights put together byte by byte, so that a test can get any part of them wrong."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

U32, U64, STRING, ARRAY = 4, 10, 8, 9


def safetensors_bytes(header: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file: `header` as JSON (or as it is, if text or bytes) and the numbers."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    if isinstance(header, str):
        header = header.encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(dtype: str, shape: list, span: list) -> dict[str, Any]:
    """One tensor in a safetensors header."""
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


def text(value: str | bytes) -> bytes:
    """A GGUF string."""
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def key(name: str | bytes, kind: int, value: bytes) -> bytes:
    """A GGUF key with its value's bytes."""
    return text(name) + struct.pack("<I", kind) + value


def tensor(
    name: str | bytes, sizes: Iterable[int], kind: int = 0, offset: int = 0, axes: int | None = None
) -> bytes:
    """A GGUF tensor's description; `sizes` in the file's order, the fastest axis first."""
    sizes = list(sizes)
    head = struct.pack("<I", len(sizes) if axes is None else axes)
    return text(name) + head + struct.pack(f"<{len(sizes)}QIQ", *sizes, kind, offset)


@dataclass
class Gguf:
    """A GGUF file in parts."""

    keys: list[bytes] = field(default_factory=list)
    tensors: list[bytes] = field(default_factory=list)
    data: bytes = b""
    magic: bytes = b"GGUF"
    version: bytes = struct.pack("<I", 3)
    n_tensors: int | None = None
    n_keys: int | None = None
    alignment: int = 32

    def bytes(self) -> bytes:
        n_tensors = len(self.tensors) if self.n_tensors is None else self.n_tensors
        n_keys = len(self.keys) if self.n_keys is None else self.n_keys
        head = self.magic + self.version + struct.pack("<QQ", n_tensors, n_keys)
        head += b"".join(self.keys) + b"".join(self.tensors)
        return head + bytes(-len(head) % self.alignment) + self.data
