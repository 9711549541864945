"""Store: the values of a whole corpus on disk, in shards, however long the corpus is.

    store = Store.create("folder", lm, ["12.resid_post"], texts)      # again after a break: goes on
    for batch in store.batches(4096, seed=0):
        batch.values["12.resid_post"]                                 # [4096, d_model]

One row is one token. Texts are cut into windows of `context` tokens; the windows of one shard are
run in batches of nearly equal length and their rows written in the order of the text. A shard is a
safetensors file, written whole or not at all; `manifest.json` lists those that are there, with
their hashes. Memory holds one shard and one batch.

This module knows nothing of what the values will be used for.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.certificates import kept_certificate
from molehill.checkpoints.tensorfile import open_tensors, write_tensors
from molehill.errors import CheckpointError, ConfigError, SiteError, TextError
from molehill.files import write_atomically
from molehill.language_model import LanguageModel
from molehill.text.tokenizer import Tokenizer
from molehill.text.tokens import Tokens
from molehill.trace.places import axis_sizes, find_sites, site_axes
from molehill.trace.record import record
from molehill.trace.windows import Cursor, Window, WindowStream
from molehill.version import __version__

__all__ = ["Rows", "Shard", "Store"]

_KIND = "molehill.store/1"
_MANIFEST = "manifest.json"
_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_DTYPES |= {"float64": torch.float64}


@dataclass(frozen=True)
class Shard:
    """One file of the store, as the manifest lists it."""

    file: str
    tokens: int
    bytes: int
    sha256: str
    next: Cursor
    """Where the corpus goes on after it."""

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Shard:
        """A shard from the manifest's words."""
        rest: dict[str, Any] = dict(values)
        following = Cursor(**rest.pop("next"))
        return cls(next=following, **rest)


@dataclass(frozen=True)
class Rows:
    """Some of a store's tokens, one row each."""

    values: Mapping[str, Tensor]
    """Site to [token, ...]."""
    token: Tensor
    """The token's id [token], int32."""
    text: Tensor
    """The number of its text in the corpus [token], int64."""
    window: Tensor
    """Which of the text's windows it stands in [token], int32."""
    position: Tensor
    """Its position in the window, as the model counted it [token], int32."""

    def __len__(self) -> int:
        return len(self.token)

    def __getitem__(self, chosen: slice | Tensor) -> Rows:
        """These rows."""
        return Rows(
            {site: value[chosen] for site, value in self.values.items()},
            *(getattr(self, name)[chosen] for name in _COLUMNS),
        )


_COLUMNS = ("token", "text", "window", "position")


