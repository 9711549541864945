"""What theory says of features written along directions and read back by dot products.

k features have one direction each in d dimensions; a vector is the sum of the directions of the
features that are active. Read along a feature's own direction it gives 1 if that feature is active
and 0 if not, plus *interference*: a sum of cosines, nearly normal, of variance (active) / d for
random directions. A bias and ReLU are a gate in front of it: below the threshold nothing passes.
This module draws nothing; what really happens is measured in `capacity.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtr

from molehill.errors import GeometryError

__all__ = [
    "BreakingPoints",
    "Expected",
    "breaking_points",
    "expected",
    "guaranteed_active",
    "guaranteeing_coherence",
    "reading_densities",
]

_MOST_FEATURES = 10**15
"""Beyond this a breaking point is not looked for."""


@dataclass(frozen=True)
class Expected:
    """What is to be expected of one input; errors of values are per active feature, squared.

    `linear` reads by dot products as they are, `least_squares` by the best linear map there is;
    `gated` by gain · ReLU(dot product - threshold). An error of 1 is that of always saying 0.
    """

    features: int
    dimensions: int
    active: float
    spread: float
    """The standard deviation of the interference where a feature is not active."""
    threshold: float
    """Where yes and no part with the fewest wrong bits."""
    false_fires: float
    """The share of the features that are not active and are read as a yes."""
    misses: float
    """The share of the active features that are read as a no."""
    wrong_bits: float
    """How many features of an input are read wrongly."""
    linear: float
    least_squares: float
    gated: float
    gated_threshold: float
    gain: float


@dataclass(frozen=True)
class BreakingPoints:
    """How many random directions it takes to break each way of reading.

    Linear readings break where the error of values is one half; the gate's values likewise; the
    gate's bits where one is wrong in an input. 0 where even twice as many features as are active
    are too many, infinity above 10^15.
    """

    linear: float
    least_squares: float
    gated: float
    bits: float


def expected(
    features: int,
    dimensions: int,
    active: float,
    *,
    mean: float = 0.0,
    mean_square: float | None = None,
    fixed: bool = True,
) -> Expected:
    """Errors of reading, by the normal law of the interference for each number of active features.

    The law is close: given one direction the cosines to random others are independent, and the
    excess of their sum over a normal law is -6 / (active (d + 2)).

    Args:
        features: how many directions there are.
        active: of an input's features, so many are active; a mean unless `fixed`.
        mean: of the cosines of two directions; 0 for random ones, -1 / (k - 1) at the least.
        mean_square: of the same cosines; None is that of random ones, 1 / d. Of packed ones it is
            at best (k - d) / (d (k - 1)), Welch's.
        fixed: always exactly so many; otherwise each feature by itself, with chance active / k.

    Raises:
        GeometryError: no feature or dimension, or not between 0 and all of the features active.
    """
    if features < 2 or dimensions < 1 or not 0 < active <= features / 2:
        raise GeometryError(
            f"{active:g} active of {features} features in {dimensions} dimensions: give at least 2 "
            "features, 1 dimension, and at most half of the features active."
        )
    square = 1 / dimensions if mean_square is None else mean_square
    silent, firing = _noises(features, active, mean, square, fixed)
    others = features - active
    threshold, wrong = _least(lambda at: _wrong(at, others, active, silent, firing))
    cut, gated = _least(lambda at: _gated(at, others / active, silent, firing)[0])
    return Expected(
        features=features,
        dimensions=dimensions,
        active=active,
        spread=math.sqrt(max(0.0, silent.square - float(silent.weight @ silent.mean) ** 2)),
        threshold=threshold,
        false_fires=float(silent.above(np.array([threshold]))[0]),
        misses=float(1 - firing.above(np.array([threshold - 1]))[0]),
        wrong_bits=wrong,
        linear=silent.square * others / active + firing.square,
        least_squares=max(0.0, 1 - dimensions / features),
        gated=gated,
        gated_threshold=cut,
        gain=float(_gated(np.array([cut]), others / active, silent, firing)[1][0]),
    )


def breaking_points(dimensions: int, active: float) -> BreakingPoints:
    """Where each way of reading random directions breaks, for an exact number of active features.

    Raises:
        GeometryError: as `expected`.
    """

    def at(features: int) -> Expected:
        return expected(features, dimensions, active)

    first = math.ceil(2 * active)
    return BreakingPoints(
        # Each of k features reads variance active / d, which per active feature is k / d.
        linear=dimensions / 2,
        least_squares=2.0 * dimensions,
        gated=_first(lambda k: at(k).gated >= 0.5, first),
        bits=_first(lambda k: at(k).wrong_bits >= 1, first),
    )


def reading_densities(
    at: Sequence[float], features: int, dimensions: int, active: float, *, fixed: bool = True
) -> tuple[list[float], list[float]]:
    """Densities of the readings of one feature along random directions: not active, and active.

    Empty where there is no spread: one active feature reads exactly 1.
    """
    silent, firing = _noises(features, active, 0.0, 1 / dimensions, fixed)
    places = np.asarray(at, dtype=np.float64)
    return silent.density(places), firing.density(places - 1)


def guaranteed_active(coherence: float) -> int:
    """How many active features are read back for certain, whichever they are.

    An active feature reads at least 1 - (s - 1) m and another at most s m, m the coherence: a
    threshold between them exists where m < 1 / (2 s - 1). J. Tropp, IEEE Trans. IT 50 (2004),
    theorem 3.5, has the same number for orthogonal matching pursuit.

    Raises:
        GeometryError: a coherence of 0, which sets no limit.
    """
    if coherence <= 0:
        raise GeometryError("Directions at right angles are read back for any number active.")
    return max(1, math.ceil((1 / coherence + 1) / 2 * (1 - 1e-12)) - 1) if coherence < 1 else 0


def guaranteeing_coherence(active: int) -> float:
    """The coherence below which so many active features are read back for certain."""
    return 1 / (2 * active - 1)


@dataclass(frozen=True)
class _Noise:
    """What is added to a reading: normal for each number of other active features, with weights.

    All arrays are [numbers]. `mean` and `spread` are of the sum of so many cosines.
    """

    weight: np.ndarray
    mean: np.ndarray
    spread: np.ndarray

    @property
    def square(self) -> float:
        """The mean square."""
        return float(self.weight @ (self.mean**2 + self.spread**2))

    def density(self, at: np.ndarray) -> list[float]:
        """Its density at places [at]; what does not move has none."""
        if self.spread.max() == 0:
            return []
        moving = self.spread > 0
        z = (at[:, None] - self.mean[moving]) / self.spread[moving]
        bells = np.exp(-(z**2) / 2) / (math.sqrt(2 * math.pi) * self.spread[moving])
        return (bells @ self.weight[moving]).tolist()

    def above(self, distance: np.ndarray) -> np.ndarray:
        """The chance to be above a distance; half where noise and distance are both zero."""
        far = distance[:, None] - self.mean
        safe = np.where(self.spread > 0, self.spread, 1)
        still = np.where(far > 0, 0.0, np.where(far == 0, 0.5, 1.0))
        return np.where(self.spread > 0, ndtr(-far / safe), still) @ self.weight

    def rectified(self, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """E[ReLU(x + shift)] and E[ReLU(x + shift)^2] of the noise x."""
        mean = shift[:, None] + self.mean
        safe = np.where(self.spread > 0, self.spread, 1)
        z = mean / safe
        density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
        first = mean * ndtr(z) + self.spread * density
        second = (mean**2 + self.spread**2) * ndtr(z) + mean * self.spread * density
        moving = self.spread > 0
        first = np.where(moving, first, np.maximum(mean, 0))
        second = np.where(moving, np.maximum(second, 0), np.maximum(mean, 0) ** 2)
        return first @ self.weight, second @ self.weight


def _noise(numbers: np.ndarray, weight: np.ndarray, mean: float, square: float) -> _Noise:
    spread = np.sqrt(numbers * max(0.0, square - mean**2))
    return _Noise(weight / weight.sum(), numbers * mean, spread)


def _noises(
    features: int, active: float, mean: float, square: float, fixed: bool
) -> tuple[_Noise, _Noise]:
    """Where a feature is not active, and where it is."""
    if fixed:
        one = np.ones(1)
        silent = _noise(one * active, one, mean, square)
        return silent, _noise(one * max(active - 1, 0.0), one, mean, square)
    # Of independent features, one reads as many others whether it is active or not.
    chance, others = active / features, features - 1
    middle, wide = others * chance, 8 * math.sqrt(others * chance) + 8
    first, last = max(0, math.floor(middle - wide)), min(others, math.ceil(middle + wide))
    numbers = np.unique(np.linspace(first, last, 201).round())
    log = gammaln(others + 1) - gammaln(numbers + 1) - gammaln(others - numbers + 1)
    log += numbers * math.log(chance) + (others - numbers) * math.log1p(-chance)
    both = _noise(numbers, np.exp(log - log.max()), mean, square)
    return both, both


def _wrong(
    at: np.ndarray, others: float, active: float, silent: _Noise, firing: _Noise
) -> np.ndarray:
    return others * silent.above(at) + active * (1 - firing.above(at - 1))


def _gated(
    at: np.ndarray, others: float, silent: _Noise, firing: _Noise
) -> tuple[np.ndarray, np.ndarray]:
    """The error of gain · ReLU(reading - at) per active feature with its best gain, and that gain.

    With a = E[ReLU] of an active feature and b the sum of E[ReLU^2] over all, the error is
    1 - a^2 / b at gain a / b.
    """
    mean, square = firing.rectified(1 - at)
    _, passed = silent.rectified(-at)
    total = np.maximum(square + others * passed, 1e-300)
    return 1 - mean**2 / total, mean / total


def _least(cost: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The threshold between 0 and 2 at which a cost is least: a grid, and a finer one around it."""
    at, width = np.linspace(0, 2, 401), 0.005
    for _ in range(3):
        values = cost(at)
        best = float(at[int(values.argmin())])
        at, width = np.clip(np.linspace(best - width, best + width, 41), 0, 2), width / 20
    values = cost(at)
    place = int(values.argmin())
    return float(at[place]), float(values[place])


def _first(enough: Callable[[int], bool], start: int) -> float:
    """The first number of features that is enough, to three digits; 0 at the start already."""
    if enough(start):
        return 0.0
    low, high = start, start
    while not enough(high):
        low, high = high, high * 2
        if high > _MOST_FEATURES:
            return math.inf
    while high - low > max(1, low // 1000):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return float(high)
