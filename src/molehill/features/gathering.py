"""Gathering: one pass over texts, in which every feature's examples and counts are collected.

    gathered = gather(lm, features, texts, Gathering(), windows)

The model reads windows of the texts, the autoencoder says which features are active, and of that
is kept, for each feature: the largest activations (one of a window), a sample in which each
activation is as likely as any other, how many there were, their sum, their largest and how they
are spread; and which features are active together. What is kept around an example are the feature's
own values; the words around it are found again by its window, which the caller stores on disk. So
memory depends on the features and not on the texts, and nothing is read twice. All work on
activations is done for a batch at once; no object is made for any of them. Between chunks a pass
can be left and taken up again: what was found so far and the place in the texts are all it takes.
This module knows no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from time import perf_counter
from typing import Any, TypeAlias

import numpy as np
import torch

from molehill.errors import ConfigError, TextError
from molehill.features.codes import Codes
from molehill.features.kept import Chances, Kept, Offer
from molehill.features.spelled import add_spelled, no_counts, spelled
from molehill.features.splicing import left_out_of
from molehill.features.together import Together, add_one
from molehill.features.trained import Features
from molehill.features.words import Words
from molehill.language_model import LanguageModel
from molehill.trace.recording import Recording, shards_of
from molehill.trace.windows import Cursor, Window, WindowStream

__all__ = [
    "BINS",
    "Gathered",
    "Gathering",
    "Reached",
    "WindowsKept",
    "bin_edges",
    "gather",
    "nothing_yet",
    "recording_of",
]

_Array = np.ndarray

BINS = 128
"""Bars of a feature's values: four to each doubling, from 2^-12 on."""
_BINS_A_DOUBLING, _LOWEST = 4, -12
_ENCODED = 2048
"""Rows that are encoded at a time."""


@dataclass(frozen=True)
class Gathering:
    """What is kept, and how texts are read."""

    top: int = 20
    """Largest activations of each feature, at most one of a window."""
    sample: int = 40
    """Activations of each feature drawn at random from all."""
    before: int = 24
    """Tokens before an example whose values are kept."""
    after: int = 8
    context: int | None = None
    """Tokens of a window; None: the model's context, at most 512."""
    together: int = 16
    """Windows in a pass of the model."""
    chunk: int = 8192
    """Tokens whose activations are put away together."""
    most_tokens: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        least = {"top": 1, "sample": 0, "before": 0, "after": 0, "together": 1, "chunk": 1}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ConfigError(f"{name} is {getattr(self, name)}, expected {low} or more.")

    @property
    def width(self) -> int:
        """Tokens of an example."""
        return self.before + 1 + self.after


WindowsKept: TypeAlias = Callable[[int, Window], object]
"""Where windows that hold an example go, each with its number in the stream."""


@dataclass
class Gathered:
    """What one pass found."""

    settings: Gathering
    made: dict[str, Any]
    """How rows were made: the model, the sites, what is left out."""
    top: Kept
    sample: Kept
    together: Together
    counts: _Array
    """Tokens at which each feature is active [feature]."""
    sums: _Array
    """The sum of its values [feature]."""
    largest: _Array
    """Its largest value [feature]."""
    bins: _Array
    """How many values lie between two edges of `bin_edges` [feature, bin]."""
    tokens: _Array
    """How often each token was looked at [token]."""
    before: _Array
    """How often each token stood before one that was looked at [token]."""
    positions: _Array
    """How many looked-at tokens stood at each place of a window [position]."""
    spelled: _Array
    """How often whole words ended at one that was looked at; see `spelled.py`."""
    rows: int = 0
    """Tokens that were looked at."""
    read: int = 0
    """Tokens that the model read."""
    windows: int = 0
    texts: int = 0
    seconds: dict[str, float] | None = None
    """Where time went: model, encode, keep."""

    @property
    def nbytes(self) -> int:
        """What the tables take."""
        return (
            self.top.nbytes
            + self.sample.nbytes
            + self.together.nbytes
            + self.bins.nbytes
            + sum(a.nbytes for a in (self.counts, self.sums, self.largest, self.spelled))
        )


