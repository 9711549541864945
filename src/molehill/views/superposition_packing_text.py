"""Packings as text for a terminal, from the data of `views/superposition_packing.py`.

This module knows no vectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.strips import binned, ramp, strip
from molehill.views.superposition_packing import cosine_of
from molehill.views.terminal import as_text, facts, heading, legend, plain
from molehill.views.words import percent

__all__ = ["packing_renderable", "packing_text"]

_BARS = 24


def packing_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = packing_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def packing_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    parts = {"packing": _packing, "known": _known}[data["kind"]]
    return Group(
        *_opening(data, ascii_only), *parts(data, width, ascii_only), *_closing(data, ascii_only)
    )


def _opening(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    name = "known optima"
    if data["kind"] == "packing":
        things = "lines" if data["lines"] else "vectors"
        name = f"{data['count']:,} {things} in {data['dimensions']:,} dimensions"
    yield Text("packing", style="bold").append(f"{dot}{name}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))


def _closing(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    yield heading("To be sure")
    made = data["provenance"]
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for line in [*data["notes"], f"Molehill {made['version']}, seed {made['seed']}."]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table


# --- one packing ----------------------------------------------------------------------------------


def _packing(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    yield from _beside(data, width, ascii_only)
    yield from _cosines(data, width, ascii_only)
    yield from _search(data, width, ascii_only)


def _beside(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    """The worst pair, on one scale with what theory and chance say."""
    bound, random = data["bound"], data["random"]
    entries = [
        (f"bound ({bound['name']})", bound["cosine"], bound["degrees"]),
        ("this packing", data["largest"], data["degrees"]),
        ("random", random["cosine"], random["degrees"]),
    ]
    yield heading("The worst pair")
    room = max(8, min(50, width - 48))
    most = max(1e-9, *(value for _, value, _ in entries))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=24)
    for _ in range(2):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    size = "|cosine|" if data["lines"] else "cosine"
    table.add_row("", Text(size, style="dim"), Text("degrees", style="dim"))
    for name, value, told in entries:
        length = round(room * max(0.0, value) / most)
        table.add_row(
            plain(name),
            cosine_of(value),
            f"{told:.2f}",
            Text(("#" if ascii_only else "█") * length, style="#2f86d1"),
        )
    yield Padding(table, (0, 0, 0, 2))


def _cosines(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    found = data["histogram"]
    yield heading("Cosines of all pairs")
    room = max(12, min(100, width - 14))
    ours, step = _summed(found["ours"], room)
    random, _ = _summed(found["random"], room)
    most = max([*ours, *random])
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, min_width=8)
    rows.add_column(no_wrap=True)
    rows.add_row("packing", _blocks(ours, most, ascii_only))
    rows.add_row("random", _blocks(random, most, ascii_only))
    ends = f"{cosine_of(found['from'], 2)}", f"{cosine_of(found['to'], 2)}"
    gap = " " * max(1, len(ours) - len(ends[0]) - len(ends[1]))
    rows.add_row("", f"{ends[0]}{gap}{ends[1]}")
    yield Padding(rows, (0, 0, 0, 2))
    wide = (found["to"] - found["from"]) / len(found["ours"]) * step
    nearest = data["nearest"]
    yield Text()
    yield facts(
        [
            ("one mark", f"{wide:.3g} wide; the highest holds {percent(most)} of pairs"),
            (
                "nearest",
                f"of each vector: {cosine_of(nearest['least'])} to "
                f"{cosine_of(nearest['largest'])}, half below {cosine_of(nearest['median'])}",
            ),
            ("typical", f"{cosine_of(data['rms'])}; random {cosine_of(data['random']['rms'])}"),
        ]
    )


def _blocks(shares: list[float], most: float, ascii_only: bool) -> str:
    """Shares as blocks; where there is no pair at all, nothing is drawn."""
    return "".join(
        ramp(share, most, ascii_only=ascii_only) if share > 0 else " " for share in shares
    )


def _summed(values: list[float], room: int) -> tuple[list[float], int]:
    """At most `room` sums of neighbouring shares, and how many each adds up."""
    step = max(1, -(-len(values) // room))
    return [sum(values[at : at + step]) for at in range(0, len(values), step)], step


def _search(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    history = data["history"]
    yield heading("The search")
    values = [moment["largest"] for moment in history]
    shown, _ = binned(values, max(12, min(100, width - 4)))
    floor = min(data["bound"]["cosine"], *values)
    most = max(values) - floor
    heights = [None if value is None else value - floor for value in shown]
    yield Padding(strip(heights, largest=most, ascii_only=ascii_only), (0, 0, 0, 2))
    yield legend(
        f"The largest cosine from step 0 ({cosine_of(values[0])}) to step "
        f"{history[-1]['step']:,} ({cosine_of(values[-1])}), above the bound."
    )
    reached = data["reached"]
    if len(reached) > 1:
        yield legend(
            f"{len(reached)} starts ended between {cosine_of(reached[0])} and "
            f"{cosine_of(reached[-1])}."
        )


# --- known optima ---------------------------------------------------------------------------------


def _known(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    for lines, title in ((True, "Lines"), (False, "Vectors")):
        rows = [row for row in data["rows"] if row["lines"] == lines]
        if rows:
            yield heading(title)
            yield Padding(_table(rows, width, lines), (0, 0, 0, 2))
    yield legend(
        "gap: ours above the optimum. starts: how many came within 0.001. by shifts: the symmetry "
        "that was searched in."
    )


def _table(rows: list[dict[str, Any]], width: int, lines: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    wide = width >= 76
    names = ["", "N", "d", "optimum", "ours", "gap", "starts"]
    names += ["by shifts", "altern."] if wide and lines else ["by shifts"] if wide else []
    for number, name in enumerate(names):
        table.add_column(
            justify="right" if number else "left",
            no_wrap=True,
            overflow="ellipsis",
            max_width=20 if not number else None,
        )
        del name
    table.add_row(*(Text(name, style="dim") for name in names))
    for row in rows:
        cells = [
            row["name"],
            f"{row['count']:,}",
            str(row["dimensions"]),
            cosine_of(row["optimum"]),
            cosine_of(row["largest"]),
            _gap(row["gap"]),
            f"{row['reached']}/{row['starts']}",
        ]
        if wide:
            cells.append(str(row["shifts"]) if row["shifts"] > 1 else "")
        if wide and lines:
            other = row["alternating"]
            cells.append("" if other is None else cosine_of(other))
        table.add_row(*(plain(cell) for cell in cells))
    return table


def _gap(value: float) -> str:
    if abs(value) < 1e-9:
        return "0"
    return f"{value:.0e}".replace("e-0", "e−").replace("e-", "e−")
