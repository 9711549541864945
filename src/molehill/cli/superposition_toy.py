"""`molehill superposition toy`: toy models of superposition, thousands trained at once."""

from __future__ import annotations

from enum import StrEnum
from math import exp, log
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from molehill.cli.common import (
    HtmlOption,
    JsonOption,
    check_writable,
    print_view,
    print_view_json,
    progress,
    write_files,
)
from molehill.errors import GeometryError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ToyKind", "register"]


class ToyKind(StrEnum):
    """What is trained."""

    pentagon = "pentagon"
    plateaus = "plateaus"
    phases = "phases"
    linear = "linear"
    computing = "computing"


class _Usual(NamedTuple):
    """What a kind does where nothing else is asked for."""

    features: int
    dimensions: int
    densities: tuple[float, float, int]
    seeds: int
    steps: int
    rows: int
    decay: float


_USUAL = {
    ToyKind.pentagon: _Usual(5, 2, (1.0, 0.01, 20), 16, 1000, 256, 1.0),
    ToyKind.plateaus: _Usual(40, 10, (1.0, 0.1, 16), 5, 1200, 128, 1.0),
    ToyKind.phases: _Usual(2, 1, (1.0, 0.01, 16), 8, 1000, 256, 1.0),
    ToyKind.linear: _Usual(5, 2, (1.0, 0.01, 8), 6, 3000, 256, 0.7),
    ToyKind.computing: _Usual(12, 8, (1.0, 0.02, 8), 4, 1500, 256, 0.9),
}
_RELATIVE = (0.1, 10.0, 15)


class _Asked(NamedTuple):
    """One kind with everything that was asked for, and its usual values for the rest."""

    features: int
    dimensions: int
    densities: list[float]
    seeds: int
    seed: int
    steps: int
    rows: int
    rate: float
    decay: float


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("toy")(_toy)


