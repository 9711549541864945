"""The page of a search for neurons: where they are, one of them, all of them."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
from tests.facts.test_neuron_index import language
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.facts.neuron_index import NeuronIndex
from molehill.views.html import page
from molehill.views.neuron import search_data
from molehill.views.neuron_text import search_text


@cache
def made(kind: str) -> dict:
    """A search of the village; and one of a tiny gated model, whose scores have either sign."""
    if kind == "village":
        lm = molehill.load("village")
        data = search_data(lm, NeuronIndex.build(lm).writing("Elmham", k=12), version="0.0.0")
    else:
        lm = language("llama", d_vocab=60)
        data = search_data(lm, NeuronIndex.build(lm).writing(5, k=30), version="0.0.0")
    data["hits"][0]["matched"][0]["piece"] = "<img src=x>"
    return data


def test_layers_count_all_neurons_and_not_the_listed_alone():
    lm = molehill.load("village")
    index = NeuronIndex.build(lm)
    some, every = index.writing("Elmham", k=3), index.writing("Elmham", k=2000)
    assert some.layers == every.layers and some.chance == every.chance
    for number, layer in enumerate(some.layers):
        scores = [hit.z for hit in every.hits if hit.layer == number]
        assert layer.beyond == sum(score > every.chance for score in scores)
        assert layer.best == max(scores)
    assert some.beyond == sum(hit.z > every.chance for hit in every.hits) > len(some.hits)


@pytest.mark.parametrize(
    ("beyond", "told"),
    [
        ([0, 1, 0], ["1 writes “x” beyond chance (3.0); it is neuron 1.2, at 5.0."]),
        ([0, 2, 0], ["2 write “x”", "Both are in layer 1, of 3."]),
        ([1, 3, 0], ["4 write “x”", "They are in layers 0 and 1, of 3; most, 3, are in layer 1."]),
        ([2, 0, 2], ["4 write “x”", "They are in layers 0 to 2, of 3."]),
    ],
)
def test_how_many_and_where_is_told_in_words(beyond, told):
    from molehill.views.neuron import _search_summary

    data = {"piece": "·x", "kind": "writes", "neurons": 9, "chance": 3.0, "beyond": sum(beyond)}
    data["hits"] = [{"label": "neuron 1.2", "z": 5.0}]
    data["layers"] = [{"layer": n, "beyond": count} for n, count in enumerate(beyond)]
    lines = _search_summary(data)
    assert len(lines) == len(told)
    assert all(words in line for words, line in zip(told, lines, strict=True))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("searches")

    @cache
    def write(kind: str):
        data = made(kind)
        path = folder / f"{kind}.html"
        path.write_text(page("neuron-search", data, title=kind, text=search_text(data)), "utf-8")
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


@pytest.mark.parametrize(("kind", "scheme"), [("village", "light"), ("gated", "dark")])
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind, scheme):
    data = made(kind)
    with visit(kind, color_scheme=scheme) as found:
        assert found.asked == [file(kind).as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        assert found.page.locator(".chart .dot").count() == len(data["hits"])
        assert found.page.locator(".hits tbody tr").count() == len(data["hits"])
        weak = sum(abs(hit["z"]) <= data["chance"] for hit in data["hits"])
        assert found.page.locator(".chart .dot.weak").count() == weak
        assert found.page.evaluate(CONTRAST) == []


def test_a_narrow_page_never_scrolls_sideways(visit):
    with visit("gated", width=360) as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []


def test_neurons_are_chosen_by_keys_and_by_hand_and_kept_in_the_address(visit):
    names = [f"{hit['layer']}.{hit['index']}" for hit in made("village")["hits"]]
    with visit("village", f"#neuron={names[3]}") as found:
        assert found.text(".side h2") == f"Neuron {names[3]}"
        found.page.locator(".chart").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state() == {"neuron": names[4]}
        found.page.keyboard.press("End")
        assert found.text(".side h2") == f"Neuron {names[-1]}"
        found.page.get_by_role("button", name=names[1], exact=True).click()
        assert found.state() == {"neuron": names[1]}
        assert found.page.locator("[aria-current]").count() == 1
        assert names[1] in found.text("[aria-current]")
        found.page.locator(f".chart [data-neuron='{names[0]}']").click()
        assert found.state() == {"neuron": names[0]} and "<img src=x>" in found.text(".side")
    with visit("village", "#neuron=99.1") as found:
        assert "does not have" in found.text(".notice")


def test_pictures_and_data_are_saved_whole(visit):
    with visit("village") as found:
        svg = found.saved(found.page.get_by_title("Save as SVG")).decode()
        assert "village" in svg and "Elmham" in svg and "var(--" not in svg
        layers = found.saved(found.page.get_by_title("Save as CSV")).decode()
        assert layers.count("\r\n") == 1 + len(made("village")["layers"])
        table = found.saved(found.page.get_by_title("Save the neurons as CSV")).decode()
        assert table.count("\r\n") == 1 + len(made("village")["hits"])
        kept = json.loads(found.saved(found.page.get_by_text("Save all as JSON")))
        assert kept == made("village")
