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
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.certificates import kept_certificate
from molehill.checkpoints.tensorfile import open_tensors, write_tensors
from molehill.errors import CheckpointError, ConfigError, SiteError
from molehill.files import write_atomically
from molehill.language_model import LanguageModel
from molehill.trace.recording import Recording, shards_of
from molehill.trace.rows import COLUMNS, Rows, concatenated, gathered
from molehill.trace.windows import Cursor, WindowStream
from molehill.version import __version__

__all__ = ["Shard", "Store"]

_KIND = "molehill.store/1"
_MANIFEST = "manifest.json"


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
        skip_first: int = 0,
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
            skip_first: how many of each window's first tokens are left out, special ones counted.
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
        recorder = Recording.of(
            lm,
            sites,
            context=context,
            batch_size=batch_size,
            shard_tokens=shard_tokens,
            dtype=dtype,
            skip_special=skip_special,
            skip_first=skip_first,
            max_tokens=max_tokens,
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
        for windows, following in shards_of(stream, recorder, done):
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
            return Rows(values, *(file.get_tensor(name) for name in COLUMNS))

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
                left.append(gathered(parts, chosen))
                if not missing:
                    yield concatenated(left)
                    left, missing = [], size
        if left:
            yield concatenated(left)

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
