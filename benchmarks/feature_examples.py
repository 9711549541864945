"""The pass that fills an examples file: tokens per second, split into the model, the encoder and
what is kept; the most memory at two sizes of the texts; and the dense way beside it.

Without a file of features, random ones of the given number are used: they cost the same.

    PYTHONPATH=src python benchmarks/feature_examples.py --texts FOLDER --model smollm2
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import Any

import torch
from _machine import machine, report
from _measure import peak_memory, peak_of_this_process

import molehill
from molehill.features.activations import Live, Place
from molehill.features.autoencoder import Settings
from molehill.features.examples_writing import write_examples
from molehill.features.gathering import Gathering, gather
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features, load_features
from molehill.text.documents import documents

_CHUNK = 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", nargs="*", default=["docs"], help="files and folders")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--site", default="15.resid_post")
    parser.add_argument("--file", help="features; else random ones")
    parser.add_argument("--features", type=int, default=16_384)
    parser.add_argument("--k", type=int, default=32)
    parser.add_argument("--tokens", type=int, nargs=2, default=[16_384, 65_536])
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--whole", help="also write the whole file here, with effects and labels")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one is not None:
        _pass(given, given.one)
        print(peak_of_this_process())
        return
    report(machine=machine())
    for tokens in given.tokens:
        lasts = peak_memory(__file__, *sys.argv[1:], "--one", str(tokens))
        report(tokens=tokens, peak_mb=lasts)
    found, took = _pass(given, given.tokens[1])
    assert found.seconds is not None, "the pass counts them"
    report(
        features=len(found.counts),
        rows=found.rows,
        rows_per_s=round(found.rows / took),
        **{f"{name}_share": round(one / took, 3) for name, one in found.seconds.items()},
        keep_us_a_row=round(1e6 * found.seconds["keep"] / found.rows, 1),
        table_mb=round(found.nbytes / 1e6),
    )
    report(dense_us_a_row=round(1e6 * _dense(given), 1))
    if given.whole:
        _whole(given)


def _setting(given: argparse.Namespace) -> tuple[Any, Features]:
    lm = molehill.load(given.model)
    if given.file:
        return lm, load_features(given.file)
    width = lm.config.d_model
    settings = Settings("topk", width, width, given.features, k=given.k)
    made = make_autoencoder(settings, seed=11)
    return lm, Features(made.eval(), (given.site,), (given.site,), "random", lm.name)


def _texts(given: argparse.Namespace) -> Any:
    """The texts, again and again."""
    return cycle(
        [one.text for one in documents(given.texts, split="paragraph") if one.text.strip()]
    )


def _pass(given: argparse.Namespace, tokens: int) -> tuple[Any, float]:
    lm, features = _setting(given)
    settings = Gathering(context=given.context, most_tokens=tokens)
    start = time.perf_counter()
    found = gather(lm, features, _texts(given), settings, lambda number, window: None)
    return found, time.perf_counter() - start


@torch.no_grad()
def _dense(given: argparse.Namespace) -> float:
    """Seconds a row of keeping the same by dense tables: the 20 largest, counts and pairs."""
    lm, features = _setting(given)
    source = Live(lm, features.reads, lambda: islice(_texts(given), 2000), given.context, _CHUNK)
    batch, _ = next(source.batches(1024, Place()))
    codes = features.encode(batch)
    best = torch.zeros(features.n_features, 20)
    pairs = torch.zeros(features.n_features, features.n_features)
    start = time.perf_counter()
    table = codes.dense()
    best = torch.cat((best, table.T), 1).topk(20, dim=1).values
    active = (table > 0).float()
    pairs.addmm_(active.T, active)
    (active.sum(0), table.sum(0), table.amax(0), best)
    return (time.perf_counter() - start) / 1024


def _whole(given: argparse.Namespace) -> None:
    lm, features = _setting(given)
    settings = Gathering(context=given.context, most_tokens=given.tokens[1])
    stages: list[tuple[str, float]] = []
    begun = time.perf_counter()
    write_examples(
        given.whole,
        lm,
        features,
        _texts(given),
        settings,
        told=lambda stage: stages.append((stage, time.perf_counter() - begun)),
    )
    stages.append(("end", time.perf_counter() - begun))
    report(
        **{
            f"{name.lower()}_s": round(after - at, 1) for (name, at), (_, after) in pairwise(stages)
        },
        file_mb=round(Path(given.whole).stat().st_size / 1e6, 1),
    )


if __name__ == "__main__":
    main()
