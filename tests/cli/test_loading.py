"""What every verb that loads a model shares: weights that are no numbers, and names of the hub."""

from __future__ import annotations

import json

import pytest
import torch
from typer.main import get_command

import molehill
from molehill.checkpoints import save_checkpoint
from molehill.cli import main
from molehill.cli.main import app

VERBS = ("check", "export", "generate", "ledger", "lens", "record", "shift", "why")


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """The village's model with one weight that is NaN and two that are infinite."""
    lm = molehill.load("village")
    with torch.no_grad():
        lm.model.blocks[1].mlp.w_out[3, 5] = torch.nan
        lm.model.blocks[0].attn.w_out[:2, 7] = torch.inf
    path = tmp_path_factory.mktemp("models") / "broken"
    save_checkpoint(lm.model, lm.tokenizer, path, family="molehill")
    return str(path)


def run(capsys, *arguments):
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_weights_that_are_no_numbers_are_one_line_on_stderr(broken, capsys):
    code, out, err = run(capsys, "ledger", "the mole digs now.", "-m", broken, "--json")
    assert code == 0 and json.loads(out)["closing_error"]["relative"] is None
    assert len(err.splitlines()) == 1
    assert f"3 numbers of {broken} are NaN or infinite" in err
    assert "blocks.0.attn.w_out (2), blocks.1.mlp.w_out (1)" in err and "--strict" in err


def test_a_healthy_model_is_loaded_in_silence(capsys):
    code, _, err = run(capsys, "ledger", "the mole digs now.", "-m", "village", "--strict")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("verb", ["ledger", "generate", "check"])
def test_strict_refuses(verb, broken, capsys):
    given = [broken, "the mole"] if verb == "check" else ["the mole", "-m", broken]
    code, out, err = run(capsys, verb, *given, "--strict")
    assert (code, out) == (2, "")
    assert "holds numbers that are NaN or infinite: blocks.0.attn.w_out (2)" in err


def test_strict_is_for_one_run(broken, capsys):
    assert run(capsys, "ledger", "the mole", "-m", broken, "--strict")[0] == 2
    assert run(capsys, "ledger", "the mole", "-m", broken)[0] == 0


@pytest.mark.parametrize("temperature", ["0", "1.5"])
def test_what_cannot_be_scored_is_not_gone_on_from(temperature, broken, capsys):
    code, out, err = run(capsys, "generate", "the mole", "-m", broken, "-n", "4", "-t", temperature)
    assert (code, out) == (2, "the mole\n")
    assert "scores of token 1 to be added to text 0 are not finite" in err


def test_no_view_says_that_a_word_is_first_where_scores_are_no_numbers(broken, capsys):
    _, out, _ = run(capsys, "lens", "the mole digs", "-m", broken, "--track", "now")
    said = " ".join(out.split())
    assert "the scores of the words after “digs” are not finite" in said
    assert "comes first" not in said and "begins at rank" not in said
    _, out, _ = run(capsys, "lens", "the mole digs", "-m", broken, "--track", "now", "--json")
    data = json.loads(out)
    focus = data["focus"]
    assert data["readings"][-1][focus]["ranks"] == [None]
    assert data["readings"][0][focus]["ranks"][0] >= 0
    _, out, _ = run(capsys, "ledger", "the mole digs", "--toward", "now", "-m", broken)
    said = " ".join(out.split())
    assert "gives “now” a score that is not finite." in said and "the best of all" not in said


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_that_loads_a_model_says_how(verb):
    names = {name for option in get_command(app).commands[verb].params for name in option.opts}
    assert {"--strict", "--revision", "--download"} <= names


def test_a_hub_name_is_fetched_only_if_asked(monkeypatch, capsys):
    asked = []

    def fetch(name, revision, *, download):
        asked.append((name, revision, download))
        raise molehill.MolehillError("no network in a test")

    monkeypatch.setattr("molehill.language_model.fetch_from_hub", fetch)
    text = ["the mole", "-m", "some/model"]
    for more in ([], ["--download"], ["--revision", "abc123"]):
        assert run(capsys, "ledger", *text, *more)[0] == 2
    assert asked == [
        ("some/model", None, False),
        ("some/model", None, True),
        ("some/model", "abc123", True),
    ]
