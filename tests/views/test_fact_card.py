"""A fact's card as data, as text, and as a page."""

from __future__ import annotations

import csv
import io
import json
import math
from contextlib import contextmanager
from functools import cache

import pytest
from tests.facts.test_card import card, fact, village
from tests.views.browsing import CONTRAST, opened
from tests.views.made import HOSTILE

from molehill.facts.card import fact_card
from molehill.views.fact_card import LISTS, beyond, fact_card_data
from molehill.views.fact_card_text import fact_card_text
from molehill.views.html import module, page

BARE = "bare"


@cache
def made(kind: str = "village") -> dict:
    """A card of the village; the same told in a hostile text; or one without trace and split."""
    if kind == BARE:
        return fact_card_data(village(), fact_card(village(), fact(), None, k=2), version="0.0.0")
    data = fact_card_data(village(), card(), version="0.0.0")
    if kind == "village":
        return data
    told = json.loads(json.dumps(data))
    told |= {"subject": kind, "object": kind, "prompt": kind}
    told["rows"][1]["name"] = kind
    told["asked"] = [{**one, "said": kind, "prompt": kind} for one in told["asked"]]
    told["heads"] = [{**one, "source_piece": kind} for one in told["heads"]]
    return told


# --- data -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["village", BARE])
def test_it_is_plain_and_finite(kind):
    data = made(kind)
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "molehill.fact-card/1"


def test_numbers_are_those_of_the_card():
    data, found = made(), card()
    before = math.exp(found.log_probability)
    for name in LISTS:
        for told, one in zip(data[name], getattr(found, name), strict=True):
            assert told["label"] == one.part.label
            assert told["log_probability"] == pytest.approx(one.change.log_probability, abs=1e-6)
            assert told["left"] == pytest.approx(before + one.change.probability, abs=1e-6)
            assert told["control"]["low"] <= told["control"]["mean"] <= told["control"]["high"]
            if one.toward is not None:
                assert told["share"] == pytest.approx(one.toward / found.score, rel=1e-5)
    assert [one["parts"] for one in data["groups"]] == [
        len(found.heads),
        len(found.neurons),
        len(found.subject_neurons),
        len(found.heads) + len(found.neurons) + len(found.subject_neurons),
    ]
    assert sum(one["value"] for one in data["components"]) == pytest.approx(data["score"], abs=1e-3)
    total = data["trace"]["total_effect"]
    for one in data["carriers"]:
        effect = data["trace"]["kinds"][one["kind"]]["effects"][one["layer"]][one["row"]]
        assert one["effect"] == effect
        assert one["share"] == pytest.approx(effect / total, rel=1e-5)


def test_sentences_say_what_is_known_and_what_is_lost():
    lines = made()["summary"]
    assert lines[0].startswith("village knows it") and f"“{fact().object}”" in lines[0]
    assert any(made()["heads"][0]["label"].split()[1] in line for line in lines)
    everything = made()["groups"][-1]
    assert any(f"everything listed ({everything['parts']})" in line for line in lines)


def test_what_is_not_known_is_said_with_what_is_said_instead():
    from dataclasses import replace

    wrong = replace(fact(), object=fact(40).object, paraphrases=("the sport of {} is",))
    data = fact_card_data(village(), fact_card(village(), wrong, None, k=1), version="0.0.0")
    assert not data["known"]
    assert "does not say it" in data["summary"][0] and f"“{fact().object}”" in data["summary"][0]
    assert data["summary"][1] == "It says so in 0 of 2 wordings."
    assert data["asked"][0]["rank"] > 0


def test_a_part_is_told_apart_only_from_enough_random_ones():
    one = {"log_probability": -1.0, "control": {"draws": 5, "low": -0.5}}
    assert beyond(one)
    assert not beyond(one | {"control": {"draws": 4, "low": -0.5}})
    assert not beyond(one | {"control": {"draws": 5, "low": -1.5}})
    assert not beyond(one | {"control": None}) and not beyond(one | {"log_probability": None})
    assert not beyond({"log_probability": 0.1, "control": {"draws": 5, "low": 0.2}})


def test_several_tokens_are_noted():
    from dataclasses import replace

    several = replace(card(), object_pieces=("·cri", "cket"))
    data = fact_card_data(village(), several, version="0.0.0")
    assert any("The object has 2 tokens" in note for note in data["notes"])
    assert any("“cri”, its first token," in line for line in data["summary"])


# --- text -------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("kind", ["village", BARE, HOSTILE[0]])
def test_the_text_keeps_to_its_width_and_has_every_part(width, kind):
    data = made(kind)
    text = fact_card_text(data, width=width)
    assert max(map(len, text.splitlines())) <= width
    for name, title in LISTS.items():
        assert (title.upper() in text) == bool(data[name])
        for one in data[name]:
            assert one["label"] in text
    assert ("SWITCHED OFF TOGETHER" in text) == bool(data["groups"])


