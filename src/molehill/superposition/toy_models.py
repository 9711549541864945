"""Toy models of superposition: n features squeezed into m dimensions and read out again by a ReLU.

    h = W x,   x' = ReLU(Wᵀ h + b),   loss = Σ_i I_i (x_i - x'_i)²

A feature is present with probability `density` (1 - S, S the sparsity), and then uniform in [0, 1]
(Elhage et al., "Toy Models of Superposition", 2022, sections 2 and 3). Here is what such models
are, how they begin, what they are fed, and what they lose; how they learn is in `toy_training.py`.

Many models are one tensor: every density with every copy (a seed and the features' importance).
This module knows no transformer and no picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import GeometryError

__all__ = [
    "RARE",
    "ToyGrid",
    "ToyInputs",
    "ToyModels",
    "check_models",
    "linear_optimum",
    "toy_grid",
    "toy_loss",
]

RARE = 1e-3
"""Where an input is empty with more than this probability, empty inputs are not drawn: what they
add to the loss is known exactly."""

_MOST_FEATURES, _MOST_NUMBERS = 2**18, 2**28
"""Of a model, as its inputs are held; of all models together: 1 GB, of which training holds
several."""


@dataclass(frozen=True)
class ToyGrid:
    """Which models are trained together: every density with every copy.

    Attributes:
        densities: the probability that a feature is present, 1 - S.
        importance: [copies, features] the weights I of the loss.
        seeds: [copies] where a copy begins; it begins there at every density.
        relu: False leaves the ReLU out: the linear model.
    """

    features: int
    dimensions: int
    densities: tuple[float, ...]
    importance: Float[Tensor, "copies features"]
    seeds: tuple[int, ...]
    relu: bool = True

    def __post_init__(self) -> None:
        if self.features < 1 or self.dimensions < 1:
            raise GeometryError(
                f"A toy model has 1 feature and 1 dimension or more, found {self.features} and "
                f"{self.dimensions}."
            )
        bad = [density for density in self.densities if not 0 < density <= 1]
        if bad or not self.densities:
            raise GeometryError(
                "A density is the probability that a feature is present, above 0 and at most 1; "
                f"found {bad[0] if bad else 'none'}."
            )
        wanted = (len(self.seeds), self.features)
        if not self.seeds or tuple(self.importance.shape) != wanted:
            raise GeometryError(
                f"Importance has one row per seed and one column per feature, {wanted}; found "
                f"{tuple(self.importance.shape)}."
            )
        if not bool((self.importance >= 0).all() & self.importance.isfinite().all()):
            raise GeometryError("An importance is a finite number, 0 or more.")

    @property
    def models(self) -> int:
        return len(self.densities) * len(self.seeds)

    def begin(self) -> Float[Tensor, "copies m_plus_1 features"]:
        """How every copy begins: W in its first rows, drawn from its seed alone (normal, of
        variance 2 / (m + n)), b as its last row, zeros."""
        size = (self.dimensions, self.features)
        drawn = [
            torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in self.seeds
        ]
        start = torch.stack(drawn) * (2 / sum(size)) ** 0.5
        bias = torch.zeros(len(self.seeds), 1, self.features)
        return torch.cat([start, bias], 1)


@dataclass(frozen=True)
class ToyModels:
    """Trained models.

    Attributes:
        weights: [densities, copies, m, n] W.
        bias: [densities, copies, n] b.
        loss: [densities, copies] measured on one large sample that is the same for all.
        steps, rows, rate, data_seed: how they were trained: steps of Adam, inputs in each, the
            first learning rate, and the seed of the inputs, which all models share.
        seconds: of training.
    """

    grid: ToyGrid
    weights: Float[Tensor, "densities copies m n"]
    bias: Float[Tensor, "densities copies n"]
    loss: Float[Tensor, "densities copies"]
    steps: int
    rows: int
    rate: float
    data_seed: int
    seconds: float

    def best(self) -> Tensor:
        """[densities] the copy with the smallest loss at every density."""
        return self.loss.argmin(1)


def check_models(models: int, features: int, numbers: int) -> None:
    """Refuse more models than memory holds, before anything is made of them.

    Args:
        numbers: weights of one model.

    Raises:
        GeometryError: they are more than training can hold.
    """
    if features > _MOST_FEATURES:
        raise GeometryError(
            f"{features:,} features are more than training can hold: ask for {_MOST_FEATURES:,} "
            "at most."
        )
    if models * numbers > _MOST_NUMBERS:
        raise GeometryError(
            f"{models:,} models of {numbers:,} numbers are more than training can hold "
            f"({_MOST_NUMBERS:,} numbers): ask for fewer features, dimensions, densities or seeds."
        )


def toy_grid(
    features: int,
    dimensions: int,
    densities: Sequence[float],
    *,
    decay: float = 1.0,
    seeds: int = 8,
    seed: int = 0,
    relu: bool = True,
) -> ToyGrid:
    """Every density with so many seeds, importance falling as `decay` to the power i.

    Args:
        decay: 1 makes all features equally important.
        seeds: copies that differ in where they begin.
        seed: the first of them.

    Raises:
        GeometryError: sizes, densities or importances that cannot be.
    """
    if seeds < 1 or not 0 <= decay <= 1:
        raise GeometryError(
            f"There is 1 seed or more, and importance decays by a factor from 0 to 1; found "
            f"{seeds} and {decay:g}."
        )
    check_models(len(densities) * seeds, features, (dimensions + 1) * features)
    row = torch.tensor([decay**place for place in range(max(features, 0))], dtype=torch.float64)
    return ToyGrid(
        features,
        dimensions,
        tuple(float(density) for density in densities),
        row.to(torch.float32).repeat(seeds, 1),
        tuple(range(seed, seed + seeds)),
        relu,
    )


class ToyInputs:
    """Inputs without end, the same for every density and for every set of models: a seed decides.

    One uniform number v makes a feature: x = max(0, 1 - v / density) is uniform in [0, 1] with
    probability `density`, and 0 else. Where inputs would mostly be empty (`RARE`), only inputs with
    some feature are drawn: the first present one from the geometric law, those after it as always;
    `share` is how much of all inputs these are, and the rest are exactly empty.
    """

    def __init__(
        self, features: int, densities: Sequence[float], seed: int, dtype: torch.dtype
    ) -> None:
        self.features, self.dtype = features, dtype
        self.density = torch.tensor(densities, dtype=torch.float64)
        empty = (1 - self.density) ** features
        self.rare = (empty > RARE).nonzero().flatten()
        self.share = torch.where(empty > RARE, 1 - empty, torch.ones_like(empty))
        self._factor = (-1 / self.density).to(dtype)[:, None, None]
        self._log = torch.log1p(-self.density[self.rare])[:, None]
        self._places = torch.arange(features)[:, None]
        self._random = torch.Generator().manual_seed(seed)

    def draw(self, rows: int) -> Float[Tensor, "densities features rows"]:
        """The next inputs: of all densities from the same numbers."""
        v = torch.rand(self.features, rows, generator=self._random, dtype=self.dtype)
        u = torch.rand(rows, generator=self._random, dtype=torch.float64)
        x = torch.mul(v, self._factor).add_(1).relu_()
        if len(self.rare):
            x[self.rare] = self._not_empty(x[self.rare], v, u)
        return x

    def _not_empty(self, x: Tensor, v: Tensor, u: Tensor) -> Tensor:
        share = self.share[self.rare][:, None]
        first = (torch.log1p(-u * share) / self._log).long().clamp_(0, self.features - 1)
        first = first[:, None, :]
        x = torch.where(self._places < first, 0, x)
        return torch.where(self._places == first, v, x)


def toy_loss(
    weights: Float[Tensor, "densities copies m n"],
    bias: Float[Tensor, "densities copies n"],
    grid: ToyGrid,
    *,
    rows: int = 16384,
    seed: int = 10**6,
) -> Float[Tensor, "densities copies"]:
    """The loss, averaged over a sample that training has not seen, the same for all models.

    Args:
        rows: inputs, of those that are not empty where empty ones are not drawn (see `ToyInputs`).
    """
    inputs = ToyInputs(grid.features, grid.densities, seed, torch.float32)
    share = inputs.share.to(torch.float32)[:, None]
    importance = grid.importance.to(torch.float32)
    total = torch.zeros(weights.shape[:2])
    at_once = 512
    for begin in range(0, rows, at_once):
        x = inputs.draw(min(at_once, rows - begin))
        for place, given in enumerate(x):
            total[place] += _errors(weights[place], bias[place], given, importance, grid.relu)
    still = bias.relu() if grid.relu else bias
    return share * total / rows + (1 - share) * (importance * still.square()).sum(-1)


def _errors(w: Tensor, b: Tensor, x: Tensor, importance: Tensor, relu: bool) -> Tensor:
    """[copies] the summed errors of some inputs, a few copies at a time."""
    few = max(1, 2**21 // max(1, x.numel()))
    found = []
    for begin in range(0, len(w), few):
        part = slice(begin, begin + few)
        out = torch.baddbmm(b[part, :, None], w[part].mT, w[part] @ x)
        error = ((out.relu_() if relu else out) - x).square_().sum(-1)
        found.append((error * importance[part]).sum(-1))
    return torch.cat(found)


def linear_optimum(importance: Float[Tensor, "*some n"], dimensions: int, density: float) -> Tensor:
    """The least loss of a model without ReLU, in closed form.

    Features are independent, of variance v = p/3 - p²/4; with the best b the loss is
    v ‖√I (1 - WᵀW)‖², and no matrix of rank m comes nearer to √I than its m largest entries (Eckart
    and Young, 1936): the m most important features are kept whole and the others dropped.
    """
    variance = density / 3 - density**2 / 4
    ordered = importance.sort(-1, descending=True).values
    return variance * ordered[..., dimensions:].sum(-1)
