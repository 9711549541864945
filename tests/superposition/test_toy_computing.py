"""Computation in superposition: gradients against autograd, a solution by hand, neurons at work."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.toy_computing import (
    AbsoluteLearner,
    NeuronUse,
    features_per_neuron,
    neuron_uses,
    train_absolute,
)


def by_hand() -> AbsoluteLearner:
    """Two features, four neurons, each computing one half."""
    learner = AbsoluteLearner(2, 4, [0.5], torch.ones(2), [0], dtype=torch.float64)
    halves = torch.tensor([[1.0, 0], [-2, 0], [0, 0.5], [0, -1]], dtype=torch.float64)
    columns = torch.tensor([[1.0, 0.5, 0, 0], [0, 0, 2, 1]], dtype=torch.float64)
    learner.values = [halves[None, None], columns[None, None], torch.zeros(1, 1, 2).double()]
    return learner


def test_two_neurons_make_an_absolute_value():
    learner = by_hand()
    assert float(learner.errors(500).max()) < 1e-30
    x = torch.tensor([[0.3, -0.7, 0.0], [-1.0, 0.0, 0.25]], dtype=torch.float64)
    assert torch.allclose(learner.run(0, x)[2][0], x.abs())


def test_inputs_are_of_both_signs_and_as_dense_as_asked():
    learner = AbsoluteLearner(3, 2, [0.2, 1.0], torch.ones(3), [0])
    x = learner.draw(40_000)
    present = (x != 0).float().mean((1, 2))
    assert present.tolist() == pytest.approx([0.2, 1.0], abs=0.01)
    assert x.mean((1, 2)).tolist() == pytest.approx([0, 0], abs=0.01)
    assert x.square().mean((1, 2)).tolist() == pytest.approx([0.2 / 3, 1 / 3], rel=0.03)


def test_the_gradient_is_that_of_autograd():
    importance = torch.tensor([1.0, 0.5, 0.25])
    learner = AbsoluteLearner(3, 2, [0.3, 0.9], importance, [0, 5], dtype=torch.float64)
    learner.values[2] += 0.05
    x = learner.draw(50)
    values = [one.clone().requires_grad_() for one in learner.values]
    hidden = torch.relu(values[0] @ x[:, None])
    said = torch.relu(values[1] @ hidden + values[2][..., None])
    loss = (importance[:, None] * (said - x[:, None].abs()) ** 2).sum(2).mean(2).sum()
    loss.backward()
    for found, value in zip(learner.gradient(x), values, strict=True):
        assert value.grad is not None and torch.allclose(found, value.grad, atol=1e-12)


def test_neurons_and_the_features_they_serve():
    into = torch.tensor([[1.0, 0, 0], [2.0, -0.5, 0], [0.0, 0, 1e-3]])
    out = torch.tensor([[1.0, 0.5, 0], [0.0, 2.0, 0], [0.0, 0, 1e-3]])
    assert features_per_neuron(into, out).tolist() == pytest.approx([1, 2, 0])
    one, two = neuron_uses(into, out)
    assert one == NeuronUse(0, (0,), (1.0,), (1.0,)) and one.asymmetry == 1
    assert two.features == (0, 1) and two.into == (2.0, -0.5) and two.out == (0.5, 2.0)
    # Row over column: 4 for the one, 1/4 for the other.
    assert two.asymmetry == pytest.approx(16)


def test_with_neurons_enough_dense_inputs_give_neurons_of_one_feature():
    made = train_absolute(2, 4, [1.0, 0.7], seeds=3, steps=800, rows=128)
    # Not every start finds it: neurons that begin on the same half stay there.
    assert float(made.loss[1].min()) < 1e-4
    used = features_per_neuron(made.into, made.out)[1, int(made.loss[1].argmin())]
    assert used.tolist() == pytest.approx([1.0] * 4, abs=0.01)


def test_with_few_neurons_sparse_inputs_put_several_features_into_one():
    made = train_absolute(8, 5, [1.0, 0.05], decay=1.0, seeds=3, steps=900, rows=128)
    dense, sparse = features_per_neuron(made.into, made.out).mean((1, 2))
    assert float(dense) < 1.1 < 1.4 < float(sparse)
    computed = (made.error < 0.3).sum(-1)
    assert int(computed[0].max()) <= 3
    again = train_absolute(8, 5, [1.0, 0.05], decay=1.0, seeds=3, steps=900, rows=128)
    assert torch.equal(made.into, again.into)


def test_what_cannot_be_is_named():
    with pytest.raises(GeometryError, match="1 feature"):
        train_absolute(0, 2, [0.5])
    with pytest.raises(GeometryError, match="density"):
        train_absolute(2, 2, [0.0])
