"""The lemma of Johnson and Lindenstrauss: dimensions that suffice, with its constant, for angles.

It promises that *any* N points fit into about ln N dimensions with distances nearly kept. For
directions it is a promise about random ones, and a weak one: it asks for more dimensions than
random directions need, and for far more than good ones do. This module knows no other bound.
"""

from __future__ import annotations

import math

from molehill.errors import GeometryError

__all__ = ["direction_dimensions", "distance_dimensions"]


def distance_dimensions(points: int, error: float) -> int:
    """Dimensions in which some linear map keeps all squared distances to within 1 ± `error`.

    d >= 4 ln n / (e^2 / 2 - e^3 / 3): S. Dasgupta, A. Gupta, "An elementary proof of a theorem of
    Johnson and Lindenstrauss", Random Structures & Algorithms 22 (2003), theorem 2.1.

    Raises:
        GeometryError: fewer than 2 points, or an error that is not between 0 and 1.
    """
    if points < 2 or not 0 < error < 1:
        raise GeometryError(
            f"{points} points with distances to within {error}: give at least 2 points and an "
            "error between 0 and 1."
        )
    return math.ceil(4 * math.log(points) / _gain(error))


def direction_dimensions(count: int, cosine: float) -> int:
    """Dimensions in which the lemma puts `count` lines with |cosines| up to `cosine`.

    The 2 N + 1 points are 0 and N axes with their opposites: where all squared distances among them
    are within 1 ± e, dot products are within ± e and squared lengths at least 1 - e, so that
    |cosines| are at most e / (1 - e).

    Raises:
        GeometryError: a cosine that is not between 0 and 1.
    """
    return distance_dimensions(2 * count + 1, cosine / (1 + cosine))


def _gain(error: float) -> float:
    return error**2 / 2 - error**3 / 3
