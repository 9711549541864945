"""The pages of facts in a live host: applying, undoing, prompts of one's own, links to other views.

The host is a stub in the page; its questions are answered by the library, from a desk.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache

import pytest
from tests.views.browsing import CONTRAST, Opened

import molehill
from molehill.facts import load_fact_edits
from molehill.questions import Desk, ModelEntry, answer
from molehill.questions.catalogue import question
from molehill.views.html import SHARED, host_class, module, sheet

HOST = """
const held = { data: DATA, asks: true, opens: true, edits: EDITS, state: "", theme: "THEME" };
const hearers = {};
const tell = (event, given) => (hearers[event] ?? []).slice().forEach((act) => act(given));
window.sent = [];
const model = {
  get: (name) => held[name],
  set: (name, value) => { held[name] = value; },
  save_changes: () => {},
  on: (event, act) => (hearers[event] ??= []).push(act),
  off: (event, act) => { hearers[event] = (hearers[event] ?? []).filter((one) => one !== act); },
  send: async (message) => {
    window.sent.push(message);
    if (message.kind === "edits") { held.edits = message.edits; tell("change:edits"); }
    if (message.kind === "ask") {
      const told = await window.answered(message.question, JSON.stringify(message.inputs));
      tell("msg:custom", { id: message.id, ...JSON.parse(told) });
    }
  },
};
render({ model, el: document.getElementById("view") });
"""

EDIT = {"subject": "Leo Rosner", "object": "golf", "template": "{} plays", "method": "fine-tuning"}


@cache
def desk() -> Desk:
    return Desk({"village": ModelEntry(molehill.load("village"))})


def ask(name: str, **given) -> dict:
    return json.loads(json.dumps(dict(answer(desk(), name, {"model": "village", **given}).data)))


@cache
def two() -> tuple[str, str]:
    first = ask("facts.edit", **EDIT)["edit"]["digest"]
    other = {**EDIT, "subject": "Judith Penfax", "object": "chess"}
    return first, ask("facts.edit", edits=(first,), **other)["edit"]["digest"]


def answered(name: str, inputs: str) -> str:
    try:
        return json.dumps({"kind": "answer", "data": ask(name, **json.loads(inputs))})
    except molehill.MolehillError as error:
        return json.dumps({"kind": "error", "message": str(error)})


@contextmanager
def live(browser, name: str, data: dict, edits=(), theme: str = "light", width: int = 1280):
    view = question(name).view
    script = module(view) + (
        HOST.replace("DATA", json.dumps(data))
        .replace("EDITS", json.dumps(list(edits)))
        .replace("THEME", theme)
    )
    page = browser.new_page(viewport={"width": width, "height": 900})
    found = Opened(page)
    page.expose_function("answered", answered)
    page.set_content(
        f"<!doctype html><style>{sheet(SHARED)}\n{sheet(view)}</style>"
        f'<main id="view" class="{host_class(view)}"></main><script type="module">{script}</script>'
    )
    page.wait_for_selector("article.mh")
    try:
        yield found
    finally:
        page.close()
        assert found.troubles == []


def sent(page, kind: str) -> list[dict]:
    return [one for one in page.evaluate("window.sent") if one["kind"] == kind]


def press(found: Opened, name: str) -> None:
    found.page.get_by_role("button", name=name, exact=True).click()


def test_an_edit_is_applied_at_the_end_of_the_list_and_taken_off_again(browser):
    first, second = two()
    data = ask(
        "facts.edit", edits=(first,), **{**EDIT, "subject": "Judith Penfax", "object": "chess"}
    )
    assert data["edit"]["digest"] == second
    data["health"]["verdict"] = "healthy"
    with live(browser, "facts.edit", data, [first]) as found:
        assert "A preview" in found.text(".apply p")
        press(found, "Apply it")
        assert sent(found.page, "edits")[-1]["edits"] == [first, second]
        assert "with 2 edits now" in found.text(".apply p")
        press(found, "Take it off")
        assert sent(found.page, "edits")[-1]["edits"] == [first]
    with live(browser, "facts.edit", data, []) as found:
        assert "made for the model with 1 edit, the list has none now" in found.text(".apply p")


def test_a_refused_edit_says_so_before_it_can_be_applied(browser):
    data = ask("facts.edit", **EDIT)
    data["health"]["verdict"] = "refuses"
    with live(browser, "facts.edit", data) as found:
        assert "The health gate refuses it." in found.text(".apply p")
        press(found, "Apply it all the same")
        assert len(sent(found.page, "edits")) == 1


def test_a_prompt_of_ones_own_goes_on_without_and_with_the_edit(browser):
    data = ask("facts.edit", **EDIT)
    with live(browser, "facts.edit", data) as found:
        field = found.page.get_by_label("A prompt of your own")
        field.fill("Helen Fenden plays")
        field.press("Enter")
        found.page.wait_for_selector(".trying .both")
        told = found.page.locator(".trying .both blockquote").all_inner_texts()
        row = ask("facts.say", prompts=["Helen Fenden plays"], edits=(two()[0],))["rows"][0]
        assert [text.split(" plays ")[1] for text in told] == [
            row[side]["text"].strip() for side in ("before", "after")
        ]
        field.fill("Helen plays " * 100)
        press(found, "Go on")
        found.wait("document.querySelector('.trying > .small').textContent.includes('limit is 64')")


def test_the_list_is_undone_in_order_and_saved(browser, tmp_path):
    edits = two()
    with live(browser, "facts.stack", ask("facts.stack", edits=edits), edits) as found:
        saved = tmp_path / "edits.safetensors"
        button = found.page.get_by_role("button", name="Save as safetensors")
        saved.write_bytes(found.saved(button))
        assert tuple(edit.digest for edit in load_fact_edits(saved)) == edits
        press(found, "Undo this one")
        press(found, "Undo the last")
        press(found, "Undo all")
        assert [one["edits"] for one in sent(found.page, "edits")] == [[edits[1]], [edits[0]], []]
        press(found, "What would go with it")
        asked = sent(found.page, "open")[-1]
        assert (asked["question"], asked["inputs"]) == ("facts.undo", {"gone": edits[0]})
    gone = ask("facts.undo", edits=edits, gone=edits[0])
    with live(browser, "facts.undo", gone, edits) as found:
        assert found.page.locator(".said tbody tr").count() == 2
        press(found, "Take it off")
        assert sent(found.page, "edits")[-1]["edits"] == [edits[1]]


def test_a_card_and_a_trace_lead_on(browser):
    with live(browser, "facts.card", ask("facts.card", draws=1)) as found:
        box = found.page.locator("svg.maps .ground").last.bounding_box()
        found.page.mouse.click(box["x"] + box["width"] - 4, box["y"] + box["height"] / 2)
        asked = sent(found.page, "open")[-1]
        assert asked["question"] == "ledger"
        assert asked["inputs"] == {
            "text": "Leo Rosner plays", "position": 2, "at": "2.resid_post"
        }  # fmt: skip
        found.page.get_by_label("What it is to say instead").fill("golf")
        press(found, "Preview the rewrite")
        asked = sent(found.page, "open")[-1]
        assert asked["question"] == "facts.edit"
        again = ask("facts.edit", method="fine-tuning", **asked["inputs"])
        assert again["rows"][0]["prompt"] == "Leo Rosner plays"
    with live(browser, "facts.trace", ask("facts.trace", draws=1)) as found:
        found.page.locator("svg.maps").focus()
        for key in ("End", "ArrowDown", "ArrowDown"):
            found.page.keyboard.press(key)
        press(found, "Ledger of this vector")
        assert sent(found.page, "open")[-1]["inputs"]["at"] == "2.resid_post"
        vector = ask("ledger", **sent(found.page, "open")[-1]["inputs"])
        assert "'Leo Rosner plays', 2, at='2.resid_post'" in vector["python"]
        press(found, "Its card")
        assert ask("facts.card", draws=0, **sent(found.page, "open")[-1]["inputs"])["known"]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_new_can_be_read_in_both_themes_and_on_a_narrow_screen(browser, theme):
    edits = two()
    pages = {
        "facts.say": ask("facts.say", edits=edits),
        "facts.stack": ask("facts.stack", edits=edits),
        "facts.edit": ask("facts.edit", **EDIT),
    }
    for name, data in pages.items():
        with live(browser, name, data, edits, theme, width=360) as found:
            found.page.wait_for_timeout(100)
            assert found.page.evaluate("document.documentElement.scrollWidth") <= 360
            assert found.page.evaluate(CONTRAST) == []


def test_without_a_host_there_is_nothing_to_press(browser):
    from molehill.views.html import page

    edits = two()
    for name, given in (("facts.edit", EDIT), ("facts.say", {}), ("facts.stack", {})):
        data = ask(name, edits=edits, **given)
        one = browser.new_page()
        found = Opened(one)
        one.set_content(page(question(name).view, data, title="t", text="x"))
        one.wait_for_selector("article.mh")
        assert one.locator(".apply, .trying, .onward").count() == 0
        assert one.get_by_role("button", name="Undo all").count() == 0
        one.close()
        assert found.troubles == []
