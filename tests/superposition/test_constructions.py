"""Families of lines, built here by their definitions and measured."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from molehill.superposition.constructions import best_explicit, explicit_families
from molehill.superposition.levenshtein import levenshtein_log2


def coherence(rows: np.ndarray) -> float:
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return float(np.abs(rows @ rows.T - np.eye(len(rows))).max())


def family(dimensions: int, cosine: float, name: str):
    return next(one for one in explicit_families(dimensions, cosine) if one.name == name)


def trace_signs(bits: int, modulus: int) -> np.ndarray:
    """(-1)^Tr(a x + b x^3) over the field of 2^bits elements, a row for every a and b."""

    def times(a: int, b: int) -> int:
        result = 0
        while b:
            result ^= a if b & 1 else 0
            a = a << 1 ^ (modulus if a >> (bits - 1) & 1 else 0)
            b >>= 1
        return result

    traces = []
    for x in range(2**bits):
        total, power = 0, x
        for _ in range(bits):
            total, power = total ^ power, times(power, power)
        traces.append(total)
    plain = [[traces[times(a, x)] for x in range(2**bits)] for a in range(2**bits)]
    cubes = [times(x, times(x, x)) for x in range(2**bits)]
    table = [[row[cube] for cube in cubes] for row in plain]
    signs = [
        [first ^ second for first, second in zip(p, q, strict=True)]
        for p, q in product(plain, table)
    ]
    return 1.0 - 2.0 * np.array(signs)


@pytest.mark.parametrize(("bits", "modulus"), [(3, 0b1011), (5, 0b100101), (6, 0b1000011)])
def test_signs_of_trace_polynomials(bits, modulus):
    rows = trace_signs(bits, modulus)
    largest = math.sqrt((2 if bits % 2 else 4) / 2**bits)
    found = family(2**bits, largest, "signs of trace polynomials")
    assert found.count == len(rows)
    assert coherence(rows) == pytest.approx(found.cosine) == pytest.approx(largest)


def test_graphs_of_polynomials():
    q, degree = 5, 2
    rows = np.zeros((q ** (degree + 1), q * q))
    for row, coefficients in zip(rows, product(range(q), repeat=degree + 1), strict=True):
        for x in range(q):
            row[x * q + sum(c * x**i for i, c in enumerate(coefficients)) % q] = 1
    found = family(25, 0.45, "graphs of polynomials")
    assert (found.count, found.cosine) == (125, 0.4)
    assert coherence(rows) == pytest.approx(found.cosine)


def test_kerdocks_bases_in_four_dimensions():
    # The 24 roots of D4 and their 24 partners are two copies of three bases at 1/2.
    axes = np.eye(4)
    signs = np.array([row for row in product((1, -1), repeat=4) if row[0] == 1]) / 2
    rows = np.vstack([axes, signs])
    found = family(4, 0.5, "Kerdock's bases")
    assert (found.count, found.cosine) == (len(rows), coherence(rows)) == (12, 0.5)


def test_simplexes_and_blocks_side_by_side():
    found = family(10, 0.25, "simplexes")  # two blocks of 4 with 5 lines each, two axes
    assert (found.count, found.copies, found.cosine) == (12, 2, 0.25)
    five = np.eye(5) - 1 / 5
    assert coherence(five) == pytest.approx(0.25)
    assert best_explicit(9, 0.0).count == 9


def test_the_best_known_ones_are_found():
    assert best_explicit(7, 1 / 3).count == 28
    assert best_explicit(23, 0.2).count == 276
    assert best_explicit(16, 0.25).count == 144
    assert best_explicit(4096, math.cos(math.radians(89))).count == 4096 * 2049


@pytest.mark.parametrize("dimensions", [3, 7, 24, 64, 100, 512, 900])
@pytest.mark.parametrize("cosine", [0.03, 0.1, 0.2, 0.35, 0.5])
def test_no_family_is_larger_than_a_theorem_allows(dimensions, cosine):
    most = levenshtein_log2(cosine, dimensions, "lines")
    for one in explicit_families(dimensions, cosine):
        assert math.log2(one.count) <= most + 1e-9 and one.cosine <= cosine + 1e-12
