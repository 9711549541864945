"""The verbs that open one journey: `ledger`, `lens` and `why`, on the model that Molehill ships."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from molehill.cli.main import app
from molehill.errors import TextError

TEXT = "The mole dug a tunnel."


def run(*arguments: str):
    return CliRunner().invoke(app, [*arguments, "--model", "village"])


def read(*arguments: str):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_ledger_closes_on_the_command_line():
    assert 0 <= read("ledger", TEXT, "--word", "mole")["closing_error"]["relative"] < 1e-5


@pytest.mark.parametrize(
    ("verb", "more"),
    [("ledger", []), ("lens", []), ("why", ["--query", "mole", "--key", "mole"])],
)
def test_a_verb_writes_its_schema_and_a_table(verb, more):
    assert read(verb, TEXT, *more)["schema"] == f"molehill.{verb}/1"
    shown = run(verb, TEXT, *more)
    assert shown.exit_code == 0, shown.output
    assert "mole" in shown.output


def test_why_asks_for_a_layer_and_a_head_together():
    result = run("why", TEXT, "--query", "mole", "--key", "mole", "--layer", "1")
    assert result.exit_code != 0


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("ledger", ["--word", "mole"]),
        ("lens", ["--every", "1"]),
        ("why", ["--query", "mole", "--key", "mole", "--layer", "0", "--head", "0"]),
    ],
)
def test_a_verb_writes_a_page_with_its_data(verb, more, tmp_path):
    file = tmp_path / "page.html"
    assert run(verb, TEXT, *more, "--html", str(file)).exit_code == 0
    text = file.read_text(encoding="utf-8")
    held = text.partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held)["schema"] == f"molehill.{verb}/1"
    refused = run(verb, TEXT, *more, "--html", str(tmp_path / "absent" / "page.html"))
    assert refused.exit_code != 0
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["why", TEXT, "--query", "mole", "--key", "The"],
        ["ledger", TEXT, "--word", "mole"],
        ["lens", TEXT],
        ["shift", "mole", TEXT, "the mole"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_terminal_of_ascii_gets_ascii(arguments):
    found = subprocess.run(
        [sys.executable, "-m", "molehill", *arguments, "-m", "village"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "80"},
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    # A character that cannot be written would be a question mark.
    assert "?" not in found.stdout.decode("ascii") and '"' in found.stdout.decode("ascii")


@pytest.mark.parametrize(
    "arguments",
    [
        ["ledger", "the mole saw a zebra"],
        ["shift", "zebra", "the zebra walked", "he saw the zebra"],
        ["why", "the zebra saw", "--query", "zebra", "--key", "the"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_word_that_the_model_does_not_know_is_refused(arguments):
    result = run(*arguments)
    assert isinstance(result.exception, TextError)
    assert "village does not know 'zebra' in text 1" in str(result.exception)
