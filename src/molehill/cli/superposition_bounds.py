"""`molehill superposition bounds`: how many directions fit, and how far apart they can be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molehill.cli.common import (
    HtmlOption,
    JsonOption,
    check_writable,
    print_view,
    print_view_json,
    write_files,
)
from molehill.errors import GeometryError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("bounds")(_bounds)


def _bounds(
    count: Annotated[
        int | None, typer.Argument(metavar="COUNT", help="So many directions.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Argument(metavar="DIMENSIONS", help="In so many dimensions.")
    ] = None,
    only: Annotated[
        int | None,
        typer.Option(
            "--dimensions",
            "-d",
            metavar="D",
            help="The same; without a count: how many are there room for?",
        ),
    ] = None,
    degrees: Annotated[
        float, typer.Option("--degrees", help="The angle that every pair is to keep.")
    ] = 89.0,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what theory allows: so many directions, so many dimensions, one angle.

    Example: molehill superposition bounds 10000 100
    """
    size = _size(count, dimensions, only)
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise GeometryError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")
    check_writable([path for path in (html, figure) if path is not None])

    from molehill.version import __version__
    from molehill.views.superposition_bounds import bounds_data
    from molehill.views.superposition_bounds_text import bounds_renderable, bounds_text

    data = bounds_data(count, size, degrees, version=__version__)
    if html is not None:
        from molehill.views.html import page

        title = f"Bounds: {'' if count is None else f'{count:,} in '}{size:,} dimensions"
        content = page("superposition-bounds", data, title=title, text=bounds_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.superposition_bounds_figure import bounds_figure

        drawn = bounds_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: bounds_renderable(data, width=width, ascii_only=ascii_only)
    )


def _size(count: int | None, dimensions: int | None, only: int | None) -> int:
    """The dimensions, from whichever of both places they stand in."""
    if only is not None and dimensions is None:
        return only
    if only is not None:
        raise GeometryError(
            f"The dimensions are given twice, as {dimensions} and --dimensions {only}: leave one "
            "out."
        )
    if count is None or dimensions is None:
        raise GeometryError(
            "Give COUNT and DIMENSIONS, such as 10000 100, or --dimensions 100 alone to ask how "
            "many there is room for."
        )
    return dimensions
