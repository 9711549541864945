"""Activations: batches of rows for autoencoders to learn from, live or from a store on disk.

    source = Live(lm, ["15.resid_post"], texts)
    for batch, after in source.batches(4096, Place()):
        batch["15.resid_post"]                  # [4096, d_model]

Live, a chunk of some ten thousand rows is run through the model and shuffled; a store's shards are
shuffled several at a time. What follows depends on the seed and the place alone, so that a run goes
on where it stopped with the batches it would have had. The last rows of a chunk that fill no batch
are left out, and counted. This module knows no autoencoder.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from torch import Tensor

from molehill.errors import ConfigError, TextError
from molehill.language_model import LanguageModel
from molehill.trace.recording import Recording, shards_of
from molehill.trace.store import Store
from molehill.trace.windows import Cursor, Window, WindowStream

__all__ = ["Live", "Place", "Source", "Stored"]

_NO_ROWS = "The texts hold no {} rows to make a batch of: give more of them, or smaller batches."


@dataclass(frozen=True)
class Place:
    """Where the next batch is: its epoch, its chunk, where that begins in the texts, its number
    within the chunk."""

    epoch: int = 0
    chunk: int = 0
    batch: int = 0
    left_out: int = 0
    """Rows that filled no batch, so far."""
    cursor: Cursor = field(default_factory=Cursor)

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Place:
        """A place from a file's words."""
        given = dict(values)
        return cls(cursor=Cursor(**given.pop("cursor")), **given)


@runtime_checkable
class Source(Protocol):
    """Where batches come from."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Each site with its numbers in a row."""
        ...

    @property
    def description(self) -> Mapping[str, Any]:
        """The model, the texts' settings and what is left out, as JSON-able values."""
        ...

    def batches(self, size: int, start: Place) -> Iterator[tuple[Mapping[str, Tensor], Place]]:
        """Batches of `size` rows without an end, each with the place after it."""
        ...


@dataclass(frozen=True)
class Live:
    """A model's values at some sites over texts, as they are made."""

    lm: LanguageModel
    sites: Sequence[str]
    texts: Callable[[], Iterable[str]]
    """Gives the corpus from its beginning, each time the same."""
    context: int | None = None
    """Tokens read together; None: the model's context, at most 512."""
    chunk: int = 65_536
    """Rows that are shuffled together."""
    together: int = 16
    """Windows in a pass of the model."""
    skip_special: bool = True
    skip_first: int = 1
    """Tokens left out at each window's beginning: there models keep vectors of their own kind."""
    seed: int = 0
    rank: int = 0
    processes: int = 1
    """Of several processes, which this is: each runs its part of every chunk's windows."""

    @property
    def recording(self) -> Recording:
        """How rows are made."""
        return Recording.of(
            self.lm,
            self.sites,
            context=self.context,
            batch_size=self.together,
            shard_tokens=self.chunk,
            skip_special=self.skip_special,
            skip_first=self.skip_first,
        )

    @property
    def widths(self) -> Mapping[str, int]:
        """Each site with its numbers in a row."""
        return _widths(self.recording.settings["sites"])

    @property
    def description(self) -> Mapping[str, Any]:
        """What the store of the same rows would say of itself, and the seed."""
        return {**self.recording.settings, "seed": self.seed, "source": "live"}

    def batches(self, size: int, start: Place) -> Iterator[tuple[Mapping[str, Tensor], Place]]:
        """Batches without an end; after the last text the first one follows.

        Raises:
            TextError: not enough rows for one batch.
            CheckpointError: other texts than those before `start`.
        """
        recording, place = self.recording, start
        while True:
            found = False
            stream = WindowStream(
                recording.tokenizer, self.texts(), recording.context, place.cursor
            )
            for windows, following in shards_of(stream, recording, 0):
                values = self._run(recording, windows)
                cursor = stream.cursor(following)
                for batch, after in _shuffled(values, size, self.seed, place):
                    found = True
                    yield batch, after
                rows = len(next(iter(values.values())))
                left_out = place.left_out + rows % size
                place = Place(place.epoch, place.chunk + 1, 0, left_out, cursor)
            if not found and place.epoch > start.epoch:
                raise TextError(_NO_ROWS.format(size))
            place = Place(place.epoch + 1, 0, 0, place.left_out)

    def _run(self, recording: Recording, windows: Sequence[Window]) -> dict[str, Tensor]:
        """A chunk's rows by site; several processes exchange what each has run."""
        mine = windows[self.rank :: self.processes]
        tensors = recording.run(mine, 0, None)
        values = {site: tensors[f"site/{site}"].flatten(1) for site in recording.sites}
        if self.processes == 1:
            return values
        counts = torch.tensor([len(recording.kept(window)) for window in windows])
        ends = counts.cumsum(0)
        places = [
            torch.arange(int(end - count), int(end))
            for count, end in list(zip(counts, ends, strict=True))[self.rank :: self.processes]
        ]
        at = torch.cat(places) if places else torch.arange(0)
        return {site: _exchanged(rows, at, int(ends[-1])) for site, rows in values.items()}


