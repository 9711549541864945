"""Causal attention over short rows for training on a processor: whole batched products.

A fused kernel goes through the scores block by block and never lays them out, which is what long
rows need. For short rows on a processor its many small products, and its backward pass above all,
cost more than the scores' memory: here the pattern is laid out once, kept, and everything is a
product over all heads at once. In bfloat16 the scores are rounded before the softmax, where the
fused kernel rounds the pattern alone: errors are about a quarter larger. This file knows nothing of
models.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["LONGEST", "short_causal_attention"]

LONGEST = 512
"""Tokens of a row beyond which the fused kernel is the better one."""
_BLOCK = 128
"""Queries at a time. Whole rows of 256 took 26.3 ms for both passes, blocks of 128 21.1."""


def short_causal_attention(
    q: Float[Tensor, "batch head pos d_head"],
    k: Float[Tensor, "batch head pos d_head"],
    v: Float[Tensor, "batch head pos d_head"],
    scale: float,
) -> Float[Tensor, "batch head pos d_head"]:
    """softmax(scale * q k^T) v, where each token attends to itself and those before it.

    Its gradient is that of "FlashAttention" (Dao et al. 2022, appendix B.2) with the pattern read
    instead of made again. It can be differentiated once.
    """
    return _Causal.apply(q, k, v, scale)


class _Causal(torch.autograd.Function):
    """Queries go block by block, each with the keys up to its own end: what no query sees is left
    out of the products but for half a block."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        shape = q.shape
        q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))
        patterns = [
            _softmax(torch.bmm(q[:, first:end], k[:, :end].mT), scale)
            for first, end in _blocks(q.shape[1])
        ]
        ctx.save_for_backward(q, k, v, *patterns)
        ctx.scale = scale
        mixed = [torch.bmm(pattern, v[:, : pattern.shape[2]]) for pattern in patterns]
        return torch.cat(mixed, 1).view(shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (d_mix,) = grad_outputs
        q, k, v, *patterns = ctx.saved_tensors
        shape, d_mix = d_mix.shape, d_mix.reshape(v.shape)
        d_q, d_k, d_v = [], [], []
        for (first, end), pattern in zip(_blocks(q.shape[1]), patterns, strict=True):
            d_block = d_mix[:, first:end]
            d_v.append(torch.bmm(pattern.mT, d_block))
            d_pattern = torch.bmm(d_block, v[:, :end].mT)
            d_scores = _softmax_backward(pattern, d_pattern, ctx.scale)
            d_q.append(torch.bmm(d_scores, k[:, :end]))
            d_k.append(torch.bmm(d_scores.mT, q[:, first:end]))
        found = torch.cat(d_q, 1), _sum_of_prefixes(d_k), _sum_of_prefixes(d_v)
        return *(one.view(shape) for one in found), None


def _blocks(pos: int) -> list[tuple[int, int]]:
    """The first query of each block and the one after its last."""
    return [(first, min(first + _BLOCK, pos)) for first in range(0, pos, _BLOCK)]


def _sum_of_prefixes(parts: list[Tensor]) -> Tensor:
    """Part n [row, pos, d_head] reaches from the start to the end of block n: their sum."""
    ends = [part.shape[1] for part in parts]
    sums = []
    for number, (first, end) in enumerate(zip([0, *ends], ends, strict=False)):
        total = parts[number][:, first:end]
        for part in parts[number + 1 :]:
            total = total + part[:, first:end]
        sums.append(total)
    return torch.cat(sums, 1)


def _softmax(scores: Tensor, scale: float) -> Tensor:
    """Of scores [row, query, key] of the last queries, over the keys that are not after each."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    queries, keys = scores.shape[-2:]
    later = torch.ones(queries, keys, dtype=torch.bool, device=scores.device)
    later = later.triu(1 + keys - queries)
    return wide.masked_fill(later, -torch.inf).softmax(-1).to(scores.dtype)


def _softmax_backward(pattern: Tensor, d_pattern: Tensor, scale: float) -> Tensor:
    wide = torch.promote_types(pattern.dtype, torch.float32)
    p = pattern.to(wide)
    moved = p * d_pattern.to(wide)
    return ((moved - p * moved.sum(-1, keepdim=True)) * scale).to(pattern.dtype)
