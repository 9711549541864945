"""Sliders above a view: asking again while one is moved, giving up what was asked before, an error
that leaves the picture, the address on release; and features whose cards come when wanted.

The host is a stub in the page; its questions are answered by the library.
"""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest
from tests.views.browsing import CONTRAST, Opened

import molehill
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.html import SHARED, embedded_json, host_class, module, page, sheet

HOST = """
const held = { data: JSON.parse(document.getElementById("data").textContent),
  asks: true, opens: true, state: "", theme: "THEME" };
const hearers = {};
const tell = (event, given) => [...(hearers[event] ?? [])].forEach((act) => act(given));
window.sent = [];
window.slow = 0;
const model = {
  get: (name) => held[name],
  set: (name, value) => { held[name] = value; },
  save_changes: () => {},
  on: (event, act) => (hearers[event] ??= new Set()).add(act),
  off: (event, act) => hearers[event]?.delete(act),
  send: async (message) => {
    window.sent.push(message);
    if (message.kind !== "ask") return;
    if (window.slow) await new Promise((done) => setTimeout(done, window.slow));
    const told = await window.answered(message.question, JSON.stringify(message.inputs));
    tell("msg:custom", { id: message.id, ...JSON.parse(told) });
  },
};
window.held = held;
render({ model, el: document.getElementById("view") });
"""


@pytest.fixture(scope="module")
def desk(few_examples) -> Desk:
    lm = molehill.load("village")
    return Desk({"village": ModelEntry(lm)}, features={"village-1": "village-1"})


@contextmanager
def live(browser, desk: Desk, name: str, theme: str = "light", width: int = 1280, **given):
    base = {"model": "village"} if name.startswith("features.") else {}

    def answered(question: str, inputs: str) -> str:
        try:
            found = answer(desk, question, {**base, **json.loads(inputs)})
        except molehill.MolehillError as error:
            return json.dumps({"kind": "error", "message": str(error)})
        return json.dumps({"kind": "answer", "data": dict(found.data)})

    first = answer(desk, name, {**base, **given})
    view = first.question.view
    opened = browser.new_page(viewport={"width": width, "height": 900})
    found = Opened(opened)
    opened.expose_function("answered", answered)
    opened.set_content(
        f"<!doctype html><style>{sheet(SHARED)}\n{sheet(view)}</style>"
        f'<main id="view" class="{host_class(view)}"></main>'
        f'<script type="application/json" id="data">{embedded_json(dict(first.data))}</script>'
        f'<script type="module">{module(view)}{HOST.replace("THEME", theme)}</script>'
    )
    opened.wait_for_selector("article.mh")
    try:
        yield found
    finally:
        opened.close()
        assert found.troubles == []


def sent(found: Opened, kind: str) -> list[dict]:
    return [one for one in found.page.evaluate("window.sent") if one["kind"] == kind]


def test_a_slider_asks_while_it_moves_and_opens_when_it_rests(browser, desk):
    with live(browser, desk, "superposition.packing", count=6, dimensions=3, steps=50) as found:
        slider = found.page.get_by_role("slider", name="Directions")
        slider.focus()
        found.page.evaluate("document.querySelector('article.mh').dataset.old = 'yes'")
        found.page.keyboard.press("ArrowRight")
        found.wait("document.querySelector('h1').textContent.startsWith('7 lines')")
        assert found.page.evaluate("document.activeElement.name") == "count"
        asked = sent(found, "ask")[-1]
        assert (asked["question"], asked["inputs"]["count"]) == ("superposition.packing", 7)
        found.wait("window.sent.some((one) => one.kind === 'open')")
        assert sent(found, "open")[0]["inputs"] == asked["inputs"]
        exact = found.page.get_by_role("spinbutton", name="Dimensions, exactly")
        exact.fill("4")
        found.wait("document.querySelector('h1').textContent.includes('in 4 dimensions')")
        assert exact.input_value() == "4"


