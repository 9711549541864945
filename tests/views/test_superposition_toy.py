"""Toy models as data, text, figure and page: the models' own numbers, and a page that walks."""

from __future__ import annotations

import json
import struct
from functools import cache
from typing import Any

import pytest
import torch
from rich.cells import cell_len
from tests.views.browsing import CONTRAST, opened
from tests.views.test_figure import texts

from molehill.superposition.toy_computing import train_absolute
from molehill.superposition.toy_families import toy_families
from molehill.superposition.toy_models import ToyModels, toy_grid
from molehill.superposition.toy_phases import toy_phases
from molehill.superposition.toy_shapes import dimensionality, polytope
from molehill.superposition.toy_training import train_toys
from molehill.views.documents import readable_json
from molehill.views.html import page
from molehill.views.superposition_toy import (
    BINS,
    arrangement,
    toy_computing_data,
    toy_phases_data,
    toy_sweep_data,
)
from molehill.views.superposition_toy_figure import toy_figure
from molehill.views.superposition_toy_text import toy_text

KINDS = ("sweep", "solid", "many", "linear", "phases", "computing")


@cache
def models(relu: bool = True) -> ToyModels:
    """Two densities and three seeds: trained a little, then a pentagon put in by hand."""
    grid = toy_grid(5, 2, [1.0, 0.02], seeds=3, relu=relu, decay=1.0 if relu else 0.5)
    made = train_toys(grid, steps=60, rows=64)
    if relu:
        made.weights[1, :2] = 1.1 * polytope("pentagon").float()
        made.loss[1] = torch.tensor([0.003, 0.002, 0.004])
    return made


@cache
def made(kind: str) -> dict[str, Any]:
    if kind == "phases":
        return toy_phases_data(
            toy_phases(1, [1.0, 0.1], [0.2, 5.0], seeds=2, steps=60), version="0"
        )
    if kind == "computing":
        return toy_computing_data(train_absolute(4, 3, [1.0, 0.1], seeds=2, steps=80), version="0")
    if kind in ("solid", "many"):
        size = (8, 3) if kind == "solid" else (12, 5)
        families = toy_families(seeds=2, steps=20) if kind == "many" else ()
        trained = train_toys(toy_grid(*size, [0.4, 0.05], seeds=2), steps=300, rows=64)
        return toy_sweep_data(trained, version="0", families=families)
    return toy_sweep_data(models(kind == "sweep"), version="0")


# --- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_data_are_json_as_they_are(kind):
    data = made(kind)
    assert json.loads(readable_json(data)) == data
    assert data["provenance"]["version"] == "0" and data["summary"] and data["notes"]


def test_a_point_holds_what_the_models_are():
    point = made("sweep")["points"][1]
    assert point["density"] == 0.02
    assert point["loss"] == pytest.approx([0.002, 0.0025, 0.003, 0.0035, 0.004])
    assert point["found"]["pentagon"] == 2
    assert point["best"] == 1
    kept = {one["copy"]: one for one in point["models"]}
    truth = models().weights[1]
    for copy, one in kept.items():
        assert torch.tensor(one["vectors"]).allclose(truth[copy].T, atol=1e-4)
        sizes = dimensionality(truth[copy])
        assert one["dimensionality"] == pytest.approx(sizes.tolist(), abs=1e-4)
    assert kept[1]["shapes"][0]["name"] == "pentagon"
    assert sum(point["histogram"]) == sum(
        sum(norm > 0.3 for norm in one["norms"]) for one in point["models"]
    )
    assert point["histogram"][int(0.4 * BINS) - 1] + point["histogram"][int(0.4 * BINS)] >= 10


def test_summaries_say_what_was_found():
    told = " ".join(made("sweep")["summary"])
    assert "5 features of equal importance in 2 dimensions" in told and "6 models" in told
    assert "0.02: pentagon (2 of 3)" in told
    assert "without a ReLU" in made("linear")["summary"][0]
    assert "seeds that found it: tetrahedron" in " ".join(made("many")["summary"])
    assert "the best seed is in the phase" in " ".join(made("phases")["summary"])


def test_arrangements_are_named():
    assert arrangement(["digon", "digon"]) == "2 digons"
    assert arrangement(["alone", "digon"]) == "alone + digon"
    assert arrangement(["alone", "alone", "triangle"]) == "2 alone + triangle"
    assert arrangement([]) == "nothing"


