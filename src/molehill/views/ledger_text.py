"""A ledger as text for a terminal or a pipe, from the data of `ledger_data`.

It says the point first, then what groups of rows add up to as signed bars, then the largest rows.
This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import (
    FOR,
    as_text,
    closing,
    facts,
    heading,
    legend,
    marked_tokens,
    plain,
    scientific,
    signed,
    signed_bars,
)
from molehill.views.words import bare, percent

__all__ = ["MOST_BARS", "ledger_renderable", "ledger_text", "rows_table"]

MOST_BARS = 16
"""So many groups have a bar; what the others add up to is the last."""

_NAMES = {
    "kind": "kind of row",
    "component": "part of the model",
    "layer": "layer",
    "head": "head",
    "source": "source token",
    "neuron": "neuron",
    "feature": "feature",
}


def ledger_text(
    data: dict[str, Any],
    *,
    width: int = 80,
    by: str = "component",
    top: int = 12,
    ascii_only: bool = False,
) -> str:
    """The whole view as plain text."""
    made = ledger_renderable(data, width=width, by=by, top=top, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def ledger_renderable(
    data: dict[str, Any],
    *,
    width: int = 80,
    by: str = "component",
    top: int = 12,
    ascii_only: bool = False,
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns.

    Args:
        by: the axis by which rows are added up.
        top: how many single rows are listed.
    """
    return Group(*_parts(data, min(width, 120), by, top, ascii_only))


def _parts(
    data: dict[str, Any], width: int, by: str, top: int, ascii_only: bool
) -> Iterator[RenderableType]:
    read = data["read"]
    scored = read["what"] == "score"
    yield _title(data, ascii_only)
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield Text()
    yield _figures(data)
    yield heading(f"What adds up to the {read['what']}, by {_NAMES[by]}")
    yield signed_bars(_bars(data, by), width, ascii_only=ascii_only)
    unit = "in units of the score" if scored else "along the vector itself"
    yield legend(f"Values {unit}; all of them add up to {signed(read['total'], 4)}.")
    yield heading(f"The {min(top, len(data['rows']))} largest of {data['rows_count']:,} rows")
    yield rows_table(data["rows"][:top], width, read["what"])
    yield legend(_left_out(data, top))
    yield from closing(_sure(data), data["provenance"], ascii_only=ascii_only)


def _title(data: dict[str, Any], ascii_only: bool) -> RenderableType:
    dot = " - " if ascii_only else " · "
    made = data["provenance"]
    title = Text()
    title.append("ledger", style="bold")
    title.append(f"{dot}at {data['point']['name']}{dot}{made['model']}, {made['dtype']}")
    marks = {place: FOR for place in data["token"]["positions"]}
    return Group(title, Padding(marked_tokens(data["pieces"], marks), (0, 0, 0, 2)))


def _figures(data: dict[str, Any]) -> RenderableType:
    read = data["read"]
    entries = [
        ("carried by", f"{data['token']['carried_by']}, {data['token']['piece']!r}"),
        ("point", f"{data['point']['name']}, {data['point']['after']}"),
        ("rows", f"{data['rows_count']:,}"),
        ("length", signed(data["length"], 4)),
    ]
    if data["between"]:
        entries.insert(2, ("from", f"{data['between']['name']}, {data['between']['after']}"))
    if read["what"] == "score":
        entries += [
            ("toward", f"{read['piece']!r}, token {read['token']}"),
            ("constant", signed(read["constant"], 4)),
            ("sum", f"{signed(read['total'], 6)} (rows and constant)"),
            ("measured", f"{signed(read['measured'], 6)} (the model's own score)"),
        ]
    near = [
        f"{bare(one['piece'])} {percent(one['probability'])}"
        if "probability" in one
        else f"{bare(one['piece'])} {signed(one['score'])}"
        for one in data["next"]
    ]
    name = "next word" if data["next"] and "probability" in data["next"][0] else "nearest"
    entries.append((name, ", ".join(near)))
    return facts(entries)


def _bars(data: dict[str, Any], by: str) -> list[tuple[str, float | None, str]]:
    """A bar per group; those that are not drawn add up to the last one. Layers are all drawn."""
    groups, read = data["groups"][by], data["read"]
    entries = groups["entries"]
    kept = entries if by == "layer" else entries[:MOST_BARS]
    scored = read["what"] == "score"
    bars = [(entry["name"], entry["value"], _told(entry, scored)) for entry in kept]
    others = entries[len(kept) :]
    if count := len(others) + groups["rest_count"]:
        value = sum(entry["value"] or 0.0 for entry in others) + (groups["rest"] or 0.0)
        share = value / read["measured"] if (read["measured"] or 0.0) > 0 else None
        told = _told({"value": value, "share": share}, scored)
        bars.append((f"{count:,} others together", value, told))
    return bars


def _told(entry: dict[str, Any], scored: bool) -> str:
    if scored or entry["share"] is None:
        return signed(entry["value"], plus=True)
    return f"{signed(entry['value'], plus=True)} {percent(entry['share']):>5}"


def rows_table(rows: Sequence[dict[str, Any]], width: int, what: str) -> RenderableType:
    """Single rows with their length, cosine and share."""
    table = Table.grid(padding=(0, 2))
    narrow = width < 64
    heads = ["row", "from", "length", "cosine", what if what == "score" else "along", "share"]
    if narrow:
        heads = [*heads[:2], *heads[4:]]
    for index, _ in enumerate(heads):
        kind: dict[str, Any] = {"no_wrap": True, "justify": "right" if index > 1 else "left"}
        if index < 2:
            kind["overflow"] = "ellipsis"
        table.add_column(**kind)
    table.add_row(*(Text(head, style="dim") for head in heads))
    for row in rows:
        source = f"{bare(row['piece'])} ({row['source']})" if "piece" in row else ""
        numbers = [signed(row["norm"]), signed(row["cosine"])]
        told = [plain(row["name"]), plain(source), *([] if narrow else numbers)]
        share = "" if row["share"] is None else percent(row["share"])
        table.add_row(*told, signed(row["value"], plus=True), share)
    return Padding(table, (0, 0, 0, 2))


def _left_out(data: dict[str, Any], top: int) -> str:
    shown = min(top, len(data["rows"]))
    left = data["rows_count"] - shown
    named = sum(row["value"] or 0.0 for row in data["rows"][:shown])
    total = (data["read"]["total"] or 0.0) - (data["read"]["constant"] or 0.0)
    direction = "the word's direction" if data["read"]["what"] == "score" else "the vector"
    told = f"Cosine to {direction}."
    if not left:
        return told
    rest = signed(total - named, plus=True)
    return (
        f"{told} The other {left:,} rows add {rest} together; --top shows more, --json holds more."
    )


def _sure(data: dict[str, Any]) -> list[str]:
    error, read = data["closing_error"], data["read"]
    lines = [
        f"Closing error {scientific(error['relative'])}: the distance between the sum of the rows "
        f"and the model's own vector, against its length (largest difference in any coordinate "
        f"{scientific(error['largest'])}).",
    ]
    if read["what"] == "score":
        lines.append(
            f"Score: the rows and the constant give {signed(read['total'], 6)}, the model "
            f"{signed(read['measured'], 6)}; {scientific(read['closing_error'])} apart."
        )
    return [*lines, *data["notes"]]