def test_what_was_asked_before_is_given_up_and_the_picture_stays(browser, desk):
    with live(browser, desk, "superposition.packing", count=6, dimensions=3, steps=50) as found:
        found.page.evaluate("window.slow = 700")
        slider = found.page.get_by_role("slider", name="Directions")
        slider.focus()
        found.page.keyboard.press("ArrowRight")
        found.wait("window.sent.filter((one) => one.kind === 'ask').length === 1")
        assert found.page.locator(".adjusted").get_attribute("aria-busy") == "true"
        assert found.text("h1").startswith("6 lines")
        found.page.keyboard.press("ArrowRight")
        found.wait("window.sent.some((one) => one.kind === 'cancel')")
        assert sent(found, "cancel")[0]["id"] == sent(found, "ask")[0]["id"]
        found.wait("document.querySelector('h1').textContent.startsWith('8 lines')")
        assert found.page.locator(".adjusted").get_attribute("aria-busy") is None


def test_an_error_is_said_and_the_picture_stays(browser, desk):
    given = {"count": 6, "dimensions": 3, "steps": 50}
    with live(browser, desk, "superposition.packing", "dark", 360, **given) as found:
        found.page.evaluate(
            "window.answered = async () => JSON.stringify("
            "{kind: 'error', message: 'It is too large.'})"
        )
        found.page.get_by_role("slider", name="Dimensions").focus()
        found.page.keyboard.press("ArrowRight")
        found.wait(
            "document.querySelector('.adjust [role=status]').textContent === 'It is too large.'"
        )
        assert found.text("h1").startswith("6 lines in 3")
        found.page.wait_for_timeout(800)
        assert sent(found, "open") == []
        assert found.page.evaluate(CONTRAST) == []
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360


def test_a_choice_brings_the_sliders_that_go_with_it(browser, desk):
    given = {"points": 2, "seeds": 1, "steps": 100}
    with live(browser, desk, "superposition.toy", **given) as found:
        found.page.get_by_role("combobox", name="What is trained").select_option("computing")
        found.wait("document.querySelector('h1').textContent.includes('12 features')")
        assert found.page.get_by_role("slider", name="Neurons").input_value() == "8"
        assert found.page.locator(".notice").count() == 0


def test_without_a_host_that_answers_there_are_no_sliders(browser, desk, tmp_path):
    data = dict(answer(desk, "superposition.bounds", {}).data)
    file = tmp_path / "bounds.html"
    file.write_text(page("superposition-bounds", data, title="Bounds", text=""), "utf-8")
    opened = browser.new_page()
    opened.goto(file.as_uri())
    opened.wait_for_selector("article.mh")
    assert opened.locator(".adjust").count() == 0
    opened.close()


def test_a_card_comes_when_it_is_wanted(browser, desk):
    with live(browser, desk, "features.card") as found:
        assert found.text(".picture .small") == "768 features"
        assert found.page.locator(".entry").count() == 200
        found.page.get_by_role("button", name="list all 768").click()
        assert found.page.locator(".entry").count() == 768
        found.page.get_by_role("listbox").focus()
        found.page.keyboard.press("End")
        found.wait("document.querySelector('.side .small').textContent === 'Feature 767'")
        assert sent(found, "ask")[-1]["inputs"]["numbers"] == [767]
        assert "feature=767" in found.page.evaluate("held.state")
        found.page.get_by_role("button", name="Others like it").click()
        assert sent(found, "open")[-1]["inputs"]["asked"] == "767"


def test_what_fires_here_goes_on_to_cards_ledger_and_steering(browser, desk):
    with live(browser, desk, "features.here", "dark", 360) as found:
        grid = found.page.get_by_role("img").first
        grid.focus()
        found.page.keyboard.press("End")
        assert "token=3" in found.page.evaluate("held.state")
        assert found.text(".side h2") == "golf"
        found.page.get_by_role("button", name="ledger").click()
        opened = sent(found, "open")[-1]
        assert opened["question"] == "ledger" and opened["inputs"]["position"] == 3
        assert opened["inputs"]["at"] == "1.resid_post"
        found.page.get_by_role("button", name="Steer with it").click()
        assert sent(found, "open")[-1]["inputs"]["prompt"] == "Leo Rosner plays golf"
        assert found.page.evaluate(CONTRAST) == []
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360
        title = found.saved(found.page.get_by_role("button", name="SVG").first)
        assert b"features at 4 tokens" in title
