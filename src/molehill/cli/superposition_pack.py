"""`molehill superposition pack`: nearly orthogonal directions, found by their worst pair."""

from __future__ import annotations

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
from molehill.errors import CheckpointError, GeometryError

if TYPE_CHECKING:
    from torch import Tensor

    from molehill.superposition.packing import Packing

__all__ = ["ProductsName", "register"]

_KIND = "molehill.packing/1"
_STEPS = 1000


class ProductsName(StrEnum):
    """Number formats of the products."""

    float64 = "float64"
    float32 = "float32"
    bfloat16 = "bfloat16"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("pack")(_pack)


def _pack(
    count: Annotated[
        int | None, typer.Argument(metavar="COUNT", help="How many directions.")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Argument(metavar="DIMENSIONS", help="Of the space they lie in.")
    ] = None,
    known: Annotated[
        bool,
        typer.Option("--known", help="Instead: search for packings whose optimum is known."),
    ] = False,
    vectors: Annotated[
        bool,
        typer.Option(
            "--vectors", help="The signed cosine counts; default: lines, for which |cosine| does."
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, metavar="N", help="Of the search; default: 1000."),
    ] = None,
    starts: Annotated[
        int | None,
        typer.Option(
            "--starts",
            min=1,
            metavar="N",
            help="Random starts side by side; default: 16, or 1 "
            "where there are more than 400 directions.",
        ),
    ] = None,
    shifts: Annotated[
        int | None,
        typer.Option(
            "--shifts",
            min=1,
            metavar="N",
            help="Search among packings that cyclic shifts of N coordinates map to themselves: "
            "N times as fast. N divides COUNT. Default: 1.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**31, help="Of the starts.")] = 0,
    products: Annotated[
        ProductsName | None,
        typer.Option(
            "--products", help="Number format; default: float64, or float32 of many directions."
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="Such as cuda; default: cpu.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--start", metavar="FILE", help="Go on from the vectors that --out wrote."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FILE",
            help="Write the vectors, as .safetensors; Ctrl-C then ends the search and keeps the "
            "best so far.",
        ),
    ] = None,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Pack directions: make the closest two of COUNT in DIMENSIONS as far apart as can be found.

    Example: molehill superposition pack 28 7
    """
    _check(count, dimensions, figure, known=known)
    if known:
        given = (count, out, start, steps, starts, shifts, products, device)
        _check_alone(vectors or any(one is not None for one in given))
    check_writable([path for path in (html, figure, out) if path is not None])
    if known:
        data, title = _of_known(seed), "Packings whose optimum is known"
    else:
        assert count is not None and dimensions is not None, "checked above"
        how: dict[str, Any] = {
            "lines": not vectors,
            "steps": steps or _STEPS,
            "starts": starts,
            "shifts": shifts or 1,
            "seed": seed,
            "products": None if products is None else str(products),
            "device": device,
            "start": None if start is None else _vectors(start),
        }
        data = _of_sizes(count, dimensions, how, out)
        title = f"{count:,} {'vectors' if vectors else 'lines'} in {dimensions:,} dimensions"
    _show(data, title, html, figure, as_json)


def _check_alone(more: bool) -> None:
    if more:
        raise GeometryError(
            "--known has its own sizes and settings: give nothing beside it but --seed and what is "
            "to be written."
        )


def _check(count: int | None, dimensions: int | None, figure: Path | None, *, known: bool) -> None:
    if not known and (count is None or dimensions is None):
        raise GeometryError(
            "Give COUNT and DIMENSIONS, as in `molehill superposition pack 28 7`, or --known."
        )
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise GeometryError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")


def _of_sizes(count: int, dimensions: int, how: dict[str, Any], out: Path | None) -> dict[str, Any]:
    import torch

    from molehill.superposition.packing import pack
    from molehill.training.interrupts import Interrupts
    from molehill.version import __version__
    from molehill.views.superposition_packing import packing_data

    def search(stop) -> Packing:
        with progress("Packing", how["steps"]) as advance:
            try:
                return pack(
                    count, dimensions, progress=lambda step, largest: advance(1), stop=stop, **how
                )
            except (RuntimeError, AssertionError) as error:
                # torch says so where a device is not there or not known.
                if how["device"] is None or isinstance(error, torch.OutOfMemoryError):
                    raise
                raise GeometryError(f"--device {how['device']}: {error}") from error

    if out is None:
        return packing_data(search(None), version=__version__)
    # What was searched for is to be kept: Ctrl-C ends the search instead of the program.
    with Interrupts() as interrupts:
        found = search(lambda: interrupts.wanted is not None)
    _keep(found, out)
    return packing_data(found, version=__version__, stopped=found.steps_done < how["steps"])


def _keep(found: Packing, out: Path) -> None:
    import sys
    from dataclasses import asdict

    from molehill.checkpoints.tensorfile import write_tensors
    from molehill.version import __version__

    description = {
        "kind": _KIND,
        "largest": found.largest,
        "settings": asdict(found.settings),
        "version": __version__,
    }
    write_tensors(out, {"vectors": found.vectors}, description)
    print(f"Written: {out}", file=sys.stderr)


def _vectors(path: Path) -> Tensor:
    from molehill.checkpoints.tensorfile import open_tensors

    with open_tensors(path) as file:
        names = list(file.keys())
        if "vectors" not in names:
            raise CheckpointError(
                f"{path} has no tensor named vectors, but {', '.join(names[:5]) or 'none'}."
            )
        return file.get_tensor("vectors")


def _of_known(seed: int) -> dict[str, Any]:
    from molehill.superposition.known_packings import KNOWN_PACKINGS, compare_known
    from molehill.version import __version__
    from molehill.views.superposition_packing import known_packings_data

    with progress("Packing", len(KNOWN_PACKINGS)) as advance:
        found = compare_known(KNOWN_PACKINGS, seed=seed, progress=advance)
    return known_packings_data(found, version=__version__, seed=seed)


def _show(
    data: dict[str, Any], title: str, html: Path | None, figure: Path | None, as_json: bool
) -> None:
    from molehill.views.superposition_packing_text import packing_renderable, packing_text

    if html is not None:
        from molehill.views.html import page

        content = page("superposition-packing", data, title=title, text=packing_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.superposition_packing_figure import packing_figure

        drawn = packing_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: packing_renderable(data, width=width, ascii_only=ascii_only)
    )
