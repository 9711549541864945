"""Phases: losses in closed form against sums over drawn inputs; trained models against theory."""

from __future__ import annotations

import pytest
import torch
from tests.superposition.test_toy_models import drawn, plain_loss

from molehill.errors import GeometryError
from molehill.superposition.toy_phases import PHASES, phase_losses, toy_phases

# The candidates as weights and biases; a feature that is given up is told by its mean.
ONE = {
    PHASES[0]: ([[1.0, 0.0]], (1,)),
    PHASES[1]: ([[0.0, 1.0]], (0,)),
    PHASES[2]: ([[1.0, -1.0]], ()),
}
TWO = {
    PHASES[0]: ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], (2,)),
    PHASES[1]: ([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]], ()),
    PHASES[2]: ([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]], ()),
}


@pytest.mark.parametrize("density", [0.9, 0.2])
@pytest.mark.parametrize("candidates", [ONE, TWO])
def test_the_losses_are_those_of_the_candidates(candidates, density):
    dimensions = len(next(iter(candidates.values()))[0])
    x = drawn(density, dimensions + 1, 400_000)
    importance = torch.ones(dimensions + 1, dtype=torch.float64)
    importance[-1] = 0.4
    told = phase_losses(dimensions, density, 0.4)
    for phase, (rows, given_up) in candidates.items():
        if phase == PHASES[1] and dimensions == 2 and density == 0.9:
            continue  # a pair in superposition is dearer there than one feature given up
        bias = torch.zeros(dimensions + 1, dtype=torch.float64)
        bias[list(given_up)] = density / 2
        found = plain_loss(torch.tensor(rows, dtype=torch.float64), bias, x, importance)
        assert told[phase] == pytest.approx(float(found), rel=0.02)


def test_the_boundaries_are_where_two_losses_meet():
    # Sparse inputs, importance 1: together at a sixth of p² each, given up at a third of p.
    told = phase_losses(1, 0.01, 1.0)
    assert min(told, key=lambda name: told[name]) == "superposition"
    told = phase_losses(1, 1.0, 0.5)
    assert min(told, key=lambda name: told[name]) == "not represented"
    told = phase_losses(1, 1.0, 2.0)
    assert min(told, key=lambda name: told[name]) == "dimension of its own"
    # (1 + r) p / 6 = r (1/3 - p/4) at p = 4 r / (2 + 5 r).
    edge = 4 * 0.4 / (2 + 5 * 0.4)
    for density, phase in ((edge - 0.01, "superposition"), (edge + 0.01, "not represented")):
        told = phase_losses(1, density, 0.4)
        assert min(told, key=lambda name: told[name]) == phase


def test_trained_models_are_in_the_phases_of_theory():
    found = toy_phases(1, [1.0, 0.03], [0.2, 5.0], seeds=6, steps=700)
    assert [[PHASES[cell] for cell in line] for line in found.found.tolist()] == [
        ["not represented", "superposition"],
        ["dimension of its own", "superposition"],
    ]
    assert found.agreement == 1.0
    assert float(found.norm[0, 0]) < 0.2 and float(found.shared[1, 1]) > 0.5
    assert found.models.grid.importance[:, -1].tolist() == pytest.approx([0.2] * 6 + [5.0] * 6)
    two = toy_phases(2, [0.05], [0.3, 4.0], seeds=8, steps=700)
    assert [PHASES[int(line)] for line in two.found] == ["superposition", "dimension of its own"]


def test_what_cannot_be_is_named():
    with pytest.raises(GeometryError, match="1 and 2 dimensions, found 3"):
        phase_losses(3, 0.5, 1.0)
    with pytest.raises(GeometryError, match="above 0"):
        toy_phases(1, [0.5], [0.0])


def test_where_two_phases_lose_the_same_both_are_expected():
    found = toy_phases(2, [0.05], [1.0], seeds=4, steps=300)
    # Any two of three equal features can be the pair: the extra one among them, or not.
    assert int(found.found) in (1, 2) and found.agreement == 1.0
