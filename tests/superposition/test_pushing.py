"""The push of close pairs, held against autograd on the whole matrix of cosines."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from molehill.superposition.pushing import orbits, push, shifted_places


def drawn(starts: int, count: int, dimensions: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    vectors = torch.randn(starts, count, dimensions, generator=generator, dtype=torch.float64)
    return F.normalize(vectors, dim=2)


def whole_loss(vectors: torch.Tensor, threshold: torch.Tensor, lines: bool) -> torch.Tensor:
    """A quarter of the sum of fourth powers over unordered pairs of all starts, written plainly."""
    cosines = vectors @ vectors.mT
    size = cosines.abs() if lines else cosines
    excess = (size - threshold[:, None, None]).clamp(min=0) ** 4
    return excess.triu(1).sum() / 4


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("block", [1, 4, 9, 100])
@pytest.mark.parametrize("starts", [1, 3])
def test_the_force_is_the_gradient_and_blocks_change_nothing(lines, block, starts):
    vectors = drawn(starts, 19, 4).requires_grad_()
    threshold = torch.linspace(0.1, 0.4, starts, dtype=torch.float64)
    threshold = threshold if lines else threshold - 0.5
    (slope,) = torch.autograd.grad(whole_loss(vectors, threshold, lines), vectors)
    found = push(vectors.detach(), shifted_places(4, 1), threshold, lines=lines, block=block)
    assert torch.allclose(found.force, slope, atol=1e-12)
    cosines = (vectors @ vectors.mT).detach()
    cosines = cosines.abs() if lines else cosines
    off = ~torch.eye(19, dtype=torch.bool)
    assert found.largest.tolist() == pytest.approx(
        [float(one[off].max()) for one in cosines], abs=1e-14
    )


@pytest.mark.parametrize("block", [2, 7, 64])
def test_with_shifts_the_force_is_that_of_all_vectors_on_the_leaders(block):
    leaders = drawn(2, 5, 7)
    places = shifted_places(7, 3)
    vectors = orbits(leaders, places).requires_grad_()
    threshold = torch.tensor([0.2, 0.3], dtype=torch.float64)
    (slope,) = torch.autograd.grad(whole_loss(vectors, threshold, True), vectors)
    found = push(leaders, places, threshold, lines=True, block=block)
    # Each leader is pushed as one of the vectors of the whole set.
    assert torch.allclose(found.force, slope[:, ::3], atol=1e-12)


def test_shifts_turn_runs_of_coordinates_and_leave_the_rest():
    places = shifted_places(7, 3)
    assert places.tolist() == [
        [0, 1, 2, 3, 4, 5, 6],
        [1, 2, 0, 4, 5, 3, 6],
        [2, 0, 1, 5, 3, 4, 6],
    ]
    leaders = drawn(1, 2, 7)
    whole = orbits(leaders, places)[0]
    assert whole.shape == (6, 7)
    assert torch.equal(whole[::3], leaders[0])
    # A group: shifting all of them gives the same set, so that their cosines are those of shifts.
    gram = whole @ whole.T
    assert torch.allclose(gram[1, 2], gram[0, 1])
    assert torch.allclose(gram[1, 4], gram[0, 3])


def test_a_single_threshold_and_several_agree():
    vectors = drawn(2, 12, 5)
    both = push(vectors, shifted_places(5, 1), torch.tensor([0.3, 0.1]).double(), lines=True)
    for at, threshold in enumerate((0.3, 0.1)):
        alone = push(
            vectors[at : at + 1],
            shifted_places(5, 1),
            torch.tensor([threshold]).double(),
            lines=True,
        )
        assert torch.allclose(both.force[at], alone.force[0], atol=1e-12)


def test_coarse_products_are_near():
    vectors = drawn(1, 60, 16).float()
    threshold = torch.tensor([0.2])
    fine = push(vectors, shifted_places(16, 1), threshold, lines=True)
    coarse = push(vectors, shifted_places(16, 1), threshold, lines=True, dtype=torch.bfloat16)
    assert coarse.force.dtype is torch.float32
    assert F.cosine_similarity(fine.force.flatten(), coarse.force.flatten(), 0) > 0.999
