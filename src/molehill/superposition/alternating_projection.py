"""Packings of lines by alternating projection, the classical method, to compare with.

It works on the whole matrix of cosines and takes its eigenvectors at every step, so that it is for
hundreds of vectors, not for thousands. This module knows no bound.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.errors import GeometryError

__all__ = ["alternating_projection"]


@torch.no_grad()
def alternating_projection(
    count: int, dimensions: int, cosine: float, *, steps: int = 1000, starts: int = 8, seed: int = 0
) -> Tensor:
    """Lines whose |cosines| are drawn towards a wanted largest one; the best start's [count, d].

    In turn, entries of the matrix of cosines that are too large are set to the wanted one (the
    nearest matrix with such entries), and the matrix is replaced by the nearest one of rank d whose
    d values are alike: J. Tropp, I. Dhillon, R. Heath, T. Strohmer, "Designing structured tight
    frames via an alternating projection method", IEEE Trans. IT 51 (2005); I. Dhillon, R. Heath, T.
    Strohmer, J. Tropp, Experimental Math. 17 (2008). One batched program for all starts.

    Args:
        cosine: the largest |cosine| that is wanted, such as a bound.

    Raises:
        GeometryError: sizes or a cosine that cannot be.
    """
    if count < 2 or not 2 <= dimensions <= count or not 0 <= cosine < 1 or min(steps, starts) < 1:
        raise GeometryError(
            f"{count} lines in {dimensions} dimensions at {cosine}, {steps} steps and {starts} "
            "starts: needed are at least as many lines as dimensions, a cosine from 0 to below 1, "
            "and one step and start or more."
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(starts, count, dimensions, generator=generator, dtype=torch.float64)
    vectors = F.normalize(drawn, dim=2)
    itself = torch.eye(count, dtype=torch.bool)
    for _ in range(steps):
        gram = (vectors @ vectors.mT).clamp(-cosine, cosine).masked_fill(itself, 1.0)
        _, basis = torch.linalg.eigh(gram)
        vectors = basis[:, :, -dimensions:]
        # Rows of the basis are rows of the next matrix' root; their lengths become one.
        vectors = F.normalize(vectors, dim=2)
    worst = (vectors @ vectors.mT).abs().masked_fill(itself, 0.0).amax((1, 2))
    return vectors[int(worst.argmin())]
