"""Two processes train what one does: by rows and by features. Their talk goes through gloo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.features.test_loop import RECIPE
from tests.trace.small_families import build
from tests.trace.test_store import corpus, word_tokenizer

from molehill.checkpoints.save import save_checkpoint
from molehill.errors import ConfigError
from molehill.features.loop import _check_shared, train_features
from molehill.features.recipe import read_features_recipe
from molehill.features.sharing import Sharing
from molehill.features.trained import load_features

PARTS = """
[[autoencoder]]
name = "top"
reads = "0.resid_post"
features = 24
k = 3
dead_after = 100
[[autoencoder]]
name = "rectified"
architecture = "relu"
reads = "0.resid_post"
features = 24
penalty = 0.5
[[autoencoder]]
name = "jump"
architecture = "jumprelu"
reads = "0.mlp.in"
writes = "0.mlp.out"
features = 21
skip = true
[[autoencoder]]
name = "batch"
architecture = "batchtopk"
reads = "0.resid_post"
features = 24
k = 3
auxiliary = 0.0
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a model, texts and a recipe."""
    folder = tmp_path_factory.mktemp("shared")
    model = build("llama", torch.float32)
    tokenizer = word_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    save_checkpoint(model, tokenizer, folder / "tiny", family="molehill")
    texts = "\n\n".join(text or "mole" for text in corpus(40))
    (folder / "texts.txt").write_text(texts)
    head = RECIPE[: RECIPE.index("[[autoencoder]]")].replace('"tiny"', f'"{folder / "tiny"}"')
    head = head.replace("rows = 480", "rows = 160").replace("[data]", 'dtype = "float32"\n[data]')
    (folder / "recipe.toml").write_text(head + PARTS)
    return folder


def together(place: Path, run: str, *changes: str) -> str:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    recipe, out = str(place / "recipe.toml"), str(place / run)
    command = ["-m", "molehill", "features", "train", recipe, "--out", out, "--every", "1"]
    done = subprocess.run(
        [sys.executable, *launcher, *command, *(f"--set={change}" for change in changes)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("kind", ["rows", "features"])
def test_two_processes_learn_what_one_does(place, kind):
    said = together(place, kind, f"parallel.kind={kind}", "training.rows=80")
    assert said.count("step 5 of 5") == 1, "one process tells"
    half = train_features(
        read_features_recipe(place / "recipe.toml", ["training.rows=80"]), place / f"half-{kind}"
    )
    for path in half.files:
        ours = load_features(place / kind / path.name).autoencoder.state_dict()
        theirs = load_features(path).autoencoder.state_dict()
        assert ours.keys() == theirs.keys()
        if kind == "rows" and path.stem == "batch":
            continue  # its choice is made in each process's own part of a batch
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-4, atol=1e-5)


def test_processes_that_shared_features_go_on_with_their_own_parts(place):
    together(place, "whole", "parallel.kind=features", "training.decay=0.0")
    together(
        place,
        "broken",
        "parallel.kind=features",
        "training.decay=0.0",
        "checkpoints.every=4",
        "checkpoints.keep=9",
    )
    for path in (place / "broken" / "checkpoints").iterdir():
        if path.name > "step-00000004":
            shutil.rmtree(path)
    said = together(place, "broken", "parallel.kind=features", "training.decay=0.0")
    assert "Going on from step 4 of 10" in said
    for path in sorted((place / "whole").glob("*.safetensors")):
        theirs = load_features(path).autoencoder.state_dict()
        ours = load_features(place / "broken" / path.name).autoencoder.state_dict()
        for name, value in theirs.items():
            assert torch.equal(ours[name], value), (path.name, name)


def test_what_cannot_be_shared_is_refused(place):
    recipe = read_features_recipe(
        place / "recipe.toml", ["autoencoder.architecture=matryoshka", "training.batch=15"]
    )
    with pytest.raises(ConfigError, match="whose prefixes no process holds alone"):
        _check_shared(recipe, Sharing(0, 2, "features"))
    with pytest.raises(ConfigError, match=r"training\.batch 15 cannot be shared by 2"):
        _check_shared(recipe, Sharing(0, 2, "rows"))
