"""Trackers: what they hold, read back with their own means, is what `metrics.jsonl` says; each step
is there once; and none of them stops a run."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.training.small import STEPS, losses, metrics, molehill_process, small_recipe

from molehill.errors import MissingExtraError, TrainingError
from molehill.training import Event, Notice, Recipe, Stepped, train
from molehill.training.rows import Row
from molehill.training.sinks import SINKS, Place

pytestmark = pytest.mark.usefixtures("one_thread")

STEP_TOKENS = 4 * 16


def tracked(recipe_path: Path, *names: str, **changes: Any) -> Recipe:
    """The small recipe with everything that is told, and trackers."""
    told = {"samples__prompts": ["The", "By the"], "samples__every": 20, "evaluation__every": 20}
    return small_recipe(recipe_path, trackers__use=list(names), **{**told, **changes})


class Killed(Exception):
    """Ends a run in the middle of a step."""


def killed_at(step: int) -> Callable[[Event], None]:
    def listener(event: Event) -> None:
        if isinstance(event, Stepped) and event.step == step:
            raise Killed

    return listener


def numbers(run: Path) -> dict[str, dict[int, float]]:
    """What `metrics.jsonl` says, by a tracker's names: name to step to value."""
    found: dict[str, dict[int, float]] = {}
    for line in metrics(run):
        values: dict[str, float] = {}
        if line["event"] == "stepped":
            names = ("loss", "rate", "grad_norm", "tokens_per_second")
            values = {f"train/{name}": line[name] for name in names}
        elif line["event"] == "evaluated":
            kinds = line["bits_per_byte"].items()
            values = {f"eval/bits_per_byte/{kind}": bits for kind, bits in kinds}
            values["eval/loss"] = line["loss"]
        for name, value in values.items():
            assert line["step"] not in found.setdefault(name, {})
            found[name][line["step"]] = value
    return found


def texts(run: Path) -> dict[str, dict[int, str]]:
    """The same for samples."""
    found: dict[str, dict[int, str]] = {"samples/1": {}, "samples/2": {}}
    for line in metrics(run):
        if line["event"] == "sampled":
            number = ["The", "By the"].index(line["prompt"]) + 1
            found[f"samples/{number}"][line["step"]] = f"{line['prompt']} … {line['text']}"
    return found


# --- TensorBoard ------------------------------------------------------------------------------


def board(folder: Path) -> Any:
    """TensorBoard's own reader, with everything it finds."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    found = reader.EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    return found.Reload()


def scalars(folder: Path, prefix: str = "") -> dict[str, list[tuple[int, float]]]:
    found = board(folder)
    return {
        name.removeprefix(prefix): [(one.step, one.value) for one in found.Scalars(name)]
        for name in found.Tags()["scalars"]
    }


def as_read(values: Mapping[int, float], scale: int = 1) -> list[tuple[int, float]]:
    """As event files hold them: in float32, in the order of steps."""
    return [(step * scale, float(np.float32(value))) for step, value in sorted(values.items())]


def check_board(run: Path) -> None:
    """By steps and by tokens, a number for a number of `metrics.jsonl`, each step once."""
    told = numbers(run)
    assert set(told) == {
        "train/loss", "train/rate", "train/grad_norm", "train/tokens_per_second",
        "eval/loss", "eval/bits_per_byte/prose", "eval/bits_per_byte/verse",
    }  # fmt: skip
    by_steps = scalars(run / "tensorboard")
    assert by_steps == {name: as_read(values) for name, values in told.items()}
    by_tokens = scalars(run / "tensorboard" / "by_tokens", "by_tokens/")
    assert by_tokens == {name: as_read(values, STEP_TOKENS) for name, values in told.items()}


def board_texts(folder: Path, name: str) -> dict[int, str]:
    found = board(folder).Tensors(f"{name}/text_summary")
    read = {one.step: one.tensor_proto.string_val[0].decode() for one in found}
    assert len(read) == len(found)
    return read


def test_tensorboard_holds_what_the_metrics_say(recipe_path, tmp_path):
    run = tmp_path / "run"
    train(tracked(recipe_path, "tensorboard"), run)
    check_board(run)
    assert len(losses(run)) == STEPS
    for name, told in texts(run).items():
        assert len(told) == 2 and board_texts(run / "tensorboard", name) == told
    recipe = board_texts(run / "tensorboard", "recipe")[0]
    assert "| training.steps | `40` |" in recipe and "| model.d_model | `32` |" in recipe


def test_tensorboard_goes_on_with_each_step_once(recipe_path, tmp_path):
    """Killed before the first checkpoint, and after one: the steps since then are taken again."""
    run = tmp_path / "run"
    recipe = tracked(recipe_path, "tensorboard")
    for step in (5, 33):
        with pytest.raises(Killed):
            train(recipe, run, listeners=[killed_at(step)])
    train(recipe, run)
    assert len(losses(run)) == STEPS
    check_board(run)
    assert board_texts(run / "tensorboard", "notice") == {30: "Going on from step 30 of 40."}


def test_trackers_keep_the_pace_of_the_metrics(recipe_path, tmp_path):
    run = tmp_path / "run"
    train(tracked(recipe_path, "tensorboard", metrics__every=8), run)
    found = scalars(run / "tensorboard")["train/loss"]
    assert [step for step, _ in found] == [8, 16, 24, 32, 40]


def test_ctrl_c_says_one_line_and_closes_what_was_told(recipe_path, tmp_path):
    run = tmp_path / "run"
    more = ("--set", "trackers.use=tensorboard", "--set", "training.steps=400")
    process = molehill_process("train", recipe_path, "--out", run, "--every", 1, *more)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("step 33 of"):
            break
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    step = max(losses(run))
    expected = f"molehill: stopped by SIGINT after step {step} of 400, which is saved; go on with: "
    assert said == f"{expected}molehill train {run}\n"
    assert scalars(run / "tensorboard")["train/loss"] == as_read(numbers(run)["train/loss"])


# --- trackio ----------------------------------------------------------------------------------


def trackio_rows(project: str) -> dict[str, dict[int, Any]]:
    """The rows of a project straight from its database: name to step to value."""
    folder = Path(sys.modules["trackio"].utils.TRACKIO_DIR)
    with sqlite3.connect(folder / f"{project}.db") as base:
        rows = base.execute("SELECT run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    base.close()
    found: dict[str, dict[int, Any]] = {}
    for run_name, step, blob in rows:
        values = json.loads(blob)
        assert run_name == "run" and values.pop("tokens") == step * STEP_TOKENS
        for name, value in values.items():
            value = value["_value"] if isinstance(value, dict) else value
            assert name == "notice" or step not in found.setdefault(name, {})
            found.setdefault(name, {})[step] = value
    return found


@pytest.fixture
def trackio_folder(tmp_path, monkeypatch) -> None:
    """A store of its own, wherever trackio was told to look when it was imported first."""
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="trackio is not installed (the extra 'trackio')")


def test_trackio_goes_on_with_each_step_once(recipe_path, tmp_path, trackio_folder):
    run, project = tmp_path / "run", f"mole-{os.getpid()}"
    recipe = tracked(recipe_path, "trackio", trackers__project=project)
    for step in (5, 33):
        with pytest.raises(Killed):
            train(recipe, run, listeners=[killed_at(step)])
    train(recipe, run)
    found = trackio_rows(project)
    assert found.pop("notice") == {30: "Going on from step 30 of 40."}
    speeds = found.pop("train/tokens_per_second")
    told = numbers(run)
    assert list(speeds) == list(told.pop("train/tokens_per_second"))
    assert found == {**told, **texts(run)}
    # A later run of that name is not taken for this one.
    (run / "trackers.json").write_text(
        (run / "trackers.json").read_text().replace('"id": "', '"id": "x')
    )
    with pytest.raises(TrainingError, match=r"choose another name with trackers\.name"):
        train(recipe, run)


# --- wandb ------------------------------------------------------------------------------------


@pytest.fixture
def wandb(tmp_path, monkeypatch) -> Any:
    """wandb as somebody has it who set nothing, with nobody's files."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    for part in ("CONFIG", "CACHE", "DATA"):
        monkeypatch.setenv(f"WANDB_{part}_DIR", str(tmp_path / part.lower()))
    monkeypatch.chdir(tmp_path)
    found = pytest.importorskip("wandb", reason="wandb is not installed (the extra 'wandb')")
    found.teardown()
    yield found
    found.teardown()


def wandb_records(path: Path) -> list[Any]:
    """What an offline run keeps, by wandb's schema: a LevelDB log of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, found, parts = path.read_bytes(), 7, [], b""
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        room = 32768 - at % 32768  # of the block; a record's head is never split
        if room < 7:
            at += room
            continue
        size, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(parts))
            parts = b""
    return found


def wandb_rows(run: Path) -> tuple[set[str], dict[str, dict[int, Any]]]:
    """The ids of a folder's offline runs, and their rows: name to step to value."""
    ids, found, before = set(), {}, -1
    for path in sorted((run / "wandb").glob("offline-run-*/*.wandb"), key=os.path.getmtime):
        for record in wandb_records(path):
            if record.HasField("run"):
                ids.add(record.run.run_id)
            if not record.HasField("history"):
                continue
            items = record.history.item
            values = {
                one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items
            }
            step = values.pop("_step")
            assert step > before
            before = step
            for name, value in values.items():
                found.setdefault(name, {})[step] = value
    return ids, found


def test_wandb_goes_on_offline_with_each_step_once(recipe_path, tmp_path, wandb):
    run = tmp_path / "run"
    recipe = tracked(recipe_path, "wandb")
    for step in (5, 33):
        with pytest.raises(Killed):
            train(recipe, run, listeners=[killed_at(step)])
    train(recipe, run)
    ids, found = wandb_rows(run)
    known = json.loads((run / "trackers.json").read_text())["wandb"]
    assert ids == {known["id"]} and (known["project"], known["name"]) == ("molehill", "run")
    assert found["tokens"] == {step: step * STEP_TOKENS for step in range(1, STEPS + 1)}
    files = list((run / "wandb").rglob("*.wandb"))
    assert len(files) == 3  # one for each part
    assert not [path for path in files if socket.gethostname().encode() in path.read_bytes()]
    # What is told at a step that wandb has already stands in its next row.
    assert found["notice"] == {33: "Going on from step 30 of 40."}
    told = {**numbers(run), **texts(run)}
    speeds = told.pop("train/tokens_per_second")
    assert list(found["train/tokens_per_second"]) == list(speeds)
    assert {name: found[name] for name in told} == told


def test_wandb_sends_only_where_its_own_settings_say_so(tmp_path):
    pytest.importorskip("wandb", reason="wandb is not installed (the extra 'wandb')")
    code = """
import os, wandb
from pathlib import Path
from molehill.training.sinks import _wandb_mode

def mode():
    wandb.teardown()
    return _wandb_mode(wandb)

print(mode())
os.environ["WANDB_MODE"] = "online"
print(mode())
del os.environ["WANDB_MODE"]
Path("wandb").mkdir()
Path("wandb/settings").write_text("[default]\\nmode = online\\n")
print(mode())
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    clean |= {"WANDB_ERROR_REPORTING": "false", "WANDB_CONFIG_DIR": str(tmp_path / "config")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=clean, capture_output=True, text=True
    )
    assert done.stdout.split() == ["offline", "online", "online"], done.stderr


# --- what goes wrong --------------------------------------------------------------------------


class Fake:
    """A tracker that keeps rows in memory, and fails where it is told to."""

    def __init__(self, place: Place, *, fails_at: int = -1, fails_to_close: bool = False) -> None:
        self.id, self.place = "fake", place
        self.fails_at, self.fails_to_close = fails_at, fails_to_close
        self.rows: list[Row] = []
        self.closed: list[bool] = []

    def send(self, row: Row) -> None:
        if row.step == self.fails_at:
            raise ConnectionError("nobody\nlistens.")
        self.rows.append(row)

    def flush(self) -> None:
        pass

    def close(self, *, failed: bool) -> None:
        self.closed.append(failed)
        if self.fails_to_close:
            raise OSError("no room")


@pytest.fixture
def fakes(monkeypatch) -> Callable[..., list[Fake]]:
    """Put a fake in the place of a tracker; returns those that runs will have made."""
    monkeypatch.setattr("molehill.training.loop.check_installed", lambda names: None)

    def put(name: str, **how: Any) -> list[Fake]:
        made: list[Fake] = []

        def begin(place: Place) -> Fake:
            made.append(Fake(place, **how))
            return made[-1]

        monkeypatch.setitem(SINKS, name, begin)
        return made

    return put


def notices(run: Path) -> list[tuple[int, str]]:
    return [(line["step"], line["text"]) for line in metrics(run) if line["event"] == "notice"]


def test_a_tracker_that_fails_is_left_out_and_the_run_goes_on(recipe_path, tmp_path, fakes):
    broken, whole = fakes("trackio", fails_at=7), fakes("wandb")
    events: list[Event] = []
    outcome = train(
        tracked(recipe_path, "trackio", "wandb"), tmp_path / "run", listeners=[events.append]
    )
    assert outcome.finished and len(losses(tmp_path / "run")) == STEPS
    said = "The tracker trackio failed and is left out: ConnectionError: nobody listens."
    assert notices(tmp_path / "run") == [(7, said)]
    assert [event.text for event in events if isinstance(event, Notice)] == [said]
    assert [row.step for row in broken[0].rows] == [1, 2, 3, 4, 5, 6]
    # The other one hears of all that happened, the failure included.
    steps = [row.step for row in whole[0].rows if "train/loss" in row.numbers]
    assert steps == list(range(1, STEPS + 1)) and whole[0].closed == [False]
    assert [row.texts for row in whole[0].rows if "notice" in row.texts] == [{"notice": said}]


def test_a_tracker_that_fails_at_the_end_is_told_of(recipe_path, tmp_path, fakes):
    fakes("wandb", fails_to_close=True)
    other = fakes("trackio")
    assert train(tracked(recipe_path, "wandb", "trackio"), tmp_path / "run").finished
    assert other[0].closed == [False]
    said = "The tracker wandb failed and is left out: OSError: no room."
    assert notices(tmp_path / "run") == [(40, said)]


def test_a_run_that_fails_closes_its_trackers_as_failed(recipe_path, tmp_path, fakes):
    made = fakes("wandb")
    with pytest.raises(Killed):
        train(tracked(recipe_path, "wandb"), tmp_path / "run", listeners=[killed_at(3)])
    assert made[0].closed == [True]


def test_a_process_that_was_killed_is_believed_by_its_metrics(recipe_path, tmp_path, fakes):
    """What a tracker was told is not written down when a process is killed."""
    made, run = fakes("wandb"), tmp_path / "run"
    recipe = tracked(recipe_path, "wandb")
    with pytest.raises(Killed):
        train(recipe, run, listeners=[killed_at(33)])
    path = run / "trackers.json"
    known = json.loads(path.read_text())
    assert known["wandb"]["closed"] and known["wandb"]["sent"]["stepped"] == 32
    known["wandb"] |= {"closed": False, "sent": {}}  # as it stands while the run goes on
    path.write_text(json.dumps(known))
    train(recipe, run)
    # The metrics have step 33, and so had the tracker, for all that anybody knows.
    steps = [row.step for row in made[1].rows if "train/loss" in row.numbers]
    assert steps == list(range(34, STEPS + 1))
    assert (made[1].place.id, made[1].place.step) == ("fake", 30)


def test_another_name_is_another_run_there(recipe_path, tmp_path, fakes):
    made, run = fakes("wandb"), tmp_path / "run"
    with pytest.raises(Killed):
        train(tracked(recipe_path, "wandb"), run, listeners=[killed_at(33)])
    train(tracked(recipe_path, "wandb", trackers__name="second"), run)
    assert [(one.place.name, one.place.id) for one in made] == [("run", None), ("second", None)]
    steps = [row.step for row in made[1].rows if "train/loss" in row.numbers]
    assert steps == list(range(31, STEPS + 1))


def test_a_tracker_that_cannot_begin_is_an_error(recipe_path, tmp_path, monkeypatch, fakes):
    made = fakes("trackio")

    def refuse(place: Place) -> Fake:
        raise PermissionError("log in first")

    monkeypatch.setitem(SINKS, "wandb", refuse)
    with pytest.raises(TrainingError, match="wandb cannot begin: PermissionError: log in first"):
        train(tracked(recipe_path, "trackio", "wandb"), tmp_path / "run")
    assert made[0].closed == [True]


@pytest.mark.parametrize(
    ("name", "module"),
    [("tensorboard", "torch.utils.tensorboard"), ("trackio", "trackio"), ("wandb", "wandb")],
)
def test_a_library_that_is_not_there_is_told_before_anything_is_written(
    recipe_path, tmp_path, monkeypatch, name, module
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError) as caught:
        train(tracked(recipe_path, name), tmp_path / "run")
    message = str(caught.value)
    assert f"The tracker {name} is not installed" in message and "\n" not in message
    assert f"pip install 'molehill[{name}]'" in message
    assert not (tmp_path / "run").exists()


def test_a_folder_of_the_librarys_name_is_not_the_library(recipe_path, tmp_path, monkeypatch):
    (tmp_path / "wandb").mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError, match="only a folder of its name is at"):
        train(tracked(recipe_path, "wandb"), tmp_path / "run")


def test_libraries_are_imported_only_when_asked_for(recipe_path, tmp_path):
    code = f"""
import sys
from molehill.training import read_recipe, train
train(read_recipe({str(recipe_path)!r}, ["training.steps=1"]), {str(tmp_path / "run")!r})
print(sorted({{"tensorboard", "trackio", "wandb"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr
