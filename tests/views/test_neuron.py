"""A neuron's card, a search and what a vector holds: as data, as text, and as a page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from tests.facts.test_neuron_index import each_family, language
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.facts.directions import holds
from molehill.facts.memories import neuron_card
from molehill.facts.neuron_index import NeuronIndex
from molehill.views.html import module, page
from molehill.views.neuron import holds_data, neuron_data, search_data
from molehill.views.neuron_text import holds_text, neuron_text, search_text
from molehill.village import make_world, tell


@cache
def village():
    return molehill.load("village")


@cache
def made(kind: str = "village") -> dict:
    """A card: of the village, with texts; or of a tiny gated model, without."""
    if kind == "village":
        texts = [told.text for told in tell(make_world(0), 80, seed=3)]
        return neuron_data(
            village(), neuron_card(village(), 2, 190, texts=texts, k=6), version="0.0.0"
        )
    lm = language(kind, d_vocab=60)
    return neuron_data(lm, neuron_card(lm, 1, 3, k=6), version="0.0.0")


@cache
def gated() -> dict:
    """A gated card with texts: the village's, told of two rows and both signs."""
    data = json.loads(json.dumps(made()))
    data["neuron"]["gated"] = True
    data["rows"] = [{**data["rows"][0], "name": name} for name in ("gate row", "up row")]
    data["rows"][1]["matched"] = data["rows"][0]["opposed"]
    data["firing"]["lowest"] = [
        {**one, "coefficient": -one["coefficient"], "pieces": ["<img src=x>", *one["pieces"][1:]]}
        for one in data["firing"]["examples"]
    ]
    return data


# --- data -------------------------------------------------------------------------------------


@each_family
def test_every_family_has_a_card_of_plain_numbers(family):
    data = made(family)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "molehill.neuron/1" and data["firing"] is None
    assert [row["name"] for row in data["rows"]] == (
        ["gate row", "up row"] if data["neuron"]["gated"] else ["row"]
    )
    headless = family in ("bert", "minilm")
    assert any("no unembedding" in note for note in data["notes"]) == headless
    assert data["column"]["through_head"] != headless
    assert neuron_text(data)


def test_a_sentence_says_when_nothing_stands_out():
    data = made()
    row, column = data["rows"][0], data["column"]
    assert row["matched"][0]["z"] < data["chance"] < column["promoted"][0]["z"]
    assert data["summary"][0].startswith("No token stands out in what its row asks")
    assert data["summary"][1].startswith("Its column promotes “Elmham”")
    assert "No bias is added" in data["summary"][2]
    best = data["firing"]["examples"][0]
    assert f"text {best['text']}." in data["summary"][3]


def test_a_column_that_takes_out_what_its_row_asks_is_said_to():
    lm = language("llama", d_vocab=60)
    block = lm.model.blocks[1]
    block.mlp.w_out[:, 3] = -block.mlp.w_in[3] * block.norm2.multiplier
    told = neuron_data(lm, neuron_card(lm, 1, 3), version="0.0.0")["summary"]
    assert any("against its gate row (cosine −1.00)" in line for line in told)


def test_scores_that_are_not_finite_are_said_to_be():
    lm = language("gpt2", d_vocab=60)
    lm.model.blocks[1].mlp.w_in[3] = torch.nan
    data = neuron_data(lm, neuron_card(lm, 1, 3), version="0.0.0")
    assert data["rows"][0]["matched"][0]["z"] is None
    assert "not finite" in data["summary"][0] and "not finite" in neuron_text(data)


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_text_keeps_to_its_width_and_says_all_parts(width):
    for data in (made(), gated(), made("gemma2")):
        text = neuron_text(data, width=width)
        assert max(map(len, text.splitlines())) <= width
        for row in data["rows"]:
            assert f"WHAT ITS {row['name'].upper()} ASKS" in text
        assert ("WHEN IT FIRES" in text) == (data["firing"] is not None)
        assert ("--texts" in text) == (data["firing"] is None)
    assert "MOST NEGATIVE" in neuron_text(gated()) and "MOST NEGATIVE" not in neuron_text(made())


def test_a_bar_stands_where_chance_begins():
    data = {**made()}
    words = data["column"]["promoted"]
    for inside in range(len(words) + 1):
        beyond = len(words) - inside
        data["chance"] = words[beyond]["z"] + 1e-3 if inside else words[-1]["z"] - 1e-3
        text = neuron_text(data, width=120)
        line = next(one for one in text.splitlines() if "promotes   " in one)
        before, _, after = line.removeprefix("  promotes").strip().partition("|")
        assert len([one for one in before.split(",") if one.strip()]) == beyond
        assert len([one for one in after.split(",") if one.strip()]) == inside


def test_in_ascii_every_character_is():
    assert neuron_text(made(), ascii_only=True).isascii()


# --- a search, and what a vector holds --------------------------------------------------------


