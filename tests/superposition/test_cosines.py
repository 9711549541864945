"""Cosines of all pairs, held against the whole matrix of them."""

from __future__ import annotations

import math

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.cosines import exact_cosines, pair_cosines, unit_rows


def whole(vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix of cosines in float64, and those of its pairs."""
    wide = vectors.double()
    wide = wide / wide.norm(dim=1, keepdim=True)
    matrix = wide @ wide.T
    upper = torch.triu_indices(len(wide), len(wide), offset=1)
    return matrix, matrix[upper[0], upper[1]]


@pytest.mark.parametrize("block", [1, 7, 50, 64, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_pass_over_blocks_finds_what_the_whole_matrix_holds(block, dtype):
    torch.manual_seed(0)
    vectors = torch.randn(150, 9, dtype=dtype) * torch.rand(150, 1, dtype=dtype)
    matrix, pairs = whole(vectors)
    seen = []
    found = pair_cosines(vectors, block=block, closest=12, bins=40, progress=seen.append)
    assert sum(seen) == found.pairs == len(pairs) == 150 * 149 // 2
    assert found.largest == pytest.approx(float(pairs.abs().max()), abs=1e-14)
    assert found.mean == pytest.approx(float(pairs.mean()), abs=1e-7)
    assert found.mean_square == pytest.approx(float((pairs**2).mean()), abs=1e-7)
    alone = matrix.abs().fill_diagonal_(-1)
    assert torch.equal(found.nearest_row, alone.argmax(1))
    assert torch.allclose(found.nearest.double(), alone.amax(1), atol=1e-6)
    largest = pairs.abs().topk(12).values
    assert [abs(pair[2]) for pair in found.closest] == pytest.approx(largest.tolist(), abs=1e-14)
    for first, second, cosine in found.closest:
        assert first < second
        assert cosine == pytest.approx(float(matrix[first, second]), abs=1e-14)
    assert found.largest_pair == found.closest[0][:2]


@pytest.mark.parametrize("block", [13, 500])
def test_the_histogram_counts_each_pair_once_in_its_bin(block):
    torch.manual_seed(1)
    vectors = torch.randn(90, 5, dtype=torch.float64)
    _, pairs = whole(vectors)
    found = pair_cosines(vectors, block=block, bins=30)
    expected = torch.histc(pairs, 30, -1, 1).long()
    assert torch.equal(found.histogram, expected)
    assert float(found.edges[0]) == -1
    assert float(found.edges[-1]) == 1
    # Quantiles are read from it, to within a bin.
    for share in (0.01, 0.3, 0.5, 0.99):
        assert found.quantile(share) == pytest.approx(float(pairs.quantile(share)), abs=2 / 30)


def test_by_hand_axes_have_no_cosines_and_the_triangle_has_one_half():
    axes = pair_cosines(torch.eye(4))
    assert axes.largest == axes.mean == axes.mean_square == 0
    angles = torch.tensor([0.0, 2 * math.pi / 3, 4 * math.pi / 3], dtype=torch.float64)
    mercedes = pair_cosines(torch.stack([angles.cos(), angles.sin()], dim=1), closest=99)
    assert [pair[2] for pair in mercedes.closest] == pytest.approx([-0.5] * 3)
    assert mercedes.largest == pytest.approx(0.5)
    assert mercedes.mean == pytest.approx(-0.5)
    assert mercedes.rms == pytest.approx(0.5)


def test_copies_and_opposites_are_found_whatever_their_length():
    torch.manual_seed(2)
    vectors = torch.randn(40, 16)
    vectors[31] = vectors[4] * 1e-30
    vectors[12] = vectors[7] * -3e4
    found = pair_cosines(vectors, block=9, closest=2)
    assert {pair[:2] for pair in found.closest} == {(4, 31), (7, 12)}
    signs = {pair[:2]: pair[2] for pair in found.closest}
    assert signs[4, 31] == pytest.approx(1)
    assert signs[7, 12] == pytest.approx(-1)
    assert found.largest <= 1
    assert int(found.nearest_row[31]) == 4
    assert int(found.nearest_row[4]) == 31
    pair = torch.tensor([7]), torch.tensor([12])
    assert float(exact_cosines(vectors, *pair)) == pytest.approx(-1, abs=1e-15)


def test_what_has_no_direction_is_refused_by_its_row():
    vectors = torch.randn(5, 3)
    vectors[3] = 0
    with pytest.raises(GeometryError, match=r"1 of 5 .*row 3 holds zeros"):
        pair_cosines(vectors)
    vectors[2, 1] = torch.inf
    with pytest.raises(GeometryError, match="row 2 holds numbers that are not finite"):
        unit_rows(vectors)
    with pytest.raises(GeometryError, match="two vectors"):
        pair_cosines(torch.ones(1, 3))
    with pytest.raises(GeometryError, match="rows of a matrix"):
        pair_cosines(torch.ones(3))
    with pytest.raises(GeometryError, match="bins 0"):
        pair_cosines(torch.eye(3), bins=0)


def test_vectors_in_bfloat16_are_measured_as_they_are():
    torch.manual_seed(3)
    vectors = torch.randn(30, 8).bfloat16()
    _, pairs = whole(vectors)
    assert pair_cosines(vectors).largest == pytest.approx(float(pairs.abs().max()), abs=1e-12)
