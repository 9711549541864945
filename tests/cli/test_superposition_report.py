"""`molehill superposition report` on the models that ship, on texts and on a tensor of a file."""

from __future__ import annotations

import json

import pytest
import torch
import typer
from typer.testing import CliRunner

import molehill
from molehill.checkpoints.tensorfile import write_tensors
from molehill.cli import superposition_report
from molehill.errors import GeometryError
from molehill.superposition.matrices import matrices
from molehill.superposition.report import summary
from molehill.village import make_world, tell

app = typer.Typer()
superposition_report.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


def run(*arguments: str):
    return CliRunner().invoke(app, ["report", *arguments])


def read(*arguments: str):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, GeometryError)
    return str(result.exception)


def test_the_example_of_the_help_works_and_is_that_of_the_library():
    result = run("village")
    assert result.exit_code == 0, result.output
    assert "WHO COLLIDES WITH WHOM" in result.output
    data = read("village")
    lm = molehill.load("village")
    for line in data["layers"]:
        truth = summary(next(matrices(lm.model, line["name"])))
        assert line["rms"] == pytest.approx(truth.rms, rel=1e-4)
        assert line["largest"] == pytest.approx(truth.largest, rel=1e-4)
        assert line["effective_rank"] == pytest.approx(truth.effective_rank, rel=1e-4)


def test_matrices_are_chosen_and_layers_left_out():
    data = read("village", "--matrix", "1.mlp.columns", "--no-layers")
    assert [table["name"] for table in data["tables"]] == ["1.mlp.columns"]
    assert data["layers"] == []
    assert data["tables"][0]["collisions"][0]["first"].startswith("1.")
    stored = read("village", "--matrix", "1.mlp.up", "--no-layers", "--no-gains")
    assert "as they are stored" in stored["tables"][0]["note"]
    assert "no matrix 'mlp'" in refused("village", "--matrix", "mlp")


def test_texts_bring_activations_and_what_occurs_together(tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(told.text for told in tell(make_world(0), 200, seed=1)))
    data = read("village", "--texts", str(texts), "--site", "1.resid_post", "--matrix", "embedding")
    activations = data["tables"][1]
    assert activations["kind"] == "activations"
    assert activations["dimensions"] == 96
    assert activations["collisions"][0]["first"].endswith(")")
    assert len(data["together"]) == 2
    texts.write_text("The mole dug.\n")
    few = read("village", "--texts", str(texts), "--no-layers", "--matrix", "positions")
    assert few["together"] == []
    assert any("give more text" in note for note in few["notes"])


def test_a_matrix_of_a_file_needs_no_model(tmp_path):
    path = tmp_path / "sae.safetensors"
    decoder = torch.randn(6, 40)
    decoder[:, 7] = 2 * decoder[:, 11]
    write_tensors(path, {"w_dec": decoder, "bias": torch.zeros(3)}, {"kind": "made"})
    given = ("--file", str(path), "--tensor", "w_dec")
    data = read(*given, "--transpose")
    assert data["tables"][0]["count"] == 40
    assert data["tables"][0]["pair"] == ["7", "11"]
    assert data["provenance"]["model"] == "sae.safetensors"
    assert read(*given)["tables"][0]["count"] == 6
    assert "no tensor 'nothing'; it has w_dec, bias." in refused(*given[:3], "nothing")
    assert "a matrix is needed" in refused("--file", str(path), "--tensor", "bias")


def test_pages_and_figures_are_written(tmp_path):
    html, figure = tmp_path / "a.html", tmp_path / "a.svg"
    result = run("village", "--no-layers", "--html", str(html), "--figure", str(figure))
    assert result.exit_code == 0, result.output
    assert "superposition-report" in html.read_text("utf-8")
    assert figure.read_text("utf-8").startswith("<?xml")


def test_what_cannot_go_together_is_said():
    assert "--tensor NAME together" in refused("--tensor", "a")
    assert "--texts FILE" in refused("--site", "1.resid_post")
    assert "are of a model" in refused("--file", "a", "--tensor", "b", "--matrix", "embedding")
    assert "instead of a model" in refused("village", "--file", "a", "--tensor", "b")
    assert "instead of a model" in refused("--no-layers", "--file", "a", "--tensor", "b")
    assert "for a tensor of a file" in refused("--transpose")
    assert ".png or a .svg" in refused("--figure", "a.pdf")
