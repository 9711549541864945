"""Features at work on the command line, with small random ones for the model that ships."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import molehill
from molehill.cli.main import app
from molehill.errors import ConfigError, TextError
from molehill.features.autoencoder import Settings
from molehill.features.examples_file import open_examples
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


def test_edits_are_kept_listed_applied_and_undone(file, tmp_path):
    kept = str(tmp_path / "kept.json")
    steer = ["features", "steer", TEXTS[1], "-n", "4"]
    first = [*steer, "--features", file, "--feature", "3=+20", "--feature", "7=off"]
    told = read(*first, "--strength", "2", "--save", kept)
    listed = CliRunner().invoke(app, ["features", "list", kept]).output
    assert "  1  feature 3 +40, feature 7 times -1\n" in listed and "Of random" in listed
    # What was compared is what the file does: beside the unchanged text, and in `generate`.
    again = read(*steer, "--edits", kept)
    assert again["runs"][0] == told["runs"][0] and again["runs"][1]["ids"] == told["runs"][1]["ids"]
    assert again["runs"][1]["divergence"] == told["runs"][1]["divergence"]
    written = read("generate", TEXTS[1], "-n", "4", "--edits", kept)["texts"][0]
    assert written["ids"] == told["runs"][1]["ids"] != told["runs"][0]["ids"]
    # One more, on top of those that are kept.
    more = [*steer, "--edits", kept, "--feature", "5=9", "--during", "generated"]
    on_top = read(*more, "--save", kept)
    assert on_top["runs"][0]["ids"] == written["ids"]
    data = json.loads(CliRunner().invoke(app, ["features", "list", kept, "--json"]).stdout)
    assert [one["during"] for one in data["kept"]] == ["all", "generated"]
    undone = CliRunner().invoke(app, ["features", "undo", kept, "1"])
    assert "  1  feature 5 held at 9 (generated tokens only)" in undone.output
    assert "2 edits" not in undone.output
    none = CliRunner().invoke(app, ["features", "undo", kept, "2"])
    assert "There is no edit 2: there are 1 to 1" in str(none.exception)
    lost = run(*first, "--save", kept)
    assert f"go on from them with --edits {kept}" in str(lost.exception)
    elsewhere = run("lens", TEXTS[1], "--edits", kept)
    assert "change a run and no weights" in str(elsewhere.exception)
    assert "Say what is changed" in str(run(*steer).exception)


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
    texts, examples = tmp_path / "texts.txt", tmp_path / "coder.db"
    texts.write_text("\n".join(TEXTS * 30))
    made_of = ["features", "examples", str(texts), "--split", "line", "--features", str(coder)]
    assert run(*made_of, "--out", str(examples)).exit_code == 0
    with open_examples(examples) as opened:
        labels = opened.labels()
    whole = [*asked, "--nodes", "1", "--edges", "1"]
    told = read(*whole, "--examples", str(examples), "--out", str(out))
    nodes = [node for node in told["nodes"] if node["kind"] == "feature"]
    assert nodes and [one["label"] for one in nodes] == [labels[one["number"]] for one in nodes]
    assert any(f"({one['label']}) at" in one["name"] for one in nodes)
    drawn = [node.label for node in read_graph(out).nodes if node.kind == "feature"]
    assert drawn == [one["label"] for one in nodes]
    elsewhere = run(*asked[:3], "--transcoders", "village-mlp-0", "--examples", str(examples))
    assert "which is none of the transcoders" in str(elsewhere.exception)
