"""The law of random cosines against drawn ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from molehill.errors import GeometryError
from molehill.superposition.random_vectors import (
    exceeding,
    random_asymptotic,
    random_dimensions,
    random_largest,
)


def drawn(rng: np.random.Generator, count: int, dimensions: int) -> np.ndarray:
    rows = rng.standard_normal((count, dimensions))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_one_cosine_has_the_law_of_known_cases():
    assert exceeding(0.3, 3) == pytest.approx(0.7)  # Archimedes: even along an axis
    assert exceeding(0.5, 2) == pytest.approx(2 / 3)  # even in the angle
    rows = drawn(np.random.default_rng(0), 200_000, 20)
    assert exceeding(0.4, 20) == pytest.approx(float((np.abs(rows[:, 0]) > 0.4).mean()), rel=0.05)


@pytest.mark.parametrize(("count", "dimensions"), [(50, 10), (200, 50), (30, 4)])
def test_the_largest_is_what_drawing_gives(count, dimensions):
    rng = np.random.default_rng(2)
    above = np.triu_indices(count, 1)
    largest = [
        np.abs(rows @ rows.T)[above].max()
        for rows in (drawn(rng, count, dimensions) for _ in range(400))
    ]
    spread = float(np.std(largest)) / math.sqrt(400)
    assert abs(random_largest(count, dimensions) - np.mean(largest)) < 4 * spread
    assert abs(random_largest(count, dimensions, 0.5) - np.median(largest)) < 5 * spread


def test_the_leading_term_is_near_in_many_dimensions_and_above():
    assert random_largest(1000, 10**6) == pytest.approx(random_asymptotic(1000, 10**6), rel=0.08)
    assert random_largest(1000, 10**6) < random_asymptotic(1000, 10**6)
    assert random_asymptotic(10**6, 3) == 1


def test_the_dimensions_that_suffice_are_the_first_that_do():
    needed = random_dimensions(100, 0.2)
    pairs = 100 * 99 / 2
    assert pairs * exceeding(0.2, needed) <= 0.5 < pairs * exceeding(0.2, needed - 1)
    with pytest.raises(GeometryError, match="need more than 10\\^12 dimensions"):
        random_dimensions(100, 1e-9)
