"""Weights laid out once for products with few rows, the way oneDNN reads them fastest.

For few rows all the time goes into reading the weight, and the plain layout is read at half the
memory's speed. A copy in the library's own layout costs as much memory as the weight
and gives the same bits. A copy is used only as long as it is that of the weight as it stands. This
file knows nothing of when it is worth while.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Packs"]

# The layout that the library takes for about so many rows is read fastest by fewer rows too: for
# one row it names a layout of its own that is a third slower, and in float32 no better than plain.
_LAID_OUT_FOR = 64


@dataclass(frozen=True)
class _Pack:
    weight: Tensor
    packed: Tensor
    stamp: tuple[int, int]
    sums: Tensor


class Packs:
    """The packed copies of one model's weights.

    A weight that was written to in place, replaced or moved is packed anew when it is next asked
    for. What goes past torch's own count of changes, through `.data`, is seen by `refresh`.
    """

    def __init__(self) -> None:
        self._held: dict[int, _Pack] = {}

    def __reduce__(self) -> tuple[type[Packs], tuple[()]]:
        # The library's layout can be neither copied nor saved, and is made again in no time.
        return Packs, ()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, weight: Tensor) -> bool:
        """Whether `of` would answer without work."""
        held = self._held.get(id(weight))
        return held is not None and held.stamp == _stamp(weight)

    def of(self, weight: Tensor) -> Tensor:
        """The packed copy of weight [out, in]."""
        # The pack holds its weight, so no other can have taken over its id.
        held = self._held.get(id(weight))
        if held is None or held.stamp != _stamp(weight):
            packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _LAID_OUT_FOR)
            held = _Pack(weight, packed, _stamp(weight), _row_sums(weight))
            self._held[id(weight)] = held
        return held.packed

    def refresh(self) -> None:
        """Forget the copies of weights that are no longer what they were, by the sums of their
        rows' bits: one reading of the weights."""
        for key, held in list(self._held.items()):
            changed = held.stamp != _stamp(held.weight)
            if changed or not torch.equal(held.sums, _row_sums(held.weight)):
                del self._held[key]

    def forget_other_shapes(self, shapes: Collection[tuple[int, int]]) -> None:
        """Keep only the copies of weights that have one of these shapes (out, in)."""
        for key, held in list(self._held.items()):
            if tuple(held.weight.shape) not in shapes:
                del self._held[key]


def _stamp(weight: Tensor) -> tuple[int, int]:
    """What changes with every change that torch counts, and with the place in memory."""
    version = 0 if weight.is_inference() else weight._version
    return version, weight.data_ptr()


def _row_sums(weight: Tensor) -> Tensor:
    """The sum of each row's bits, read as whole numbers as wide as they can be."""
    width = weight.shape[1] * weight.element_size()
    whole = {0: torch.int64, 4: torch.int32}.get(width % 8, torch.int16)
    return weight.detach().view(whole).sum(-1, dtype=torch.int64)
