"""Methods judged on the command line, over the village's own facts."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

import molehill
from molehill.cli import facts_evaluate
from molehill.errors import FactError, MolehillError
from molehill.village import fact_prompts, make_world

app = typer.Typer()
facts_evaluate.register(app)


@app.command("other")
def _other() -> None: ...


@pytest.fixture(scope="module")
def sport(tmp_path_factory):
    """A relation's file of twelve facts of the village, and one that it does not have."""
    found = [p for p in fact_prompts(make_world()) if p.form == "{s} *plays {o} ."][:12]
    samples = [{"subject": p.prompt.removesuffix(" plays"), "object": p.answer} for p in found]
    wrong = "golf" if samples[0]["object"] != "golf" else "chess"
    samples.append({"subject": "Leo Dunwick", "object": wrong})
    path = tmp_path_factory.mktemp("relations") / "sport.json"
    templates = ["{} plays", "The sport of {} is"]
    path.write_text(json.dumps({"name": "s", "prompt_templates": templates, "samples": samples}))
    return path


def run(*arguments: str):
    result = CliRunner().invoke(app, ["evaluate", *arguments, "-m", "village"])
    if isinstance(result.exception, MolehillError):
        raise result.exception
    return result


FAST = ("--method", "constrained", "--most", "2")


def test_methods_are_judged_side_by_side(sport):
    result = run(str(sport), *FAST, "--method", "fine-tuning", "--words", "6", "--json")
    data = json.loads(result.stdout)
    assert data["schema"] == "molehill.fact-scores/1" and data["ended"]
    assert [(one["method"], one["count"]) for one in data["methods"]] == [
        ("constrained", 2),
        ("fine-tuning", 2),
    ]
    names = [metric["name"] for metric in data["metrics"]]
    assert {"efficacy", "paraphrase", "locality", "fluency"} <= set(names)
    for one in data["methods"]:
        for name in ("efficacy", "neighbourhood"):
            cases = [case["after"][name] for case in one["cases"]]
            assert one["values"][name]["after"] == pytest.approx(sum(cases) / 2)


def test_edits_in_a_row_have_milestones(sport):
    data = json.loads(run(str(sport), *FAST, "--stack", "--json").stdout)
    (stack,) = data["stacks"]
    assert [row["edits"] for row in stack["milestones"]] == [1, 2] and data["methods"] == []
    text = run(str(sport), *FAST, "--stack").output
    assert "CONSTRAINED, EDITS IN A ROW" in text and f"{stack['bits_before']:.3f}" in text


def test_counterfact_records_are_read(tmp_path):
    record = {
        "requested_rewrite": {
            "prompt": "{} plays",
            "subject": "Judith Penfax",
            "target_new": {"str": "golf"},
            "target_true": {"str": "cricket"},
        },
        "paraphrase_prompts": ["The sport of Judith Penfax is"],
        "neighborhood_prompts": ["Grace Torlock plays"],
        "generation_prompts": ["Judith Penfax"],
    }
    other = json.loads(json.dumps(record))
    other["requested_rewrite"]["target_true"]["str"] = "chess"
    path = tmp_path / "records.json"
    path.write_text(json.dumps([record, other]))
    given = (str(path), "--counterfact", "--method", "constrained", "--json")
    assert json.loads(run(*given).stdout)["cases"] == 2
    data = json.loads(run(*given, "--known-only").stdout)
    assert [case["true"] for case in data["methods"][0]["cases"]] == ["cricket"]


def test_stopping_shows_what_was_measured(sport, monkeypatch):
    from molehill.facts import rewriting

    real, made = rewriting.rewrite, []

    def rewrite(*given, **named):
        if made:
            raise KeyboardInterrupt
        made.append(real(*given, **named))
        return made[-1]

    monkeypatch.setattr(rewriting, "rewrite", rewrite)
    result = run(str(sport), *FAST, "--json")
    data = json.loads(result.stdout)
    assert not data["ended"] and data["methods"][0]["count"] == 1
    assert "before it was stopped" in data["summary"][0] and "stopped" in result.stderr


def test_known_facts_come_in_the_same_order(sport):
    """Leaving out the one that the village does not know changes neither order nor cases."""
    lm = molehill.load("village")
    found = [
        facts_evaluate._cases(lm, sport, counterfact=False, known=known, start="", most=13)
        for known in (False, True)
    ]
    asked, said = (
        [(case.fact.subject, case.fact.object, case.new) for case in one] for one in found
    )
    assert len(asked) == 13 and said == [one for one in asked if one[0] != "Leo Dunwick"]
    few = facts_evaluate._cases(lm, sport, counterfact=False, known=True, start="", most=3)
    assert [case.fact.subject for case in few] == [one[0] for one in said[:3]]


def test_facts_are_written_at_the_last_token(sport):
    given = ("--layer", "2", "--token", "last", "--known-only")
    result = run(str(sport), "--most", "1", *given, "--json")
    (one,) = json.loads(result.stdout)["methods"]
    assert one["values"]["efficacy_accuracy"]["after"] == 1


def test_a_file_without_cases_is_told(tmp_path):
    path = tmp_path / "one.json"
    samples = [{"subject": "Judith Penfax", "object": "cricket"}]
    path.write_text(json.dumps({"name": "s", "prompt_templates": ["{} plays"], "samples": samples}))
    with pytest.raises(FactError, match="gives no case"):
        run(str(path))
