"""A thousand toy models of superposition (5 features in 2 dimensions, 20 densities, 50 seeds),
trained at once, beside the same models one at a time with torch's own autograd and Adam.

One at a time is timed on a few models and multiplied. `the paper's` settings are 10,000 steps of
1,024 inputs; `Molehill's` are fewer steps of fewer inputs, of which none is empty. Losses are
measured on one sample for all. The limit is what the products alone would take at the machine's
own rate.

python benchmarks/toy_models.py [--models 1000] [--steps 10000] [--single 3]
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch
from _machine import machine, report

from molehill.superposition.toy_models import ToyGrid, ToyModels, toy_grid, toy_loss
from molehill.superposition.toy_shapes import shapes_of
from molehill.superposition.toy_training import train_toys

FEATURES, DIMENSIONS, SEEDS = 5, 2, 50
PAPER_ROWS, PAPER_RATE = 1024, 1e-3
STEPS, ROWS, RATE = 1000, 256, 1e-2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--single", type=int, default=3)
    given = parser.parse_args()
    here = machine()
    report(machine=here)
    count = max(1, given.models // SEEDS)
    densities = torch.logspace(0, -2, count).tolist()
    grid = toy_grid(FEATURES, DIMENSIONS, densities, seeds=SEEDS)
    short = train_toys(grid, steps=STEPS, rows=ROWS, rate=RATE)
    told("Molehill's", short, here)
    long = train_toys(grid, steps=given.steps, rows=PAPER_ROWS, rate=PAPER_RATE)
    told("the paper's", long, here)
    places = [
        round(place * (count - 1) / max(1, given.single - 1)) for place in range(given.single)
    ]
    singles = [one_at_a_time(grid, place, 0, given.steps) for place in places]
    each = statistics.median(seconds for seconds, _ in singles)
    for place, (seconds, loss) in zip(places, singles, strict=True):
        report(
            benchmark="toy models",
            case="one at a time",
            density=round(densities[place], 4),
            seconds=round(seconds, 2),
            loss=loss,
            loss_at_once=float(long.loss[place, 0]),
            loss_at_once_molehills=float(short.loss[place, 0]),
        )
    report(
        benchmark="toy models",
        case="ratio",
        seconds_one_at_a_time=round(each * grid.models),
        extrapolated_from=given.single,
        times_at_once_same_steps=round(each * grid.models / long.seconds, 1),
        times_at_once_molehills=round(each * grid.models / short.seconds, 1),
    )


def told(case: str, made: ToyModels, here: dict) -> None:
    grid = made.grid
    arithmetic = 4 * grid.features * (grid.features + 1) * made.rows * grid.models * made.steps
    pentagons = [
        sum(shapes_of(w)[0].name == "pentagon" for w in row if len(shapes_of(w)))
        for row in made.weights
    ]
    report(
        benchmark="toy models",
        case=f"at once, {case}",
        models=grid.models,
        steps=made.steps,
        rows=made.rows,
        rate=made.rate,
        seconds=round(made.seconds, 1),
        models_per_second=round(grid.models / made.seconds, 1),
        gflop_of_products=round(arithmetic / 1e9),
        seconds_of_products_at_the_machines_rate=round(
            arithmetic / 1e9 / float(here["float32_gflops"]), 1
        ),
        median_loss=[round(float(loss), 6) for loss in made.loss.median(1).values],
        best_loss=[round(float(loss), 6) for loss in made.loss.min(1).values],
        pentagons=pentagons,
        seeds=len(grid.seeds),
    )


def one_at_a_time(grid: ToyGrid, place: int, copy: int, steps: int) -> tuple[float, float]:
    """Seconds and loss of one model, as one would write it."""
    density = grid.densities[place]
    start = grid.begin()[copy]
    w = start[:-1].clone().requires_grad_()
    b = start[-1].clone().requires_grad_()
    importance = grid.importance[copy]
    random = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam([w, b], lr=PAPER_RATE)
    begun = time.perf_counter()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = PAPER_RATE * (1 - step / steps)
        x = torch.rand(PAPER_ROWS, grid.features, generator=random)
        x = x * (torch.rand(PAPER_ROWS, grid.features, generator=random) < density)
        out = torch.relu(x @ w.T @ w + b)
        loss = (importance * (x - out).square()).sum(1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seconds = time.perf_counter() - begun
    alone = ToyGrid(
        grid.features, grid.dimensions, (density,), importance[None], (grid.seeds[copy],)
    )
    found = toy_loss(w.detach()[None, None], b.detach()[None, None], alone)
    return seconds, float(found)


if __name__ == "__main__":
    main()
