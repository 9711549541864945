"""`molehill attention`: heads by a measure, one head, a page, what is refused."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from molehill.cli.attention import MeasureName
from molehill.cli.main import app
from molehill.journey import MEASURES

TEXT = "The mole dug a tunnel. The mole dug"


def run(*arguments: str):
    return CliRunner().invoke(app, ["attention", *arguments, "--model", "village"])


def read(*arguments: str):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_its_measures_are_the_librarys():
    assert [one.value for one in MeasureName] == [one.name for one in MEASURES]


def test_heads_are_listed_by_a_measure_and_one_is_shown():
    assert read(TEXT)["schema"] == "molehill.attention/1"
    listed = run(TEXT, "--by", "previous")
    assert listed.exit_code == 0 and "HEADS BY: TOKEN BEFORE" in listed.output
    assert "WHERE EACH TOKEN LOOKS" not in listed.output
    one = run(TEXT, "--layer", "1", "--head", "0", "--query", "mole")
    assert "HEAD 1.0 FROM MOLE" in one.output
    assert read(TEXT, "--query", "2")["toward"]["position"] == 2


def test_a_page_holds_every_head_of_a_short_text(tmp_path):
    file = tmp_path / "page.html"
    assert run(TEXT, "--html", str(file)).exit_code == 0
    held = file.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    data = json.loads(held)
    assert len(data["heads"]) == data["layers"] * data["heads_per_layer"]


@pytest.mark.parametrize(
    "wrong",
    [
        ["--layer", "1"],
        ["--layer", "9", "--head", "0"],
        ["--by", "following"],
        ["--query", "zebra"],
        ["--query", "99"],
    ],
)
def test_what_is_not_there_is_refused(wrong):
    assert run(TEXT, *wrong).exit_code != 0
