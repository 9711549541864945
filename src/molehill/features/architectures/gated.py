"""Gated: one path says which features are active, another how strongly.

    π = W (x - b_dec) + b_gate,   f = [π > 0] · ReLU(e^r ⊙ W (x - b_dec) + b_mag)
    loss ‖x - x̂(f)‖² + λ Σ ReLU(π) + ‖x - x̂_frozen(ReLU(π))‖²

Both paths share their rows up to a factor e^r, so that there is one dense product. The penalty
shrinks the gate and not the values; the last term, through a decoder that it does not move, teaches
the gate. Rajamanoharan et al. 2024, "Improving dictionary learning with gated sparse autoencoders",
section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from molehill.features.autoencoder import Autoencoder, Chosen, Settings
from molehill.features.codes import Codes, offsets_of
from molehill.features.selecting import above
from molehill.features.sparse_products import decoded

__all__ = ["Gated"]


class Gated(Autoencoder):
    """A gate and a magnitude; `b_enc` is the gate's bias."""

    architecture = "gated"

    def __init__(self, settings: Settings, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.log_ratio = nn.Parameter(torch.zeros(settings.n_features))
        self.b_mag = nn.Parameter(torch.zeros(settings.n_features))

    def choose(self, x: Tensor) -> Codes:
        """Every feature whose gate is open, with its magnitude."""
        return self.choose_to_learn(x).codes

    def choose_to_learn(self, x: Tensor) -> Chosen:
        """The same while training."""
        values, row, features = above(self.pre(x))
        gate = Codes(values, features, offsets_of(row, len(x)), self.settings.n_features)
        pi = self.tied(gate, x)
        shared = pi - self.b_enc[features]
        magnitude = self.log_ratio.exp()[features] * shared + self.b_mag[features]
        return Chosen(gate.with_values(magnitude.relu()), (pi.relu(),))

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The penalty on the gate, and the gate's own reconstruction through a frozen decoder."""
        gate = chosen.codes.with_values(chosen.aside[0])
        yield "penalty", self.settings.penalty * gate.values.sum() / max(1, gate.rows)
        near = decoded(gate, self.w_dec.detach(), self.products) + self.b_dec.detach()
        yield "gate", (y - near).square().sum(1).mean()

    @torch.no_grad()
    def scale_values(self, factor: float) -> None:
        """The gate's scale is free; only magnitudes are values, and their bias is one."""
        assert math.isfinite(factor), "no factor"
        self.b_mag.mul_(factor)
