"""What cosines are like where nothing but chance made them: two nulls.

Directions that prefer nothing: the cosine of two of them in d dimensions has a square that follows
the Beta law with 1/2 and (d-1)/2, so all is known without drawing. Vectors with the same mean and
covariance as those at hand, drawn once by seed: what they share with the real ones is due to the
spectrum; what the real ones have beyond them is not. This file knows nothing of models.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from scipy.special import betainc
from torch import Tensor

from molehill.superposition.bounds import welch
from molehill.superposition.cosines import PairCosines, largest_cosine, pair_cosines
from molehill.superposition.random_vectors import random_largest
from molehill.superposition.spectrum import Moments, matched_draw

__all__ = ["Chance", "Matched", "chance", "expected_histogram", "matched"]

_SOME = 8192


@dataclass(frozen=True)
class Chance:
    """What directions that prefer nothing would show, and what no directions can stay below."""

    rms: float
    largest: float
    """The median of the largest |cosine|."""
    welch: float
    """Welch's bound on the largest; 0 where as many fit at right angles."""


def chance(count: int, dimensions: int) -> Chance:
    """For so many directions in so many dimensions."""
    return Chance(
        dimensions**-0.5, random_largest(count, dimensions, 0.5), welch(count, dimensions)
    )


def expected_histogram(edges: Tensor, dimensions: int) -> Tensor:
    """The share of pairs of random directions whose cosine lies between neighbouring edges."""
    if dimensions == 1:
        return torch.zeros(len(edges) - 1, dtype=torch.float64)
    inside = torch.from_numpy(betainc(0.5, (dimensions - 1) / 2, edges.double().numpy() ** 2))
    below = 0.5 + 0.5 * edges.sign() * inside
    return below.diff()


@dataclass(frozen=True, eq=False)
class Matched:
    """Vectors drawn with the spectrum of the unit vectors at hand."""

    vectors: Tensor
    largest: float
    """The largest |cosine| of as many as there are."""
    pairs: PairCosines
    """Of the first of them: 8,192, or all if there are fewer."""


def matched(
    unit: Tensor, *, bins: int = 200, seed: int = 0, progress: Callable[[int], None] | None = None
) -> Matched:
    """As many vectors as there are unit vectors [count, d], drawn from the Gaussian of their mean
    and covariance. The lengths that the vectors once had play no part."""
    drawn = matched_draw(Moments.of(unit), len(unit), seed=seed)
    pairs = pair_cosines(drawn[:_SOME], bins=bins, closest=1)
    if len(unit) <= _SOME:
        if progress is not None:
            progress(pairs.pairs)
        return Matched(drawn, pairs.largest, pairs)
    return Matched(drawn, largest_cosine(drawn, progress=progress), pairs)
