"""Codes: which features are active in each row, and how strongly, with nothing stored for the rest.

The form is that of a compressed sparse matrix: all active features of the first row, then those of
the second, and where each row begins. This module knows nothing of how features are found.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

__all__ = ["Codes", "offsets_of"]


@dataclass(frozen=True)
class Codes:
    """The active features of some rows.

    An entry may hold 0: a feature that was looked at and found silent (TopK where fewer than k are
    above zero, JumpReLU near its threshold). Whatever counts active features asks `active`.
    """

    values: Float[Tensor, " active"]
    """How strongly each is active; part of the graph while training."""
    features: Int[Tensor, " active"]
    """Which feature it is, int64."""
    offsets: Int[Tensor, " rows_and_1"]
    """Row r holds the entries `offsets[r]` to `offsets[r + 1]`, int64."""
    n_features: int

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return len(self.offsets) - 1

    @property
    def active(self) -> Bool[Tensor, " active"]:
        """Which entries are above zero."""
        return self.values > 0

    @property
    def row_of(self) -> Int[Tensor, " active"]:
        """The row of each entry."""
        rows = torch.arange(self.rows, device=self.offsets.device)
        return rows.repeat_interleave(self.offsets.diff(), output_size=len(self.features))

    @property
    def l0(self) -> float:
        """Active features in a row, on average."""
        return self.active.sum().item() / max(1, self.rows)

    def counts(self) -> Int[Tensor, " n_features"]:
        """In how many rows each feature is active."""
        return torch.bincount(self.features[self.active], minlength=self.n_features)

    def dense(self) -> Float[Tensor, "rows n_features"]:
        """The same with a zero for every silent feature."""
        table = self.values.new_zeros(self.rows, self.n_features)
        return table.index_put((self.row_of, self.features), self.values, accumulate=True)

    def row(self, number: int) -> tuple[Tensor, Tensor]:
        """The features of one row, the strongest first, and their values; only those above zero."""
        first, end = self.offsets[number : number + 2].tolist()
        values, features = self.values[first:end], self.features[first:end]
        order = values.argsort(descending=True)
        order = order[values[order] > 0]
        return features[order], values[order]

    def with_values(self, values: Tensor) -> Codes:
        """The same entries with other values."""
        return Codes(values, self.features, self.offsets, self.n_features)

    @classmethod
    def of_dense(cls, table: Float[Tensor, "rows n_features"]) -> Codes:
        """The entries of a table that are not zero."""
        row, features = table.nonzero(as_tuple=True)
        return cls(table[row, features], features, offsets_of(row, len(table)), table.shape[1])


def offsets_of(row: Int[Tensor, " active"], rows: int) -> Int[Tensor, " rows_and_1"]:
    """Where each row begins, given the row of every entry, in order."""
    counts = torch.bincount(row, minlength=rows)
    return torch.cat((counts.new_zeros(1), counts.cumsum(0)))
