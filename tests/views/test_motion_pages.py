"""The pages of a vector moved by hand and of many sentences, in a browser, without a network."""

from __future__ import annotations

import json

import pytest
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.html import embedded_json, host_class, module, page, sheet

SENTENCES = [
    f"The {who} {what} mole {after}"
    for who in ("farmer", "doctor", "spy", "cook")
    for what in ("saw a", "spoke of the", "was called a")
    for after in ("in the garden.", "and left.", "at night.")
]


HOST = """
const data = JSON.parse(document.getElementById("data").textContent);
const held = { data: data.shift, asks: true, opens: true };
const heard = new Set();
window.sent = [];
render({ el: document.getElementById("view"), model: {
  get: (name) => held[name], set: () => {},
  on: (name, act) => name === "msg:custom" && heard.add(act), off: (_, act) => heard.delete(act),
  send: (message) => {
    window.sent.push(message);
    if (message.kind !== "ask") return;
    setTimeout(() => heard.forEach((act) =>
      act({ kind: "answer", id: message.id, data: data.parted })), 10);
  },
} });
"""
"""A host that answers and opens, and remembers what it was asked."""


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk({"lexicon": ModelEntry(molehill.load("lexicon"))})


@pytest.fixture(scope="module")
def moving(desk, tmp_path_factory):
    data = dict(answer(desk, "moving", {"tokens": 4}).data)
    file = tmp_path_factory.mktemp("moving") / "moving.html"
    file.write_text(page("moving", data, title="moving", text=""), encoding="utf-8")
    return data, file


@pytest.fixture(scope="module")
def many(desk, tmp_path_factory):
    data = dict(answer(desk, "crowd", {"sentences": SENTENCES, "groups": 3}).data)
    file = tmp_path_factory.mktemp("crowd") / "crowd.html"
    file.write_text(page("crowd", data, title="crowd", text=""), encoding="utf-8")
    return data, file


def test_the_strength_follows_slider_keys_and_address(browser, moving):
    data, file = moving
    with opened(browser, file, "#strength=-2") as found:
        assert found.text(".hand output") == "−2"
        assert data["free"][0]["text"].split("\n")[0] in found.text(".way.free .says")
        found.page.keyboard.press("ArrowRight")
        assert found.state()["strength"] == str(data["strengths"][1])
        found.page.keyboard.press("0")
        assert found.text(".hand output") == "0" and "not moved" in found.text(".hand")
        slider = found.page.locator(".hand input[type=range]")
        slider.fill("20")
        assert found.state()["strength"] == "2"
        assert data["frozen"][-1]["text"].split("\n")[0] in found.text(".way.frozen .says")
        assert found.page.locator(".hand .asks").count() == 0, "nobody answers on a disk"
        saved = found.saved(found.page.locator(".way.frozen .exports button", has_text="CSV"))
        lines = saved.decode().splitlines()
        assert lines[0].startswith("strength,divergence,tokens_alike,continuation")
        assert found.page.evaluate(CONTRAST) == []


def test_the_moved_page_is_narrow_and_dark(browser, moving):
    _, file = moving
    with opened(browser, file, width=360, color_scheme="dark") as found:
        wide = found.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360
        assert found.page.evaluate(CONTRAST) == []


def test_a_hover_finds_the_nearest_of_all_points(browser, many):
    data, file = many
    per, count = len(data["points"]), len(data["sentences"])
    with opened(browser, file) as found:
        found.page.wait_for_timeout(200)
        box = found.page.locator(".paths").bounding_box()
        across, up = data["bases"]["differences"]["coordinates"][:2]
        width, height = box["width"], box["height"]
        span = max(across) - min(across), max(up) - min(up)
        scale = min((width - 60) / span[0], (height - 62) / span[1])
        middle = (max(across) + min(across)) / 2, (max(up) + min(up)) / 2
        places = [
            (width / 2 + (x - middle[0]) * scale, 22 + (height - 62) / 2 - (y - middle[1]) * scale)
            for x, y in zip(across, up, strict=True)
        ]
        for number in range(0, count, 5):
            x, y = places[number * per + per - 1]
            found.page.mouse.move(box["x"] + x, box["y"] + y)
            shown = found.text(".reading .text")
            # At the chosen layer, as this is, a point counts as nearer than others.
            gaps = [
                ((a - x) ** 2 + (b - y) ** 2) * (0.6 if place % per == per - 1 else 1)
                for place, (a, b) in enumerate(places)
            ]
            near = {place // per for place, gap in enumerate(gaps) if gap < min(gaps) + 1.0}
            assert shown in {"".join(data["sentences"][one]["shown"]) for one in near}
        found.page.mouse.click(box["x"] + places[per - 1][0], box["y"] + places[per - 1][1])
        assert found.state()["sentence"]
        found.page.locator(".reading button", has_text="Pick").click()
        assert found.state()["picks"] == found.state()["sentence"]


def test_groups_and_words_choose_sentences(browser, many):
    data, file = many
    with opened(browser, file) as found:
        found.page.locator(".groups button").first.click()
        size = data["groups"][0]["count"]
        assert f"{size} of {len(SENTENCES)} sentences" in found.text(".find small")
        found.page.locator(".groups button").first.click()
        found.page.keyboard.press("/")
        found.page.keyboard.type("doctor")
        assert f"9 of {len(SENTENCES)} sentences" in found.text(".find small")
        assert found.state()["find"] == "doctor"
        saved = found.saved(found.page.locator(".exports button", has_text="SVG"))
        assert saved.decode().count("<polyline") == 9
        found.page.locator("summary", has_text="All sentences").click()
        found.wait("document.querySelectorAll('details tbody tr').length === 9")
        assert found.page.evaluate(CONTRAST) == []


def test_a_long_shift_draws_its_ground_on_a_canvas_and_keeps_it_in_pictures(
    browser, desk, tmp_path
):
    some = SENTENCES[:29]
    asked = {"sentences": some, "axes": ["animal - agency"]}
    data = json.loads(json.dumps(dict(answer(desk, "shift", asked).data)))
    assert len(some) * len(data["points"]) > 400
    file = tmp_path / "shift.html"
    file.write_text(page("shift", data, title="shift", text=""), encoding="utf-8")
    with opened(browser, file) as found:
        assert found.page.locator(".paths .ground polyline").count() == 0
        drawn = """() => { const canvas = document.querySelector("canvas.many");
          return canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height)
            .data.some((value) => value > 0); }"""
        assert found.page.evaluate(drawn)
        saved = found.saved(found.page.locator(".exports button", has_text="SVG").first)
        assert saved.decode().count("<circle") >= len(some) * len(data["points"])
        assert "animal − agency" in found.text(".picture .caption")


def test_a_live_shift_asks_what_parts_two_here_and_opens_the_move(browser, desk, tmp_path):
    sentences = ["The farmer saw a mole.", "The spy was called a mole."]
    shift = dict(answer(desk, "shift", {"sentences": sentences}).data)
    asked = {"word": "mole", "sentences": sentences, "numbers": [1, 2], "twice": False}
    parted = dict(answer(desk, "shift.parted", {**asked, "at": "2.resid_mid"}).data)
    file = tmp_path / "live.html"
    held = embedded_json({"shift": shift, "parted": parted})
    file.write_text(
        f'<!doctype html><meta charset="utf-8"><style>{sheet("kit")}{sheet("shift")}</style>'
        f'<main id="view" class="{host_class("shift")}"></main>'
        f'<script type="application/json" id="data">{held}</script>'
        f'<script type="module">{module("shift")}{HOST}</script>',
        encoding="utf-8",
    )
    point = [one["name"] for one in shift["points"]].index("2.resid_mid")
    with opened(browser, file, f"#point={point}&sentence=1") as found:
        found.page.locator(".segments label", has_text="at the chosen point").click()
        found.wait("window.sent.some((one) => one.kind === 'ask')")
        found.wait("!document.querySelector('.parting').textContent.includes('Asking')")
        told = found.page.evaluate("window.sent.find((one) => one.kind === 'ask')")
        assert told["question"] == "shift.parted"
        assert told["inputs"] == {**asked, "at": "2.resid_mid"}
        assert "after attention of layer 2 the two" in found.text(".parting").lower()
        found.page.locator("button", has_text="Move this vector by hand").click()
        sent = found.page.evaluate("window.sent.find((one) => one.kind === 'open')")
    assert sent["question"] == "moving" and sent["inputs"]["text"] == "The farmer saw a mole"
    data = answer(desk, "moving", {**sent["inputs"], "tokens": 0}).data
    assert data["direction"]["name"] == "2 − 1" and data["at"] == "2.resid_mid"
    assert data["pieces"][data["position"]] == "·mole"
