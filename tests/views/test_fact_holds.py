"""What a vector holds: as data, as text, and as a page."""

from __future__ import annotations

import json
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import typer
from tests.views.browsing import CONTRAST, opened
from typer.testing import CliRunner

import molehill
from molehill.cli import facts_holds
from molehill.errors import MolehillError
from molehill.facts.held_facts import held_facts, read_concepts
from molehill.views.fact_holds import _summary, fact_holds_data
from molehill.views.fact_holds_text import fact_holds_text
from molehill.views.html import page

SPORT = Path(__file__).parents[2] / "docs/examples/facts/sport.json"
HOSTILE = "<img src=x onerror=alert(1)></script>"


@cache
def made() -> dict:
    lm, prompt = molehill.load("village"), "Leo Rosner plays"
    found = held_facts(lm, prompt, read_concepts(SPORT, without=prompt), shuffles=60, draws=200)
    return fact_holds_data(lm, found, version="0.0.0")


@cache
def strange() -> dict:
    """The same, with a hostile name and a direction that is worth nothing."""
    data = json.loads(json.dumps(made()))
    data["rows"][1]["name"] = HOSTILE
    data["rows"][2]["control"] |= {"accuracy": 0.5, "tells": False}
    data["left_out"] = ["lone"]
    data["summary"] = _summary(data)
    return data


def test_data_are_plain_and_say_what_is_held():
    data = made()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert data["schema"] == "molehill.holds/1" and data["site"] == "2.resid_post"
    assert data["rows"][0]["name"] == "polo" and data["rows"][0]["held"]
    assert data["rows"][0]["control"]["tells"] and data["rows"][0]["counts"] == [5, 54]
    first, second, third = data["summary"]
    assert first == (
        "At “plays” (2.resid_post) the vector lies above the threshold of 1 of 12 concepts: “polo”."
    )
    assert second.startswith("It holds “polo” most: z 3.") and "next, “" in second
    assert third.startswith("Every direction tells at least")


def test_directions_that_are_worth_nothing_are_named():
    assert "1 of 12 directions tell held-out" in _summary(strange())[2]
    none = [{**row, "held": False} for row in made()["rows"]]
    assert _summary(strange())[3] == (
        "Too few texts were there for “lone”: if it is held, another may be named in its place."
    )
    assert "threshold of none of 12 concepts" in _summary({**made(), "rows": none})[0]


@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_text_has_a_line_for_each(ascii_only):
    text = fact_holds_text(strange(), ascii_only=ascii_only)
    assert all(len(line) <= 80 for line in text.splitlines()) and text.isascii() == ascii_only
    assert text.count("%") > 36 and "Too few texts were there for" in text
    assert all(row["name"][:9] in text for row in strange()["rows"])


def test_the_verb_gives_the_same_and_refuses_what_it_cannot_hold(tmp_path):
    app = typer.Typer()
    facts_holds.register(app)
    html = tmp_path / "holds.html"
    asked = ["Leo Rosner plays", str(SPORT), "-m", "village"]
    fast = [*asked, "--shuffles", "60", "--json"]
    result = CliRunner().invoke(app, [*fast, "--html", str(html)])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert data["rows"][0]["name"] == "polo" and data["draws"] == 1000
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held) == data
    word = json.loads(CliRunner().invoke(app, [*fast, "--word", "Rosner"]).stdout)
    assert word["at"] == 1
    for given in (["--word", "oak"], ["--site", "9.resid_post"], ["--html", "absent/x.html"]):
        result = CliRunner().invoke(app, [*asked, "--shuffles", "1", *given])
        assert isinstance(result.exception, MolehillError)


# --- the page -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("holds") / "holds.html"
    text = fact_holds_text(strange())
    path.write_text(page("fact-holds", strange(), title="holds", text=text), "utf-8")
    return path


@pytest.fixture
def visit(browser, file):
    @contextmanager
    def go(fragment="", **options):
        with opened(browser, file, fragment, **options) as found:
            found.page.wait_for_selector("article footer")
            yield found

    return go


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 360)])
def test_it_opens_without_a_network_and_says_what_the_data_say(visit, file, scheme, width):
    with visit(color_scheme=scheme, width=width) as found:
        assert found.asked == [file.as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == strange()["summary"]
        assert found.page.locator("img").count() == 0
        assert found.page.locator(".chart g.concept").count() == 12
        assert found.page.locator(".chart g.held").count() == 1
        assert found.page.locator(".chart g.weak").count() == 1
        found.page.locator("summary").click()
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        assert found.page.evaluate(CONTRAST) == []


def test_concepts_are_chosen_by_keys_kept_in_the_address_and_saved(visit):
    with visit("#row=2") as found:
        assert HOSTILE in found.text(".side h2")
        found.page.locator(".chart").focus()
        found.page.keyboard.press("ArrowDown")
        assert found.state() == {"row": "3"} and "says of this vector is nothing" in found.text(
            ".side"
        )
        found.page.keyboard.press("Home")
        assert found.state() == {"row": "1"} and "polo" in found.text(".side h2")
        svg = found.saved(found.page.get_by_title("Save as SVG")).decode()
        assert "Leo Rosner plays" in svg and "var(--" not in svg
        table = found.saved(found.page.get_by_title("Save as CSV")).decode()
        assert table.count("\r\n") == 13
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == strange()
        assert found.page.locator("svg:not([aria-label])").count() == 0
    with visit("#row=99") as found:
        assert "does not have" in found.text(".notice")
