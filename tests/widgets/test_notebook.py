"""Widgets in a notebook that is executed, and what it saved in a bare page, drawn by a browser."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tests.views.browsing import Opened

_CELLS = (
    "import molehill\nlm = molehill.load('lexicon')\n"
    "motion = molehill.show(lm, 'shift', word='mole', state='point=3&sentence=2')\nmotion",
    "ledger = molehill.show(lm, 'ledger', text='The mole dug.', position=1)\nledger",
    "motion.state = 'point=5'\nprint(motion.state, len(motion.data['sentences']))",
)

_HOST = """<!doctype html><meta charset="utf-8"><body><div id="cell"></div>
<script type="module">
const state = {STATE};
const heard = {};
const model = {
  get: (name) => state[name],
  set: (name, value) => {
    state[name] = value;
    (heard[`change:${name}`] ?? []).forEach((act) => act());
  },
  save_changes: () => {},
  on: (event, act) => { (heard[event] ??= []).push(act); },
  off: (event, act) => { heard[event] = (heard[event] ?? []).filter((one) => one !== act); },
  send: (message) => { (window.sent ??= []).push(message); },
};
const style = document.createElement("style");
style.textContent = state._css;
const cell = document.querySelector("#cell");
const root = SHADOW ? cell.attachShadow({ mode: "open" }) : cell;
const el = document.createElement("div");
root.append(style, el);
const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
const view = (await import(url)).default;
window.undo = view.render({ model, el });
window.state = state;
window.model = model;
window.drawn = el;
</script>"""


@pytest.fixture(scope="module")
def executed():
    """The notebook after it ran: its cells, and the widgets that it saved."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(cell) for cell in _CELLS]
    client = NotebookClient(book, timeout=180, kernel_name="python3")
    # A browser that other tests keep open has an event loop at work in this thread.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(client.async_execute())).result()
    saved = book.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    return book, [one["state"] for one in saved.values() if "_esm" in one["state"]]


def test_a_notebook_shows_widgets_and_reads_their_state(executed):
    book, widgets = executed
    shown = "application/vnd.jupyter.widget-view+json"
    assert [shown in cell.outputs[0].get("data", {}) for cell in book.cells[:2]] == [True, True]
    assert book.cells[2].outputs[0].text == "point=5 6\n"
    assert [one["state"] for one in widgets] == ["point=5", ""]


@pytest.mark.parametrize("shadow", [False, True], ids=["cell", "shadow"])
def test_what_a_notebook_saved_is_drawn_by_a_bare_page(executed, browser, tmp_path, shadow):
    _, (motion, _) = executed
    file = _page(tmp_path, motion, shadow)
    context = browser.new_context(viewport={"width": 1000, "height": 900}, offline=True)
    opened = Opened(context.new_page())
    opened.page.goto(file.as_uri())
    opened.wait("Boolean(window.drawn?.querySelector('h1'))")
    words = opened.page.evaluate("drawn.querySelector('h1').textContent")
    assert words == "mole"
    # What is chosen goes into the widget's state, never into the address of the notebook.
    assert "point=5" in opened.page.evaluate("state.state")
    assert opened.page.evaluate("location.hash") == ""
    # The kernel sets the state: the view follows.
    opened.page.evaluate("model.set('state', 'point=2&sentence=3')")
    assert "sentence=3" in opened.page.evaluate("state.state")
    # Keys of the notebook are not the view's.
    opened.page.keyboard.press("?")
    assert opened.page.evaluate("drawn.querySelector('dialog')?.open ?? false") is False
    # New data draw the view anew; leaving takes everything away.
    opened.page.evaluate("model.set('data', { ...state.data, word: 'vole' })")
    assert opened.page.evaluate("drawn.querySelector('h1').textContent") == "vole"
    opened.page.evaluate("undo()")
    assert opened.page.evaluate("drawn.childElementCount") == 0
    context.close()
    assert opened.troubles == []


def _page(folder: Path, state: dict, shadow: bool) -> Path:
    held = json.dumps(state).replace("</", "<\\/")
    text = _HOST.replace("{STATE}", held).replace("SHADOW", str(shadow).lower())
    file = folder / "bare.html"
    file.write_text(text, encoding="utf-8")
    return file
