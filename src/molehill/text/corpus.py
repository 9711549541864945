"""Corpus: texts as token shards on disk, opened for reading.

    corpus = Corpus.open("corpus")
    corpus.kinds, corpus.count("train").tokens, corpus.count("held_out", "dictionary").bytes
    run = corpus.run("train")               # the split's tokens, end to end
    run.read(1000, 257)                     # int64, from anywhere, without loading the rest

`molehill.text.building` makes one. This module knows nothing of how, nor of models and training.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from molehill.errors import TextError
from molehill.files import write_atomically
from molehill.text.shards import DOCUMENT, Section, Shard, id_dtype
from molehill.text.tokenizer import Tokenizer

__all__ = ["SPLITS", "Corpus", "Counts", "Passage", "TokenRun"]

SPLITS = ("train", "held_out")
"""What a corpus is divided into."""

_FORMAT = "molehill.corpus/1"
_MANIFEST = "manifest.json"
_OPEN_FILES = 64


@dataclass(frozen=True)
class Counts:
    """How much text there is."""

    documents: int = 0
    tokens: int = 0
    """The end-of-text token after each document included."""
    bytes: int = 0
    """Of the texts alone, in UTF-8."""

    def __add__(self, other: Counts | Section) -> Counts:
        return Counts(
            self.documents + other.documents,
            self.tokens + other.tokens,
            self.bytes + other.bytes,
        )


@dataclass(frozen=True)
class Passage:
    """A stretch of a token run that belongs to one document."""

    kind: str
    source: str
    number: int
    """As in `Document`."""
    tokens: tuple[int, int]
    """Its first token and the one after its last, counted in the stretch that was asked about."""
    opening: str
    """The first characters of the document."""


@dataclass(frozen=True)
class Corpus:
    """A corpus on disk; made by `build_corpus`, opened by `Corpus.open`."""

    folder: Path
    tokenizer: Tokenizer
    shards: tuple[Shard, ...]
    settings: Mapping[str, Any]
    """What it was made with."""
    digest: str
    """A hash of all tokens, their order, and the tokenizer: what a model trained on it has seen."""

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Corpus:
        """The corpus of a folder. Sizes of all files are checked, not their hashes (`verify`).

        Raises:
            TextError: there is none, it is unfinished, or a file of it is absent, cut off or
                changed.
        """
        path = Path(folder)
        manifest = _read_manifest(path)
        try:
            shards = tuple(Shard.from_dict(each) for each in manifest["shards"])
            settings, digest, of_tokenizer = (
                manifest[name] for name in ("settings", "digest", "tokenizer")
            )
        except (KeyError, TypeError, AttributeError):
            raise TextError(f"{path / _MANIFEST} is damaged: make the corpus anew.") from None
        tokenizer = Tokenizer.from_folder(path / "tokenizer")
        if tokenizer.digest != of_tokenizer:
            raise TextError(
                f"The tokenizer in {path / 'tokenizer'} is not the one that made the corpus: its "
                f"digest is {tokenizer.digest[:16]}…, expected {str(of_tokenizer)[:16]}…."
            )
        if _digest(shards, of_tokenizer) != digest:
            raise TextError(f"{path / _MANIFEST} was changed: its digest does not fit its shards.")
        corpus = cls(path, tokenizer, shards, settings, digest)
        for shard in shards:
            for file in shard.files:
                file.check_size(corpus.shard_folder)
        return corpus

    @classmethod
    def finish(
        cls,
        folder: Path,
        tokenizer: Tokenizer,
        shards: Sequence[Shard],
        settings: Mapping[str, Any],
    ) -> Corpus:
        """Write the manifest of a corpus of which all else is on disk, and open it."""
        manifest = {
            "format": _FORMAT,
            "settings": dict(settings),
            "tokenizer": tokenizer.digest,
            "digest": _digest(shards, tokenizer.digest),
            "shards": [shard.to_dict() for shard in shards],
        }
        content = json.dumps(manifest, ensure_ascii=False, indent=1).encode()
        write_atomically(folder / _MANIFEST, lambda file: file.write(content))
        return cls.open(folder)

    def verify(self, progress: Callable[[int], None] | None = None) -> None:
        """Hold every file to its hash; `progress` is told the bytes as they are read.

        Raises:
            TextError: a file is absent, cut off or changed; it is named.
        """
        for shard in self.shards:
            for file in shard.files:
                file.check_hash(self.shard_folder)
                if progress is not None:
                    progress(file.bytes)

    @property
    def shard_folder(self) -> Path:
        """Where the shards lie."""
        return self.folder / "shards"

    @property
    def dtype(self) -> np.dtype:
        """How an id is kept on disk."""
        return id_dtype(self.tokenizer.d_vocab)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of text, sorted."""
        return tuple(sorted({section.kind for shard in self.shards for section in shard.sections}))

    @property
    def n_tokens(self) -> int:
        """Of both splits and all kinds, the end-of-text token after each document included."""
        return self.count().tokens

    @property
    def n_bytes(self) -> int:
        """Of the texts of both splits and all kinds, in UTF-8."""
        return self.count().bytes

    @property
    def empty_documents(self) -> int:
        """Documents without text, which were passed over."""
        return sum(shard.empty for shard in self.shards)

    def count(self, split: str | None = None, kind: str | None = None) -> Counts:
        """How much text a split and kind have; None stands for all of them."""
        self._check_names(split, kind)
        found = Counts()
        for section in (section for shard in self.shards for section in shard.sections):
            if split in (None, section.split) and kind in (None, section.kind):
                found += section
        return found

    def run(self, split: str, kind: str | None = None) -> TokenRun:
        """The tokens of a split, or of one kind in it, end to end.

        Raises:
            TextError: there is no such split or kind.
        """
        self._check_names(split, kind)
        return TokenRun(self, split, kind)

    def _check_names(self, split: str | None, kind: str | None) -> None:
        if split is not None and split not in SPLITS:
            raise TextError(f"There is no split {split!r}; expected {' or '.join(SPLITS)}.")
        if kind is not None and kind not in self.kinds:
            raise TextError(f"There is no text of kind {kind!r}; there is {', '.join(self.kinds)}.")


