"""Rows: tokens of a corpus, one row each, with their values and where they stand in the texts.

This module knows nothing of files and models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["COLUMNS", "Rows", "concatenated", "gathered"]


@dataclass(frozen=True)
class Rows:
    """Some of a store's tokens, one row each."""

    values: Mapping[str, Tensor]
    """Site to [token, ...]."""
    token: Tensor
    """The token's id [token], int32."""
    text: Tensor
    """The number of its text in the corpus [token], int64."""
    window: Tensor
    """Which of the text's windows it stands in [token], int32."""
    position: Tensor
    """Its position in the window, as the model counted it [token], int32."""

    def __len__(self) -> int:
        return len(self.token)

    def __getitem__(self, chosen: slice | Tensor) -> Rows:
        """These rows."""
        return Rows(
            {site: value[chosen] for site, value in self.values.items()},
            *(getattr(self, name)[chosen] for name in COLUMNS),
        )


COLUMNS = ("token", "text", "window", "position")


def gathered(parts: Sequence[Rows], chosen: Tensor) -> Rows:
    """Rows of several parts by their number in all of them together, in this order."""
    if len(parts) == 1:
        first, last = int(chosen[0]), int(chosen[-1])
        together = last - first + 1 == len(chosen) and bool((chosen.diff() == 1).all())
        return parts[0][slice(first, last + 1) if together else chosen]
    ends = torch.tensor([len(part) for part in parts]).cumsum(0)
    which = torch.searchsorted(ends, chosen, right=True)
    pieces, places = [], []
    for number, (part, (start, _)) in enumerate(
        zip(parts, pairwise([0, *ends.tolist()]), strict=True)
    ):
        mine = (which == number).nonzero()[:, 0]
        pieces.append(part[chosen[mine] - start])
        places.append(mine)
    return concatenated(pieces)[torch.cat(places).argsort()]


def concatenated(pieces: Sequence[Rows]) -> Rows:
    if len(pieces) == 1:
        return pieces[0]
    return Rows(
        {site: torch.cat([piece.values[site] for piece in pieces]) for site in pieces[0].values},
        *(torch.cat([getattr(piece, name) for piece in pieces]) for name in COLUMNS),
    )
