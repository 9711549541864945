"""Which facts a vector holds, as text for a terminal or a pipe, from the data of
`views/fact_holds.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import FOR, as_text, closing, marked_tokens, plain, signed
from molehill.views.words import clipped, percent

__all__ = ["fact_holds_renderable", "fact_holds_text"]

_MOST = 40


def fact_holds_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = fact_holds_renderable(data, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def fact_holds_renderable(data: dict[str, Any], *, ascii_only: bool = False) -> RenderableType:
    """The whole view for rich's console."""
    return Group(*_view(data, ascii_only))


def _view(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    made = data["provenance"]
    title = Text(f"What {data['site']} holds", style="bold")
    yield title.append(f"  {data['method']}, {made['model']}, {made['dtype']}")
    yield Padding(marked_tokens(data["pieces"], {data["at"]: FOR}), (0, 0, 0, 2))
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield Text()
    yield Padding(_rows(data), (0, 0, 0, 2))
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _rows(data: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    heads = ("concept", "z", "product", "above", "random", "held out", "shuffled 95%")
    for number in range(len(heads)):
        table.add_column(justify="right" if number else "left", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in heads))
    for row in data["rows"][:_MOST]:
        control = row["control"]
        style = ("bold" if row["held"] else "") if control["tells"] else "dim"
        told = (
            clipped(row["name"], 20),
            signed(row["z"], 1, plus=True),
            signed(row["product"], plus=True),
            signed(row["above"], plus=True),
            percent(row["quantile"]),
            percent(control["accuracy"]),
            percent(control["shuffled_95"]),
        )
        table.add_row(*(Text(plain(one).plain, style=style) for one in told))
    if len(data["rows"]) > _MOST:
        table.add_row(Text(f"and {len(data['rows']) - _MOST} more", style="dim"))
    return table
