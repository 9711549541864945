"""Examples written: one pass over texts becomes an examples file, whole or not at all.

    write_examples("mole.db", lm, features, texts, Gathering(), named=["corpus.jsonl"])

While the texts are read, what was found stands in a folder beside the file to be made
(`unfinished.py`): stopped by Ctrl-C, SIGTERM or worse, the same call goes on there, and makes the
file that it would have made. Windows that lost their examples are left out in the end. This module
knows no views.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterable, Sequence
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
from molehill.features.gathering import (
    Gathered,
    Gathering,
    gather,
    nothing_yet,
    recording_of,
)
from molehill.features.kept import Kept
from molehill.features.labels import Corpus, Label, Seen, label_of
from molehill.features.splicing import left_out_of
from molehill.features.trained import Features
from molehill.features.unfinished import Unfinished, Windows
from molehill.features.words import Words
from molehill.language_model import LanguageModel
from molehill.training.interrupts import Interrupts
from molehill.version import __version__

__all__ = ["PassStopped", "write_examples"]

_Array = np.ndarray

_BLOCK = 256
"""Features that are written at a time."""
_WORDS, _NEIGHBOURS = 10, 8
_PARTNERS = 8
_EVERY = 300.0
"""Seconds between checkpoints."""


class PassStopped(KeyboardInterrupt):
    """A pass was stopped by a signal, and what it had found is kept."""

    def __init__(self, folder: Path, tokens: int, by: signal.Signals) -> None:
        kept = f"{tokens:,} tokens, which {folder} keeps" if tokens else "no token was put away"
        super().__init__(f"stopped by {by.name} {'after' if tokens else 'when'} {kept}")
        self.folder, self.tokens, self.by = folder, tokens, by


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
    notice: Callable[[str], object] | None = None,
    must_resume: bool = False,
    every: float = _EVERY,
) -> Gathered:
    """Make an examples file; one that is there is replaced when the new one is whole. A pass that
    was stopped goes on.

    Args:
        texts: are read once, as a stream, from their beginning.
        named: what the texts are called, for the file to say.
        features_sha256: of the features' file.
        progress: called with the tokens of each pass of the model, and those that a pass before
            had looked at.
        told: called with each stage's name.
        notice: told in a sentence where it goes on, and of damaged checkpoints.
        must_resume: whether it is an error if there is nothing to go on from.
        every: seconds between checkpoints.

    Raises:
        ConfigError: features of another model; or the pass that was stopped is another one.
        TextError: no tokenizer, or nothing to look at.
        CheckpointError, TrainingError: a file cannot be written, or the texts are others than
            before the stop.
        PassStopped: by Ctrl-C or SIGTERM; a second Ctrl-C does not wait for anything to be kept.
    """
    settings = Gathering() if settings is None else settings
    if settings.width > 256:
        raise ConfigError(f"An example has {settings.width} tokens; at most 256 can be kept.")
    path = Path(path)
    recording = recording_of(lm, features, settings)
    empty = nothing_yet(recording, features, settings)
    identity = {
        **empty.made,
        "features": features.name,
        "autoencoder": features.digest,
        "texts": list(named),
    }
    with (
        Interrupts() as interrupts,
        Unfinished.entered(
            path,
            identity,
            empty,
            every=every,
            must_resume=must_resume,
            notice=notice or (lambda _: None),
        ) as unfinished,
    ):
        stop = _Stop(interrupts, empty, progress)
        try:
            more = {"texts_named": list(named), "features_sha256": features_sha256}
            gathered = _read_texts(lm, features, texts, settings, unfinished, stop)
            _write(path, lm, features, gathered, unfinished, stop, more, told)
        except _Stopping as stopping:
            unfinished.save()
            raise PassStopped(unfinished.folder, empty.rows, stopping.by) from None
        unfinished.done()
    return gathered


class _Stopping(Exception):
    """The wish to stop, on its way up."""

    def __init__(self, by: signal.Signals) -> None:
        super().__init__(by.name)
        self.by = by


class _Stop:
    """Asked between pieces of work whether to go on."""

    def __init__(
        self,
        interrupts: Interrupts,
        found: Gathered,
        progress: Callable[[int], None] | None,
    ) -> None:
        self.interrupts, self.progress = interrupts, progress
        if progress is not None and found.rows:
            progress(found.rows)

    def __call__(self, tokens: int = 0) -> None:
        """So many tokens more were read."""
        if self.progress is not None and tokens:
            self.progress(tokens)
        if self.interrupts.wanted is not None:
            raise _Stopping(self.interrupts.wanted)


def _read_texts(
    lm: LanguageModel,
    features: Features,
    texts: Iterable[str],
    settings: Gathering,
    unfinished: Unfinished,
    stop: _Stop,
) -> Gathered:
    gathered = gather(
        lm,
        features,
        texts,
        settings,
        unfinished.windows,
        stop,
        start=unfinished.start,
        reached=unfinished.reached,
    )
    # What follows can take minutes too; no text is to be read twice for it.
    unfinished.save()
    unfinished.windows.commit()
    return gathered


def _write(
    path: Path,
    lm: LanguageModel,
    features: Features,
    gathered: Gathered,
    unfinished: Unfinished,
    stop: _Stop,
    more: dict[str, Any],
    told: Callable[[str], object] | None,
) -> None:
    """What was gathered becomes the file."""
    say = told or (lambda _: None)
    say("Effects")
    stop()
    effects = effects_of(lm, features, _WORDS) if reads_words(lm, features) else None
    nearest = nearest_features(features.autoencoder.w_dec, _NEIGHBOURS)
    say("Labels")
    made = unfinished.folder / "made.db"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(made)
    try:
        with contextlib.closing(sqlite3.connect(made)) as base:
            writer = _Writer(
                base, lm, features, gathered, effects, nearest, unfinished.windows, stop
            )
            writer.write(more)
        _take_name(made, path)
    except (sqlite3.Error, OSError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}.") from error


def _take_name(made: Path, path: Path) -> None:
    """To the disk, then the final name in one step."""
    with open(made, "rb+") as file:
        os.fsync(file.fileno())
    os.replace(made, path)
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


@dataclass
class _Writer:
    """All tables of the file."""

    base: sqlite3.Connection
    lm: LanguageModel
    features: Features
    gathered: Gathered
    effects: Effects | None
    nearest: Nearest
    windows: Windows
    stop: Callable[[], object]

    def __post_init__(self) -> None:
        assert self.lm.tokenizer is not None, "texts were read with it"
        tokenizer = self.lm.tokenizer
        self.words = Words.of([tokenizer.piece(one) for one in range(len(self.gathered.tokens))])
        g = self.gathered
        self.corpus = Corpus(self.words, g.tokens, g.before, g.positions, g.spelled)

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
        self.stop()
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
