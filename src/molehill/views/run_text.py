"""Runs of training as text for a terminal, from `views/run.py`'s data.

A list is a table; runs side by side are sentences, a strip for every curve, the last samples and
the keys in which recipes differ. This module knows no run.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.run import LISTED, span
from molehill.views.strips import colour_of, ramp
from molehill.views.terminal import as_text, heading, legend, plain
from molehill.views.words import clipped, visible

__all__ = ["run_renderable", "run_text"]

_SAMPLES = 6


def run_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view, a list or runs side by side, as plain text."""
    made = run_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def run_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    if data["schema"] == LISTED:
        return Group(*_list(data), *_closing(data, ascii_only))
    return Group(*_runs(data, width, ascii_only), *_closing(data, ascii_only))


def _list(data: dict[str, Any]) -> Iterator[RenderableType]:
    yield Padding(plain(data["summary"][0]), (0, 0, 1, 0))
    table = Table.grid(padding=(0, 2))
    heads = ("run", "state", "step", "read", "time", "last figure")
    for place in range(len(heads)):
        table.add_column(justify="right" if place in (2, 3, 4) else "left", overflow="fold")
    table.add_row(*(Text(name, style="dim") for name in heads))
    for run in data["runs"]:
        of = "" if run["steps"] is None else f" of {run['steps']:,}"
        read = "" if run["read"] is None else f"{run['read']:,} {run['unit']}"
        time = "" if run["seconds"] is None else span(run["seconds"])
        table.add_row(
            plain(run["name"]), run["state"], f"{run['step']:,}{of}", read, time, _figure(run)
        )
    yield table


def _figure(run: dict[str, Any]) -> str:
    """The one figure that says most: held out, if anything was."""
    held = [one for one in run["last"] if "held" in one["name"]]
    shown = [*held, *run["last"]][:1]
    return "".join(f"{one['name']} {one['value']:.4g}" for one in shown)


def _runs(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    names = " and ".join(run["name"] for run in data["runs"])
    yield Text(clipped(names, width), style="bold")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    for chart in data["charts"]:
        yield from _chart(chart, data["runs"], width, ascii_only)
    yield from _samples(data)
    yield from _recipe(data)


def _chart(
    chart: dict[str, Any], runs: list[dict[str, Any]], width: int, ascii_only: bool
) -> Iterator[RenderableType]:
    """A strip for every curve, all of one chart on one scale and over the same steps."""
    yield heading(", ".join(filter(None, (chart["title"], chart["unit"]))))
    curves = chart["curves"]
    ends = [value for curve in curves for value in _known(curve)]
    low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
    last = max(curve["step"][-1] for curve in curves)
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, max_width=max(12, width // 4), overflow="ellipsis")
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    room = max(8, width - max(12, width // 4) - 18)
    for curve in curves:
        name = curve["part"] if len(runs) == 1 else f"{curve['run']} {curve['part']}"
        marks = _marks(curve, room, last, low, high, ascii_only)
        told = "not finite" if curve["last"] is None else f"{curve['last']:.4g}"
        table.add_row(plain(name), Text(marks, style=colour_of(curve["run"])), told)
    yield Padding(table, (0, 0, 0, 2))
    yield legend(f"from {low:.4g} to {high:.4g}, steps 0 to {last:,}; the last value at the right")


def _known(curve: dict[str, Any]) -> list[float]:
    return [value for value in curve["value"] if value is not None]


def _marks(
    curve: dict[str, Any], room: int, last: int, low: float, high: float, ascii_only: bool
) -> str:
    """A curve in `room` characters: each the mean of what falls there, a space for nothing."""
    bins: list[list[float]] = [[] for _ in range(room)]
    for step, value in zip(curve["step"], curve["value"], strict=True):
        if value is not None:
            bins[min(room - 1, int(step / max(last, 1) * room))].append(value)
    return "".join(
        ramp(sum(some) / len(some) - low, high - low, ascii_only=ascii_only) if some else " "
        for some in bins
    )


def _samples(data: dict[str, Any]) -> Iterator[RenderableType]:
    told = data["samples"]["texts"]
    if not told:
        return
    yield heading("Last samples")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for one in told[-_SAMPLES:]:
        name = f"{one['run']}, " if len(data["runs"]) > 1 else ""
        text = Text(visible(f"{one['prompt']} … "), style="dim").append(visible(one["text"]))
        table.add_row(f"{name}step {one['step']:,}", text)
    yield Padding(table, (0, 0, 0, 2))


def _recipe(data: dict[str, Any]) -> Iterator[RenderableType]:
    rows = [row for row in data["recipe"] if row["differs"]]
    if not rows:
        return
    yield heading("Recipes differ in")
    table = Table.grid(padding=(0, 2))
    table.add_row("", *(Text(run["name"], style="dim", overflow="fold") for run in data["runs"]))
    for row in rows:
        values = ["not given" if value is None else clipped(value, 40) for value in row["values"]]
        table.add_row(plain(row["key"]), *map(plain, values))
    yield Padding(table, (0, 0, 0, 2))


def _closing(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    yield heading("To be sure")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in [*data["notes"], f"Molehill {data['provenance']['version']}."]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table
