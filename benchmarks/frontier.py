"""The frontier: explained variance and loss recovered against L0, ours and sae-lens's TopK, trained
on the same vectors in the same order and scored on the same held-out texts.

In the neighbours' environment:

    PYTHONPATH=src .venv-peers-sae/bin/python benchmarks/frontier.py --texts FOLDER --rows 500000

Every twentieth document is held out. The vectors, SmolLM2's stream after layer 15, are made once
and kept (--kept). sae-lens trains by its own trainer's step, at each of --their-rates (ours and its
own default, unless others are said), and the best one counts; its weights are read as `molehill
features convert` reads them. Files of ours and theirs go to --files, for `molehill features
evaluate` to draw, and those that are there are not made again. All are scored at the end, on the
same tokens in one pass; lines go to --out as JSON.

Explained variance is told twice: over all held-out vectors, and without the few that are more than
ten times as long as the median, which hold two fifths of the variance.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from _feature_peers import PEERS
from _machine import machine, report
from torch import Tensor

import molehill
from molehill.features.activations import Live, Place
from molehill.features.evaluating import held_out_rows
from molehill.features.foreign import Placing
from molehill.features.learner import Job, Learner, settings_for
from molehill.features.memory import keep_freed_memory
from molehill.features.recipe import default_rate
from molehill.features.saelens import read_saelens
from molehill.features.scoring import score_rows
from molehill.features.splicing import LeftOut, spliced_losses_of_each
from molehill.features.trained import Features, load_features, save_features
from molehill.language_model import LanguageModel
from molehill.text.documents import documents

_BATCH = 4096
_HELD_OUT_OF = 20
_THEIR_RATE = 3e-4
"""What sae-lens takes where nobody says another."""


def texts(paths: list[str], *, held_out: bool) -> Iterator[str]:
    """The documents of one side."""
    for number, one in enumerate(documents(paths)):
        if (number % _HELD_OUT_OF == _HELD_OUT_OF - 1) == held_out:
            yield one.text


def vectors(given: argparse.Namespace, lm: LanguageModel) -> Tensor:
    """The rows to learn from, made once."""
    from safetensors.torch import load_file, save_file

    kept = Path(given.kept)
    if kept.exists() and len(found := load_file(kept)["rows"]) >= given.rows:
        return found[: given.rows]

    def corpus() -> Iterable[str]:
        return texts(given.texts, held_out=False)

    source = Live(lm, [given.site], corpus, context=given.context)
    wanted, start = -(-given.rows // _BATCH), time.perf_counter()
    batches = [batch[given.site] for batch, _ in islice(source.batches(_BATCH, Place()), wanted)]
    rows = torch.cat(batches)[: given.rows].bfloat16()
    report(case="rows made", vectors_per_s=round(len(rows) / (time.perf_counter() - start)))
    kept.parent.mkdir(parents=True, exist_ok=True)
    save_file({"rows": rows.contiguous()}, kept)
    return rows


def batches(rows: Tensor, epochs: int, seed: int) -> Iterator[Tensor]:
    """The same batches in the same order for everybody."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=generator)
        for at in range(0, len(rows) - _BATCH + 1, _BATCH):
            yield rows[order[at : at + _BATCH]].float()


