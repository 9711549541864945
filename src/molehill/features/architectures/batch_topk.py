"""BatchTopK: the k largest pre-activations a row, counted over the whole batch.

    f = BatchTopK(W_enc (x - b_dec) + b_enc) while training,   f = z · [z > θ] afterwards

A row with more in it may have more features. Afterwards a row must not depend on its neighbours:
θ is the running mean of the smallest active value of a batch. Bussmann, Leask and Nanda 2024,
"BatchTopK sparse autoencoders".
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from molehill.features.autoencoder import Autoencoder, Chosen, Settings
from molehill.features.codes import Codes, offsets_of
from molehill.features.selecting import above, largest_of_all

__all__ = ["BatchTopK"]

_MEMORY = 0.95
"""How much of the running threshold a step keeps. It must follow the values as they settle: with
0.99 a run of 128 steps found 27.8 active features a row on held-out vectors where k was 32, with
0.95 30.9. Over some thousand rows the smallest active value is nearly the same in each batch."""


class BatchTopK(Autoencoder):
    """The k largest a row on average."""

    architecture = "batchtopk"
    threshold: Tensor

    def __init__(self, settings: Settings, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        # Below zero: no batch was seen yet.
        self.register_buffer("threshold", torch.tensor(-1.0))

    def choose(self, x: Tensor) -> Codes:
        """Every feature above the threshold that training found."""
        values, row, features = above(self.pre(x), max(0.0, self.threshold.item()))
        return self._codes(values, row, features, x)

    def choose_to_learn(self, x: Tensor) -> Chosen:
        """The largest of the batch, k a row."""
        pre = self.pre(x)
        count = self.wanted.k * len(x)
        values, row, features = largest_of_all(pre, min(count, pre.numel()))
        least = values.min().item() if len(values) else 0.0
        if self.sharing.by_features:  # some of these are not among the largest of all processes
            least = self.sharing.kth_of_all(values, count)
            kept = values >= least
            values, row, features = values[kept], row[kept], features[kept]
        self._remember(least)
        return Chosen(self._codes(values, row, features, x), (pre,))

    def _codes(self, values: Tensor, row: Tensor, features: Tensor, x: Tensor) -> Codes:
        codes = Codes(values, features, offsets_of(row, len(x)), self.settings.n_features)
        return codes.with_values(self.tied(codes, x).relu())

    def _remember(self, least: float) -> None:
        """The running mean of a batch's smallest active value, over all processes; a batch with
        none counts for nothing."""
        found = torch.tensor([least, float(least > 0)])
        self.sharing.mean(found)
        if found[1] > 0:
            new, known = (found[0] / found[1]).item(), self.threshold.item()
            self.threshold.fill_(new if known < 0 else _MEMORY * known + (1 - _MEMORY) * new)

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The error by dead features, if there are any."""
        term = self.revived(chosen.aside[0], x, error)
        if term is not None:
            yield "auxiliary", term

    def scale_values(self, factor: float) -> None:
        """The threshold is a value."""
        if self.threshold >= 0:
            self.threshold.mul_(factor)