@dataclass(frozen=True)
class _Stretch:
    """Tokens of one shard that follow one another in a run."""

    shard: int
    first: int
    """Its first token in the shard."""
    tokens: int
    kind: str


class TokenRun:
    """Tokens of many shards as if they were one array; only what is asked for is read.

    Files are read, not mapped: one that is cut off meanwhile is an error, where a map would end the
    process.
    """

    def __init__(self, corpus: Corpus, split: str, kind: str | None) -> None:
        self._corpus = corpus
        self._stretches = list(_stretches(corpus.shards, split, kind))
        lengths = [stretch.tokens for stretch in self._stretches]
        self._starts = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)
        self._file = lru_cache(_OPEN_FILES)(self._open)
        self._table = lru_cache(_OPEN_FILES)(self._read_table)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, first: int, count: int) -> np.ndarray:
        """The ids from `first` on, int64 [count].

        Raises:
            TextError: a shard cannot be read any more.
        """
        assert first >= 0 and first + count <= len(self), "a stretch of the run itself"
        ids = np.empty(count, np.int64)
        for stretch, at, start, size in self._covering(first, count):
            ids[at : at + size] = self._ids(stretch.shard, stretch.first + start, size)
        return ids

    def passages(self, first: int, count: int, *, opening: int = 60) -> list[Passage]:
        """The documents that the tokens from `first` on belong to, in order.

        Args:
            first, count: The tokens asked about.
            opening: How many characters of each document to show.
        """
        found: list[Passage] = []
        for stretch, at, start, size in self._covering(first, count):
            shard, table = self._corpus.shards[stretch.shard], self._table(stretch.shard)
            begin = stretch.first + start
            row = int(np.searchsorted(table["end"], begin, side="right"))
            while row < len(table) and (row == 0 or int(table["end"][row - 1]) < begin + size):
                own = int(table["end"][row - 1]) if row else 0
                end = int(table["end"][row])
                where = (max(own, begin) - begin + at, min(end, begin + size) - begin + at)
                head = self._ids(stretch.shard, own, min(end - own - 1, opening))
                text = self._corpus.tokenizer.decode(head.tolist())[:opening]
                name = shard.sources[int(table["source"][row])]
                found.append(Passage(stretch.kind, name, int(table["number"][row]), where, text))
                row += 1
        return found

    @cached_property
    def document_ends(self) -> np.ndarray:
        """[document] The place after each document's last token, int64."""
        parts = [np.zeros(0, np.int64)]
        for stretch, start, rows in self._tables():
            parts.append(rows["end"].astype(np.int64) - stretch.first + start)
        return np.concatenate(parts)

    @cached_property
    def document_bytes(self) -> np.ndarray:
        """[document] The bytes of each document's text in UTF-8, int64."""
        parts = [rows["bytes"].astype(np.int64) for _, _, rows in self._tables()]
        return np.concatenate([np.zeros(0, np.int64), *parts])

    # --- reading ----------------------------------------------------------------------------------

    def _covering(self, first: int, count: int) -> Iterator[tuple[_Stretch, int, int, int]]:
        """Stretches with: the place among those asked for, the first in the stretch, how many."""
        at = 0
        number = int(np.searchsorted(self._starts, first, side="right")) - 1
        while at < count:
            start = first + at - int(self._starts[number])
            size = min(count - at, self._stretches[number].tokens - start)
            yield self._stretches[number], at, start, size
            at += size
            number += 1

    def _tables(self) -> Iterator[tuple[_Stretch, int, np.ndarray]]:
        """Each stretch, its first token in the run, and its rows of the shard's table."""
        for stretch, start in zip(self._stretches, self._starts.tolist(), strict=False):
            table = self._table(stretch.shard)
            limits = (stretch.first, stretch.first + stretch.tokens)
            first, last = np.searchsorted(table["end"], limits, side="right")
            yield stretch, start, table[first:last]

    def _ids(self, shard: int, first: int, count: int) -> np.ndarray:
        dtype = self._corpus.dtype
        known = self._corpus.shards[shard]
        head = known.tokens.bytes - known.n_tokens * dtype.itemsize
        size = count * dtype.itemsize
        raw = os.pread(self._file(shard).descriptor, size, head + first * dtype.itemsize)
        if len(raw) < size:
            path = self._corpus.shard_folder / known.tokens.name
            raise TextError(f"The shard {path} was cut off while it was read.")
        return np.frombuffer(raw, dtype)

    def _open(self, shard: int) -> _Open:
        known = self._corpus.shards[shard].tokens
        known.check_size(self._corpus.shard_folder)
        return _Open(self._corpus.shard_folder / known.name)

    def _read_table(self, shard: int) -> np.ndarray:
        known = self._corpus.shards[shard].documents
        known.check_size(self._corpus.shard_folder)
        table = np.load(self._corpus.shard_folder / known.name, allow_pickle=False)
        assert table.dtype == DOCUMENT, "the hash in the manifest is of a table of documents"
        return table


