"""A graph of direct effects as text, from the data of `graph_data`: each word and each feature that
matters, with what made it.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, closing, heading, legend, plain, signed
from molehill.views.words import visible

__all__ = ["graph_renderable", "graph_text"]


def graph_text(
    data: dict[str, Any], *, width: int = 80, top: int = 12, ascii_only: bool = False
) -> str:
    """The whole view as plain text."""
    made = graph_renderable(data, width=width, top=top, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def graph_renderable(
    data: dict[str, Any], *, width: int = 80, top: int = 12, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console.

    Args:
        top: how many features are told with their parts.
    """
    return Group(*_parts(data, top, ascii_only))


def _parts(data: dict[str, Any], top: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    made = data["provenance"]
    title = Text()
    title.append("graph", style="bold")
    title.append(visible(f"{dot}{data['prompt']}{dot}{made['model']}, {made['dtype']}"))
    yield title
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    nodes = data["nodes"]
    yield heading("What makes the words")
    words = [number for number, node in enumerate(nodes) if node["kind"] == "logit"]
    yield _table(data, words, dot)
    features = [number for number, node in enumerate(nodes) if node["kind"] == "feature"]
    features.sort(key=lambda number: -(nodes[number]["influence"] or 0.0))
    if features:
        yield heading(f"The {min(top, len(features))} features that matter most")
        yield _table(data, features[:top], dot)
    yield legend(
        "Each with its value and its largest parts; `others` are parts that are not in the graph, "
        "and all of them with the biases add up to the value."
    )
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _table(data: dict[str, Any], chosen: list[int], dot: str) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold", ratio=2)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", ratio=3)
    for number in chosen:
        node = data["nodes"][number]
        told = plain(dot.join(_made_of(data, number)))
        table.add_row(plain(node["name"]), signed(node["value"]), told)
    return Padding(table, (0, 0, 0, 2))


def _made_of(data: dict[str, Any], number: int, most: int = 4) -> list[str]:
    node = data["nodes"][number]
    parts = [(source, weight) for source, target, weight in data["edges"] if target == number]
    parts.sort(key=lambda part: -abs(part[1]))
    told = [
        f"{data['nodes'][source]['name']} {signed(weight, plus=True)}"
        for source, weight in parts[:most]
    ]
    rest = sum(weight for _, weight in parts[most:]) + (node["unlisted"] or 0.0)
    told.append(f"others {signed(rest, plus=True)}")
    told.append(f"biases {signed(node['bias'], plus=True)}")
    return told
