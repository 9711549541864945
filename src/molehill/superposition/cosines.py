"""The cosines of all pairs of many vectors, in flat memory: the largest, their histogram, who is
nearest to whom.

Pairs are met a block of rows against a block of rows at a time, each unordered pair once, so that
fifty thousand vectors need little more memory than themselves. The mean and the mean square need no
pairs: they follow from the sum of the unit vectors and from their second moment. What is told
exactly (the closest pairs, the largest) is computed again in float64. This file knows nothing of
models; what the numbers mean beside chance and beside the bounds is said elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import GeometryError

__all__ = [
    "BFLOAT_ERROR",
    "PairCosines",
    "cosine_moments",
    "exact_cosines",
    "largest_cosine",
    "pair_cosines",
    "unit_rows",
]

# Rounding two unit vectors to 8 bits moves their cosine by at most 2^-8, and rounding a result of
# at most 1 by at most 2^-9; a little more for the sum itself.
BFLOAT_ERROR = 2**-8 + 2**-9 + 2**-12

# Rows that are widened to float64 at a time.
_ROWS = 8192
# A histogram's bins are counted as 16-bit numbers.
_MOST_BINS = 32_000


@dataclass(frozen=True, eq=False)
class PairCosines:
    """What the cosines of all unordered pairs of `count` vectors are like."""

    count: int
    dimensions: int
    largest: float
    """The largest |cosine| of two vectors: the coherence of the set."""
    largest_pair: tuple[int, int]
    mean: float
    """Of the signed cosines."""
    mean_square: float
    histogram: Tensor
    """How many pairs have a cosine in each bin [bins], int64."""
    edges: Tensor
    """The bins' ends from -1 to 1 [bins + 1]."""
    nearest: Tensor
    """Each vector's largest |cosine| with another [count]."""
    nearest_row: Tensor
    """With which [count], int64."""
    closest: tuple[tuple[int, int, float], ...]
    """The pairs of the largest |cosine|, signed, largest first: (i, j, cosine) with i < j."""

    @property
    def pairs(self) -> int:
        """How many unordered pairs there are."""
        return self.count * (self.count - 1) // 2

    @property
    def rms(self) -> float:
        """The root of the mean square: a typical |cosine|. Of random directions it is
        1/sqrt(dimensions)."""
        return self.mean_square**0.5

    def size_exceeded_by(self, share: float) -> float:
        """The |cosine| that this share of pairs exceeds, to within a bin."""
        inner = torch.minimum(self.edges[:-1].abs(), self.edges[1:].abs())
        order = inner.argsort(descending=True, stable=True)
        held = self.histogram[order].cumsum(0).double() / self.pairs
        return float(inner[order][int((held < share).sum().clamp(max=len(order) - 1))])

    def quantile(self, share: float) -> float:
        """The cosine that this share of pairs lies below, to within a bin."""
        summed = self.histogram.cumsum(0).double()
        place = int(
            torch.searchsorted(summed, share * float(summed[-1])).clamp(max=len(summed) - 1)
        )
        before = float(summed[place - 1]) if place else 0.0
        inside = float(self.histogram[place])
        part = 0.5 if not inside else (share * float(summed[-1]) - before) / inside
        low, high = float(self.edges[place]), float(self.edges[place + 1])
        return low + min(1.0, max(0.0, part)) * (high - low)


def unit_rows(vectors: Tensor) -> Tensor:
    """Vectors [count, d] at length 1, in float32, or float64 if they are.

    Raises:
        GeometryError: not a matrix, a row of zeros, a number that is not finite.
    """
    if vectors.ndim != 2 or not vectors.shape[1]:
        raise GeometryError(
            f"Vectors must be the rows of a matrix [count, d], found shape {tuple(vectors.shape)}."
        )
    wide = vectors.detach()
    wide = wide if wide.dtype is torch.float64 else wide.float()
    # First by the largest entry: the squares of very small numbers would vanish.
    sizes = wide.abs().amax(1, keepdim=True)
    wrong = ~(torch.isfinite(sizes) & (sizes > 0)).squeeze(1)
    if wrong.any():
        row = int(wrong.nonzero()[0])
        what = "zeros" if not float(sizes[row]) else "numbers that are not finite"
        raise GeometryError(
            f"{int(wrong.sum())} of {len(vectors)} vectors have no direction; row {row} holds "
            f"{what}: leave such rows out."
        )
    scaled = wide / sizes
    return scaled.div_(scaled.norm(dim=1, keepdim=True))


