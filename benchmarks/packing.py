"""Packings: how fast pairs are pushed apart, how good they get with time, and what hides the worst.

python benchmarks/packing.py [speed] [memory] [quality] [losses] [known]

`speed`: pairs per second of one step and of the exact look at all pairs, beside the rate at which
this machine multiplies matrices (a pair costs 6 d operations in a step: its cosine, and a share of
two products; 2 d in a look). `memory`: one step of 50,000 vectors in 768 dimensions and the peak of
memory. `quality`: 10,000 lines in 100 dimensions by steps, with and without shifts. `losses`: what
other losses reach in the same number of steps, by autograd on the whole matrix of cosines. `known`:
packings whose optimum is known. Without a part named: all but `memory`.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

from _machine import best_of, machine, report

PARTS = ("speed", "quality", "losses", "known", "memory")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--steps", type=int, default=600, help="of the search in `quality`")
    told = parser.parse_args()
    unknown = set(told.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    found = machine()
    report(machine=found)
    run = {
        "speed": lambda: speed(found),
        "memory": memory,
        "quality": lambda: quality(told.steps),
        "losses": losses,
        "known": known,
    }
    for part in told.parts or PARTS[:-1]:
        run[part]()


def drawn(count: int, dimensions: int):
    import torch

    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(1, count, dimensions, generator=generator)
    return torch.nn.functional.normalize(vectors, dim=2)


def speed(found: dict[str, object]) -> None:
    """One step and one exact look, as shares of the machine's own products."""
    import torch

    rate = float(str(found["float32_gflops"]))
    for count, dimensions in ((10_000, 100), (8_000, 768)):
        vectors = drawn(count, dimensions)
        for name, dtype in (("float32", None), ("bfloat16", torch.bfloat16)):
            _one_step(vectors, name, dtype, rate)
        _one_look(vectors, rate)


def _one_step(vectors, name: str, dtype, rate: float) -> None:
    from molehill.superposition.pushing import push, shifted_places

    dimensions = vectors.shape[2]
    places, threshold = shifted_places(dimensions, 1), _threshold(0.2)
    seconds = best_of(2, lambda: push(vectors, places, threshold, lines=True, dtype=dtype))
    _told("step", vectors, name, seconds, 6 * dimensions, rate)


def _one_look(vectors, rate: float) -> None:
    from molehill.superposition.cosines import pair_cosines

    seconds = best_of(1, lambda: pair_cosines(vectors[0]))
    _told("look", vectors, "float32", seconds, 2 * vectors.shape[2], rate)


def _told(what: str, vectors, name: str, seconds: float, work: int, rate: float) -> None:
    _, count, dimensions = vectors.shape
    pairs = count * (count - 1) / 2
    report(
        what=what,
        size=f"{count} x {dimensions}",
        products=name,
        seconds=round(seconds, 3),
        pairs_per_second=round(pairs / seconds),
        gflops=round(work * pairs / seconds / 1e9),
        share_of_float32_rate=round(work * pairs / seconds / 1e9 / rate, 2),
    )


def memory() -> None:
    """The size that the whole matrix of cosines (10 GB) would not fit for."""
    from molehill.superposition.pushing import push, shifted_places

    vectors = drawn(50_000, 768)
    before = _peak()
    begun = time.perf_counter()
    push(vectors, shifted_places(768, 1), _threshold(0.15), lines=True)
    seconds = time.perf_counter() - begun
    report(
        step="50000 x 768",
        seconds=round(seconds, 1),
        pairs_per_second=round(50_000 * 49_999 / 2 / seconds),
        vectors_mb=round(vectors.numel() * 4 / 1e6),
        peak_mb_before=before,
        peak_mb=_peak(),
    )


def quality(steps: int) -> None:
    """The largest |cosine| of 10,000 lines in 100 dimensions, by steps and seconds."""
    from molehill.superposition.packing import pack

    for shifts, products in ((100, "float32"), (1, "float32"), (1, "bfloat16")):
        begun = time.perf_counter()
        found = pack(10_000, 100, steps=steps, shifts=shifts, products=products)
        report(
            lines="10000 x 100",
            shifts=shifts,
            products=products,
            steps=steps,
            seconds=round(time.perf_counter() - begun, 1),
            largest=round(found.largest, 5),
            degrees=round(found.degrees, 2),
            bound=round(found.bound, 5),
            bound_degrees=round(found.bounds.degrees, 2),
            times_the_bound=round(found.largest / found.bound, 3),
            random=round(found.random_largest, 4),
            as_worst=found.as_worst,
        )


def losses(count: int = 2000, dimensions: int = 50, steps: int = 400) -> None:
    """Other losses in as many steps of Adam, each at the best of three rates by its own worst
    pair."""
    from molehill.superposition.packing import pack

    begun = time.perf_counter()
    ours = pack(count, dimensions, steps=steps)
    report(
        loss="excess over a shrinking width, to the fourth",
        lines=f"{count} x {dimensions}",
        seconds=round(time.perf_counter() - begun, 1),
        largest=round(ours.largest, 4),
    )
    others: dict[str, Callable] = {
        "sum of exp(20 cos^2)": lambda cosines: (20 * cosines**2).exp().sum(),
        "sum of relu(|cos| - 0.1)": lambda cosines: (cosines.abs() - 0.1).relu().sum(),
        "sum of |cos|": lambda cosines: cosines.abs().sum(),
    }
    for name, loss in others.items():
        tried = []
        for rate in (0.003, 0.01, 0.03):
            begun = time.perf_counter()
            tried.append((_by_autograd(count, dimensions, steps, loss, rate), rate))
        largest, rate = min(tried)
        report(
            loss=name,
            lines=f"{count} x {dimensions}",
            seconds=round(time.perf_counter() - begun, 1),
            rate=rate,
            largest=round(largest, 4),
        )


def _by_autograd(count: int, dimensions: int, steps: int, loss: Callable, rate: float) -> float:
    """The least largest |cosine| along the way."""
    import torch

    vectors = drawn(count, dimensions)[0].requires_grad_()
    mover = torch.optim.Adam([vectors], lr=rate)
    slower = torch.optim.lr_scheduler.CosineAnnealingLR(mover, steps)
    least = 1.0
    for _ in range(steps):
        unit = torch.nn.functional.normalize(vectors, dim=1)
        cosines = (unit @ unit.T).fill_diagonal_(0)
        least = min(least, float(cosines.detach().abs().max()))
        mover.zero_grad()
        loss(cosines).backward()
        mover.step()
        slower.step()
    return least


def known() -> None:
    """Ours, the optimum and the bound, for every packing whose optimum is known."""
    from molehill.superposition.known_packings import KNOWN_PACKINGS, compare_known

    for one in KNOWN_PACKINGS:
        begun = time.perf_counter()
        (found,) = compare_known([one])
        report(
            known=one.name,
            size=f"{one.count} in {one.dimensions}",
            lines=one.lines,
            optimum=round(one.cosine, 6),
            bound=round(found.bound, 6),
            bound_name=found.bound_name,
            gap=float(f"{found.gap:.1e}"),
            starts=f"{found.reached}/{one.starts}",
            shifts=one.shifts,
            alternating=found.alternating,
            random=round(found.random, 4),
            seconds=round(time.perf_counter() - begun, 2),
        )


def _threshold(value: float):
    import torch

    return torch.tensor([value])


def _peak() -> int:
    """The most memory that the process has held, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)


if __name__ == "__main__":
    main()