def test_a_search_tells_each_neuron_by_its_words():
    index = NeuronIndex.build(village())
    data = search_data(village(), index.writing("Elmham", k=6), version="0.0.0")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    first = data["hits"][0]
    card = neuron_card(village(), first["layer"], first["index"], k=5)
    assert [one["piece"] for one in first["promoted"]] == [
        one.piece for one in card.column.promoted
    ]
    assert [one["piece"] for one in first["matched"]] == [one.piece for one in card.rows[0].matched]
    beyond = sum(hit["z"] > data["chance"] for hit in data["hits"])
    assert f", {beyond} " in data["summary"][0] and first["label"] in data["summary"][0]
    text = search_text(data)
    assert all(hit["label"].removeprefix("neuron ") in text for hit in data["hits"])


def test_a_gated_search_says_which_sign_promotes_the_word():
    lm = language("llama", d_vocab=60)
    data = search_data(lm, NeuronIndex.build(lm).writing(5, k=40), version="0.0.0")
    text = search_text(data, width=120)
    assert any(hit["z"] < 0 for hit in data["hits"]) and "demotes" in text
    assert any("coefficient is negative" in note for note in data["notes"])
    asked = search_data(lm, NeuronIndex.build(lm).asking(5, row="up"), version="0.0.0")
    assert "up row asks" in search_text(asked)


def test_a_search_that_finds_nothing_says_so():
    lm = language("gpt2", d_vocab=60)
    data = search_data(lm, NeuronIndex.build(lm).asking(5, k=3), version="0.0.0")
    data["chance"] = 9.0
    from molehill.views.neuron import _search_summary

    assert "none stands out" in _search_summary(data)[0]


def test_what_a_vector_holds_is_a_line_for_each_direction():
    back = torch.randn(40, 8, generator=torch.Generator().manual_seed(1))
    found = holds(back[0], {"itself": back[0], "other": back[1]}, back, draws=100)
    data = holds_data(found)
    lines = holds_text(data).splitlines()
    assert lines[1].split()[0] == "itself" and lines[2].split()[0] == "other"
    assert "above others" in lines[0] and "1.00" in lines[1]
    plain = holds_text(holds_data(holds(back[0], {"itself": back[0]}, draws=100)))
    assert "above others" not in plain


# --- the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("neurons")

    @cache
    def write(kind: str):
        data = {"village": made, "gated": gated}.get(kind, lambda: made(kind))()
        path = folder / f"{kind}.html"
        path.write_text(page("neuron", data, title=kind, text=neuron_text(data)), "utf-8")
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


KINDS = ("village", "gated", "bert")


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind):
    with visit(kind) as found:
        assert found.asked == [file(kind).as_uri()]
        data = gated() if kind == "gated" else made(kind)
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        assert found.page.locator(".texts li").count() == len(
            (data["firing"] or {}).get("examples", [])
        )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_text_has_contrast_enough(visit, kind, scheme):
    with visit(kind, color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_page_never_scrolls_sideways(visit, width):
    with visit("gated", width=width) as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_rows_and_signs_are_chosen_by_keys_and_kept_in_the_address(visit):
    with visit("gated", "#row=0&side=examples") as found:
        found.page.get_by_role("radio", name="gate row").focus()
        found.page.keyboard.press("ArrowRight")
        found.page.get_by_role("radio", name="largest").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state() == {"row": "1", "side": "lowest"}
        first = gated()["rows"][1]["matched"][0]["piece"].removeprefix("·")
        assert first in found.page.locator(".chart").first.text_content()
        assert found.text(".texts .value").startswith("−")
    with visit("village", "#row=1") as found:
        assert "does not have" in found.text(".notice")


def test_pictures_and_data_are_saved_whole(visit):
    with visit("gated") as found:
        for button in found.page.get_by_title("Save as SVG").all():
            svg = found.saved(button).decode()
            assert "village" in svg and "var(--" not in svg
        assert found.saved(found.page.get_by_title("Save as PNG").first)[:4] == b"\x89PNG"
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == gated()


def test_every_control_and_picture_has_a_name_and_the_host_can_take_it_away(visit, browser):
    with visit("gated") as found:
        unnamed = found.page.evaluate(
            "[...document.querySelectorAll('svg')].filter((e) => !e.getAttribute('aria-label'))"
            ".length"
        )
        names = found.page.evaluate(
            """() => [...document.querySelectorAll('button, input, [tabindex]')].map((e) =>
            (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.textContent).trim())"""
        )
        assert unnamed == 0 and all(names)
    shown = browser.new_page()
    shown.set_content("<div id=cell></div>")
    drawn, left = shown.evaluate(
        """async ([source, data]) => {
          const {default: view} = await import(URL.createObjectURL(
            new Blob([source], {type: 'text/javascript'})));
          const el = document.getElementById('cell');
          const undo = view.render({model: {get: (name) => ({data})[name]}, el});
          const drawn = el.querySelectorAll('svg').length;
          undo();
          return [drawn, el.childNodes.length];
        }""",
        [module("neuron"), gated()],
    )
    shown.close()
    assert drawn == 3 and left == 0
