"""A word's journey over training as text for a terminal, from `views/snapshots.py`'s data.

How far apart two sentences are at every snapshot and point, where they part, and the nearest words
by step. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.shift import SAME_PLACE
from molehill.views.strips import colour_of, strip
from molehill.views.terminal import as_text, heading, legend, plain
from molehill.views.words import bare, clipped

__all__ = ["snapshots_renderable", "snapshots_text"]

_PAIRS = 2


def snapshots_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = snapshots_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def snapshots_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_opening(data, width), *_pairs(data, ascii_only), *_closing(data, ascii_only))


def _opening(data: dict[str, Any], width: int) -> Iterator[RenderableType]:
    yield Text(clipped(data["word"], width), style="bold")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield heading("Sentences")
    table = Table.grid(padding=(0, 2))
    for one in data["sentences"]:
        number = Text(str(one["number"]), style=f"bold {colour_of(one['number'])}")
        table.add_row(number, plain(one["text"]))
    yield Padding(table, (0, 0, 0, 2))
    yield heading("Nearest words at the end, by step")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text("step", style="dim"), *_numbers(data))
    for one in data["steps"]:
        words = [" ".join(bare(near["piece"]) for near in some[:2]) for some in one["near"]]
        table.add_row(f"{one['step']:,}", *map(plain, words))
    yield Padding(table, (0, 0, 0, 2))


def _numbers(data: dict[str, Any]) -> list[Text]:
    return [Text(str(one["number"]), style=colour_of(one["number"])) for one in data["sentences"]]


def _pairs(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    """The pairs that end furthest apart: a strip over the journey at every snapshot."""
    ends = sorted(data["pairs"], key=lambda pair: -(pair["distances"][-1][-1] or 0))
    for pair in ends[:_PAIRS]:
        yield heading(f"Sentences {pair['a']} and {pair['b']}, apart along the journey")
        largest = max((value or 0.0) for row in pair["distances"] for value in row)
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", no_wrap=True)
        rows = zip(data["steps"], pair["distances"], pair["parts_at"], strict=True)
        for step, row, at in rows:
            again = "come together again" if max(row) >= SAME_PLACE else "do not part"
            where = again if at is None else f"part {data['points'][at]['after']}"
            drawn = strip(row, largest=largest, ascii_only=ascii_only)
            table.add_row(f"{step['step']:,}", drawn, f"{row[-1]:.2f}", where)
        yield Padding(table, (0, 0, 0, 2))
    if ends:
        cut = f"; {len(ends) - _PAIRS} more pairs are in --json" if len(ends) > _PAIRS else ""
        yield legend(f"by step: start to end of the journey, the distance at the end{cut}")


def _closing(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    yield heading("To be sure")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    made = data["provenance"]
    told = f"Run {made['run']}, {made['dtype']}, Molehill {made['version']}."
    for line in [*data["notes"], told]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table
