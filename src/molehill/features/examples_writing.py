"""Examples written: one pass over texts becomes an examples file, whole or not at all.

    write_examples("mole.db", lm, features, texts, Gathering(), named=["corpus.jsonl"])

While the texts are read, windows with an example go to a hidden file beside the one to be made, and
those that lost their examples are left out in the end. Stopped, nothing is left behind; the same
command begins anew. This module knows no views.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from molehill.errors import CheckpointError, ConfigError
from molehill.features.effects import (
    Effects,
    Nearest,
    effects_of,
    nearest_features,
    reads_words,
)
from molehill.features.examples_file import KIND, SCHEMA, packed
from molehill.features.gathering import Gathered, Gathering, gather
from molehill.features.kept import Kept
from molehill.features.labels import Corpus, Label, Seen, label_of
from molehill.features.splicing import left_out_of
from molehill.features.trained import Features
from molehill.features.words import Words
from molehill.language_model import LanguageModel
from molehill.trace.windows import Window
from molehill.version import __version__

__all__ = ["write_examples"]

_Array = np.ndarray

_BLOCK = 256
"""Features that are written at a time."""
_WORDS, _NEIGHBOURS = 10, 8
_PARTNERS = 8


def write_examples(
    path: str | os.PathLike[str],
    lm: LanguageModel,
    features: Features,
    texts: Iterable[str],
    settings: Gathering | None = None,
    *,
    named: Sequence[str] = (),
    features_sha256: str = "",
    progress: Callable[[int], None] | None = None,
    told: Callable[[str], object] | None = None,
) -> Gathered:
    """Make an examples file; one that is there is replaced when the new one is whole.

    Args:
        texts: are read once, as a stream.
        named: what the texts are called, for the file to say.
        features_sha256: of the features' file.
        progress: called with the tokens of each pass.
        told: called with each stage's name.

    Raises:
        ConfigError: features of another model.
        TextError: no tokenizer, or nothing to look at.
        CheckpointError: the file cannot be written.
    """
    settings = Gathering() if settings is None else settings
    if settings.width > 256:
        raise ConfigError(f"An example has {settings.width} tokens; at most 256 can be kept.")
    path = Path(path)
    say = told or (lambda _: None)
    with _hidden(path, "windows") as beside, _hidden(path, "made") as made:
        windows = _Windows(beside)
        say("Texts")
        gathered = gather(lm, features, texts, settings, windows, progress)
        windows.flush()
        say("Effects")
        effects = effects_of(lm, features, _WORDS) if reads_words(lm, features) else None
        nearest = nearest_features(features.autoencoder.w_dec, _NEIGHBOURS)
        say("Labels")
        try:
            with contextlib.closing(sqlite3.connect(made)) as base:
                writer = _Writer(base, lm, features, gathered, effects, nearest, windows)
                writer.write({"texts_named": list(named), "features_sha256": features_sha256})
            _take_name(made, path)
        except (sqlite3.Error, OSError) as error:
            raise CheckpointError(f"{path} cannot be written: {error}.") from error
        finally:
            windows.base.close()
    return gathered


@contextmanager
def _hidden(path: Path, what: str) -> Iterator[Path]:
    """A hidden name beside the file, of which nothing is left in the end."""
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(8)}.{what}")
    try:
        yield hidden
    finally:
        for name in (hidden, hidden.with_name(f"{hidden.name}-journal")):
            with contextlib.suppress(OSError):
                os.unlink(name)


def _take_name(made: Path, path: Path) -> None:
    """To the disk, then the final name in one step."""
    with open(made, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(made, path)
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class _Windows:
    """Windows on disk, by their number in the stream."""

    def __init__(self, path: Path) -> None:
        try:
            self.base = sqlite3.connect(path)
            self.base.execute("PRAGMA journal_mode = OFF")
            self.base.execute("PRAGMA synchronous = OFF")
            self.base.execute(
                "CREATE TABLE windows (number INTEGER PRIMARY KEY, text INTEGER, part INTEGER, "
                "ids BLOB)"
            )
        except sqlite3.Error as error:
            raise CheckpointError(f"{path.parent} cannot be written: {error}.") from error
        self.held: list[tuple[int, int, int, bytes]] = []

    def __call__(self, number: int, window: Window) -> None:
        ids = np.array(window.ids, np.int32).tobytes()
        self.held.append((number, window.text, window.number, ids))
        if len(self.held) >= 1000:
            self.flush()

    def flush(self) -> None:
        """What is held, to the file."""
        self.base.executemany("INSERT INTO windows VALUES (?, ?, ?, ?)", self.held)
        self.held.clear()

    def ids(self, number: int) -> _Array:
        """The tokens of a window."""
        ((raw,),) = self.base.execute("SELECT ids FROM windows WHERE number = ?", (number,))
        return np.frombuffer(raw, np.int32)


@dataclass
class _Writer:
    """All tables of the file."""

    base: sqlite3.Connection
    lm: LanguageModel
    features: Features
    gathered: Gathered
    effects: Effects | None
    nearest: Nearest
    windows: _Windows

    def __post_init__(self) -> None:
        assert self.lm.tokenizer is not None, "texts were read with it"
        tokenizer = self.lm.tokenizer
        self.words = Words.of([tokenizer.piece(one) for one in range(len(self.gathered.tokens))])
        g = self.gathered
        self.corpus = Corpus(self.words, g.tokens, g.before, g.positions)

    def write(self, more: dict[str, Any]) -> None:
        base = self.base
        base.execute("PRAGMA journal_mode = OFF")
        base.execute("PRAGMA synchronous = OFF")
        base.executescript(SCHEMA)
        about = {**_about(self.lm, self.features, self.gathered, self.effects), **more}
        base.executemany(
            "INSERT INTO about VALUES (?, ?)",
            [(name, json.dumps(value)) for name, value in about.items()],
        )
        base.executemany("INSERT INTO tokens VALUES (?, ?)", enumerate(self.words.pieces))
        for first in range(0, self.features.n_features, _BLOCK):
            self._block(range(first, min(first + _BLOCK, self.features.n_features)))
        self._windows()
        base.execute("CREATE INDEX examples_by_word ON examples (word, feature)")
        base.execute("CREATE INDEX examples_by_window ON examples (window, feature)")
        base.commit()

    def _block(self, numbers: range) -> None:
        """Some features with their examples."""
        held: dict[int, _Array] = {}
        for number in numbers:
            top = self._around(self.gathered.top, number, held)
            sample = self._around(self.gathered.sample, number, held)
            label = label_of(self._seen(number, top, sample), self.corpus)
            self._feature(number, label)
            self._examples(number, "top", self.gathered.top, top)
            self._examples(number, "sample", self.gathered.sample, sample)

    def _around(self, kept: Kept, number: int, held: dict[int, _Array]) -> _Array:
        """The tokens around a feature's examples [example, width], the largest key first; -1
        outside their windows."""
        settings = self.gathered.settings
        order = kept.of(number)
        rows = np.full((len(order), settings.width), -1, np.int64)
        windows, places = kept.window[number, order].tolist(), kept.position[number, order].tolist()
        for row, window, place in zip(rows, windows, places, strict=True):
            ids = held.get(window)
            if ids is None:
                ids = held[window] = self.windows.ids(window)
            first = place - settings.before
            some = ids[max(0, first) : first + settings.width]
            row[max(0, -first) : max(0, -first) + len(some)] = some
        return rows

    def _seen(self, number: int, top: _Array, sample: _Array) -> Seen:
        g = self.gathered
        promoted: list[int] = []
        if self.effects is not None:
            beyond = self.effects.promoted_z[number] > self.effects.chance
            promoted = self.effects.promoted[number][beyond].tolist()
        return Seen(
            int(g.counts[number]),
            top,
            sample,
            g.top.position[number, g.top.of(number)],
            g.sample.position[number, g.sample.of(number)],
            g.settings.before,
            promoted,
        )

    def _feature(self, number: int, label: Label) -> None:
        g, effects = self.gathered, self.effects
        promoted = demoted = []
        if effects is not None:
            promoted = _pairs(effects.promoted[number], effects.promoted_z[number])
            demoted = _pairs(effects.demoted[number], effects.demoted_z[number])
        nearest = _pairs(self.nearest.features[number], self.nearest.cosines[number])
        together = [
            [one.feature, round(one.share, 4), round(one.correlation, 4)]
            for one in g.together.partners(number, _PARTNERS)
        ]
        counts = int(g.counts[number]), float(g.sums[number]), float(g.largest[number])
        lists = [json.dumps(each) for each in (promoted, demoted, nearest, together)]
        told = json.dumps(label.to_dict())
        self.base.execute(
            f"INSERT INTO features VALUES ({', '.join('?' * 13)})",
            (
                number,
                *counts,
                g.bins[number].tobytes(),
                label.text,
                label.kind,
                label.score,
                told,
                *lists,
            ),
        )
        pieces = " ".join(self.words.pieces[token].lstrip("·") for token, _ in promoted)
        self.base.execute(
            "INSERT INTO labels (rowid, label, promoted) VALUES (?, ?, ?)",
            (number, label.text, pieces),
        )

    def _examples(self, number: int, kind: str, kept: Kept, around: _Array) -> None:
        order = kept.of(number)
        rows = []
        at = self.gathered.settings.before
        # Those drawn at random stand by their value too: what chose them has no meaning.
        by_value = np.argsort(-kept.value[number, order], kind="stable")
        for rank, place in enumerate(by_value.tolist()):
            slot = order[place]
            ids = around[place]
            first = int((ids[:at] < 0).sum())
            inside = ids[ids >= 0].tolist()
            rows.append(
                (
                    number,
                    kind,
                    rank,
                    float(kept.value[number, slot]),
                    int(kept.token[number, slot]),
                    self.words.word_at(inside, at - first),
                    int(kept.window[number, slot]),
                    int(kept.position[number, slot]),
                    packed(kept.around[number, slot]),
                )
            )
        self.base.executemany("INSERT INTO examples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _windows(self) -> None:
        """The windows that still hold an example, and the search over their texts."""
        assert self.lm.tokenizer is not None, "texts were read with it"
        wanted = self.base.execute(
            "SELECT DISTINCT window FROM examples ORDER BY window"
        ).fetchall()
        for (number,) in wanted:
            ((text, part, raw),) = self.windows.base.execute(
                "SELECT text, part, ids FROM windows WHERE number = ?", (number,)
            )
            ids = np.frombuffer(raw, np.int32).tolist()
            content = self.lm.tokenizer.decode(ids, skip_special=True)
            clean = content.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
            self.base.execute(
                "INSERT INTO windows VALUES (?, ?, ?, ?, ?)", (number, text, part, raw, clean)
            )
        self.base.execute("INSERT INTO words (words) VALUES ('rebuild')")


def _pairs(numbers: Tensor, values: Tensor) -> list[tuple[int, float]]:
    return [
        (number, round(value, 3))
        for number, value in zip(numbers.tolist(), values.tolist(), strict=True)
    ]


def _about(
    lm: LanguageModel, features: Features, gathered: Gathered, effects: Effects | None
) -> dict[str, Any]:
    """Where all of it comes from."""
    left_out = left_out_of(features)
    return {
        "kind": KIND,
        "version": __version__,
        "model": lm.name,
        "fingerprint": lm.fingerprint,
        "dtype": str(lm.model.dtype).removeprefix("torch."),
        "features_name": features.name,
        "n_features": features.n_features,
        "architecture": features.settings.architecture,
        "reads": list(features.reads),
        "writes": list(features.writes),
        "rows": gathered.rows,
        "tokens_read": gathered.read,
        "windows": gathered.windows,
        "texts": gathered.texts,
        "left_out": {"first": left_out.first, "special": left_out.special, "told": str(left_out)},
        "settings": gathered.made,
        "before": gathered.settings.before,
        "width": gathered.settings.width,
        "chance": None if effects is None else effects.chance,
        "pairs": {
            "exact": gathered.together.exact,
            "tokens": gathered.together.rows,
            "every": gathered.together.every,
        },
    }
