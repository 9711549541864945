"""JumpReLU: a feature is active above a threshold of its own, which is learnt.

    f = z · [z > θ],   z = W_enc (x - b_dec) + b_enc,   loss ‖x - x̂‖² + λ Σ [z > θ]

The step at θ has no slope. As in the paper, pre-activations within half a bandwidth ε of their
threshold stand for its expectation: each moves θ by -θ/ε of the error's slope at its feature, and
by -1/ε of the penalty. So only entries near or above a threshold are ever looked at. Rajamanoharan
et al. 2024, "Jumping ahead", sections 3 and 4, appendix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from molehill.features.autoencoder import Autoencoder, Chosen, Settings
from molehill.features.codes import Codes, offsets_of
from molehill.features.selecting import above

__all__ = ["JumpReLU"]

_FIRST = 1.0
"""The thresholds before training, for inputs of mean squared length d: as far out as a random
pre-activation spreads. From 0.1 nearly half of all features are active at first, and Adam, which
moves a threshold's logarithm by at most its rate a step, needs thousands of steps to mend it."""


class JumpReLU(Autoencoder):
    """Above a learnt threshold."""

    architecture = "jumprelu"

    def __init__(self, settings: Settings, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        # Its logarithm is learnt, so that a threshold stays above zero.
        self.log_threshold = nn.Parameter(torch.full((settings.n_features,), math.log(_FIRST)))

    @property
    def threshold(self) -> Tensor:
        """θ [n_features]."""
        return self.log_threshold.exp()

    def choose(self, x: Tensor) -> Codes:
        """Every feature above its threshold."""
        return self._chosen(x, 0.0).codes

    def choose_to_learn(self, x: Tensor) -> Chosen:
        """Those, and with the value 0 those that are less than half a bandwidth below."""
        return self._chosen(x, self.settings.bandwidth / 2)

    def _chosen(self, x: Tensor, margin: float) -> Chosen:
        bias = self.b_enc.detach() - self.threshold.detach() + margin
        over, row, features = above(self.pre(x, bias))
        beyond = over.to(self.w_enc.dtype) - margin
        pre = beyond + self.threshold.detach()[features]
        codes = Codes(pre, features, offsets_of(row, len(x)), self.settings.n_features)
        pre = self.tied(codes, x)
        theta = self.threshold[features]
        values = _Jump.apply(pre, theta, self.settings.bandwidth)
        return Chosen(codes.with_values(values), (pre, theta))

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The penalty: how many are active."""
        pre, theta = chosen.aside
        active = _Step.apply(pre.detach(), theta, self.settings.bandwidth)
        yield "penalty", self.settings.penalty * active.sum() / max(1, chosen.codes.rows)

    @torch.no_grad()
    def scale_values(self, factor: float) -> None:
        """Thresholds are values."""
        self.log_threshold.add_(math.log(factor))


class _Jump(torch.autograd.Function):
    """z · [z > θ], with the paper's stand-in for the slope in θ."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        pre, theta, ctx.bandwidth = given
        ctx.save_for_backward(pre, theta)
        return torch.where(pre > theta, pre, 0.0)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.bandwidth / 2).to(theta.dtype)
        return (
            grad_outputs[0] * (pre > theta),
            -grad_outputs[0] * near * theta / ctx.bandwidth,
            None,
        )


class _Step(torch.autograd.Function):
    """[z > θ], with the paper's stand-in for its slope in θ."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        pre, theta, ctx.bandwidth = given
        ctx.save_for_backward(pre, theta)
        return (pre > theta).to(theta.dtype)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.bandwidth / 2).to(theta.dtype)
        return None, -grad_outputs[0] * near / ctx.bandwidth, None
