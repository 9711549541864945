"""The one view of a file of weights that the rest of this room uses: names, shapes, bytes.

A `TensorSource` lists what it holds without reading it and copies one tensor at a time into memory
that the caller owns. It knows the container (safetensors, GGUF) and how numbers are stored; it does
not know any architecture, what a name means or how a matrix is to be turned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["TensorInfo", "TensorSource"]


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a file says of one tensor, known before any of its numbers is read.

    Attributes:
        name: The tensor's name in the file.
        dtype: How its numbers are stored, in the file's own word: `F32`, `BF16`, `Q4_1`, `Q6_K`.
        shape: Sizes, slowest axis first (a GGUF file's reversed order is already undone).
        nbytes: Bytes that it takes in the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    nbytes: int


@runtime_checkable
class TensorSource(Protocol):
    """Weights on disk, opened: a table of contents and a way to copy one tensor out."""

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by name, in the order of the file's own list."""
        ...

    @property
    def metadata(self) -> Mapping[str, object]:
        """What is said beside the tensors: GGUF's keys, or a safetensors file's `__metadata__`."""
        ...

    def read_into(self, name: str, out: Tensor) -> None:
        """Copy tensor `name` into `out`, converted or dequantised to `out`'s dtype.

        `out` has the tensor's shape and may be a view: some rows of a fused matrix, or a transposed
        matrix. Beside `out` itself only a few megabytes are used.

        Raises:
            CheckpointError: No such tensor, another shape (both are named), or a file that ends
                too early.
        """
        ...

    def read(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Tensor `name` in new memory; None keeps the stored dtype (quantised: float32)."""
        ...

    def close(self) -> None:
        """Give the file back. Reading afterwards is an error; closing twice is not."""
        ...

    def __enter__(self) -> TensorSource: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
