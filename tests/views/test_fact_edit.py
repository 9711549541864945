"""An edit as data, as text, and as a page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.facts.edits import Dense, FactEdit, apply_edits, sizes
from molehill.facts.fact import Fact
from molehill.facts.health import health
from molehill.views.fact_edit import fact_edit_data
from molehill.views.fact_edit_text import fact_edit_text
from molehill.views.html import module, page

FACT = Fact("Leo Rosner", "golf", "{} plays", paraphrases=("The sport of {} is",))
HOSTILE = "<img src=x onerror=alert(1)></script>\u202e"


@cache
def village():
    return molehill.load("village")


def edit(scale: float, fact: Fact = FACT, after=()) -> FactEdit:
    lm = village()
    weight = lm.model.blocks[0].mlp.w_out
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(3))
    change = Dense("blocks.0.mlp.w_out", scale * noise * weight.std())
    return FactEdit(
        "by hand", (fact,), (change,), lm.name, lm.fingerprint, after, {"how": [1, {"x": 2.0}]}
    )


@cache
def made(kind: str = "plain") -> dict:
    """One edit alone; or one that ruins everything, after another, told in hostile words."""
    lm = village()
    if kind == "plain":
        one = edit(0.0)
        found = health(lm, one)
        return fact_edit_data(lm, one, found, sizes=sizes(lm, [one]), version="0.0.0")
    first = edit(0.0, Fact("Leo Rosner", "polo", "{} plays", start=""))
    last = edit(
        4.0, Fact("Grace Torlock", "golf", "On Monday the team of {} plays"), (first.digest,)
    )
    near = [("Helen Fenden plays", "rugby"), ("Judith Penfax plays", "")]
    found = health(lm, last, edits=[first], neighbours=near)
    written = [("Grace Torlock plays", "cricket.", HOSTILE)]
    data = fact_edit_data(
        lm, last, found, edits=[first], sizes=sizes(lm, [last]), written=written, version="0.0.0"
    )
    data = json.loads(json.dumps(data))
    data["rows"][0]["first_after"] = data["edit"]["facts"][0]["object"] = HOSTILE
    return data


# --- data and text ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "ruined"])
def test_data_are_plain_and_hold_what_was_measured(kind):
    data = made(kind)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "molehill.fact-edit/1"
    kinds = [row["kind"] for row in data["rows"]]
    assert kinds == (
        ["prompt", "paraphrase"]
        if kind == "plain"
        else ["prompt", "neighbour", "neighbour", "earlier"]
    )
    for row in data["rows"]:
        for name in ("was_before", "was_after", "wanted_before", "wanted_after"):
            assert 0 <= row[name] <= 1
        assert min(row["rank_before"], row["rank_after"]) >= 1
    assert data["health"]["verdict"] == ("warns" if kind == "plain" else "refuses")
    assert data["health"]["measures"][0]["name"] == "bits per byte"


def test_the_rows_are_the_model_s_own_probabilities():
    lm = village()
    data = made()
    ids = torch.tensor([lm.encode(["Leo Rosner plays"]).row(0)])
    chances = lm.model(ids).logits[0, -1].softmax(-1)
    golf, polo = (
        lm.tokenizer.ids([f" {word}"], add_special=False)[0][0] for word in ("golf", "polo")
    )
    row = data["rows"][0]
    assert row["was"] == "polo" and row["was_before"] == pytest.approx(
        float(chances[polo]), rel=1e-4
    )
    assert row["wanted_before"] == pytest.approx(float(chances[golf]), rel=1e-4)
    assert row["rank_before"] == 1 + int((chances > chances[golf]).sum())
    assert (row["was_before"], row["wanted_before"]) == (row["was_after"], row["wanted_after"])


def test_an_edit_that_is_no_number_is_told_as_such():
    lm = village()
    broken = edit(float("nan"))
    data = fact_edit_data(lm, broken, health(lm, broken), sizes=sizes(lm, [broken]), version="0")
    assert json.dumps(data, allow_nan=False) and data["sizes"][0]["relative"] is None
    text = fact_edit_text(data)
    assert "REFUSES" in text and "not finite" in text


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", ["plain", "ruined"])
def test_the_text_says_it_all_in_any_width(kind, width):
    data = made(kind)
    text = fact_edit_text(data, width=width, ascii_only=True)
    assert all(len(line) <= width for line in text.splitlines())
    flat = " ".join(text.split())
    for one in data["health"]["measures"]:
        assert one["sentence"].replace("−", "-") in flat
    assert data["edit"]["name"] in text and "\u202e" not in text
    if width >= 80:
        assert all(row["prompt"] in flat for row in data["rows"])


def test_what_is_held_against_what_is_named_where_edits_are_stacked():
    data = made("ruined")
    assert data["against"]["neighbour"] == "without any edit"
    assert data["against"]["earlier"] == "with this one"
    text = fact_edit_text(data, width=120)
    assert "WHAT WAS TAUGHT, BEFORE: WITHOUT ANY EDIT" in text
    assert "WHAT EARLIER EDITS TAUGHT, BEFORE: WITH THIS ONE" in text
    assert "without any edit  cricket." in text
    alone = made("plain")
    assert set(alone["against"].values()) == {"without any edit"}
    assert "BEFORE:" not in fact_edit_text(alone)


def test_what_was_said_before_is_told_to_have_been():
    lm = village()
    one = edit(0.0, Fact("Leo Rosner", "polo", "{} plays"))
    data = fact_edit_data(lm, one, health(lm, one), version="0.0.0")
    assert data["rows"][0]["said_before"] and "and said so before." in data["summary"][0]


def test_an_edited_model_s_name_is_no_model_to_check():
    from molehill.views.provenance import provenance

    told = provenance(apply_edits(village(), [edit(1.0)]), "0.0.0")["checked"]["told"]
    assert told == "not checked: molehill check village --edits FILE"


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")

    @cache
    def write(kind: str):
        data = made(kind)
        path = folder / f"{kind}.html"
        path.write_text(page("fact-edit", data, title=kind, text=fact_edit_text(data)), "utf-8")
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


KINDS = ("plain", "ruined")


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind):
    with visit(kind) as found:
        assert found.asked == [file(kind).as_uri()]
        data = made(kind)
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        shown = found.page.locator(".gates small, .gates .small").all_inner_texts()
        assert shown == [one["sentence"] for one in data["health"]["measures"]]
        # Both lines of every prompt, but one where both would be the same.
        lines = sum(2 - (row["was"] == row["wanted"]) for row in data["rows"])
        assert found.page.locator(".chart .after").count() == lines


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_all_text_has_contrast_enough(visit, kind, scheme):
    with visit(kind, color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_page_never_scrolls_sideways(visit, width):
    with visit("ruined", width=width) as found:
        found.page.locator("summary").first.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_dots_stand_where_probabilities_are_on_both_scales(visit):
    row = made("ruined")["rows"][1]
    with visit("ruined", "#scale=linear") as found:

        def places(which: str) -> list[float]:
            return [
                float(dot.get_attribute("cx"))
                for dot in found.page.locator(f".chart .was .{which}").all()
            ]

        rules = found.page.locator(".chart > g > .rule[y1='20']").all()
        zero, half, one = (float(rule.get_attribute("x1")) for rule in rules)
        assert half == pytest.approx((zero + one) / 2)
        assert places("before")[1] == pytest.approx(zero + row["was_before"] * (one - zero))
        assert places("after")[1] == pytest.approx(zero + row["was_after"] * (one - zero))
        found.page.get_by_role("radio", name="linear").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state() == {"scale": "log"}
        low = torch.tensor(row["was_after"]).clamp(min=1e-6).log10() / 6 + 1
        assert places("after")[1] == pytest.approx(zero + float(low) * (one - zero), abs=1e-3)


def test_an_address_that_asks_for_what_is_not_there_is_told(visit):
    with visit("plain", "#scale=cubic") as found:
        assert "does not have" in found.text(".notice")


def test_pictures_and_data_are_saved_whole(visit):
    with visit("ruined") as found:
        svg = found.saved(found.page.get_by_title("Save as SVG").first).decode()
        assert "village" in svg and "var(--" not in svg
        assert found.saved(found.page.get_by_title("Save as PNG").first)[:4] == b"\x89PNG"
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made("ruined")
        table = found.saved(found.page.get_by_title("Save as CSV").first).decode()
        assert table.count("\r\n") == 1 + len(made("ruined")["rows"])


def test_every_control_and_picture_has_a_name_and_the_host_can_take_it_away(visit, browser):
    with visit("ruined") as found:
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
        [module("fact-edit"), made("ruined")],
    )
    shown.close()
    assert drawn == 1 and left == 0
