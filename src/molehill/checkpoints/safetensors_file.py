"""Weights in one safetensors file, or in several with an index that says which holds what.

The index comes with the model and is not trusted: a file it names must have a plain name, stand in
the folder (or in the store of contents that belongs to a hub cache's folder), and hold what the
index says. Knows files and folders; headers are `safetensors_header`'s matter.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

import torch
from torch import Tensor

from molehill.checkpoints.pickles import PICKLE_SUFFIXES, pickle_error, refuse_pickle
from molehill.checkpoints.raw_file import RawFile, printable
from molehill.checkpoints.safetensors_header import no_twins, read_header
from molehill.checkpoints.source import TensorInfo
from molehill.checkpoints.weight_file import WeightFile, missing_tensor
from molehill.errors import CheckpointError

__all__ = ["INDEX_NAME", "SafetensorsFile", "SafetensorsFolder"]

INDEX_NAME = "model.safetensors.index.json"
"""The index's name in a folder."""

_SINGLE_NAME = "model.safetensors"
_LARGEST_INDEX = 16 << 20  # the largest known, for 90,000 tensors, has 9 MB
_MOST_SHARDS = 4096


class SafetensorsFile(WeightFile):
    """A `TensorSource` over one safetensors file.

    Args:
        path: The file.

    Raises:
        CheckpointError: Not a safetensors file, damaged, cut short or hostile; or a pickle.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        file = RawFile(path)
        try:
            refuse_pickle(file)
            placed, metadata = read_header(file)
        except BaseException:
            file.close()
            raise
        super().__init__(file, placed, metadata)


class SafetensorsFolder:
    """A `TensorSource` over a folder: `model.safetensors`, or shards with an index.

    Every header is read at once, so that whatever is missing is known before any weight is read.

    Args:
        path: The folder. Without `model.safetensors` and index it may hold one safetensors file
            under any name.

    Raises:
        CheckpointError: Nothing to read or several choices; a damaged or hostile index; a shard
            that is missing, damaged or a link out of the folder; a tensor that is not where the
            index says (up to ten are named); only pickles.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._shards: dict[str, SafetensorsFile] = {}
        try:
            shard_of, self._metadata = self._open()
        except BaseException:
            self.close()
            raise
        self._shard_of = shard_of
        self._tensors = MappingProxyType(
            {name: self._shards[shard].tensors[name] for name, shard in shard_of.items()}
        )

    def _open(self) -> tuple[dict[str, str], Mapping[str, object]]:
        """Open every shard; which one holds each tensor, and what is said beside them."""
        index = self.path / INDEX_NAME
        if (self.path / _SINGLE_NAME).exists() or not index.exists():
            single = _single_file(self.path)
            file = self._shards[single.name] = SafetensorsFile(single)
            return dict.fromkeys(file.tensors, single.name), file.metadata
        shard_of, metadata = _read_index(index)
        for shard in dict.fromkeys(shard_of.values()):
            self._shards[shard] = SafetensorsFile(_inside(self.path, shard, index))
        _compare(index, shard_of, self._shards)
        return shard_of, metadata

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor of every shard by name, in the order of the index or the header."""
        return self._tensors

    @property
    def metadata(self) -> Mapping[str, object]:
        """The index's `metadata`, such as `total_size`; a single file's own."""
        return self._metadata

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy tensor `name` into `out`; as `SafetensorsFile.read_into`."""
        self._shard(name).read_into(name, out)

    def read(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Tensor `name` in new memory; as `SafetensorsFile.read`."""
        return self._shard(name).read(name, dtype)

    def close(self) -> None:
        """Give all files back; closing twice does nothing."""
        for shard in self._shards.values():
            shard.close()

    def __enter__(self) -> SafetensorsFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = printable(str(self.path))
        return (
            f"SafetensorsFolder({where!r}, {len(self._shards)} files, {len(self.tensors)} tensors)"
        )

    def _shard(self, name: str) -> SafetensorsFile:
        if name not in self._shard_of:
            raise missing_tensor(self.path, name, self._tensors)
        return self._shards[self._shard_of[name]]


def _single_file(folder: Path) -> Path:
    """The one safetensors file of a folder that has no index."""
    if (folder / _SINGLE_NAME).exists():
        return folder / _SINGLE_NAME
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise CheckpointError(f"{printable(str(folder))}: {error.strerror}.") from error
    found = [path for path in files if path.suffix == ".safetensors"]
    if len(found) == 1:
        return found[0]
    if found:
        names = printable(", ".join(path.name for path in found))
        raise CheckpointError(
            f"{printable(str(folder))}: has several files of weights and no {INDEX_NAME} ({names});"
            " name one of them."
        )
    for path in files:
        if path.suffix.lower() in PICKLE_SUFFIXES:
            raise pickle_error(path)
    raise CheckpointError(
        f"{printable(str(folder))}: has no weights; {_SINGLE_NAME} or {INDEX_NAME} is expected."
    )


def _read_index(path: Path) -> tuple[dict[str, str], Mapping[str, object]]:
    """The index's `weight_map` and `metadata`."""
    file = RawFile(path)
    try:
        if file.size > _LARGEST_INDEX:
            raise file.error(f"is an index of {file.size} bytes; at most {_LARGEST_INDEX} are read")
        text = bytes(file.read(0, file.size))
    finally:
        file.close()

    try:
        index = json.loads(text.decode("utf-8"), object_pairs_hook=no_twins)
    except (ValueError, RecursionError) as error:
        raise file.error(f"is not valid JSON ({printable(str(error))})") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not all(
        isinstance(shard, str) for shard in weight_map.values()
    ):
        raise file.error("has no 'weight_map' of tensor names to file names; it is no index")
    if len(set(weight_map.values())) > _MOST_SHARDS:
        raise file.error(f"names more than {_MOST_SHARDS} files")
    metadata = index.get("metadata")
    return weight_map, MappingProxyType(metadata if isinstance(metadata, dict) else {})


def _inside(folder: Path, shard: str, index: Path) -> Path:
    """The shard's real path, if the index may name it; decided before anything is opened."""
    shown = printable(shard)
    if shard in ("", ".", "..") or any(sign in shard for sign in "/\\\0"):
        raise CheckpointError(
            f"{printable(str(index))}: names {shown!r}, which is no plain file name; an index may "
            "only name files beside it."
        )
    if Path(shard).suffix.lower() in PICKLE_SUFFIXES:
        raise pickle_error(folder / shard)
    try:
        real = (folder / shard).resolve(strict=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle, before Python 3.13
        raise CheckpointError(
            f"{printable(str(index))}: names {shown!r}, which is missing from the folder; fetch it."
        ) from error
    if not any(real.is_relative_to(root) for root in _roots(folder)):
        raise CheckpointError(
            f"{printable(str(index))}: names {shown!r}, a link that leads out of the folder to "
            f"{printable(str(real))}; put the file itself there."
        )
    return real


def _roots(folder: Path) -> list[Path]:
    """Where a shard may really stand: the folder, and for a hub cache's snapshot its `blobs`.

    The cache lays a model out as `models--NAME/snapshots/REVISION/` full of links into
    `models--NAME/blobs/`.
    """
    real = folder.resolve()
    in_cache = real.parent.name == "snapshots"
    return [real, real.parent.parent / "blobs"] if in_cache else [real]


def _compare(index: Path, shard_of: dict[str, str], shards: dict[str, SafetensorsFile]) -> None:
    """Every tensor that the index lists must be in its shard, and no other shard may have more."""
    absent = [name for name, shard in shard_of.items() if name not in shards[shard].tensors]
    unlisted = [
        name
        for shard, file in shards.items()
        for name in file.tensors
        if shard_of.get(name) != shard
    ]
    problems = []
    if absent:
        where = ", ".join(f"{printable(n)!r} from {printable(shard_of[n])!r}" for n in absent[:10])
        problems.append(f"lists {len(absent)} tensors that are absent: {where}")
    if unlisted:
        names = ", ".join(repr(printable(name)) for name in unlisted[:10])
        problems.append(f"leaves out {len(unlisted)} tensors of its files: {names}")
    if problems:
        raise CheckpointError(
            f"{printable(str(index))}: {'; '.join(problems)}; index and files are of different "
            "versions: fetch all of them again."
        )
