"""The page of attention: on a disk with all its heads, and in a host that answers for others."""

from __future__ import annotations

import csv
import io
import json
import re
import struct
from contextlib import contextmanager
from functools import cache

import pytest
from tests.journey.tiny import tiny_language
from tests.views.browsing import CONTRAST, Opened, opened
from tests.views.made import HOSTILE

import molehill
from molehill.journey.attention import attention
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.attention import attention_data, direction_of
from molehill.views.attention_text import attention_text, matrix_of
from molehill.views.html import SHARED, host_class, module, page, sheet

TEXT = "the mole saw the mole"

HOST = """
const held = { data: DATA, asks: true, opens: true, edits: [], state: "STATE", theme: "light" };
const hearers = {};
window.sent = [];
const model = {
  get: (name) => held[name],
  set: (name, value) => { held[name] = value; },
  save_changes: () => {},
  on: (event, act) => (hearers[event] ??= []).push(act),
  off: (event, act) => { hearers[event] = (hearers[event] ?? []).filter((one) => one !== act); },
  send: async (message) => {
    window.sent.push(message);
    if (message.kind !== "ask") return;
    const given = JSON.stringify(message.inputs);
    const data = JSON.parse(await window.answered(message.question, given));
    for (const act of [...hearers["msg:custom"]]) act({ id: message.id, kind: "answer", data });
  },
};
window.held = held;
render({ model, el: document.getElementById("view") });
"""

SHADES = """(name) => [...document.querySelectorAll('.tok')]
  .map((token) => parseFloat(token.style.getPropertyValue(name)))"""


@cache
def made(name: str = "llama", text: str = TEXT, most: int = 64) -> dict:
    lm = tiny_language(name)
    found = attention(lm, text[: lm.config.n_ctx])
    data = attention_data(
        lm, found, direction_of(lm, found, None), embed=len(found) <= most, version="0.0.0"
    )
    return json.loads(json.dumps(data))


@pytest.fixture
def visit(browser, tmp_path):
    @contextmanager
    def go(data, fragment="", **options):
        file = tmp_path / "attention.html"
        content = page("attention", data, title="Attention", text=attention_text(data))
        file.write_text(content, encoding="utf-8")
        with opened(browser, file, fragment, **options) as found:
            found.page.wait_for_selector("article footer")
            yield found

    return go


@contextmanager
def live(browser, name: str, inputs: dict, state: str = ""):
    """A page whose questions are answered by the library."""
    desk = Desk({"lexicon": ModelEntry(lexicon())})

    def answered(asked: str, given: str) -> str:
        return json.dumps(dict(answer(desk, asked, json.loads(given)).data))

    data = answered(name, json.dumps(inputs))
    tab = browser.new_page(viewport={"width": 1280, "height": 900})
    found = Opened(tab)
    tab.expose_function("answered", answered)
    script = module("attention") + HOST.replace("DATA", data).replace("STATE", state)
    tab.set_content(
        f"<!doctype html><style>{sheet(SHARED)}\n{sheet('attention')}</style><main id='view' "
        f'class="{host_class("attention")}"></main><script type="module">{script}</script>'
    )
    tab.wait_for_selector("article footer")
    try:
        yield found
    finally:
        tab.close()
        assert found.troubles == []


@cache
def lexicon():
    return molehill.load("lexicon")


def test_every_pair_is_told_as_the_library_has_it(visit):
    data = made()
    pattern, added, toward = (matrix_of(data, name) for name in ("pattern", "added", "toward"))
    with visit(data, "#query=14&key=9") as found:
        told = found.text("p.told").replace("−", "-")
        numbers = [
            float(n) for n in re.findall(r"(-?\d+(?:\.\d+)?)(?=%| is added|  ?along| along)", told)
        ]
        assert f"{round(100 * pattern[14, 9])}%" in told or pattern[14, 9] < 0.0095
        assert numbers[-2] == pytest.approx(added[14, 9], abs=0.006)
        assert numbers[-1] == pytest.approx(toward[14, 9], abs=0.006)
        found.page.locator(".plane").focus()
        found.page.keyboard.press("ArrowUp")
        assert found.state()["query"] == "13"
        # A causal token sees nothing after it: the pair goes along the diagonal.
        for _ in range(12):
            found.page.keyboard.press("ArrowRight")
        assert found.state()["key"] == "13"


