"""Ledger, lens and account with a host that answers: ask again, open what a row stands for."""

from __future__ import annotations

import json
from contextlib import contextmanager

import pytest

import molehill
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.html import host_class, module, sheet

HOST = """async ([source, data, opens, catalogue]) => {
  const {default: view} = await import(URL.createObjectURL(
    new Blob([source], {type: 'text/javascript'})));
  const held = {data, asks: true, opens, catalogue, state: '', theme: 'auto'};
  const heard = {};
  window.opened = [];
  const fire = (event, ...given) => (heard[event] ?? []).forEach((act) => act(...given));
  const model = {
    get: (name) => held[name],
    set: (name, value) => { held[name] = value; if (name === 'data') fire('change:data'); },
    save_changes: () => {},
    on: (event, act) => { heard[event] = [...(heard[event] ?? []), act]; },
    off: (event, act) => { heard[event] = (heard[event] ?? []).filter((one) => one !== act); },
    send: async (message) => {
      if (message.kind === 'open') window.opened.push([message.question, message.inputs]);
      if (message.kind !== 'ask') return;
      const [kind, told] = JSON.parse(await window.answered(message.question, message.inputs));
      fire('msg:custom', {id: message.id, kind, [kind === 'answer' ? 'data' : 'message']: told});
    },
  };
  window.held = held;
  view.render({model, el: document.getElementById('view')});
}"""

NAMES = ("ledger", "why", "neuron", "lens", "attention", "features.card")
CATALOGUE = {
    "questions": [{"name": name} for name in NAMES],
    "features": [{"name": "lexicon-4", "model": "lexicon"}, {"name": "other", "model": "village"}],
}


@pytest.fixture(scope="module")
def desk():
    return Desk({"lexicon": ModelEntry(molehill.load("lexicon"))}, {"lexicon-4": "lexicon-4"})


@pytest.fixture
def live(browser, desk):
    @contextmanager
    def show(name: str, inputs: dict, *, opens: bool, width: int = 1100):
        made = answer(desk, name, inputs)
        view = made.question.view
        page = browser.new_page(viewport={"width": width, "height": 900})
        troubles: list[str] = []
        page.on("pageerror", lambda error: troubles.append(str(error)))

        def answered(question, asked):
            try:
                return json.dumps(["answer", answer(desk, question, asked).data])
            except molehill.MolehillError as error:
                return json.dumps(["error", str(error)])

        page.expose_function("answered", answered)
        style = f"<style>{sheet('kit')}\n{sheet(view)}</style>"
        page.set_content(f'{style}<main id="view" class="{host_class(view)}"></main>')
        page.evaluate(HOST, [module(view), made.data, opens, CATALOGUE])
        page.wait_for_selector("article footer")
        yield page
        page.close()
        assert troubles == []

    return show


def opened(page) -> tuple[str, dict]:
    question, inputs = page.evaluate("window.opened.at(-1)")
    return question, inputs


TEXT = "The violin is an instrument with"


def test_a_row_a_band_and_a_token_open_what_they_stand_for(live, desk):
    with live("ledger", {"text": TEXT}, opens=True) as page:
        rows = page.evaluate("window.held.data.rows")
        neuron = next(row for row in rows if row["kind"] == "neuron")
        page.get_by_role("button", name=neuron["name"], exact=True).click()
        assert opened(page) == ("neuron", {"layer": neuron["layer"], "neuron": neuron["neuron"]})
        head = next(row for row in rows if row["kind"] == "head")
        line = page.locator(".opens", has_text=head["name"]).first
        line.locator("td").last.click()
        question, inputs = opened(page)
        query = page.evaluate("window.held.data.token.positions.at(-1)")
        assert question == "why" and inputs["text"] == TEXT and inputs["query"] == query
        assert (inputs["layer"], inputs["head"]) == (head["layer"], head["head"])
        assert answer(desk, question, inputs).data["chosen"]
        page.get_by_role("button", name="Token 1,").click()
        question, inputs = opened(page)
        assert question == "ledger" and inputs["position"] == 1
        assert answer(desk, question, inputs).data["token"]["positions"] == [1]


