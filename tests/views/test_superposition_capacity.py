"""Capacity as data, text, figure and page: true sentences, and a page that can be asked."""

from __future__ import annotations

import json
import math
from functools import cache

import pytest
from rich.cells import cell_len
from tests.views.browsing import CONTRAST, opened

from molehill.superposition.capacity import CapacityPoint, capacity_curve, random_directions
from molehill.superposition.capacity_theory import breaking_points
from molehill.views.html import page
from molehill.views.superposition_capacity import capacity_data, few
from molehill.views.superposition_capacity_figure import capacity_figure
from molehill.views.superposition_capacity_text import capacity_text


@cache
def curves() -> dict[str, tuple[CapacityPoint, ...]]:
    def axes(count: int):
        import torch

        return torch.eye(40)[:count]

    return {
        "random": capacity_curve(
            lambda count: random_directions(count, 40), [20, 40, 160], active=3.0, inputs=300
        ),
        "packed": capacity_curve(axes, [20, 40], active=3.0, inputs=300),
    }


@cache
def made(fixed: bool = True) -> dict:
    series = curves() if fixed else {"random": curves()["random"]}
    return capacity_data(series, 40, 3.0, fixed=fixed, seed=0, version="0.0.0")


def test_the_numbers_are_the_librarys():
    data, points = made(), curves()["random"]
    for told, point in zip(data["series"][0]["points"], points, strict=True):
        assert told["measured"]["wrong_bits"] == pytest.approx(point.measured.wrong_bits)
        assert told["expected"]["gated"] == pytest.approx(point.expected.gated)
    assert data["breaking"]["bits"] == pytest.approx(breaking_points(40, 3.0).bits, rel=1e-3)
    sizes = [point["features"] for point in data["theory"]]
    assert sizes == sorted(sizes) and sizes[0] <= 8 and sizes[-1] == 1600
    json.dumps(data, allow_nan=False)


def test_one_feature_is_said_in_the_singular():
    points = capacity_curve(lambda count: random_directions(count, 2), [4], active=1.0, inputs=20)
    said = capacity_data({"random": points}, 2, 1.0, fixed=True, seed=0, version="0")["summary"][0]
    assert "1 feature active in every input" in said and "breaks at 1 feature," in said


def test_the_sentences_are_true():
    said = made()["summary"]
    bits = breaking_points(40, 3.0).bits
    assert "breaks at 20 features, the best linear map at 80" in said[0]
    assert f"a bias with ReLU at {bits:,.0f}" in said[0]
    both = curves()["random"][1].measured.wrong_bits
    assert any("40 packed directions are read with 0 wrong bits" in line for line in said)
    assert any(f"random ones have {few(both)}" in line for line in said)
    assert "of these, 40 packed directions do" in said[-1]
    assert "on average" in made(fixed=False)["summary"][0]


def test_the_two_hills_hold_all_readings():
    hills = made()["hills"]
    step = hills["at"][1] - hills["at"][0]
    for name in ("silent", "firing"):
        assert sum(hills[name]) * step == pytest.approx(1, abs=0.01)
    peak = hills["at"][hills["silent"].index(max(hills["silent"]))]
    assert peak == pytest.approx(0, abs=0.03)
    assert max(hills["silent"]) == pytest.approx(1 / math.sqrt(2 * math.pi * 3 / 40), rel=0.01)


@pytest.mark.parametrize("width", [70, 80, 130])
def test_the_text_keeps_its_width(width):
    text = capacity_text(made(), width=width)
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "RANDOM DIRECTIONS" in text and "PACKED DIRECTIONS" in text
    assert ("false fires" in text) is (width >= 100)
    assert capacity_text(made(), width=width, ascii_only=True).isascii()


def test_figures_are_drawn_and_repeat():
    pytest.importorskip("matplotlib")
    drawn = capacity_figure(made(), kind="svg")
    assert drawn == capacity_figure(made(), kind="svg")
    assert b"40 dimensions, 3 features active" in drawn and b"mathdefault" not in drawn
    assert capacity_figure(made(fixed=False), kind="png", dark=True).startswith(b"\x89PNG")


def test_the_page_can_be_read_and_asked(browser, tmp_path):
    file = tmp_path / "capacity.html"
    text = capacity_text(made())
    file.write_text(page("superposition-capacity", made(), title="t", text=text), "utf-8")
    with opened(browser, file) as found:
        assert "Orthogonality at work" in found.text("h1")
        assert found.page.evaluate(CONTRAST) == []
        before = found.text(".told dl")
        found.page.locator(".plot").focus()
        found.page.keyboard.press("End")
        assert found.state()["at"] == "1600" and found.text(".told dl") != before
        found.page.get_by_role("radio", name="errors of values").check()
        assert found.state()["show"] == "values"
        saved = found.saved(found.page.get_by_role("button", name="CSV").first).decode()
        assert saved.startswith("directions,features,coherence") and "packed,40," in saved
    with opened(browser, file, "#show=bits&theme=dark", width=360) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []
