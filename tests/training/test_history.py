"""A run's folder as a record, against folders written by hand and a run that was trained."""

from __future__ import annotations

import fcntl
import itertools
import json
from pathlib import Path

import pytest
import torch

from molehill.errors import ConfigError, TrainingError
from molehill.training.history import chosen_steps, find_runs, run_history, snapshot_models
from molehill.training.run import Run

RECIPE = """
[training]
batch = 4
context = 16
tokens = 1000
seed = 3
[snapshots]
every = 5
"""


def write(folder: Path, *lines: dict, recipe: str = RECIPE, torn: str = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text(recipe)
    told = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metrics.jsonl").write_text(told + torn)
    return folder


def stepped(step: int, loss: float | None = 1.0) -> dict:
    return {"event": "stepped", "step": step, "loss": loss, "seconds": step / 2}


def test_a_run_says_how_far_it_is(tmp_path):
    folder = write(tmp_path / "a", stepped(1), stepped(2), torn='{"event": "stepped", "st')
    told = run_history(folder, name="mine")
    assert (told.name, told.kind, told.state, told.step) == ("mine", "model", "stopped", 2)
    assert told.step_size == 64 and told.steps == 16, "1,000 tokens are 16 steps of 64"
    assert [line["step"] for line in told.stepped] == [1, 2]
    (folder / "checkpoints" / "step-00000009").mkdir(parents=True)
    assert run_history(folder).step == 9, "a line may stand only at every tenth step"
    assert run_history(folder).checkpoints == (9,)
    assert told.decides("training.seed") and not told.decides("snapshots.every")


def test_the_plan_of_the_last_part_counts(tmp_path):
    began = [{"event": "began", "step": step, "plan": {"steps": 7}} for step in (0, 3)]
    told = run_history(write(tmp_path / "a", *began, stepped(4)))
    assert told.steps == 7 and len(told.began) == 2


def test_autoencoders_are_known_by_their_recipe(tmp_path):
    recipe = "[training]\nrows = 100\nbatch = 8\n[[autoencoder]]\nname = 'one'\nk = 4\n"
    line = {"event": "featuresstepped", "step": 1, "learnt": {}, "rate": 1.0}
    told = run_history(write(tmp_path / "a", line, recipe=recipe))
    assert told.kind == "features" and told.recipe["autoencoder.one.k"] == 4
    assert told.step_size == 8 and told.steps == 13
    assert told.state == "stopped"
    (told.folder / "one.safetensors").write_bytes(b"")
    assert run_history(told.folder).state == "finished"


def test_a_run_is_at_work_as_long_as_its_lock_is_held(tmp_path):
    folder = write(tmp_path / "a", stepped(1))
    assert run_history(folder).state == "stopped"
    with Run(folder).locked():
        assert run_history(folder).state == "at work"
        assert run_history(folder).state == "at work", "asking takes nothing away"
    assert run_history(folder).state == "stopped"


def test_who_only_asks_is_not_in_a_runs_way(tmp_path, monkeypatch):
    folder = write(tmp_path / "a")
    with Run(folder).locked():
        pass  # makes the lock's file
    with open(folder / ".lock") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        done = lambda pause: fcntl.flock(asking, fcntl.LOCK_UN)  # noqa: E731
        monkeypatch.setattr("molehill.training.run.time.sleep", done)
        with Run(folder).locked():
            assert run_history(folder).state == "at work"


def test_runs_are_found_in_folders_and_a_recipe_alone_is_none(tmp_path):
    first, other = write(tmp_path / "runs" / "b"), write(tmp_path / "runs" / "a")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    (tmp_path / "runs" / "c").mkdir()
    assert find_runs([tmp_path / "runs"]) == [other, first]
    assert find_runs([first, tmp_path / "runs"]) == [first, other]
    with pytest.raises(ConfigError, match="no run in"):
        find_runs([tmp_path])
    with pytest.raises(ConfigError, match="no folder"):
        find_runs([tmp_path / "nowhere"])
    with pytest.raises(ConfigError, match="holds no run"):
        run_history(tmp_path)


def test_a_damaged_recipe_is_named(tmp_path):
    folder = write(tmp_path / "a", recipe="[training\n")
    with pytest.raises(ConfigError, match=r"recipe\.toml cannot be read"):
        run_history(folder)


@pytest.mark.parametrize("count", [1, 2, 5, 12, 13, 100])
@pytest.mark.parametrize("most", [2, 3, 12])
def test_steps_are_chosen_evenly_with_both_ends(count, most):
    steps = [7 * number for number in range(count)]
    chosen = chosen_steps(steps, most)
    assert len(chosen) == min(count, most) and list(chosen) == sorted(set(chosen))
    assert chosen[0] == steps[0] and chosen[-1] == steps[-1]
    gaps = [(b - a) // 7 for a, b in itertools.pairwise(chosen)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_a_trained_run_gives_its_models_one_by_one(small_run):
    told = run_history(small_run)
    assert told.state == "finished" and told.files == ("final",)
    assert told.models == (0, 3, 6), "the last one is the finished model"
    assert (told.step, told.steps, told.step_size) == (6, 6, 128)
    assert {line["step"] for line in told.sampled} == {3, 6}
    found = dict(snapshot_models(small_run, told.models))
    weights = {
        step: torch.cat([each.flatten() for each in lm.model.parameters()])
        for step, lm in found.items()
    }
    assert not torch.equal(weights[0], weights[3]) and not torch.equal(weights[3], weights[6])
    with pytest.raises(TrainingError, match=r"no model of step 4; there are: 0, 3, 6"):
        list(snapshot_models(small_run, [4]))
