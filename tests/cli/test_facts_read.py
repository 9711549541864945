"""`molehill facts read` on the models that ship: a fact's card, or a neuron's."""

from __future__ import annotations

import json
from functools import cache

import pytest
import typer
from typer.testing import CliRunner

from molehill.cli import facts_read
from molehill.errors import FactError, MolehillError, TextError
from molehill.village import make_world
from molehill.village.tell import fact_prompts

app = typer.Typer()
facts_read.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


@cache
def asked():
    """A fact of the village with its subject, and the same in its other told form."""
    prompts = [one for one in fact_prompts(make_world(0)) if not one.withheld]
    one = prompts[0]
    first, end = one.subject
    other = next(two for two in prompts[1:] if two.fact == one.fact)
    return one.prompt, one.prompt[first:end], one.answer, other.prompt


def run(*arguments: str):
    return CliRunner().invoke(app, ["read", *arguments])


def village(*arguments: str):
    result = run(*arguments, "-m", "village", "--draws", "2", "-k", "3", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_example_of_the_help_works():
    result = run("The capital of France is", "--subject", "France", "--draws", "2")
    assert result.exit_code == 0, result.output
    assert "lexicon says" in result.output and "SWITCHED OFF TOGETHER" in result.output


def test_a_card_of_the_village_says_what_the_world_says():
    prompt, subject, answer, other = asked()
    data = village(prompt, "--subject", subject, "--paraphrase", other)
    assert data["schema"] == "molehill.fact-card/1"
    assert (data["object"], data["known"]) == (answer, True)
    assert [one["prompt"] for one in data["asked"]] == [prompt, other]
    assert [len(data[name]) for name in ("heads", "neurons", "subject_neurons")] == [3, 3, 3]
    assert village(prompt)["subject"] == subject, "the one run of capitals"


def test_without_draws_there_is_no_trace():
    prompt, subject, _, _ = asked()
    result = run(prompt, "--subject", subject, "--draws", "0", "-m", "village", "--json")
    data = json.loads(result.stdout)
    assert data["trace"] is None and data["subject_neurons"] == [] and len(data["heads"]) > 0


def test_it_writes_a_page_with_its_data(tmp_path):
    prompt, subject, _, _ = asked()
    html = tmp_path / "card.html"
    data = village(prompt, "--subject", subject, "--html", str(html))
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held) == data


def test_a_neuron_gets_its_own_card():
    result = run("2.190", "-m", "village", "--json")
    assert json.loads(result.stdout)["schema"] == "molehill.neuron/1"


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (["the sport is"], FactError, "--subject"),
        (["The sport of Ada is", "--subject", "Bob"], FactError, "does not hold the subject"),
        (["2.190", "--subject", "Ada"], FactError, "is a neuron"),
        (["2.190", "--draws", "3"], FactError, "of a fact's trace"),
        (["The sport of Ada is", "--texts", "a.txt"], FactError, "neuron's card"),
        (["The sport of Ada is", "--html", "absent/a.html"], MolehillError, "no folder"),
    ],
)
def test_what_cannot_be_read_is_refused(arguments, error, told):
    result = run(*arguments, "-m", "village")
    assert isinstance(result.exception, error) and told in str(result.exception)


def test_an_object_without_tokens_is_refused():
    prompt, subject, _, _ = asked()
    result = run(prompt, "--subject", subject, "--object", "zebra", "-m", "village")
    assert isinstance(result.exception, FactError | TextError)
