"""`molehill facts find`, and a neuron's card on the command line, on the models that ship."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from molehill.cli import facts_neuron
from molehill.cli.common import load_model
from molehill.errors import FactError, MolehillError, TextError

app = typer.Typer()
facts_neuron.register(app)


@app.command("read")
def _read(
    name: str,
    texts: facts_neuron.TextsOption = None,
    html: Path | None = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    facts_neuron.read_neuron(
        load_model("village"), name, texts=texts, html=html, as_json=as_json, k=5
    )


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_the_example_of_the_help_finds_what_it_says():
    result = run("find", "--writes", "instrument")
    assert result.exit_code == 0, result.output
    assert "Of 6,144 neurons" in result.output and "5.542" in result.output


@pytest.mark.parametrize("side", ["writes", "asks"])
def test_as_json_it_is_the_search(side):
    result = run("find", f"--{side}", "Elmham", "-m", "village", "-k", "7", "--json")
    data = json.loads(result.stdout)
    assert data["schema"] == "molehill.neuron-search/1" and data["kind"] == side
    assert len(data["hits"]) == 7 and data["neurons"] == 1152
    assert [hit["z"] for hit in data["hits"]] == sorted(
        (hit["z"] for hit in data["hits"]), reverse=True
    )


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ([], FactError, "either --writes"),
        (["--writes", "a", "--asks", "b"], FactError, "either --writes"),
        (["--writes", "zebra", "-m", "village"], TextError, "zebra"),
        (["--asks", "Elmham", "--row", "up", "-m", "village"], FactError, "no gates"),
        (["--asks", "Elmham", "--row", "gate", "-m", "village"], FactError, "no gates"),
        (["--writes", "Elmham", "--row", "gate", "-m", "village"], FactError, "of --asks"),
        (["--writes", "a", "--html", "absent/page.html"], MolehillError, "no folder"),
    ],
)
def test_what_cannot_be_searched_is_refused(arguments, error, told):
    result = run("find", *arguments)
    assert isinstance(result.exception, error) and told in str(result.exception)


def test_one_neuron_is_told_as_one_and_all_are_counted(tmp_path):
    html = tmp_path / "find.html"
    given = ("find", "--writes", "Elmham", "-m", "village")
    every = json.loads(run(*given, "-k", "30", "--json").stdout)
    count = sum(hit["z"] > every["chance"] for hit in every["hits"])
    told = " ".join(run(*given, "-k", "1", "--html", str(html)).output.split())
    assert f"{count} write “Elmham” beyond chance" in told and "or more" not in told
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    data = json.loads(held)
    assert len(data["hits"]) == 1 and data["beyond"] == count
    assert sum(one["beyond"] for one in data["layers"]) == count


def test_a_neurons_card_with_texts_and_a_page(tmp_path):
    texts, html = tmp_path / "texts.txt", tmp_path / "card.html"
    texts.write_text("the mole digs\n\nBy the lawn the mole digs slowly.\n", encoding="utf-8")
    result = run("read", "2.190", "--texts", str(texts), "--html", str(html))
    assert result.exit_code == 0, result.output
    assert "in 2 texts" in result.output and "WHAT ITS COLUMN ADDS" in result.output
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held)["firing"]["texts"] == 2
    assert json.loads(run("read", "2.190", "--json").stdout)["firing"] is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["9.1"], "layers are 0 to 2"),
        (["1.1", "--texts", "absent.txt"], "absent.txt"),
        (["1.1", "--html", "absent/card.html"], "no folder"),
    ],
)
def test_a_card_that_cannot_be_made_is_refused(arguments, told):
    result = run("read", *arguments)
    assert isinstance(result.exception, MolehillError) and told in str(result.exception)


def test_a_neurons_name_is_told_from_a_prompt():
    assert facts_neuron.is_neuron("17.1203") and facts_neuron.is_neuron(" neuron 1.2 ")
    for prompt in ("The capital of France is", "Version 1.2 of", "3", "1.2.3"):
        assert not facts_neuron.is_neuron(prompt)
