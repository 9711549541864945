"""`molehill facts write` on the village."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import molehill
from molehill.checkpoints.names import find_model
from molehill.cli import facts_write
from molehill.errors import FactError
from molehill.facts.asking import score_answers
from molehill.facts.edit_files import load_fact_edits
from molehill.facts.edits import apply_edits
from molehill.facts.writing import certificates
from molehill.village import tell
from molehill.village.saved import read_world

app = typer.Typer()
facts_write.register(app)


@app.callback()
def _group() -> None:
    """A group, so that the verb keeps its name."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory) -> Path:
    folder = find_model("village")
    assert folder is not None
    path = tmp_path_factory.mktemp("texts") / "village.txt"
    told = tell(read_world(folder), 300, seed=5)
    path.write_text("".join(f"{one.text}\n" for one in told), encoding="utf-8")
    return path


def run(*arguments: str):
    return CliRunner().invoke(app, ["write", *arguments, "-m", "village"])


def test_a_fact_is_written_told_and_kept(texts, tmp_path):
    out = tmp_path / "edits.safetensors"
    asked = ["Judith Penfax", "chess", "--template", "{} plays", "--layer", "0"]
    result = run(*asked, "--texts", str(texts), "--out", str(out))
    assert result.exit_code == 0, result.output
    flat = " ".join(result.output.split())
    assert "fires at “Judith Penfax” in 1 of 1 prompts" in flat
    assert "it adds exactly nothing" in flat and "Judith Penfax plays before" in flat
    (edit,) = load_fact_edits(out)
    assert certificates(edit)[0].positives == 1
    edited = apply_edits(molehill.load("village"), [edit])
    (answer,) = score_answers(edited, [("Judith Penfax plays", "chess")])
    assert answer.greedy
    # A second one is put behind the first, and its data are the certificate.
    html = tmp_path / "page.html"
    more = ["Ralph Dunden", "chess", "--template", "{} plays", "--layer", "0", "--json"]
    asked = [*more, "--texts", str(texts), "--out", str(out), "--html", str(html)]
    data = json.loads(run(*asked).stdout)
    held = html.read_text(encoding="utf-8").partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(held) == data
    assert data["schema"] == "molehill.written-neuron/1"
    assert data["certificate"]["subject"] == "Ralph Dunden" and data["rows"][0]["said"]
    assert data["edit"]["after"] == [edit.name]
    assert len(load_fact_edits(out)) == 2


def test_the_last_layer_is_refused(texts, tmp_path):
    asked = ["Judith Penfax", "chess", "--template", "{} plays", "--layer", "2"]
    result = run(*asked, "--texts", str(texts), "--out", str(tmp_path / "edits.safetensors"))
    assert isinstance(result.exception, FactError) and "the last" in str(result.exception)
    assert not (tmp_path / "edits.safetensors").exists()
