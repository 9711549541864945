"""When a feature is given up, kept in a dimension of its own, or put into superposition.

One extra feature beside m others of importance 1, in m dimensions, over its density and its
relative importance (Elhage et al., "Toy Models of Superposition", 2022, section 3, "Superposition
as a phase change"). Trained models stand beside theory: the losses of the candidate solutions in
closed form, of which the least wins. This module knows no picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.toy_models import ToyGrid, ToyModels, check_models
from molehill.superposition.toy_shapes import feature_norms, interference
from molehill.superposition.toy_training import train_toys

__all__ = ["PHASES", "ToyPhases", "phase_losses", "toy_phases"]

PHASES = ("not represented", "dimension of its own", "superposition")


@dataclass(frozen=True)
class ToyPhases:
    """What became of the extra feature, over density and relative importance.

    Attributes:
        models: copies are every relative importance with every seed, the seeds side by side.
        relative: the importances of the extra feature, those of the others being 1.
        found: [relative, densities] the place in `PHASES` of the seed with the smallest loss.
        expected: [relative, densities] of theory; of candidates that lose the same, the one found.
        norm: [relative, densities] ‖W_extra‖ of that seed.
        shared: [relative, densities] its interference, Σ_j (Ŵ_extra · W_j)².
        share: [relative, densities] of seeds that are in the phase `found`.
    """

    models: ToyModels
    relative: tuple[float, ...]
    found: Int[Tensor, "relative densities"]
    expected: Int[Tensor, "relative densities"]
    norm: Float[Tensor, "relative densities"]
    shared: Float[Tensor, "relative densities"]
    share: Float[Tensor, "relative densities"]

    @property
    def agreement(self) -> float:
        """The share of cells in which the best seed is in the phase that theory expects."""
        return float((self.found == self.expected).float().mean())


def phase_losses(dimensions: int, density: float, relative: float) -> dict[str, float]:
    """The losses of the candidate solutions by the phase of the extra feature, in closed form.

    With unit vectors, for m = 1 or 2 and m + 1 features. A feature that is given up is told by its
    mean and costs its variance, v = p/3 - p²/4. Two antipodal features meet only where both are
    present, and lose the smaller of the two squared: E[min(x, y)²] = 1/6, so p²/6 each.

    Raises:
        GeometryError: not 1 or 2 dimensions.
    """
    if dimensions not in (1, 2):
        raise GeometryError(
            f"The phases are worked out for 1 and 2 dimensions, found {dimensions}."
        )
    variance = density / 3 - density**2 / 4
    together = density**2 / 6
    # With 2 dimensions the extra feature can be alone beside an antipodal pair of the others.
    own = min(variance, 2 * together) if dimensions == 2 else variance
    return {
        PHASES[0]: relative * variance,
        PHASES[1]: own,
        PHASES[2]: (1 + relative) * together,
    }


def toy_phases(
    dimensions: int,
    densities: Sequence[float],
    relative: Sequence[float],
    *,
    seeds: int = 8,
    seed: int = 0,
    steps: int = 2000,
    rows: int = 256,
    rate: float = 1e-2,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> ToyPhases:
    """Train m + 1 features in m dimensions over densities and relative importances.

    A feature is represented if its vector's norm is above 1/2, and in superposition if more than
    1/4 of interference lies along it.

    Raises:
        GeometryError: not 1 or 2 dimensions, an importance that is not above 0, no seed, or more
            models than training can hold.
    """
    bad = [one for one in relative if not one > 0]
    if bad or not relative or seeds < 1:
        raise GeometryError("Relative importances are above 0, and there is 1 seed or more.")
    phase_losses(dimensions, 1.0, 1.0)  # what cannot be is said before training
    numbers = (dimensions + 1) ** 2
    check_models(len(densities) * len(relative) * seeds, dimensions + 1, numbers)
    grid = ToyGrid(
        dimensions + 1,
        dimensions,
        tuple(densities),
        _importance(dimensions, relative, seeds),
        tuple(range(seed, seed + seeds)) * len(relative),
    )
    models = train_toys(grid, steps=steps, rows=rows, rate=rate, workers=workers, progress=progress)
    cells = (len(densities), len(relative), seeds)
    best = models.loss.view(cells).argmin(2, keepdim=True)
    norm = feature_norms(models.weights)[..., -1].view(cells)
    shared = interference(models.weights)[..., -1].view(cells)
    phase = torch.where(norm < 0.5, 0, torch.where(shared > 0.25, 2, 1))
    found = phase.gather(2, best)
    expected = _expected(dimensions, densities, relative, found[..., 0].T)
    return ToyPhases(
        models,
        tuple(float(one) for one in relative),
        found[..., 0].T.contiguous(),
        expected,
        norm.gather(2, best)[..., 0].T.contiguous(),
        shared.gather(2, best)[..., 0].T.contiguous(),
        (phase == found).float().mean(2).T.contiguous(),
    )


def _importance(dimensions: int, relative: Sequence[float], seeds: int) -> Tensor:
    rows = torch.ones(len(relative), dimensions + 1)
    rows[:, -1] = torch.tensor(relative)
    return rows.repeat_interleave(seeds, 0)


def _expected(
    dimensions: int, densities: Sequence[float], relative: Sequence[float], found: Tensor
) -> Tensor:
    """The phase with the least loss in every cell; at a tie the one that was found."""
    cells = torch.empty_like(found)
    for row, one in enumerate(relative):
        for column, density in enumerate(densities):
            losses = list(phase_losses(dimensions, density, one).values())
            least = min(losses)
            tied = [place for place, loss in enumerate(losses) if loss <= least * (1 + 1e-6)]
            own = int(found[row, column])
            cells[row, column] = own if own in tied else tied[0]
    return cells