@dataclass(frozen=True)
class Reached:
    """A pass between two chunks: all that it takes to go on."""

    found: Gathered
    """What was found so far; the pass goes on in these tables."""
    cursor: Cursor
    """The next window."""


def bin_edges() -> _Array:
    """The edges between bars: values below the first and above the last count in the outermost."""
    return 2.0 ** (_LOWEST + np.arange(BINS + 1) / _BINS_A_DOUBLING)


@torch.no_grad()
def gather(
    lm: LanguageModel,
    features: Features,
    texts: Iterable[str],
    settings: Gathering,
    keep: WindowsKept,
    progress: Callable[[int], None] | None = None,
    *,
    start: Reached | None = None,
    reached: Callable[[Reached], object] | None = None,
) -> Gathered:
    """Read the texts once.

    Args:
        texts: are read as a stream; tokens that the features' training left out are read by the
            model, and no activations are taken from them.
        keep: is given the windows that examples stand in, in the order of the stream; some of them
            lose their examples to better ones later.
        progress: called with the tokens of each pass of the model, before anything is put away;
            what it raises leaves the tables as they were after the last chunk.
        start: where an earlier pass with the same settings was left; the texts come from their
            beginning all the same.
        reached: called after each chunk.

    Raises:
        ConfigError: the features belong to another model, or a setting is out of range.
        TextError: no tokenizer, or texts without a token to look at.
        CheckpointError: the texts before `start` are others than they were.
    """
    recording = recording_of(lm, features, settings)
    found = nothing_yet(recording, features, settings) if start is None else start.found
    stream = WindowStream(
        recording.tokenizer, texts, recording.context, None if start is None else start.cursor
    )
    # Which windows are read is decided by the shards; of those no row is cut off.
    pass_ = _Pass(replace(recording, max_tokens=None), features, found, keep)
    for windows, following in shards_of(stream, recording, found.rows):
        pass_.take(windows, progress)
        if reached is not None:
            reached(Reached(found, stream.cursor(following)))
    if not found.rows:
        raise TextError(
            f"The texts hold no token to look at: left out are {left_out_of(features)}."
        )
    found.made["texts_sha256"] = stream.cursor(None).sha256
    return found


def recording_of(lm: LanguageModel, features: Features, settings: Gathering) -> Recording:
    """How rows are made.

    Raises:
        ConfigError: the features belong to another model, or a setting is out of range.
        TextError: no tokenizer.
    """
    features.check(lm)
    left_out = left_out_of(features)
    return Recording.of(
        lm,
        features.reads,
        context=settings.context,
        batch_size=settings.together,
        shard_tokens=max(settings.chunk, settings.context or min(lm.config.n_ctx, 512)),
        dtype=torch.float32,
        skip_special=left_out.special,
        skip_first=left_out.first,
        max_tokens=settings.most_tokens,
    )


def nothing_yet(recording: Recording, features: Features, settings: Gathering) -> Gathered:
    """The tables before the first text."""
    n_features = features.n_features
    vocabulary = max(recording.lm.config.d_vocab, recording.tokenizer.d_vocab)
    made = {**recording.settings, **asdict(settings), "context": recording.context}
    return Gathered(
        settings,
        made,
        Kept(n_features, settings.top, settings.width),
        Kept(n_features, settings.sample, settings.width),
        Together(n_features),
        np.zeros(n_features, np.int64),
        np.zeros(n_features, np.float64),
        np.zeros(n_features, np.float32),
        np.full((n_features, BINS), 0, np.int32),
        np.zeros(vocabulary, np.int64),
        np.zeros(vocabulary, np.int64),
        np.zeros(recording.context, np.int64),
        no_counts(),
        seconds={"model": 0.0, "encode": 0.0, "keep": 0.0},
    )


@dataclass
class _Entries:
    """A chunk's activations, sorted by feature and then by row [entry]."""

    feature: _Array
    row: _Array
    value: _Array
    window: _Array
    position: _Array
    token: _Array


