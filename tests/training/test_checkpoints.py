"""Checkpoints are whole or not there: kills, full disks, torn and changed files."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from molehill.checkpoints.steps import step_name, steps_in
from molehill.errors import TrainingError
from molehill.training.checkpoints import (
    clean_up,
    find_checkpoint,
    forget_old,
    read_state,
    write_checkpoint,
    write_state,
)

# All 200 in one go take about twenty seconds; MOLEHILL_KILLS asks for them.
KILLS = int(os.environ.get("MOLEHILL_KILLS", "30"))


def state_of(step: int) -> dict[str, torch.Tensor]:
    """Numbers by which a state is known again."""
    return {"a": torch.full((50, 20), float(step)), "b": torch.arange(step, step + 7)}


def write(parent: Path, step: int) -> Path:
    return write_checkpoint(
        parent, step, {"tokens": step * 2}, lambda folder: write_state(folder, state_of(step))
    )


def found_step(parent: Path) -> int:
    """The step of the last checkpoint, whose content must be its own; nothing may be damaged."""
    found = find_checkpoint(parent, lambda text: pytest.fail(text))
    assert found is not None
    assert found.facts == {"tokens": found.step * 2}
    state = read_state(found)
    assert all(torch.equal(state[name], value) for name, value in state_of(found.step).items())
    return found.step


def write_for_ever(parent: Path, told: Connection) -> None:
    """What a killed process does: begin after what is there, tell of each one that is written."""
    clean_up(parent)
    found = find_checkpoint(parent, print)
    step = 0 if found is None else found.step
    told.send(step)
    while True:
        step += 1
        write(parent, step)
        told.send(step)
        forget_old(parent, 2)


def test_a_checkpoint_comes_back(tmp_path):
    assert find_checkpoint(tmp_path / "none", print) is None
    write(tmp_path, 3)
    write(tmp_path, 12)
    assert list(steps_in(tmp_path)) == [3, 12]
    assert found_step(tmp_path) == 12


def test_only_the_last_ones_stay(tmp_path):
    for step in (1, 2, 3, 4):
        write(tmp_path, step)
    assert forget_old(tmp_path, 2) == []
    assert [path.name for path in sorted(tmp_path.iterdir())] == [step_name(3), step_name(4)]


def test_the_same_step_may_be_written_again(tmp_path):
    write(tmp_path, 3)
    write(tmp_path, 3)
    assert found_step(tmp_path) == 3
    clean_up(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [step_name(3)]


def test_killed_at_any_moment_there_is_a_whole_one(tmp_path):
    """SIGKILL, again and again, while a process does nothing but write checkpoints."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.training.test_checkpoints"])
    draw, reached = random.Random(0), 0
    for _ in range(KILLS):
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=write_for_ever, args=(tmp_path, theirs))
        process.start()
        theirs.close()
        told = ours.recv()
        time.sleep(draw.uniform(0.0, 0.06))
        process.kill()
        process.join()
        try:
            while True:
                told = ours.recv()
        except EOFError:
            ours.close()
        if told == 0 and not steps_in(tmp_path):
            continue  # killed before the very first one
        # What was told to be written is there, and nothing that a reader finds is damaged.
        assert found_step(tmp_path) >= told >= reached
        reached = told
    assert reached > KILLS / 2, "the kills left no time to write"
    clean_up(tmp_path)
    assert all(path.name.startswith("step-") for path in tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "manifest", "no manifest"])
def test_a_damaged_one_is_named_and_the_one_before_is_taken(tmp_path, damage):
    write(tmp_path, 1)
    last = write(tmp_path, 2)
    state = last / "state.safetensors"
    content = bytearray(state.read_bytes())
    match damage:
        case "cut":
            state.write_bytes(content[:-1])
        case "changed":
            content[-1] ^= 1
            state.write_bytes(content)
        case "missing":
            state.unlink()
        case "manifest":
            (last / "manifest.json").write_text("{")
        case _:
            (last / "manifest.json").unlink()
    notices: list[str] = []
    found = find_checkpoint(tmp_path, notices.append)
    assert found is not None and found.step == 1
    assert len(notices) == 1
    assert str(last) in notices[0] and "Going on from step 1 instead." in notices[0]


def test_a_manifest_of_another_step_is_not_believed(tmp_path):
    path = write(tmp_path, 1) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "step": 9}))
    with pytest.raises(TrainingError, match=r"No checkpoint in .* is whole: .*another step"):
        find_checkpoint(tmp_path, print)


def full_disk(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_full_disk_stops_with_the_old_one_intact(tmp_path, monkeypatch, fails):
    write(tmp_path, 1)

    def half(folder: Path) -> None:
        (folder / "state.safetensors").write_bytes(b"half")
        full_disk()

    with pytest.raises(TrainingError) as caught, monkeypatch.context() as patch:
        if fails == "write":
            write_checkpoint(tmp_path, 2, {}, half)
        else:
            patch.setattr(os, fails, full_disk)
            write(tmp_path, 2)
    message = str(caught.value)
    assert "step 2 could not be written" in message and "No space left on device" in message
    assert "that of step 1 is whole" in message
    assert found_step(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == [step_name(1)]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match=r"File exists; there is none before it"):
        write(tmp_path / "file", 1)


def test_an_old_one_that_cannot_be_removed_is_told(tmp_path, monkeypatch):
    for step in (1, 2, 3):
        write(tmp_path, step)
    monkeypatch.setattr(os, "replace", full_disk)
    assert forget_old(tmp_path, 1) == [tmp_path / step_name(1), tmp_path / step_name(2)]
    assert found_step(tmp_path) == 3
