"""Why a head attended, as text for a terminal or a pipe, from the data of `why_data`.

Without a head: the heads to choose from. With one: where it looks, what asked, what answered, and
which pairs of parts met. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from molehill.views.ledger_text import rows_table
from molehill.views.terminal import (
    AGAINST,
    FOR,
    as_text,
    closing,
    heading,
    legend,
    marked_tokens,
    plain,
    scientific,
    signed,
    signed_bars,
)
from molehill.views.words import bare, percent

__all__ = ["MOST_BARS", "MOST_HEADS", "MOST_PAIRS", "why_renderable", "why_text"]

MOST_HEADS = 16
MOST_BARS = 8
MOST_PAIRS = 8


def why_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = why_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def why_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    chosen = data["chosen"]
    yield _title(data, ascii_only)
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    lines = []
    if chosen is None:
        yield from _heads(data, width, ascii_only)
    else:
        yield from _looks(chosen, width, ascii_only)
        for side, doing in (("query", "asked"), ("key", "answered")):
            piece = bare(data[side]["piece"])
            yield heading(f"What {doing}: the rows of {piece} ({data[side]['position']})")
            yield from _side(chosen[side], width, ascii_only)
        yield heading("What met: part of the query with part of the key")
        yield from _pairs(chosen["pairs"], width, ascii_only)
        yield heading("The same score, three times over")
        yield from _sums(chosen)
        lines.append(
            f"Closing error {scientific(chosen['closing_error'])}: the largest of the three sums' "
            "distances from the model's own score."
        )
    yield from closing([*lines, *data["notes"]], data["provenance"], ascii_only=ascii_only)


def _title(data: dict[str, Any], ascii_only: bool) -> RenderableType:
    dot = " - " if ascii_only else " · "
    made, chosen = data["provenance"], data["chosen"]
    title = Text("why", style="bold")
    where = f"head {chosen['layer']}.{chosen['head']}" if chosen else "all heads"
    title.append(f"{dot}{where}{dot}{made['model']}, {made['dtype']}")
    marks = {data["key"]["position"]: AGAINST, data["query"]["position"]: FOR}
    named = (
        f"query {bare(data['query']['piece'])} ({data['query']['position']}){dot}"
        f"key {bare(data['key']['piece'])} ({data['key']['position']})"
    )
    text = marked_tokens(data["pieces"], marks)
    return Group(title, Padding(text, (0, 0, 0, 2)), Padding(plain(named), (0, 0, 0, 2)))


def _heads(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    heads = data["heads"]
    yield heading(f"The {min(MOST_HEADS, len(heads))} heads that attend most, of {len(heads)}")
    bars = [
        (
            f"head {one['layer']}.{one['head']}",
            one["weight"],
            f"{percent(one['weight']):>4}  {_place(one['place'])}",
        )
        for one in heads[:MOST_HEADS]
    ]
    yield signed_bars(bars, width, ascii_only=ascii_only)
    best = heads[0]
    yield legend(
        "The share of the query's attention that the key gets, and its place among all tokens "
        f"there. To go on: --layer {best['layer']} --head {best['head']}. All heads: --json."
    )


def _place(place: int) -> str:
    return "first" if place == 0 else f"no. {place + 1}"


def _looks(chosen: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    """The tokens that this head looks at from the query."""
    yield heading("Where this head looks from the query")
    seen = sorted(chosen["attention"], key=lambda one: -(one["weight"] or 0.0))
    bars = [
        (f"{bare(one['piece'])} ({one['position']})", one["weight"], percent(one["weight"]))
        for one in seen[:MOST_BARS]
    ]
    yield signed_bars(bars, width, ascii_only=ascii_only)
    if left := seen[MOST_BARS:]:
        share = percent(sum(one["weight"] or 0.0 for one in left))
        yield legend(f"{len(left)} more tokens get {share} together.")


def _side(side: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    group = side["groups"]["component"]
    yield signed_bars(_bars(group["entries"], group), width, ascii_only=ascii_only)
    yield Text()
    yield rows_table(side["rows"][:5], width, "score")
    yield legend(f"The 5 largest of {side['rows_count']:,} rows; --json holds more.")


def _bars(entries: Sequence[dict[str, Any]], group: dict[str, Any]) -> list[Any]:
    bars = [
        (one["name"], one["value"], signed(one["value"], plus=True)) for one in entries[:MOST_BARS]
    ]
    left = entries[MOST_BARS:]
    if count := len(left) + group["rest_count"]:
        value = sum(one["value"] or 0.0 for one in left) + (group["rest"] or 0.0)
        bars.append((f"{count:,} others together", value, signed(value, plus=True)))
    return bars


def _pairs(pairs: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    arrow = "->" if ascii_only else "→"
    entries = [
        {"name": f"{one['query']} {arrow} {one['key']}", "value": one["value"]}
        for one in pairs["entries"]
    ]
    bars = _bars(entries, {"rest": 0.0, "rest_count": 0})[:MOST_PAIRS]
    yield signed_bars(bars, width, ascii_only=ascii_only, names=58)
    left = pairs["entries"][MOST_PAIRS:]
    if count := len(left) + pairs["rest_count"]:
        value = sum(one["value"] or 0.0 for one in left) + (pairs["rest"] or 0.0)
        yield legend(f"The other {count:,} pairs add {signed(value, plus=True)} together.")


def _sums(chosen: dict[str, Any]) -> Iterator[RenderableType]:
    sums = chosen["sums"]
    for name, value in (
        ("the query's rows", sums["query"]),
        ("the key's rows", sums["key"]),
        ("pairs of parts", sums["pairs"]),
        ("the model's score", chosen["score"]),
    ):
        yield Text(f"  {name:<18} {signed(value, 6):>12}")
    yield Text(f"  {'attention':<18} {percent(chosen['weight']):>12}")
