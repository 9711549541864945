"""Matryoshka: BatchTopK whose first features must also do alone, at several sizes.

    loss Σ_m ‖x - (W_dec[:m]ᵀ f[:m] + b_dec)‖² / M,   m over M growing numbers of features

Early features become general and stay whole, where a wide autoencoder without this splits them or
lets a narrow feature absorb a part of them. Bussmann et al. 2025, "Learning multi-level features
with matryoshka sparse autoencoders", section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.architectures.batch_topk import BatchTopK
from molehill.features.autoencoder import Chosen, Settings
from molehill.features.codes import Codes
from molehill.features.sparse_products import decoded

__all__ = ["Matryoshka"]


class Matryoshka(BatchTopK):
    """BatchTopK with nested reconstructions."""

    architecture = "matryoshka"

    def __init__(self, settings: Settings, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        bounds = settings.prefixes or _default_prefixes(settings.n_features)
        rising = all(low < high for low, high in pairwise((0, *bounds)))
        if not rising or bounds[-1] != settings.n_features:
            raise ConfigError(
                f"prefixes are {', '.join(map(str, bounds))}, expected rising numbers that end "
                f"with all {settings.n_features} features."
            )
        self.bounds = bounds

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The errors of the shorter reconstructions, and that by dead features."""
        if len(self.bounds) > 1:
            near = self._prefixes(chosen.codes) + self.b_dec
            yield "prefixes", (y[:, None] - near).square().sum(2).mean(0).sum()
        yield from super().further(x, y, chosen, error)

    def _prefixes(self, codes: Codes) -> Tensor:
        """What the features up to each bound but the last add [rows, bounds - 1, d_out]."""
        inner = torch.tensor(self.bounds[:-1], device=codes.features.device)
        part = torch.bucketize(codes.features, inner, right=True)
        parts = len(inner) + 1
        # A row's entries, sorted by part, are one bag for each part.
        key = codes.row_of * parts + part
        order = key.argsort(stable=True)
        counts = torch.bincount(key, minlength=codes.rows * parts)
        offsets = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        bags = Codes(codes.values[order], codes.features[order], offsets, codes.n_features)
        sums = decoded(bags, self.w_dec, self.products).unflatten(0, (codes.rows, parts))
        return sums.cumsum(1)[:, :-1]


def _default_prefixes(n_features: int) -> tuple[int, ...]:
    """A sixteenth, an eighth, a quarter, a half, all."""
    parts = sorted({max(1, n_features // part) for part in (16, 8, 4, 2)} - {n_features})
    return (*parts, n_features)
