"""A pass that is stopped goes on, and makes the file that it would have made, to the last bit."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.features.made_examples import features, texts, village

from molehill.errors import CheckpointError, ConfigError, TrainingError
from molehill.features.examples_writing import PassStopped, write_examples
from molehill.features.gathering import Gathering
from molehill.features.unfinished import unfinished_folder
from molehill.training.run import Run

# Products of a handful of rows are rounded by where they lie in memory, in MKL: batches that small
# would not be equal in two runs without any stop.
SETTINGS = Gathering(top=5, sample=12, before=6, after=3, context=20, chunk=150, together=4)


def content(path: Path) -> list[str]:
    """Everything in the file."""
    with contextlib.closing(sqlite3.connect(path)) as base:
        return list(base.iterdump())


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> list[str]:
    """The content of a file that was made without a stop."""
    path = tmp_path_factory.mktemp("whole") / "made.db"
    write_examples(path, village(), features(), texts(), SETTINGS)
    return content(path)


class Raised(Exception):
    """Stands for a process that is gone: nothing is saved on its way out."""


def write(path: Path, given=None, settings=SETTINGS, **more):
    return write_examples(
        path, village(), features(), texts() if given is None else given, settings, **more
    )


def signalled(after: int, number=signal.SIGINT):
    """A progress that sends a signal at its so manieth call."""
    calls = iter(range(after + 1))

    def advance(tokens):
        if next(calls, None) == after - 1:
            os.kill(os.getpid(), number)

    return advance


@pytest.mark.parametrize("after", [1, 2, 7, 13])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_by_a_signal_it_goes_on(tmp_path, whole, after, number):
    path = tmp_path / "made.db"
    with pytest.raises(PassStopped) as stopped:
        write(path, progress=signalled(after, number))
    assert stopped.value.by == number and not path.exists()
    told: list[str] = []
    write(path, notice=told.append)
    assert content(path) == whole
    assert bool(told) == (stopped.value.tokens > 0), "the first chunk is lost, and later ones not"
    assert [each.name for each in tmp_path.iterdir()] == ["made.db"]


def test_it_can_be_stopped_again_and_again(tmp_path, whole):
    path, stops = tmp_path / "made.db", 0
    for _ in range(50):
        try:
            write(path, progress=signalled(6))
            break
        except PassStopped as stopped:
            stops += 1
            assert f"after {stopped.tokens:,} tokens" in str(stopped)
    assert stops >= 2 and content(path) == whole


@pytest.mark.parametrize("after", [5, 10, 16])
def test_what_was_saved_in_time_survives_a_sudden_end(tmp_path, whole, after):
    calls = iter(range(after))

    def breaking(tokens):
        if next(calls, None) is None:
            raise Raised

    path = tmp_path / "made.db"
    with pytest.raises(Raised):
        write(path, progress=breaking, every=0.0)
    told: list[str] = []
    write(path, notice=told.append)
    assert len(told) == 1 and content(path) == whole


def test_stopped_while_labels_are_made_it_reads_nothing_again(tmp_path, whole):
    path = tmp_path / "made.db"

    def told(stage):
        if stage == "Effects":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(PassStopped):
        write(path, told=told)
    read: list[int] = []
    found = write(path, progress=read.append)
    assert read == [found.rows] and content(path) == whole


def test_most_tokens_are_the_same_after_a_stop(tmp_path):
    settings = replace(SETTINGS, most_tokens=400)
    write(tmp_path / "whole.db", settings=settings)
    path = tmp_path / "made.db"
    with pytest.raises(PassStopped):
        write(path, settings=settings, progress=signalled(7))
    write(path, settings=settings)
    assert content(path) == content(tmp_path / "whole.db")


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.features.test_unfinished import SETTINGS, write
count = 0
def advance(tokens):
    global count
    count += 1
    if count == 16:
        os.kill(os.getpid(), signal.SIGKILL)
write(Path(sys.argv[1]), progress=advance, every=0.0)
"""


def test_killed_outright_it_goes_on_from_the_last_checkpoint(tmp_path, whole):
    path = tmp_path / "made.db"
    root = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(path)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=120,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL
    folder = unfinished_folder(path)
    assert list((folder / "checkpoints").glob("step-*")) and not path.exists()
    told: list[str] = []
    write(path, notice=told.append, must_resume=True)
    assert "Going on after" in told[0] and content(path) == whole


def test_another_pass_is_not_gone_on_with(tmp_path):
    path = tmp_path / "made.db"
    with pytest.raises(ConfigError, match=r"nothing in .*made.db.unfinished to go on from"):
        write(path, must_resume=True)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(PassStopped):
        write(path, progress=signalled(7))
    with pytest.raises(ConfigError, match=r"top was 5 and is 6. Give these as they were, or"):
        write(path, settings=replace(SETTINGS, top=6))
    with pytest.raises(CheckpointError, match="texts have changed"):
        write(path, ["other", *texts()[1:]])
    with (
        Run(unfinished_folder(path)).locked(),
        pytest.raises(TrainingError, match="Another process is at work in"),
    ):
        write(path)
    write(path)


def test_a_folder_of_something_else_and_a_missing_one_are_refused(tmp_path):
    path = tmp_path / "made.db"
    unfinished_folder(path).mkdir()
    (unfinished_folder(path) / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match=r"holds 'thesis.tex'"):
        write(path)
    assert (unfinished_folder(path) / "thesis.tex").exists()
    with pytest.raises(CheckpointError, match="there is no folder"):
        write(tmp_path / "nowhere" / "made.db")


def test_a_damaged_folder_says_what_to_remove(tmp_path):
    path = tmp_path / "made.db"
    with pytest.raises(PassStopped):
        write(path, progress=signalled(7))
    (unfinished_folder(path) / "windows.db").write_bytes(b"x" * 4096)
    with pytest.raises(CheckpointError, match=r"remove .*made.db.unfinished to begin anew"):
        write(path)
