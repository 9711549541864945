"""Why a head attended, as data: what `--json` prints, the page draws and the text is written from.

One attention score three times over: as the sum of the query's rows, of the key's rows, and of
pairs of components of both. Without a head it is the list of all heads by how much they attend from
the query to the key, to choose from. The schema is described in docs/howto/ledger.md. This module
knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molehill.journey.ledger import Reading
from molehill.journey.unknown import unknown_note, unknown_words
from molehill.journey.why import AttendingHead, WhyAttended
from molehill.language_model import LanguageModel
from molehill.views.ledger import grouped, reading_rows, summed_kinds
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import bare, component, enumerated, percent, significant

__all__ = ["MOST_COMPONENTS", "MOST_PAIRS", "SCHEMA", "why_data"]

SCHEMA = "molehill.why/1"

MOST_COMPONENTS = 14
"""How many components of each side have a row or column of the grid; the others share one."""

MOST_PAIRS = 40


def why_data(
    lm: LanguageModel,
    text: str,
    query: int,
    key: int,
    heads: Sequence[AttendingHead],
    why: WhyAttended | None,
    *,
    top: int = 20,
    version: str,
    digits: int | None = None,
) -> dict[str, Any]:
    """Everything that the views of a score show, as plain values without NaN or infinities.

    Args:
        query, key: the two tokens' positions, counted from the start.
        heads: every head, as `attending_heads` gives them.
        why: the score that was taken apart; None where no head was chosen.
        top: how many rows of each kind are named on each side.
        version: of Molehill, for the provenance.
        digits: significant digits; None gives what the dtype carries, 7 or 15.
    """
    digits = digits or digits_of(lm)
    tokens = lm.encode([text])
    pieces = list(tokens.pieces[0])
    unread = unknown_note([unknown_words(lm, tokens)])
    data = {
        "schema": SCHEMA,
        "summary": [],
        "text": text,
        "pieces": pieces,
        "query": {"position": query, "piece": pieces[query]},
        "key": {"position": key, "piece": pieces[key]},
        "layers": lm.config.n_layers,
        "heads_per_layer": lm.config.n_heads,
        "heads": [
            {
                "layer": one.layer,
                "head": one.head,
                "weight": significant(one.weight, min(digits, 5)),
                "place": one.place,
            }
            for one in heads
        ],
        "chosen": None if why is None else _chosen(why, pieces, top, digits),
        "notes": [*_notes(why), *([unread] if unread else [])],
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def _chosen(why: WhyAttended, pieces: Sequence[str], top: int, digits: int) -> dict[str, Any]:
    seen = [
        {"position": place, "piece": piece, "weight": significant(weight, min(digits, 5))}
        for place, (piece, weight) in enumerate(zip(pieces, why.pattern.tolist(), strict=True))
    ]
    grid = why.grid.double()
    return {
        "layer": why.layer,
        "head": why.head,
        "score": significant(why.score, digits),
        "weight": significant(why.weight, digits),
        "attention": seen,
        "sums": {
            "query": significant(why.by_query.total, digits),
            "key": significant(why.by_key.total, digits),
            "pairs": significant(float(grid.sum()), digits),
        },
        "closing_error": significant(why.closing_error, 3),
        "query": _side(why.by_query, "query", top, digits),
        "key": _side(why.by_key, "key", top, digits),
        "grid": _grid(grid, why.query_components, why.key_components, digits),
        "pairs": _pairs(grid, why.query_components, why.key_components, digits),
    }


def _side(reading: Reading, side: str, top: int, digits: int) -> dict[str, Any]:
    """One side's rows: what they add up to, by kind, component and source, and the largest ones."""
    groups = {axis: grouped(reading, axis, digits) for axis in ("component", "source", "head")}
    for group in groups.values():
        for entry in group["entries"]:
            if entry["name"] == "the reader's own bias":
                entry["name"] = f"{side} bias"
    return {
        "constant": significant(reading.constant, digits),
        "rows_count": len(reading.ledger),
        "kinds": summed_kinds(reading, digits),
        "groups": groups,
        **reading_rows(reading, top, digits),
    }


def _grid(
    grid: Tensor, query_names: Sequence[str], key_names: Sequence[str], digits: int
) -> dict[str, Any]:
    """The components with the largest entries, in the model's order, and what all others add up
    to, so that the cells still add up to the score."""
    rows, columns = (_largest(grid.abs().sum(axis)) for axis in (1, 0))
    small = _gathered(_gathered(grid, rows).T, columns).T
    return {
        "query": [component(query_names[row]) for row in rows],
        "key": [component(key_names[column]) for column in columns],
        "query_others": len(query_names) - len(rows),
        "key_others": len(key_names) - len(columns),
        "values": [[significant(value, min(digits, 6)) for value in row] for row in small.tolist()],
    }