def test_the_river_is_walked_by_keys_and_opens_what_is_chosen(live):
    with live("ledger", {"text": TEXT}, opens=True) as page:
        figure = page.locator("svg.river")
        figure.focus()
        figure.press("ArrowLeft")
        nodes = page.evaluate("window.held.data.river.words.nodes")
        at = page.evaluate("Number(/node=(\\d+)/.exec(window.held.state)[1])")
        assert nodes[at]["column"] == 2
        sizes = [
            abs(flow["value"])
            for flow in page.evaluate("window.held.data.river.words.flows")
            if flow["path"][-2] == at
        ]
        assert sizes and nodes[at]["name"][1:] in page.locator(".told").inner_text()
        figure.press("ArrowLeft")
        figure.press("ArrowDown")
        figure.press("ArrowUp")
        assert page.locator("svg.river.lit .over path").count() > 0
        named = next(n for n, one in enumerate(nodes) if one["kind"] == "neuron" and one["layer"])
        page.locator(f"svg.river [data-node='{named}'] .name").click()
        page.locator(".told button").click()
        assert opened(page)[0] == "neuron"
        page.mouse.move(0, 0)  # what lies under the pointer is lit too
        figure.press("Escape")
        assert page.locator("svg.river.lit").count() == 0


def test_where_nothing_can_be_opened_the_view_asks_and_stays(live):
    with live("ledger", {"text": TEXT}, opens=False) as page:
        assert page.locator(".opens").count() == 0
        word = page.get_by_label("Score of the next word")
        word.fill("strings")
        word.press("Enter")
        page.wait_for_function("window.held.data.read.what === 'score'")
        assert page.get_by_label("Score of the next word").input_value() == "strings"
        page.get_by_label("Basis").select_option("lexicon-4")
        page.wait_for_function("window.held.data.features !== null")
        assert page.get_by_role("radio", name="feature", exact=True).is_checked()
        names = page.locator("svg.river .name").all_text_contents()
        assert any(name.startswith("feature ") for name in names)
        assert "other" not in page.get_by_label("Basis").inner_text()
        page.get_by_label("Vector").select_option("3.resid_mid")
        page.wait_for_function("document.querySelector('.ask .small').textContent !== ''")
        assert "lexicon-4" in page.locator(".ask .small").inner_text()


def test_what_came_before_a_point_is_gathered_and_bad_words_are_told_of(live):
    with live("ledger", {"text": TEXT}, opens=False) as page:
        page.get_by_label("Gathered up to").select_option("2.resid_post")
        page.wait_for_function("window.held.data.between !== null")
        assert page.locator("svg.river .name", has_text="the vector at").count() == 1
        page.get_by_label("Score of the next word").fill("counterrevolutionary")
        page.get_by_label("Score of the next word").press("Enter")
        page.wait_for_function("/tokens/.test(document.querySelector('.ask .small').textContent)")


def test_the_lens_follows_a_word_and_opens_the_ledger_where_it_stands(live, desk):
    with live("lens", {"text": TEXT}, opens=False) as page:
        field = page.get_by_label("Follow the rank of another word")
        field.fill("strings")
        page.get_by_role("button", name="Add", exact=True).click()
        page.wait_for_function("window.held.data.tracked.length === 1")
        page.get_by_role("radio", name="rank of strings").check()
        ranks = page.evaluate("window.held.data.readings[0].map((one) => one.ranks[0])")
        shown = page.locator(".grid .cell text").all_text_contents()[: len(ranks)]
        assert [int(one.replace(",", "")) - 1 for one in shown] == ranks
        page.get_by_role("button", name="Follow strings no longer").click()
        page.wait_for_function("window.held.data.tracked.length === 0")
    with live("lens", {"text": TEXT}, opens=True) as page:
        page.locator(".grid").focus()
        page.keyboard.press("Enter")
        question, inputs = opened(page)
        assert question == "ledger" and inputs["at"] == "final"
        made = answer(desk, question, inputs).data
        assert made["read"]["what"] == "score" and made["read"]["rank"] == 0
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        assert opened(page)[1]["at"] == "5.resid_mid" and "toward" not in opened(page)[1]
        box = page.locator(".grid").bounding_box()
        chosen = page.locator(".told h2").inner_text()
        page.mouse.move(box["x"] + 70, box["y"] + 40)
        assert page.locator(".told h2").inner_text() != chosen
        page.mouse.move(0, 0)
        assert page.locator(".told h2").inner_text() == chosen


def test_the_account_shows_its_parts_and_leads_on(live):
    with live("params", {}, opens=True, width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        rows = page.evaluate("window.held.data.parts")
        page.locator("svg.parts").focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowUp")
        assert page.locator(".told h2").inner_text().lower() == rows[-2]["part"].lower()
        page.get_by_role("button", name="Look into one neuron").click()
        assert opened(page) == ("neuron", {"layer": 5, "neuron": 0})
        whole = page.locator(".whole-model .part").evaluate_all(
            "(parts) => parts.map((part) => Number(part.getAttribute('width')))"
        )
        third = float(page.locator(".third").get_attribute("x1"))
        assert whole[0] == pytest.approx(third, rel=0.01)
