"""Directions drawn at random: the exact law of one cosine, and the largest among all pairs.

The law of one cosine is exact. The law of the largest takes the pairs as independent, which they
are two by two; how little that costs is tested by drawing. This module knows no bound.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import betainc, betaincinv

from molehill.errors import GeometryError

__all__ = ["exceeding", "random_asymptotic", "random_dimensions", "random_largest"]


def exceeding(cosine: float, dimensions: int) -> float:
    """The chance that the |cosine| of two random directions is above `cosine`.

    The square of a cosine has the law Beta(1/2, (d - 1)/2): the share of a random direction's
    squared length that lies along one axis. Of signed cosines it is half of that.
    """
    assert dimensions >= 2 and 0 <= cosine <= 1, "the caller has set the edges aside"
    return float(betainc((dimensions - 1) / 2, 0.5, 1 - cosine**2))


def random_largest(count: int, dimensions: int, share: float | None = None) -> float:
    """The largest |cosine| among `count` random directions: its mean, or a quantile.

    With M pairs, P(largest <= t) is (1 - p(t))^M, p by `exceeding`; T. Cai, J. Fan, T. Jiang,
    "Distributions of angles in random packing on spheres", JMLR 14 (2013), theorem 6, is its limit.

    Args:
        share: 0.5 for the median; None for the mean.
    """
    assert count >= 2 and dimensions >= 2, "one direction has no pair, one dimension no angle"
    steps = 2000
    shares = (np.arange(steps) + 0.5) / steps if share is None else np.array([share])
    tail = -np.expm1(np.log(shares) / (count * (count - 1) / 2))
    return float(np.sqrt(1 - betaincinv((dimensions - 1) / 2, 0.5, tail)).mean())


def random_asymptotic(count: int, dimensions: int) -> float:
    """sqrt(4 ln N / d), the leading term for many dimensions; 1 where it would be above."""
    return min(1.0, math.sqrt(4 * math.log(count) / dimensions))


def random_dimensions(count: int, cosine: float) -> int:
    """The fewest dimensions in which random directions keep to `cosine` more often than not.

    By the union bound, which is a proof: the expected number of pairs above is below one half.

    Raises:
        GeometryError: more than 10^12 dimensions.
    """
    pairs = count * (count - 1) / 2
    high = 2
    while pairs * exceeding(cosine, high) > 0.5:
        high *= 2
        if high > 10**12:
            raise GeometryError(
                f"Random directions with |cosine| up to {cosine:.3g} need more than 10^12 "
                "dimensions: allow a larger one."
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if pairs * exceeding(cosine, middle) > 0.5 else (low, middle)
    return high
