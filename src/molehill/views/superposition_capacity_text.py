"""Capacity of directions as text for a terminal or a pipe.

From the data of `views/superposition_capacity.py`. This module computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.superposition_bounds_text import closing_of
from molehill.views.superposition_capacity import few
from molehill.views.terminal import as_text, heading, legend, plain
from molehill.views.words import percent

__all__ = ["capacity_renderable", "capacity_text"]

_WIDE = 100


def capacity_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = capacity_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def capacity_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, width, ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    how = "active in every input" if data["fixed"] else "active on average"
    title = Text("capacity", style="bold")
    yield title.append(f"{dot}{data['dimensions']:,} dimensions, {data['active']:g} {how}")
    for line in data["summary"]:
        yield plain(line)
    for one in data["series"]:
        yield heading(one["title"])
        yield Padding(_table(one["points"], width), (0, 0, 0, 2))
    yield legend(
        "Counted, and in brackets what theory expects. Wrong bits: per input. Right: inputs read "
        "without any. Values: squared errors per active feature; 1 is that of always saying 0."
    )
    if data["breaking"] is not None:
        yield from _breaking(data)
    yield from closing_of(data["notes"], data["provenance"], ascii_only=ascii_only)


def _table(points: list[dict[str, Any]], width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    names = ["features", "|cos|", "wrong bits", "right", "linear", "gated"]
    if width >= _WIDE:
        names[3:3] = ["missed", "false fires"]
    for _ in names:
        table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in names))
    for point in points:
        found, theory = point["measured"], point["expected"]

        def both(name: str, found: dict[str, Any] = found, theory: dict[str, Any] = theory) -> str:
            return f"{few(found[name])} ({few(theory[name])})"

        cells = [
            f"{point['features']:,}",
            f"{point['coherence']:.2f}",
            both("wrong_bits"),
            percent(found["all_right"]),
            both("linear"),
            both("gated"),
        ]
        if width >= _WIDE:
            cells[3:3] = [both("misses"), both("false_fires")]
        table.add_row(*cells)
    return table


def _breaking(data: dict[str, Any]) -> Iterator[RenderableType]:
    yield heading("Where reading random directions breaks")
    found = data["breaking"]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    for name, value, told in (
        ("dot products alone", found["linear"], "error of values 1/2"),
        ("best linear map", found["least_squares"], "error of values 1/2"),
        ("gate, values", found["gated"], "error of values 1/2"),
        ("gate, bits", found["bits"], "one wrong in an input"),
    ):
        shown = "above 10^15" if value is None else "at once" if value == 0 else f"{value:,.0f}"
        table.add_row(name, shown, told)
    yield Padding(table, (0, 0, 0, 2))
