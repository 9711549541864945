"""`RUN@STEP`: the models of a run of training by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import molehill
from molehill.checkpoints import model_path, save_checkpoint
from molehill.checkpoints.steps import step_name, steps_in
from molehill.errors import CheckpointError
from molehill.model import ModelConfig, Transformer

SMALL = ModelConfig(n_layers=1, d_model=8, n_heads=2, d_head=4, d_mlp=16, d_vocab=20, n_ctx=8)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "mole"
    for seed, step in enumerate((0, 400)):
        model = Transformer(SMALL).initialise(seed)
        save_checkpoint(model, None, folder / "snapshots" / step_name(step), family="molehill")
    (folder / "recipe.toml").write_text("[corpus]\n")
    return folder


def test_a_step_names_its_snapshot(run):
    assert model_path(f"{run}@400") == run / "snapshots" / "step-00000400"
    first, later = molehill.load(f"{run}@0"), molehill.load(f"{run}@400")
    assert first.name == f"{run}@0"
    assert first.fingerprint != later.fingerprint


def test_a_run_names_its_last_model(run):
    with pytest.raises(CheckpointError, match=r"no model at its end yet; .* snapshot: 0, 400"):
        model_path(run)
    save_checkpoint(Transformer(SMALL).initialise(9), None, run / "final", family="molehill")
    assert model_path(run) == run / "final"


def test_a_step_without_a_snapshot_lists_those_that_are_there(run):
    with pytest.raises(CheckpointError, match=r"no model of step 300; .* snapshot: 0, 400"):
        model_path(f"{run}@300")


def test_what_is_no_run_is_looked_up_as_before(tmp_path):
    with pytest.raises(CheckpointError, match="no file, folder or model named"):
        model_path(f"{tmp_path}@3")
    (tmp_path / "odd@3").mkdir()
    assert model_path(tmp_path / "odd@3") == tmp_path / "odd@3"


def test_only_folders_of_steps_are_counted(run):
    (run / "snapshots" / "step-1").mkdir()
    (run / "snapshots" / ".step-00000007.tmp").mkdir()
    assert list(steps_in(run / "snapshots")) == [0, 400]
    assert steps_in(run / "nowhere") == {}
