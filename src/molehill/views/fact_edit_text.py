"""An edit as text for a terminal or a pipe, from the data of `views/fact_edit.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.fact_trace import amount
from molehill.views.terminal import AGAINST, FOR, as_text, closing, facts, heading, plain
from molehill.views.words import clipped

__all__ = ["fact_edit_renderable", "fact_edit_text"]

_MOST = 12
_GROUPS = {
    "prompt": "What was taught",
    "paraphrase": "In other words",
    "neighbour": "Neighbours",
    "earlier": "What earlier edits taught",
}


def fact_edit_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = fact_edit_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def fact_edit_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_view(data, min(width, 120), ascii_only))


def _view(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made, edit = data["provenance"], data["edit"]
    title = Text(f"Edit {edit['name']}", style="bold")
    after = f", after {len(data['stack'])} more" if data["stack"] else ""
    yield title.append(f"  {edit['method']}, {made['model']}, {made['dtype']}{after}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    for kind, name in _GROUPS.items():
        rows = [row for row in data["rows"] if row["kind"] == kind]
        if rows:
            yield heading(f"{name}{_against(data, kind)}")
            yield _rows(rows, width, ascii_only)
    if data["written"]:
        yield heading("Going on freely")
        yield facts(
            entry
            for one in data["written"]
            for entry in (
                ("prompt", Text(one["prompt"], style="bold")),
                (data["against"]["written"] if data["stack"] else "before", one["before"]),
                ("now", one["after"]),
            )
        )
    yield heading("Health gate")
    yield facts((_mark(one["verdict"]), one["sentence"]) for one in data["health"]["measures"])
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _against(data: dict[str, Any], kind: str) -> str:
    """What these prompts are held against, where edits are stacked."""
    return f", before: {data['against'][kind]}" if data["stack"] else ""


def _mark(verdict: str) -> str:
    return {"healthy": "healthy", "warns": "warns", "refuses": "REFUSES"}[verdict]


def _rows(rows: list[dict[str, Any]], width: int, ascii_only: bool) -> RenderableType:
    arrow = "->" if ascii_only else "→"
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", max_width=max(20, width - 52))
    for _ in range(3):
        table.add_column(no_wrap=True, justify="left")
    table.add_row(*(Text(name, style="dim") for name in ("prompt", "was", "new object", "rank")))
    for row in rows[:_MOST]:
        table.add_row(
            plain(row["prompt"].strip()),
            _moved(row["was"], row["was_before"], row["was_after"], arrow, FOR),
            _moved(row["wanted"], row["wanted_before"], row["wanted_after"], arrow, AGAINST),
            f"{row['rank_before']:,} {arrow} {row['rank_after']:,}",
        )
    if len(rows) > _MOST:
        table.add_row(Text(f"and {len(rows) - _MOST} more", style="dim"))
    return Padding(table, (0, 0, 0, 2))


def _moved(name: str, before: float | None, after: float | None, arrow: str, ink: str) -> Text:
    told = Text(clipped(name, 12), style=ink)
    return told.append(f" {amount(before)} {arrow} {amount(after)}", style="default")
