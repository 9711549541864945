"""Scores of methods of editing: as data, as text, and as a page."""

from __future__ import annotations

import json
from functools import cache

import pytest
from tests.views.browsing import CONTRAST, opened

import molehill
from molehill.facts.evaluate import METRICS, CaseScore, Evaluation
from molehill.facts.fact import Fact
from molehill.facts.relations import Case
from molehill.facts.stacking import Milestone
from molehill.views.fact_scores import fact_scores_data
from molehill.views.fact_scores_text import fact_scores_text
from molehill.views.html import page


def case(number: int) -> Case:
    fact = Fact(f"Nobody <b>{number}</b>", "chess", "{} plays")
    return Case(fact, "golf", ("x",), (("y", "z"),))


def score(number: int, after: float) -> CaseScore:
    names = ("efficacy", "paraphrase", "neighbourhood", "efficacy_accuracy", "fluency")
    before = dict.fromkeys(names, 0.5)
    return CaseScore(
        case(number), before, {**before, "efficacy": after, "fluency": 5.0}, "abcdef12"
    )


@cache
def made() -> dict:
    lm = molehill.load("village")
    rows = tuple(score(number, after) for number, after in enumerate((1.0, 0.0, 1.0, 1.0)))
    evaluations = [Evaluation("village", name, rows) for name in ("rome", "memit")]
    row = Milestone(3, Evaluation("village", "rome", rows[:3]), 1.25, float("nan"))
    return fact_scores_data(
        lm, evaluations, stacks={"rome": [row]}, cases=9, ended=False, version="0.0.0"
    )


def test_means_and_deviations_are_those_of_the_cases():
    data = made()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    names = [metric["name"] for metric in data["metrics"]]
    assert names == [name for name in METRICS if name == "score" or name in score(0, 1.0).after]
    value = data["methods"][0]["values"]["efficacy"]
    assert (value["before"], value["after"]) == (0.5, 0.75)
    assert value["deviation_after"] == pytest.approx((0.75 * 0.25) ** 0.5, abs=1e-6)
    assert data["methods"][0]["values"]["score"]["after"] == pytest.approx(
        3 / (1 / 0.75 + 2 + 2), abs=1e-6
    )
    assert data["stacks"][0]["milestones"][0]["bits"] is None
    assert "before it was stopped" in data["summary"][0]


def test_methods_that_have_no_room_side_by_side_stand_below():
    data = {**made(), "methods": [{**made()["methods"][0], "method": f"m{n}"} for n in range(4)]}
    for width, tables in ((50, 4), (60, 2), (160, 1)):
        text = fact_scores_text(data, width=width)
        table = text.partition("EACH EDIT")[2].partition("CASES")[0]
        assert all(len(line) <= width for line in table.splitlines())
        assert table.count("  efficacy accuracy") == tables
        assert all(table.count(f"m{n} (4)") == 1 for n in range(4))


@pytest.mark.parametrize("width", [80, 120])
def test_the_text_has_every_metric_with_its_definition(width):
    text = fact_scores_text(made(), width=width, ascii_only=True)
    assert all(len(line) <= width for line in text.splitlines())
    assert "50.0 -> 75.0 +-43.3" in text and "0.50 -> 5.00 +-0.00" in text
    flat = " ".join(text.split())
    for metric in made()["metrics"]:
        assert f"({metric['source']})" in flat
    assert "not finite" in text


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "scores.html"
    text = fact_scores_text(made())
    path.write_text(page("fact-scores", made(), title="scores", text=text), "utf-8")
    return path


@pytest.mark.parametrize("scheme, width", [("light", 360), ("dark", 1280)])
def test_the_page_opens_and_shows_the_numbers(browser, file, scheme, width):
    with opened(browser, file, width=width, color_scheme=scheme) as found:
        found.page.wait_for_selector("article footer")
        assert found.asked == [file.as_uri()]
        assert found.page.locator(".lead p").all_inner_texts() == made()["summary"]
        assert found.page.evaluate(CONTRAST) == []
        assert found.page.evaluate("document.documentElement.scrollWidth") <= width
        tables = found.page.locator("table")
        assert tables.count() == 3  # each by itself, in a row, every case
        assert "50.0 → 75.0 ± 43.3" in tables.nth(0).inner_text()
        assert "not finite" in tables.nth(1).inner_text()
        assert tables.nth(2).locator("tbody tr").count() == 8
        assert "Nobody <b>0</b> plays" in tables.nth(2).inner_text()
        saved = found.saved(found.page.get_by_title("as CSV").first).decode()
        assert saved.splitlines()[1].startswith("rome,4,")
        assert json.loads(found.saved(found.page.get_by_text("Save all as JSON"))) == made()