def _toy(
    kind: Annotated[
        ToyKind,
        typer.Option(
            "--kind",
            help="pentagon: a sweep over densities; plateaus: the same in many dimensions, and the "
            "smallest model of each figure; phases: importance by density; linear: without a ReLU; "
            "computing: absolute values.",
        ),
    ] = ToyKind.pentagon,
    features: Annotated[
        int | None, typer.Option("--features", min=1, metavar="N", help="How many features.")
    ] = None,
    dimensions: Annotated[
        int | None,
        typer.Option(
            "--dimensions", min=1, metavar="M", help="How many dimensions; neurons, if computing."
        ),
    ] = None,
    density: Annotated[
        list[float] | None,
        typer.Option(
            "--density",
            metavar="P",
            help="The probability that a feature is present; repeatable; two span a sweep.",
        ),
    ] = None,
    points: Annotated[
        int | None,
        typer.Option(
            "--points", min=1, max=1000, metavar="N", help="Densities of a sweep, log-spaced."
        ),
    ] = None,
    importance: Annotated[
        float | None,
        typer.Option(
            "--importance", metavar="R", help="Feature i has importance R to the power i."
        ),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, metavar="N", help="Models of each setting.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31, help="The first of them.")] = 0,
    steps: Annotated[
        int | None, typer.Option("--steps", min=1, metavar="N", help="Steps of training.")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", help="The first learning rate.")] = 1e-2,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Train toy models of superposition: more features than dimensions, read out by a ReLU.

    Example: molehill superposition toy --html toy.html
    """
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise GeometryError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")
    if kind is ToyKind.phases and (features is not None or importance is not None):
        raise GeometryError(
            "Phases have one feature more than dimensions, and importances of their own: leave "
            "--features and --importance out."
        )
    check_writable([path for path in (html, figure) if path is not None])
    usual = _USUAL[kind]
    asked = _Asked(
        features or usual.features,
        dimensions or usual.dimensions,
        _densities(density, points, usual.densities),
        seeds or usual.seeds,
        seed,
        steps or usual.steps,
        usual.rows,
        rate,
        usual.decay if importance is None else importance,
    )
    trained = {ToyKind.phases: _phases, ToyKind.computing: _computing}.get(kind, _sweep)
    data = trained(asked, kind)
    _show(data, html, figure, as_json)


def _densities(
    given: Sequence[float] | None, points: int | None, usual: tuple[float, float, int]
) -> list[float]:
    """One is itself, two span a sweep, more are themselves."""
    bad = [one for one in given or () if not 0 < one <= 1]
    if bad:
        raise GeometryError(f"--density is above 0 and at most 1, found {bad[0]:g}.")
    if given and (len(given) != 2):
        if points is not None:
            raise GeometryError("--points is of a sweep: give --density twice, for its two ends.")
        return sorted(given, reverse=True)
    first, last, count = (max(given), min(given), usual[2]) if given else usual
    return _spaced(first, last, points or count)


def _spaced(first: float, last: float, count: int) -> list[float]:
    """Numbers from one to the other, each the same multiple of the one before."""
    if count == 1:
        return [first]
    step = (log(last) - log(first)) / (count - 1)
    return [first if place == 0 else exp(log(first) + step * place) for place in range(count)]


def _sweep(asked: _Asked, kind: ToyKind) -> dict[str, Any]:
    from molehill.superposition.toy_families import toy_families
    from molehill.superposition.toy_models import toy_grid
    from molehill.superposition.toy_shapes import PLATEAUS
    from molehill.superposition.toy_training import train_toys
    from molehill.version import __version__
    from molehill.views.superposition_toy import toy_sweep_data

    grid = toy_grid(
        asked.features,
        asked.dimensions,
        asked.densities,
        decay=asked.decay,
        seeds=asked.seeds,
        seed=asked.seed,
        relu=kind is not ToyKind.linear,
    )
    families = ()
    with _bar(asked, len(asked.densities)) as advance:
        made = train_toys(
            grid, steps=asked.steps, rows=asked.rows, rate=asked.rate, progress=advance
        )
    if kind is ToyKind.plateaus:
        with progress("The smallest models", 2000 * len(PLATEAUS)) as advance:
            families = toy_families(seed=asked.seed, progress=advance)
    return toy_sweep_data(made, version=__version__, families=families)


def _phases(asked: _Asked, kind: ToyKind) -> dict[str, Any]:
    from molehill.superposition.toy_phases import toy_phases
    from molehill.version import __version__
    from molehill.views.superposition_toy import toy_phases_data

    with _bar(asked, len(asked.densities)) as advance:
        made = toy_phases(
            asked.dimensions,
            asked.densities,
            _spaced(*_RELATIVE),
            seeds=asked.seeds,
            seed=asked.seed,
            steps=asked.steps,
            rows=asked.rows,
            rate=asked.rate,
            progress=advance,
        )
    return toy_phases_data(made, version=__version__)


def _computing(asked: _Asked, kind: ToyKind) -> dict[str, Any]:
    from molehill.superposition.toy_computing import train_absolute
    from molehill.version import __version__
    from molehill.views.superposition_toy import toy_computing_data

    with _bar(asked, 1) as advance:
        made = train_absolute(
            asked.features,
            asked.dimensions,
            asked.densities,
            decay=asked.decay,
            seeds=asked.seeds,
            seed=asked.seed,
            steps=asked.steps,
            rows=asked.rows,
            rate=asked.rate,
            progress=advance,
        )
    return toy_computing_data(made, version=__version__)


def _bar(asked: _Asked, times: int) -> Any:
    return progress("Training", asked.steps * times)


def _show(data: dict[str, Any], html: Path | None, figure: Path | None, as_json: bool) -> None:
    from molehill.views.superposition_toy_text import toy_renderable, toy_text

    if html is not None:
        from molehill.views.html import page

        content = page("superposition-toy", data, title="Toy models", text=toy_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.superposition_toy_figure import toy_figure

        drawn = toy_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: toy_renderable(data, width=width, ascii_only=ascii_only))
