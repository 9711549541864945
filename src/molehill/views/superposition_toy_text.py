"""Toy models of superposition as text for a terminal, from `views/superposition_toy.py`'s data.

What was found in sentences, then a row per density with its figures and a small plot: where
dimensionalities stand between 0 and 1, or a map of phases. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.strips import COLOURS, ramp
from molehill.views.superposition_toy import BINS
from molehill.views.terminal import as_text, heading, legend, plain
from molehill.views.words import percent

__all__ = ["toy_renderable", "toy_text"]

_PHASE_MARKS = "·█▒"
_ASCII_MARKS = ".#x"


def toy_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = toy_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def toy_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    parts = {"sweep": _sweep, "phases": _phases, "computing": _computing}[data["kind"]]
    return Group(
        *_opening(data, ascii_only),
        *parts(data, width, ascii_only),
        *_closing(data, ascii_only),
    )


def _opening(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    name = {"sweep": "a sweep over densities", "phases": "phases", "computing": "absolute values"}
    dot = " - " if ascii_only else " · "
    yield Text("toy models", style="bold").append(f"{dot}{name[data['kind']]}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))


def _closing(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    made = data["provenance"]
    yield heading("To be sure")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    first, last = made["seeds"]
    seeds = f"Seed {first}" if first == last else f"Seeds {first} to {last}"
    told = (
        f"{seeds}, inputs of seed {made['data_seed']}, Molehill {made['version']}, "
        f"torch {made['torch']}."
    )
    for line in [*data["notes"], told]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table


def _figure(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"


# --- a sweep ------------------------------------------------------------------------------------


def _sweep(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    many = len(data["seeds"])
    yield heading("By density")
    table = Table.grid(padding=(0, 2))
    wide = width >= 76
    heads = ["density", "loss", "D*", "kept", "what seeds found" if wide else "found"]
    for place in range(len(heads)):
        last = place == len(heads) - 1
        table.add_column(justify="left" if last else "right", no_wrap=not last, overflow="fold")
    table.add_row(*(Text(name, style="dim") for name in heads))
    for point in data["points"]:
        table.add_row(
            f"{point['density']:g}",
            _figure(point["loss"][2]),
            _figure(point["per_feature"][2]),
            _figure(point["represented"][2]),
            plain(_found(point, many, 3 if wide else 1)),
        )
    yield Padding(table, (0, 0, 0, 2))
    yield legend(
        "Medians over seeds. D*: dimensions per feature, m / |W|². kept: features represented. "
        + ("Counts are of seeds." if data["dimensions"] <= 3 else "Shares are of features.")
    )
    yield heading("Dimensionality of features")
    yield from _dimensionalities(data, width, ascii_only)
    if data["families"]:
        yield heading("The smallest model of each figure")
        yield from _families(data["families"], ascii_only)


def _found(point: dict[str, Any], many: int, most: int) -> str:
    if point["found"]:
        told = [f"{name} ×{count}" for name, count in point["found"].items()]
    else:
        told = [f"{name} {percent(share)}" for name, share in point["shares"].items()]
    more = len(told) - most
    return ", ".join(told[:most]) + (f", {more} more" if more > 0 else "")


def _dimensionalities(
    data: dict[str, Any], width: int, ascii_only: bool
) -> Iterator[RenderableType]:
    """A line per density: where features stand between 0 and 1, with marks at the fractions."""
    room = max(20, min(BINS, width - 14))
    marks = {one["name"]: min(room - 1, int(one["size"] * room)) for one in data["plateaus"]}
    letters = [" "] * room
    for name, place in marks.items():
        letters[place] = "8" if name == "square antiprism" else str(_CORNERS[name])
    yield Text(f"{'':>12}{''.join(letters)}", style="dim")
    for point in data["points"]:
        cells = _gathered(point["histogram"], room)
        most = max(cells) or 1
        drawn = "".join(
            ramp(float(count), float(most), ascii_only=ascii_only)
            if count
            else ("'" if place in marks.values() else " ")
            for place, count in enumerate(cells)
        )
        yield Text(f"{point['density']:>10g}  ").append(drawn, style=COLOURS[0])
    yield Text(f"{'':>12}0{'1':>{room - 1}}", style="dim")
    yield legend(
        "Each row: how many represented features have each dimensionality, from 0 to 1. Marked: 4 "
        "tetrahedron 3/4, 3 triangle 2/3, 2 digon 1/2, 5 pentagon 2/5, 8 square antiprism 3/8."
    )


_CORNERS = {"tetrahedron": 4, "triangle": 3, "digon": 2, "pentagon": 5}


def _gathered(bins: Sequence[int], room: int) -> list[int]:
    cells = [0] * room
    for place, count in enumerate(bins):
        cells[min(room - 1, place * room // len(bins))] += count
    return cells


def _families(families: Sequence[dict[str, Any]], ascii_only: bool) -> Iterator[RenderableType]:
    table = Table.grid(padding=(0, 2))
    heads = ["figure", "model", "D exactly", "D measured", "found", "held"]
    for name in heads:
        table.add_column(justify="left" if name == "figure" else "right", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in heads))
    for one in families:
        measured = one["measured"]
        dash = "-" if ascii_only else "–"
        told = (
            "none" if measured is None else f"{_figure(measured[0])} {dash} {_figure(measured[4])}"
        )
        table.add_row(
            one["name"],
            f"{one['features']} in {one['dimensions']}",
            f"{one['size']:.4g}",
            told,
            f"{one['found']} of {one['seeds']}",
            f"{one['held']} of {one['seeds']}",
        )
    yield Padding(table, (0, 0, 0, 2))
    other = [
        f"{one['features']} in {one['dimensions']}: "
        + ", ".join(f"{name} ×{count}" for name, count in list(one["arrangements"].items())[:3])
        for one in families
    ]
    yield legend(
        f"At density {families[0]['density']:g}. found: from random starts; held: starts at the "
        f"figure, a little moved, that stay there. From random starts: {'; '.join(other)}."
    )


# --- phases -------------------------------------------------------------------------------------


def _phases(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    marks = _ASCII_MARKS if ascii_only else _PHASE_MARKS
    columns = len(data["densities"])
    side = 9 + 2 * columns + 3 <= width
    for name, cells in (("Trained", data["found"]), ("Theory", data["expected"])):
        if not side or name == "Trained":
            yield heading("Trained, and theory beside it" if side else name)
        if side and name == "Theory":
            break
        for row in reversed(range(len(cells))):
            line = Text(f"{data['relative'][row]:>7.3g}  ")
            line.append("".join(marks[phase] for phase in cells[row]))
            if side:
                line.append("   ").append("".join(marks[phase] for phase in data["expected"][row]))
            yield line
        yield Text(f"{'':>9}{data['densities'][0]:g}{data['densities'][-1]:>{columns - 1}.2g}")
    told = ", ".join(f"{mark} {name}" for mark, name in zip(marks, data["phases"], strict=True))
    yield legend(
        f"{told}. Up: the feature's importance, the others' being 1. Right: sparser inputs."
    )


# --- computing ----------------------------------------------------------------------------------


def _computing(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    yield heading("By density")
    table = Table.grid(padding=(0, 2))
    heads = ["density", "loss", "one feature", "several", "served", "computed"]
    for _ in heads:
        table.add_column(justify="right", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in heads))
    for point in data["points"]:
        table.add_row(
            f"{point['density']:g}",
            _figure(point["loss"][2]),
            percent(point["one"]),
            percent(point["several"]),
            _figure(point["served"][2]),
            f"{_figure(point['computed'][2])} of {data['features']}",
        )
    yield Padding(table, (0, 0, 0, 2))
    yield legend("Shares of working neurons, all seeds; served: features per neuron, the median.")
    last = data["points"][-1]
    yield heading(f"Neurons of the best seed at density {last['density']:g}")
    table = Table.grid(padding=(0, 2))
    for justify in ("right", "left"):
        table.add_column(justify=justify, overflow="fold")
    for one in last["best"]["neurons"]:
        served = [
            f"{feature} ({into:+.2f}, {out:+.2f})"
            for feature, into, out in zip(one["features"], one["into"], one["out"], strict=True)
        ]
        more = f", {len(served) - 4} more" if len(served) > 4 else ""
        table.add_row(str(one["neuron"]), plain(", ".join(served[:4]).replace("-", "−") + more))
    yield Padding(table, (0, 0, 0, 2))
    yield legend("Feature (row's entry, column's entry): what it is read with and written with.")
