"""How many tokens it takes to learn as much: the default recipe against AdamW with a tuned rate.

    python benchmarks/learning.py [CORPUS] [--tokens 1024000] [--seeds 3] [--out build/learning]

AdamW trains a small model on so many tokens at each of several rates; the rate whose held-out loss
is lowest is trained with further seeds. Then the default optimizer trains on half as many tokens,
with a schedule of that length, and its defaults as they are. Everything else is the same: model,
text, order of rows for a seed, schedule's form. Each run is one process on one thread, as many at a
time as there are cores; a run that is finished is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from _machine import report

RECIPE = """
[corpus]
folder = "{corpus}"

[model]
preset = "{preset}"
n_layers = 4
d_model = 128
n_heads = 4

[training]
context = 128
batch = 8
steps = 1
compile = "never"

[evaluation]
every = 0
tokens = 16384
"""
RATES = (0.0003, 0.0006, 0.0012, 0.0024)
STEP_TOKENS = 8 * 128


def main() -> None:
    arguments = parse()
    corpus = Path(arguments.corpus).resolve()
    if not corpus.is_dir():
        report(benchmark="learning", skipped=f"{corpus} is not there; name a corpus's folder")
        return
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    recipe = out / f"{arguments.preset}.toml"
    recipe.write_text(RECIPE.format(corpus=corpus, preset=arguments.preset))
    steps = arguments.tokens // STEP_TOKENS

    def losses(name: str, runs: list[dict[str, object]]) -> list[float]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(lambda keys: loss_after(recipe, out / name, keys), runs))
        for keys, loss in zip(runs, found, strict=True):
            report(benchmark="learning", preset=arguments.preset, case=name, **keys, loss=loss)
        return found

    plain = {"optimizer.matrices": "adamw", "training.steps": steps}
    tried = losses("adamw", [plain | {"optimizer.adamw_rate": rate} for rate in RATES])
    best = RATES[tried.index(min(tried))]
    plain |= {"optimizer.adamw_rate": best}
    adamw = losses("adamw", [plain | {"training.seed": seed} for seed in range(arguments.seeds)])
    half = {"training.steps": steps // 2}
    ours = losses("default", [half | {"training.seed": seed} for seed in range(arguments.seeds)])
    report(
        benchmark="learning",
        preset=arguments.preset,
        tokens=steps * STEP_TOKENS,
        adamw_rate=best,
        best_is_inside=best not in (RATES[0], RATES[-1]),
        adamw_loss=round(statistics.mean(adamw), 4),
        adamw_spread=round(max(adamw) - min(adamw), 4),
        half_the_tokens_loss=round(statistics.mean(ours), 4),
        half_the_tokens_spread=round(max(ours) - min(ours), 4),
        reached=max(ours) <= min(adamw),
    )


def loss_after(recipe: Path, place: Path, keys: dict[str, object]) -> float:
    """Nats per held-out token at the end of the run of these keys; the run is made if it is not
    there."""
    seed = keys.get("training.seed", 0)
    rate = keys.get("optimizer.adamw_rate", "default")
    run = place / f"{recipe.stem}-{keys['training.steps']}-{rate}-{seed}"
    if not (run / "final").is_dir():
        given = [f"--set={key}={value}" for key, value in keys.items()]
        command = [sys.executable, "-m", "molehill", "train", str(recipe), "--out", str(run)]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, *given], env=one_thread, check=True, stdout=subprocess.DEVNULL)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    told = [json.loads(line) for line in lines]
    return next(one["loss"] for one in reversed(told) if one["event"] == "evaluated")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", nargs="?", default="build/lexicon-corpus")
    parser.add_argument("--preset", default="notes")
    parser.add_argument("--tokens", type=int, default=1_024_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", default="build/learning")
    return parser.parse_args()


if __name__ == "__main__":
    main()
