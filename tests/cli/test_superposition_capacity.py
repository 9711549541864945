"""`molehill superposition capacity`: all kinds of directions, and what is written."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from molehill.cli import superposition_capacity
from molehill.errors import GeometryError
from molehill.superposition.capacity import capacity_curve, random_directions

app = typer.Typer()
superposition_capacity.register(app)


@app.callback()
def _group() -> None:
    """A lone verb would be called without its name."""


SMALL = ("--dimensions", "12", "--active", "2", "--features", "12,24", "--inputs", "50")


def test_every_kind_of_directions_and_of_file(tmp_path):
    html, figure = tmp_path / "capacity.html", tmp_path / "capacity.png"
    arguments = ["capacity", *SMALL, "--json", "--html", str(html), "--figure", str(figure)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [one["name"] for one in data["series"]] == ["random", "packed", "learned"]
    assert "superposition-capacity" in html.read_text("utf-8")
    assert figure.read_bytes().startswith(b"\x89PNG")
    truth = capacity_curve(
        lambda count: random_directions(count, 12), [12, 24], active=2.0, inputs=50
    )
    told = [point["measured"]["wrong_bits"] for point in data["series"][0]["points"]]
    assert told == pytest.approx([point.measured.wrong_bits for point in truth])
    packed = data["series"][1]["points"][0]
    assert packed["measured"]["wrong_bits"] == 0 and packed["coherence"] < 1e-3


def test_the_text_and_features_by_themselves():
    arguments = [
        "capacity", "-d", "12", "--mean-active", "1.5", "--features", "24", "--inputs", "50",
        "--directions", "random",
    ]  # fmt: skip
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "1.5 active on average" in result.output and "RANDOM DIRECTIONS" in result.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--active", "2", "--mean-active", "3"), "not both"),
        (("--mean-active", "nan"), "nan features active"),
        (("--mean-active", "inf"), "inf features active"),
        (("--active", "1000000000"), "1e\\+09 features active: give"),
        (("--features", "a"), "give whole numbers"),
        (("--features", "4,20"), "from 10 to 1,000,000"),
        (("--figure", "x.pdf"), "name a .png or a .svg"),
    ],
)
def test_what_cannot_be_is_refused(arguments, told):
    with pytest.raises(GeometryError, match=told):
        CliRunner().invoke(app, ["capacity", *arguments], catch_exceptions=False)
