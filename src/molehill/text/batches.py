"""Batches: windows of a corpus in a seeded order that is the same for any number of processes.

    stream = TokenStream(corpus, context=256, batch=16, seed=0)
    stream.rows(step)                   # int64 [16, 257], a pure function of the seed and the step
    stream.rows(step, rank=1, world=2)  # the lower half of the same batch
    stream.texts(step)                  # which documents it is made of
    for rows in stream.held_out("dictionary").rows(16): ...

Nothing is kept between steps, so a run is resumed by its step alone. This module knows nothing of
models.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from molehill.errors import TextError
from molehill.text.corpus import Corpus, Passage, TokenRun
from molehill.text.permutation import mixed, permuted

__all__ = ["PADDING", "HeldOut", "TokenStream"]

PADDING = -100
"""Stands where held-out rows have no token left; what `cross_entropy` ignores as a target."""


class TokenStream:
    """The batches of a training run.

    In each epoch the split is cut into windows of `context` tokens, beginning at an offset of the
    epoch's own, and they are visited in a pseudo-random order. A row is a window and the token
    after it, so that each of its tokens has a next one to be predicted.

    Args:
        corpus: Where the tokens are.
        split: `train`, or `held_out`.
        context: How many tokens the model reads at a time.
        batch: Rows of a step, in all processes together.
        seed: Another seed gives another order.

    Raises:
        TextError: sizes below 1, or fewer tokens than two windows.
    """

    def __init__(
        self, corpus: Corpus, *, context: int, batch: int, seed: int = 0, split: str = "train"
    ) -> None:
        for name, number in {"context": context, "batch": batch}.items():
            if number < 1:
                raise TextError(f"{name} is {number}; expected 1 or more.")
        if not 0 <= seed < 2**63:
            raise TextError(f"seed is {seed}; expected 0 to 2**63 - 1.")
        self.corpus = corpus
        self.context = context
        self.batch = batch
        self.seed = seed
        self._run = corpus.run(split)
        if len(self._run) < 2 * context:
            raise TextError(
                f"The {split} split of {corpus.folder} has {len(self._run):,} tokens; windows of "
                f"{context} need at least {2 * context:,}: make the context shorter or the corpus "
                "longer."
            )
        # One window less than would fit, so that every offset below `context` has room.
        self.windows = len(self._run) // context - 1
        """Rows of an epoch."""

    def rows(self, step: int, *, rank: int = 0, world: int = 1) -> Int64[Tensor, "row token"]:
        """The batch of a step, or the part of it that is one process's.

        With `n = batch / world`, process `rank` has the rows `rank * n` to `(rank + 1) * n`.

        Args:
            step: From 0; epochs follow one another without a break.

        Returns:
            [batch / world, context + 1].

        Raises:
            TextError: `world` does not divide the batch, or the step or rank is out of range.
        """
        starts = self._starts(step, rank, world)
        rows = np.empty((len(starts), self.context + 1), np.int64)
        for row, start in zip(rows, starts, strict=True):
            row[:] = self._run.read(start, self.context + 1)
        return torch.from_numpy(rows)

    def texts(self, step: int, *, rank: int = 0, world: int = 1) -> list[list[Passage]]:
        """For each row of `rows`, the documents that it is made of."""
        return [
            self._run.passages(start, self.context + 1) for start in self._starts(step, rank, world)
        ]

    def epoch(self, step: int) -> float:
        """How many times the split has been read before this step."""
        return step * self.batch / self.windows

    def held_out(self, kind: str | None = None, *, tokens: int | None = None) -> HeldOut:
        """The held-out text of a kind in windows of this stream's context; see `HeldOut`."""
        return HeldOut.of(self.corpus, kind, context=self.context, tokens=tokens)

    def _starts(self, step: int, rank: int, world: int) -> list[int]:
        """Where in the run each row begins."""
        if step < 0:
            raise TextError(f"The step is {step}; expected 0 or more.")
        if world < 1 or self.batch % world:
            raise TextError(
                f"A batch of {self.batch} rows cannot be divided among {world} processes: choose a "
                "multiple."
            )
        if not 0 <= rank < world:
            raise TextError(f"The rank is {rank}; expected 0 to {world - 1}.")
        share = self.batch // world
        rows = step * self.batch + rank * share + np.arange(share, dtype=np.int64)
        epochs, places = np.divmod(rows, self.windows)
        offsets = mixed(self.seed, epochs, 1) % np.uint64(self.context)
        windows = permuted(places, self.windows, mixed(self.seed, epochs, 2))
        return (windows * self.context + offsets.astype(np.int64)).tolist()


