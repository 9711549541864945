"""The header of a safetensors file: 8 bytes of length, then JSON that says where each tensor lies.

It is read here, not by the `safetensors` library, for a check that the library leaves out (a key
given twice is opened silently by it) and so that the numbers can be read into memory that the
caller has. A header is bounded in size, read entry by entry, and left at the first entry that is
wrong, so a hostile one costs neither time nor memory. Format:
https://github.com/huggingface/safetensors, "Format". Reads no number of any tensor.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Iterator
from typing import Any, NoReturn, TypeGuard

from molehill.checkpoints.quants import SAFETENSORS_STORAGE
from molehill.checkpoints.raw_file import RawFile, printable
from molehill.checkpoints.source import TensorInfo
from molehill.checkpoints.weight_file import Placed

__all__ = ["LARGEST_HEADER", "MOST_KEYS", "no_twins", "read_header"]

LARGEST_HEADER = 8 << 20
"""Bytes of the longest header that is read."""

MOST_KEYS = 1 << 16
"""Tensors that a file may have, and entries of its metadata. Large models have some thousands."""

_LONGEST_ENTRY = 4096  # bytes of one tensor's JSON object; a usual one has 70
_MOST_AXES = 16
_LARGEST_COUNT = 2**63 - 1  # what torch can count

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict; a key that is given twice is an error, not a silent choice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


_STRICT = json.JSONDecoder(object_pairs_hook=no_twins)


def read_header(file: RawFile) -> tuple[dict[str, Placed], dict[str, object]]:
    """Every tensor's place by name, and the `__metadata__`.

    Raises:
        CheckpointError: Not a safetensors file, damaged, cut short or hostile.
    """
    header = _Header(file, *_header_text(file))
    placed, metadata = header.read()
    _check_spans(file, placed, header.data_start)
    return placed, metadata


def _header_text(file: RawFile) -> tuple[str, int]:
    """The header as text, and the byte at which the numbers start."""
    if file.size < 8:
        raise file.error(
            f"has {file.size} bytes, too few for a safetensors file's 8-byte header length; "
            "it is cut short or something else: fetch it again"
        )
    (length,) = struct.unpack("<Q", file.read(0, 8))
    if length > file.size - 8:
        raise file.error(
            f"claims a safetensors header of {length} bytes, but only {file.size - 8} follow; "
            "it is cut short, damaged or no safetensors file"
        )
    if length > LARGEST_HEADER:
        raise file.error(
            f"has a safetensors header of {length} bytes, and at most {LARGEST_HEADER} are read; "
            "split the model into several files"
        )
    try:
        return file.read(8, length).decode("utf-8"), 8 + length
    except UnicodeDecodeError as error:
        raise file.error(f"has a header that is not UTF-8 (byte {8 + error.start})") from error


class _Header:
    """A cursor over a header's JSON. Each method reads one thing and moves on, or raises."""

    def __init__(self, file: RawFile, text: str, data_start: int) -> None:
        self.data_start = data_start
        self._file = file
        self._text = text
        self._at = 0

    def read(self) -> tuple[dict[str, Placed], dict[str, object]]:
        """Every tensor's place by name, and the `__metadata__`."""
        if not self._text.startswith("{"):
            self._fail("does not begin with '{'")
        placed: dict[str, Placed] = {}
        metadata: dict[str, object] | None = None
        for key in self._keys():
            if key == "__metadata__":
                if metadata is not None:
                    self._fail("gives '__metadata__' twice")
                metadata = self._metadata()
            elif key in placed:
                self._fail(f"gives tensor {printable(key)!r} twice")
            else:
                placed[key] = self._tensor(key)
        if self._text[self._at :].strip(" \t\n\r"):
            self._fail("goes on after its closing '}'")
        return placed, metadata or {}

    def _metadata(self) -> dict[str, object]:
        """An object of strings."""
        found: dict[str, object] = {}
        for key in self._keys():
            if key in found:
                self._fail(f"gives {printable(key)!r} twice in '__metadata__'")
            found[key] = self._string()
        return found

    def _keys(self) -> Iterator[str]:
        """Iterate over an object's keys; the caller reads the value after each."""
        self._expect("{")
        if self._next() == "}":
            self._at += 1
            return
        for _ in range(MOST_KEYS):
            key = self._string()
            self._expect(":")
            yield key
            if self._next() == "}":
                self._at += 1
                return
            self._expect(",")
        self._fail(f"has more than {MOST_KEYS} keys")

    def _next(self) -> str:
        """The next character that is no space, without taking it."""
        match = _SPACE.match(self._text, self._at)
        assert match is not None, "a pattern that may be empty matches everywhere"
        self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _expect(self, character: str) -> None:
        if self._next() != character:
            self._fail(f"lacks {character!r}")
        self._at += 1

    def _string(self) -> str:
        if self._next() != '"':
            self._fail("lacks a string")
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
            value.encode("utf-8")  # an escaped lone surrogate is valid JSON and no text
        except ValueError as error:
            self._fail(f"has a broken string ({error})")
        return value

    def _tensor(self, name: str) -> Placed:
        """One tensor's object. It holds no other object, so the first '}' ends it."""
        if self._next() != "{":
            self._bad(name, "is no JSON object")
        stop = self._text.find("}", self._at, self._at + _LONGEST_ENTRY) + 1
        if stop == 0:
            self._bad(name, f"is longer than {_LONGEST_ENTRY} characters or has no end")
        try:
            fields = _STRICT.decode(self._text[self._at : stop])
        except (ValueError, RecursionError) as error:
            self._bad(name, f"is not valid JSON ({printable(str(error))})")
        self._at = stop
        if fields.keys() != {"dtype", "shape", "data_offsets"}:
            keys = printable(", ".join(fields))
            self._bad(name, f"has the keys {keys} instead of dtype, shape, data_offsets")
        return self._place(name, fields["dtype"], fields["shape"], fields["data_offsets"])

    def _place(self, name: str, dtype: object, shape: object, span: object) -> Placed:
        """Check one tensor's three values against one another."""
        storage = SAFETENSORS_STORAGE.get(dtype) if isinstance(dtype, str) else None
        if storage is None:
            readable = ", ".join(SAFETENSORS_STORAGE)
            self._bad(name, f"is stored as {printable(str(dtype))}; what is read: {readable}")
        if not _is_counts(shape) or len(shape) > _MOST_AXES:
            self._bad(name, f"has the shape {printable(str(shape))}")
        if not _is_counts(span) or len(span) != 2 or span[0] > span[1]:
            self._bad(name, f"has the data_offsets {printable(str(span))}")
        if math.prod(size for size in shape if size) > _LARGEST_COUNT // storage.block_bytes:
            self._bad(name, f"has the shape {shape}, whose size cannot be counted")
        nbytes = storage.nbytes(tuple(shape))
        if nbytes != span[1] - span[0]:
            self._bad(
                name,
                f"needs {nbytes} bytes as {dtype} {tuple(shape)}, but its data_offsets "
                f"{span} hold {span[1] - span[0]}",
            )
        info = TensorInfo(name, storage.name, tuple(shape), nbytes)
        return Placed(info, storage, self.data_start + span[0])

    def _bad(self, name: str, reason: str) -> NoReturn:
        raise self._file.error(f"tensor {printable(name)!r} {reason}; the file is damaged")

    def _fail(self, reason: str) -> NoReturn:
        raise self._file.error(
            f"the safetensors header {reason} at character {self._at}; the file is damaged"
        )


def _is_counts(value: object) -> TypeGuard[list[int]]:
    """Whether a JSON value is a list of whole numbers from 0 up. `true` is none."""
    return isinstance(value, list) and all(
        type(item) is int and 0 <= item <= _LARGEST_COUNT for item in value
    )


def _check_spans(file: RawFile, placed: dict[str, Placed], data_start: int) -> None:
    """The tensors must fill the rest of the file: no gap, no overlap, nothing after the last."""
    end, previous = data_start, "the header"
    for place in sorted(placed.values(), key=lambda place: (place.offset, place.info.nbytes)):
        name = printable(place.info.name)
        if place.offset != end:
            kind = "overlaps" if place.offset < end else "leaves a gap after"
            raise file.error(
                f"tensor {name!r} {kind} {previous}: it starts at byte {place.offset}, expected "
                f"{end}; the file is damaged"
            )
        end, previous = end + place.info.nbytes, f"tensor {name!r}"
    if end != file.size:
        raise file.error(
            f"has {file.size} bytes, but its tensors end at byte {end}; it is cut short or damaged:"
            " fetch it again"
        )
