"""Orthogonality at work: features written along directions and read back, drawn and counted.

A vector is the sum of the directions of the features that are active in it; each feature is read
back by the dot product with its own direction, a bias and ReLU as its gate. It is how a fact's row
in an MLP asks whether its subject is there, and how a sparse autoencoder's encoder asks for a
feature. Beside what is counted stands what `capacity_theory.py` expects. This module knows no
model: the directions are any matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.capacity_theory import Expected, expected
from molehill.superposition.cosines import cosine_moments, largest_cosine, unit_rows

__all__ = [
    "CapacityPoint",
    "Measured",
    "capacity_curve",
    "draw_active",
    "learn_directions",
    "measure_reading",
    "random_directions",
]

_NUMBERS = 2**23
"""Readings held at once."""


@dataclass(frozen=True)
class Measured:
    """What was counted over `inputs` drawn inputs; the terms are those of `Expected`."""

    inputs: int
    threshold: float
    false_fires: float
    misses: float
    wrong_bits: float
    all_right: float
    """The share of inputs of which every feature was read rightly."""
    linear: float
    gated: float
    read_active: int
    """How many active features were read in all: fewer misses than 3 / this cannot be told."""
    read_others: int


@dataclass(frozen=True)
class CapacityPoint:
    """One number of features: how their directions lie, what was expected and what was counted."""

    features: int
    coherence: float
    mean: float
    mean_square: float
    expected: Expected
    measured: Measured


def capacity_curve(
    directions: Callable[[int], Tensor],
    features: Sequence[int],
    *,
    active: float,
    fixed: bool = True,
    calibrate: bool = False,
    inputs: int = 400,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> tuple[CapacityPoint, ...]:
    """Errors of reading against the number of features.

    Args:
        directions: gives the directions [k, d] of so many features; rows of any length.
        features: how many, each in its turn.
        active: how many of an input's features are active; with `fixed`, a whole number.
        fixed: see `expected`; without it, the chance of each feature is active / k.
        calibrate: see `measure_reading`.
        inputs: how many are drawn for each point.
        progress: called with 1 after each point.

    Raises:
        GeometryError: as `expected` and `measure_reading`.
    """
    points = []
    for count in features:
        rows = unit_rows(directions(count))
        mean, square = cosine_moments(rows)
        theory = expected(count, rows.shape[1], active, mean=mean, mean_square=square, fixed=fixed)
        points.append(
            CapacityPoint(
                features=count,
                coherence=largest_cosine(rows),
                mean=mean,
                mean_square=square,
                expected=theory,
                measured=measure_reading(
                    rows, theory, fixed=fixed, calibrate=calibrate, inputs=inputs, seed=seed
                ),
            )
        )
        if progress is not None:
            progress(1)
    return tuple(points)


def measure_reading(
    directions: Float[Tensor, "features d"],
    theory: Expected,
    *,
    fixed: bool = True,
    calibrate: bool = False,
    inputs: int = 400,
    seed: int = 0,
) -> Measured:
    """Draw inputs, write and read them with the thresholds and the gain of `theory`, and count.

    Args:
        calibrate: part yes and no where the fewest bits of other drawn inputs are wrong. Learned
            directions shun positive cosines and not negative ones, and the normal law knows of no
            such skew.

    Raises:
        GeometryError: a direction is zero or not finite, or `fixed` with a broken number active.
    """
    rows = unit_rows(directions)
    count, active = len(rows), theory.active
    if fixed and active != int(active):
        raise GeometryError(f"{active:g} active features in every input: give a whole number.")
    threshold = theory.threshold
    if calibrate:
        threshold = _calibrated(rows, _drawn(inputs, count, active, fixed, seed + 1))
    sums = torch.zeros(7, dtype=torch.float64)
    for there in _drawn(inputs, count, active, fixed, seed):
        sums += _counts(rows, there, theory, threshold)
    false, missed, right, linear, gated, yes, no = sums.tolist()
    return Measured(
        inputs=inputs,
        threshold=threshold,
        false_fires=false / max(no, 1),
        misses=missed / max(yes, 1),
        wrong_bits=(false + missed) / inputs,
        all_right=right / inputs,
        linear=linear / max(yes, 1),
        gated=gated / max(yes, 1),
        read_active=int(yes),
        read_others=int(no),
    )


def draw_active(
    inputs: int, features: int, active: float, *, fixed: bool, generator: torch.Generator
) -> Bool[Tensor, "inputs features"]:
    """Which features are active: exactly so many, or each by itself."""
    chance = torch.rand(inputs, features, generator=generator)
    if not fixed:
        return chance < active / features
    there = torch.zeros(inputs, features, dtype=torch.bool)
    return there.scatter_(1, chance.topk(int(active), dim=1).indices, True)


def random_directions(
    features: int, dimensions: int, *, seed: int = 0
) -> Float[Tensor, "features d"]:
    """Unit vectors drawn evenly from the sphere."""
    generator = torch.Generator().manual_seed(seed)
    return unit_rows(torch.randn(features, dimensions, generator=generator))


def learn_directions(
    features: int,
    dimensions: int,
    *,
    active: float,
    fixed: bool = True,
    steps: int = 600,
    batch: int = 256,
    seed: int = 0,
) -> Float[Tensor, "features d"]:
    """Directions learned by gradient so that yes and no are told apart: a tied autoencoder's.

    Unit directions, one gain and one bias for all features; the loss is the cross entropy of
    gain · (reading - bias) as the score of a yes. Random directions are the beginning; Adam with a
    rate that falls to zero.
    """
    rows = random_directions(features, dimensions, seed=seed).requires_grad_()
    gate = torch.tensor([8.0, 0.6], requires_grad=True)
    optimizer = torch.optim.Adam([{"params": [rows], "lr": 0.01}, {"params": [gate], "lr": 0.05}])
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, total_iters=steps)
    generator = torch.Generator().manual_seed(seed + 1)
    for _ in range(steps):
        there = draw_active(batch, features, active, fixed=fixed, generator=generator).float()
        directions = torch.nn.functional.normalize(rows, dim=1)
        readings = (there @ directions) @ directions.T
        scores = gate[0] * (readings - gate[1])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, there)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        falling.step()
    return unit_rows(rows.detach())


def _drawn(
    inputs: int, features: int, active: float, fixed: bool, seed: int
) -> Iterator[Bool[Tensor, "some features"]]:
    """Inputs in batches whose readings fit into memory."""
    generator = torch.Generator().manual_seed(seed)
    batch = max(1, _NUMBERS // features)
    for start in range(0, inputs, batch):
        size = min(batch, inputs - start)
        yield draw_active(size, features, active, fixed=fixed, generator=generator)


def _calibrated(
    rows: Float[Tensor, "features d"], drawn: Iterator[Bool[Tensor, "some features"]]
) -> float:
    """The threshold, of 400 between 0 and 2, at which the fewest bits are wrong."""
    bins, end = 400, 2.0
    yes, no = torch.zeros(2, bins, dtype=torch.float64)
    for there in drawn:
        readings = ((there.float() @ rows) @ rows.T).clamp(0, end)
        yes += torch.histc(readings[there], bins, 0, end).double()
        no += torch.histc(readings[~there], bins, 0, end).double()
    wrong = yes.cumsum(0) + no.sum() - no.cumsum(0)
    return (int(wrong.argmin()) + 1) * end / bins


def _counts(
    rows: Float[Tensor, "features d"],
    there: Bool[Tensor, "inputs features"],
    theory: Expected,
    threshold: float,
) -> Float[Tensor, 7]:
    """False fires, misses, inputs all right, both squared errors, and how many were read."""
    values = there.float()
    readings = (values @ rows) @ rows.T
    says = readings > threshold
    wrong = says != there
    gated = theory.gain * torch.relu(readings - theory.gated_threshold)
    counted = (
        (wrong & ~there).sum(),
        (wrong & there).sum(),
        (~wrong.any(dim=1)).sum(),
        (readings - values).square().sum(),
        (gated - values).square().sum(),
        there.sum(),
        (~there).sum(),
    )
    return torch.stack([number.double() for number in counted])
