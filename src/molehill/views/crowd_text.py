"""Many uses of one word as text for a terminal or a pipe, from the data of `crowd_data`.

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
from molehill.views.words import clipped, visible

__all__ = ["crowd_renderable", "crowd_text"]

_EXAMPLES = 3


def crowd_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = crowd_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def crowd_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    made = data["provenance"]
    title = Text()
    title.append(visible(data["word"]), style="bold")
    title.append(f"{dot}{len(data['sentences']):,} sentences{dot}")
    title.append(visible(f"{made['model']}, {made['dtype']}"))
    yield title
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield heading("Groups")
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for one in data["groups"]:
        table.add_row(f"{one['count']:,}", Text(visible(", ".join(one["words"])), "bold"))
        mine = [each for each in data["sentences"] if each["group"] == one["number"]]
        for each in mine[:_EXAMPLES]:
            table.add_row("", plain(clipped("".join(each["shown"]), width - 12)))
    yield Padding(table, (0, 0, 0, 2))
    yield legend(f"The first {_EXAMPLES} sentences of each group; the page has all of them.")
    yield from closing(data["notes"], made, ascii_only=ascii_only)
