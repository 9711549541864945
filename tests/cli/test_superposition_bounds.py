"""`molehill superposition bounds`: both forms of the question, and what is written."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from molehill.cli import superposition_bounds
from molehill.errors import GeometryError

app = typer.Typer()
superposition_bounds.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


def run(*arguments: str):
    return CliRunner().invoke(app, ["bounds", *arguments])


def test_the_example_of_the_help_works():
    result = run("10000", "100")
    assert result.exit_code == 0, result.output
    assert (
        "cannot all be between 89 and 91" in result.output and "THE CLOSEST PAIR" in result.output
    )


def test_how_many_alone_and_every_kind_of_file(tmp_path):
    html, figure = tmp_path / "bounds.html", tmp_path / "bounds.svg"
    result = run(
        "--degrees", "85", "--dimensions", "64", "--json",
        "--html", str(html), "--figure", str(figure),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert (data["count"], data["dimensions"], data["degrees"]) == (None, 64, 85)
    assert "superposition-bounds" in html.read_text("utf-8") and b"<svg" in figure.read_bytes()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("100",), "Give COUNT and DIMENSIONS"),
        (("100", "5", "--dimensions", "6"), "given twice, as 5 and --dimensions 6"),
        (("100", "5", "--degrees", "1e-9"), "cannot be told from 0"),
        (("1", "5"), "at least 2"),
        (("10", "5", "--figure", "x.pdf"), "name a .png or a .svg"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told):
    with pytest.raises(GeometryError, match=told):
        CliRunner().invoke(app, ["bounds", *arguments], catch_exceptions=False)
