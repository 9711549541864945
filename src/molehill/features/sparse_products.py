"""Products with codes that stay sparse, forward and backward: their cost follows the active
features, not all of them.

For codes with n active entries and vectors of d numbers, each of the four products reads n rows:

    decode            Σ value · w_dec[feature]                       into its row
    ∂values           w_dec[feature] · ∂out[row]                     one number an entry
    ∂w_dec            Σ value · ∂out[row]                            into its feature
    ∂w_enc            Σ ∂value · x[row]                              into its feature

The encoder's forward product is dense: which features are active is not known before. Sums over a
feature's rows are the same bags of rows as sums over a row's features, with the entries sorted by
feature. This module knows no architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import embedding_bag

from molehill.features.codes import Codes

__all__ = ["Room", "decoded", "preactivations", "read_off"]

_MULTIPLE = 16
"""Widths that matrix units like."""


@dataclass(frozen=True)
class Room:
    """Memory for a product: new memory of this size costs as much as the product itself."""

    rows: Tensor
    """x with a one for the bias, and zeros up to a width that matrix units like."""
    features: Tensor
    """The weights with their bias."""
    table: Tensor | None = None
    """What comes out."""

    @classmethod
    def of(cls, x: Tensor, weight: Tensor, products: torch.dtype, *, kept: bool = False) -> Room:
        """Room for x Wᵀ; `kept`: with a table, to be used again."""
        wide = -(-(x.shape[1] + 1) // _MULTIPLE) * _MULTIPLE
        table = x.new_empty(len(x), len(weight), dtype=products) if kept else None
        left = x.new_zeros(len(x), wide, dtype=products)
        return cls(left, weight.new_zeros(len(weight), wide, dtype=products), table)

    def fits(self, x: Tensor, products: torch.dtype) -> bool:
        """Whether it is for as many rows in these numbers."""
        return len(self.rows) == len(x) and self.rows.dtype == products


def decoded(
    codes: Codes, weight: Float[Tensor, "n_features d"], products: torch.dtype
) -> Float[Tensor, "rows d"]:
    """What codes stand for: for every row, the sum of its features' vectors by their values.

    Args:
        codes: their values and `weight` get gradients.
        weight: float32 or float64.
        products: the dtype of what is multiplied; sums are as long as the row has active features.

    Returns:
        In `weight`'s dtype.
    """
    return _Decoded.apply(codes.values, weight, codes.features, codes.offsets, products)


def preactivations(
    x: Float[Tensor, "rows d"],
    weight: Float[Tensor, "n_features d"],
    bias: Float[Tensor, " n_features"],
    products: torch.dtype,
    room: Room | None = None,
) -> Float[Tensor, "rows n_features"]:
    """x Wᵀ + b for every feature, in `products` and without a graph: the one dense product.

    The bias goes along as one more number of each row, times one: added afterwards it would cost as
    much as the product.

    Args:
        room: memory to work in again and again; what is returned holds until the next product.
    """
    here = Room.of(x, weight, products) if room is None else room
    d = x.shape[1]
    with torch.no_grad():
        here.rows[:, :d], here.rows[:, d] = x, 1
        here.features[:, :d], here.features[:, d] = weight, bias
        return torch.mm(here.rows, here.features.T, out=None if room is None else room.table)


def read_off(
    pre: Float[Tensor, " active"],
    codes: Codes,
    x: Float[Tensor, "rows d"],
    weight: Float[Tensor, "n_features d"],
    bias: Float[Tensor, " n_features"],
    shift: Float[Tensor, " d"] | None,
    products: torch.dtype,
) -> Float[Tensor, " active"]:
    """Chosen pre-activations, tied to the weights they were computed with.

    Forward it gives `pre` as it is, in `weight`'s dtype; backward it hands `weight`, `bias` and, if
    it asks for one, `x` the gradients of those entries alone. What was taken from every row of x
    before, `shift`, gets minus the sum of the rows' gradients, which the bias's gradient gives
    without them.
    """
    return _ReadOff.apply(pre, x, weight, bias, shift, codes.features, codes.offsets, products)


class _Decoded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        values, weight, features, offsets, products = given
        low = weight.to(products)
        ctx.save_for_backward(values, low, features, offsets)
        ctx.dtype = weight.dtype
        return _bags(features, low, offsets, values).to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        values, low, features, offsets = ctx.saved_tensors
        grad = grad_outputs[0].to(low.dtype)
        to_values = to_weight = None
        if ctx.needs_input_grad[0]:
            to_values = _dots(grad, low, features, offsets).to(values.dtype)
        if ctx.needs_input_grad[1]:
            to_weight = _by_feature(features, offsets, values, grad, len(low)).to(ctx.dtype)
        return to_values, to_weight, None, None, None


class _ReadOff(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        pre, x, weight, _, _, features, offsets, products = given
        ctx.save_for_backward(x, weight, features, offsets)
        ctx.products = products
        return pre.to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        x, weight, features, offsets = ctx.saved_tensors
        grad, products = grad_outputs[0], ctx.products
        to_x = to_weight = to_shift = None
        to_bias = weight.new_zeros(len(weight)).index_add(0, features, grad.to(weight.dtype))
        if ctx.needs_input_grad[1]:
            to_x = _bags(features, weight.to(products), offsets, grad).to(x.dtype)
        if ctx.needs_input_grad[2]:
            to_weight = _by_feature(features, offsets, grad, x.to(products), len(weight))
            to_weight = to_weight.to(weight.dtype)
        if ctx.needs_input_grad[4]:
            to_shift = -(to_bias @ weight)
        return None, to_x, to_weight, to_bias, to_shift, None, None, None


def _bags(
    rows: Int[Tensor, " entries"],
    table: Float[Tensor, "n d"],
    offsets: Int[Tensor, " bags_and_1"],
    weights: Float[Tensor, " entries"],
) -> Float[Tensor, "bags d"]:
    """For every bag of entries, the weighted sum of the table's rows."""
    if not len(rows):
        return table.new_zeros(len(offsets) - 1, table.shape[1])
    weights = weights.to(table.dtype)
    return embedding_bag(
        rows, table, offsets, per_sample_weights=weights, mode="sum", include_last_offset=True
    )


def _by_feature(
    features: Tensor, offsets: Tensor, weights: Tensor, table: Tensor, n_features: int
) -> Tensor:
    """For every feature, the weighted sum of the rows in which it stands."""
    order = features.int().argsort(stable=True)  # twice as fast as on int64
    counts = torch.bincount(features, minlength=n_features)
    starts = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
    rows = torch.arange(len(offsets) - 1, device=offsets.device)
    row = rows.repeat_interleave(offsets.diff(), output_size=len(features))
    return _bags(row[order], table, starts, weights.detach()[order])


def _dots(grad: Tensor, table: Tensor, features: Tensor, offsets: Tensor) -> Tensor:
    """For every entry, the product of its row of `grad` with its feature's row of the table."""
    rows = torch.arange(len(offsets) - 1, device=offsets.device)
    row = rows.repeat_interleave(offsets.diff(), output_size=len(features))
    # What torch itself calls for the gradient of a bag's weights; it copies no row.
    return torch.ops.aten._embedding_bag_per_sample_weights_backward(
        grad, table, features, offsets[:-1], row, 0
    )