@dataclass(frozen=True)
class HeldOut:
    """Held-out text in the order in which it is on disk, each of its tokens predicted once.

    Before the first document stands an end-of-text token, so that its first token is predicted too;
    the windows overlap by one token. Bits per byte are the nats of all `n_tokens` tokens, each
    document's end-of-text token included, over ln 2 and over `n_bytes`, the bytes of the texts
    alone.
    """

    corpus: Corpus
    kind: str | None
    """None: all kinds."""
    context: int
    n_documents: int
    n_tokens: int
    """How many tokens are predicted."""
    n_bytes: int
    """Of the texts whose tokens they are, in UTF-8."""

    @classmethod
    def of(
        cls, corpus: Corpus, kind: str | None, *, context: int, tokens: int | None = None
    ) -> HeldOut:
        """The held-out text of a kind.

        Args:
            corpus: Where it is.
            kind: None for all kinds.
            context: Tokens in a window.
            tokens: Take as many whole documents from the beginning as have at most so many tokens
                (at least one); None: all.

        Raises:
            TextError: no document of the kind was held out, or there is no such kind.
        """
        if context < 1:
            raise TextError(f"context is {context}; expected 1 or more.")
        run = corpus.run("held_out", kind)
        ends = run.document_ends
        if not len(ends):
            of_kind = "" if kind is None else f" of kind {kind!r}"
            there = corpus.count("train", kind).documents
            raise TextError(
                f"No document{of_kind} was held out (of {there}): make the corpus with a larger "
                "held_out or, where a document is a whole file, of smaller ones "
                "(split='paragraph')."
            )
        count = len(ends)
        if tokens is not None:
            count = max(1, int(np.searchsorted(ends, tokens, side="right")))
        in_bytes = int(run.document_bytes[:count].sum())
        return cls(corpus, kind, context, count, int(ends[count - 1]), in_bytes)

    @property
    def windows(self) -> int:
        """How many rows there are."""
        return -(-self.n_tokens // self.context)

    def rows(
        self, batch: int, *, rank: int = 0, world: int = 1
    ) -> Iterator[Int64[Tensor, "row token"]]:
        """All windows in order, `batch` of them at a time in all processes together.

        Every tensor has the same shape: behind the last token rows are filled up with `PADDING`,
        which is no token to read and no target to count. Each process has its part of every batch,
        as in `TokenStream.rows`, so all have equally many.

        Yields:
            [batch / world, context + 1].
        """
        if batch < 1 or world < 1 or batch % world or not 0 <= rank < world:
            raise TextError(
                f"A batch of {batch} rows has no part {rank} of {world}: choose a multiple."
            )
        run = self.corpus.run("held_out", self.kind)
        share = batch // world
        for first in range(0, self.windows, batch):
            rows = np.full((share, self.context + 1), PADDING, np.int64)
            for place, row in enumerate(rows, start=first + rank * share):
                self._fill(row, run, place * self.context)
            yield torch.from_numpy(rows)

    def _fill(self, row: np.ndarray, run: TokenRun, start: int) -> None:
        """One window of the run with an end-of-text token before it."""
        count = min(self.context + 1, self.n_tokens + 1 - start)
        if count < 2:
            return
        opening = start == 0
        if opening:
            row[0] = self.corpus.tokenizer.eos_id
        row[opening:count] = run.read(start - 1 + opening, count - opening)
