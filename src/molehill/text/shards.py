"""Shards: the tokens of a run of documents on disk, and a table of where each document is.

    shards/00000.tokens.npy       the ids end to end, each document closed by the end-of-text token
    shards/00000.documents.npy    one row per document: where it ends, its bytes, its source
    shards/00000.json             what is in them, with their hashes

In a shard the documents are sorted into sections, one per split and kind, training first. The
record is written last: where there is one, the shard is whole. This module knows nothing of how
texts are read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from molehill.errors import TextError
from molehill.files import write_atomically

__all__ = [
    "DOCUMENT",
    "Cursor",
    "File",
    "Section",
    "Shard",
    "file_hash",
    "id_dtype",
    "shard_record",
]

DOCUMENT = np.dtype([("end", "<u4"), ("bytes", "<u4"), ("source", "<u4"), ("number", "<u4")])
"""A document of a shard: the place after its last token, the bytes of its text in UTF-8, its source
in the shard's list, and its number there."""


@dataclass(frozen=True)
class File:
    """A file of a shard, as it must be."""

    name: str
    bytes: int
    sha256: str

    def check_size(self, folder: Path) -> None:
        """Hold the file on disk to its size.

        Raises:
            TextError: it is absent, or shorter or longer than it was.
        """
        path = folder / self.name
        try:
            size = path.stat().st_size
        except OSError as error:
            raise TextError(f"The shard {path} cannot be read: {error.strerror}.") from None
        if size != self.bytes:
            raise TextError(
                f"The shard {path} has {size:,} bytes and had {self.bytes:,} when it was made: it "
                "was cut off or changed. Make the corpus anew, or copy the file again."
            )

    def check_hash(self, folder: Path) -> None:
        """Hold the file on disk to its hash; it is read whole.

        Raises:
            TextError: it is absent or changed.
        """
        self.check_size(folder)
        if (found := file_hash(folder / self.name)) != self.sha256:
            raise TextError(
                f"The shard {folder / self.name} has changed since it was made: its sha256 is "
                f"{found[:16]}…, expected {self.sha256[:16]}…. Make the corpus anew, or copy the "
                "file again."
            )


@dataclass(frozen=True)
class Section:
    """The documents of one split and kind in a shard."""

    split: str
    kind: str
    documents: int
    tokens: int
    """Every end-of-text token included."""
    bytes: int
    """Of the texts in UTF-8."""


@dataclass(frozen=True)
class Cursor:
    """A place in the stream of documents, and a hash of all before it."""

    documents: int = 0
    sha256: str = hashlib.sha256().hexdigest()


@dataclass(frozen=True)
class Shard:
    """What a shard holds."""

    tokens: File
    documents: File
    sections: tuple[Section, ...]
    sources: tuple[str, ...]
    """The sources of its documents, by the number in their table."""
    empty: int
    """Documents without text that were passed over."""
    next: Cursor
    """Where the stream goes on after it."""

    @property
    def files(self) -> tuple[File, File]:
        """Both of its files."""
        return self.tokens, self.documents

    @property
    def n_tokens(self) -> int:
        """Tokens of all sections."""
        return sum(section.tokens for section in self.sections)

    def to_dict(self) -> dict[str, Any]:
        """The shard in JSON's own types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shard:
        """The shard that `to_dict` wrote.

        Raises:
            TypeError, KeyError: the values are no shard.
        """
        return cls(
            File(**values["tokens"]),
            File(**values["documents"]),
            tuple(Section(**section) for section in values["sections"]),
            tuple(values["sources"]),
            values["empty"],
            Cursor(**values["next"]),
        )

    @classmethod
    def write(
        cls,
        folder: Path,
        number: int,
        ids: np.ndarray,
        table: np.ndarray,
        *,
        sections: Sequence[Section],
        sources: Sequence[str],
        empty: int,
        following: Cursor,
        tokenizer: str,
    ) -> Shard:
        """Write the three files of a shard, each whole or not at all, the record last.

        Args:
            folder: Where shards lie.
            number: The shard's place among them.
            ids: [token], uint16 or uint32.
            table: [document] of `DOCUMENT`, in the order of the ids.
            sections, sources, empty, following: As the record's fields.
            tokenizer: The digest of the tokenizer that made the ids.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        shard = cls(
            _write_array(folder / f"{number:05}.tokens.npy", ids),
            _write_array(folder / f"{number:05}.documents.npy", table),
            tuple(sections),
            tuple(sources),
            empty,
            following,
        )
        record = {"tokenizer": tokenizer, **shard.to_dict()}
        content = json.dumps(record, ensure_ascii=False, indent=1).encode()
        write_atomically(shard_record(folder, number), lambda file: file.write(content))
        return shard


def shard_record(folder: Path, number: int) -> Path:
    """The file that says what a shard holds."""
    return folder / f"{number:05}.json"


def id_dtype(d_vocab: int) -> np.dtype:
    """How ids are kept, little-endian: in two bytes where they fit."""
    return np.dtype("<u2" if d_vocab <= 2**16 else "<u4")


def file_hash(path: Path) -> str:
    """The sha256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Hashing:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()
        self.bytes = 0

    def write(self, content: bytes) -> int:
        self.sha256.update(content)
        self.bytes += len(content)
        return self._file.write(content)


def _write_array(path: Path, array: np.ndarray) -> File:
    seen: list[_Hashing] = []

    def write(file: BinaryIO) -> None:
        seen.append(_Hashing(file))
        np.lib.format.write_array(seen[0], array, allow_pickle=False)  # pyrefly: ignore

    write_atomically(path, write)
    return File(os.path.basename(path), seen[0].bytes, seen[0].sha256.hexdigest())