def ours(given: argparse.Namespace, rows: Tensor, k: int, architecture: str) -> Features:
    """Our autoencoder, by the defaults of a recipe."""
    sites = (given.site,)
    settings = settings_for(
        {given.site: rows.shape[1]}, architecture, sites, (), given.features, k=k
    )
    steps = given.epochs * (len(rows) // _BATCH)
    rate = default_rate(given.features, steps)
    job = Job(f"{architecture}-{k}", settings, sites, rate=rate, seed=given.seed)
    learner = None
    for step, batch in enumerate(batches(rows, given.epochs, given.seed)):
        if learner is None:
            learner = Learner(job, {given.site: batch}, products=given.products)
        rate = min(1.0, (step + 1) / max(1, steps // 20), (steps - step) / max(1, steps // 5))
        learner.learn({given.site: batch}, rate)
    assert learner is not None, "fewer rows than a batch"
    return Features(learner.finished(), sites, sites, job.name)


def theirs(given: argparse.Namespace, rows: Tensor, k: int, rate: float) -> Features:
    """sae-lens's autoencoder by its own trainer's step, read from the folder that it saves."""
    steps = given.epochs * (len(rows) // _BATCH)
    peer = PEERS["sae-lens"](
        rows.shape[1], given.features, k, rate, steps, given.products == "bfloat16"
    )
    power = rows[:65_536].float().square().sum(1).mean().item()
    factor = (rows.shape[1] / power) ** 0.5
    for batch in batches(rows, given.epochs, given.seed):
        peer.step(batch * factor)
    sites = (given.site,)
    with tempfile.TemporaryDirectory() as folder:
        peer.sae.save_inference_model(folder)
        found = read_saelens(folder, Placing(None, given.site)).features
    scale = torch.full((rows.shape[1],), factor)
    autoencoder = found.autoencoder.unscaled(scale, scale).eval()
    return Features(autoencoder, sites, sites, f"sae-lens-{k}-{rate:g}")


def score(
    given: argparse.Namespace, lm: LanguageModel, several: Sequence[Features]
) -> Iterator[dict[str, Any]]:
    """On held-out texts."""
    left_out, most = LeftOut(1, True), given.held_out

    def held_out() -> Iterator[str]:
        return texts(given.texts, held_out=True)

    rows = list(
        held_out_rows(lm, several[0], held_out(), left_out, given.context, most_tokens=most)
    )
    lengths = torch.cat([one[given.site].float().norm(dim=1) for one in rows])
    longest = 10 * lengths.median()
    short = [{given.site: one[given.site][one[given.site].norm(dim=1) < longest]} for one in rows]
    losses = spliced_losses_of_each(
        lm, several, held_out(), context=given.context, left_out=left_out, most_tokens=most
    )
    for features, loss in zip(several, losses, strict=True):
        found = score_rows(features, rows)
        yield {
            "l0": found.l0,
            "explained_variance": found.explained_variance,
            "explained_variance_ordinary": score_rows(features, short).explained_variance,
            "ce_loss_score": loss.recovered,
            "ce_from_mean": loss.recovered_from_mean,
            "frac_alive": found.frac_alive,
            "rows": found.rows,
            "long_rows": int((lengths >= longest).sum()),
        }


def wanted(given: argparse.Namespace, steps: int) -> Iterator[tuple[str, int, float | None]]:
    """Who, k, and their rate."""
    theirs = given.their_rates or _their_rates(given.features, steps)
    for k in given.k:
        for architecture in given.architectures:
            yield architecture, k, None
        for rate in () if given.no_peer else theirs:
            yield "sae-lens", k, rate


def _their_rates(features: int, steps: int) -> tuple[float, ...]:
    return tuple(dict.fromkeys((default_rate(features, steps), _THEIR_RATE)))


def trained(
    given: argparse.Namespace,
    lm: LanguageModel,
    rows: Tensor,
    who: str,
    k: int,
    rate: float | None,
) -> tuple[dict[str, Any], Features]:
    """An autoencoder with what is told of it; read, where it was made before."""
    name = f"{who}-{k}" if rate is None else f"{who}-{k}-{rate:g}"
    learnt = given.epochs * (len(rows) // _BATCH) * _BATCH
    about: dict[str, Any] = {"who": who, "rate": rate, "k": k}
    about |= {"features": given.features, "learnt": learnt}
    path = given.files / f"{name}.safetensors"
    if path.exists():
        return about, load_features(path)
    start = time.perf_counter()
    made = ours(given, rows, k, who) if rate is None else theirs(given, rows, k, rate)
    features = replace(
        made,
        model=lm.name,
        fingerprint=lm.fingerprint,
        provenance={"rows": learnt, "data": {"skip_first": 1, "skip_special": True}},
    )
    save_features(features, path)
    report(**about, seconds=round(time.perf_counter() - start))
    return about, features


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--texts", nargs="+", required=True, help="files and folders")
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--site", default="15.resid_post")
    parser.add_argument("--context", type=int, default=256)
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the order and of our weights")
    parser.add_argument("--features", type=int, default=4608)
    parser.add_argument("--k", type=int, nargs="+", default=[16, 32, 64, 128])
    parser.add_argument("--architectures", nargs="+", default=["topk"])
    parser.add_argument("--no-peer", action="store_true")
    parser.add_argument("--their-rates", type=float, nargs="+")
    parser.add_argument("--products", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--held-out", type=int, default=20_000, help="tokens to score on")
    parser.add_argument("--kept", default=".cache/frontier-rows.safetensors")
    parser.add_argument("--out", type=Path, default=Path("frontier.jsonl"))
    parser.add_argument("--files", type=Path, default=Path("frontier"))
    given = parser.parse_args()
    keep_freed_memory()
    report(machine=machine())
    lm = molehill.load(given.model, dtype="bfloat16")
    rows = vectors(given, lm)
    given.files.mkdir(parents=True, exist_ok=True)
    steps = given.epochs * (len(rows) // _BATCH)
    made = [trained(given, lm, rows, *each) for each in wanted(given, steps)]
    lines = zip(made, score(given, lm, [features for _, features in made]), strict=True)
    with given.out.open("a") as file:
        for (about, _), found in lines:
            file.write(json.dumps({**about, **found}) + "\n")
            report(**about, **found)


if __name__ == "__main__":
    main()