@dataclass(frozen=True)
class Store:
    """A folder of shards and its manifest."""

    folder: Path
    settings: Mapping[str, Any]
    """What was recorded and how: model, fingerprint, sites with their shapes, dtype, context, and
    the sizes that decide which tokens share a batch."""
    shards: tuple[Shard, ...]
    complete: bool
    """Whether the corpus is in it to its end, or as far as was asked."""

    # --- making -----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        folder: str | os.PathLike[str],
        lm: LanguageModel,
        sites: Sequence[str] | str,
        texts: Iterable[str],
        *,
        context: int | None = None,
        batch_size: int = 32,
        shard_tokens: int = 65_536,
        dtype: torch.dtype | None = None,
        skip_special: bool = True,
        max_tokens: int | None = None,
        certificate: Mapping[str, Any] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Store:
        """Run a corpus through a model and keep the values of every token at some sites.

        In a folder that holds the beginning of the same store it goes on after the last whole
        shard, and the result is the same to the bit as without a break.

        Args:
            folder: made if it is not there.
            lm: a model with its tokenizer.
            sites: names, aliases or patterns; not attention's scores and pattern.
            texts: the corpus, from its beginning each time.
            context: the most tokens that are read together; None: the model's context, at most 512.
            batch_size: windows in a pass.
            shard_tokens: the most tokens in a file.
            dtype: what values are kept in; None: the model's own.
            skip_special: whether rows of the tokenizer's special tokens are left out.
            max_tokens: stop after so many rows.
            certificate: the model's, to be kept in the manifest. None: the one that `molehill
                check` kept of these weights on this machine, if there is one.
            progress: called after each batch with the number of rows that are done since the last
                call.

        Raises:
            CheckpointError: the folder holds something else, a shard was changed, the texts are
                not the same as before, or the disk is full; the message says what still stands.
            SiteError, ConfigError, TextError: what is asked cannot be recorded.
        """
        recorder = _Recording.of(
            lm, sites, context, batch_size, shard_tokens, dtype, skip_special, max_tokens
        )
        if certificate is None:
            certificate = kept_certificate(lm.fingerprint, recorder.settings["model_dtype"])
        store = cls._begun(Path(folder), recorder.settings, certificate)
        done = len(store)
        if progress is not None and done:
            progress(done)
        start = store.shards[-1].next if store.shards else Cursor()
        stream = WindowStream(recorder.tokenizer, texts, recorder.context, start)
        if store.complete:
            for _ in stream if max_tokens is None else ():
                raise CheckpointError(
                    f"{folder} holds these texts to their end, and now there are more of them: "
                    "give another folder."
                )
            return store
        for windows, following in _shards_of(stream, recorder, done):
            number = len(store.shards)
            tensors = recorder.run(windows, done, progress)
            shard = store._write_shard(number, tensors, stream.cursor(following))
            done += shard.tokens
            store = replace(store, shards=(*store.shards, shard))
            store._write_manifest(certificate)
        store = replace(store, complete=True)
        store._write_manifest(certificate)
        return store

    @classmethod
    def _begun(
        cls, folder: Path, settings: Mapping[str, Any], certificate: Mapping[str, Any] | None
    ) -> Store:
        """The store as far as it is there; its shards are verified."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"{folder} cannot be made: {error.strerror}.") from None
        if not (folder / _MANIFEST).exists():
            if foreign := [path.name for path in folder.iterdir() if not _is_ours(path)]:
                raise CheckpointError(
                    f"{folder} holds other files ({', '.join(sorted(foreign)[:3])}): "
                    "give a folder of its own."
                )
            store = cls(folder, dict(settings), (), False)
            store._write_manifest(certificate)
            return store
        store = cls.open(folder)
        different = [
            f"{name} was {store.settings.get(name)!r} and is {settings.get(name)!r}"
            for name in sorted({*settings, *store.settings} - {"model"})  # weights, not names
            if store.settings.get(name) != settings.get(name)
        ]
        if different:
            raise CheckpointError(
                f"{folder} was begun otherwise: {'; '.join(different)}. "
                "Ask for the same, or give another folder."
            )
        for path in folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):
                path.unlink()
        return store

    def _write_shard(self, number: int, tensors: Mapping[str, Tensor], following: Cursor) -> Shard:
        path = self.folder / f"{number:06}.safetensors"
        try:
            digest = write_tensors(path, tensors, {"kind": f"{_KIND}/shard", "number": number})
        except CheckpointError as error:
            raise CheckpointError(
                f"{error} {len(self.shards)} shards with {len(self):,} tokens are whole: make room "
                "and give the same command again to go on."
            ) from None
        return Shard(path.name, len(tensors["token"]), path.stat().st_size, digest, following)

    def _write_manifest(self, certificate: Mapping[str, Any] | None) -> None:
        manifest = {
            "kind": _KIND,
            "complete": self.complete,
            "tokens": len(self),
            "settings": dict(self.settings),
            "written_by": {"molehill": __version__, "torch": torch.__version__},
            "certificate": None if certificate is None else dict(certificate),
            "shards": [asdict(shard) for shard in self.shards],
        }
        content = json.dumps(manifest, indent=1, allow_nan=False).encode()
        path = self.folder / _MANIFEST
        try:
            write_atomically(path, lambda file: file.write(content))
        except OSError as error:
            raise CheckpointError(f"{path} could not be written: {error.strerror}.") from None

    # --- reading ----------------------------------------------------------------------------------

    @classmethod
    def open(cls, folder: str | os.PathLike[str], *, verify: bool = True) -> Store:
        """A store that `create` made.

        Args:
            folder: where it is.
            verify: read every shard once and compare its hash; False looks at sizes only.

        Raises:
            CheckpointError: no store there, a damaged manifest, or shards that are missing,
                truncated or changed, all of them named.
        """
        folder = Path(folder)
        try:
            manifest = json.loads((folder / _MANIFEST).read_bytes())
            assert manifest["kind"] == _KIND
            shards = tuple(Shard.from_dict(shard) for shard in manifest["shards"])
            store = cls(folder, manifest["settings"], shards, manifest["complete"])
            sizes_add_up = manifest["tokens"] == len(store)
        except FileNotFoundError:
            raise CheckpointError(f"{folder} holds no store: there is no {_MANIFEST}.") from None
        except (OSError, ValueError, KeyError, TypeError, AssertionError):
            raise CheckpointError(f"{folder / _MANIFEST} is damaged or not a store's.") from None
        if not sizes_add_up:
            raise CheckpointError(f"{folder / _MANIFEST} is damaged: its tokens do not add up.")
        problems = [store._problem(shard, verify) for shard in shards]
        if found := [problem for problem in problems if problem]:
            raise CheckpointError(
                f"{folder}: {'; '.join(found)}. Restore them from a copy, or record anew."
            )
        return store

    def _problem(self, shard: Shard, verify: bool) -> str:
        path = self.folder / shard.file
        if path.name != shard.file or not path.is_file():
            return f"shard {shard.file} is missing"
        if (size := path.stat().st_size) != shard.bytes:
            return f"shard {shard.file} has {size:,} bytes, expected {shard.bytes:,}"
        if verify:
            with open(path, "rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != shard.sha256:
                    return f"shard {shard.file} has changed since it was written"
        return ""

    def __len__(self) -> int:
        """How many tokens are in it."""
        return sum(shard.tokens for shard in self.shards)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return sum(shard.bytes for shard in self.shards)

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites that were recorded."""
        return tuple(self.settings["sites"])

    def __repr__(self) -> str:
        state = "" if self.complete else ", not complete"
        shapes = ", ".join(f"{site} {shape}" for site, shape in self.settings["sites"].items())
        return (
            f"Store of {len(self):,} tokens in {len(self.shards)} shards{state}: "
            f"{self.settings['model']}, {shapes} in {self.settings['dtype']}"
        )

    def read(self, shard: int, sites: Sequence[str] | None = None) -> Rows:
        """One shard's rows. They are mapped: pages are read from disk when they are used.

        Args:
            shard: its number.
            sites: only these; None: all that were recorded.
        """
        if not 0 <= shard < len(self.shards):
            raise ConfigError(f"There is no shard {shard}: the store has {len(self.shards)}.")
        wanted = self.sites if sites is None else tuple(sites)
        if unknown := sorted(set(wanted) - set(self.sites)):
            raise SiteError(
                f"{', '.join(unknown)} was not recorded; recorded are {', '.join(self.sites)}."
            )
        with open_tensors(self.folder / self.shards[shard].file) as file:
            values = {site: file.get_tensor(f"site/{site}") for site in wanted}
            return Rows(values, *(file.get_tensor(name) for name in _COLUMNS))

    def batches(
        self,
        size: int,
        *,
        seed: int | None = None,
        sites: Sequence[str] | None = None,
        mix: int = 4,
    ) -> Iterator[Rows]:
        """All rows, once each, `size` at a time; the last batch may be smaller.

        Args:
            size: rows in a batch.
            seed: None: in the order of the corpus. Otherwise shards are taken in an order drawn
                from the seed, `mix` at a time, and the rows of those are shuffled together: the
                same seed gives the same batches.
            sites: only these; None: all.
            mix: how many shards are shuffled together.

        Raises:
            ConfigError: a size or mix below 1.
        """
        if size < 1 or mix < 1:
            raise ConfigError(f"size is {size} and mix is {mix}, expected 1 or more.")
        left: list[Rows] = []
        missing = size
        for parts, order in self._groups(seed, sites, mix):
            at = 0
            while at < len(order):
                chosen = order[at : at + missing]
                at += len(chosen)
                missing -= len(chosen)
                left.append(_gathered(parts, chosen))
                if not missing:
                    yield _concatenated(left)
                    left, missing = [], size
        if left:
            yield _concatenated(left)

    def _groups(
        self, seed: int | None, sites: Sequence[str] | None, mix: int
    ) -> Iterator[tuple[list[Rows], Tensor]]:
        """Shards that are open together, and the order in which their rows are given."""
        if seed is None:
            for shard in range(len(self.shards)):
                rows = self.read(shard, sites)
                yield [rows], torch.arange(len(rows))
            return
        generator = torch.Generator().manual_seed(seed)
        shards = torch.randperm(len(self.shards), generator=generator).tolist()
        for at in range(0, len(shards), mix):
            parts = [self.read(shard, sites) for shard in shards[at : at + mix]]
            yield parts, torch.randperm(sum(map(len, parts)), generator=generator)


