"""Examples file: what one pass found of every feature, in one SQLite file that can be searched.

    with open_examples("mole.db") as examples:
        examples.feature(123).label
        examples.examples(123)                      # the largest, and those drawn at random

Tables: `about` (where all of it comes from), `features`, `examples` (each stands in a window, and
keeps its feature's values around it), `windows` (texts with an example in them, as tokens), `words`
and `labels` (full-text search, FTS5), `tokens`. The file is made by `examples_writing.py`, is read
without writing, and needs no model. This module knows no model.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from molehill.errors import CheckpointError, TextError
from molehill.features.gathering import BINS
from molehill.features.labels import Label

__all__ = [
    "KIND",
    "SCHEMA",
    "Examples",
    "KeptExample",
    "KeptFeature",
    "keep_label",
    "open_examples",
    "packed",
    "unpacked",
]

KIND = "molehill.examples/1"

SCHEMA = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE tokens (token INTEGER PRIMARY KEY, piece TEXT NOT NULL);
CREATE TABLE features (
    feature INTEGER PRIMARY KEY, count INTEGER NOT NULL, total REAL NOT NULL,
    largest REAL NOT NULL, bins BLOB NOT NULL, label TEXT NOT NULL, kind TEXT NOT NULL,
    score REAL NOT NULL, told TEXT NOT NULL, promoted TEXT NOT NULL, demoted TEXT NOT NULL,
    nearest TEXT NOT NULL, together TEXT NOT NULL);
CREATE TABLE windows (
    number INTEGER PRIMARY KEY, text INTEGER NOT NULL, part INTEGER NOT NULL, ids BLOB NOT NULL,
    content TEXT NOT NULL);
CREATE TABLE examples (
    feature INTEGER NOT NULL, kind TEXT NOT NULL, rank INTEGER NOT NULL, value REAL NOT NULL,
    token INTEGER NOT NULL, word TEXT NOT NULL, window INTEGER NOT NULL, position INTEGER NOT NULL,
    shares BLOB NOT NULL, PRIMARY KEY (feature, kind, rank)) WITHOUT ROWID;
CREATE VIRTUAL TABLE words USING fts5(content, content='windows', content_rowid='number');
CREATE VIRTUAL TABLE labels USING fts5(label, promoted);
"""
"""Indices are made last, when all rows are there."""

_COLUMNS = "feature, count, total, largest, bins, told, promoted, demoted, nearest, together"


@dataclass(frozen=True)
class KeptExample:
    """A token at which a feature is active, and what stands around it."""

    kind: Literal["top", "sample"]
    rank: int
    value: float
    tokens: tuple[int, ...]
    pieces: tuple[str, ...]
    values: tuple[float, ...]
    """The feature's at each of these tokens."""
    at: int
    """Which of them is the example's own."""
    word: str
    """The word in which that token stands, in small letters."""
    text: int
    """The text's number in what was read, from 0."""
    window: int
    position: int
    """Of the token in its window."""


@dataclass(frozen=True)
class KeptFeature:
    """What is known of a feature."""

    feature: int
    count: int
    """Tokens at which it is active."""
    density: float
    """The same as a share of the tokens that were looked at."""
    mean: float
    """Of its values where it is active."""
    largest: float
    bins: tuple[int, ...]
    """How its values are spread; see `gathering.bin_edges`."""
    label: Label
    promoted: tuple[tuple[int, float], ...]
    """Tokens with their z, the furthest first."""
    demoted: tuple[tuple[int, float], ...]
    nearest: tuple[tuple[int, float], ...]
    """Features with their cosine."""
    together: tuple[tuple[int, float, float], ...]
    """Features that are active with it: the share of its tokens, the correlation."""


