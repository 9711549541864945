"""Computation in superposition: absolute values of more features than there are neurons.

    h = ReLU(W₁ x),   y = ReLU(W₂ h + b),   loss = Σ_i I_i (|x_i| - y_i)²

with x_i = 0 with probability S, else uniform in [-1, 1] (Elhage et al., "Toy Models of
Superposition", 2022, section "Computation in Superposition"). A neuron that serves one feature
computes one half of its absolute value, so that n features take 2n neurons; with fewer, dense
inputs make a model give features up and sparse ones make it put several into a neuron. Models of
all densities and seeds are one batch. This module knows no picture.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.toy_models import check_models
from molehill.superposition.toy_training import check_training

__all__ = [
    "AbsoluteLearner",
    "AbsoluteModels",
    "NeuronUse",
    "features_per_neuron",
    "neuron_uses",
    "train_absolute",
]

_REPORTS = 50


@dataclass(frozen=True)
class AbsoluteModels:
    """Trained models that compute absolute values.

    Attributes:
        into: [densities, seeds, m, n] W₁, the neurons' rows.
        out: [densities, seeds, n, m] W₂, their columns.
        bias: [densities, seeds, n] b.
        loss: [densities, seeds] on one large sample that is the same for all.
        error: [densities, seeds, n] of each feature, as a share of what its mean as the one answer
            would cost: 0 is computed, 1 is given up.
    """

    densities: tuple[float, ...]
    importance: Float[Tensor, " n"]
    seeds: tuple[int, ...]
    into: Float[Tensor, "densities seeds m n"]
    out: Float[Tensor, "densities seeds n m"]
    bias: Float[Tensor, "densities seeds n"]
    loss: Float[Tensor, "densities seeds"]
    error: Float[Tensor, "densities seeds n"]
    steps: int
    rows: int
    rate: float
    seconds: float


@dataclass(frozen=True)
class NeuronUse:
    """What one neuron does for the features it serves.

    Attributes:
        features: those whose strength |row| · |column| is a tenth or more of the neuron's largest.
        into, out: its row's and its column's entries at these features.
    """

    neuron: int
    features: tuple[int, ...]
    into: tuple[float, ...]
    out: tuple[float, ...]

    @property
    def asymmetry(self) -> float:
        """How differently the row and the column treat the two strongest features: the ratio of
        their |row / column|, 1 where both are treated alike or there is one only. The motif that
        Elhage et al. call asymmetric superposition has a large one."""
        if len(self.features) < 2:
            return 1.0
        first, second = (
            abs(self.into[place] / self.out[place]) if self.out[place] else float("inf")
            for place in (0, 1)
        )
        low, high = min(first, second), max(first, second)
        return high / low if low > 0 else float("inf")


class AbsoluteLearner:
    """Models of some densities and seeds, step by step, with the gradient written out."""

    def __init__(
        self,
        features: int,
        neurons: int,
        densities: Sequence[float],
        importance: Tensor,
        seeds: Sequence[int],
        data_seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.importance = importance.to(dtype)
        self.density = torch.tensor(densities, dtype=dtype)
        self._random = torch.Generator().manual_seed(data_seed)
        starts = [_start(seed, features, neurons) for seed in seeds]
        count = len(densities)
        self.values = [
            torch.stack(part).to(dtype).repeat(count, 1, *[1] * part[0].dim())
            for part in zip(*starts, strict=True)
        ]
        self._moments = [(torch.zeros_like(one), torch.zeros_like(one)) for one in self.values]
        self._taken = 0

    def draw(self, rows: int) -> Float[Tensor, "densities n rows"]:
        """Fresh inputs: of all densities from the same numbers, and for every seed the same."""
        size = (len(self.importance), rows)
        dtype = self.values[0].dtype
        v = torch.rand(size, generator=self._random, dtype=dtype)
        sign = torch.randint(2, size, generator=self._random).to(dtype) * 2 - 1
        return (1 - v / self.density[:, None, None]).relu_() * sign

    def step(self, rows: int, rate: float) -> None:
        """One step of Adam on fresh inputs."""
        gradients = self.gradient(self.draw(rows))
        self._taken += 1
        for value, gradient, (first, second) in zip(
            self.values, gradients, self._moments, strict=True
        ):
            first.lerp_(gradient, 0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            scale = (second / (1 - 0.999**self._taken)).sqrt_().add_(1e-8)
            value.addcdiv_(first, scale, value=-rate / (1 - 0.9**self._taken))

    def gradient(self, x: Tensor) -> list[Tensor]:
        """Of the mean loss over inputs x [densities, n, rows] by W₁, W₂ and b."""
        found = [torch.empty_like(one) for one in self.values]
        for place, given in enumerate(x):
            before, hidden, said = self.run(place, given)
            error = torch.sub(said, given.abs()).mul_(said > 0)
            error.mul_(self.importance[:, None] * (2 / x.shape[-1]))
            back = torch.bmm(self.values[1][place].mT, error).mul_(before > 0)
            found[0][place] = back @ given.T
            found[1][place] = torch.bmm(error, hidden.mT)
            found[2][place] = error.sum(-1)
        return found

    def run(self, place: int, x: Float[Tensor, "n rows"]) -> tuple[Tensor, Tensor, Tensor]:
        """Neurons before and after their ReLU, and what is said, by all seeds of one density."""
        into, out, bias = (one[place] for one in self.values)
        before = into @ x
        hidden = before.relu()
        return before, hidden, torch.baddbmm(bias[..., None], out, hidden).relu_()

    def errors(self, rows: int) -> Float[Tensor, "densities seeds n"]:
        """The mean squared error of each feature on fresh inputs."""
        total, at_once = torch.zeros_like(self.values[2]), 256
        for begin in range(0, rows, at_once):
            for place, x in enumerate(self.draw(min(at_once, rows - begin))):
                total[place] += (self.run(place, x)[2] - x.abs()).square_().sum(-1)
        return total / rows


def _start(seed: int, features: int, neurons: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    size = (2 / (features + neurons)) ** 0.5
    into = torch.randn(neurons, features, generator=random) * size
    return into, torch.randn(features, neurons, generator=random) * size, torch.zeros(features)


def train_absolute(
    features: int,
    neurons: int,
    densities: Sequence[float],
    *,
    decay: float = 0.8,
    seeds: int = 4,
    seed: int = 0,
    steps: int = 3000,
    rows: int = 256,
    rate: float = 1e-2,
    progress: Callable[[int], object] | None = None,
) -> AbsoluteModels:
    """Train models that answer |x| at every density and seed.

    Args:
        decay: the importance of feature i is this to the power i.
        rate: the first learning rate of Adam, above 0 and up to 1; it falls to nothing in a
            straight line.

    Raises:
        GeometryError: sizes, densities or a learning rate that cannot be.
    """
    check_training(steps, rows, rate)
    if min(features, neurons, seeds) < 1 or not 0 < decay <= 1:
        raise GeometryError(
            "There is 1 feature, neuron and seed or more, and importance decays by a factor above "
            f"0 and at most 1; found {features}, {neurons}, {seeds} and {decay:g}."
        )
    if not densities or not all(0 < density <= 1 for density in densities):
        raise GeometryError("A density is above 0 and at most 1.")
    check_models(len(densities) * seeds, features, (2 * neurons + 1) * features)
    begun = time.perf_counter()
    importance = decay ** torch.arange(features, dtype=torch.float32)
    names = tuple(range(seed, seed + seeds))
    learner = AbsoluteLearner(features, neurons, densities, importance, names)
    for step in range(steps):
        learner.step(rows, rate * (1 - step / steps))
        if progress is not None and (step + 1) % _REPORTS == 0:
            progress(_REPORTS)
    errors = learner.errors(8192)
    density = torch.tensor(densities)[:, None, None]
    nothing = density / 3 - density**2 / 4
    into, out, bias = learner.values
    return AbsoluteModels(
        tuple(densities),
        importance,
        names,
        into,
        out,
        bias,
        (errors * importance).sum(-1),
        errors / nothing,
        steps,
        rows,
        rate,
        time.perf_counter() - begun,
    )


def features_per_neuron(
    into: Float[Tensor, "*some m n"], out: Float[Tensor, "*some n m"]
) -> Float[Tensor, "*some m"]:
    """How many features a neuron serves: (Σ s)² / Σ s² of its strengths s = (row · column)² per
    feature, 1 for a neuron of one feature, k for one that serves k alike, 0 for a dead one."""
    strength = (into * out.mT).square()
    total, squares = strength.sum(-1), strength.square().sum(-1)
    return torch.where(squares > 1e-12, total.square() / squares.clamp_min(1e-30), 0.0)


def neuron_uses(
    into: Float[Tensor, "m n"], out: Float[Tensor, "n m"], *, least: float = 0.05
) -> tuple[NeuronUse, ...]:
    """Every neuron that does something, with the features it serves, the strongest first.

    Args:
        least: the strength |row · column| below which a neuron does nothing.
    """
    strength = (into * out.mT).abs()
    found = []
    for neuron, own in enumerate(strength):
        if float(own.max()) < least:
            continue
        order = own.argsort(descending=True)
        served = [int(place) for place in order if own[place] >= 0.1 * own.max()]
        row, column = into[neuron, served].tolist(), out[served, neuron].tolist()
        found.append(NeuronUse(neuron, tuple(served), tuple(row), tuple(column)))
    return tuple(found)
