"""The worst pair and how many are as bad, by brute force."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from molehill.superposition.worst_pairs import count_above, worst_pair


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("block", [1, 5, 64])
def test_the_worst_pair_is_the_worst_of_all_pairs(lines, block):
    torch.manual_seed(0)
    vectors = F.normalize(torch.randn(23, 3, dtype=torch.float64), dim=1)
    every = {
        (i, j): float(vectors[i] @ vectors[j]) for i, j in itertools.combinations(range(23), 2)
    }
    if lines:
        every = {pair: abs(cosine) for pair, cosine in every.items()}
    largest, pair = worst_pair(vectors, lines=lines, block=block)
    assert pair == max(every, key=every.__getitem__)
    assert largest == pytest.approx(max(every.values()), abs=1e-14)
    expected = sum(cosine >= 0.5 for cosine in every.values())
    assert count_above(vectors, 0.5, lines=lines, block=block) == expected


def test_vectors_that_all_point_away_have_a_negative_worst_pair():
    angles = torch.arange(3) * 2 * torch.pi / 3
    triangle = torch.stack([angles.cos(), angles.sin()], 1).double()
    assert worst_pair(triangle, lines=False)[0] == pytest.approx(-0.5, abs=1e-6)
    assert worst_pair(triangle, lines=True)[0] == pytest.approx(0.5, abs=1e-6)
