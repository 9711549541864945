"""Autoencoders of every architecture on the village's model, scored against the village's truth.

    python benchmarks/village_features.py               # the table of docs/rooms/features.md
    python benchmarks/village_features.py --only topk --seeds 0 --steps 500
    python benchmarks/village_features.py --ceilings    # what is there to find, site by site

Each line is one autoencoder; lines are appended to --out as JSON, and those that are there are not
made again. One thread; a line takes one to two minutes.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import molehill
from molehill.cli.features_truth import LINE, VillageTruth, village_scores, village_truth
from molehill.features.learner import Job, Learner, settings_for
from molehill.features.trained import Features
from molehill.features.truth import linear_ceiling

SITE = "1.resid_post"
SITES = tuple(f"{layer}.{part}" for layer in range(3) for part in ("resid_mid", "resid_post"))
RUNS: dict[str, dict[str, Any]] = {
    "topk": {"k": 8},
    "batchtopk": {"k": 8},
    "matryoshka": {"k": 8},
    "jumprelu": {"penalty": 0.3},
    "relu": {"penalty": 2.0},
    "gated": {"penalty": 2.0},
}
BATCH = 1024


def train(truth: VillageTruth, site: str, architecture: str, seed: int, args: Any) -> Features:
    """An autoencoder that learnt from the vectors at a site."""
    x = truth.rows[site]
    choices = dict(RUNS[architecture])
    if args.k and "k" in choices:
        choices["k"] = args.k
    if args.penalty and "penalty" in choices:
        choices["penalty"] = args.penalty
    settings = settings_for(
        {site: x.shape[1]}, architecture, (site,), (), args.features, dead_after=50_000, **choices
    )
    generator = torch.Generator().manual_seed(seed)
    job = Job(architecture, settings, (site,), rate=args.rate, seed=seed)
    learner = Learner(job, {site: x[:8192]}, products="float32")
    for step in range(args.steps):
        rows = torch.randint(0, len(x), (BATCH,), generator=generator)
        rate = min(1.0, (step + 1) / (0.05 * args.steps), (args.steps - step) / (0.2 * args.steps))
        penalty = min(1.0, (step + 1) / (0.1 * args.steps))
        learner.learn({site: x[rows]}, rate, penalty)
    return Features(learner.finished(), (site,), (site,), architecture)


def line(features: Features, held_out: VillageTruth) -> dict[str, Any]:
    """What it explains and has found, in sentences that it did not learn from."""
    site = features.reads[0]
    x = held_out.rows[site]
    with torch.no_grad():
        error = (x - features.autoencoder(x)).square().sum()
        alive = (features.autoencoder.encode(x).counts() > 0).float().mean()
    found = village_scores(held_out, features, deep=False)
    return {
        "explained": 1 - (error / (x - x.mean(0)).square().sum()).item(),
        "alive": alive.item(),
        "l0": found["l0"],
        "used": found["used"],
        "everywhere": found["everywhere"]["found"],
        "recall_effects": found["directions"]["effects"]["recall"],
        "mmcs_effects": found["directions"]["effects"]["mmcs"],
        "recall_means": found["directions"]["means"]["recall"],
        "mmcs_means": found["directions"]["means"]["mmcs"],
        "control": found["used"]["control"],
    }


def ceilings(lm: Any) -> None:
    """What linear probes can tell, of each kind, at each site."""
    truth = village_truth(lm, SITES)
    asked = [(site, "used", truth.used) for site in SITES]
    for site, name, one in [*asked, (SITE, "everywhere", truth.everywhere)]:
        f1 = linear_ceiling(truth.rows[site], one, choosing=truth.choosing)
        kinds = [
            f"{(f1[numbers] > LINE).double().mean():.2f} ({f1[numbers].mean():.2f})"
            for numbers in truth.of_kind().values()
        ]
        cells = (site, name, f"{(f1 > LINE).double().mean():.3f}", *kinds)
        print(f"| {' | '.join(cells)} |", flush=True)


def table(lines: list[dict[str, Any]]) -> None:
    """Means over seeds, and the smallest and largest."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for one in lines:
        groups.setdefault(one["what"], []).append(one)
    for what, group in groups.items():

        def mean(get: Any, group: list[dict[str, Any]] = group) -> str:
            values = [get(one) for one in group]
            spread = f" ({min(values):.2f}-{max(values):.2f})" if len(values) > 1 else ""
            return f"{statistics.fmean(values):.2f}{spread}"

        kinds = ("sense", "kind", "topic", "relation", "subject", "fact")
        cells = [
            what,
            str(len(group)),
            f"{statistics.fmean(one['l0'] for one in group):.1f}",
            f"{statistics.fmean(one['explained'] for one in group):.4f}",
            f"{statistics.fmean(one['alive'] for one in group):.2f}",
            mean(lambda one: one["used"]["found"]),
            *(mean(lambda one, k=kind: one["used"]["by_kind"][k]["found"]) for kind in kinds),
            f"{statistics.fmean(one['mmcs_effects'] for one in group):.2f}",
            f"{statistics.fmean(one['recall_effects'] for one in group):.3f}",
        ]
        print(f"| {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(RUNS), default=list(RUNS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--site", default=SITE)
    parser.add_argument("--features", type=int, default=768)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--k", type=int)
    parser.add_argument("--penalty", type=float)
    parser.add_argument("--out", type=Path, default=Path("village_features.jsonl"))
    parser.add_argument("--ceilings", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lm = molehill.load("village")
    if args.ceilings:
        ceilings(lm)
        return
    known = args.out.read_text().splitlines() if args.out.exists() else []
    lines = [json.loads(one) for one in known]
    learning = village_truth(lm, (args.site,), sentences=24_000, seed=7)
    held_out = village_truth(lm, (args.site,), sentences=8_000)
    for seed in args.seeds:
        for architecture in args.only:
            value = args.k if "k" in RUNS[architecture] else args.penalty
            chosen = value or next(iter(RUNS[architecture].values()))
            name = next(iter(RUNS[architecture]))
            what = (
                f"{architecture}, {name} {chosen:g}, {args.features} at {args.site}, "
                f"{args.steps} steps at {args.rate:g}"
            )
            if any(one["what"] == what and one["seed"] == seed for one in lines):
                continue
            begin = time.perf_counter()
            features = train(learning, args.site, architecture, seed, args)
            made = {"what": what, "seed": seed, **line(features, held_out)}
            made["seconds"] = time.perf_counter() - begin
            lines.append(made)
            with args.out.open("a") as file:
                file.write(json.dumps(made) + "\n")
            print(what, seed, f"{made['seconds']:.0f} s", flush=True)
            table([made])
    table(lines)


if __name__ == "__main__":
    main()
