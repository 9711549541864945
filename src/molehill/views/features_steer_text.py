"""Steering as text for a terminal or a pipe, from the data of `steer_data`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, closing, heading, legend, plain
from molehill.views.words import bare, percent, visible

__all__ = ["steer_renderable", "steer_text"]


def steer_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = steer_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def steer_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    made = data["provenance"]
    title = Text()
    title.append("steering", style="bold")
    title.append(visible(f"{dot}{data['features']['name']}{dot}{made['model']}, {made['dtype']}"))
    yield title
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield heading("What is written")
    yield _texts(data)
    yield heading("The next word")
    yield _words(data, width)
    yield legend("Each word's probability as the first that is written, by strength.")
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _texts(data: dict[str, Any]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, style="dim", min_width=8)
    table.add_column(overflow="fold")
    for run in data["runs"]:
        name = "without" if not run["strength"] else f"times {run['strength']:g}"
        told = Text(visible(data["prompt"]), style="dim").append(visible(run["text"]), "default")
        table.add_row(name, told)
    return Padding(table, (0, 0, 0, 2))


def _words(data: dict[str, Any], width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis")
    runs = data["runs"]
    fits = max(2, (width - 20) // 10)
    shown = list(range(len(runs)))
    shown = shown if len(shown) <= fits else [0, *shown[len(shown) - fits + 1 :]]
    for _ in shown:
        table.add_column(justify="right", no_wrap=True)
    heads = [f"{runs[at]['strength']:g}" for at in shown]
    table.add_row(Text("word", "dim"), *(Text(head, "dim") for head in heads))
    for word in data["words"][:12]:
        told = [percent(word["probabilities"][at]) for at in shown]
        table.add_row(plain(bare(word["piece"])), *told)
    return Padding(table, (0, 0, 0, 2))
