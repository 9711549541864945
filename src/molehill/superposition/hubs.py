"""Hubs: vectors that are among the nearest of unusually many others.

N_k(x) counts how many vectors have x among their k nearest, here by signed cosine. Its mean is k
whatever the vectors; its skewness says how unevenly nearness falls: M. Radovanovic, A. Nanopoulos,
M. Ivanovic, "Hubs in space" (JMLR 11, 2010), section 2.1. Where the processor has bfloat16 matrix
units the nearest are first looked for in bfloat16 and then decided in float32; rows for which the
rounding might have hidden one are looked at once more. This file knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.cosines import BFLOAT_ERROR, unit_rows

__all__ = ["Hubs", "hubs", "nearest_rows"]

_STRIP = 256
_GROUP = 16
# How many are looked at beyond those asked for.
_SPARE = 22


@dataclass(frozen=True, eq=False)
class Hubs:
    """How nearness is spread over `count` vectors."""

    k: int
    occurrences: Tensor
    """Of how many others each is one of the k nearest [count], int64."""

    @property
    def skewness(self) -> float:
        """The third standardised moment of the occurrences: 0 where they are even."""
        centred = self.occurrences.double() - self.k
        spread = float((centred**2).mean()) ** 0.5
        return float((centred**3).mean()) / spread**3 if spread else 0.0

    @property
    def orphans(self) -> float:
        """The share that is nobody's nearest."""
        return float((self.occurrences == 0).double().mean())

    def largest(self, most: int) -> list[tuple[int, int]]:
        """The greatest hubs: (row, occurrences)."""
        found = self.occurrences.topk(min(most, len(self.occurrences)))
        return list(zip(found.indices.tolist(), found.values.tolist(), strict=True))

    def held_by(self, share: float) -> float:
        """The share of all occurrences that this share of the vectors, the greatest hubs, has."""
        most = max(1, round(share * len(self.occurrences)))
        return float(self.occurrences.topk(most).values.sum()) / float(self.occurrences.sum())


def hubs(vectors: Tensor, k: int = 10, *, progress: Callable[[int], None] | None = None) -> Hubs:
    """Count of how many vectors [count, d] each is one of the k nearest by cosine.

    Raises:
        GeometryError: not more than k vectors, or one without a direction.
    """
    rows = nearest_rows(vectors, k, progress=progress)
    return Hubs(k, torch.bincount(rows.flatten(), minlength=len(vectors)))


@torch.no_grad()
def nearest_rows(
    vectors: Tensor,
    k: int = 10,
    *,
    screened: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> Tensor:
    """The k rows of largest cosine with each row, itself left out, in no order [count, k].

    Args:
        screened: whether to look in bfloat16 first. None: where that is faster.
        progress: called after every few rows with their number.

    Raises:
        GeometryError: not more than k vectors, or one without a direction.
    """
    unit = unit_rows(vectors)
    if not 1 <= k < len(unit):
        raise GeometryError(f"Of {len(unit)} vectors none has {k} others: ask for fewer.")
    if screened is None:
        screened = (
            unit.is_cpu and unit.dtype is torch.float32 and torch.cpu._is_amx_tile_supported()
        )
    rough = unit.bfloat16() if screened else None
    found = torch.empty(len(unit), k, dtype=torch.int64, device=unit.device)
    for start in range(0, len(unit), _STRIP):
        rows = torch.arange(start, min(start + _STRIP, len(unit)), device=unit.device)
        if rough is None or len(unit) <= 4 * (k + _SPARE):
            found[rows] = _plainly(unit, rows, k)
        else:
            found[rows] = _screened(unit, rough, rows, k)
        if progress is not None:
            progress(len(rows))
    return found


def _plainly(unit: Tensor, rows: Tensor, k: int) -> Tensor:
    cosines = unit[rows] @ unit.T
    cosines[torch.arange(len(rows), device=unit.device), rows] = -2.0
    return _largest(cosines, k)[1]


def _screened(unit: Tensor, rough: Tensor, rows: Tensor, k: int) -> Tensor:
    """Those found in bfloat16, ranked again in float32. What was left out has at most the last
    one's rough cosine; where that and the error together reach the k-th, the row is done plainly.
    """
    cosines = rough[rows] @ rough.T
    cosines[torch.arange(len(rows), device=unit.device), rows] = -2.0
    values, places = _largest(cosines, k + _SPARE)
    exact = torch.bmm(unit[places.flatten()].view(*places.shape, -1), unit[rows].unsqueeze(2))
    best, order = exact.squeeze(2).topk(k, dim=1)
    found = places.gather(1, order)
    unsure = values.float().amin(1) + BFLOAT_ERROR >= best[:, -1]
    if unsure.any():
        found[unsure] = _plainly(unit, rows[unsure], k)
    return found


def _largest(cosines: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row [rows, count] and where. Columns are first put into groups, column
    c into group c modulo their number: the k largest lie in the k groups of the largest maxima."""
    groups = cosines.shape[1] // _GROUP
    if groups <= 4 * k:
        return cosines.topk(k, dim=1)
    whole = cosines[:, : groups * _GROUP].view(len(cosines), _GROUP, groups)
    chosen = whole.amax(1).topk(k, dim=1).indices
    lanes = torch.arange(_GROUP, device=cosines.device) * groups
    candidates = (chosen.unsqueeze(2) + lanes).flatten(1)
    rest = torch.arange(groups * _GROUP, cosines.shape[1], device=cosines.device)
    candidates = torch.cat([candidates, rest.expand(len(cosines), -1)], dim=1)
    values, order = cosines.gather(1, candidates).topk(k, dim=1)
    return values, candidates.gather(1, order)
