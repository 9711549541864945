"""Scores as data, text, figure and page: true sentences, and a page that can be asked."""

from __future__ import annotations

import json
from functools import cache

import pytest
from rich.cells import cell_len
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.features.autoencoder import Settings
from molehill.features.evaluating import Evaluation, evaluate
from molehill.features.making import make_autoencoder
from molehill.features.splicing import LeftOut
from molehill.features.trained import Features
from molehill.views.feature_scores import feature_scores_data
from molehill.views.feature_scores_figure import feature_scores_figure
from molehill.views.feature_scores_text import feature_scores_text
from molehill.views.html import page
from molehill.village import make_world, tell

SITE = "1.resid_post"
KINDS = {
    "sense": {"features": 42, "found": 0.81, "mean_f1": 0.92, "ceiling": 1.0},
    "relation": {"features": 1, "found": 0.0, "mean_f1": 0.6, "ceiling": 1.0},
}
TRUTH = {
    "used": {"found": 0.79, "control": 0.01, "ceiling": 1.0, "by_kind": KINDS},
    "everywhere": {"found": 0.2, "control": 0.01, "by_kind": KINDS},
    "directions": {"effects": {"recall": 0.5, "mmcs": 0.7, "mmcs_back": float("nan")}},
    "mean_num_split_features": 1.25,
    "mean_full_absorption_score": 0.1,
    "probes": {
        "sae_top_1_test_accuracy": 0.95,
        "sae_top_5_test_accuracy": 0.99,
        "llm_test_accuracy": 1.0,
        "shuffled_top_5": 0.61,
    },
}


@cache
def village():
    return molehill.load("village")


@cache
def found(count: int) -> tuple[tuple[str, Evaluation], ...]:
    texts = [told.text for told in tell(make_world(), 40, 9)]
    runs = [("topk", 4), ("topk", 8), ("topk", 16), ("batchtopk", 6)][:count]
    made = []
    for architecture, k in runs:
        autoencoder = make_autoencoder(Settings(architecture, 96, 96, 96, k=k)).eval()
        name = f"{architecture}-{k}"
        features = Features(autoencoder, (SITE,), (SITE,), name, "village", "", {"rows": 1000})
        scored = evaluate(village(), features, lambda: texts, left_out=LeftOut(1, True))
        made.append((f"{name}.safetensors", scored))
    return tuple(made)


@cache
def data(count: int = 4, *, truth: bool = False) -> dict:
    told = [TRUTH] * count if truth else []
    return feature_scores_data(
        village(), found(count), texts="40 sentences", truths=told, version="0.0.0"
    )


def test_numbers_are_the_scores_and_stand_by_kind_and_l0():
    told = data()
    by_name = {one.features.name: one for _, one in found(4)}
    for entry in told["autoencoders"]:
        scored = by_name[entry["name"]]
        assert entry["l0"] == pytest.approx(scored.score.l0)
        assert scored.losses is not None
        assert entry["ce_loss_score"] == pytest.approx(scored.losses.recovered, rel=1e-6)
        assert entry["left_out"] == "the first 1 of each window and special tokens"
        assert sum(entry["density"]["counts"]) == int((scored.score.counts > 0).sum())
    names = [entry["name"] for entry in told["autoencoders"]]
    assert names == ["batchtopk-6", "topk-4", "topk-8", "topk-16"]
    assert [entry["mark"] for entry in told["autoencoders"]] == ["a", "b", "c", "d"]
    assert [one["points"] for one in told["series"]] == [[0], [1, 2, 3]]
    json.dumps(data(truth=True), allow_nan=False)


def test_the_sentences_are_true():
    best = max(found(4), key=lambda pair: pair[1].score.explained_variance)[1]
    assert data()["summary"][0].startswith("4 autoencoders with ")
    assert f"{best.features.name} explains most" in data()["summary"][0]
    assert data(1)["summary"][0].startswith("96 features by topk at 1.resid_post: 4.0 active")
    assert any("no frontier" in note for note in data(1)["notes"])
    assert not any("no frontier" in note for note in data()["notes"])
    said = data(1, truth=True)["summary"][1]
    assert "79% are found with F1 over 0.9, where a linear probe can tell 100%" in said
    assert "81% of 42 senses and 0.0% of 1 relation" in said


@pytest.mark.parametrize("width", [80, 130])
def test_the_text_keeps_its_width(width):
    for one in (data(1), data(truth=True)):
        text = feature_scores_text(one, width=width)
        assert all(cell_len(line) <= width for line in text.splitlines())
        assert ("from mean" in text) is (width >= 100)
        assert feature_scores_text(one, width=width, ascii_only=True).isascii()
    plotted = feature_scores_text(data(), width=width).split("EXPLAINED VARIANCE AGAINST L0")[1]
    rows = [line.split("|")[1] for line in plotted.splitlines() if "|" in line][:9]
    marks = {entry["mark"] for entry in data()["autoencoders"]}
    assert {mark for row in rows for mark in row if mark != " "} == marks
    best = max(data()["autoencoders"], key=lambda entry: entry["explained_variance"])
    assert best["mark"] in rows[0]


def test_figures_are_drawn_and_repeat():
    pytest.importorskip("matplotlib")
    drawn = feature_scores_figure(data(), kind="svg")
    assert drawn == feature_scores_figure(data(), kind="svg")
    assert b"topk, 96 at 1.resid_post" in drawn and b"Loss recovered" in drawn
    assert feature_scores_figure(data(1), kind="png", dark=True).startswith(b"\x89PNG")


def test_the_page_can_be_read_and_asked(browser, tmp_path):
    file, told = tmp_path / "scores.html", data(truth=True)
    text = feature_scores_text(told)
    file.write_text(page("features-frontier", told, title="t", text=text), "utf-8")
    with opened(browser, file) as found:
        assert "Features, scored" in found.text("h1")
        assert found.page.evaluate(CONTRAST) == []
        assert found.text(".told h2") == "batchtopk-6"
        found.page.locator(".plot").focus()
        found.page.keyboard.press("End")
        assert found.state()["at"] == "3" and found.text(".told h2") == "topk-16"
        found.page.get_by_role("radio", name="loss recovered").check()
        assert found.state()["show"] == "ce_loss_score"
        saved = found.saved(found.page.get_by_role("button", name="CSV").first).decode()
        assert "explained_variance" in saved and "topk-8.safetensors" in saved
        assert "81%" in found.text(".why table")
    with opened(browser, file, "#show=frac_alive&at=1&theme=dark", width=360) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []
        assert found.text(".told h2") == "topk-4"
