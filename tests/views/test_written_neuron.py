"""A neuron written by hand: its certificate as data, text and page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache

import pytest
import torch
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.facts.asking import Answer
from molehill.facts.before_after import Asked, Compared
from molehill.facts.edits import FactEdit, Neurons
from molehill.facts.fact import Fact
from molehill.facts.firing_certificate import BINS, FalseFiring, FiringCertificate, FiringCount
from molehill.views.html import page
from molehill.views.written_neuron import written_neuron_data, written_neuron_text

HOSTILE = "<img src=x onerror=alert(1)></script>"


def counted(false: int) -> FiringCount:
    """Sixty tokens of everything else from -2 up, and five of the subject around 1."""
    others, own = [0] * BINS, [0] * BINS
    others[0], others[24], others[36] = 40, 15, 5
    own[58], own[60] = 2, 3
    named = tuple(FalseFiring(number, f"{HOSTILE} {number}", 0.5) for number in range(false))
    return FiringCount(9, 4, 60, 5, 5, false, named, -0.9, "nearest", tuple(others), tuple(own))


def edit(kind: str) -> FactEdit:
    count = counted(2 if kind == "not clean" else 0)
    exact = kind != "not clean"
    found = FiringCertificate(
        "Leo Rosner", 1, 2, 2, 0.9, 1.1, 0, count, count, 3.0, 1.0, exact, 0.0
    )
    if kind == "old":  # a file from before matches were counted
        empty = replace(count, matches=(), own_matches=())
        found = replace(found, fitted=empty, held_out=empty)
    metrics = {"certificates": [asdict(found)], "divergence": [0.01], "length": [2.0]}
    change = Neurons(1, torch.zeros(1, 96), torch.zeros(1), torch.zeros(96, 1))
    fact = Fact("Leo Rosner", HOSTILE, "{} plays")
    return FactEdit(
        "neuron", (fact,), (change,), "village", "f" * 64, (), {}, {**metrics, "clipped": [False]}
    )


@cache
def made(kind: str = "clean") -> dict:
    before, after = Answer(7.0, 0.001, 9, 0.0), Answer(0.3, 0.75, 0, 1.0)
    asked = Asked("Leo Rosner plays", "golf")
    one = Compared(asked, before, after, "polo", 0.9, 0.1, "polo", "golf", False)
    return written_neuron_data(molehill.load("village"), edit(kind), [one], version="0.0.0")


KINDS = ("clean", "not clean", "old")


@pytest.mark.parametrize("kind", KINDS)
def test_the_certificate_is_told_in_data_and_words(kind):
    data = made(kind)
    assert json.loads(json.dumps(data, allow_nan=False)) == json.loads(json.dumps(data))
    assert data["certificate"]["clean"] == (kind != "not clean")
    assert data["certificate"]["margin"] == pytest.approx(1.8)
    text = written_neuron_text(data, width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "the smallest of the subject is 0.90" in " ".join(text.split())
    assert "fitted on −0.90" in " ".join(text.split())
    assert ("Where it fires and should not" in text) == (kind == "not clean")
    assert ("never exactly nothing" in data["notes"][0]) == (kind == "not clean")
    assert written_neuron_text(data, ascii_only=True).isascii()


def test_a_strip_has_the_subject_right_of_the_threshold_and_everything_else_left():
    rows = [line for line in written_neuron_text(made()).splitlines() if "|" in line]
    (others, own) = (line.partition("|") for line in rows)
    assert rows[0].startswith("  else") and rows[1].startswith("  subject")
    assert "█" in others[0] and "█" not in others[2]
    assert "█" not in own[0] and "█" in own[2]
    assert "|" not in written_neuron_text(made("old"))


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")

    @cache
    def write(kind: str):
        data = made(kind)
        path = folder / f"{kind}.html"
        text = written_neuron_text(data)
        path.write_text(page("written-neuron", data, title=kind, text=text), "utf-8")
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


@pytest.mark.parametrize(
    ("kind", "scheme", "width"),
    [("clean", "light", 1280), ("not clean", "dark", 1280), ("not clean", "light", 360)],
)
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, kind, scheme, width):
    data = made(kind)
    with visit(kind, color_scheme=scheme, width=width) as found:
        assert found.asked == [file(kind).as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == data["summary"]
        assert found.page.locator("img").count() == 0
        assert ("not clean" in found.text(".side h2")) == (kind == "not clean")
        wrong = 4 if kind == "not clean" else 2
        assert found.page.locator(".texts li").count() == wrong
        for summary in found.page.locator("summary").all():
            summary.click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        assert found.page.evaluate(CONTRAST) == []


def test_bars_stand_left_and_right_of_the_threshold_and_sets_are_chosen_by_keys(visit):
    with visit("clean") as found:
        zero = float(found.page.locator(".chart .zero").get_attribute("x1"))
        places = {
            kind: [
                float(bar.get_attribute("x"))
                for bar in found.page.locator(f".chart rect.{kind}").all()
            ]
            for kind in ("else", "own")
        }
        assert len(places["else"]) == 3 and max(places["else"]) < zero
        assert len(places["own"]) == 2 and min(places["own"]) > zero
        found.page.get_by_role("radio", name="fitted on").focus()
        found.page.keyboard.press("ArrowRight")
        assert found.state() == {"texts": "held_out"}
    with visit("old", "#texts=all") as found:
        assert "does not have" in found.text(".notice")
        assert found.page.locator(".chart rect").count() == 0


def test_pictures_and_data_are_saved_whole(visit):
    with visit("not clean") as found:
        svg = found.saved(found.page.get_by_title("Save as SVG").first).decode()
        assert "village" in svg and "var(--" not in svg
        table = found.saved(found.page.get_by_title("Save as CSV").first).decode()
        assert table.count("\r\n") == 1 + BINS
        kept = json.loads(found.saved(found.page.get_by_text("Save all as JSON")))
        assert kept == json.loads(json.dumps(made("not clean")))
        assert found.page.locator("svg:not([aria-label])").count() == 0
