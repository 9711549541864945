"""Bounds on nearly orthogonal directions as text for a terminal or a pipe.

From the data of `views/superposition_bounds.py`. This module computes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.superposition_bounds import ROUND, brief, counted, power
from molehill.views.terminal import Bar, as_text, heading, legend, plain, signed_bars

__all__ = ["bounds_renderable", "bounds_text", "closing_of"]

_HOW = {
    "explicit": "written down",
    "drawn": "drawn, repaired",
    "exists": "shown to exist",
    "theorem": "theorem",
    "certificate": "checked certificate",
}


def bounds_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    return as_text(
        bounds_renderable(data, width=width, ascii_only=ascii_only), width, ascii_only=ascii_only
    )


def bounds_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, width, ascii_only))


def closing_of(
    notes: Iterable[str], made: dict[str, Any], *, ascii_only: bool
) -> Iterator[RenderableType]:
    """The foot of a view that has no model: what to believe of it, and what it was made with."""
    yield heading("To be sure")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    seed = f", seed {made['seed']}" if "seed" in made else ""
    for line in [*notes, f"Molehill {made['version']}{seed}."]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    title = Text("bounds", style="bold")
    many = "" if data["count"] is None else f"{counted(data['count'])} directions, "
    yield title.append(
        f"{dot}{many}{counted(data['dimensions'])} dimensions, {data['degrees']:g} degrees"
    )
    for line in data["summary"]:
        yield plain(line)
    if data["bounds"] is not None:
        yield from _cosines(data, width, ascii_only)
    yield from _counts(data)
    if data["needed"] is not None:
        yield from _dimensions(data)
    yield from _growing(data, width)
    yield from closing_of(data["notes"], data["provenance"], ascii_only=ascii_only)


def _cosines(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    found = data["bounds"]
    yield heading("The closest pair: |cos| at least")
    random = found["random"]
    chance: dict[str, Any] = {"name": "random, on average", "cosine": random["expected"], **random}
    rows = sorted(found["lines"], key=lambda one: one["cosine"]) or [found["best"]]
    bars: list[Bar] = [
        (one["name"], one["cosine"], f"{one['cosine']:.4f}  {one['degrees']:.2f}°")
        for one in [*rows, chance]
    ]
    yield signed_bars(bars, width, ascii_only=ascii_only)
    formula = f"sqrt(4 ln N / d) would say {random['asymptotic']:.3f} for random ones."
    best = found["best_vectors"]
    yield legend(
        "Each line but the last is a theorem: no set of lines does better than the largest. "
        f"{formula} As vectors, whose opposites do not count: cos at least {best['cosine']:.4f} "
        f"({best['name']}), {best['degrees']:.2f}°."
    )


def _counts(data: dict[str, Any]) -> Iterator[RenderableType]:
    yield heading(f"How many keep {data['degrees']:g} degrees in {counted(data['dimensions'])}")
    table = Table.grid(padding=(0, 2))
    for name in ("", "number", "by", "how it is known"):
        table.add_column(
            header=name, justify="right" if name == "number" else "left", overflow="fold"
        )
    for kind, found in data["how_many"].items():
        for side, word in (("lower", "at least"), ("upper", "at most")):
            for place, one in enumerate(found[side][:3]):
                first = f"{kind}, {word}" if place == 0 else ""
                many = power(one["log2"]) if one["count"] is None else counted(one["count"])
                table.add_row(first, many, plain(one["name"]), Text(_HOW[one["how"]], style="dim"))
    yield Padding(table, (0, 0, 0, 2))
    yield legend("Lines: |cos| counts, an opposite is the same line. Vectors: cos counts.")


def _dimensions(data: dict[str, Any]) -> Iterator[RenderableType]:
    needed = data["needed"]
    yield heading(f"Dimensions for {counted(data['count'])} lines at {data['degrees']:g} degrees")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", style="dim")
    rows = (
        ("fewer cannot do", needed["at_least"], "Levenshtein's bound"),
        ("enough, written down", needed["explicit"], needed["explicit_name"]),
        ("enough at random", needed["random"], "more often than not, by the union bound"),
        ("promised by the lemma", needed["johnson_lindenstrauss"], "Johnson and Lindenstrauss"),
    )
    for name, value, told in rows:
        table.add_row(name, counted(value), told)
    yield Padding(table, (0, 0, 0, 2))


def _growing(data: dict[str, Any], width: int) -> Iterator[RenderableType]:
    yield heading("How the number of lines grows: at least, at most")
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", no_wrap=True)
    shown = data["growth"][: max(1, (width - 12) // 22)]
    for _ in shown:
        table.add_column(justify="right", no_wrap=True, min_width=11)
        table.add_column(justify="right", no_wrap=True)
    angles = [part for one in shown for part in (f"{one['degrees']:g}°", "")]
    table.add_row("d", *(Text(angle, style="bold") for angle in angles))
    for size in ROUND:
        cells = []
        for one in shown:
            point = next((p for p in one["points"] if p["dimensions"] == size), None)
            if point is None:
                cells += ["", ""]
                continue
            cells += [brief(max(point["explicit"], point["exists"])), brief(point["upper"])]
        table.add_row(counted(size), *cells)
    yield Padding(table, (0, 0, 0, 2))
    rates = "; ".join(
        f"{one['degrees']:g}°: {one['rates']['lower']:.2g} to {one['rates']['upper']:.2g}"
        for one in data["growth"]
    )
    yield legend(f"Doublings for each dimension in the long run: {rates}.")
