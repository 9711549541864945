"""`molehill runs` and `molehill snapshots` on a small run."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from molehill.cli.main import app


def run(*arguments: object):
    return CliRunner().invoke(app, [str(one) for one in arguments])


def test_runs_are_listed_and_one_is_shown_with_its_curves(small_run, tmp_path, monkeypatch):
    monkeypatch.chdir(small_run.parents[1])
    listed = run("runs", small_run.parent, small_run)
    assert listed.exit_code == 0, listed.output
    assert "small" in listed.output and "LOSS" in listed.output.upper()
    page = tmp_path / "run.html"
    shown = run("runs", small_run, "--html", page, "--json")
    assert shown.exit_code == 0, shown.output
    data = json.loads(shown.stdout)
    assert data["schema"] == "molehill.run/1" and data["runs"][0]["state"] == "finished"
    assert "What it wrote" in page.read_text(encoding="utf-8")


def test_where_there_is_no_run_it_is_said(tmp_path):
    found = run("runs", tmp_path)
    assert found.exit_code != 0 and "There is no run in" in str(found.exception or found.output)


def test_a_journey_over_training(small_run, tmp_path):
    page = tmp_path / "snapshots.html"
    found = run("snapshots", "mole", small_run, "The spy was a mole.", "The mole digs.",
                "--most", 2, "--html", page, "--json")  # fmt: skip
    assert found.exit_code == 0, found.output
    data = json.loads(found.stdout)
    assert [one["step"] for one in data["steps"]] == [0, 6]
    assert "molehill.snapshots/1" in page.read_text(encoding="utf-8")
    text = run("snapshots", "mole", small_run, "The spy was a mole.", "The mole digs.")
    assert "APART ALONG THE JOURNEY" in text.output.upper()