def test_every_pair_is_saved(visit):
    data = made()
    pattern, count = matrix_of(data, "pattern"), len(data["pieces"])
    with visit(data) as found:
        buttons = found.page.get_by_role("group", name="Save the head", exact=True)
        raw = found.saved(buttons.get_by_role("button", name="CSV"))
        rows = list(csv.reader(io.StringIO(raw.decode("utf-8"))))[1:]
        assert len(rows) == count * (count + 1) // 2
        for row in rows[::17]:
            told = pattern[int(row[0]), int(row[2])]
            assert float(row[4]) == pytest.approx(told, rel=1e-3, abs=1e-9)
        drawn = found.saved(buttons.get_by_role("button", name="SVG")).decode("utf-8")
        assert drawn.count("<image") == 1 and "data:image/png" in drawn
        assert found.page.locator(".plane image").count() == 0
        png = found.saved(buttons.get_by_role("button", name="PNG"))
        assert struct.unpack(">II", png[16:24])[0] > 400
        glance = found.page.get_by_role("group", name="Save the heads", exact=True)
        rows = list(
            csv.reader(io.StringIO(found.saved(glance.get_by_role("button", name="CSV")).decode()))
        )
        assert len(rows) == 1 + data["layers"] * data["heads_per_layer"]
        assert float(rows[1][2]) == pytest.approx(data["values"]["previous"][0][0])


def test_the_colours_are_the_numbers(visit):
    """The picture's points, read back: the deeper the colour, the larger the square root."""
    data = made()
    pattern, count = matrix_of(data, "pattern"), len(data["pieces"])
    with visit(data, color_scheme="light") as found:
        points = found.page.evaluate(
            """(count) => {
              const canvas = document.querySelector('canvas');
              const { width } = canvas;
              const { data } = canvas.getContext('2d').getImageData(0, 0, width, width);
              const middle = (place) => Math.floor((place + 0.5) * (width / count));
              return Array.from({ length: count * count }, (_, at) => {
                const point = 4 * (middle(Math.floor(at / count)) * width + middle(at % count));
                return [...data.slice(point, point + 3)];
              });
            }""",
            count,
        )
        paper, deep = (0xFD, 0xFC, 0xF9), (0x00, 0x64, 0xB5)
        for at, colour in enumerate(points):
            query, key = divmod(at, count)
            if key > query:
                assert colour[0] - colour[2] > 5, "what is not seen has a colour of its own"
                continue
            shade = pattern[query, key] ** 0.5
            expected = [a + (b - a) * shade for a, b in zip(paper, deep, strict=True)]
            assert colour == pytest.approx(expected, abs=2)


def test_a_click_pins_and_the_text_says_whom_it_looks_at(visit):
    data = made("bert")
    pattern = matrix_of(data, "pattern")
    with visit(data) as found:
        found.page.locator(".tok").nth(4).hover()
        found.wait("document.querySelector('p.told').textContent.includes('(4)')")
        found.page.locator(".tok").nth(4).click()
        state = found.state()
        assert (state["query"], int(state["key"])) == ("4", int(pattern[4].argmax()))
        weights = found.page.evaluate(SHADES, "--weight")
        assert weights == pytest.approx([70 * value**0.5 for value in pattern[4]], abs=0.6)
        by = found.page.evaluate(SHADES, "--by")
        assert by[7] == pytest.approx(100 * pattern[7, 4] ** 0.5, abs=0.6)
        box = found.page.locator("canvas").bounding_box()
        each = box["width"] / len(data["pieces"])
        found.page.mouse.click(box["x"] + 2.5 * each, box["y"] + 6.5 * each)
        assert (found.state()["query"], found.state()["key"]) == ("6", "2")


