"""What fires in a text as text for a terminal or a pipe, from the data of
`views/features_here.py`. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, closing, heading, plain, signed
from molehill.views.words import bare, percent

__all__ = ["here_renderable", "here_text"]

_OF_A_TOKEN = 3


def here_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """All of it as plain text."""
    made = here_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def here_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """All of it for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, ascii_only))


def _parts(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    of = data["features"]
    title = Text(of["name"], style="bold")
    yield title.append(f"{dot}{data['site']} of {data['provenance']['model']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield heading("Token by token")
    yield _tokens(data)
    yield from closing(data["notes"], data["provenance"], ascii_only=ascii_only)


def _tokens(data: dict[str, Any]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("token", "left out", "strongest features", style="dim")
    for token in data["tokens"]:
        if not token["looked_at"]:
            table.add_row(plain(bare(token["piece"])), "", "not looked at", style="dim")
            continue
        told = "; ".join(
            f"{one['feature']} {one['label']} {signed(one['value'])}".replace("  ", " ")
            for one in token["strongest"][:_OF_A_TOKEN]
        )
        table.add_row(plain(bare(token["piece"])), percent(token["error"]), plain(told))
    return Padding(table, (0, 0, 0, 2))