class _Pass:
    """Chunks, one after the other, into the tables."""

    def __init__(
        self, recording: Recording, features: Features, found: Gathered, keep: WindowsKept
    ) -> None:
        self.recording, self.features, self.found, self.keep = recording, features, found, keep
        self.chances = Chances(found.settings.seed)
        piece = recording.tokenizer.piece
        self.words = Words.of([piece(token) for token in range(len(found.tokens))])

    def take(self, windows: Sequence[Window], progress: Callable[[int], None] | None) -> None:
        """Run a chunk's windows and put away what is found."""
        times = [perf_counter()]
        rows = self.recording.run(windows, 0, progress)
        times.append(perf_counter())
        kept = [len(self.recording.kept(window)) for window in windows]
        number = np.repeat(np.arange(len(windows)) + self.found.windows, kept)
        parts = list(self._encoded(rows))
        times.append(perf_counter())
        columns = {name: rows[name].numpy() for name in ("token", "position")}
        for codes, start in parts:
            chosen = slice(start, start + codes.rows)
            self._count_pairs(codes, number[chosen], columns["position"][chosen])
        taken = self._put(self._entries(parts, number, columns))
        self._count_rows(windows, columns)
        for at in np.unique(taken):
            self.keep(int(at), windows[int(at) - self.found.windows])
        self.found.windows += len(windows)
        self.found.texts = windows[-1].text + 1
        times.append(perf_counter())
        self._time(times)

    def _time(self, times: list[float]) -> None:
        assert self.found.seconds is not None, "made with the tables"
        for name, took in zip(("model", "encode", "keep"), np.diff(times), strict=True):
            self.found.seconds[name] += float(took)

    def _encoded(self, rows: dict[str, torch.Tensor]) -> Iterator[tuple[Codes, int]]:
        values = {site: rows[f"site/{site}"] for site in self.features.reads}
        device = self.features.autoencoder.w_enc.device
        for start in range(0, len(rows["token"]), _ENCODED):
            part = {
                site: value[start : start + _ENCODED].to(device) for site, value in values.items()
            }
            yield _above(self.features.encode(part)), start

    def _count_pairs(self, codes: Codes, number: _Array, position: _Array) -> None:
        chance = self.chances(number, position, np.full(len(number), (1 << 40) - 1))
        self.found.together.add(codes.features.numpy(), codes.offsets.numpy(), chance)

    def _count_rows(self, windows: Sequence[Window], columns: dict[str, _Array]) -> None:
        found = self.found
        size = len(found.tokens)
        found.tokens += np.bincount(columns["token"], minlength=size)
        before = [
            window.ids[place - 1]
            for window in windows
            for place in self.recording.kept(window)
            if place
        ]
        found.before += np.bincount(np.array(before, np.int64), minlength=size)
        found.positions += np.bincount(columns["position"], minlength=len(found.positions))
        add_spelled(found.spelled, self._spelled(windows))
        found.rows += len(columns["token"])
        found.read += sum(len(window.ids) for window in windows)

    def _spelled(self, windows: Sequence[Window]) -> _Array:
        """The whole words that the looked-at tokens end."""
        lengths = [len(window.ids) for window in windows]
        starts = np.cumsum([0, *lengths[:-1]])
        ids = np.concatenate([np.array(window.ids, np.int64) for window in windows])
        first = np.zeros(len(ids), dtype=bool)
        first[starts[np.array(lengths) > 0]] = True
        places = [
            start + np.array(self.recording.kept(window), np.int64)
            for start, window in zip(starts, windows, strict=True)
        ]
        return spelled(self.words, ids, first)[0][np.concatenate(places)]

    def _entries(
        self, parts: Sequence[tuple[Codes, int]], number: _Array, columns: dict[str, _Array]
    ) -> _Entries:
        feature = np.concatenate([codes.features.numpy() for codes, _ in parts])
        row = np.concatenate([codes.row_of.numpy() + start for codes, start in parts])
        value = np.concatenate([codes.values.float().numpy() for codes, _ in parts])
        # Rows are in order already; sixteen bits are sorted by counting.
        narrow = np.uint16 if self.features.n_features <= 1 << 16 else np.int32
        order = np.argsort(feature.astype(narrow), kind="stable")
        row = row[order]
        return _Entries(
            feature[order],
            row,
            value[order],
            number[row],
            columns["position"][row],
            columns["token"][row],
        )

    def _put(self, entries: _Entries) -> _Array:
        """Count and keep; returns the windows of what was kept."""
        if not len(entries.feature):
            return np.empty(0, np.int32)
        found, count = self.found, self.features.n_features
        found.counts += np.bincount(entries.feature, minlength=count)
        found.sums += np.bincount(entries.feature, weights=entries.value, minlength=count)
        first = np.flatnonzero(np.diff(entries.feature, prepend=-1))
        own = entries.feature[first]
        largest = np.maximum.reduceat(entries.value, first)
        found.largest[own] = np.maximum(found.largest[own], largest)
        place = np.floor((np.log2(entries.value) - _LOWEST) * _BINS_A_DOUBLING).astype(np.int64)
        flat = entries.feature * BINS + place.clip(0, BINS - 1)
        add_one(found.bins, flat)
        peaks, runs = _peaks(entries)
        around = _Around(entries, runs, found.settings)
        taken = found.top.offer(_offer(entries, peaks, entries.value[peaks], around))
        chance = -self.chances(entries.window, entries.position, entries.feature)
        every = np.flatnonzero(chance > found.sample.floor[entries.feature])
        sampled = found.sample.offer(_offer(entries, every, chance[every], around))
        return np.concatenate((taken, sampled))


