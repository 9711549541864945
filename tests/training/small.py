"""A corpus of a few thousand tokens and a recipe that learns it in a second, for tests of runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from molehill.text import build_corpus
from molehill.training import Recipe, read_recipe
from molehill.village import make_world, tell

STEPS = 40

RECIPE = """
[corpus]
folder = "corpus"

[model]
size = "tiny"
n_layers = 1
d_model = 32

[training]
steps = 40
batch = 4
context = 16
compile = "never"

[evaluation]
every = 0
tokens = 200

[checkpoints]
every = 10
"""


def make_corpus(folder: Path) -> Path:
    """A folder with a corpus of two kinds and a recipe beside it; returns the recipe's path."""
    told = [one.text for one in tell(make_world(), 1_000)]
    for name, texts in (("prose", told[:700]), ("verse", told[700:])):
        (folder / f"{name}.txt").write_text("\n".join(texts))
    kinds = {"prose": folder / "prose.txt", "verse": folder / "verse.txt"}
    build_corpus(kinds, folder / "corpus", d_vocab=300, split="line", held_out=0.05)
    path = folder / "recipe.toml"
    path.write_text(RECIPE)
    return path


def small_recipe(path: Path, **changes: Any) -> Recipe:
    """The recipe with keys replaced: `training__steps=3`."""
    return read_recipe(path, {key.replace("__", "."): value for key, value in changes.items()})


def metrics(run: Path) -> list[dict[str, Any]]:
    """Every line of a run's metrics."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def losses(run: Path) -> dict[int, tuple[float, float]]:
    """Step to loss and length of the gradient; a step that stands twice is an error."""
    found: dict[int, tuple[float, float]] = {}
    for line in metrics(run):
        if line["event"] == "stepped":
            assert line["step"] not in found, f"step {line['step']} stands twice"
            found[line["step"]] = (line["loss"], line["grad_norm"])
    return found


def molehill_process(*arguments: object, threads: int = 1, **options: Any) -> subprocess.Popen[str]:
    """The command line in a fresh process, on one thread if nothing else is said."""
    return subprocess.Popen(
        [sys.executable, "-m", "molehill", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "PYTHONUNBUFFERED": "1"},
        **options,
    )
