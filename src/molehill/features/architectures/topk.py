"""TopK: the k largest pre-activations of each row are active.

    f = TopK(W_enc (x - b_dec) + b_enc),   x̂ = W_decᵀ f + b_dec,   loss ‖x - x̂‖² + α ‖e - ê‖²

k is the sparsity, exactly and in every row; no penalty shrinks the values. ê is the reconstruction
of the error e by features that have long been silent. Gao et al. 2024, "Scaling and evaluating
sparse autoencoders", sections 2.3 and A.2.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from molehill.features.autoencoder import Autoencoder, Chosen, rows_of
from molehill.features.codes import Codes
from molehill.features.selecting import largest_of_each_row

__all__ = ["TopK"]


class TopK(Autoencoder):
    """The k largest of each row."""

    architecture = "topk"

    def choose(self, x: Tensor) -> Codes:
        """The k largest pre-activations of each row; those below zero count as zero."""
        return self.choose_to_learn(x).codes

    def choose_to_learn(self, x: Tensor) -> Chosen:
        """The same while training."""
        pre = self.pre(x)
        values, features = largest_of_each_row(pre, self.settings.k)
        codes = rows_of(values, features, self.settings.n_features)
        active = self.tied(codes, x).relu()
        if self.sharing.by_features:  # some of these are not among the k largest of all processes
            least = self.sharing.kth_of_rows(active.detach().view(values.shape), self.wanted.k)
            active = active * (active.detach().view(values.shape) >= least).flatten()
        return Chosen(codes.with_values(active), (pre,))

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The error by dead features, if there are any."""
        term = self.revived(chosen.aside[0], x, error)
        if term is not None:
            yield "auxiliary", term
