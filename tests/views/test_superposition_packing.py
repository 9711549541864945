"""The views of packings: the numbers they tell, the text, the figure, and the page in a browser."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from tests.views.browsing import CONTRAST, opened

from molehill.superposition.known_packings import KNOWN_PACKINGS, Compared, KnownPacking
from molehill.superposition.packing import Packing, pack
from molehill.views.html import page
from molehill.views.superposition_packing import known_packings_data, packing_data
from molehill.views.superposition_packing_figure import packing_figure
from molehill.views.superposition_packing_text import packing_text


@cache
def lines() -> Packing:
    return pack(28, 7, steps=600, starts=4)


@cache
def many() -> Packing:
    return pack(420, 20, steps=60)


@cache
def vectors() -> Packing:
    return pack(8, 7, lines=False, steps=500, starts=2)


def told(found: Packing, **how: Any) -> dict[str, Any]:
    return packing_data(found, version="1", **how)


def compared(known: KnownPacking, gap: float, alternating: float | None) -> Compared:
    bound = known.cosine
    return Compared(known, known.cosine + gap, bound, "Welch", 3, alternating, 0.9)


def known() -> dict[str, Any]:
    first, second, last = KNOWN_PACKINGS[0], KNOWN_PACKINGS[9], KNOWN_PACKINGS[-1]
    rows = [
        compared(first, 4e-8, first.cosine + 1e-12),
        compared(second, 0.06, second.cosine + 0.07),
        compared(last, 5e-8, None),
    ]
    return known_packings_data(rows, version="1", seed=4)


def test_the_numbers_are_those_of_the_packing():
    found = many()
    data = told(found)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["largest"] == found.largest and data["pair"] == list(found.pair)
    assert data["bound"]["cosine"] == found.bound
    assert data["bound"]["ratio"] == pytest.approx(found.largest / found.bound, rel=1e-6)
    assert data["matrix"] is None
    assert data["provenance"]["settings"]["steps"] == 60
    histogram = data["histogram"]
    wide = (histogram["to"] - histogram["from"]) / len(histogram["ours"])
    cosines = (found.vectors @ found.vectors.T)[torch.triu_indices(420, 420, 1).unbind()]
    for shares in (histogram["ours"], histogram["random"]):
        assert sum(shares) == pytest.approx(1, abs=1e-3)
    middle = histogram["from"] + 3 * round(len(histogram["ours"]) / 6) * wide
    below = sum(histogram["ours"][: 3 * round(len(histogram["ours"]) / 6)])
    assert below == pytest.approx(float((cosines < middle).double().mean()), abs=2e-3)
    # No pair of ours is in the outermost bins, which random directions reach.
    assert histogram["ours"][0] == histogram["ours"][-1] == 0
    assert max(histogram["random"][0], histogram["random"][-1]) > 0


def test_the_matrix_of_few_directions_is_their_cosines():
    data = told(lines())
    assert torch.allclose(
        torch.tensor(data["matrix"], dtype=torch.float64),
        lines().vectors @ lines().vectors.T,
        atol=1e-4,
    )


def test_it_is_said_whether_the_bound_is_met():
    assert told(lines())["summary"][1].startswith("No packing can be better: the bound of 0.3333")
    first, second, *_ = told(many())["summary"]
    assert first.startswith("420 lines in 20 dimensions: the closest two are")
    assert f"{many().largest:.4f}" in first
    assert "Theory allows no packing below" in second
    assert f"{many().ratio:.2f} times" in second
    assert "a cosine of −0.1429" in told(vectors())["summary"][0]
    assert "stopped after 60 steps" in told(many(), stopped=True)["summary"][-1]


def test_a_long_search_is_told_in_few_points_with_its_end():
    found = lines()
    history = told(found)["history"]
    assert len(history) <= 242
    assert history[-1]["step"] == 599


def test_symmetry_and_continuing_are_told():
    found = many()
    settings = replace(found.settings, shifts=20, continued=True)
    notes = " ".join(told(replace(found, settings=settings))["notes"])
    assert "cyclic shifts of 20 coordinates" in notes and "21 vectors stand for all" in notes
    assert "gone on from given vectors" in notes


def test_known_optima_are_counted_by_who_found_them():
    data = known()
    assert [row["met"] for row in data["rows"]] == [True, False, True]
    summary = " ".join(data["summary"])
    assert summary.startswith("2 of 3 packings")
    assert "within 5e−8" in summary
    assert "Not found: 120 in 8." in summary
    assert "Of 2 that alternating projection was tried on, it found 1 and the search 1." in summary


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("ascii_only", [False, True])
def test_no_line_is_wider_than_the_terminal(width, ascii_only):
    for data in (told(lines()), told(many()), told(vectors()), known()):
        text = packing_text(data, width=width, ascii_only=ascii_only)
        assert max(map(cell_len, text.splitlines())) <= width
        assert text.isascii() == ascii_only


def test_the_text_holds_the_scale_the_cosines_and_the_search():
    text = packing_text(told(lines()))
    row = next(line for line in text.splitlines() if line.strip().startswith("this packing"))
    assert row.split()[2:4] == ["0.3333", "70.53"]
    blocks = next(line for line in text.splitlines() if line.startswith("  packing "))
    # Two cosines and no other: +1/3 and -1/3.
    assert len(blocks.split()) == 3
    assert "4 starts ended between 0.3333 and" in text
    table = packing_text(known(), width=100)
    assert "E8" in table and "6e−2" in table and "3/16" in table


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_is_the_same_twice_in_both_kinds(dark):
    for data in (told(many()), known()):
        drawn = packing_figure(data, kind="png", dark=dark)
        assert drawn.startswith(b"\x89PNG") and drawn == packing_figure(data, kind="png", dark=dark)
        text = packing_figure(data, kind="svg", dark=dark).decode("utf-8")
        assert "Molehill 1, seed" in text
    assert "E8: 120 lines in 8" in text


# --- in a browser ---------------------------------------------------------------------------------


def written(folder, data):
    file = folder / "page.html"
    title = "packing"
    file.write_text(
        page("superposition-packing", data, title=title, text=packing_text(data)), encoding="utf-8"
    )
    return file


def test_the_page_reads_bins_and_pairs(browser, tmp_path):
    file = written(tmp_path, told(lines()))
    with opened(browser, file) as view:
        assert view.text("h1") == "28 lines in 7 dimensions"
        assert view.asked == [file.as_uri()]
        view.page.locator("svg.pairs").focus()
        before = int(view.state()["bin"])
        view.page.keyboard.press("Home")
        view.page.keyboard.press("ArrowRight")
        assert view.state()["bin"] == "1" and before > 1
        view.page.locator("input[value=log]").check()
        assert view.state()["scale"] == "log"
        view.page.locator("svg.matrix").focus()
        view.page.keyboard.press("ArrowDown")
        state = view.state()
        assert int(state["row"]) == lines().pair[0] + 1
        value = float(lines().vectors[int(state["row"])] @ lines().vectors[int(state["column"])])
        told_pair = view.text(".why .reading")
        same = state["row"] == state["column"]
        assert same or f"{abs(value):.4f}" in told_pair
        saved = view.saved(view.page.get_by_role("button", name="CSV").first).decode()
        assert saved.splitlines()[0] == "from,to,share of pairs,share of random pairs"
    with opened(browser, file, "#bin=99999") as view:
        assert "does not have" in view.text(".notice")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_forms_are_legible_and_fit_a_phone(browser, tmp_path, theme):
    for data in (told(many()), known()):
        file = written(tmp_path, data)
        with opened(browser, file, f"#theme={theme}", width=360, height=800) as view:
            assert view.page.evaluate("document.documentElement.scrollWidth") <= 360
            assert view.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize(
    ("gap", "said"),
    [(1.2e-7, "2e-07"), (1e-7, "1e-07"), (9.5e-8, "1e-07"), (4e-8, "4e-08"), (0.0, "0")],
)
def test_what_is_said_to_be_within_a_limit_is(gap, said):
    first = KNOWN_PACKINGS[0]
    data = known_packings_data([compared(first, gap, None)], version="1", seed=0)
    (line,) = (line for line in data["summary"] if line.startswith("Those found are within"))
    limit = float(line.split()[4].replace("−", "-"))
    assert limit == float(said) and limit >= gap * (1 - 1e-9)
