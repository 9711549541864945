"""Questions about training through a desk, and the lines of Python beside the answers."""

from __future__ import annotations

import json
import re

import pytest

from molehill.errors import ConfigError
from molehill.questions import Desk, answer

SENTENCES = ["By the lawn the mole digs.", "The spy was a mole."]


@pytest.fixture
def desk(small_run, monkeypatch) -> Desk:
    # Named as from where the lines of Python run.
    monkeypatch.chdir(small_run.parent)
    return Desk({}, runs={"small": small_run})


def asked(desk, name, inputs):
    found = answer(desk, name, inputs)
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert found.question.view == name
    assert len(found.question.text(data).splitlines()) > 3
    return data


def test_all_runs_in_a_list(desk, capsys):
    data = asked(desk, "runs", {})
    assert [(run["name"], run["state"]) for run in data["runs"]] == [("small", "finished")]
    exec(compile(data["python"].replace('"runs"', '"."'), "runs", "exec"), {})
    assert "small finished 6" in capsys.readouterr().out


def test_one_run_and_the_same_in_python(desk, capsys):
    for inputs in ({}, {"run": "small"}, {"run": "small", "first": 2, "last": 3}):
        data = asked(desk, "run", inputs)
        assert data["runs"][0]["step"] == 6
        if inputs:
            exec(compile(data["python"], "run", "exec"), {})
            assert "small" in capsys.readouterr().out
    loss = data["charts"][0]["curves"][0]
    assert loss["step"] == [1, 2, 3, 4], "the steps that were asked for, and one on either side"


def test_a_journey_over_training_tells_how_far_it_is(desk, capsys):
    heard = []
    told = desk.telling(lambda done, whole, what: heard.append((done, whole, what)))
    inputs = {"run": "small", "sentences": SENTENCES, "most": 2}
    data = asked(told, "snapshots", inputs)
    assert heard == [(0, 2, "Step 0"), (1, 2, "Step 6")]
    assert [one["step"] for one in data["steps"]] == [0, 6]
    assert "2 of the 3 models" in " ".join(data["notes"])
    exec(compile(data["python"], "snapshots", "exec"), {})
    assert re.search(r"Replay of 'mole' in 2 sentences over 2 snapshots", capsys.readouterr().out)


def test_runs_are_known_by_name_and_never_by_path(desk, small_run):
    with pytest.raises(ConfigError, match="no run '/etc' here"):
        answer(desk, "run", {"run": "/etc"})
    with pytest.raises(ConfigError, match="no run"):
        answer(desk, "run", {"run": "small", "against": [str(small_run)]})
    with pytest.raises(ConfigError, match="There is no run here: give some"):
        answer(Desk({}), "snapshots", {})
    assert answer(Desk({}), "runs", {}).data["summary"] == ["No runs."]
