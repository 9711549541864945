"""The smallest toy models whose features can form each regular figure, and how often they do.

A figure with k corners in m dimensions gives each of its features m / k of a dimension; the model
with k features and m dimensions can hold it and nothing else. Elhage et al. ("Toy Models of
Superposition", 2022, "The geometry of superposition") find these fractions as the values that
dimensionalities keep to. This module knows no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.superposition.toy_models import ToyModels, toy_grid
from molehill.superposition.toy_shapes import PLATEAUS, dimensionality, polytope, shapes_of
from molehill.superposition.toy_training import train_toys

__all__ = ["ToyFamily", "toy_families"]


_MOVED = 0.05
"""How far the vectors of a figure are moved before it is trained on: the standard deviation of each
entry, their length being 1."""


@dataclass(frozen=True)
class ToyFamily:
    """One figure's own model, from many random starts and from the figure itself.

    Attributes:
        size: the fraction of a dimension that each corner of the figure has, exactly.
        found: random starts whose features form the figure, all together and nothing else.
        held: starts at the figure, a little moved, that are still the figure after training.
        dimensionalities: [found + held, features] of all of these.
        arrangements: what every random start came to, by the names of its figures.
        best_loss: the smallest of the random starts.
        figure_loss: the smallest of those that are the figure; None where none is.
    """

    name: str
    features: int
    dimensions: int
    density: float
    size: float
    seeds: int
    found: int
    held: int
    dimensionalities: Float[Tensor, "either features"]
    arrangements: tuple[tuple[str, ...], ...]
    best_loss: float
    figure_loss: float | None


def toy_families(
    *,
    density: float = 0.03,
    seeds: int = 40,
    seed: int = 0,
    steps: int = 1000,
    rows: int = 256,
    progress: Callable[[int], object] | None = None,
) -> tuple[ToyFamily, ...]:
    """Train the model of every figure of `PLATEAUS`, the largest fraction first.

    Args:
        seeds: random starts, and as many at the figure.
    """

    def train(name: str) -> ToyFamily:
        corners = polytope(name)
        dimensions, features = corners.shape
        grid = toy_grid(features, dimensions, [density], seeds=seeds, seed=seed)
        drawn = train_toys(grid, steps=steps, rows=rows, progress=progress)
        start = _moved(corners, grid.seeds)
        told = train_toys(grid, steps=steps, rows=rows, start=start, progress=progress)
        return _family(name, drawn, told)

    return tuple(train(name) for name in PLATEAUS)


def _moved(corners: Tensor, seeds: Sequence[int]) -> Tensor:
    """The figure at every seed, a little off, with biases of 0."""
    moves = [
        torch.randn(corners.shape, generator=torch.Generator().manual_seed(one)) for one in seeds
    ]
    weights = corners.float() + _MOVED * torch.stack(moves)
    return torch.cat([weights, torch.zeros(len(seeds), 1, corners.shape[1])], 1)


def _family(name: str, drawn: ToyModels, told: ToyModels) -> ToyFamily:
    grid = drawn.grid
    arrangements = tuple(_names(w) for w in drawn.weights[0])
    found = [names == (name,) for names in arrangements]
    held = [_names(w) == (name,) for w in told.weights[0]]
    losses = torch.cat([drawn.loss[0, found], told.loss[0, held]])
    return ToyFamily(
        name,
        grid.features,
        grid.dimensions,
        grid.densities[0],
        PLATEAUS[name],
        len(grid.seeds),
        sum(found),
        sum(held),
        dimensionality(torch.cat([drawn.weights[0, found], told.weights[0, held]])),
        arrangements,
        float(drawn.loss.min()),
        float(losses.min()) if len(losses) else None,
    )


def _names(weights: Tensor) -> tuple[str, ...]:
    return tuple(shape.name for shape in shapes_of(weights))
