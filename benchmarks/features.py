"""The inner loop of training a TopK autoencoder: vectors per second, ours and the neighbours', and
how much each explains after as many steps.

Real vectors: SmolLM2's residual stream after layer 15 over the texts that are given. Everything
runs in one process, in turn, on the same batches. Beside it stand the machine's limits: the
encoder's product alone, and the five dense products of a step. In the neighbours' environment:

    PYTHONPATH=src .venv-peers-sae/bin/python benchmarks/features.py --texts FOLDER
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from _feature_peers import PEERS
from _machine import machine, report
from _measure import in_turn
from torch import Tensor

from molehill.errors import MissingExtraError
from molehill.features.learner import Job, Learner, settings_for
from molehill.features.memory import keep_freed_memory

_SITE = "15.resid_post"
_BATCH = 4096


class _Ours:
    def __init__(
        self, d: int, features: int, k: int, rate: float, steps: int, fast: bool, first: Tensor
    ) -> None:
        settings = settings_for({"x": d}, "topk", ["x"], [], features, k=k)
        products = "bfloat16" if fast else "float32"
        self.learner = Learner(
            Job("ours", settings, ("x",), rate=rate), {"x": first}, products=products
        )
        self.steps, self.done = steps, 0

    def step(self, x: Tensor) -> None:
        share = min(
            1.0,
            (self.done + 1) / max(1, self.steps // 20),
            (self.steps - self.done) / max(1, self.steps // 5),
        )
        self.learner.learn({"x": x}, rate=max(0.0, share))
        self.done += 1

    def output(self, x: Tensor) -> Tensor:
        return self.learner.finished()(x)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", nargs="*", default=["docs"], help="files and folders")
    parser.add_argument("--rows", type=int, default=65_536, help="vectors that are recorded")
    parser.add_argument("--features", type=int, nargs="*", default=[4608, 16384])
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=0, help="also train so long and compare")
    parser.add_argument("--rate", type=float, default=6e-4)
    parser.add_argument("--kept", default=".cache/benchmark-features.safetensors")
    given = parser.parse_args()
    keep_freed_memory()
    report(machine=machine())
    rows = _vectors(given.texts, given.rows, Path(given.kept))
    # All of them expect vectors of about this length; ours would scale them by itself.
    rows = rows * (rows.shape[1] / rows.square().sum(1).mean()).sqrt()
    batches = [rows[at : at + _BATCH] for at in range(0, len(rows) - _BATCH + 1, _BATCH)]
    for features in given.features:
        _limits(rows.shape[1], features, given.rounds)
        for fast in (True, False):
            _speed(given, batches, features, fast)
        if given.steps:
            _quality(given, batches, features)


def _vectors(texts: list[str], rows: int, kept: Path) -> Tensor:
    from safetensors.torch import load_file, save_file

    if kept.exists() and len(found := load_file(kept)["rows"]) >= rows:
        return found[:rows].float()
    import molehill
    from molehill.features.activations import Live, Place
    from molehill.text.documents import documents

    lm = molehill.load("smollm2", dtype="bfloat16")
    source = Live(lm, [_SITE], lambda: (one.text for one in documents(texts)), context=256)
    held: list[Tensor] = []
    start = time.perf_counter()
    for batch, _ in source.batches(_BATCH, Place()):
        held.append(batch[_SITE])
        if len(held) * _BATCH >= rows:
            break
    took = time.perf_counter() - start
    report(benchmark="features", case="making rows", vectors_per_s=round(rows / took))
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_file({"rows": torch.cat(held)}, kept)
    return torch.cat(held)[:rows].float()


def _limits(d: int, features: int, rounds: int) -> None:
    """What dense products alone would allow, in both number formats."""
    for dtype in (torch.bfloat16, torch.float32):
        x, w = torch.randn(_BATCH, d).to(dtype), torch.randn(features, d).to(dtype)
        z, out = torch.randn(_BATCH, features).to(dtype), torch.empty(_BATCH, features, dtype=dtype)

        def five(x=x, w=w, z=z, out=out) -> None:
            torch.mm(x, w.T, out=out)
            z @ w, z.T @ x, z.T @ x
            torch.mm(x, w.T, out=out)

        took = in_turn(
            {"encode": lambda x=x, w=w, out=out: torch.mm(x, w.T, out=out), "five": five}, rounds
        )
        for case, times in took.items():
            report(
                benchmark="features",
                case=f"limit: {case} product{'s' if case == 'five' else ''}",
                features=features,
                dtype=str(dtype).removeprefix("torch."),
                vectors_per_s=round(_BATCH / times["least"]),
            )


def _made(given: argparse.Namespace, first: Tensor, features: int, fast: bool, steps: int) -> dict:
    made = {}
    for name, kind in PEERS.items():
        try:
            made[name] = kind(first.shape[1], features, given.k, given.rate, steps, fast)
        except (ImportError, MissingExtraError) as error:
            report(benchmark="features", case=name, left_out=str(error))
    made["ours"] = _Ours(first.shape[1], features, given.k, given.rate, steps, fast, first)
    return made


def _speed(given: argparse.Namespace, batches: list[Tensor], features: int, fast: bool) -> None:
    made = _made(given, batches[0], features, fast, 10_000)
    cases = {name: lambda one=one: one.step(batches[0]) for name, one in made.items()}
    took = in_turn(cases, given.rounds)
    ours = took["ours"]["seconds"]
    for name, times in took.items():
        report(
            benchmark="features",
            case=name,
            features=features,
            k=given.k,
            products="bfloat16, fused Adam" if fast else "float32, as it comes",
            vectors_per_s=round(_BATCH / times["seconds"]),
            best_vectors_per_s=round(_BATCH / times["least"]),
            ours_is_faster_by=round(times["seconds"] / ours, 2),
            others=times["others"],
        )


def _quality(given: argparse.Namespace, batches: list[Tensor], features: int) -> None:
    """How much of a batch that nobody saw each explains after the same steps on the others."""
    *learn, held = batches
    for fast in (True, False):
        for name, one in _made(given, learn[0], features, fast, given.steps).items():
            torch.manual_seed(0)
            start = time.perf_counter()
            for step in range(given.steps):
                one.step(learn[step % len(learn)])
            took = time.perf_counter() - start
            with torch.no_grad():
                rest = (held - one.output(held).float()).square().sum()
            report(
                benchmark="features quality",
                case=name,
                features=features,
                products="bfloat16" if fast else "float32",
                steps=given.steps,
                seconds=round(took, 1),
                explained=round(1 - float(rest / (held - held.mean(0)).square().sum()), 4),
            )


if __name__ == "__main__":
    main()