@contextmanager
def open_examples(path: str | os.PathLike[str]) -> Iterator[Examples]:
    """An examples file for reading.

    Raises:
        CheckpointError: no such file, or it is damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no examples file {path}: molehill features examples.")
    try:
        base = sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        try:
            yield Examples(path, base)
        finally:
            base.close()
    except sqlite3.Error as error:
        raise CheckpointError(f"{path} is no examples file or damaged: {error}.") from None
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, json.JSONDecodeError | KeyError):
            raise CheckpointError(f"{path} is damaged: {error}.") from None
        raise


class Examples:
    """An open examples file."""

    def __init__(self, path: Path, base: sqlite3.Connection) -> None:
        self.path, self.base = path, base
        self.about: dict[str, Any] = {
            name: json.loads(value) for name, value in base.execute("SELECT name, value FROM about")
        }
        if self.about.get("kind") != KIND:
            found = self.about.get("kind")
            raise CheckpointError(f"{path} is {found!r}, expected {KIND!r}: make it anew.")

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return int(self.about["n_features"])

    @property
    def rows(self) -> int:
        """Tokens that were looked at."""
        return int(self.about["rows"])

    @cached_property
    def pieces(self) -> dict[int, str]:
        """The vocabulary."""
        return dict(self.base.execute("SELECT token, piece FROM tokens"))

    def feature(self, number: int) -> KeptFeature:
        """One feature.

        Raises:
            TextError: there is no such one.
        """
        found = self.base.execute(f"SELECT {_COLUMNS} FROM features WHERE feature = ?", (number,))
        row = found.fetchone()
        if row is None:
            raise TextError(
                f"There is no feature {number}: {self.path} has 0 to {self.n_features - 1}."
            )
        told = json.loads(row[5])
        told |= {name: tuple(told[name]) for name in ("evidence", "words")}
        lists = [tuple(map(tuple, json.loads(text))) for text in row[6:]]
        return KeptFeature(
            row[0],
            row[1],
            row[1] / max(1, self.rows),
            row[2] / max(1, row[1]),
            row[3],
            tuple(np.frombuffer(row[4], np.int32, BINS).tolist()),
            Label(**told),
            *lists,
        )

    def examples(self, number: int, kind: str | None = None) -> tuple[KeptExample, ...]:
        """A feature's examples: the largest ones first, then those drawn at random, the largest of
        them first."""
        rows = self.base.execute(
            "SELECT kind, rank, value, word, e.window, position, shares, ids, text "
            "FROM examples e JOIN windows w ON w.number = e.window "
            "WHERE feature = ? AND kind = coalesce(?, kind) ORDER BY kind DESC, rank",
            (number, kind),
        )
        return tuple(self._example(row) for row in rows)

    def _example(self, row: Sequence[Any]) -> KeptExample:
        kind, rank, value, word, window, position, shares, raw, text = row
        ids = np.frombuffer(raw, np.int32)
        before, width = self.about["before"], self.about["width"]
        first, last = max(0, position - before), min(len(ids), position - before + width)
        values = unpacked(shares, width)[first - position + before : last - position + before]
        tokens = tuple(ids[first:last].tolist())
        return KeptExample(
            kind,
            rank,
            value,
            tokens,
            tuple(self.pieces[token] for token in tokens),
            tuple((values * value).tolist()),
            position - first,
            word,
            text,
            window,
            position,
        )

    def random(self, count: int, seed: int = 0) -> list[int]:
        """Features drawn at random from those that are active at all, in their order."""
        found = [
            number
            for (number,) in self.base.execute(
                "SELECT feature FROM features WHERE count > 0 ORDER BY feature"
            )
        ]
        rng = np.random.default_rng(seed)
        chosen = rng.choice(len(found), min(count, len(found)), replace=False)
        return sorted(found[one] for one in chosen)

    def densities(self) -> np.ndarray:
        """Each feature's share of the tokens [feature]."""
        counts = self.base.execute("SELECT count FROM features ORDER BY feature").fetchall()
        return np.array(counts, np.float64).ravel() / max(1, self.rows)

    def means(self) -> np.ndarray:
        """Each feature's mean value where it is active [feature]; 0 where it never is."""
        rows = self.base.execute("SELECT total, count FROM features ORDER BY feature").fetchall()
        table = np.array(rows, np.float64).reshape(-1, 2)
        return table[:, 0] / np.maximum(1, table[:, 1])

    def labels(self) -> list[str]:
        """Each feature's label [feature]."""
        rows = self.base.execute("SELECT label FROM features ORDER BY feature")
        return [text for (text,) in rows]


def keep_label(path: str | os.PathLike[str], feature: int, label: Label) -> None:
    """Write another label into an examples file, in place of the one that is there.

    Raises:
        CheckpointError: the file cannot be written.
    """
    try:
        with sqlite3.connect(Path(path)) as base:
            base.execute(
                "UPDATE features SET label = ?, kind = ?, score = ?, told = ? WHERE feature = ?",
                (label.text, label.kind, label.score, json.dumps(label.to_dict()), feature),
            )
            base.execute("UPDATE labels SET label = ? WHERE rowid = ?", (label.text, feature))
        base.close()
    except sqlite3.Error as error:
        raise CheckpointError(f"{path} cannot be written: {error}.") from None


def packed(shares: np.ndarray) -> bytes:
    """Shares [width] as bytes: places that are not zero, then their float16s."""
    places = np.flatnonzero(shares)
    assert len(shares) <= 256, "a place is one byte"
    return places.astype(np.uint8).tobytes() + shares[places].astype(np.float16).tobytes()


def unpacked(raw: bytes, width: int) -> np.ndarray:
    """What `packed` made, as float64 [width]."""
    count = len(raw) // 3
    made = np.zeros(width)
    places = np.frombuffer(raw, np.uint8, count)
    made[places] = np.frombuffer(raw, np.float16, count, offset=count)
    return made
