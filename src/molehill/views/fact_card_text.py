"""A fact's card as text for a terminal or a pipe, from the data of `views/fact_card.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.fact_card import LISTS, beyond
from molehill.views.fact_trace import amount
from molehill.views.terminal import (
    FOR,
    as_text,
    closing,
    facts,
    heading,
    legend,
    marked_tokens,
    plain,
    signed,
)
from molehill.views.words import bare, clipped, percent

__all__ = ["fact_card_renderable", "fact_card_text"]

_NARROW = 72
"""Below so many columns shares and means are left out."""
_KINDS = {"state": "state", "mlp": "MLP", "attention": "attention"}


def fact_card_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole card as plain text."""
    made = fact_card_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def fact_card_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole card for rich's console, laid out for `width` columns."""
    return Group(*_card(data, min(width, 120), ascii_only))


def _card(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made, dot = data["provenance"], " - " if ascii_only else " · "
    yield Text("a fact's card", style="bold").append(f"{dot}{made['model']}, {made['dtype']}")
    subject = {row["position"]: FOR for row in data["rows"] if row["subject"]}
    asked = marked_tokens([row["name"] for row in data["rows"]], subject)
    arrow = " > " if ascii_only else " → "
    yield Padding(asked.append(arrow).append(plain(data["object"])), (0, 0, 0, 2))
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield heading("Is it known")
    yield _wordings(data["asked"], width)
    if data["carriers"]:
        yield heading("What carries it")
        yield _carriers(data["carriers"])
    for name, title in LISTS.items():
        if data[name]:
            yield heading(title)
            yield _parts(data[name], name, width < _NARROW)
        if name == "neurons" and data["against"]:
            told = [f"{one['label']} {signed(one['toward'])}" for one in data["against"]]
            yield facts([("against it", ", ".join(told))])
    if data["groups"]:
        yield heading("Switched off together")
        yield _groups(data["groups"], width < _NARROW)
        yield legend(
            "Left: the object's probability without it. Change: of its log probability, in nats. "
            "Random: the same for random parts of that layer, mean and range (where there is "
            "little room, the range). * lost more than "
            "with any of five or more of these."
        )
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _wordings(asked: Iterable[dict[str, Any]], width: int) -> RenderableType:
    return facts(
        (
            clipped(one["prompt"], max(20, width // 2 - 10)),
            f"{amount(one['probability'])}, rank {one['rank'] + 1:,}" + _goes_on(one["said"]),
        )
        for one in asked
    )


def _goes_on(said: str | None) -> str:
    if said is None:
        return ""
    return f"; goes on: {' '.join(said.split())}" if said.strip() else "; ends there"


def _carriers(carriers: Iterable[dict[str, Any]]) -> RenderableType:
    table = _table(("restored", "at", "layer", "brings back", "of the total"), left=(0, 1))
    for one in carriers:
        window = f", {one['window']} layers" if one["window"] > 1 else ""
        where = "" if one["place"] == "subject" else " (after the subject)"
        table.add_row(
            f"{_KINDS[one['kind']]}{window}",
            plain(f"{bare(one['piece'])}{where}"),
            str(one["layer"]),
            amount(one["effect"]),
            "" if one["share"] is None else percent(one["share"]),
        )
    return Padding(table, (0, 0, 0, 2))


def _parts(parts: Iterable[dict[str, Any]], name: str, narrow: bool) -> RenderableType:
    own = {"heads": ("from", "adds", "share"), "neurons": ("adds", "share")}.get(name, ("length",))
    if narrow:
        own = tuple(column for column in own if column != "share")
    left = (0, 1) if name == "heads" else (0,)
    table = _table(("", *own, "left", "change", "random"), left=left)
    for one in parts:
        source = "" if one["source_piece"] is None else clipped(bare(one["source_piece"]), 12)
        told = {
            "from": plain(source),
            "adds": signed(one["toward"], plus=True),
            "share": "" if one["share"] is None else percent(one["share"]),
            "length": signed(one["size"]),
        }
        table.add_row(one["label"], *(told[column] for column in own), *_changed(one, narrow))
    return Padding(table, (0, 0, 0, 2))


def _groups(groups: Iterable[dict[str, Any]], narrow: bool) -> RenderableType:
    table = _table(("", "parts", "left", "change", "random"), left=(0,))
    for one in groups:
        table.add_row(one["title"], str(one["parts"]), *_changed(one, narrow))
    return Padding(table, (0, 0, 0, 2))


def _changed(one: dict[str, Any], narrow: bool) -> tuple[str, str, str]:
    control = one["control"]
    mark = "*" if beyond(one) else " "
    beside = "none left"
    if control is not None:
        ends = f"{signed(control['low'])} to {signed(control['high'])}"
        beside = ends if narrow else f"{signed(control['mean'])} ({ends})"
    return amount(one["left"]), f"{signed(one['log_probability'], plus=True)}{mark}", beside


def _table(heads: tuple[str, ...], *, left: tuple[int, ...]) -> Table:
    table = Table(box=None, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(heads):
        table.add_column(
            name,
            justify="left" if place in left else "right",
            header_style="dim",
            overflow="fold" if place in left else "ellipsis",
            no_wrap=place not in left,
        )
    return table