def test_cells_beside_the_boundary_are_counted():
    data = made("phases")
    off = data["off_boundary"]
    differing = sum(
        one != other
        for line, truth in zip(data["found"], data["expected"], strict=True)
        for one, other in zip(line, truth, strict=True)
    )
    assert off["cells"] == 4 and off["differing"] == differing
    assert data["agreement"] == pytest.approx(1 - differing / 4)


# --- text and figure ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [60, 100])
def test_no_line_is_wider_than_the_terminal(kind, width):
    for ascii_only in (False, True):
        text = toy_text(made(kind), width=width, ascii_only=ascii_only)
        assert max(map(cell_len, text.splitlines())) <= width


def test_the_text_marks_the_fractions_and_counts_seeds():
    text = toy_text(made("sweep"))
    assert "pentagon ×2" in text and "D*" in text
    ruler = next(line for line in text.splitlines() if line.split() == ["8", "5", "2", "3", "4"])
    # A pentagon's features stand in the column of 2/5.
    row = [line for line in text.splitlines() if line.startswith("      0.02  ")][-1]
    assert row[ruler.index("5")] in "▇█" or row[ruler.index("5") - 1] in "▇█"
    assert "Trained, and theory beside it".upper() in toy_text(made("phases"))
    assert "NEURONS OF THE BEST SEED" in toy_text(made("computing"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_a_whole_file(kind):
    png = toy_figure(made(kind), kind="png", dark=kind == "solid")
    assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">I", png[16:20]) == (2000,)
    told = " ".join(texts(toy_figure(made(kind), kind="svg")))
    assert "Molehill 0" in told and "density" in told


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")

    @cache
    def write(kind: str):
        path = folder / f"{kind}.html"
        content = page("superposition-toy", made(kind), title=kind, text=toy_text(made(kind)))
        path.write_text(content, encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_opens_in_both_themes_and_on_a_small_screen(browser, file, kind):
    for scheme, width in (("light", 1280), ("dark", 360)):
        with opened(browser, file(kind), width=width, color_scheme=scheme) as found:
            assert found.page.locator(".lead p").all_inner_texts() == made(kind)["summary"]
            assert found.asked == [file(kind).as_uri()]
            for summary in found.page.locator("summary").all():
                summary.click()
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width
            assert found.page.evaluate(CONTRAST) == []
            unnamed = "[...document.querySelectorAll('svg')].filter((one) => !one.ariaLabel).length"
            assert found.page.evaluate(unnamed) == 0


def test_the_slider_walks_over_densities_and_the_address_remembers(browser, file):
    with opened(browser, file("sweep"), "#at=0&seed=2") as found:
        assert found.state() == {"at": "0", "seed": "2"}
        assert "Density 1" in found.text(".told h2") and "Seed 2" in found.text(".found")
        found.page.locator(".vectors").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state()["at"] == "1"
        assert "Density 0.02" in found.text(".told h2")
        found.page.get_by_label("Seed", exact=True).select_option("best")
        assert "Seed 1: pentagon" in found.text(".found")
        arrows = found.page.locator(".vectors .arrow").count()
        edges = found.page.locator(".vectors .edge").count()
        assert (arrows, edges) == (5, 5)
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made("sweep")
    with opened(browser, file("sweep"), "#at=9&seed=x") as found:
        assert "at, seed" in found.text(".notice")


def test_a_map_of_phases_is_read_by_keys(browser, file):
    with opened(browser, file("phases"), "#row=0&column=0&show=norm") as found:
        found.page.locator("svg.phases").focus()
        found.page.keyboard.press("ArrowUp")
        found.page.keyboard.press("ArrowRight")
        assert found.state() == {"show": "norm", "row": "1", "column": "1"}
        phase = made("phases")["phases"][made("phases")["found"][1][1]]
        assert f"Trained: {phase}" in found.text(".found")
        assert b"theory" in found.saved(found.page.get_by_title("Save as SVG"))


def test_one_seed_is_not_said_to_agree_with_itself():
    data = toy_phases_data(toy_phases(1, [1.0], [0.2], seeds=1, steps=5), version="0")
    assert "1 seed each" in data["summary"][0]
    assert not any("agree" in line for line in data["summary"])
    assert "Seed 0, inputs of seed 0" in toy_text(data)


def test_in_ascii_no_formula_turns_into_another():
    text = " ".join(toy_text(made("sweep"), ascii_only=True).split())
    assert "|W_i|2 divided by the sum over all j of (u_i'W_j)2" in text
    assert "?" not in text.encode("ascii", "replace").decode("ascii")
