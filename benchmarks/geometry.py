"""A model's geometry: cosines of all pairs of its token table, its hubs, and the whole report.

Beside our pass over blocks stand, on as many rows as their memory allows, the whole matrix of
cosines by torch and by numpy with the same three results taken from it (histogram, nearest, closest
pairs), and scikit-learn's search for the ten nearest. Pairs a second are also told as a share of
what the machine's own product rate would give for one product per pair.

python benchmarks/geometry.py [--model smollm2] [--subset 8192] [--rounds 3] [--whole]
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import torch
from _machine import machine, report
from _measure import in_turn, peak_memory, peak_of_this_process


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--subset", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="only the report, for its memory")
    given = parser.parse_args()
    if given.whole:
        _whole_report(given.model)
        print(peak_of_this_process())
        return
    here = machine()
    report(machine=here)
    import molehill

    table = molehill.load(given.model).model.w_token.detach().float()
    _peers(table[: given.subset], given.rounds)
    _full(table, here)
    start = time.perf_counter()
    peak = peak_memory(__file__, "--model", given.model, "--whole")
    report(
        benchmark="geometry",
        case="whole report, loading included",
        seconds=round(time.perf_counter() - start, 1),
        peak_mb=peak,
    )


def _whole_report(model: str) -> None:
    import molehill
    from molehill.superposition.report import report as geometry

    geometry(molehill.load(model).model)


def _full(table: torch.Tensor, here: dict[str, object]) -> None:
    """The passes over the whole table, once each."""
    from molehill.superposition.cosines import largest_cosine, pair_cosines
    from molehill.superposition.hubs import nearest_rows

    count, width = table.shape
    pairs = count * (count - 1) // 2
    cases: dict[str, tuple[Any, str]] = {
        "cosines of all pairs": (lambda: pair_cosines(table, bins=400), "float32_gflops"),
        "only the largest": (lambda: largest_cosine(table), "bfloat16_gflops"),
        "ten nearest of all": (lambda: nearest_rows(table, 10), "bfloat16_gflops"),
    }
    for case, (work, rate) in cases.items():
        products = count * count if case == "ten nearest of all" else pairs
        took = in_turn({case: work}, 1, warm_up=False)[case]
        gflops = 2 * products * width / took["seconds"] / 1e9
        report(
            benchmark="geometry",
            case=case,
            rows=count,
            seconds=round(took["seconds"], 2),
            million_pairs_per_s=round(products / took["seconds"] / 1e6),
            share_of_product_rate=round(gflops / float(str(here[rate])), 2),
            rate=rate,
            others=took["others"],
        )


def _peers(table: torch.Tensor, rounds: int) -> None:
    """Ours and the others' on the first rows."""
    from molehill.superposition.cosines import pair_cosines
    from molehill.superposition.hubs import nearest_rows

    cases: dict[str, Any] = {
        "ours, all pairs": lambda: pair_cosines(table, bins=400),
        "whole matrix, torch": lambda: _whole_torch(table),
        "whole matrix, numpy": lambda: _whole_numpy(table),
        "ours, ten nearest": lambda: nearest_rows(table, 10),
        "scikit-learn, ten nearest": lambda: _neighbours(table),
    }
    took = in_turn(cases, rounds)
    for case, times in took.items():
        ours = took["ours, ten nearest" if "nearest" in case else "ours, all pairs"]
        report(
            benchmark="geometry",
            case=case,
            rows=len(table),
            seconds=round(times["seconds"], 3),
            times_ours=round(times["seconds"] / ours["seconds"], 2),
            others=times["others"],
        )


def _whole_torch(table: torch.Tensor) -> tuple[torch.Tensor, ...]:
    unit = torch.nn.functional.normalize(table, dim=1)
    cosines = unit @ unit.T
    upper = torch.triu_indices(len(unit), len(unit), offset=1)
    pairs = cosines[upper[0], upper[1]]
    histogram = torch.histc(pairs, 400, -1, 1)
    closest = pairs.abs().topk(20)
    nearest = cosines.fill_diagonal_(0).abs().max(1)
    return histogram, *closest, *nearest


def _whole_numpy(table: torch.Tensor) -> tuple[Any, ...]:
    import numpy as np

    unit = table.numpy() / np.linalg.norm(table.numpy(), axis=1, keepdims=True)
    cosines = unit @ unit.T
    pairs = cosines[np.triu_indices(len(unit), 1)]
    histogram = np.histogram(pairs, 400, (-1, 1))
    closest = np.argpartition(np.abs(pairs), -20)[-20:]
    np.fill_diagonal(cosines, 0)
    return histogram, closest, np.abs(cosines).argmax(1)


def _neighbours(table: torch.Tensor) -> Any:
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=11, metric="cosine", algorithm="brute").fit(table.numpy())
    return found.kneighbors(table.numpy(), return_distance=False)


if __name__ == "__main__":
    main()