def cosine_moments(unit: Tensor) -> tuple[float, float]:
    """The mean and the mean square of the cosines of all pairs of unit vectors [count, d], without
    looking at pairs: sums over all ordered pairs are |sum of vectors|^2 and the square of the
    second moment's norm."""
    count, width = unit.shape
    total = torch.zeros(width, dtype=torch.float64, device=unit.device)
    moment = torch.zeros(width, width, dtype=torch.float64, device=unit.device)
    for part in unit.split(_ROWS):
        total += part.double().sum(0)
        moment += part.double().T @ part.double() if width <= 256 else (part.T @ part).double()
    ordered = count * (count - 1)
    mean = (float(total @ total) - count) / ordered
    return mean, max(0.0, (float((moment * moment).sum()) - count) / ordered)


def exact_cosines(vectors: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """The cosines of rows `first` [n] with rows `second` [n], in float64 [n]."""
    found = []
    for one, other in zip(first.split(_ROWS), second.split(_ROWS), strict=True):
        found.append((unit_rows(vectors[one].double()) * unit_rows(vectors[other].double())).sum(1))
    return torch.cat(found)


@torch.no_grad()
def pair_cosines(
    vectors: Tensor,
    *,
    block: int = 2048,
    closest: int = 20,
    bins: int = 200,
    progress: Callable[[int], None] | None = None,
) -> PairCosines:
    """The cosines of all unordered pairs of vectors [count, d].

    Args:
        block: how many rows meet how many at a time; the memory used is a few times its square.
        closest: how many pairs of the largest |cosine| to name.
        bins: of the histogram over [-1, 1].
        progress: called after each block with the number of its pairs.

    Raises:
        GeometryError: fewer than two vectors, a row of zeros, a number that is not finite.
    """
    unit = unit_rows(vectors)
    count = len(unit)
    if count < 2:
        raise GeometryError(f"Cosines need two vectors or more, found {count}.")
    if block < 1 or closest < 1 or not 1 <= bins <= _MOST_BINS:
        raise GeometryError(
            f"block {block} and closest {closest} must be 1 or more, bins {bins} from 1 to "
            f"{_MOST_BINS}."
        )
    tally = _Tally(unit, block, closest, bins)
    for rows, columns, cosines in _blocks(unit, block):
        tally.add(rows, columns, cosines)
        if progress is not None:
            progress(_pairs_of(cosines, rows == columns))
    return tally.result(vectors)


@torch.no_grad()
def largest_cosine(
    vectors: Tensor, *, block: int = 2048, progress: Callable[[int], None] | None = None
) -> float:
    """The largest |cosine| of all pairs of vectors [count, d], and nothing else: looked for in
    bfloat16, which is several times faster where the processor has units for it, and decided in
    float32 among the rows that rounding leaves possible.

    Raises:
        GeometryError: as for `pair_cosines`.
    """
    unit = unit_rows(vectors)
    if len(unit) < 2:
        raise GeometryError(f"Cosines need two vectors or more, found {len(unit)}.")
    most = torch.full((len(unit),), -1.0, device=unit.device)
    for rows, columns, cosines in _blocks(unit.bfloat16(), block):
        cosines.abs_()
        if rows == columns:
            cosines.fill_diagonal_(-1.0)
        here = slice(rows, rows + len(cosines))
        most[here] = torch.maximum(most[here], cosines.amax(1).float())
        if progress is not None:
            progress(_pairs_of(cosines, rows == columns))
    possible = (most >= most.max() - 2 * BFLOAT_ERROR).nonzero().squeeze(1)
    largest = 0.0
    for some in possible.split(256):
        exact = (unit[some] @ unit.T).abs_()
        exact[torch.arange(len(some), device=unit.device), some] = -1.0
        largest = max(largest, float(exact.max()))
    return min(1.0, largest)


def _blocks(unit: Tensor, block: int) -> Iterator[tuple[int, int, Tensor]]:
    """The first row, the first column and the cosines of every block on or above the diagonal. The
    tensor is used again for the next one."""
    room = unit.new_empty(min(block, len(unit)) ** 2)
    for rows in range(0, len(unit), block):
        for columns in range(rows, len(unit), block):
            left, right = unit[rows : rows + block], unit[columns : columns + block]
            out = room[: len(left) * len(right)].view(len(left), len(right))
            yield rows, columns, torch.mm(left, right.T, out=out)


def _pairs_of(cosines: Tensor, diagonal: bool) -> int:
    """How many unordered pairs a block holds."""
    here, there = cosines.shape
    return here * (here - 1) // 2 if diagonal else here * there


class _Tally:
    """What is kept of the blocks that were seen."""

    def __init__(self, unit: Tensor, block: int, closest: int, bins: int) -> None:
        self.unit = unit
        self.block = block
        self.keep = min(closest, len(unit) * (len(unit) - 1) // 2)
        self.bins = bins
        self.half = unit.new_tensor(bins / 2)
        self.histogram = torch.zeros(bins, dtype=torch.int64, device=unit.device)
        self.nearest = unit.new_full((len(unit),), -1.0)
        self.nearest_block = torch.zeros(len(unit), dtype=torch.int64, device=unit.device)
        self.sizes = unit.new_empty(0)
        self.places = torch.empty(0, dtype=torch.int64, device=unit.device)
        self.scaled = unit.new_empty(0)
        self.binned = torch.empty(0, dtype=torch.int16, device=unit.device)

    def add(self, rows: int, columns: int, cosines: Tensor) -> None:
        """Count a block; it is overwritten."""
        diagonal = rows == columns
        if diagonal:
            upper = torch.triu_indices(*cosines.shape, offset=1, device=cosines.device)
            self._count(cosines[upper[0], upper[1]])
            # Below nothing, so that no vector is its own nearest; the lower half stays, since a
            # row's nearest may stand before it.
            cosines.abs_().fill_diagonal_(-1.0)
        else:
            self._count(cosines.view(-1))
            cosines.abs_()
        best = cosines.amax(1)
        self._nearer(rows, best, columns)
        if diagonal:
            best = cosines.triu_(1).amax(1)
        else:
            self._nearer(columns, cosines.amax(0), rows)
        self._closest(rows, columns, cosines, best)

    def _count(self, cosines: Tensor) -> None:
        """The histogram: cosines become the numbers of their bins, which are counted."""
        if not len(cosines):
            return
        if len(self.scaled) < len(cosines):
            self.scaled = torch.empty_like(cosines)
            self.binned = torch.empty_like(cosines, dtype=torch.int16)
        scaled, binned = self.scaled[: len(cosines)], self.binned[: len(cosines)]
        torch.add(self.half, cosines, alpha=self.bins / 2, out=scaled)
        found = torch.bincount(binned.copy_(scaled), minlength=self.bins + 1)
        # A cosine of one is in the last bin; and rounding may carry one past it.
        found[self.bins - 1] += found[self.bins]
        self.histogram += found[: self.bins]

    def _nearer(self, start: int, best: Tensor, block: int) -> None:
        """Keep in which block the nearest was: to look for its row in every block takes longer than
        to meet one block more at the end."""
        here = slice(start, start + len(best))
        better = best > self.nearest[here]
        self.nearest[here] = torch.where(better, best, self.nearest[here])
        self.nearest_block[here] = torch.where(better, block, self.nearest_block[here])

    def _nearest_rows(self) -> Tensor:
        """Every vector met once more with the block in which its nearest is."""
        found = torch.zeros_like(self.nearest_block)
        for start in range(0, len(self.unit), self.block):
            rows = (self.nearest_block == start).nonzero().squeeze(1)
            for some in rows.split(self.block):
                met = (self.unit[some] @ self.unit[start : start + self.block].T).abs_()
                own = some - start
                inside = (own >= 0) & (own < met.shape[1])
                met[inside.nonzero().squeeze(1), own[inside]] = -1.0
                found[some] = met.argmax(1) + start
        return found

    def _closest(self, rows: int, columns: int, sizes: Tensor, best: Tensor) -> None:
        """Keep the largest of those kept and those of this block: they lie in the rows whose
        largest are the largest."""
        limit = float(self.sizes[-1]) if len(self.sizes) == self.keep else -1.0
        chosen = (best > limit).nonzero().squeeze(1)
        if not len(chosen):
            return
        if len(chosen) > self.keep:
            chosen = best.topk(self.keep).indices
        inside = sizes[chosen]
        top, place = inside.flatten().topk(min(self.keep, inside.numel()))
        width = sizes.shape[1]
        row = chosen[place // width] + rows
        column = place % width + columns
        real = column > row
        size = len(self.unit)
        places = torch.cat([self.places, (row * size + column)[real]])
        values = torch.cat([self.sizes, top[real]])
        order = values.argsort(descending=True, stable=True)[: self.keep]
        self.sizes, self.places = values[order], places[order]

    def result(self, vectors: Tensor) -> PairCosines:
        """All of it, with what is exact computed once more in float64."""
        size = len(self.unit)
        first, second = self.places // size, self.places % size
        exact = exact_cosines(vectors, first, second)
        ranked = exact.abs().argsort(descending=True, stable=True)
        listed = [one[ranked].tolist() for one in (first, second, exact)]
        closest = tuple(zip(*listed, strict=True))
        mean, mean_square = cosine_moments(self.unit)
        return PairCosines(
            count=size,
            dimensions=self.unit.shape[1],
            largest=min(1.0, abs(closest[0][2])),
            largest_pair=closest[0][:2],
            mean=mean,
            mean_square=mean_square,
            histogram=self.histogram,
            edges=torch.linspace(-1, 1, self.bins + 1, dtype=torch.float64),
            nearest=self.nearest.clamp(max=1.0),
            nearest_row=self._nearest_rows(),
            closest=closest,
        )
