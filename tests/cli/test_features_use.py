"""Features at work on the command line, with small random ones for the model that ships."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import molehill
from molehill.cli.main import app
from molehill.errors import ConfigError, TextError
from molehill.features.autoencoder import Settings
from molehill.features.graph_files import read_graph
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features, save_features

TEXTS = ("the mole lives in a burrow", "the spy was a mole")


def run(*arguments: str):
    return CliRunner().invoke(app, [*arguments, "--model", "village"])


def read(*arguments: str):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("features") / "random.safetensors"
    site = ("1.resid_post",)
    lm = molehill.load("village")
    made = make_autoencoder(Settings("topk", 96, 96, 200, k=5)).eval()
    save_features(Features(made, site, site, "random", "village", lm.fingerprint), path)
    return str(path)


def test_a_ledger_by_features_closes(file, tmp_path):
    told = read("ledger", TEXTS[1], "--word", "mole", "--features", file)
    assert told["features"]["site"] == "1.resid_post"
    assert told["closing_error"]["relative"] < 1e-5
    page = tmp_path / "ledger.html"
    shown = run("ledger", TEXTS[1], "--features", file, "--by", "feature", "--html", str(page))
    assert shown.exit_code == 0, shown.output
    assert "features of random" in shown.output
    assert "reconstruction error" in page.read_text(encoding="utf-8")
    alone = run("ledger", TEXTS[1], "--by", "feature")
    assert isinstance(alone.exception, TextError)
    assert "--by feature needs --features FILE" in str(alone.exception)


def test_a_shift_tells_which_features_part_the_paths(file, tmp_path):
    page = tmp_path / "shift.html"
    told = read("shift", "mole", *TEXTS, "--features", file, "--html", str(page))
    [pair] = told["features"]["pairs"]
    assert sum(kind["share"] for kind in pair["kinds"]) == pytest.approx(1.0, abs=1e-3)
    assert '"features":{"name":"random"' in page.read_text(encoding="utf-8")
    assert "FEATURES THAT PART THEM" in run("shift", "mole", *TEXTS, "--features", file).output


def test_steering_writes_with_and_without(file, tmp_path):
    page = tmp_path / "steer.html"
    asked = ["features", "steer", TEXTS[1], "--features", file, "--feature", "3=+20"]
    told = read(*asked, "-n", "4", "--strength", "0.5", "--strength", "2", "--html", str(page))
    assert [run["strength"] for run in told["runs"]] == [0.0, 0.5, 2.0]
    assert told["changes"][0]["told"] == "feature 3 +20"
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "WHAT IS WRITTEN" in run(*asked, "-n", "2").output
    wrong = run(*asked[:-1], "3")
    assert isinstance(wrong.exception, ConfigError)
    assert "--during is 'never'" in str(run(*asked, "--during", "never").exception)


def test_a_graph_is_drawn_written_and_read_back(tmp_path):
    lm = molehill.load("village")
    made = make_autoencoder(Settings("topk", 96, 96, 200, k=5, centred=False)).eval()
    coder, out = tmp_path / "coder.safetensors", tmp_path / "graph.json"
    place = (("1.mlp.in",), ("1.mlp.out",))
    save_features(Features(made, *place, "random", "village", lm.fingerprint), coder)
    asked = ["features", "graph", TEXTS[1], "--transcoders", str(coder), "--target", "listens"]
    told = read(*asked, "--out", str(out), "--html", str(tmp_path / "graph.html"))
    assert [node["name"] for node in told["nodes"] if node["kind"] == "logit"] == ["says listens"]
    graph = read_graph(out)
    assert len(graph.nodes) == len(told["nodes"])
    assert graph.edges == len(told["edges"])
    assert graph.closing_error < 1e-4
    assert "WHAT MAKES THE WORDS" in run(*asked).output