def test_closer_and_back_by_keys_wheel_and_buttons(visit):
    with visit(made()) as found:
        found.page.locator(".plane").focus()
        found.page.keyboard.press("+")
        state = found.state()
        assert int(state["zoom"]) == 11
        found.page.mouse.move(400, 900)
        box = found.page.locator("canvas").bounding_box()
        found.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        found.page.mouse.wheel(0, 120)
        found.wait("Number(/zoom=(\\d+)/.exec(location.hash)?.[1] ?? 99) > 11")
        found.page.keyboard.press("0")
        assert "zoom" not in found.state()
        found.page.get_by_role("button", name="Closer").click()
        assert "11 × 11 of 21 × 21" in found.text(".picture .told + .caption")


@pytest.mark.parametrize("by", ["small.toward", "induction", "toward"])
def test_the_glance_goes_by_the_address_and_the_keys(visit, by):
    with visit(made(), f"#by={by}&head=5") as found:
        assert found.page.locator("select").input_value() == by
        assert found.page.locator(".heads image").count() == (1 if by.startswith("small") else 0)
        found.page.locator(".heads").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state()["head"] == "9" and "Head 2.1" in found.text(".large h2")
        found.page.keyboard.press("[")
        assert found.state()["head"] == "8"
        found.page.keyboard.press("w")
        assert found.state()["weigh"] == "added"
    with visit(made(), "#by=other&head=99") as found:
        assert "by, head" in found.text(".notice")


def test_a_page_without_another_heads_pairs_says_so(visit):
    data = {**made(), "heads": []}
    other = next(n for n in range(12) if n != data["head"]["layer"] * 4 + data["head"]["head"])
    with visit(data, f"#head={other}") as found:
        assert "does not hold the matrices" in found.text("p.told")
        assert not found.page.locator(".plane").is_visible()
        found.page.keyboard.press("]")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_words_have_contrast_and_the_page_no_sideways(visit, scheme, width):
    with visit(made("gemma"), "#weigh=toward&by=toward", width=width, color_scheme=scheme) as found:
        assert found.page.evaluate(CONTRAST) == []
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        names = found.page.evaluate(
            """() => [...document.querySelectorAll('button, input, select, [tabindex]')].map((e) =>
            (e.getAttribute('aria-label') || e.labels?.[0]?.innerText || e.textContent).trim())"""
        )
        assert names and all(names)


@pytest.mark.parametrize("text", ["a", *HOSTILE])
def test_words_are_text_whatever_they_hold(visit, text):
    with visit(made(text=text)) as found:
        assert found.page.locator("img").count() == 0
        assert found.page.locator("script").count() == 2


def test_a_host_is_asked_for_other_heads_and_for_why(browser):
    with live(browser, "attention", {"text": "The mole dug."}) as found:
        tab = found.page
        tab.locator(".heads").focus()
        # Held down, a key passes over heads that nobody waits for.
        for _ in range(3):
            tab.keyboard.press("ArrowLeft")
        found.wait("document.querySelector('.field').getAttribute('aria-busy') === 'false'")
        asked = [one for one in tab.evaluate("window.sent") if one["kind"] == "ask"]
        assert [one["question"] for one in asked] == ["attention.head"]
        assert f"Head {asked[0]['inputs']['layer']}." in found.text(".large h2")
        tab.get_by_role("button", name="Split the score").click()
        tab.wait_for_selector(".whybox svg")
        assert "either list adds up to it" in found.text(".whybox")
        tab.get_by_role("button", name="Open it").click()
        last = tab.evaluate("window.sent").pop()
        assert last["kind"] == "open" and last["question"] == "why"
        assert last["inputs"]["layer"] == asked[0]["inputs"]["layer"]


def test_one_head_alone_is_a_view_too(browser):
    with live(browser, "attention.head", {"text": "The mole dug.", "layer": 2}) as found:
        assert found.page.locator(".heads").count() == 0
        assert "Head 2.0" in found.text(".large h2")
        assert "head=8" in found.page.evaluate("window.held.state")
        found.page.keyboard.press("]")
        found.wait("document.querySelector('.field').getAttribute('aria-busy') === 'false'")
        assert "Head 2.1" in found.text(".large h2")
