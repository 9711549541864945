"""A model's geometry as data, as text, as a figure and as a page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from tests.trace.small_families import FAMILIES, build
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.superposition.matrices import Matrix
from molehill.superposition.report import Report, detail, report
from molehill.superposition.together import occurrences_in_windows, together
from molehill.views.html import module, page
from molehill.views.provenance import provenance
from molehill.views.superposition_report import Names, report_data
from molehill.views.superposition_report_figure import report_figure
from molehill.views.superposition_report_text import report_text
from molehill.village import make_world, tell

MADE = {
    "model": "made",
    "fingerprint": "0" * 64,
    "dtype": "float32",
    "version": "0.0.0",
    "checked": {"passed": None, "date": None, "failed": [], "told": "not checked"},
}


@cache
def village() -> dict:
    lm = molehill.load("village")
    assert lm.tokenizer is not None
    texts = [told.text for told in tell(make_world(0), 300, seed=3)]
    occurrences, tokens = occurrences_in_windows(lm.tokenizer.ids(texts), 16, 200)
    found = together(lm.model.w_token[tokens], occurrences, draws=20)
    piece, named = lm.tokenizer.piece, tokens.tolist()
    return report_data(
        report(lm.model),
        Names(piece),
        provenance=provenance(lm, "0.0.0"),
        together=[("windows of 16 tokens", found, lambda row: piece(named[row]))],
    )


@cache
def of(family: str) -> dict:
    model = build(family, torch.float32, d_vocab=60)
    return report_data(report(model), Names(None), provenance=MADE)


@cache
def tensor() -> dict:
    vectors = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    vectors[7] = 0
    vectors[30] = -vectors[4]
    made = detail(Matrix("<img src=x>", "tensor", None, vectors, "rows of the tensor"))
    return report_data(Report((made,), (), (), False, True, 0), Names(None), provenance=MADE)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_report_of_plain_numbers(family):
    data = of(family)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    gated = any(line["kind"] == "mlp.gate" for line in data["layers"])
    assert gated == ("MLP gate rows" in report_text(data, width=100))
    assert data["tied"] == any("one table" in note for note in data["notes"])


def test_the_first_sentences_say_what_was_measured():
    data = village()
    table, told = data["tables"][0], data["summary"]
    assert "486 rows have no direction in common" in told[0]
    assert table["matched_largest"] < 0.8 < 0.99 < table["largest"]
    assert told[1].startswith("The spectrum does not explain who is near to whom")
    assert "3 bundles" in told[3]
    assert "“Monday”" in told[4]
    assert "occurs together" in told[-1]
    line = next(line for line in data["layers"] if line["name"] == "2.mlp.columns")
    assert any(" and ".join(line["pair"]) in sentence for sentence in told)
    histogram = table["histogram"]
    assert sum(histogram["real"]) == pytest.approx(1, abs=1e-3)
    assert sum(histogram["random"]) == pytest.approx(1, abs=1e-3)


def test_a_tensor_keeps_its_rows_numbers_and_tells_what_was_left_out():
    data = tensor()
    assert data["tables"][0]["left_out"] == 1
    assert data["tables"][0]["pair"] == ["4", "30"]
    assert data["tables"][0]["largest"] == -1
    assert data["layers"] == []


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_text_keeps_to_its_width_and_to_a_page(width):
    for data in (village(), tensor(), of("llama")):
        text = report_text(data, width=width)
        assert max(map(len, text.splitlines())) <= width
        assert "WHO COLLIDES WITH WHOM" in text
    assert report_text(village(), ascii_only=True).isascii()


@pytest.mark.parametrize("dark", [False, True])
def test_a_figure_holds_its_words_and_is_the_same_twice(dark):
    svg = report_figure(village(), kind="svg", dark=dark).decode()
    assert "Geometry of village" in svg
    assert "same spectrum" in svg
    assert "MLP columns" in svg
    assert "mathdefault" not in svg
    assert report_figure(tensor(), kind="png", dark=dark)[:4] == b"\x89PNG"
    assert report_figure(tensor(), kind="svg") == report_figure(tensor(), kind="svg")


# --- the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("geometry")

    @cache
    def write(kind: str):
        data = {"village": village, "tensor": tensor}.get(kind, lambda: of(kind))()
        path = folder / f"{kind}.html"
        content = page("superposition-report", data, title=kind, text=report_text(data))
        path.write_text(content, "utf-8")
        return path

    return write


@pytest.fixture
def visit(browser, file):
    @contextmanager
    def go(kind, fragment="", **options):
        with opened(browser, file(kind), fragment, **options) as found:
            found.page.wait_for_selector("article footer")
            yield found

    return go


@pytest.mark.parametrize(("kind", "scheme"), [("village", "light"), ("llama", "dark")])
def test_it_opens_without_a_network_and_can_be_read(visit, file, kind, scheme):
    with visit(kind, color_scheme=scheme) as found:
        assert found.asked == [file(kind).as_uri()]
        data = village() if kind == "village" else of(kind)
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.evaluate(CONTRAST) == []
        unnamed = "[...document.querySelectorAll('svg')].filter((e) => !e.ariaLabel).length"
        assert found.page.evaluate(unnamed) == 0


@pytest.mark.parametrize("width", [360, 1400])
def test_a_page_never_scrolls_sideways(visit, width):
    for kind in ("village", "tensor"):
        with visit(kind, width=width) as found:
            assert found.page.locator("img").count() == 0
            for summary in found.page.locator("summary").all():
                summary.click()
            assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_pairs_are_searched_and_the_address_holds_what_is_seen(visit):
    with visit("village") as found:
        found.page.keyboard.press("/")
        found.page.keyboard.type("monday")
        names = found.page.locator(".pairs .names").all_inner_texts()
        assert names
        assert all("Monday" in name for name in names)
        found.page.get_by_role("radio", name="positions").focus()
        found.page.get_by_role("radio", name="rank used").check(force=True)
        assert found.state() == {"table": "0", "measure": "rank", "find": "monday"}
    with visit("village", "#table=1&measure=largest&kind=none") as found:
        assert "64 rows" in found.text(".side h2")
        assert "kind" in found.text(".notice")


def test_pictures_and_data_are_saved_whole_and_a_host_can_take_it_away(visit, browser):
    with visit("village") as found:
        for button in found.page.get_by_title("Save as SVG").all():
            svg = found.saved(button).decode()
            assert "village" in svg
            assert "var(--" not in svg
        pairs = found.saved(found.page.get_by_title("Save as CSV").nth(2)).decode()
        assert "Monday" in pairs
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == village()
    shown = browser.new_page()
    shown.set_content("<div id=cell></div>")
    left = shown.evaluate(
        """async ([source, data]) => {
          const {default: view} = await import(URL.createObjectURL(
            new Blob([source], {type: 'text/javascript'})));
          const el = document.getElementById('cell');
          view.render({model: {get: (name) => ({data})[name]}, el})();
          return el.childNodes.length;
        }""",
        [module("superposition-report"), village()],
    )
    shown.close()
    assert left == 0
