"""The worst pair of a packing and how many pairs are as good as worst, over all pairs, in blocks.

Of lines the worst pair has the largest |cosine|, of vectors the largest signed one. This file knows
no optimiser: it judges whatever vectors it is given.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from molehill.superposition.cosines import exact_cosines

__all__ = ["count_above", "worst_pair"]


@torch.no_grad()
def worst_pair(unit: Tensor, *, lines: bool, block: int = 2048) -> tuple[float, tuple[int, int]]:
    """The largest |cosine| (vectors: the largest cosine) of unit vectors [count, d], and its pair.

    Pairs are met in the vectors' precision; the worst of every block is computed again in float64,
    and the largest of these is told.
    """
    first, second = [], []
    for rows, columns, cosines in _upper(unit, lines, block):
        place = int(cosines.argmax())
        first.append(rows + place // cosines.shape[1])
        second.append(columns + place % cosines.shape[1])
    exact = exact_cosines(unit, torch.tensor(first), torch.tensor(second))
    exact = exact.abs() if lines else exact
    best = int(exact.argmax())
    return min(1.0, float(exact[best])), (first[best], second[best])


@torch.no_grad()
def count_above(unit: Tensor, limit: float, *, lines: bool, block: int = 2048) -> int:
    """How many unordered pairs have a |cosine| (vectors: a cosine) of at least `limit`."""
    return sum(int((cosines >= limit).sum()) for _, _, cosines in _upper(unit, lines, block))


def _upper(unit: Tensor, lines: bool, block: int) -> Iterator[tuple[int, int, Tensor]]:
    """Blocks on and above the diagonal, each pair once: what is none is minus infinity."""
    for row in range(0, len(unit), block):
        for column in range(row, len(unit), block):
            cosines = unit[row : row + block] @ unit[column : column + block].T
            if lines:
                cosines.abs_()
            if row == column:
                once = torch.ones_like(cosines, dtype=torch.bool).triu_(1)
                cosines.masked_fill_(~once, -math.inf)
            if torch.isfinite(cosines).any():
                yield row, column, cosines
