"""Matrices in JSON: half-precision numbers and bytes in base64, a lower triangle where the rest is
nothing.

A text of 512 tokens has 262,144 pairs: as decimal digits they would be two megabytes a matrix.
Every reader is told the rounding. This module knows no model.
"""

from __future__ import annotations

import base64

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["ROUNDING", "Pooled", "base64_halves", "pooled"]

ROUNDING = (
    "Numbers of single pairs are kept in half precision, to 1 part in 2,048; what is less than "
    "0.00006 of the largest, to 0.00000006 of it."
)


def base64_halves(matrix: Tensor, *, triangle: bool) -> tuple[str, float]:
    """A matrix [row, column] over the size of its largest entry, row after row.

    Args:
        triangle: only what stands on and below the diagonal.

    Returns:
        Little-endian float16 in base64, and the size that they are to be multiplied by; 1 where
        all entries are nothing.
    """
    # A number that is not finite would make all others nothing.
    scale = float(matrix.nan_to_num(0.0, 0.0, 0.0).abs().max()) if matrix.numel() else 0.0
    scaled = (matrix / scale if scale else matrix).cpu().float().numpy()
    return _base64(_flat(scaled, triangle).astype("<f2")), scale or 1.0


class Pooled:
    """Many matrices of one size as small pictures: the largest entry, by size, of each square.

    Bytes are 255 times the square root of an entry over the largest of its picture, so that what
    is small is still seen; of signed matrices 127 times, with the sign.

    Attributes:
        side: rows and columns of a picture.
        cell: how many rows and columns of the matrix one of the picture's stands for.
    """

    def __init__(self, count: int, most: int, *, triangle: bool, signed: bool = False) -> None:
        self.cell = -(-count // most)
        self.side = -(-count // self.cell)
        self.triangle, self.signed = triangle, signed
        self._pictures: list[np.ndarray] = []
        self._scales: list[float] = []

    def add(self, matrix: Tensor) -> None:
        """One more matrix [row, column]."""
        small = pooled(matrix, self.cell, signed=self.signed).nan_to_num(0.0, 0.0, 0.0)
        scale = float(small.abs().max())
        steps = 127 if self.signed else 255
        shade = (small.abs() / (scale or 1.0)).sqrt() * steps * small.sign()
        kind = np.int8 if self.signed else np.uint8
        picture = shade.round().cpu().float().numpy()
        self._pictures.append(_flat(picture, self.triangle).astype(kind))
        self._scales.append(scale)

    def to_dict(self) -> dict[str, object]:
        """`pictures` in base64, one after another, and the `scales` of each."""
        return {
            "signed": self.signed,
            "pictures": _base64(np.concatenate(self._pictures)) if self._pictures else "",
            "scales": [float(f"{scale:.4g}") for scale in self._scales],
        }


def pooled(matrix: Tensor, cell: int, *, signed: bool = True) -> Tensor:
    """Of every square of `cell` rows and columns the entry of largest size, with its sign.

    Args:
        signed: whether entries may be less than nothing.
    """
    if cell == 1:
        return matrix
    high = _highest(matrix, cell)
    if not signed:
        return high
    low = -_highest(-matrix, cell)
    return torch.where(high >= -low, high, low)


def _highest(matrix: Tensor, cell: int) -> Tensor:
    """The highest entry of every square; at the edges of what is left of it."""
    return F.max_pool2d(matrix[None], cell, ceil_mode=True)[0]


def _flat(matrix: np.ndarray, triangle: bool) -> np.ndarray:
    return matrix[np.tril_indices(len(matrix))] if triangle else matrix.reshape(-1)


def _base64(numbers: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(numbers).tobytes()).decode("ascii")
