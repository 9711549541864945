"""Recording: what is recorded of a stream of windows, and how; a shard of them becomes rows.

A shard is as many whole windows as fit a number of tokens. `store.py` writes shards to disk; who
needs values once only takes them as they come. This module knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from molehill.errors import ConfigError, SiteError, TextError
from molehill.language_model import LanguageModel
from molehill.text.tokenizer import Tokenizer
from molehill.text.tokens import Tokens
from molehill.trace.places import axis_sizes, find_sites, site_axes
from molehill.trace.record import record
from molehill.trace.windows import Window, WindowStream

__all__ = ["DTYPES", "Recording", "shards_of"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
DTYPES |= {"float64": torch.float64}


@dataclass(frozen=True)
class Recording:
    """What is recorded of each window, and how."""

    lm: LanguageModel
    sites: tuple[str, ...]
    context: int
    batch_size: int
    shard_tokens: int
    dtype: torch.dtype
    skip_special: bool
    skip_first: int
    max_tokens: int | None

    @classmethod
    def of(
        cls,
        lm: LanguageModel,
        sites: Sequence[str] | str,
        *,
        context: int | None = None,
        batch_size: int = 32,
        shard_tokens: int = 65_536,
        dtype: torch.dtype | None = None,
        skip_special: bool = True,
        skip_first: int = 0,
        max_tokens: int | None = None,
    ) -> Recording:
        """Checked, with what was left open filled in."""
        found = tuple(find_sites(sites, lm.config))
        if not found:
            raise SiteError("No sites are asked for: name at least one.")
        if by_key := [site for site in found if "key" in site_axes(site)]:
            raise SiteError(
                f"{', '.join(by_key[:3])} have one number per pair of tokens and cannot be rows of "
                "a store: record texts one at a time instead."
            )
        context = min(lm.config.n_ctx, 512) if context is None else context
        numbers = {"context": context, "batch_size": batch_size, "max_tokens": max_tokens}
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise ConfigError(f"{name} is {number}, expected 1 or more.")
        if context > lm.config.n_ctx:
            raise ConfigError(
                f"context is {context} and the model reads at most {lm.config.n_ctx} tokens."
            )
        if shard_tokens < context:
            raise ConfigError(
                f"shard_tokens is {shard_tokens} and one window has up to {context} tokens: "
                "make shards larger."
            )
        dtype = lm.model.dtype if dtype is None else dtype
        if dtype not in DTYPES.values():
            raise ConfigError(f"dtype is {dtype}; a store is kept in {', '.join(DTYPES)}.")
        if not 0 <= skip_first < context:
            raise ConfigError(f"skip_first is {skip_first}, expected 0 to {context - 1}.")
        made = cls(
            lm,
            found,
            context,
            batch_size,
            shard_tokens,
            dtype,
            skip_special,
            skip_first,
            max_tokens,
        )
        WindowStream(made.tokenizer, (), context)  # refuses a context without room for a token
        return made

    @property
    def tokenizer(self) -> Tokenizer:
        """The model's tokenizer."""
        if self.lm.tokenizer is None:
            raise TextError(
                f"The model {self.lm.name!r} has no tokenizer: a corpus cannot be read without one."
            )
        return self.lm.tokenizer

    @cached_property
    def special(self) -> frozenset[int]:
        """Ids whose rows are left out."""
        return self.tokenizer.special_ids if self.skip_special else frozenset()

    @property
    def settings(self) -> dict[str, Any]:
        """All that decides what the shards hold, as JSON-able values."""
        sizes = axis_sizes(self.lm.config)
        return {
            "model": self.lm.name,
            "fingerprint": self.lm.fingerprint,
            "model_dtype": str(self.lm.model.dtype).removeprefix("torch."),
            "sites": {site: [sizes[axis] for axis in site_axes(site)[2:]] for site in self.sites},
            "dtype": str(self.dtype).removeprefix("torch."),
            "context": self.context,
            "batch_size": self.batch_size,
            "shard_tokens": self.shard_tokens,
            "skip_special": self.skip_special,
            "max_tokens": self.max_tokens,
            # Left out where it is 0, so that stores from before it had a name go on.
            **({"skip_first": self.skip_first} if self.skip_first else {}),
        }

    def kept(self, window: Window) -> list[int]:
        """The positions of a window that become rows."""
        special = self.special
        return [
            place
            for place, token in enumerate(window.ids)
            if place >= self.skip_first and token not in special
        ]

    def run(
        self, windows: Sequence[Window], done: int, progress: Callable[[int], None] | None
    ) -> dict[str, Tensor]:
        """A shard's tensors, its rows in the order of the windows."""
        kept = [self.kept(window) for window in windows]
        offsets = torch.tensor([0, *map(len, kept)]).cumsum(0).tolist()
        rows = offsets[-1]
        if self.max_tokens is not None:
            rows = min(rows, self.max_tokens - done)
        sizes = axis_sizes(self.lm.config)
        values = {
            site: torch.empty(
                offsets[-1], *(sizes[a] for a in site_axes(site)[2:]), dtype=self.dtype
            )
            for site in self.sites
        }
        # Windows of nearly equal length share a batch: little padding.
        order = sorted(range(len(windows)), key=lambda number: len(windows[number].ids))
        for at in range(0, len(order), self.batch_size):
            chosen = order[at : at + self.batch_size]
            self._run_batch([windows[n] for n in chosen], [offsets[n] for n in chosen], values)
            if progress is not None:
                progress(sum(len(kept[number]) for number in chosen))
        columns = _columns(windows, kept)
        return {
            **{name: column[:rows] for name, column in columns.items()},
            **{f"site/{site}": value[:rows] for site, value in values.items()},
        }

    def _run_batch(
        self, windows: Sequence[Window], offsets: Sequence[int], values: Mapping[str, Tensor]
    ) -> None:
        """Run some windows and put their rows where they belong."""
        tokens = Tokens.of_ids([window.ids for window in windows])
        chosen = torch.zeros_like(tokens.mask)
        places = []
        for row, (window, offset) in enumerate(zip(windows, offsets, strict=True)):
            kept = self.kept(window)
            chosen[row, kept] = True
            places.append(torch.arange(offset, offset + len(kept)))
        at = torch.cat(places)
        logits = "all" if "logits" in self.sites else "none"
        trace = record(self.lm, tokens, self.sites, logits=logits)
        for site, value in values.items():
            found = trace[site]
            value[at] = found[chosen.to(found.device)].to(dtype=self.dtype, device="cpu")


def shards_of(
    stream: WindowStream, recording: Recording, done: int
) -> Iterator[tuple[list[Window], Window | None]]:
    """The windows of each shard to come, and the first one after it."""
    held: list[Window] = []
    tokens = 0
    for window in stream:
        rows = len(recording.kept(window))
        if recording.max_tokens is not None and done + tokens >= recording.max_tokens:
            if held:
                yield held, window
            return
        if held and tokens + rows > recording.shard_tokens:
            yield held, window
            done += tokens
            held, tokens = [], 0
        held.append(window)
        tokens += rows
    if held:
        yield held, None


def _columns(windows: Sequence[Window], kept: Sequence[Sequence[int]]) -> dict[str, Tensor]:
    """What each row stands for."""
    ids = [
        window.ids[place] for window, places in zip(windows, kept, strict=True) for place in places
    ]
    counts = torch.tensor([len(places) for places in kept])
    return {
        "token": torch.tensor(ids, dtype=torch.int32),
        "text": torch.tensor([w.text for w in windows]).repeat_interleave(counts),
        "window": torch.tensor([w.number for w in windows], dtype=torch.int32).repeat_interleave(
            counts
        ),
        "position": torch.tensor([p for places in kept for p in places], dtype=torch.int32),
    }
