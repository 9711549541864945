"""Partners and their scores, against brute force and cases worked by hand."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.matching import Agreement, match_directions, match_scores


def test_partners_have_the_largest_sum_of_all_ways_to_pair():
    scores = torch.rand(4, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    found = match_scores(scores)
    best = max(
        sum(scores[true, learnt].item() for true, learnt in enumerate(way))
        for way in permutations(range(5), 4)
    )
    assert found.scores.sum().item() == pytest.approx(best)
    assert len(set(found.partner.tolist())) == 4


def test_one_learnt_feature_is_found_once():
    true = torch.tensor([[1.0, 0.0], [0.95, 0.05]])
    found = match_directions(true, torch.tensor([[2.0, 0.0]]))
    assert sorted(found.partner.tolist()) == [-1, 0]
    assert found.recall() == 0.5
    assert found.precision() == 1.0
    assert found.nearest.min() > 0.9  # both lie near it, and still it counts for one


def test_opposite_directions_do_not_match():
    found = match_directions(torch.tensor([[1.0, 0.0]]), torch.tensor([[-1.0, 0.0]]))
    assert found.scores.tolist() == [-1.0]


def test_what_was_turned_is_recovered_whole():
    true = torch.randn(30, 20, generator=torch.Generator().manual_seed(0))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    more = torch.randn(10, 20, generator=torch.Generator().manual_seed(2))
    found = match_directions(true, torch.cat((3 * true[order], more)))
    assert found.recall(0.999) == 1.0
    assert found.precision(0.999) == 0.75
    assert order[found.partner].tolist() == list(range(30))
    assert found.mean_nearest == pytest.approx(1.0)
    assert found.mean_back < 1.0
    assert [(r, p) for _, r, p in found.curve(3)] == [(1.0, 0.75)] * 3


def test_widths_must_be_equal():
    with pytest.raises(ConfigError, match="have 3 numbers and learnt ones 2"):
        match_directions(torch.ones(1, 3), torch.ones(1, 2))


def test_agreement_counts_rows_as_a_loop_does():
    generator = torch.Generator().manual_seed(5)
    values = torch.rand(50, 6, generator=generator) * (torch.rand(50, 6, generator=generator) < 0.4)
    active = torch.rand(50, 3, generator=generator) < 0.3
    aside = (torch.rand(50, 3, generator=generator) < 0.2) & ~active
    agreement = Agreement(3, 6)
    codes = [Codes.of_dense(values[:20]), Codes.of_dense(values[20:])]
    agreement.add(codes[0], active[:20], aside[:20])
    agreement.add(codes[1], active[20:], aside[20:])
    for true in range(3):
        for learnt in range(6):
            both = only = missed = 0
            for row in range(50):
                fires, wanted = bool(values[row, learnt] > 0), bool(active[row, true])
                both += fires and wanted
                missed += wanted and not fires
                only += fires and not wanted and not bool(aside[row, true])
            assert agreement.f1[true, learnt] == pytest.approx(
                2 * both / (2 * both + missed + only)
            )
            assert agreement.precision[true, learnt] == pytest.approx(both / max(1, both + only))
            assert agreement.recall[true, learnt] == pytest.approx(both / (both + missed))
