"""`molehill features evaluate`: one file and several, the truth, and what is refused."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

import molehill
from molehill.cli import features_evaluate
from molehill.errors import ConfigError
from molehill.features.autoencoder import Settings
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features, save_features

app = typer.Typer()
features_evaluate.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[str]:
    folder = tmp_path_factory.mktemp("features")
    fingerprint = molehill.load("village").fingerprint
    made = []
    for k in (4, 16):
        autoencoder = make_autoencoder(Settings("topk", 96, 96, 48, k=k), seed=k)
        sites = ("1.resid_post",)
        features = Features(autoencoder, sites, sites, f"k{k}", "village", fingerprint)
        save_features(features, folder / f"k{k}.safetensors")
        made.append(str(folder / f"k{k}.safetensors"))
    return made


def run(*arguments: str):
    return CliRunner().invoke(app, ["evaluate", *arguments])


def test_a_frontier_of_files_on_texts(files, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("The mole digs slowly. The trunk opens.\n" * 30)
    html, figure = tmp_path / "scores.html", tmp_path / "scores.png"
    result = run(
        *files, "--texts", str(texts), "--json", "--html", str(html), "--figure", str(figure)
    )
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [one["name"] for one in data["autoencoders"]] == ["k4", "k16"]
    assert data["autoencoders"][0]["saebench"]["sparsity"]["l0"] <= 4
    assert data["texts"].endswith("texts.txt")
    assert "molehill.feature-scores/1" in html.read_text("utf-8")
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_villages_truth(files, monkeypatch):
    monkeypatch.setattr(features_evaluate, "_SENTENCES", 120)
    monkeypatch.setattr(features_evaluate, "_PROBE_STEPS", 3)
    result = run(files[1], "--truth", "village", "--tokens", "400")
    assert result.exit_code == 0, result.output
    assert "AGAINST THE TRUTH" in result.output
    assert "So few vectors (" in result.output, "four hundred tokens"
    assert "by a probe" in result.output
    assert "sense" in result.output


def test_senses_of_a_word(files, tmp_path):
    folder = tmp_path / "mole"
    folder.mkdir()
    (folder / "classes_map.txt").write_text('{"0": "mole_garden", "1": "mole_ministry"}')
    for part, count in (("train", 6), ("test", 4)):
        data = ["3\tBy the lawn mole digs ."] * count + ["3\tBy the embassy mole betrays ."] * count
        (folder / f"{part}.data.txt").write_text("\n".join(data) + "\n")
        (folder / f"{part}.gold.txt").write_text("0\n" * count + "1\n" * count)
    texts = tmp_path / "texts.txt"
    texts.write_text("The mole digs slowly.\n" * 9)
    result = run(files[1], "--texts", str(texts), "--senses", str(folder), "--json")
    assert result.exit_code == 0, result.output
    (word,) = json.loads(result.stdout)["autoencoders"][0]["senses"]
    # Two sentences told again and again: whatever differs between them tells the sense.
    assert word["word"] == "mole" and word["llm_test_accuracy"] == 1.0
    assert word["larger_class"] == 0.5
    assert [one["label"] for one in word["senses"]] == ["garden", "ministry"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "--texts to score on"),
        (("--texts", "x", "--figure", "a.gif"), "a .png or a .svg"),
        (("--texts", "x", "-m", "lexicon"), "trained on village"),
    ],
)
def test_what_is_refused(files, arguments, told):
    result = run(files[0], *arguments)
    assert isinstance(result.exception, ConfigError)
    assert told in str(result.exception)
