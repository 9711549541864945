"""An edit, and a file of edits, as text for a terminal or a pipe, from the data of
`views/fact_edit.py`.

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
from molehill.views.words import clipped, enumerated

__all__ = ["fact_edit_renderable", "fact_edit_text", "stack_renderable", "stack_text"]

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


def stack_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """A file of edits as plain text."""
    return as_text(stack_renderable(data), width, ascii_only=ascii_only)


def stack_renderable(data: dict[str, Any]) -> RenderableType:
    """A file of edits for rich's console."""
    if not data["edits"]:
        return Text("No edits.")
    return Group(*_stack(data))


def _stack(data: dict[str, Any]) -> Iterator[RenderableType]:
    for number, one in enumerate(data["edits"], 1):
        title = Text(f"{number}  {one['name']}", style="bold")
        yield title.append(f"  {one['method']}, for {one['model']} ({one['fingerprint'][:12]})")
        told = [("fact", f"{fact['prompt']} → {fact['object']}") for fact in one["facts"][:_MOST]]
        if len(one["facts"]) > _MOST:
            told.append(("", f"and {len(one['facts']) - _MOST} more"))
        told.append(("changes", enumerated([_change(change) for change in one["changes"]])))
        if one["metrics"]:
            told.append(("measured", _metrics(one["metrics"])))
        told.append(("after", enumerated(one["after"]) or "no other edit"))
        yield facts(told)


def _change(change: dict[str, Any]) -> str:
    if change["kind"] == "neurons":
        many = "" if change["count"] == 1 else "s"
        return f"{change['count']} new neuron{many} in layer {change['layer']}"
    return f"{change['parameter']} (rank {change['rank']})"


def _metrics(metrics: dict[str, Any]) -> str:
    return "; ".join(_told(name, value) for name, value in metrics.items())


def _told(name: str, value: Any) -> str:
    named = name.replace("_", " ")
    if isinstance(value, dict):
        return f"{named} ({', '.join(f'{key} {_short(one)}' for key, one in value.items())})"
    return f"{named}: {value}" if isinstance(value, str) else f"{named} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return f"of {len(value)} (--json has {'it' if len(value) == 1 else 'them'})"
    if isinstance(value, list):
        return ", ".join(_short(one) for one in value[:4]) + (", …" if len(value) > 4 else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


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
            yield heading(name)
            yield _rows(rows, width, ascii_only)
    if data["written"]:
        yield heading("Going on freely")
        yield facts(
            entry
            for one in data["written"]
            for entry in (
                ("prompt", Text(one["prompt"], style="bold")),
                ("before", one["before"]),
                ("now", one["after"]),
            )
        )
    yield heading("Health gate")
    yield facts((_mark(one["verdict"]), one["sentence"]) for one in data["health"]["measures"])
    yield from closing(data["notes"], made, ascii_only=ascii_only)


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