def _above(codes: Codes) -> Codes:
    """Without entries that are not above zero, on the CPU."""
    active = codes.active
    offsets = torch.cat((active.new_zeros(1, dtype=torch.int64), active.cumsum(0)))[codes.offsets]
    return Codes(
        codes.values[active].cpu(), codes.features[active].cpu(), offsets.cpu(), codes.n_features
    )


def _peaks(entries: _Entries) -> tuple[_Array, _Array]:
    """The largest entry of each feature in each window, the first of equals; and where the entries
    of each feature and window begin, with the end of all."""
    changed = np.diff(entries.feature, prepend=-1) | np.diff(entries.window, prepend=-1)
    starts = np.flatnonzero(changed)
    largest = np.maximum.reduceat(entries.value, starts)
    run = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(entries.value))))
    equal = np.flatnonzero(entries.value == largest[run])
    peaks = equal[np.flatnonzero(np.diff(run[equal], prepend=-1))]
    return peaks, np.append(starts, len(entries.value))


def _offer(entries: _Entries, chosen: _Array, key: _Array, around: _Around) -> Offer:
    return Offer(
        entries.feature[chosen],
        key.astype(np.float64),
        entries.value[chosen],
        entries.window[chosen],
        entries.position[chosen],
        entries.token[chosen],
        lambda taken: around(chosen[taken]),
    )


@dataclass(frozen=True)
class _Around:
    """A feature's values around entries: those of its other entries in the window."""

    entries: _Entries
    runs: _Array
    settings: Gathering

    def __call__(self, chosen: _Array) -> _Array:
        run = np.searchsorted(self.runs, chosen, side="right") - 1
        starts, lengths = self.runs[run], self.runs[run + 1] - self.runs[run]
        which = np.repeat(np.arange(len(chosen)), lengths)
        begins = np.repeat(starts - (lengths.cumsum() - lengths), lengths)
        member = np.arange(len(which)) + begins
        position, value = self.entries.position, self.entries.value
        offset = position[member].astype(np.int64) - position[chosen][which] + self.settings.before
        inside = (offset >= 0) & (offset < self.settings.width)
        made = np.zeros((len(chosen), self.settings.width), np.float16)
        shares = value[member[inside]] / value[chosen][which[inside]]
        made[which[inside], offset[inside]] = shares.clip(0, 60_000)
        return made
