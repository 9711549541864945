"""Bounds as data, text, figure and page: true sentences, and a page that can be asked."""

from __future__ import annotations

import json
import math
from functools import cache

import pytest
from rich.cells import cell_len
from tests.views.browsing import CONTRAST, opened

from molehill.errors import GeometryError
from molehill.superposition.bounds import bounds
from molehill.superposition.how_many import how_many
from molehill.views.html import page
from molehill.views.superposition_bounds import bounds_data, brief, power
from molehill.views.superposition_bounds_figure import bounds_figure
from molehill.views.superposition_bounds_text import bounds_text


@cache
def popular() -> dict:
    return bounds_data(10_000, 100, 89.0, version="0.0.0")


def test_the_popular_claim_is_refused_in_the_first_sentence():
    first = popular()["summary"][0]
    assert "cannot all be between 89 and 91 degrees apart" in first
    assert "at most 81.95 degrees apart (Levenshtein" in first and "alone says 84.29" in first
    assert first.endswith("The popular claim that they can is false.")
    assert "101 to 103 lines" in popular()["summary"][1]


@pytest.mark.parametrize("degrees", [82.0, 90.0])
def test_the_popular_claim_is_about_89_degrees_alone(degrees):
    first = bounds_data(10_000, 100, degrees, version="1")["summary"][0]
    assert "cannot all be" in first and "popular" not in first


def test_the_numbers_are_the_librarys():
    data, found, many = popular(), bounds(10_000, 100), how_many(100, 89.0)
    told = {one["name"]: one["cosine"] for one in data["bounds"]["lines"]}
    assert told["Welch"] == pytest.approx(found.welch) and data["bounds"]["best"][
        "cosine"
    ] == pytest.approx(found.best)
    assert data["bounds"]["random"]["expected"] == pytest.approx(found.random_expected)
    lines = data["how_many"]["lines"]
    assert {one["name"]: one["count"] for one in lines["upper"]} == {
        one.name: one.count for one in many.upper
    }
    assert [one["degrees"] for one in data["growth"]] == [89, 85, 80]
    json.dumps(data, allow_nan=False)


def test_what_is_possible_and_what_is_open_are_told_apart():
    can = bounds_data(10_000, 4096, 89.0, version="0", signed=False)["summary"][0]
    assert "can all keep 89 degrees: they can be written down (Kerdock's bases)" in can
    exists = bounds_data(700_000, 768, 80.0, version="0", signed=False)["summary"][0]
    assert "they exist, though none is shown (volume of caps" in exists
    unknown = bounds_data(102, 100, 89.0, version="0", signed=False)["summary"][0]
    assert "is not settled here" in unknown and "101 are known to fit" in unknown
    whole = bounds_data(None, 8, 60.0, version="0")
    assert whole["bounds"] is None and whole["needed"] is None
    assert "exactly 120" in whole["summary"][0]


def test_right_angles_and_tiny_ones_have_their_own_words():
    right = bounds_data(100, 50, 90.0, version="0", signed=False)
    assert "cannot all be 90 degrees apart" in right["summary"][0] and right["needed"] is None
    tiny = bounds_data(None, 3, 0.01, version="0", signed=False)
    # The area of a cap of 0.01 degrees and of 0.005: covering needs the one, packing the other.
    half = 1 / (2 * math.sin(math.radians(0.0025)) ** 2)
    assert tiny["how_many"]["lines"]["upper"][0]["count"] < half
    assert tiny["how_many"]["lines"]["lower"][0]["count"] > half / 4 * 0.99
    assert [one["degrees"] for one in tiny["growth"]] == [0.01, 89, 85, 80]
    assert bounds_text(tiny)


def test_numbers_are_written_to_be_read():
    assert (power(math.log2(103.4)), power(40.0)) == ("103", "1.1·10^12")
    assert (power(5000.0), brief(23.19)) == ("10^1,505", "9.6·10^6")


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_text_keeps_its_width_and_says_all_of_it(width):
    text = bounds_text(popular(), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    for word in ("81.95", "Kerdock", "2,472", "272,392", "9.6·10^6"):
        assert word in text
    plain = bounds_text(popular(), width=width, ascii_only=True)
    assert plain.replace("°", "").isascii()


def test_what_cannot_be_is_refused():
    with pytest.raises(GeometryError, match="computed up to"):
        bounds_data(10, 10**9, 89.0, version="0")
    with pytest.raises(GeometryError, match="up to 90 degrees"):
        bounds_data(10, 100, 91.0, version="0")


def test_figures_are_drawn_and_repeat():
    pytest.importorskip("matplotlib")
    drawn = bounds_figure(popular(), kind="svg")
    assert drawn == bounds_figure(popular(), kind="svg")
    for word in (b"81.95", b"Levenshtein", b"10,000 in 100"):
        assert word in drawn
    alone = bounds_data(None, 50, 85.0, version="0", signed=False)
    assert bounds_figure(alone, kind="png", dark=True).startswith(b"\x89PNG")


def test_the_page_can_be_read_and_asked(browser, tmp_path):
    file = tmp_path / "bounds.html"
    file.write_text(
        page("superposition-bounds", popular(), title="t", text=bounds_text(popular())), "utf-8"
    )
    with opened(browser, file) as found:
        assert "10,000 in 100" in found.text("h1") and "103" in found.text(".told")
        assert found.page.evaluate(CONTRAST) == []
        found.page.locator(".plot").focus()
        found.page.keyboard.press("End")
        assert found.state()["at"] == "100000" and "10⁵¹" in found.text(".told")
        found.page.get_by_role("radio", name="85°").check()
        assert found.state()["angle"] == "85"
        saved = found.saved(found.page.get_by_role("button", name="CSV").first).decode()
        assert saved.startswith("degrees,dimensions") and "85,100," in saved
    with opened(browser, file, "#angle=80&show=rate&at=1000&theme=dark", width=360) as found:
        assert "1,000 dimensions, at 80°" in found.text(".told h2")
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []
