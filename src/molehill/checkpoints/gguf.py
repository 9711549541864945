"""One GGUF file, version 2 or 3: keys and values, a list of tensors, then their blocks.

The header is read here with every count compared with the file's size before it is believed, and
without recursion: arrays of arrays, which no model uses, are refused. Format:
https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Knows the container; the storage of
numbers is `quants`'s matter, and what a key means is for those who load a model.
"""

from __future__ import annotations

import math
import os
import struct
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from molehill.checkpoints.copying import fill_tensor
from molehill.checkpoints.pickles import refuse_pickle
from molehill.checkpoints.quants import GGUF_STORAGE, GGUF_UNREAD
from molehill.checkpoints.raw_file import RawFile, printable
from molehill.checkpoints.source import TensorInfo
from molehill.checkpoints.weight_file import Placed, WeightFile

__all__ = ["LARGEST_HEADER", "LONGEST_STRING", "GgufFile"]

LARGEST_HEADER = 64 << 20
"""Bytes of the longest header that is read; a vocabulary of 260,000 tokens takes about 15 MB."""

LONGEST_STRING = 4 << 20
"""Bytes of the longest string in a header; chat templates take up to 100 kB."""

_MOST_AXES = 4  # ggml's own limit
_LARGEST_COUNT = 2**63 - 1
_READ_AHEAD = 1 << 20

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS = {
    0: np.dtype("<u1"),
    1: np.dtype("<i1"),
    2: np.dtype("<u2"),
    3: np.dtype("<i2"),
    4: np.dtype("<u4"),
    5: np.dtype("<i4"),
    6: np.dtype("<f4"),
    _BOOL: np.dtype("<u1"),
    10: np.dtype("<u8"),
    11: np.dtype("<i8"),
    12: np.dtype("<f8"),
}

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


