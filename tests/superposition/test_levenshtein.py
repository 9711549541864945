"""Levenshtein's bound against closed forms, sets that meet it, and its own inverse."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from molehill.errors import GeometryError
from molehill.superposition.levenshtein import levenshtein_cosine, levenshtein_log2


def most(cosine: float, dimensions: int, kind) -> float:
    return 2 ** levenshtein_log2(cosine, dimensions, kind)


@pytest.mark.parametrize(
    ("cosine", "dimensions", "kind", "count"),
    [
        (1 / 2, 8, "vectors", 240),
        (1 / 2, 24, "vectors", 196560),
        (1 / 2, 8, "lines", 120),
        (1 / 2, 24, "lines", 98280),
        (1 / 3, 7, "lines", 28),
        (1 / 5, 23, "lines", 276),
        (1 / math.sqrt(5), 3, "lines", 6),
        (1 / math.sqrt(5), 3, "vectors", 12),
        (1 / 4, 16, "lines", 144),  # nine bases, each at 1/4 to every other
        (-1 / 6, 9, "vectors", 7),
        (math.cos(math.pi / 9), 2, "lines", 9),
        (math.cos(2 * math.pi / 9), 2, "vectors", 9),
    ],
)
def test_famous_sets_meet_it(cosine, dimensions, kind, count):
    assert most(cosine, dimensions, kind) == pytest.approx(count, rel=1e-10)
    if kind == "vectors" or count > dimensions:
        assert levenshtein_cosine(count, dimensions, kind) == pytest.approx(cosine, rel=1e-9)


@pytest.mark.parametrize("dimensions", [10, 100, 768])
def test_its_first_cases_have_closed_forms(dimensions):
    d = dimensions
    s = 0.9 / math.sqrt(d + 2)
    assert most(s, d, "lines") == pytest.approx(d * (1 - s * s) / (1 - d * s * s))
    s = 1.2 / math.sqrt(d + 2)
    second = d * (d + 2) * (1 - s * s) / (3 - (d + 2) * s * s)
    assert most(s, d, "lines") == pytest.approx(second)
    s = 0.2 / math.sqrt(d)
    third = d * (1 - s) * (2 + (d + 1) * s) / (1 - d * s * s)
    assert most(s, d, "vectors") == pytest.approx(third)


@pytest.mark.parametrize("kind", ["lines", "vectors"])
@pytest.mark.parametrize("dimensions", [4, 30, 1000])
def test_it_grows(dimensions, kind):
    values = [levenshtein_log2(i / 100, dimensions, kind) for i in range(1, 70)]
    assert min(after - before for before, after in pairwise(values)) > 0


@pytest.mark.parametrize("dimensions", [4, 30, 1000])
def test_its_cases_meet_without_a_jump(dimensions):
    d = dimensions
    edges = {"lines": (1 / math.sqrt(d + 2), math.sqrt(3 / (d + 4))), "vectors": (-1 / d, 0.0)}
    for kind, cosines in edges.items():
        for cosine in cosines:
            before, after = (most(cosine + step, d, kind) for step in (-1e-10, 1e-10))
            assert before == pytest.approx(after, rel=1e-5)


def test_many_dimensions_do_not_underflow():
    # The rate of Kabatiansky and Levenshtein is this bound's own limit.
    sine = math.sin(math.radians(80))
    x = (1 - sine) / (2 * sine)
    rate = (1 + x) * math.log2(1 + x) - x * math.log2(x)
    cosine = math.cos(math.radians(80))
    found = [levenshtein_log2(cosine, d, "vectors") / d for d in (1000, 10_000, 100_000)]
    assert rate < found[2] < 1.03 * rate
    assert found[2] < found[1] < found[0]


def test_a_small_angle_in_very_many_dimensions_is_refused():
    with pytest.raises(GeometryError, match="ask for a larger angle or fewer dimensions"):
        levenshtein_log2(math.cos(math.radians(5)), 100_000, "lines")
