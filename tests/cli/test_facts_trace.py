"""`molehill facts trace` on the models that ship: one fact, or a relation's."""

from __future__ import annotations

import json
from functools import cache

import pytest
import typer
from tests.cli.test_facts_read import asked
from typer.testing import CliRunner

import molehill
from molehill.cli import facts_trace
from molehill.cli.main import main
from molehill.errors import FactError, MolehillError
from molehill.facts.fact import Fact
from molehill.facts.locate import trace_fact
from molehill.facts.prompts import template_of
from molehill.village import make_world
from molehill.village.tell import fact_prompts

app = typer.Typer()
facts_trace.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


def run(*arguments: str):
    return CliRunner().invoke(app, ["trace", *arguments, "-m", "village"])


def read(*arguments: str):
    result = run(*arguments, "--draws", "2", "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_example_of_the_help_works():
    result = CliRunner().invoke(
        app, ["trace", "The capital of France is", "--subject", "France", "--draws", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "causal trace" in result.output and "THE STATE AFTER A LAYER" in result.output


def test_it_is_the_trace_of_the_library():
    prompt, subject, answer, _ = asked()
    data = read(prompt, "--subject", subject, "--noise", "2", "--seed", "5", "--window", "2")
    fact = Fact(subject, answer, template_of(prompt, subject))
    lm = molehill.load("village")
    truth = trace_fact(lm, fact, noise=2.0, draws=2, seed=5, window=2)
    for kind, effects in truth.effects.items():
        flat = [cell for line in data["kinds"][kind]["effects"] for cell in line]
        assert flat == pytest.approx(effects.flatten().tolist(), abs=1e-6)
    assert data["corruption"] == truth.corruption and data["target"] == f" {answer}"


def test_kinds_and_estimates_are_chosen():
    prompt, subject, _, _ = asked()
    data = read(prompt, "--subject", subject, "--kind", "state", "--approximate", "attribution")
    assert list(data["kinds"]) == ["state"]
    assert list(data["approximations"]) == ["attribution patching"]
    both = read(prompt, "--kind", "mlp", "--kind", "state", "--approximate", "integrated")
    assert set(both["kinds"]) == {"mlp", "state"}
    assert list(both["approximations"]) == ["integrated gradients"]


def test_another_subject_takes_its_place():
    prompt, subject, _, _ = asked()
    prompts = fact_prompts(make_world(0))
    other = next(
        name
        for one in prompts
        if (name := one.prompt[slice(*one.subject)]) != subject
        and len(name.split()) == len(subject.split())
    )
    result = run(prompt, "--subject", subject, "--against", other, "--json")
    assert json.loads(result.stdout)["corruption"].startswith(other)


def test_it_writes_a_page_and_a_figure(tmp_path):
    pytest.importorskip("matplotlib")
    prompt, subject, _, _ = asked()
    html, figure = tmp_path / "trace.html", tmp_path / "trace.svg"
    data = read(prompt, "--subject", subject, "--html", str(html), "--figure", str(figure))
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held) == data
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


@cache
def relation() -> dict:
    """Facts of one kind as a relation's file, one of them with a wrong object."""
    world = [
        one for one in fact_prompts(make_world(0)) if one.relation == "sport" and not one.withheld
    ]
    form = world[0].form
    some = [one for one in world if one.form == form][:5]
    pairs = [{"subject": one.prompt[slice(*one.subject)], "object": one.answer} for one in some]
    pairs[0]["object"] = next(p["object"] for p in pairs if p["object"] != pairs[0]["object"])
    template = template_of(some[1].prompt, pairs[1]["subject"])
    return {"name": "sport", "prompt_templates": [template], "samples": pairs}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sport.json"
    path.write_text(json.dumps(relation()), encoding="utf-8")
    return str(path)


def test_a_relation_is_the_mean_over_what_is_known(file):
    known = read("--relation", file)
    assert known["schema"] == "molehill.relation-trace/1" and known["relation"] == "sport"
    assert len(known["facts"]) == len(relation()["samples"]) - 1
    assert len(read("--relation", file, "--all")["facts"]) == len(relation()["samples"])
    assert len(read("--relation", file, "--most", "2")["facts"]) == 2


def test_a_relation_that_is_not_known_is_refused(tmp_path):
    told = relation() | {"samples": relation()["samples"][:1]}
    path = tmp_path / "none.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    result = run("--relation", str(path))
    assert isinstance(result.exception, FactError) and "--all" in str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        ([], FactError, "either a prompt or --relation"),
        (["The sport of Ada is", "--relation", "a.json"], FactError, "either a prompt"),
        (["--relation", "a.json", "--subject", "Ada"], FactError, "are of one prompt"),
        (["The sport of Ada is", "--against", "Bob", "--draws", "2"], FactError, "place of noise"),
        (["The sport of Ada is", "--window", "4"], FactError, "village has 3 layers"),
        (["The sport of Ada is", "--window", "2", "--kind", "state"], FactError, "one at a time"),
        (["--relation", "absent.json"], FactError, "cannot be read"),
        (["The sport of Ada is", "--most", "3"], FactError, "of a relation"),
        (["The sport of Ada is", "--figure", "a.pdf"], FactError, "a .png or a .svg"),
        (["The sport of Ada is", "--html", "absent/a.html"], MolehillError, "no folder"),
        (["the sport is"], FactError, "--subject"),
        ([*asked()[:1], "--noise", "0"], FactError, "above zero"),
    ],
)
def test_what_cannot_be_traced_is_refused(arguments, error, told):
    result = run(*arguments)
    assert isinstance(result.exception, error) and told in str(result.exception)


def test_an_interruption_is_one_line_and_leaves_no_file(tmp_path, monkeypatch, capsys):
    def interrupted(*_, progress, **__):
        progress(1)
        raise KeyboardInterrupt

    monkeypatch.setattr("molehill.facts.locate.trace_fact", interrupted)
    page = tmp_path / "trace.html"
    code = main(["facts", "trace", asked()[0], "-m", "village", "--html", str(page)])
    told = capsys.readouterr()
    assert code == 130 and told.err == "molehill: interrupted\n" and told.out == ""
    assert not page.exists()
