"""One step's worth of pushing apart: which pairs are close to being the worst, and where they push.

Pairs are met block against block, so that the matrix of all cosines is never held. What is pushed
is the excess of a pair over a threshold just below the worst pair, to the third power: the gradient
of the sum of the excess' fourth powers. A set may be held to a symmetry, cyclic shifts of its
coordinates: then a few vectors stand for all, and only their pairs with the rest are met. This file
knows no schedule and no bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Push", "orbits", "push", "shifted_places"]

# Off every scale: a vector is no neighbour of itself.
_NEVER = -2.0


@dataclass(frozen=True, eq=False)
class Push:
    """What one look at all pairs gives, of every start."""

    force: Tensor
    """The gradient with respect to the vectors that stand for all [starts, leaders, d]; its length
    means nothing."""
    largest: Tensor
    """The largest cosine (of lines: |cosine|) in the products' own precision [starts]."""


def shifted_places(dimensions: int, period: int, device: torch.device | None = None) -> Tensor:
    """Where each coordinate of a shifted vector comes from [period, d]: coordinates are taken in
    runs of `period`, every run is turned round, and those that fill no run stay."""
    places = torch.arange(dimensions, device=device)
    full = dimensions // period * period
    turned = places[:full].view(-1, period)
    shifts = torch.arange(period, device=device)
    inside = (turned % period + shifts[:, None, None]) % period
    moved = (turned // period * period + inside).flatten(1)
    return torch.cat([moved, places[full:].expand(period, -1)], 1)


def orbits(leaders: Tensor, places: Tensor) -> Tensor:
    """All shifts of the vectors that stand for all: [starts, leaders, d] -> [starts, leaders ·
    period, d], the shifts of one vector one after another, itself first."""
    if len(places) == 1:
        return leaders
    starts, count, dimensions = leaders.shape
    return leaders[:, :, places].reshape(starts, count * len(places), dimensions)


def push(
    leaders: Tensor,
    places: Tensor,
    threshold: Tensor,
    *,
    lines: bool,
    block: int = 512,
    dtype: torch.dtype | None = None,
) -> Push:
    """The gradient of the sum, over pairs, of max(0, cosine - threshold)^4 / 4; of lines, |cosine|.

    The shifts are a group of rotations, so that a pair (leader, other) and its mirror push alike:
    the force on a leader is a sum over its own row. Without shifts each unordered pair is met once
    and pushes both.

    Args:
        leaders: of length 1 [starts, leaders, d].
        places: of `shifted_places`; one row of it where there is no symmetry.
        threshold: of every start [starts]; of lines not below 0.
        block: rows and columns that meet at a time.
        dtype: in which products are made; None: as they are.
    """
    rows = leaders if dtype is None else leaders.to(dtype)
    whole = orbits(rows, places)
    period = len(places)
    force = torch.zeros_like(leaders)
    largest = leaders.new_full((len(leaders),), _NEVER)
    for here, there in _blocks(leaders.shape[1], whole.shape[1], block, halved=period == 1):
        left, right = rows[:, here], whole[:, there]
        cosines = left @ right.mT
        _set_aside_itself(cosines, here, there, period, 0.0 if lines else _NEVER)
        largest = torch.maximum(largest, _worst(cosines, lines).to(largest.dtype))
        excess = _excess(cosines, threshold, lines).pow_(3)
        force[:, here] += excess @ right
        if period == 1 and here != there:
            force[:, there] += excess.mT @ left
    return Push(force, largest)


def _blocks(rows: int, columns: int, block: int, *, halved: bool) -> Iterator[tuple[slice, slice]]:
    """Blocks of about block x block; halved: those on and above the diagonal."""
    tall = min(block, rows)
    wide = tall if halved else max(block, block * block // tall)
    for row in range(0, rows, tall):
        for column in range(row if halved else 0, columns, wide):
            yield slice(row, min(row + tall, rows)), slice(column, min(column + wide, columns))


def _set_aside_itself(
    cosines: Tensor, here: slice, there: slice, period: int, value: float
) -> None:
    own = torch.arange(here.start, here.stop, device=cosines.device)
    column = own * period
    inside = (column >= there.start) & (column < there.stop)
    cosines[:, own[inside] - here.start, column[inside] - there.start] = value


def _worst(cosines: Tensor, lines: bool) -> Tensor:
    if not lines:
        return cosines.amax((1, 2))
    low, high = torch.aminmax(cosines.flatten(1), dim=1)
    return torch.maximum(high, -low)


def _excess(cosines: Tensor, threshold: Tensor, lines: bool) -> Tensor:
    """How far each pair is above the threshold, with the cosine's sign; 0 where it is not."""
    if len(cosines) == 1 and lines:
        return F.softshrink(cosines, float(threshold))
    limit = threshold.to(cosines.dtype)[:, None, None]
    if lines:
        return cosines - cosines.clamp(-limit, limit)
    return (cosines - limit).clamp_(min=0)