def _largest(sizes: Tensor) -> list[int]:
    """The places of the largest, in their order; of a few, all that are not nothing."""
    kept = sizes.topk(min(MOST_COMPONENTS, len(sizes)))
    return sorted(
        place
        for place, size in zip(kept.indices.tolist(), kept.values.tolist(), strict=True)
        if size != 0
    )


def _gathered(grid: Tensor, rows: Sequence[int]) -> Tensor:
    """Those rows, and below them the sum of the others, where there are any."""
    kept = torch.zeros(len(grid), dtype=torch.bool)
    kept[list(rows)] = True
    if bool(kept.all()):
        return grid
    return torch.cat([grid[kept], grid[~kept].sum(0, keepdim=True)])


def _pairs(
    grid: Tensor, query_names: Sequence[str], key_names: Sequence[str], digits: int
) -> dict[str, Any]:
    """The largest pairs of components, and what all others add up to."""
    flat = grid.flatten()
    places = flat.abs().topk(min(MOST_PAIRS, len(flat))).indices.tolist()
    entries = [
        {
            "query": component(query_names[place // len(key_names)]),
            "key": component(key_names[place % len(key_names)]),
            "value": significant(float(flat[place]), digits),
        }
        for place in places
    ]
    shown = float(flat[places].sum())
    return {
        "entries": entries,
        "rest": significant(float(flat.sum()) - shown, digits),
        "rest_count": len(flat) - len(places),
    }


# --- in words ---------------------------------------------------------------------------------


def _notes(why: WhyAttended | None) -> list[str]:
    notes = [
        "A word of several tokens is represented by its last one: a score has one query and one "
        "key.",
    ]
    if why is not None:
        notes.append(
            "Attention is a softmax over all keys: what raises every key's score alike changes no "
            "weight."
        )
        notes.append(
            "Norms' divisors are held at the values of this run and rotations are carried, so the "
            "sums are exact."
        )
    return notes


def _summary(data: dict[str, Any]) -> list[str]:
    query, key = _quoted(data["query"]["piece"]), _quoted(data["key"]["piece"])
    chosen = data["chosen"]
    heads = data["heads"]
    if chosen is None:
        best = [f"{one['layer']}.{one['head']} ({percent(one['weight'])})" for one in heads[:3]]
        first = sum(one["place"] == 0 for one in heads)
        return [
            f"From {query} to {key} attend most: heads {enumerated(best)}.",
            f"In {first} of {len(heads)} heads {key} gets more than any other token. "
            "Choose one with --layer and --head.",
        ]
    others = sum(one["weight"] > chosen["weight"] for one in chosen["attention"])
    place = "more than any other token" if not others else f"{others} tokens get more"
    return [
        f"Head {chosen['layer']}.{chosen['head']} gives {key} {percent(chosen['weight'])} of the "
        f"attention of {query} ({place}); the score behind it is {_number(chosen['score'])}.",
        f"What asked, in {query}: {_most(chosen['query'])}.",
        f"What answered, in {key}: {_most(chosen['key'])}.",
        _by_pair(chosen["pairs"]["entries"]),
        "Nothing is left out: the rows of either side, and the pairs, add up to the score, to "
        f"within {chosen['closing_error']:.1e}."
        if chosen["closing_error"] is not None
        else "Some numbers are not finite: look at the model's weights before believing the rest.",
    ]


def _most(side: dict[str, Any]) -> str:
    entries = side["groups"]["component"]["entries"][:3]
    return enumerated(
        [f"{entry['name']} ({_number(entry['value'], plus=True)})" for entry in entries]
    )


def _by_pair(pairs: Sequence[dict[str, Any]]) -> str:
    if not pairs:
        return "No pair of parts meets in this score."
    one = pairs[0]
    return (
        f"The largest pair: {one['query']} asks, {one['key']} answers "
        f"({_number(one['value'], plus=True)})."
    )


def _quoted(piece: str) -> str:
    return f"“{bare(piece).strip('“”')}”"


def _number(value: float | None, *, plus: bool = False) -> str:
    if value is None:
        return "not finite"
    shown = f"{abs(value):.2f}"
    return f"{'−' if value < 0 and float(shown) else '+' if plus else ''}{shown}"