@dataclass(frozen=True)
class Stored:
    """A store's rows."""

    store: Store
    sites: Sequence[str] | None = None
    seed: int = 0
    mix: int = 2
    """Shards that are shuffled together."""

    @property
    def widths(self) -> Mapping[str, int]:
        """Each site with its numbers in a row."""
        wanted = self.store.sites if self.sites is None else self.sites
        return _widths({site: self.store.settings["sites"][site] for site in wanted})

    @property
    def description(self) -> Mapping[str, Any]:
        """What the store says of itself, and the seed."""
        return {**self.store.settings, "seed": self.seed, "source": "store", "mix": self.mix}

    def batches(self, size: int, start: Place) -> Iterator[tuple[Mapping[str, Tensor], Place]]:
        """Batches without an end; each epoch has an order of its own.

        Raises:
            TextError: not enough rows for one batch.
        """
        if len(self.store) < size:
            raise TextError(_NO_ROWS.format(size))
        place = start
        while True:
            epoch = self.store.batches(
                size, seed=self.seed + place.epoch, sites=self.sites, mix=self.mix
            )
            left_out = 0
            for number, rows in enumerate(epoch):
                if number < place.batch:
                    continue
                if len(rows) < size:
                    left_out = len(rows)
                    break
                place = Place(place.epoch, 0, number + 1, place.left_out)
                yield {site: value.flatten(1) for site, value in rows.values.items()}, place
            place = Place(place.epoch + 1, 0, 0, place.left_out + left_out)


def _exchanged(rows: Tensor, at: Tensor, count: int) -> Tensor:
    """All processes' rows, each process's at its places."""
    whole = torch.zeros(count, *rows.shape[1:])
    whole[at] = rows.float()
    dist.all_reduce(whole)
    return whole.to(rows.dtype)


def _widths(sites: Mapping[str, Sequence[int]]) -> dict[str, int]:
    for site, sizes in sites.items():
        if len(sizes) != 1 and not site.endswith(".attn.mix"):
            shape = " by ".join(map(str, sizes))
            raise ConfigError(
                f"{site} has {shape} numbers at a token, expected one row of numbers: autoencoders "
                "read sites such as 3.resid_post, 3.mlp.in, 3.mlp.out, 3.mlp.act, 3.attn.out, or "
                "3.attn.mix (all heads side by side)."
            )
    return {site: math.prod(sizes) for site, sizes in sites.items()}


def _shuffled(
    values: Mapping[str, Tensor], size: int, seed: int, start: Place
) -> Iterator[tuple[dict[str, Tensor], Place]]:
    """A chunk's batches from `start` on."""
    rows = len(next(iter(values.values())))
    # One stream of orders for each seed, epoch and chunk.
    number = (seed * 1_000_003 + start.epoch) * 1_000_003 + start.chunk
    generator = torch.Generator().manual_seed(number % (1 << 63))
    order = torch.randperm(rows, generator=generator)
    for number in range(start.batch, rows // size):
        chosen = order[number * size : (number + 1) * size]
        after = Place(start.epoch, start.chunk, number + 1, start.left_out, start.cursor)
        yield {site: value[chosen] for site, value in values.items()}, after