def test_in_ascii_every_character_is():
    assert fact_card_text(made(), ascii_only=True).isascii()


# --- the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")

    @cache
    def write(kind: str):
        data = made(kind)
        path = folder / f"{abs(hash(kind))}.html"
        path.write_text(page("fact-card", data, title="card", text=fact_card_text(data)), "utf-8")
        return path

    return write


@pytest.fixture
def visit(browser, file):
    @contextmanager
    def go(kind="village", fragment="", **options):
        with opened(browser, file(kind), fragment, **options) as found:
            found.page.wait_for_selector("article footer")
            yield found

    return go


@pytest.mark.parametrize("kind", ["village", BARE])
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind):
    with visit(kind) as found:
        assert found.asked == [file(kind).as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == made(kind)["summary"]
        parts = sum(len(made(kind)[name]) for name in LISTS) + len(made(kind)["groups"])
        assert found.page.locator(".losses circle").count() == parts
        kinds = 0 if made(kind)["trace"] is None else 3
        assert found.page.locator(".maps .name").count() == kinds


@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_text_whatever_they_hold(visit, text):
    with visit(text) as found:
        assert found.page.locator("img").count() == 0
        assert found.page.locator("script").count() == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["village", BARE])
def test_all_text_has_contrast_enough(visit, kind, scheme):
    with visit(kind, color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("width", [360, 768, 1400])
def test_a_page_never_scrolls_sideways(visit, width):
    with visit(width=width) as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_and_picture_has_a_name(visit):
    with visit() as found:
        unnamed = found.page.evaluate(
            """() => [...document.querySelectorAll('svg')].filter((svg) =>
            svg.getAttribute('aria-hidden') !== 'true' && !svg.getAttribute('aria-label')).length"""
        )
        names = found.page.evaluate(
            """() => [...document.querySelectorAll('button, input, [tabindex]')].map((e) =>
            (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.textContent).trim())"""
        )
        assert unnamed == 0 and names and all(names)


def test_the_theme_the_keys_and_an_unusable_address(visit):
    with visit(fragment="#theme=dark") as found:
        assert found.page.locator(".mh").get_attribute("data-theme") == "dark"
        found.page.keyboard.press("?")
        assert found.page.locator("dialog").is_visible()
        found.page.keyboard.press("Escape")
        assert not found.page.locator("dialog").is_visible()
    with visit(fragment="#nonsense=1") as found:
        assert "does not have" in found.text(".notice")


def test_points_stand_where_the_changes_are(visit):
    with visit() as found:
        centres = [
            float(point.get_attribute("cx"))
            for point in found.page.locator(".losses").first.locator("circle").all()
        ]
        changes = [one["log_probability"] for name in LISTS for one in made()[name]]
        low, high = changes.index(min(changes)), changes.index(max(changes))
        scale = (centres[high] - centres[low]) / (changes[high] - changes[low])
        for centre, change in zip(centres, changes, strict=True):
            assert centre == pytest.approx(centres[low] + scale * (change - changes[low]), abs=0.01)
        lost = found.page.locator(".losses").first.locator("circle.lost").count()
        assert lost == sum(change < 0 for change in changes)


def test_tables_pictures_and_data_are_saved_whole(visit):
    with visit() as found:
        for button in found.page.get_by_title("Save as SVG").all():
            svg = found.saved(button).decode()
            assert "village" in svg and "<script" not in svg and "var(--" not in svg
        saved = found.saved(found.page.get_by_title("Save as CSV").nth(1)).decode()
        rows = list(csv.DictReader(io.StringIO(saved)))
        assert [row["part"] for row in rows] == [
            one["label"] for name in LISTS for one in made()[name]
        ]
        assert float(rows[0]["change"]) == made()["heads"][0]["log_probability"]
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made()


def test_a_host_can_take_the_view_away_again(browser):
    shown = browser.new_page()
    shown.set_content("<p>before</p><div id=cell></div>")
    count = """async ([source, data]) => {
      const {default: view} = await import(URL.createObjectURL(
        new Blob([source], {type: 'text/javascript'})));
      const el = document.getElementById('cell');
      const undo = view.render({model: {get: (name) => ({data})[name]}, el});
      const drawn = el.querySelectorAll('svg').length;
      undo();
      return [drawn, el.childNodes.length];
    }"""
    drawn, left = shown.evaluate(count, [module("fact-card"), made()])
    assert drawn > 0 and left == 0
    shown.close()
