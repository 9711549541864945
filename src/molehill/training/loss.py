"""The next-token loss over a large vocabulary, some tokens' scores at a time.

The scores of all tokens would be the largest tensor of a training step by far: [tokens, d_vocab] in
float32, several times over. Here the tokens are gone through in chunks. Each chunk's scores are
made, its loss is taken and, where gradients are wanted, the gradients of the unembedding and of
what it reads are made at once, so that nothing of the chunk is kept for the backward pass. This
module knows nothing of models, optimizers or text.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["ScoreLoss", "next_token_loss", "score_loss"]

ScoreLoss = Callable[[Tensor, Tensor, float | None], tuple[Tensor, Tensor]]
"""`score_loss`, or a compiled copy of it."""

# Scores of one chunk: in float32 they fit the cache that a processor's cores share.
_CHUNK = 2**22


def next_token_loss(
    final: Float[Tensor, "tokens width"],
    unembedding: Float[Tensor, "d_vocab width"],
    targets: Int[Tensor, " tokens"],
    *,
    bias: Float[Tensor, " d_vocab"] | None = None,
    softcap: float | None = None,
    chunk: int | None = None,
    by: ScoreLoss | None = None,
) -> Float[Tensor, ""]:
    """The summed cross-entropy, in nats, of `final @ unembedding.T + bias` against `targets`, in
    float32 (float64 for float64).

    Products are made in the dtype of `final`, softmax and sums in float32 or wider. The unembedding
    and the bias may be wider than `final`: then their gradients are too. A target below zero is not
    counted.

    Args:
        final: what the unembedding reads, one row per token.
        softcap: scores become cap * tanh(scores / cap) (Gemma 2).
        chunk: tokens whose scores are in memory at once. None: as many as fit the cache.
        by: what makes losses and gradients of a chunk's scores: `score_loss`, or it compiled.

    Gradients are made in the forward pass, as in Liger Kernel's fused linear cross-entropy (Hsu et
    al. 2024, section 3.2); so this can be differentiated once.
    """
    if chunk is None:
        chunk = max(64, _CHUNK // unembedding.shape[0])
    return _NextTokenLoss.apply(
        final, unembedding, bias, targets, softcap, chunk, by or score_loss, torch.is_grad_enabled()
    )


def score_loss(
    scores: Float[Tensor, "tokens d_vocab"], targets: Int[Tensor, " tokens"], softcap: float | None
) -> tuple[Float[Tensor, " tokens"], Float[Tensor, "tokens d_vocab"]]:
    """Each token's loss in nats, in float32 or wider, and the gradient of their sum by the scores,
    in the scores' dtype."""
    wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
    bent = None
    if softcap is not None:
        bent = torch.tanh(wide / softcap)
        wide = bent * softcap
    counted = targets >= 0
    at = targets.clamp(min=0)[:, None]
    log_shares = F.log_softmax(wide, dim=-1)
    losses = torch.where(counted, -log_shares.gather(1, at)[:, 0], 0.0)
    words = torch.arange(scores.shape[1], device=scores.device)
    gradient = (log_shares.exp() - (words == at).to(wide.dtype)) * counted[:, None]
    if bent is not None:
        gradient = gradient * (1 - bent * bent)
    return losses, gradient.to(scores.dtype)


class _NextTokenLoss(torch.autograd.Function):
    """Forward makes the gradients, backward hands them on."""

    @staticmethod
    def forward(
        ctx: Any,
        final: Tensor,
        unembedding: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        chunk: int,
        by: ScoreLoss,
        recording: bool,
    ) -> Tensor:
        for_final, for_weight, for_bias = (
            needed and recording for needed in ctx.needs_input_grad[:3]
        )
        weight = unembedding.to(final.dtype)
        start = None if bias is None else bias.to(final.dtype)
        wide = torch.promote_types(final.dtype, torch.float32)
        total = torch.zeros((), dtype=wide, device=final.device)
        d_final = torch.empty_like(final) if for_final else None
        d_weight = torch.zeros_like(weight, dtype=wide) if for_weight else None
        d_bias = torch.zeros_like(start, dtype=wide) if for_bias and start is not None else None
        for first in range(0, len(final), chunk):
            part = slice(first, first + chunk)
            read = final[part]
            scores = F.linear(read, weight, start)
            losses, gradient = by(scores, targets[part], softcap)
            total += losses.sum()
            if d_final is not None:
                torch.mm(gradient, weight, out=d_final[part])
            if d_weight is not None and d_weight.dtype == gradient.dtype:
                d_weight.addmm_(gradient.mT, read)
            elif d_weight is not None:
                d_weight += gradient.mT @ read
            if d_bias is not None:
                d_bias += gradient.sum(0, dtype=wide)
        ctx.gradients = (
            d_final,
            None if d_weight is None else d_weight.to(unembedding.dtype),
            None if d_bias is None or bias is None else d_bias.to(bias.dtype),
        )
        return total

    @staticmethod
    @once_differentiable
    def backward(  # pyrefly: ignore[bad-override] (the decorator hides the first name)
        ctx: Any, *grad_outputs: Any
    ) -> tuple[Tensor | None, ...]:
        (d_loss,) = grad_outputs
        return (*(None if one is None else one * d_loss for one in ctx.gradients), *[None] * 5)
