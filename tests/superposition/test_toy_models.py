"""Toy models: their inputs, losses and gradients against sums by hand and autograd; what training
finds against closed forms."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.toy_computing import train_absolute
from molehill.superposition.toy_models import (
    RARE,
    ToyGrid,
    ToyInputs,
    ToyModels,
    linear_optimum,
    toy_grid,
    toy_loss,
)
from molehill.superposition.toy_phases import toy_phases
from molehill.superposition.toy_shapes import feature_norms, interference, shapes_of
from molehill.superposition.toy_training import ToyLearner, train_toys


def plain_loss(w, b, x, importance, relu=True):
    """The loss as the paper writes it, for one model and inputs in rows."""
    out = x @ w.T @ w + b
    out = torch.relu(out) if relu else out
    return (importance * (x - out) ** 2).sum(1).mean()


def drawn(density: float, features: int, rows: int) -> torch.Tensor:
    """Inputs as the paper draws them, with a mask."""
    generator = torch.Generator().manual_seed(7)
    x = torch.rand(rows, features, generator=generator, dtype=torch.float64)
    return x * (torch.rand(rows, features, generator=generator) < density)


def near_pentagon(density: float) -> tuple[torch.Tensor, torch.Tensor]:
    turn = 2 * torch.pi * torch.arange(5) / 5
    return torch.stack([turn.cos(), turn.sin()]) * 1.1, torch.full((5,), -0.1)


# --- inputs and losses --------------------------------------------------------------------------


@pytest.mark.parametrize("density", [1.0, 0.6, 0.1, 0.02])
def test_inputs_have_the_moments_of_the_definition(density):
    inputs = ToyInputs(4, [density], 0, torch.float64)
    x = torch.cat([inputs.draw(5000)[0] for _ in range(40)], 1)
    share = float(inputs.share)
    empty = (1 - density) ** 4
    assert share == pytest.approx(1 - empty if empty > RARE else 1.0)
    assert float(x.min()) >= 0 and float(x.max()) <= 1
    # Of 200,000 draws; four standard errors.
    for power in (1, 2):
        truth = density / (power + 1)
        spread = (density / (2 * power + 1) / (share * 2e5)) ** 0.5
        found = share * x.pow(power).mean(1)
        assert (found - truth).abs().max() < 4 * spread
    both = share * (x[0] * x[3]).mean()
    assert float(both) == pytest.approx(density**2 / 4, rel=0.2)
    if empty > RARE:
        assert bool((x > 0).any(0).all()), "an input without any feature was drawn"
        counted = (x > 0).sum(0).bincount(minlength=5)[1:] / x.shape[1] * share
        binomial = torch.tensor([4, 6, 4, 1]) * torch.tensor(
            [density**k * (1 - density) ** (4 - k) for k in (1, 2, 3, 4)]
        )
        assert torch.allclose(counted.float(), binomial, atol=0.004)


def test_inputs_are_the_same_whatever_densities_stand_beside_them():
    alone = ToyInputs(5, [0.03], 3, torch.float32)
    among = ToyInputs(5, [1.0, 0.03, 0.4], 3, torch.float32)
    for _ in range(3):
        assert torch.equal(alone.draw(64)[0], among.draw(64)[1])


@pytest.mark.parametrize("density", [0.8, 0.05])
def test_the_loss_is_the_mean_over_inputs_as_the_paper_draws_them(density):
    w, b = near_pentagon(density)
    grid = toy_grid(5, 2, [density], decay=0.9, seeds=1)
    found = toy_loss(w[None, None], b[None, None] + 0.12, grid, rows=200_000)
    x = drawn(density, 5, 200_000)
    truth = plain_loss(w.double(), b.double() + 0.12, x, grid.importance[0].double())
    assert float(found) == pytest.approx(float(truth), rel=0.02)


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("features", "dimensions"), [(5, 2), (24, 3)])
def test_the_gradient_is_that_of_autograd(features, dimensions, relu):
    densities = [0.9, 0.04]
    grid = toy_grid(features, dimensions, densities, decay=0.9, seeds=3, relu=relu)
    learner = ToyLearner(grid, densities, 32, 0, torch.float64)
    learner.values[:, :, -1] = torch.linspace(-0.3, 0.3, features, dtype=torch.float64)
    x = learner.inputs.draw(32)
    values = learner.values.clone().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for place, share in enumerate(learner.inputs.share):
        for copy in range(3):
            w, b = values[place, copy, :-1], values[place, copy, -1]
            importance = grid.importance[copy].double()
            total = total + share * plain_loss(w, b, x[place].T, importance, relu)
            still = torch.zeros(1, features, dtype=torch.float64)
            total = total + (1 - share) * plain_loss(w, b, still, importance, relu)
    total.backward()
    assert values.grad is not None
    assert torch.allclose(learner.gradient(x), values.grad, atol=1e-12)


# --- training -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sweep() -> ToyModels:
    return train_toys(toy_grid(5, 2, [1.0, 0.3, 0.03], seeds=8), steps=800, workers=1)


def test_a_model_alone_is_the_model_in_the_batch():
    grid = toy_grid(5, 2, [0.5, 0.05], seeds=6)
    among = train_toys(grid, steps=150)
    one = ToyGrid(5, 2, (0.05,), grid.importance[4:5], (4,))
    alone = train_toys(one, steps=150, workers=1)
    assert torch.allclose(alone.weights[0, 0], among.weights[1, 4], atol=1e-4)
    assert torch.allclose(alone.loss[0, 0], among.loss[1, 4], rtol=1e-4)


def test_threads_share_the_densities_and_change_nothing():
    grid = toy_grid(5, 2, [0.5, 0.1, 0.05], seeds=4)
    told: list[int] = []
    one = train_toys(grid, steps=120, workers=1, progress=told.append)
    two = train_toys(grid, steps=120, workers=2)
    assert torch.equal(one.weights, two.weights)
    assert sum(told) == 3 * 120


def test_an_error_in_one_thread_ends_them_all():
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    with pytest.raises(KeyboardInterrupt):
        train_toys(toy_grid(5, 2, [0.5, 0.1]), steps=10**6, workers=2, progress=interrupt)
    assert torch.get_num_threads() == before


def test_sparse_inputs_make_a_pentagon_and_dense_ones_do_not(sweep):
    names = [
        [shape.name for shape in shapes_of(sweep.weights[place, copy])]
        for place in range(3)
        for copy in range(8)
    ]
    assert sum(found == ["pentagon"] for found in names[16:]) >= 7
    assert sum(found == ["digon", "digon"] for found in names[8:16]) >= 5
    assert not any("pentagon" in found for found in names[:8])


def test_the_loss_at_a_pentagon_is_below_that_of_keeping_two_features(sweep):
    best = sweep.loss[2].min()
    two_of_five = 3 * (0.03 / 3 - 0.03**2 / 4)
    assert float(best) < 0.25 * two_of_five


@pytest.mark.parametrize("density", [1.0, 0.05])
def test_without_the_relu_there_is_no_superposition(density):
    """The closed form: the two most important features, alone, at the least loss that can be."""
    grid = toy_grid(5, 2, [density], decay=0.6, seeds=4, relu=False)
    made = train_toys(grid, steps=2000)
    best = linear_optimum(grid.importance, 2, density)
    assert torch.allclose(made.loss[0], best, rtol=0.03)
    norms = feature_norms(made.weights[0])
    assert torch.allclose(norms, torch.tensor([1.0, 1, 0, 0, 0]).expand(4, 5), atol=0.06)
    assert float(interference(made.weights[0])[:, :2].max()) < 0.01


def test_no_matrix_of_the_rank_goes_below_the_linear_optimum():
    importance = torch.tensor([1.0, 0.5, 0.7, 0.1], dtype=torch.float64)
    best = float(linear_optimum(importance, 2, 0.4))
    variance = 0.4 / 3 - 0.4**2 / 4
    generator = torch.Generator().manual_seed(0)
    eye = torch.eye(4, dtype=torch.float64)
    kept = eye[[0, 2]]
    assert best == pytest.approx(variance * 0.6)
    for near in (0.0, 0.05, 1.0):
        for _ in range(200):
            w = kept + near * torch.randn(2, 4, generator=generator, dtype=torch.float64)
            lost = (importance.sqrt()[:, None] * (eye - w.T @ w)).square().sum()
            assert float(variance * lost) >= best - 1e-12


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"features": 0}, "1 feature"),
        ({"densities": [0.0]}, "above 0 and at most 1; found 0.0"),
        ({"densities": []}, "found none"),
        ({"decay": 2.0}, "a factor from 0 to 1; found 8 and 2"),
        ({"features": 10**9}, "1,000,000,000 features are more"),
        ({"dimensions": 10**9}, "5,000,000,005 numbers are more than training can hold"),
        ({"seeds": 10**9}, "1,000,000,000 models of 15 numbers are more"),
        ({"seeds": 0}, "1 seed or more"),
    ],
)
def test_what_cannot_be_is_named(wrong, message):
    given = {"features": 5, "dimensions": 2, "densities": [0.5]} | wrong
    with pytest.raises(GeometryError, match=message):
        toy_grid(given.pop("features"), given.pop("dimensions"), given.pop("densities"), **given)
    with pytest.raises(GeometryError, match="1 step"):
        train_toys(toy_grid(2, 1, [0.5]), steps=0)
    with pytest.raises(GeometryError, match="finite"):
        ToyGrid(1, 1, (0.5,), torch.tensor([[-1.0]]), (0,))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e30])
def test_a_learning_rate_that_leads_nowhere_is_refused(rate):
    with pytest.raises(GeometryError, match="above 0 and up to 1, found"):
        train_toys(toy_grid(2, 1, [0.5]), steps=1, rate=rate)
    with pytest.raises(GeometryError, match="above 0 and up to 1, found"):
        train_absolute(2, 1, [0.5], steps=1, rate=rate)


def test_more_models_than_memory_holds_are_refused_by_every_kind():
    with pytest.raises(GeometryError, match="1,000,000,000 models of 4 numbers"):
        toy_phases(1, [0.5], [1.0], seeds=10**9)
    with pytest.raises(GeometryError, match="1,000,000,000 features"):
        train_absolute(10**9, 1, [0.5])