class GgufFile(WeightFile):
    """A `TensorSource` over one GGUF file.

    `metadata` holds plain Python values: `bool`, `int`, `float`, `str`; an array of strings is a
    `list[str]`, any other array a numpy array. Bytes of a string that are no UTF-8 (some
    vocabularies cut characters apart) become lone surrogates, so nothing is lost:
    `text.encode("utf-8", "surrogateescape")` gives them back.

    Args:
        path: The file.

    Raises:
        CheckpointError: Not a GGUF file, damaged, cut short, hostile, or with a tensor in a storage
            that is not read (named in the message).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = RawFile(path)
        try:
            refuse_pickle(file)
            placed, metadata = _Header(file).read()
        except BaseException:
            file.close()
            raise
        super().__init__(file, placed, metadata)

    def raw(self, name: str) -> Tensor:
        """The blocks of tensor `name` as they stand in the file.

        Returns:
            uint8 [..., bytes of a row]: the tensor's shape with its last size in bytes.
        """
        place = self._place(name)
        shape = place.info.shape or (1,)
        out = torch.empty(*shape[:-1], place.storage.nbytes(shape[-1:]), dtype=torch.uint8)
        if out.numel():
            fill_tensor(self._file, place.offset, out)
        return out


class _Header:
    """A cursor over the header's bytes, read ahead as far as needed and never past the file."""

    def __init__(self, file: RawFile) -> None:
        self._file = file
        self._end = min(file.size, LARGEST_HEADER)
        self._data = bytearray()
        self._at = 0

    def read(self) -> tuple[dict[str, Placed], dict[str, object]]:
        """Every tensor's place by name, and the keys with their values."""
        self._magic()
        # A tensor takes at least 24 bytes here and a key 13; more of them cannot be true.
        n_tensors = self._count("tensors", least=24)
        n_keys = self._count("keys", least=13)
        metadata = self._keys(n_keys)
        alignment = self._alignment(metadata.get("general.alignment", 32))
        described = self._tensors(n_tensors)
        data_start = _align(self._at, alignment)
        return self._place(described, data_start, alignment), metadata

    def _magic(self) -> None:
        if self._file.size < 24 or self._take(4) != b"GGUF":
            self._fail("does not begin as a GGUF file; it is cut short or something else")
        version = self._u32()
        if version in (2 << 24, 3 << 24):
            self._fail("is a big-endian GGUF file; convert it to little-endian")
        if version not in (2, 3):
            self._fail(f"is GGUF version {version}; versions 2 and 3 are read: convert it anew")

    def _keys(self, n: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for _ in range(n):
            key = self._name("key")
            if key in found:
                self._fail(f"gives the key {printable(key)!r} twice")
            kind = self._u32()
            found[key] = self._array(key) if kind == _ARRAY else self._scalar(key, kind)
        return found

    def _scalar(self, key: str, kind: int) -> object:
        if kind == _STRING:
            return self._string(key).decode("utf-8", "surrogateescape")
        dtype = self._dtype(key, kind)
        value = np.frombuffer(self._take(dtype.itemsize), dtype)
        return self._truths(key, value)[0].item() if kind == _BOOL else value[0].item()

    def _array(self, key: str) -> list[str] | np.ndarray:
        kind = self._u32()
        if kind == _ARRAY:
            self._fail(f"has an array of arrays under {printable(key)!r}, which is not read")
        if kind == _STRING:
            return self._strings(key, self._count(f"strings in {printable(key)!r}", least=8))
        dtype = self._dtype(key, kind)
        n = self._count(f"values in {printable(key)!r}", least=dtype.itemsize)
        values = np.frombuffer(self._take(n * dtype.itemsize), dtype)
        return self._truths(key, values) if kind == _BOOL else values

    def _strings(self, key: str, n: int) -> list[str]:
        """An array of strings. A vocabulary has hundreds of thousands, so the loop is bare."""
        found: list[str] = []
        data, at, length_at = self._data, self._at, _U64.unpack_from
        for _ in range(n):
            if at + 8 > len(data):
                self._need(at + 8)
            (length,) = length_at(data, at)
            at += 8
            if at + length > len(data):
                self._at = at
                self._check_string(key, length)
                self._need(at + length)
            found.append(data[at : at + length].decode("utf-8", "surrogateescape"))
            at += length
        self._at = at
        return found

    def _dtype(self, key: str, kind: int) -> np.dtype:
        if kind not in _SCALARS:
            self._fail(f"has a value of unknown type {kind} under {printable(key)!r}")
        return _SCALARS[kind]

    def _truths(self, key: str, values: np.ndarray) -> np.ndarray:
        if (values > 1).any():
            self._fail(f"has a truth value other than 0 and 1 under {printable(key)!r}")
        return values.astype(np.bool_)

    def _alignment(self, value: object) -> int:
        if type(value) is not int or value < 1 or value & (value - 1):
            self._fail(f"has general.alignment {printable(str(value))}, which is no power of two")
        return value

    def _tensors(self, n: int) -> dict[str, tuple[tuple[int, ...], int, int]]:
        """Shape, storage number and offset of every tensor, as the header gives them."""
        found: dict[str, tuple[tuple[int, ...], int, int]] = {}
        for _ in range(n):
            name = self._name("tensor name")
            if name in found:
                self._fail(f"gives tensor {printable(name)!r} twice")
            n_axes = self._u32()
            if n_axes > _MOST_AXES:
                self._fail(f"gives tensor {printable(name)!r} {n_axes} axes; at most 4 exist")
            sizes = tuple(self._u64() for _ in range(n_axes))
            found[name] = (sizes[::-1], self._u32(), self._u64())
        return found

    def _place(
        self,
        described: dict[str, tuple[tuple[int, ...], int, int]],
        data_start: int,
        alignment: int,
    ) -> dict[str, Placed]:
        """Check shapes, storages and offsets; tensors follow one another, each aligned."""
        placed: dict[str, Placed] = {}
        expected = data_start
        for name, (shape, kind, offset) in described.items():
            place = self._tensor(name, shape, kind, data_start + offset)
            if place.offset != expected:
                self._bad(
                    name,
                    f"has offset {offset}, expected {expected - data_start}: tensors follow one "
                    f"another at multiples of {alignment}",
                )
            end = place.offset + place.info.nbytes
            if end > self._file.size:
                self._bad(name, f"ends at byte {end}, but the file has only {self._file.size}")
            expected = _align(end, alignment)
            placed[name] = place
        return placed

    def _tensor(self, name: str, shape: tuple[int, ...], kind: int, offset: int) -> Placed:
        storage = GGUF_STORAGE.get(kind)
        if storage is None:
            word = GGUF_UNREAD.get(kind, f"an unknown type, number {kind}")
            readable = ", ".join(storage.name for storage in GGUF_STORAGE.values())
            self._bad(name, f"is stored as {word}; what is read: {readable}", damaged=False)
        if math.prod(size for size in shape if size) > _LARGEST_COUNT // storage.block_bytes:
            self._bad(name, f"has the shape {shape}, whose size cannot be counted")
        row = shape[-1] if shape else 1
        if row % storage.block_size:
            self._bad(
                name,
                f"has rows of {row} numbers, which are no whole blocks of {storage.block_size} "
                f"as {storage.name} needs",
            )
        info = TensorInfo(name, storage.name, shape, storage.nbytes(shape))
        return Placed(info, storage, offset)

    def _name(self, what: str) -> str:
        """A key or a tensor's name: text of sane length."""
        data = self._string(what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            self._fail(f"has a {what} that is not UTF-8: {bytes(data[:40])!r}")

    def _string(self, what: str) -> bytearray:
        length = self._u64()
        self._check_string(what, length)
        return self._take(length)

    def _check_string(self, what: str, length: int) -> None:
        if length > LONGEST_STRING:
            self._fail(
                f"has a string of {length} bytes ({printable(what)}); at most {LONGEST_STRING} "
                "are read"
            )

    def _count(self, what: str, least: int) -> int:
        """A count of things of which each takes at least so many bytes of what is left."""
        n = self._u64()
        if n * least > self._end - self._at:
            self._fail(f"claims {n} {what}, more than its {self._file.size} bytes can hold")
        return n

    def _u32(self) -> int:
        return _U32.unpack(self._take(4))[0]

    def _u64(self) -> int:
        return _U64.unpack(self._take(8))[0]

    def _take(self, n: int) -> bytearray:
        self._need(self._at + n)
        self._at += n
        return self._data[self._at - n : self._at]

    def _need(self, end: int) -> None:
        """Have the header's bytes up to `end` at hand."""
        have = len(self._data)
        if end <= have:
            return
        if end > self._end:
            limit = f"at most {LARGEST_HEADER} bytes of header are read"
            short = f"the file ends at byte {self._file.size}; it is cut short: fetch it again"
            self._fail(f"needs byte {end}, but {limit if self._end < self._file.size else short}")
        # Twice as far each time: few reads, and never more than twice what is needed.
        ahead = min(max(end, 2 * have, _READ_AHEAD), self._end)
        self._data += self._file.read(have, ahead - have)

    def _bad(self, name: str, reason: str, damaged: bool = True) -> NoReturn:
        end = "; the file is damaged" if damaged else ""
        raise self._file.error(f"tensor {printable(name)!r} {reason}{end}")

    def _fail(self, reason: str) -> NoReturn:
        raise self._file.error(f"{reason} (GGUF header, byte {self._at})")


def _align(offset: int, alignment: int) -> int:
    """The next multiple of `alignment` from `offset` on."""
    return -(-offset // alignment) * alignment
