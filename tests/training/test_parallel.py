"""Two processes on one machine: the same losses, checkpoints that any number of processes reads,
and an end for all when one is lost. Their talk goes through gloo."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from tests.training.small import STEPS, losses, make_corpus, small_recipe

import molehill
from molehill.checkpoints.steps import step_name, steps_in
from molehill.errors import ConfigError
from molehill.training import train
from molehill.training.checkpoints import find_checkpoint
from molehill.training.parallel import chosen_device

pytestmark = pytest.mark.usefixtures("one_thread")

# What differs is the order of sums. Muon's iteration is in bfloat16, so that a last digit becomes
# a third one: AdamW shows whether all else is the same.
PLAIN = {
    "training__dtype": "float32",
    "optimizer__matrices": "adamw",
    "checkpoints__keep": 9,
    "parallel__timeout": 30.0,
}


def two_processes(recipe_path: Path, run: Path, **changes) -> subprocess.Popen[str]:
    sets = [f"--set={key.replace('__', '.')}={value}" for key, value in changes.items()]
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = ["-m", "molehill", "train", str(recipe_path), "--out", str(run), "--every", "1"]
    return subprocess.Popen(
        [sys.executable, *launcher, *command, *sets],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
    )


def forget_after(run: Path, step: int) -> None:
    for number, path in steps_in(run / "checkpoints").items():
        if number > step:
            shutil.rmtree(path)


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_one_two_and_one_processes_learn_the_same(recipe_path, tmp_path, kind):
    """The same rows in the same order, and losses within 1e-5 over the 30 steps after a change of
    the number of processes; snapshots and samples come from whole weights; one process tells."""
    run = tmp_path / "run"
    looks = {"samples__prompts": ["The"], "snapshots__at": [15], "trackers__use": "tensorboard"}
    train(small_recipe(recipe_path, **PLAIN), run)
    whole = losses(run)
    forget_after(run, 10)
    process = two_processes(recipe_path, run, **PLAIN, **looks, parallel__kind=kind)
    said, _ = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert "Going on from step 10 of 40" in said and "in each of 2 processes" in said
    files = sorted(path.name for path in (run / "checkpoints" / step_name(40)).iterdir())
    assert len(files) == (3 if kind == "fsdp" else 2)
    compare(losses(run), whole)
    assert len(list((run / "tensorboard").glob("events.*"))) == 1, "only the first process tells"
    assert molehill.load(run / "snapshots" / step_name(15)).config == small_recipe(
        recipe_path
    ).config(300)
    forget_after(run, 20)
    train(small_recipe(recipe_path, **PLAIN), run)
    compare(losses(run), whole)


def compare(found: dict, expected: dict) -> None:
    assert list(found) == list(expected) == list(range(1, STEPS + 1))
    for step, (loss, grad_norm) in expected.items():
        assert found[step][0] == pytest.approx(loss, abs=1e-5), step
        assert found[step][1] == pytest.approx(grad_norm, rel=1e-3), step


def until_step(process: subprocess.Popen[str], step: int) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if f"step {step} of" in line:
            return
    pytest.fail(f"it never came to step {step}")


def test_a_process_that_dies_ends_the_others(recipe_path, tmp_path):
    run = tmp_path / "run"
    process = two_processes(recipe_path, run, training__steps=100_000, parallel__timeout=10)
    until_step(process, 12)
    workers = psutil.Process(process.pid).children(recursive=True)
    lost = next(one for one in workers if one.environ().get("RANK") == "1")
    lost.kill()
    begin = time.monotonic()
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "Process 0 of 2 lost another one" in said and "The last checkpoint is whole" in said
    assert time.monotonic() - begin < 60
    assert not [one for one in workers if one.is_running()], "an orphan"
    found = find_checkpoint(run / "checkpoints", lambda text: pytest.fail(text))
    assert found is not None and found.step >= 10


def test_terminated_together_they_finish_the_step_and_save(recipe_path, tmp_path):
    run = tmp_path / "run"
    process = two_processes(recipe_path, run, training__steps=100_000, checkpoints__every=0)
    until_step(process, 5)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=120)
    (saved,) = steps_in(run / "checkpoints")
    assert f"stopped by SIGTERM after step {saved}" in said


def test_a_batch_that_cannot_be_shared_is_refused(recipe_path, tmp_path):
    process = two_processes(recipe_path, tmp_path / "run", training__batch=3)
    said, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "training.batch 3 cannot be shared by 2 processes" in said


def test_each_process_takes_the_gpu_of_its_number(monkeypatch):
    taken: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    for found, local, here, wish, expected in (
        (0, 0, 1, "auto", "cpu"),
        (1, 0, 1, "auto", "cuda:0"),
        (1, 0, 2, "auto", "cpu"),  # one GPU for two processes: neither takes it
        (8, 5, 8, "auto", "cuda:5"),
        (8, 5, 8, "cpu", "cpu"),
        (2, 1, 2, "cuda", "cuda:1"),
    ):
        monkeypatch.setattr(torch.cuda, "device_count", lambda found=found: found)
        monkeypatch.setenv("LOCAL_RANK", str(local))
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
        assert str(chosen_device(wish)) == expected
    assert taken == [0, 5, 1]


def test_a_gpu_that_is_not_there_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    recipe = small_recipe(make_corpus(tmp_path), training__device="cuda")
    with pytest.raises(ConfigError, match="finds 0 GPUs"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()
