"""ReLU with an L1 penalty: every feature above zero is active.

    f = ReLU(W_enc (x - b_dec) + b_enc),   loss ‖x - x̂‖² + λ Σ f

The decoder's rows have length one, so that the penalty cannot be escaped by long rows. It shrinks
all values, which is what the later architectures mend. Bricken et al. 2023, "Towards
monosemanticity", appendix.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from molehill.features.autoencoder import Autoencoder, Chosen
from molehill.features.codes import Codes, offsets_of
from molehill.features.selecting import above

__all__ = ["ReLU"]


class ReLU(Autoencoder):
    """All that is above zero."""

    architecture = "relu"

    def choose(self, x: Tensor) -> Codes:
        """Every feature whose pre-activation is above zero."""
        values, row, features = above(self.pre(x))
        codes = Codes(values, features, offsets_of(row, len(x)), self.settings.n_features)
        return codes.with_values(self.tied(codes, x).relu())

    def further(
        self, x: Tensor, y: Tensor, chosen: Chosen, error: Tensor
    ) -> Iterator[tuple[str, Tensor]]:
        """The penalty: the sum of a row's values."""
        codes = chosen.codes
        yield "penalty", self.settings.penalty * codes.values.sum() / max(1, codes.rows)
