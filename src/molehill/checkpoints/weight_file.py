"""What safetensors and GGUF files share once their headers are read: named tensors at offsets.

The formats' own modules read and check a header and hand over where each tensor lies; everything
after that (lookup, comparing shapes, copying, closing) is here. Knows no header.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TypeVar

import torch
from torch import Tensor

from molehill.checkpoints.copying import copy_stored
from molehill.checkpoints.quants import Storage
from molehill.checkpoints.raw_file import RawFile, printable
from molehill.checkpoints.source import TensorInfo
from molehill.errors import CheckpointError

__all__ = ["Placed", "WeightFile", "missing_tensor", "new_tensor"]

# Not `typing.Self`: the checker of shapes in tests does not follow it in single methods.
_File = TypeVar("_File", bound="WeightFile")


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor's place in its file.

    Attributes:
        info: What is said of it.
        storage: How its numbers are stored.
        offset: Its first byte, from the start of the file.
    """

    info: TensorInfo
    storage: Storage
    offset: int


class WeightFile:
    """A `TensorSource` over one file whose header has been read and checked.

    Args:
        file: The opened file. It belongs to this object from now on.
        placed: Every tensor's place, within the file.
        metadata: What the header says beside them.
    """

    def __init__(
        self, file: RawFile, placed: Mapping[str, Placed], metadata: Mapping[str, object]
    ) -> None:
        self._file = file
        self._placed = placed
        self._tensors = MappingProxyType({name: place.info for name, place in placed.items()})
        self._metadata = MappingProxyType(dict(metadata))

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name, in the order of the header's list."""
        return self._tensors

    @property
    def metadata(self) -> Mapping[str, object]:
        """What the header says beside its tensors."""
        return self._metadata

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy tensor `name` into `out`, converted or dequantised to `out`'s dtype.

        Equal dtypes and a contiguous `out` make it one read into `out`'s own memory.

        Args:
            name: One of `tensors`.
            out: Of the tensor's shape; any strides and any device.

        Raises:
            CheckpointError: No such tensor; another shape; numbers that `out`'s dtype cannot hold
                (fractions in an integer, wide integers in narrow ones); a file cut short.
        """
        place = self._place(name)
        if tuple(out.shape) != place.info.shape:
            raise self._file.error(
                f"tensor {printable(name)!r} has shape {place.info.shape}, but {tuple(out.shape)} "
                "was expected; the file and the model's configuration do not belong together"
            )
        if not _can_hold(out.dtype, place.storage):
            raise self._file.error(
                f"tensor {printable(name)!r} is stored as {place.info.dtype}, which {out.dtype} "
                "cannot hold; read it into a floating or a wider type"
            )
        copy_stored(self._file, place.offset, place.storage, out)

    def read(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Tensor `name` in new memory; None keeps the stored dtype (quantised: float32).

        Raises:
            CheckpointError: As `read_into`.
        """
        place = self._place(name)
        out = new_tensor(place.info.shape, dtype or place.storage.dtype or torch.float32)
        self.read_into(name, out)
        return out

    def close(self) -> None:
        """Give the file back; closing twice does nothing."""
        self._file.close()

    def __enter__(self: _File) -> _File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({printable(str(self.path))!r}, {len(self.tensors)} tensors)"

    def _place(self, name: str) -> Placed:
        place = self._placed.get(name)
        if place is None:
            raise missing_tensor(self.path, name, self._tensors)
        return place


def missing_tensor(path: Path, name: str, tensors: Mapping[str, TensorInfo]) -> CheckpointError:
    """The error for a name that is not there, with the nearest one that is."""
    near = difflib.get_close_matches(name, tensors, n=1, cutoff=0.8)
    hint = f"; the nearest is {printable(near[0])!r}" if near else ""
    return CheckpointError(
        f"{printable(str(path))}: has no tensor {printable(name)!r} among its {len(tensors)}{hint}"
    )


def new_tensor(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Memory for a tensor whose size was compared with its file's."""
    return torch.empty(shape, dtype=dtype)


def _can_hold(dtype: torch.dtype, storage: Storage) -> bool:
    """Whether numbers so stored can go into this dtype without changing what they mean.

    Rounding to a shorter float is what a caller asks for by choosing it; losing fractions, signs or
    high bits of integers is not.
    """
    stored = storage.dtype or torch.float32
    if dtype.is_floating_point:
        return True
    if stored.is_floating_point or dtype.is_complex:
        return False
    return torch.promote_types(stored, dtype) == dtype
