"""Grouping without labels: blobs with known membership, and scikit-learn for the score."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from molehill.errors import SenseError
from molehill.journey.grouping import adjusted_rand, group, k_means, unlabelled_space


def blobs(k: int, each: int, seed: int = 0, d: int = 30):
    generator = torch.Generator().manual_seed(seed)
    centres = 3 * torch.randn(k, d, generator=generator)
    labels = torch.arange(k).repeat_interleave(each)
    return centres[labels] + torch.randn(k * each, d, generator=generator), labels


def test_agreement_worked_by_hand_and_as_in_scikit_learn():
    # Pairs together in both 1, in one 2, in other 4 of 10: (1 - 0.8) / (3 - 0.8).
    assert adjusted_rand([0, 0, 1, 1, 2], [0, 0, 0, 1, 1]) == pytest.approx(0.2 / 2.2)
    assert adjusted_rand([0, 0, 1], [5, 5, 2]) == 1.0
    assert adjusted_rand([0, 0, 0], [1, 1, 1]) == 1.0
    assert adjusted_rand([0, 0, 1, 1], [0, 0, 0, 0]) == 0.0
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    a, b = rng.integers(4, size=50), rng.integers(6, size=50)
    assert adjusted_rand(a.tolist(), b.tolist()) == pytest.approx(metrics.adjusted_rand_score(a, b))
    with pytest.raises(SenseError, match="2 and 3 uses"):
        adjusted_rand([0, 1], [0, 1, 2])


@pytest.mark.parametrize("k", [2, 3, 5])
def test_clear_groups_are_found_with_their_number(k):
    x, labels = blobs(k, 20, seed=k)
    found = group(x)
    assert found.k == k
    assert adjusted_rand(found.labels, labels) == 1.0
    assert max(found.silhouettes, key=found.silhouettes.get) == k
    assert set(found.silhouettes) == set(range(2, 9))


def test_one_loud_dimension_does_not_decide():
    x, labels = blobs(2, 30)
    x[:, 0] = 1e4 * torch.randn(60, generator=torch.Generator().manual_seed(1))
    assert adjusted_rand(group(x, 2).labels, labels) == 1.0


def test_k_means_reaches_the_best_parting_of_a_small_set():
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(9, 2, generator=generator)

    def cost(labels):
        parts = [x[labels == g] for g in set(labels.tolist())]
        return sum(float((p - p.mean(0)).square().sum()) for p in parts)

    every = [torch.tensor([(code >> i) & 1 for i in range(9)]) for code in range(1, 2**8)]
    assert cost(k_means(x, 2)) == pytest.approx(min(cost(labels) for labels in every))


def test_groups_are_numbered_by_size_and_come_back_with_the_seed():
    x, labels = blobs(2, 10)
    x, labels = torch.cat([x, x[10:] + 0.01]), torch.cat([labels, labels[10:]])
    found = group(x, 2)
    assert torch.equal(found.labels, 1 - labels)
    noise = torch.randn(40, 6, generator=torch.Generator().manual_seed(4))
    assert torch.equal(group(noise, seed=5).labels, group(noise, seed=5).labels)


def test_the_space_holds_unit_vectors_and_ignores_scale_and_shift_of_dimensions():
    x, _ = blobs(3, 8)
    space = unlabelled_space(x, 5)
    assert space.shape == (24, 5)
    assert torch.allclose(space.norm(dim=-1), torch.ones(24).double())
    again = unlabelled_space(x * torch.linspace(0.1, 100, 30) - 7, 5)
    # Compared by their inner products: the sign of a principal direction is free.
    assert torch.allclose(space @ space.T, again @ again.T, atol=1e-4)


def test_equal_vectors_and_few_uses():
    assert group(torch.ones(5, 4)).k == 1
    assert group(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 2).k == 2
    assert group(torch.tensor([[0.0, 1.0], [0.1, 1.0], [5.0, -3.0]])).labels.tolist() == [0, 0, 1]
    with pytest.raises(SenseError, match="2 uses are too few"):
        group(torch.zeros(2, 4))
    with pytest.raises(SenseError, match="3 uses cannot make 4 groups"):
        group(torch.zeros(3, 4), 4)
