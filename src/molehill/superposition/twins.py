"""Neurons that ask nearly the same: do they answer the same, the opposite, or neither?

Two neurons of a layer whose rows lie close fire together. Columns that lie close as well make them
one neuron in two; columns that are opposed make a pair whose answer is bounded, one taking off what
the other adds. Chance would give columns no preference. Of gated MLPs the gate rows decide what is
close; the up rows then give the sign, so that what counts is whether columns agree with them. This
file knows matrices and no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.cosines import unit_rows

__all__ = ["CLOSE", "Twins", "twins"]

CLOSE = 0.5
"""Rows of at least this cosine are close."""
_ROWS = 1024


@dataclass(frozen=True)
class Twins:
    """The neurons of a layer whose rows are close, and what their columns do."""

    pairs: int
    """Of rows that are close."""
    columns: float
    """The mean cosine of their columns; 0 where there is no pair."""
    opposed: float
    """The share of pairs whose columns point apart."""
    agreeing: float | None
    """Of gated MLPs, the share of pairs whose columns have the sign that their up rows have."""
    correlation: float
    """Of the cosines of rows and of columns, over all pairs of neurons."""
    closest: tuple[tuple[int, int, float, float], ...]
    """(neuron, neuron, cosine of rows, cosine of columns), the closest rows first."""


@torch.no_grad()
def twins(rows: Tensor, columns: Tensor, ups: Tensor | None = None, *, most: int = 5) -> Twins:
    """Compare a layer's rows [neuron, d] with its columns [neuron, d].

    Args:
        rows: what makes neurons fire; of gated MLPs the gate rows.
        ups: of gated MLPs, the up rows.

    Raises:
        GeometryError: shapes that do not fit, or a row without a direction.
    """
    given = [rows, columns, *([] if ups is None else [ups])]
    if len({len(one) for one in given}) > 1:
        raise GeometryError(
            f"Rows and columns are of the same neurons, found {[len(one) for one in given]}."
        )
    asked, told = unit_rows(rows), unit_rows(columns)
    signs = None if ups is None else unit_rows(ups)
    found, sums = [], torch.zeros(6, dtype=torch.float64)
    for start in range(0, len(asked), _ROWS):
        here = slice(start, start + _ROWS)
        one, other = asked[here] @ asked.T, told[here] @ told.T
        upper = torch.ones_like(one).triu_(start + 1) > 0
        sums += _sums(one[upper].double(), other[upper].double())
        first, second = ((one >= CLOSE) & upper).nonzero(as_tuple=True)
        up = torch.zeros(len(first)) if signs is None else _dots(signs, first + start, second)
        parts = (first + start, second, one[first, second], other[first, second], up)
        found.append(torch.stack([part.double().cpu() for part in parts], dim=1))
    return _told(torch.cat(found), sums, gated=ups is not None, most=most)


def _dots(unit: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return (unit[first] * unit[second]).sum(1)


def _sums(one: Tensor, other: Tensor) -> Tensor:
    parts = (one.sum(), other.sum(), (one * one).sum(), (other * other).sum(), (one * other).sum())
    return torch.stack([*(part.cpu() for part in parts), torch.tensor(float(len(one)))])


def _told(found: Tensor, sums: Tensor, *, gated: bool, most: int) -> Twins:
    first, second, squares, other, both, count = sums.tolist()
    spread = (squares - first**2 / count) * (other - second**2 / count)
    pairs = len(found)
    columns, ups = found[:, 3], found[:, 4]
    best = found[found[:, 2].argsort(descending=True, stable=True)[:most]].tolist()
    return Twins(
        pairs=pairs,
        columns=float(columns.mean()) if pairs else 0.0,
        opposed=float((columns < 0).double().mean()) if pairs else 0.0,
        agreeing=float((columns * ups > 0).double().mean()) if gated and pairs else None,
        correlation=(both - first * second / count) / spread**0.5 if spread > 0 else 0.0,
        closest=tuple((int(a), int(b), row, column) for a, b, row, column, _ in best),
    )
