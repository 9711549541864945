"""The page of features: a list that can be searched, one feature in full, and what was found."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
from tests.features.made_examples import features, texts, village
from tests.views.browsing import CONTRAST, opened

from molehill.features.examples_file import open_examples
from molehill.features.examples_writing import write_examples
from molehill.features.finding import by_text, by_vector, by_word
from molehill.features.gathering import Gathering
from molehill.views.features_card import cards_data
from molehill.views.features_card_text import cards_text
from molehill.views.features_search import (
    text_search_data,
    vector_search_data,
    word_search_data,
)
from molehill.views.html import embedded_json, page

KINDS = ("cards", "one", "word", "text", "vector")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "made.db"
    write_examples(path, village(), features(), texts(), Gathering(top=8, sample=16, context=20))

    @cache
    def make(kind: str) -> dict:
        with open_examples(path) as examples:
            if kind in ("cards", "one"):
                # One that is never active is among them, and one with a hostile piece.
                numbers = [0, *examples.random(12)] if kind == "cards" else [79]
                data = cards_data(examples, numbers, drawn=", drawn at random", version="0.0.0")
                data["cards"][-1]["groups"][0]["examples"][0]["pieces"][0] = "<img src=x>"
                return data
            if kind == "word":
                return word_search_data(examples, by_word(examples, "mole"), version="0.0.0")
            if kind == "text":
                text = "The mole saw that the spy was near the lawn ."
                found = by_text(village(), features(), examples, text)
                return text_search_data(examples, found, text, version="0.0.0")
            found = by_vector(features(), features().autoencoder.w_dec[79])
            return vector_search_data(examples, found, "feature 79", version="0.0.0")

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_the_data_are_json_and_the_text_says_the_same(made, kind):
    data = made(kind)
    assert json.loads(embedded_json(data)) == data
    for ascii_only in (False, True):
        told = cards_text(data, ascii_only=ascii_only)
        assert max(map(len, told.splitlines())) <= 80
        flat = " ".join(told.split())
        assert ascii_only or all(" ".join(line.split()) in flat for line in data["summary"])
        assert not ascii_only or told.replace("✓", "").isascii()


def test_a_card_says_what_the_file_says(made):
    (card,) = made("one")["cards"]
    text = cards_text(made("one"))
    assert f"{card['count']:,} tokens" in text and "Feature 79".upper() in text
    assert sum(card["bars"]["heights"]) == card["count"]
    for group in card["groups"]:
        assert sum(one["times"] for one in group["examples"]) <= group["count"]
        for one in group["examples"]:
            assert one["values"][one["at"]] == pytest.approx(one["value"], rel=6e-3)
            assert group["low"] <= one["value"] <= group["high"]


def test_equal_examples_are_told_once(made):
    for card in made("cards")["cards"]:
        for group in card["groups"]:
            shown = [(tuple(one["pieces"]), one["at"]) for one in group["examples"]]
            assert len(shown) == len(set(shown))


@pytest.fixture(scope="module")
def file(tmp_path_factory, made):
    folder = tmp_path_factory.mktemp("pages")

    @cache
    def write(kind: str):
        data = made(kind)
        path = folder / f"{kind}.html"
        content = page("features-card", data, title=kind, text=cards_text(data))
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


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("cards", "light"), ("text", "dark"), ("word", "light"), ("vector", "dark")],
)
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, made, file, kind, scheme):
    data = made(kind)
    with visit(kind, color_scheme=scheme) as found:
        assert found.asked == [file(kind).as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        assert found.page.locator(".cards .entry").count() == len(data["cards"])
        rows = sum(len(each["rows"]) for each in (data["search"] or {"lists": []})["lists"])
        assert found.page.locator(".hits tbody tr").count() == rows
        assert found.page.evaluate(CONTRAST) == []
        assert "[object" not in found.page.locator("article").inner_text()


@pytest.mark.parametrize("kind", ["cards", "text"])
def test_a_narrow_page_never_scrolls_sideways(visit, kind):
    with visit(kind, width=360) as found:
        found.page.locator(".cards .entry").last.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []


def test_features_are_chosen_by_keys_and_by_hand_and_kept_in_the_address(visit, made):
    cards = made("cards")["cards"]
    with visit("cards", f"#feature={cards[2]['feature']}") as found:
        assert found.text(".side .label") == cards[2]["label"]["text"]
        found.page.locator(".cards").focus()
        found.page.keyboard.press("ArrowDown")
        assert found.state() == {"feature": str(cards[3]["feature"])}
        found.page.keyboard.press("Home")
        assert found.text(".side h2") == "Feature 0", "one that is never active"
        found.page.keyboard.press("j")
        found.page.keyboard.press("j")
        assert found.state() == {"feature": str(cards[2]["feature"])}
        found.page.locator(".cards .entry").last.click()
        assert "<img src=x>" in found.text(".side .examples")
        assert found.page.locator("[aria-selected=true]").count() == 1
    with visit("cards", "#feature=9999&order=upside") as found:
        assert "does not have (feature, order)" in found.text(".notice")


def test_cards_are_searched_and_ordered(visit, made):
    cards = made("cards")["cards"]
    with visit("cards") as found:
        found.page.keyboard.press("/")
        found.page.keyboard.type("mole")

        def words(card):
            shown = [one for group in card["groups"] for one in group["examples"]]
            parts = ["".join(one["pieces"]).replace("·", " ") for one in shown]
            parts += [word["piece"] for word in card["promoted"]] + [card["label"]["text"]]
            return " ".join(parts).lower()

        kept = [card["feature"] for card in cards if "mole" in words(card)]
        entries = found.page.locator(".cards .entry")
        assert entries.count() == len(kept) > 0
        assert found.state()["find"] == "mole"
        found.page.locator("input").fill("no such word")
        assert entries.count() == 0 and "None has all" in found.text(".cards")
        found.page.locator("input").fill("")
        found.page.locator("select").select_option("density")
        numbers = [
            int(one) for one in found.page.locator(".entry span:first-child").all_inner_texts()
        ]
        densities = {card["feature"]: card["density"] for card in cards}
        assert [densities[one] for one in numbers] == sorted(densities.values(), reverse=True)
        saved = found.saved(found.page.get_by_title("Save the list as CSV")).decode()
        assert saved.count("\r\n") == 1 + len(cards)
        kept = json.loads(found.saved(found.page.get_by_text("Save all as JSON")))
        assert kept == made("cards")


def test_a_text_is_shaded_by_the_feature_that_is_read(visit, made):
    search = made("text")["search"]
    with visit("text") as found:
        rows = search["lists"][0]["rows"]
        for place in (0, len(rows) - 1):
            number = rows[place]["feature"]
            found.page.locator(".hits button", has_text=str(number)).first.click()
            peak = found.page.locator(".asked .peak").inner_text()
            assert peak == search["pieces"][search["places"][place]].lstrip("·")
            assert found.page.locator(".hits [aria-current]").count() == 1
