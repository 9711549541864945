"""Widgets without a notebook: what they hold, what they answer, what they write."""

from __future__ import annotations

import pytest

import molehill
from molehill.errors import ConfigError
from molehill.questions import Desk, ModelEntry, answer
from molehill.widgets import ViewWidget, draw, show

TEXT = "The mole dug."


@pytest.fixture(scope="module")
def lexicon():
    return molehill.load("lexicon")


@pytest.fixture
def widget(lexicon):
    return show(lexicon, "ledger", text=TEXT, position=1)


def heard(widget: ViewWidget, message: dict) -> list[dict]:
    """What a widget says to the page when it is told something."""
    said: list[dict] = []
    widget.send = lambda content, buffers=None: said.append(content)  # type: ignore[assignment]
    widget._heard(widget, message, [])
    return said


def test_it_holds_the_data_of_its_question(widget, lexicon):
    desk = Desk({"lexicon": ModelEntry(lexicon)})
    same = answer(desk, "ledger", {"model": "lexicon", "text": TEXT, "position": 1})
    assert widget.data["read"]["measured"] == pytest.approx(same.data["read"]["measured"], rel=1e-4)
    assert [row["name"] for row in widget.data["rows"]] == [
        row["name"] for row in same.data["rows"]
    ]
    assert widget.data["python"] == same.data["python"]
    assert widget.asks and widget.state == ""


def test_its_module_is_the_views_own_and_dresses_its_element(widget):
    esm = widget._esm
    assert esm.count("export ") == 1 and "import " not in esm.split("/**", 1)[0]
    assert "el.classList.add(...['mh-host', 'v-ledger'])" in esm
    assert ".v-ledger {" in widget._css and "innerHTML" not in esm


def test_it_answers_further_questions_of_the_same_model(widget, lexicon):
    asked = {"kind": "ask", "id": "7", "question": "lens", "inputs": {"text": TEXT}}
    said = heard(widget, asked)
    alone = show(lexicon, "lens", text=TEXT)
    assert {one["kind"] for one in said[:-1]} <= {"progress"} and said[-1]["kind"] == "answer"
    assert {one["id"] for one in said} == {"7"}
    words = [[one["words"][0] for one in row] for row in alone.data["readings"]]
    assert [[one["words"][0] for one in row] for row in said[-1]["data"]["readings"]] == words


@pytest.mark.parametrize(
    ("message", "part"),
    [
        ({"kind": "ask", "id": "1", "question": "nothing"}, "no question"),
        ({"kind": "ask", "id": "1", "question": "lens", "inputs": {"x": 1}}, "x: Extra inputs"),
        ({"kind": "ask", "id": "1", "question": "lens", "inputs": {"model": "../x"}}, "no model"),
    ],
)
def test_what_cannot_be_answered_is_said_in_words(widget, message, part):
    (said,) = heard(widget, message)
    assert said["kind"] == "error" and part in said["message"]


@pytest.mark.parametrize("message", [None, "ask", {"kind": "ask"}, {"kind": "else"}, {}])
def test_odd_messages_do_no_harm(widget, message):
    assert all(one["kind"] == "error" for one in heard(widget, message))


def test_an_answer_that_is_only_drawn_asks_nothing(widget):
    drawn = draw(widget.given)
    assert not drawn.asks and heard(drawn, {"kind": "ask", "id": "1", "question": "lens"}) == []


def test_it_is_saved_as_a_page_of_its_own(widget, tmp_path):
    widget.save(tmp_path / "ledger.html")
    page = (tmp_path / "ledger.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") and "Content-Security-Policy" in page
    assert "The mole dug." in page and widget.text()


def test_wrong_inputs_are_named_when_it_is_made(lexicon):
    with pytest.raises(ConfigError, match="position"):
        show(lexicon, "ledger", position="first")
    with pytest.raises(ConfigError, match="no question 'ledgers'"):
        show(lexicon, "ledgers")
