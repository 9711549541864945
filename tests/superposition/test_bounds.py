"""Bounds against sets of directions that are known to be best, and against what is drawn."""

from __future__ import annotations

import math
from itertools import combinations, product

import numpy as np
import pytest

from molehill.errors import GeometryError
from molehill.superposition.bounds import bounds, degrees, welch


def unit(rows) -> np.ndarray:
    rows = np.array(rows, dtype=float)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def coherence(rows: np.ndarray) -> float:
    return float(np.abs(rows @ rows.T - np.eye(len(rows))).max())


def icosahedron() -> np.ndarray:
    golden = (1 + math.sqrt(5)) / 2
    rows = [(0, 1, sign * golden) for sign in (1, -1)]
    return unit([np.roll(row, turn) for row in rows for turn in range(3)])


def twenty_eight() -> np.ndarray:
    """The 28 pairs out of 8, each (3, 3, -1, -1, -1, -1, -1, -1), in the 7 dimensions of sum 0."""
    rows = -np.ones((28, 8))
    for row, pair in zip(rows, combinations(range(8), 2), strict=True):
        row[list(pair)] = 3
    return unit(rows)


def roots_of_e8() -> np.ndarray:
    """240 vectors, 120 lines."""
    pairs = [
        [first if i == a else second if i == b else 0 for i in range(8)]
        for a, b in combinations(range(8), 2)
        for first in (1, -1)
        for second in (1, -1)
    ]
    halves = [row for row in product((0.5, -0.5), repeat=8) if sum(x < 0 for x in row) % 2 == 0]
    return unit(pairs + halves)


def test_sets_that_meet_their_bound_are_at_it():
    assert coherence(icosahedron()) == pytest.approx(bounds(6, 3).best)
    assert bounds(6, 3).which == "Welch"
    assert coherence(twenty_eight()) == pytest.approx(bounds(28, 7).best) == pytest.approx(1 / 3)
    roots = roots_of_e8()
    assert len(roots) == 240
    assert (roots @ roots.T - 2 * np.eye(240)).max() == pytest.approx(bounds(240, 8).vectors.best)
    lines = np.array([row for row in roots if tuple(row) > tuple(-row)])
    assert len(lines) == 120 and coherence(lines) == pytest.approx(bounds(120, 8).best)


def test_the_known_large_ones():
    assert bounds(276, 23).best == pytest.approx(1 / 5)
    assert bounds(98280, 24).best == pytest.approx(1 / 2)  # the least vectors of Leech's lattice
    assert bounds(196560, 24).vectors.best == pytest.approx(1 / 2)


def test_ten_thousand_in_a_hundred_dimensions_cannot_keep_89_degrees():
    found = bounds(10000, 100)
    assert found.welch == pytest.approx(math.sqrt(9900 / (100 * 9999)))
    assert degrees(found.welch) == pytest.approx(84.29, abs=0.005)
    assert found.orthoplex == pytest.approx(0.1)
    assert found.levenshtein == pytest.approx(math.sqrt(19800 / (102 * 9900)))
    assert (found.which, round(found.degrees, 2)) == ("Levenshtein", 81.95)


def test_a_token_table_of_gpt_2s_size():
    assert bounds(50257, 768).best == pytest.approx(0.0358, abs=5e-5)


def test_few_vectors_are_a_simplex_or_a_cross():
    assert bounds(4, 3).vectors.best == pytest.approx(-1 / 3)
    assert (bounds(6, 3).vectors.best, bounds(6, 3).vectors.which) == (0, "Rankin")
    assert (bounds(3, 3).best, bounds(3, 3).which) == (0, "orthonormal")


def test_in_a_plane_equal_steps_are_best_and_one_dimension_has_one_line():
    assert bounds(7, 2).best == pytest.approx(math.cos(math.pi / 7))
    assert bounds(7, 2).vectors.best == pytest.approx(math.cos(2 * math.pi / 7))
    assert bounds(3, 1).best == bounds(3, 1).vectors.best == 1
    assert bounds(2, 1).vectors.best == -1


@pytest.mark.parametrize("order", [1, 2, 3])
def test_welchs_average_is_that_of_even_directions(order):
    rows = unit(np.random.default_rng(0).standard_normal((2_000_000, 5)))
    even = float((rows[:, 0] ** (2 * order)).mean())
    count = 10**6  # so many that the bound is the average itself
    assert welch(count, 5, order) ** (2 * order) == pytest.approx(even - 1 / count, rel=0.01)


@pytest.mark.parametrize(("count", "dimensions"), [(20, 4), (60, 8), (300, 12), (40, 3)])
def test_no_set_drawn_is_better_than_a_bound_and_orders_are_below_levenshtein(count, dimensions):
    found = bounds(count, dimensions)
    rows = unit(np.random.default_rng(1).standard_normal((count, dimensions)))
    assert found.best < coherence(rows)
    assert found.levenshtein >= max(value for _, value in found.welch_orders) * (1 - 1e-9)


def test_numbers_that_cannot_be_are_refused():
    with pytest.raises(GeometryError, match="1 directions in 5 dimensions have no closest pair"):
        bounds(1, 5)
