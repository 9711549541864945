"""Cards of features and searches for features as text for a terminal or a pipe, from the data of
`views/features_card.py`.

In an example the token that it was chosen for stands in brackets. Words within what chance reaches
are dim, behind a bar. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.strips import strip
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
from molehill.views.words import bare, density_told, numbered, percent

__all__ = ["cards_renderable", "cards_text"]

_BEFORE, _AFTER = 12, 5
_TOP, _OTHERS = 6, 2


def cards_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """All of it as plain text."""
    made = cards_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def cards_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """All of it for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made, dot = data["provenance"], " - " if ascii_only else " · "
    of, search = data["features"], data["search"]
    title = Text(of["name"], style="bold")
    sites = " + ".join(of["reads"])
    yield title.append(f"{dot}{of['count']:,} features{dot}{sites} of {made['model']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    if search is not None:
        yield from _search(search, width)
    else:
        for card in data["cards"]:
            yield from _card(card, data, width, ascii_only)
    yield from closing(data["notes"], made, ascii_only=ascii_only)


# --- cards ----------------------------------------------------------------------------------------


def _card(
    card: dict[str, Any], data: dict[str, Any], width: int, ascii_only: bool
) -> Iterator[RenderableType]:
    label = card["label"]
    yield heading(f"Feature {card['feature']}")
    score = "" if label["kind"] in ("unclear", "weights") else f"  ({_score(label)})"
    yield Padding(Text(label["text"], style="bold").append(score, style="dim"), (0, 0, 0, 2))
    if card["count"] == 0:
        yield legend("Active at no token.")
        return
    yield facts(_figures(card, data, ascii_only))
    for group in card["groups"]:
        share = "" if group["top"] else ", drawn at random"
        span = f"{signed(group['low'])} to {signed(group['high'])}"
        yield legend(f"{group['name']}{share}: {span}")
        for example in group["examples"][: _TOP if group["top"] else _OTHERS]:
            yield _example(example)


def _score(label: dict[str, Any]) -> str:
    kind = label["kind"]
    name = (
        "F1" if kind in ("word", "token", "after", "kind", "after kind", "position") else "held out"
    )
    return f"{name} {label['score']:.2f}, chance {label['chance']:.2f}"


def _figures(
    card: dict[str, Any], data: dict[str, Any], ascii_only: bool
) -> Iterator[tuple[str, str | Text]]:
    if card["count"] is not None:
        yield from _activity(card, ascii_only)
    if card["promoted"]:
        yield "promotes", _words(card["promoted"], data["chance"])
        yield "demotes", _words(card["demoted"], data["chance"])
    for name, key, figure in (("alike", "nearest", "cosine"), ("with it", "together", "share")):
        if card[key]:
            yield name, _relatives(card[key], figure)


def _activity(card: dict[str, Any], ascii_only: bool) -> Iterator[tuple[str, str | Text]]:
    spread = f"mean {signed(card['mean'])}, largest {signed(card['largest'])}"
    yield (
        "active",
        f"at {numbered(card['count'], 'token')}, {density_told(card['density'])}; {spread}",
    )
    heights = card["bars"]["heights"]
    drawn = strip(
        [count**0.5 for count in heights], largest=max(heights) ** 0.5, ascii_only=ascii_only
    )
    ends = [signed(card["bars"]["middles"][place]) for place in (0, -1)]
    yield "values", f"{ends[0]} {drawn} {ends[1]}"


def _relatives(relatives: Sequence[dict[str, Any]], figure: str) -> str:
    told = []
    for one in relatives[:4]:
        value = percent(one[figure]) if figure == "share" else signed(one[figure])
        told.append(f"{one['feature']} {_short(one['label'], 28)} {value}")
    return "; ".join(told)


def _words(words: Sequence[dict[str, Any]], chance: float | None) -> Text:
    line = Text(overflow="fold")
    beyond = True
    for word in words[:7]:
        inside = chance is not None and abs(word["z"]) < chance
        if inside and beyond:
            line.append("| " if not line else " | ", style="dim")
            beyond = False
        elif line:
            line.append(", ", style="dim")
        name = f"{bare(word['piece'])} {signed(word['z'], 1)}"
        line.append(plain(name).plain, style="dim" if inside else "")
    return line


def _example(example: dict[str, Any]) -> RenderableType:
    at = example["at"]
    first, last = max(0, at - _BEFORE), at + _AFTER + 1
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, min_width=7)
    table.add_column(overflow="fold")
    shown = marked_tokens(example["pieces"][first:last], {at - first: FOR})
    if example["times"] > 1:
        shown.append(f" ({example['times']} times)", style="dim")
    table.add_row(signed(example["value"]), shown)
    return Padding(table, (0, 0, 0, 2))


# --- searches -------------------------------------------------------------------------------------


def _search(search: dict[str, Any], width: int) -> Iterator[RenderableType]:
    if "pieces" in search:
        marks = dict.fromkeys(search["places"][:3], FOR)
        yield Padding(marked_tokens(search["pieces"], marks), (1, 0, 0, 2))
    for each in search["lists"]:
        yield heading(f"Features {each['name']}")
        yield Padding(_list(each, width), (0, 0, 0, 2))


def _list(each: dict[str, Any], width: int) -> Table:
    """One list of a search, its labels cut where the line ends."""
    heads = ["feature", *each["heads"], "density"]
    lines = []
    for row in each["rows"]:
        given = zip(row["cells"], each["heads"], strict=True)
        cells = [_cell(cell, head) for cell, head in given]
        lines.append([str(row["feature"]), *cells, density_told(row["density"])])
    widths = [max(map(len, column)) for column in zip(heads, *lines, strict=True)]
    room = max(16, width - 2 - sum(widths) - 2 * len(widths))
    table = Table.grid(padding=(0, 2))
    for name, wide in zip(heads, widths, strict=True):
        table.add_column(
            justify="left" if name == "token" else "right", no_wrap=True, min_width=wide
        )
    table.add_column(no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in (*heads, "label")))
    for row, line in zip(each["rows"], lines, strict=True):
        table.add_row(*line, plain(_short(row["label"], room)))
    return table


def _short(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1].rstrip()}…"


def _cell(cell: Any, head: str) -> str:
    if isinstance(cell, str):
        return bare(cell)
    return percent(cell) if head in ("largest", "random") else signed(cell)
