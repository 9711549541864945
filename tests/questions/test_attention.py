"""Questions about attention: one pass for all heads, its lines of Python, what is refused."""

from __future__ import annotations

import json

import pytest

import molehill
from molehill.errors import ConfigError, SiteError
from molehill.questions import Desk, ModelEntry, answer
from molehill.views.attention_text import matrix_of

TEXT = "The mole dug. The mole dug."


@pytest.fixture(scope="module")
def desk() -> Desk:
    return Desk({"lexicon": ModelEntry(molehill.load("lexicon"))})


def asked(desk, name, **inputs):
    found = answer(desk, name, inputs)
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert found.question.text(data)
    held: dict = {}
    exec(compile(data["python"], name, "exec"), held)
    return data, held


def test_all_heads_are_what_the_lines_of_python_give(desk):
    data, held = asked(desk, "attention", text=TEXT, toward="#3449", position=2)
    for name, heads in data["values"].items():
        for layer, row in enumerate(heads):
            assert row == pytest.approx(held["measures"][name][layer], rel=1e-4), name
    assert data["toward"]["word"] == "#3449" and data["toward"]["position"] == 2


def test_one_head_is_what_the_lines_of_python_give(desk):
    data, held = asked(desk, "attention.head", text=TEXT, layer=3, head=3)
    head = held["head"]
    assert matrix_of(data, "pattern") == pytest.approx(head.pattern.numpy(), rel=1e-3, abs=1e-6)
    assert matrix_of(data, "toward") == pytest.approx(head.toward.numpy(), rel=1e-3, abs=1e-6)
    assert matrix_of(data, "added") == pytest.approx(head.added.numpy(), rel=1e-3, abs=1e-5)


def test_a_head_is_answered_from_the_pass_that_is_there(desk, monkeypatch):
    answer(desk, "attention", {"text": "the harbour is", "layer": 0, "head": 1})

    def run(*given):
        raise AssertionError("the text was run again")

    monkeypatch.setattr("molehill.questions.attention.attention", run)
    again = {"text": "the harbour is"}
    assert answer(desk, "attention.head", {**again, "layer": 2}).data["head"]["layer"] == 2
    assert answer(desk, "attention", again).data["text"] == "the harbour is"
    with pytest.raises(AssertionError, match="run again"):
        answer(desk, "attention", {"text": "the harbour was"})


def test_what_a_model_has_not_is_refused(desk):
    with pytest.raises(SiteError, match=r"no head 9\.0"):
        answer(desk, "attention.head", {"text": TEXT, "layer": 9})
    with pytest.raises(SiteError, match="no token at position 99"):
        answer(desk, "attention", {"text": TEXT, "position": 99})
    with pytest.raises(ConfigError, match="cannot be asked like that"):
        answer(desk, "attention", {"text": ""})


def test_how_far_it_is_is_told(desk):
    heard = []
    answer(desk.telling(lambda done, whole, what: heard.append((done, whole))), "attention", {})
    assert heard[-1] == (6, 6)
