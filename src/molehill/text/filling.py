"""Filling shards: documents arrive in order; a shard is written whenever there are tokens enough.

A filler begins after the shards that its folder already has, each held to its hashes. This module
knows nothing of how texts are encoded.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from molehill.errors import TextError
from molehill.text.documents import Document
from molehill.text.shards import DOCUMENT, Cursor, Section, Shard, shard_record

__all__ = ["Choice", "Pending", "ShardFiller"]


@dataclass(frozen=True)
class Choice:
    """Which texts are held out: a share of them, by a hash of each with the seed."""

    share: float
    seed: int

    def digest(self, raw: bytes) -> bytes:
        """16 bytes that stand for a text and the seed."""
        return hashlib.blake2b(raw, digest_size=16, salt=self.seed.to_bytes(8, "little")).digest()

    def of_digest(self, digest: bytes) -> bool:
        """Whether the text of this digest is held out."""
        return int.from_bytes(digest[:8], "little") < self.share * 2**64

    def holds_out(self, text: str) -> bool:
        """Whether this text is held out."""
        return self.of_digest(self.digest(text.encode()))


@dataclass(frozen=True)
class Pending:
    """A document on its way into a shard."""

    document: Document
    bytes: int
    held_out: bool
    cursor: Cursor
    """The place after it."""
    empty: int
    """How many documents without text there were up to it."""


@dataclass
class _Part:
    """The documents of one split and kind in the shard that is being filled."""

    ids: bytearray = field(default_factory=bytearray)
    rows: array[int] = field(default_factory=lambda: array("I"))
    """End, bytes, source and number of each, as in `DOCUMENT`."""
    tokens: int = 0
    bytes: int = 0


class ShardFiller:
    """Takes documents with their ids and writes shards.

    Args:
        folder: Where they lie; it is made if it is not there.
        dtype: How an id is kept.
        tokenizer: The digest of the tokenizer that makes the ids.
        choice: Which documents are held out.
        shard_tokens: A shard with so many tokens is closed.

    Raises:
        TextError: a shard that is there already is damaged, or of another tokenizer.
    """

    def __init__(
        self, folder: Path, dtype: np.dtype, tokenizer: str, choice: Choice, shard_tokens: int
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._dtype = dtype
        self._tokenizer = tokenizer
        self._choice = choice
        self._shard_tokens = shard_tokens
        self._shards = list(_whole_shards(folder, tokenizer))
        self._start = self._shards[-1].next if self._shards else Cursor()
        self._written_empty = sum(shard.empty for shard in self._shards)
        # What was read, and what of it was added: encoding is some documents behind.
        self._passed = self._added = self._start
        self._passed_empty = self._added_empty = self._written_empty
        self._parts: dict[tuple[bool, str], _Part] = {}
        self._sources: dict[str, int] = {}
        self._tokens = 0

    @property
    def passed(self) -> tuple[int, int]:
        """How many documents there were, and how many of them had no text."""
        return self._passed.documents, self._passed_empty

    def pending(self, stream: Iterator[Document]) -> Iterator[Pending]:
        """The documents that are still to be encoded; those in shards already are only hashed.

        Raises:
            TextError: those are not the documents that the shards were made of.
        """
        running = hashlib.sha256()
        number, empty = 0, self._written_empty
        for number, document in enumerate(stream, start=1):
            raw = document.text.encode()
            digest = self._choice.digest(raw)
            running.update(digest + document.kind.encode() + b"\n")
            if number < self._start.documents:
                continue
            cursor = Cursor(number, running.hexdigest())
            if number == self._start.documents:
                if cursor != self._start:
                    break
                continue
            blank = not document.text.strip()
            empty += blank
            self._passed, self._passed_empty = cursor, empty
            if not blank:
                held_out = self._choice.of_digest(digest)
                yield Pending(document, len(raw), held_out, cursor, empty)
        if number <= self._start.documents and Cursor(number, running.hexdigest()) != self._start:
            count = self._start.documents
            raise TextError(
                f"The sources have changed: their first {count:,} documents are not those that the "
                "corpus was begun with. Give the same sources, or another folder."
            )

    def add(self, pending: Pending, ids: np.ndarray) -> None:
        """Put a document into the shard that is being filled; a full one is written before.

        Args:
            pending: The document.
            ids: [token] Its ids, closed by the end-of-text token.
        """
        if self._tokens >= self._shard_tokens:
            self._write()
        document = pending.document
        part = self._parts.setdefault((pending.held_out, document.kind), _Part())
        source = self._sources.setdefault(document.source, len(self._sources))
        part.ids += ids.astype(self._dtype, copy=False).tobytes()
        part.tokens += len(ids)
        part.bytes += pending.bytes
        part.rows.extend((part.tokens, pending.bytes, source, document.number))
        self._tokens += len(ids)
        self._added, self._added_empty = pending.cursor, pending.empty

    def close(self) -> list[Shard]:
        """Write what is left; all shards."""
        if self._parts:
            # Documents without text after the last one are counted with it.
            self._added, self._added_empty = self._passed, self._passed_empty
            self._write()
        return self._shards

    def _write(self) -> None:
        """Write the shard that was filled, the training sections first."""
        sections, tables, first = [], [], 0
        parts = sorted(self._parts.items(), key=lambda item: item[0])
        for (held_out, kind), part in parts:
            table = np.frombuffer(part.rows, DOCUMENT).copy()
            table["end"] += first
            tables.append(table)
            split = "held_out" if held_out else "train"
            sections.append(Section(split, kind, len(table), part.tokens, part.bytes))
            first += part.tokens
        shard = Shard.write(
            self._folder,
            len(self._shards),
            np.frombuffer(b"".join(part.ids for _, part in parts), self._dtype),
            np.concatenate(tables),
            sections=sections,
            sources=list(self._sources),
            empty=self._added_empty - self._written_empty,
            following=self._added,
            tokenizer=self._tokenizer,
        )
        self._shards.append(shard)
        self._written_empty = self._added_empty
        self._parts, self._sources, self._tokens = {}, {}, 0


def _whole_shards(folder: Path, tokenizer: str) -> Iterator[Shard]:
    """The shards that an earlier run has finished, each held to its hashes."""
    number = 0
    while (record := shard_record(folder, number)).exists():
        try:
            values = json.loads(record.read_bytes())
            shard, of_tokenizer = Shard.from_dict(values), values["tokenizer"]
        except (KeyError, TypeError, ValueError):
            raise TextError(f"{record} is damaged: remove the folder and begin anew.") from None
        if of_tokenizer != tokenizer:
            raise TextError(
                f"{record} was made with another tokenizer (digest {of_tokenizer[:16]}…, now "
                f"{tokenizer[:16]}…): remove the folder and begin anew."
            )
        for file in shard.files:
            file.check_hash(folder)
        yield shard
        number += 1