class _Open:
    """A file that is open for reading as long as somebody has this."""

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.descriptor)


def _stretches(shards: Sequence[Shard], split: str, kind: str | None) -> Iterator[_Stretch]:
    for number, shard in enumerate(shards):
        first = 0
        for section in shard.sections:
            if section.split == split and kind in (None, section.kind):
                yield _Stretch(number, first, section.tokens, section.kind)
            first += section.tokens


# --- the manifest ---------------------------------------------------------------------------------


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        if (folder / "settings.json").exists():
            raise TextError(
                f"The corpus in {folder} is unfinished: give the command that makes it again, and "
                "it goes on where it stopped."
            ) from None
        raise TextError(f"There is no corpus in {folder} (no {_MANIFEST}).") from None
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError:
        raise TextError(f"{path} is damaged: make the corpus anew.") from None
    if not isinstance(manifest, dict) or manifest.get("format") != _FORMAT:
        raise TextError(f"{path} is no manifest of a corpus of the format {_FORMAT}.")
    return manifest


def _digest(shards: Sequence[Shard], tokenizer: str) -> str:
    """A hash over the shards' own hashes, how they are divided, and the tokenizer's digest."""
    content = [
        (shard.tokens.sha256, shard.documents.sha256, [asdict(each) for each in shard.sections])
        for shard in shards
    ]
    return hashlib.sha256(json.dumps([tokenizer, content]).encode()).hexdigest()
