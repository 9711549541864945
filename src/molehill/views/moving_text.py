"""A vector moved by hand as text for a terminal or a pipe, from the data of `moving_data`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.moving import WAYS
from molehill.views.terminal import as_text, closing, heading, legend, marked_tokens, plain
from molehill.views.words import bare, percent, visible

__all__ = ["moving_renderable", "moving_text"]

_MOST_STRENGTHS = 5


def moving_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = moving_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def moving_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    made = data["provenance"]
    title = Text()
    title.append("moving", style="bold")
    title.append(visible(f"{dot}{data['direction']['name']}{dot}{made['model']}, {made['dtype']}"))
    yield title
    yield Padding(marked_tokens(data["pieces"], {data["position"]: "bold"}), (0, 0, 1, 2))
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    for way, name in WAYS.items():
        yield heading(name[0].upper() + name[1:])
        if any(row["pieces"] for row in data[way]):
            yield _texts(data, way)
        yield _words(data, way, width)
    yield legend("Each word's probability as the next one, by strength; 0 is the unmoved vector.")
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _shown(data: dict[str, Any], most: int) -> list[int]:
    """Some strengths, even ones: both ends and the unmoved."""
    last, zero = len(data["strengths"]) - 1, data["unmoved"]
    even = {round(last * step / (most - 1)) for step in range(most)} if most > 1 else set()
    return sorted({*even, zero})


def _texts(data: dict[str, Any], way: str) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, style="dim", min_width=5)
    table.add_column(overflow="fold")
    for at in _shown(data, _MOST_STRENGTHS):
        written = Text("…", "dim").append(visible(data[way][at]["text"]), "default")
        table.add_row(f"{data['strengths'][at]:+g}" if at != data["unmoved"] else "0", written)
    return Padding(table, (0, 0, 1, 2))


def _words(data: dict[str, Any], way: str, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis")
    shown = _shown(data, max(3, min(_MOST_STRENGTHS, (width - 20) // 8)))
    for _ in shown:
        table.add_column(justify="right", no_wrap=True)
    heads = [f"{data['strengths'][at]:+g}" if at != data["unmoved"] else "0" for at in shown]
    table.add_row(Text("word", "dim"), *(Text(head, "dim") for head in heads))
    for word in data["words"][:8]:
        told = [percent(word[way][at]) for at in shown]
        table.add_row(plain(bare(word["piece"])), *told)
    far = [f"{data[way][at]['divergence']:.2g}" for at in shown]
    table.add_row(Text("nats away", "dim"), *(Text(value, "dim") for value in far))
    return Padding(table, (0, 0, 0, 2))
