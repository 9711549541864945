"""Files of edits: listed, one taken off, two held against each other; as data, text and page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from tests.views.browsing import CONTRAST, opened

from molehill.facts.edits import Change, Dense, FactEdit, LowRank, Neurons
from molehill.facts.fact import Fact
from molehill.views.fact_edits import difference_data, stack_data, undo_data
from molehill.views.fact_edits_text import fact_edits_text
from molehill.views.html import module, page

HOSTILE = "<img src=x onerror=alert(1)></script>\u202e"


def edit(change: Change, subject: str = "Leo Rosner", after=(), **metrics) -> FactEdit:
    fact = Fact(subject, "golf", "{} plays")
    return FactEdit(
        "rome", (fact,), (change,), "village", "f" * 64, after, {"how": [1, {"x": 2.0}]}, metrics
    )


def noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@cache
def edits() -> tuple[FactEdit, ...]:
    """A change of rank two, a whole one, and a neuron; the third was made after the first."""
    thin = LowRank("blocks.2.mlp.w_out", noise(1, 6, 2), noise(2, 2, 8))
    whole = Dense("blocks.0.mlp.w_out", noise(3, 6, 8))
    neuron = Neurons(1, noise(4, 1, 6), noise(5, 1), noise(6, 6, 1))
    first = edit(thin, health="healthy", sizes={"blocks.2.mlp.w_out": 0.25})
    second = edit(whole, HOSTILE, health="warns", measures={"size": 0.5})
    return first, second, edit(neuron, "Helen Fenden", (first.digest, "0" * 64))


@cache
def made(kind: str) -> dict:
    if kind == "list":
        return stack_data(edits(), file="some.safetensors", version="0.0.0")
    if kind == "undo":
        names = {"file": "some.safetensors", "out": "fewer.safetensors"}
        return undo_data(edits(), edits()[0], version="0.0.0", **names)
    first, second, third = edits()
    return difference_data([first, second], [second, third], files=("a", "b"), version="0.0.0")


KINDS = ("list", "undo", "diff")


def test_norms_are_those_of_what_is_added():
    first, second, third = edits()
    entries = made("list")["edits"]
    assert entries[0]["changes"][0]["norm"] == pytest.approx(
        float(first.changes[0].delta().norm()), rel=1e-5
    )
    assert entries[1]["changes"][0]["norm"] == pytest.approx(
        float(second.changes[0].difference.norm()), rel=1e-5
    )
    assert entries[2]["changes"][0]["norm"] == pytest.approx(
        float(third.changes[0].columns.norm()), rel=1e-5
    )
    assert [one["changes"][0]["layer"] for one in entries] == [2, 0, 1]
    assert [one["changes"][0]["relative"] for one in entries] == [0.25, None, None]


def test_a_difference_stands_beside_what_each_changes():
    data = made("diff")
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert [one["state"] for one in data["edits"]] == ["first", "both", "second"]
    (weight,) = data["weights"]
    own = float(edits()[0].changes[0].delta().norm())
    assert weight["norm"] == weight["first"] == pytest.approx(own, rel=1e-5)
    assert weight["second"] == 0 and data["neurons"] == [{"layer": 1, "first": 0, "second": 1}]
    assert data["summary"][0] == "A and B share 1 edit; A has 1 besides and B has 1 besides."
    text = fact_edits_text(data)
    assert "what A changes" in text and "only in B" in text and "new neurons of layer 1" in text


def test_what_goes_what_stays_and_what_was_made_after():
    data = made("undo")
    assert [one["state"] for one in data["edits"]] == ["gone", "stays", "later"]
    name, last = data["gone"], edits()[2].name
    assert data["summary"] == [
        f"Without {name} (Leo Rosner plays golf) 2 edits stay, in fewer.safetensors.",
        f"{last} was made for a model that had {name}, and may say something else without it.",
    ]
    assert "no edit stays" in undo_data(edits()[:1], edits()[0])["summary"][0]


def test_a_stack_is_listed_with_what_it_was_made_after():
    first, second, third = edits()
    data = made("list")
    assert data["edits"][2]["after"] == [first.name, "00000000 (not here)"]
    assert data["summary"][0].startswith("some.safetensors holds 3 edits of 3 facts, made for vill")
    assert "layers 0, 1 and 2" in data["summary"][1]
    assert "1 was found healthy, 1 was warned of and of 1 the health gate" in data["summary"][2]
    assert f"{third.name} was made for a model that had edits which are not" in data["summary"][3]
    text = fact_edits_text(data)
    assert f"1  {first.name}" in text and "(rank 2, 25% of its size)" in text
    assert "1 new neuron in layer 1" in text and "(not here)" in text and "\u202e" not in text
    assert f"(rank 6, norm {float(second.changes[0].difference.norm()):.4g})" in text
    assert fact_edits_text(stack_data([])).strip() == "No edits."
    many = stack_data([FactEdit("x", (first.facts[0],) * 14, second.changes, "m", "f" * 64)])
    assert "and 2 more" in fact_edits_text(many)


def test_what_was_measured_is_told_in_words_of_its_own():
    metrics = {"steps": 2, "health": "healthy", "measures": {"bits per byte": 0.5, "size": 1.0}}
    metrics["certificates"] = [{"texts": 3}]
    one = edits()[0].measured(**metrics)
    text = " ".join(fact_edits_text(stack_data([one])).split())
    assert "health: healthy; steps 2; measures (bits per byte 0.5, size 1)" in text
    assert "certificates of 1 (--json has it)" in text and "{" not in text


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("edits")

    @cache
    def write(kind: str):
        data = made(kind) if kind != "none" else stack_data([], file="none", version="0")
        path = folder / f"{kind}.html"
        path.write_text(page("fact-edits", data, title=kind, text=fact_edits_text(data)), "utf-8")
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


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind):
    with visit(kind, color_scheme="dark") as found:
        data = made(kind)
        assert found.asked == [file(kind).as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        assert found.page.locator(".chart g.edit").count() == len(data["edits"])
        for one in data["edits"]:
            assert found.page.locator(f".chart g.edit.{one['state']} .dot").count() >= 1
        assert found.page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_narrow_page_never_scrolls_sideways_and_has_contrast(visit, kind):
    with visit(kind, width=360, color_scheme="light") as found:
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
        assert found.page.evaluate(CONTRAST) == []


def test_edits_are_chosen_by_keys_and_by_hand_and_kept_in_the_address(visit):
    with visit("list", "#edit=2") as found:
        assert edits()[1].name in found.text(".side h2") and HOSTILE[:9] in found.text(".taught")
        found.page.locator(".chart").focus()
        found.page.keyboard.press("ArrowDown")
        assert found.state() == {"edit": "3"} and edits()[2].name in found.text(".side h2")
        found.page.keyboard.press("Home")
        assert found.state() == {"edit": "1"}
        found.page.locator(".chart g.edit .name").nth(1).click()
        assert found.state() == {"edit": "2"}
    with visit("undo", "#edit=9") as found:
        assert "does not have" in found.text(".notice")
        assert "taken off" in found.text(".side h2")
    with visit("none") as found:
        assert found.text(".lead") == "No edits." and found.page.locator("svg").count() == 0


def test_pictures_and_data_are_saved_whole_and_the_host_can_take_it_away(visit, browser):
    with visit("diff") as found:
        svg = found.saved(found.page.get_by_title("Save as SVG")).decode()
        assert "Helen Fenden" in svg and "var(--" not in svg
        table = found.saved(found.page.get_by_title("Save as CSV")).decode()
        assert table.count("\r\n") == 4 and "only in A" in table
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made("diff")
        unnamed = (
            "[...document.querySelectorAll('svg')].filter((e) => !e.getAttribute('aria-label'))"
        )
        assert found.page.evaluate(f"{unnamed}.length") == 0
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
        [module("fact-edits"), made("list")],
    )
    shown.close()
    assert left == 0
