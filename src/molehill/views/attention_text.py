"""Attention as text for a terminal or a pipe, from the data of `attention_data` or `head_data`.

This module knows no model.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import (
    FOR,
    as_text,
    closing,
    heading,
    legend,
    marked_tokens,
    plain,
    signed,
    signed_bars,
)
from molehill.views.words import bare, clipped, percent

__all__ = [
    "MOST_HEADS",
    "MOST_KEYS",
    "MOST_QUERIES",
    "attention_renderable",
    "attention_text",
    "matrix_of",
]

MOST_HEADS = 12
MOST_QUERIES = 24
MOST_KEYS = 3
_COLUMNS = ("previous", "first", "itself", "induction", "entropy", "distance", "adds", "toward")
_SHORT = {
    "previous": "before",
    "first": "first",
    "itself": "itself",
    "induction": "induct.",
    "entropy": "bits",
    "distance": "far",
    "adds": "adds",
    "toward": "along",
}


def attention_text(
    data: dict[str, Any], *, by: str = "toward", width: int = 80, ascii_only: bool = False
) -> str:
    """The whole view as plain text."""
    made = attention_renderable(data, by=by, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def attention_renderable(
    data: dict[str, Any],
    *,
    by: str = "toward",
    large: bool = True,
    width: int = 80,
    ascii_only: bool = False,
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns.

    Args:
        by: the measure that heads are listed by.
        large: whether the chosen head is shown token by token.
    """
    return Group(*_parts(data, by, large, min(width, 120), ascii_only))


def matrix_of(data: dict[str, Any], name: str) -> np.ndarray:
    """A matrix of the chosen head [query, key]: `pattern`, `toward`, or `added`."""
    head, count = data["head"], len(data["pieces"])
    if name == "added":
        divisors = np.array(head["divisors"] or [1.0] * count, dtype=float)
        sizes = np.array([size or 0.0 for size in head["sizes"]])
        return matrix_of(data, "pattern") * sizes[None, :] / divisors[:, None]
    flat = np.frombuffer(base64.b64decode(head[name]["halves"]), "<f2").astype(float)
    if not data["causal"]:
        return flat.reshape(count, count) * head[name]["scale"]
    made = np.zeros((count, count))
    made[np.tril_indices(count)] = flat * head[name]["scale"]
    return made


def _parts(
    data: dict[str, Any], by: str, large: bool, width: int, ascii_only: bool
) -> Iterator[RenderableType]:
    yield _title(data, ascii_only)
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    if "values" in data:
        yield from _heads(data, by)
    if large:
        yield from _head(data, width, ascii_only)
    yield from closing(data["notes"], data["provenance"], ascii_only=ascii_only)


def _title(data: dict[str, Any], ascii_only: bool) -> RenderableType:
    dot = " - " if ascii_only else " · "
    made, toward = data["provenance"], data["toward"]
    title = Text("attention", style="bold")
    title.append(f"{dot}{made['model']}, {made['dtype']}")
    return Group(
        title,
        Padding(marked_tokens(data["pieces"], {toward["position"]: FOR}), (0, 0, 0, 2)),
    )


def _heads(data: dict[str, Any], by: str) -> Iterator[RenderableType]:
    """The heads with most of a measure, with their other measures."""
    measures = {one["name"]: one for one in data["measures"]}
    measure = measures[by]
    ranked = sorted(
        (
            (abs(value), layer, head)
            for layer, row in enumerate(data["values"][by])
            for head, value in enumerate(row)
            if value is not None
        ),
        key=lambda one: -one[0],
    )
    whole = data["layers"] * data["heads_per_layer"]
    yield heading(f"Heads by: {measure['title']} ({min(MOST_HEADS, len(ranked))} of {whole})")
    if not ranked:
        yield legend("There is nothing to measure in this text.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("head", no_wrap=True)
    shown = [name for name in (*_COLUMNS, by) if name in measures]
    shown = list(dict.fromkeys(shown))
    for name in shown:
        title = _SHORT.get(name, name)
        table.add_column(title, justify="right", style="bold" if name == by else "", no_wrap=True)
    for _, layer, head in ranked[:MOST_HEADS]:
        cells = [_told(measures[name], data["values"][name][layer][head]) for name in shown]
        table.add_row(f"{layer}.{head}", *cells)
    yield Padding(table, (0, 0, 0, 2))
    yield legend(measure["told"])
    yield legend(f"To see one: --layer {ranked[0][1]} --head {ranked[0][2]}. All of them: --json.")


def _told(measure: dict[str, Any], value: float | None) -> str:
    if value is None:
        return ""
    if measure["unit"] == "share":
        return percent(value)
    return signed(value, 1 if measure["unit"] in ("tokens", "bits") else 2, plus=measure["signed"])


def _head(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    """Where the chosen head looks: from every token in short, from the chosen one in full."""
    head, pieces, at = data["head"], data["pieces"], data["toward"]["position"]
    name = f"{head['layer']}.{head['head']}"
    pattern = matrix_of(data, "pattern")
    yield heading(f"Head {name}: where each token looks")
    first = max(0, len(pieces) - MOST_QUERIES)
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True, max_width=24)
    table.add_column(no_wrap=True, overflow="ellipsis")
    for query in range(first, len(pieces)):
        table.add_row(
            plain(f"{_piece(pieces, query)} ({query})"), plain(_keys(pieces, pattern[query]))
        )
    yield Padding(table, (0, 0, 0, 2))
    if first:
        yield legend(f"{first} tokens before these; --query N shows any of them in full.")
    yield heading(f"Head {name} from {_piece(pieces, at)} ({at})")
    toward = matrix_of(data, "toward")[at]
    added = matrix_of(data, "added")[at]
    best = np.argsort(-pattern[at], kind="stable")[:8]
    bars = [
        (
            f"{_piece(pieces, key)} ({key})",
            float(pattern[at, key]),
            f"{percent(float(pattern[at, key])):>4}  adds {signed(float(added[key]))}"
            f"  along {signed(float(toward[key]), plus=True)}",
        )
        for key in map(int, best)
        if pattern[at, key] > 0
    ]
    yield signed_bars(bars, width, ascii_only=ascii_only)
    piece = data["toward"]["piece"]
    what = f"toward {bare(piece)}" if piece else "along the token's own move"
    yield legend(
        "The share of attention; the length of the vector that is added from there; "
        f"and how much of it goes {what}."
    )


def _keys(pieces: Sequence[str], row: np.ndarray) -> str:
    best = np.argsort(-row, kind="stable")[:MOST_KEYS]
    return ", ".join(
        f"{_piece(pieces, key)} ({key}) {percent(float(row[key]))}"
        for key in map(int, best)
        if row[key] >= 0.005
    )


def _piece(pieces: Sequence[str], place: int) -> str:
    return clipped(bare(pieces[place]), 18)
