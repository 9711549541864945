"""Scores of methods of editing, as text for a terminal or a pipe, from the data of
`views/fact_scores.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, closing, facts, heading, plain
from molehill.views.words import clipped

__all__ = ["fact_scores_renderable", "fact_scores_text"]

_CASES = 12
_GAP = 3
_STACKED = {
    "score": "S",
    "efficacy": "ES",
    "paraphrase": "PS",
    "neighbourhood": "NS",
    "efficacy_accuracy": "accuracy",
    "generation": "generation",
}
"""What is told of edits in a row, under the short names that ROME gave them."""


def fact_scores_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = fact_scores_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def fact_scores_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_view(data, min(width, 160), ascii_only))


def _view(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made = data["provenance"]
    yield Text("Scores of edits", style="bold").append(f"  {made['model']}, {made['dtype']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    if data["methods"]:
        yield heading("Each edit by itself, before → after")
        yield from _tables(data, width, ascii_only)
        yield heading("Cases")
        yield _cases(data, width)
    for one in data["stacks"]:
        yield heading(f"{one['method']}, edits in a row")
        yield _stack(one, data)
    yield heading("What the columns say")
    yield facts((_name(one), f"{one['words']} ({one['source']})") for one in data["metrics"])
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _name(metric: dict[str, Any]) -> str:
    return metric["name"].replace("_", " ")


def _told(value: float | None, percent: bool) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if percent else f"{value:.2f}"


def _tables(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    """A line for every metric, a column for every method; as many methods side by side as there is
    room for, the others below."""
    names = [_name(one) for one in data["metrics"]]
    columns = [_column(one, data["metrics"], ascii_only) for one in data["methods"]]
    room = width - 2 - max(map(len, names), default=0)
    side: list[list[str]] = []
    for column in columns:
        if side and sum(_wide(one) + _GAP for one in [*side, column]) > room:
            yield _table(names, side)
            yield Text()
            side = []
        side.append(column)
    yield _table(names, side)


def _column(one: dict[str, Any], metrics: list[dict[str, Any]], ascii_only: bool) -> list[str]:
    """One method: its name and how many cases, then each metric before and after."""
    arrow, more = ("->", "+-") if ascii_only else ("→", "±")
    cells = [f"{one['method']} ({one['count']})"]
    for metric in metrics:
        value = one["values"].get(metric["name"])
        if value is None:
            cells.append("–")
            continue
        percent = metric["percent"]
        told = f"{_told(value['before'], percent)} {arrow} {_told(value['after'], percent)}"
        spread = value["deviation_after"]
        cells.append(told if spread is None else f"{told} {more}{_told(spread, percent)}")
    return cells


def _wide(column: list[str]) -> int:
    return max(map(len, column))


def _table(names: list[str], columns: list[list[str]]) -> RenderableType:
    table = Table.grid(padding=(0, _GAP))
    table.add_column(no_wrap=True)
    for _ in columns:
        table.add_column(justify="right", no_wrap=True)
    heads, *rows = zip(["", *names], *columns, strict=True)
    table.add_row(*(Text(name, style="dim") for name in heads))
    for row in rows:
        table.add_row(*row)
    return Padding(table, (0, 0, 0, 2))


def _cases(data: dict[str, Any], width: int) -> RenderableType:
    """What was done to the first cases, one method after another."""
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", max_width=max(20, width - 52))
    for _ in range(4):
        table.add_column(no_wrap=True)
    names = ("prompt", "true, new", "method", "score", "says it")
    table.add_row(*(Text(name, style="dim") for name in names))
    rows = [(case, one) for one in data["methods"] for case in one["cases"][:_CASES]]
    for case, one in rows:
        says = case["after"].get("efficacy_accuracy")
        table.add_row(
            plain(case["prompt"].strip()),
            plain(f"{clipped(case['true'], 10)}, {clipped(case['new'], 10)}"),
            one["method"],
            _told(case["after"].get("score"), True),
            "–" if says is None else "yes" if says == 1 else "no",
        )
    if any(one["count"] > _CASES for one in data["methods"]):
        table.add_row(Text("and more (see --json)", style="dim"))
    return Padding(table, (0, 0, 0, 2))


def _stack(one: dict[str, Any], data: dict[str, Any]) -> RenderableType:
    known = [metric for metric in data["metrics"] if metric["name"] in _STACKED]
    table = Table.grid(padding=(0, 2))
    for _ in range(len(known) + 2):
        table.add_column(justify="right")
    heads = ["edits", "bits per byte", *(_STACKED[metric["name"]] for metric in known)]
    table.add_row(*(Text(name, style="dim") for name in heads))
    table.add_row("0", f"{one['bits_before']:.3f}", *([""] * len(known)))
    for row in one["milestones"]:
        bits = "not finite" if row["bits"] is None else f"{row['bits']:.3f}"
        values = [row["values"].get(metric["name"], {}).get("after") for metric in known]
        told = (
            _told(value, metric["percent"]) for value, metric in zip(values, known, strict=True)
        )
        table.add_row(str(row["edits"]), bits, *told)
    return Padding(table, (0, 0, 0, 2))
