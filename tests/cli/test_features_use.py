"""Features at work on the command line, with small random ones for the model that ships."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

import molehill
from molehill.cli.main import app
from molehill.errors import TextError
from molehill.features.autoencoder import Settings
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
