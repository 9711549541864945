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
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        shape = q.shape
        q, k, v = (x.reshape(-1, *x.shape[-2:]) for x in (q, k, v))
        pattern = _softmax(torch.bmm(q, k.mT), scale)
        ctx.save_for_backward(q, k, v, pattern)
        ctx.scale = scale
        return torch.bmm(pattern, v).view(shape)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        (d_mix,) = grad_outputs
        q, k, v, pattern = ctx.saved_tensors
        shape = d_mix.shape
        d_mix = d_mix.reshape(v.shape)
        d_v = torch.bmm(pattern.mT, d_mix)
        d_scores = _softmax_backward(pattern, torch.bmm(d_mix, v.mT), ctx.scale)
        d_q, d_k = torch.bmm(d_scores, k), torch.bmm(d_scores.mT, q)
        return d_q.view(shape), d_k.view(shape), d_v.view(shape), None


def _softmax(scores: Tensor, scale: float) -> Tensor:
    """Of scores [row, query, key], over the keys that are not after the query."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32)) * scale
    later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
    return wide.masked_fill(later, -torch.inf).softmax(-1).to(scores.dtype)


def _softmax_backward(pattern: Tensor, d_pattern: Tensor, scale: float) -> Tensor:
    wide = torch.promote_types(pattern.dtype, torch.float32)
    p = pattern.to(wide)
    moved = p * d_pattern.to(wide)
    return ((moved - p * moved.sum(-1, keepdim=True)) * scale).to(pattern.dtype)
