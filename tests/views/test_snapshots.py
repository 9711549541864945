"""A replay as data, text and page: the record's own numbers, and a page that walks both ways."""

from __future__ import annotations

import json

import pytest
from tests.views.browsing import CONTRAST, opened

from molehill.journey.snapshots import replay
from molehill.training.history import snapshot_models
from molehill.views.html import page
from molehill.views.snapshots import snapshots_data
from molehill.views.snapshots_text import snapshots_text

SENTENCES = ["By the lawn the mole digs.", "The spy was a mole.", "Near the acid the mole reacts."]


@pytest.fixture(scope="module")
def found(small_run):
    return replay(snapshot_models(small_run, (0, 3, 6)), "mole", SENTENCES)


@pytest.fixture(scope="module")
def data(found):
    return snapshots_data(found, version="0.0.0", run="small", kept=5)


def test_data_are_the_records_numbers(found, data):
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [one["step"] for one in data["steps"]] == [0, 3, 6]
    for pair, own in zip(data["pairs"], found.pairs, strict=True):
        for row, told in zip(pair["distances"], own.without_position, strict=True):
            assert row == pytest.approx(told, rel=1e-4)
        names = [at if at is None else found.points[at] for at in pair["parts_at"]]
        assert names == list(own.parts_at)
    for name, basis in data["bases"].items():
        own = found.bases[name].coordinates
        assert (len(basis["paths"]), len(basis["paths"][0])) == own.shape[:2]
        assert basis["paths"][2][1][3] == pytest.approx(own[2, 1, 3].tolist(), rel=1e-4, abs=1e-9)
    for one in data["sentences"]:
        start, end = one["word_at"]
        assert one["text"][start:end] == "mole"


def test_what_is_left_out_and_what_is_taken_off_is_said(data):
    told = " ".join(data["notes"])
    assert "3 of the 5 models that the run keeps are shown" in told
    assert "the position's own row" in told


def test_the_summary_tells_the_pair_that_ends_furthest_apart(data):
    ends = {(p["a"], p["b"]): p["distances"][-1][-1] for p in data["pairs"]}
    (a, b), distance = max(ends.items(), key=lambda one: one[1])
    assert f"Sentences {a} and {b} end furthest apart, {distance:.2f}" in data["summary"][1]


def test_the_text_has_every_step(data):
    told = snapshots_text(data, width=80)
    assert all(sentence in told for sentence in SENTENCES)
    assert told.count("part ") >= 3 or "come together" in told
    plain = snapshots_text(data, width=80, ascii_only=True)
    assert plain.isascii() and max(map(len, plain.splitlines())) <= 80


def test_the_page_walks_along_training_and_layers(data, browser, tmp_path):
    file = tmp_path / "snapshots.html"
    file.write_text(page("snapshots", data, title="Moles", text=""), encoding="utf-8")
    with opened(browser, file, "#step=0&point=1") as found:
        assert found.text(".scrubbers .place") == "step 0"
        found.page.locator(".paths").focus()
        found.page.keyboard.press("ArrowRight")
        found.page.keyboard.press("ArrowUp")
        assert (found.state()["step"], found.state()["point"]) == ("3", "2")
        found.page.locator(".map .cell[data-step='2'][data-point='3']").click()
        assert (found.state()["step"], found.state()["point"]) == ("6", "3")
        pair = data["pairs"][1]
        found.page.locator(".part select").select_option("1")
        assert f"{pair['distances'][2][3]:.2f}" in found.text(".part > .small")
        found.page.locator("label:has-text('through training') input").check()
        lines = found.page.locator(".path .walked")
        assert lines.count() == 3 and len(lines.first.get_attribute("points").split()) == 3
        found.page.keyboard.press("2")
        assert "Sentence 2 at step 6" in found.text(".reading h2")
        svg = found.saved(found.page.locator(".exports").first.get_by_text("SVG"))
        assert b"step 6 of small" in svg
        rows = found.saved(found.page.locator(".exports").first.get_by_text("CSV"))
        assert len(rows.decode().splitlines()) == 1 + 3 * 3 * len(data["points"])
        assert found.page.evaluate(CONTRAST) == []
    with opened(browser, file, width=360, color_scheme="dark", reduced_motion="reduce") as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360
        found.page.locator(".play").click()
        found.wait("location.hash.includes('step=6')")
        assert found.page.evaluate(CONTRAST) == []