def _is_ours(path: Path) -> bool:
    """Whether a file may stand in the folder of a store that was interrupted before its first
    manifest, or between a shard and the manifest."""
    return path.name == _MANIFEST or path.suffix == ".tmp"


# --- running --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Recording:
    """What is recorded of each window, and how."""

    lm: LanguageModel
    sites: tuple[str, ...]
    context: int
    batch_size: int
    shard_tokens: int
    dtype: torch.dtype
    skip_special: bool
    max_tokens: int | None

    @classmethod
    def of(
        cls,
        lm: LanguageModel,
        sites: Sequence[str] | str,
        context: int | None,
        batch_size: int,
        shard_tokens: int,
        dtype: torch.dtype | None,
        skip_special: bool,
        max_tokens: int | None,
    ) -> _Recording:
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
        if dtype not in _DTYPES.values():
            raise ConfigError(f"dtype is {dtype}; a store is kept in {', '.join(_DTYPES)}.")
        made = cls(lm, found, context, batch_size, shard_tokens, dtype, skip_special, max_tokens)
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
        }

    def kept(self, window: Window) -> list[int]:
        """The positions of a window that become rows."""
        special = self.special
        return [place for place, token in enumerate(window.ids) if token not in special]

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


def _shards_of(
    stream: WindowStream, recording: _Recording, done: int
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


# --- rows -----------------------------------------------------------------------------------------


def _gathered(parts: Sequence[Rows], chosen: Tensor) -> Rows:
    """Rows of several parts by their number in all of them together, in this order."""
    if len(parts) == 1:
        first, last = int(chosen[0]), int(chosen[-1])
        together = last - first + 1 == len(chosen) and bool((chosen.diff() == 1).all())
        return parts[0][slice(first, last + 1) if together else chosen]
    ends = torch.tensor([len(part) for part in parts]).cumsum(0)
    which = torch.searchsorted(ends, chosen, right=True)
    pieces, places = [], []
    for number, (part, (start, _)) in enumerate(
        zip(parts, pairwise([0, *ends.tolist()]), strict=True)
    ):
        mine = (which == number).nonzero()[:, 0]
        pieces.append(part[chosen[mine] - start])
        places.append(mine)
    return _concatenated(pieces)[torch.cat(places).argsort()]


def _concatenated(pieces: Sequence[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    return Rows(
        {site: torch.cat([piece.values[site] for piece in pieces]) for site in pieces[0].values},
        *(torch.cat([getattr(piece, name) for piece in pieces]) for name in _COLUMNS),
    )
