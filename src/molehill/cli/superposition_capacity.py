"""`molehill superposition capacity`: features written along directions and read back by a gate."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
    from torch import Tensor

    from molehill.superposition.capacity import CapacityPoint

__all__ = ["DirectionsName", "register"]

_MOST_FEATURES = 1_000_000
_LEARNING_STEPS, _PACKING_STEPS = 400, 300


class DirectionsName(StrEnum):
    """How directions come about."""

    random = "random"
    packed = "packed"
    learned = "learned"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("capacity")(_capacity)


def _capacity(
    dimensions: Annotated[
        int, typer.Option("--dimensions", "-d", min=2, max=10_000, help="Of the space.")
    ] = 100,
    active: Annotated[
        int | None,
        typer.Option("--active", min=1, help="Features active in every input; default: 5."),
    ] = None,
    mean_active: Annotated[
        float | None,
        typer.Option(
            "--mean-active",
            metavar="S",
            help="Instead: each feature by itself, S of them active on average.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            "--features",
            metavar="K,K,...",
            help="How many features; default: a dozen numbers up to 100 times the dimensions.",
        ),
    ] = None,
    directions: Annotated[
        list[DirectionsName] | None,
        typer.Option("--directions", help="Repeatable; default: all three."),
    ] = None,
    inputs: Annotated[
        int, typer.Option("--inputs", min=10, max=1_000_000, help="Drawn for every point.")
    ] = 1000,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of directions and inputs.")
    ] = 0,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write features along directions, read them back by dot products, bias and ReLU: count errors.

    Example: molehill superposition capacity --dimensions 100 --active 5
    """
    if active is not None and mean_active is not None:
        raise GeometryError("Give --active or --mean-active, not both.")
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise GeometryError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")
    check_writable([path for path in (html, figure) if path is not None])
    fixed = mean_active is None
    many = float(active or 5) if mean_active is None else mean_active
    kinds = directions or list(DirectionsName)
    data = _data(dimensions, many, fixed, features, kinds, inputs, seed)
    _show(data, html, figure, as_json)


def _data(
    dimensions: int,
    active: float,
    fixed: bool,
    features: str | None,
    kinds: list[DirectionsName],
    inputs: int,
    seed: int,
) -> dict[str, Any]:
    from molehill.superposition.capacity import capacity_curve
    from molehill.version import __version__
    from molehill.views.superposition_capacity import capacity_data

    sizes = {kind: _sizes(features, dimensions, active, kind) for kind in kinds}
    series: dict[str, tuple[CapacityPoint, ...]] = {}
    with progress("Reading", sum(map(len, sizes.values()))) as advance:
        for kind in kinds:
            series[kind.value] = capacity_curve(
                _maker(kind, dimensions, active, fixed, seed),
                sizes[kind],
                active=active,
                fixed=fixed,
                calibrate=kind is not DirectionsName.random,
                inputs=inputs,
                seed=seed,
                progress=advance,
            )
    return capacity_data(series, dimensions, active, fixed=fixed, seed=seed, version=__version__)


def _sizes(given: str | None, dimensions: int, active: float, kind: DirectionsName) -> list[int]:
    """The numbers of features; without a wish, few where directions have to be searched for."""
    import math

    if not 0 < active <= _MOST_FEATURES // 2:
        raise GeometryError(
            f"{active:g} features active: give a number above 0 and up to {_MOST_FEATURES // 2:,}."
        )
    least = max(2, math.ceil(2 * active))
    if given is None:
        factors = (0.25, 0.5, 1, 1.5, 2, 4, 8, 16, 32, 64, 100)
        if kind is not DirectionsName.random:
            factors = (0.5, 1, 1.5, 2, 4, 8)
        return sorted({max(least, round(dimensions * factor)) for factor in factors})
    try:
        found = sorted({int(one) for one in given.split(",")})
    except ValueError:
        raise GeometryError(f"--features is {given!r}: give whole numbers: 100,200,400.") from None
    if found[0] < least or found[-1] > _MOST_FEATURES:
        raise GeometryError(
            f"--features is {given!r}: with {active:g} active, give numbers from {least} to "
            f"{_MOST_FEATURES:,}."
        )
    return found


def _maker(
    kind: DirectionsName, dimensions: int, active: float, fixed: bool, seed: int
) -> Callable[[int], Tensor]:
    from molehill.superposition.capacity import learn_directions, random_directions
    from molehill.superposition.packing import pack

    if kind is DirectionsName.packed:
        return lambda count: pack(
            count, dimensions, steps=_PACKING_STEPS, starts=1, seed=seed, products="float32"
        ).vectors.float()
    if kind is DirectionsName.learned:
        return lambda count: learn_directions(
            count, dimensions, active=active, fixed=fixed, steps=_LEARNING_STEPS, seed=seed
        )
    return lambda count: random_directions(count, dimensions, seed=seed)


def _show(data: dict[str, Any], html: Path | None, figure: Path | None, as_json: bool) -> None:
    from molehill.views.superposition_capacity_text import capacity_renderable, capacity_text

    if html is not None:
        from molehill.views.html import page

        title = f"Capacity of {data['dimensions']:,} dimensions"
        content = page("superposition-capacity", data, title=title, text=capacity_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.superposition_capacity_figure import capacity_figure

        drawn = capacity_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: capacity_renderable(data, width=width, ascii_only=ascii_only)
    )
