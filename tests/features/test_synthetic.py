"""Vectors whose features are known."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from molehill.errors import ConfigError
from molehill.features.activations import Place, Source
from molehill.features.learner import Job, Learner, settings_for
from molehill.features.matching import match_directions
from molehill.features.synthetic import SITE, Synthetic


def test_vectors_are_sums_of_their_features():
    made = Synthetic.random(20, 6, active=3.0, seed=1)
    x, values = made.rows(4000)
    assert torch.allclose(x, values @ made.directions)
    active = values > 0
    assert active.float().sum(1).mean().item() == pytest.approx(3.0, abs=0.1)
    assert made.mean_active == pytest.approx(3.0)
    assert values[active].min() >= 0.5
    assert values[active].max() <= 1.5


def test_children_are_active_with_their_parents_only():
    parent = torch.tensor([-1, 0, 1])
    made = Synthetic(torch.eye(3), torch.tensor([0.5, 0.5, 0.5]), parent)
    active = made.rows(8000)[1] > 0
    assert not bool((active[:, 1] & ~active[:, 0]).any())
    assert active.float().mean(0).tolist() == pytest.approx([0.5, 0.25, 0.125], abs=0.02)
    assert made.mean_active == pytest.approx(0.875)


def test_a_place_gives_what_followed():
    made = Synthetic.random(10, 4)
    assert isinstance(made, Source)
    first = list(islice(made.batches(8, Place()), 3))
    again = next(made.batches(8, first[0][1]))
    assert torch.equal(again[0][SITE], first[1][0][SITE])
    assert not torch.equal(first[0][0][SITE], first[1][0][SITE])
    assert not torch.equal(made.rows(8)[0], first[0][0][SITE])


def test_parents_come_first():
    with pytest.raises(ConfigError, match="smaller number"):
        Synthetic(torch.eye(2), torch.ones(2), torch.tensor([1, -1]))
    with pytest.raises(ConfigError, match="2 directions and 1 chances"):
        Synthetic(torch.eye(2), torch.ones(1))


def test_an_autoencoder_finds_all_of_an_easy_set():
    made = Synthetic.random(24, 16, active=1.2, seed=2)
    settings = settings_for(made.widths, "topk", (SITE,), (), 48, k=2, dead_after=10_000)
    batches = made.batches(256, Place())
    learner = Learner(Job("s", settings, (SITE,), rate=8e-3), next(batches)[0], products="float32")
    for step, (batch, _) in enumerate(islice(batches, 250)):
        learner.learn(batch, rate=min(1.0, (250 - step) / 100))
    found = match_directions(made.directions, learner.finished().w_dec)
    chance = torch.randn(48, 16, generator=torch.Generator().manual_seed(0))
    assert found.recall() > 0.95
    assert match_directions(made.directions, chance).recall() < 0.1
