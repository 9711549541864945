"""`molehill superposition toy`: the numbers of the library in every form; mistakes in one line."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from molehill.cli import superposition_toy
from molehill.cli.main import main
from molehill.errors import GeometryError
from molehill.superposition.toy_models import toy_grid
from molehill.superposition.toy_training import train_toys

app = typer.Typer()
superposition_toy.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


def run(*arguments: str):
    return CliRunner().invoke(app, ["toy", *arguments])


def read(*arguments: str):
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_is_the_training_of_the_library():
    data = read("--density", "0.1", "--seeds", "2", "--seed", "3", "--steps", "80")
    truth = train_toys(toy_grid(5, 2, [0.1], seeds=2, seed=3), steps=80, rows=256)
    (point,) = data["points"]
    assert point["loss"][0] == pytest.approx(float(truth.loss.min()), rel=1e-3)
    assert data["seeds"] == [3, 4] and data["training"]["steps"] == 80


def test_two_densities_span_a_sweep():
    data = read(
        "--density", "0.01", "--density", "1", "--points", "3", "--seeds", "1", "--steps", "5"
    )
    assert [point["density"] for point in data["points"]] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("pentagon", "DIMENSIONALITY OF FEATURES"),
        ("linear", "without a ReLU"),
        ("phases", "TRAINED, AND THEORY BESIDE IT"),
        ("computing", "NEURONS OF THE BEST SEED"),
    ],
)
def test_every_kind_prints_and_writes(tmp_path, kind, words):
    page, figure = tmp_path / "toy.html", tmp_path / "toy.svg"
    few = ["--seeds", "1", "--steps", "20", "--density", "1", "--density", "0.1", "--points", "2"]
    result = run("--kind", kind, *few, "--html", str(page), "--figure", str(figure))
    assert result.exit_code == 0, result.output
    assert words in result.output
    assert "</html>" in page.read_text(encoding="utf-8")
    assert figure.read_bytes().rstrip().endswith(b"</svg>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--density", "0"], "above 0 and at most 1, found 0"),
        (["--density", "0.5", "--points", "4"], "give --density twice"),
        (["--kind", "phases", "--features", "4"], "leave --features"),
        (["--kind", "phases", "--dimensions", "5"], "1 and 2 dimensions"),
        (["--importance", "2"], "decays by a factor from 0 to 1"),
        (["--features", "1000000000"], "more than training can hold"),
        (["--rate", "nan"], "above 0 and up to 1, found nan"),
        (["--figure", "toy.pdf"], "name a .png or a .svg"),
    ],
)
def test_mistakes_are_named_before_anything_is_trained(arguments, message):
    result = run(*arguments)
    assert isinstance(result.exception, GeometryError)
    assert message in str(result.exception)


def test_on_the_command_line_a_mistake_is_one_line(capsys):
    assert main(["superposition", "toy", "--density", "2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
