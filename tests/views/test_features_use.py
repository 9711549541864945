"""Steering and graphs as data, text and pages."""

from __future__ import annotations

import json

import pytest
import torch
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.features.attribution import attribute
from molehill.features.autoencoder import Settings
from molehill.features.making import make_autoencoder
from molehill.features.steering import Change, steer
from molehill.features.trained import Features
from molehill.views.features_graph import graph_data
from molehill.views.features_graph_text import graph_text
from molehill.views.features_steer import steer_data
from molehill.views.features_steer_text import steer_text
from molehill.views.html import page

PROMPT = "the spy was a mole"


def made(read: str, write: str, k: int = 5) -> Features:
    centred = read == write
    autoencoder = make_autoencoder(Settings("topk", 96, 96, 200, k=k, centred=centred), seed=2)
    return Features(autoencoder.eval(), (read,), (write,), f"random {read}")


@pytest.fixture(scope="module")
def lm():
    return molehill.load("village")


@pytest.fixture(scope="module")
def steered(lm):
    features = made("1.resid_post", "1.resid_post")
    changes = [Change(3, "add", 12.0), Change(5, "scale", 0.0)]
    found = steer(lm, features, PROMPT, changes, strengths=(1.0, 3.0), max_new_tokens=5)
    return found, steer_data(lm, features, found, version="0.0.0")


@pytest.fixture(scope="module")
def graphs(lm):
    coders = [made(f"{layer}.mlp.in", f"{layer}.mlp.out") for layer in (0, 2)]
    whole = attribute(lm, PROMPT, coders)
    pruned = whole.pruned()
    return whole, pruned, graph_data(lm, whole, pruned, version="0.0.0")


def test_steering_as_data_is_what_was_found(lm, steered):
    found, data = steered
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [run["strength"] for run in data["runs"]] == [0.0, 1.0, 3.0]
    assert data["runs"][0]["divergence"] == 0.0
    for run, own in zip(data["runs"], found.runs, strict=True):
        alike = run["alike"]
        assert run["text"] == own.text
        assert list(own.ids[:alike]) == data["runs"][0]["ids"][:alike]
        assert alike == len(own.ids) or own.ids[alike] != data["runs"][0]["ids"][alike]
    for word, token in zip(data["words"], found.words, strict=True):
        assert word["piece"] == lm.tokenizer.piece(token)
    assert "feature 3 +12 and feature 5 off" in data["summary"][0]


def test_steerings_text_has_every_run_and_word(steered):
    found, data = steered
    told = " ".join(steer_text(data).split())
    for run in found.runs:
        assert " ".join((PROMPT + run.text).split()) in told
    assert "times 3" in told
    assert str(data["changes"][0]["told"]) in told


def test_a_graphs_parts_are_told_with_what_is_not_in_it(graphs):
    whole, pruned, data = graphs
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    sums = torch.zeros(len(data["nodes"]), dtype=torch.float64)
    for _, target, weight in data["edges"]:
        sums[target] += weight
    for number, node in enumerate(data["nodes"]):
        if node["kind"] in ("feature", "logit"):
            total = float(sums[number]) + node["bias"] + node["unlisted"]
            assert total == pytest.approx(node["value"], rel=1e-3, abs=1e-3)
    assert data["counts"]["whole"]["feature"] == int(whole.of_kind("feature").sum())
    assert len(data["edges"]) == pruned.edges
    assert data["closing_error"] < 1e-4
    assert any(note.startswith("1 of 3 layers has no transcoder") for note in data["notes"])


def test_a_graphs_text_names_words_features_and_sums(graphs):
    _, _, data = graphs
    text = graph_text(data, top=3)
    assert "WHAT MAKES THE WORDS" in text
    assert "others" in text
    assert "biases" in text
    assert "Every node's parts add up to its value" in " ".join(text.split())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_pages_can_be_read_and_nothing_overflows(browser, steered, graphs, tmp_path, scheme, width):
    for name, data, text in (
        ("features-steer", steered[1], steer_text(steered[1])),
        ("features-graph", graphs[2], graph_text(graphs[2])),
    ):
        file = tmp_path / f"{name}.html"
        file.write_text(page(name, data, title=name, text=text), encoding="utf-8")
        assert file.stat().st_size < 1_000_000
        with opened(browser, file, width=width, color_scheme=scheme) as shown:
            shown.wait("document.querySelector('svg').childElementCount > 3")
            assert shown.page.evaluate(CONTRAST) == []
            assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
            assert data["summary"][0] in shown.text(".lead")


def test_a_graph_is_walked_by_keys_and_its_address_comes_back(browser, graphs, tmp_path):
    _, _, data = graphs
    file = tmp_path / "graph.html"
    content = page("features-graph", data, title="graph", text=graph_text(data))
    file.write_text(content, encoding="utf-8")
    with opened(browser, file) as shown:
        first = shown.state()["node"]
        assert first == next(node["id"] for node in data["nodes"] if node["kind"] == "logit")
        shown.page.keyboard.press("ArrowDown")
        below = shown.state()["node"]
        node = next(node for node in data["nodes"] if node["id"] == below)
        assert node["kind"] != "logit"
        assert node["name"] in shown.text(".side h2")
        shown.page.keyboard.press("Home")
        assert shown.state()["node"] == first
        shown.page.locator(".side .bars button").first.click()
        assert shown.state()["node"] != first
    with opened(browser, file, fragment=f"#node={below}") as again:
        assert node["name"] in again.text(".side h2")
