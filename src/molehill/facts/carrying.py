"""From where something is written to where it is read: the norms on the way, without their divisor.

Every norm divides by one positive number that depends on the text. Besides that it centres
(LayerNorm) and multiplies by its gain, the same for every text and position. That side alone
decides which direction a column has become when a later row, or the unembedding, reads it. The
decomposition is that of Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021),
with norms kept in the model's own weights instead of folded into them. This file knows weights; it
runs no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.model.norm import Norm
from molehill.model.transformer import Block, Transformer

__all__ = [
    "Stage",
    "as_added",
    "as_added_back",
    "block_of",
    "carry",
    "carry_back",
    "head_outputs",
    "norm_stage",
    "path_to_end",
    "path_to_row",
    "wide",
]


@dataclass(frozen=True, eq=False)
class Stage:
    """What a norm does besides dividing: centre (or not), then multiply each coordinate."""

    multiplier: Tensor  # [d_model]
    centres: bool


def wide(weight: Tensor) -> Tensor:
    """A weight in float32 or wider, without a copy where it is so already."""
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))


def block_of(model: Transformer, layer: int) -> Block:
    """A layer's block."""
    block = model.blocks[layer]
    assert isinstance(block, Block), "a transformer's blocks are blocks"
    return block


def carry(vectors: Tensor, path: Sequence[Stage]) -> Tensor:
    """Vectors [..., d_model] through the norms on the path, but for their divisors."""
    for stage in path:
        if stage.centres:
            vectors = vectors - vectors.mean(-1, keepdim=True)
        vectors = vectors * stage.multiplier
    return vectors


def carry_back(readers: Tensor, path: Sequence[Stage]) -> Tensor:
    """What reads before the path what `readers` [..., d_model] read after it: the transpose of
    `carry`."""
    for stage in reversed(path):
        readers = readers * stage.multiplier
        if stage.centres:
            readers = readers - readers.mean(-1, keepdim=True)
    return readers


def as_added(model: Transformer, layer: int, columns: Tensor) -> Tensor:
    """Columns [n, d_model] of a layer's down matrix as they reach the stream: a sandwich norm on
    the way multiplies them."""
    post = block_of(model, layer).norm2_post
    return columns if post is None else carry(columns, [norm_stage(post)])


def as_added_back(model: Transformer, layer: int, readers: Tensor) -> Tensor:
    """What reads the columns themselves as `readers` [..., d_model] read what reaches the stream:
    the transpose of `as_added`."""
    post = block_of(model, layer).norm2_post
    return readers if post is None else carry_back(readers, [norm_stage(post)])


def head_outputs(model: Transformer, layer: int) -> Tensor:
    """What each head of a layer can write, as it reaches the stream [head, d_model, d_head]."""
    block = block_of(model, layer)
    columns = wide(block.attn.w_out).T  # [head * d_head, d_model]
    if block.norm1_post is not None:
        columns = carry(columns, [norm_stage(block.norm1_post)])
    return columns.unflatten(0, (model.config.n_heads, -1)).transpose(1, 2)


def path_to_row(model: Transformer, layer: int, *, since: tuple[int, str]) -> list[Stage]:
    """The norms between what was written at `since` and what the layer's rows are held against.

    Args:
        since: (layer, "attention" or "MLP"), or (-1, "MLP") for the token itself.
    """
    start = _order(*since)
    reads = _order(layer, "MLP")
    path = [norm_stage(norm) for order, norm in _stream_norms(model) if start < order < reads]
    block = block_of(model, layer)
    return [*path, norm_stage(block.norm2)] if block.place in ("pre", "sandwich") else path


def path_to_end(model: Transformer, layer: int) -> list[Stage]:
    """The norms between what a layer's MLP adds and the unembedding."""
    start = _order(layer, "MLP")
    path = [norm_stage(norm) for order, norm in _stream_norms(model) if start < order]
    return path if model.final_norm is None else [*path, norm_stage(model.final_norm)]


def _order(layer: int, part: str) -> int:
    """When a part is added: attention, norm, MLP, norm, then the next layer."""
    return 4 * layer + (0 if part == "attention" else 2)


def _stream_norms(model: Transformer) -> Iterator[tuple[int, Norm]]:
    """The norms that the stream itself passes through, in their order."""
    for layer in range(model.config.n_layers):
        block = block_of(model, layer)
        if block.place == "post" and block.norm1 is not None:
            yield 4 * layer + 1, block.norm1
        if block.place in ("post", "block_end"):
            yield 4 * layer + 3, block.norm2


def norm_stage(norm: Norm) -> Stage:
    """A norm without its divisor."""
    return Stage(wide(norm.multiplier), not norm.rms)
