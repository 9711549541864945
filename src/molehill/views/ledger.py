"""A ledger as data: what `--json` prints, the page draws from and the text is written from.

A ledger is read along one direction: the vector's own, so that the rows' shares add up to its
length, or a next word's, so that they add up to its score. Names in plain words, sums by every axis
and what is left out of a list are worked out here, once. The schema is described in
docs/howto/ledger.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from molehill.features.parts import FeatureParts
from molehill.journey.ledger import Axis, Ledger, Reading, Row
from molehill.journey.lens import nearest
from molehill.journey.paths import Journey
from molehill.journey.unknown import unknown_note, unknown_words
from molehill.language_model import LanguageModel
from molehill.views.feature_rows import rows_of_parts
from molehill.views.ledger_river import river_data
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import (
    after,
    bare,
    clipped,
    component,
    enumerated,
    percent,
    point_mark,
    significant,
)

__all__ = [
    "AXES",
    "MOST_GROUPS",
    "SCHEMA",
    "grouped",
    "kinds_by_layer",
    "ledger_data",
    "reading_rows",
    "row_name",
    "summed_kinds",
]

SCHEMA = "molehill.ledger/1"

AXES: tuple[Axis, ...] = ("kind", "component", "layer", "head", "source", "neuron")

MOST_GROUPS = 400
"""How many groups of an axis are named; what the rest add up to stands beside them."""

_KINDS = {"head": "attention", "neuron": "MLPs", "bias": "biases"}
_KINDS |= {"feature": "features", "error": "reconstruction error"}


def ledger_data(
    lm: LanguageModel,
    journey: Journey,
    *,
    at: str = "final",
    between: str | None = None,
    toward: int | None = None,
    top: int = 20,
    version: str,
    digits: int | None = None,
    parts: FeatureParts | None = None,
) -> dict[str, Any]:
    """Everything that the views of a ledger show, as plain values without NaN or infinities.

    Args:
        at: the point whose vector is taken apart.
        between: an earlier point; all that was added up to it is one row.
        toward: a token whose score is taken apart, instead of the vector's length.
        top: how many rows of each kind are named.
        version: of Molehill, for the provenance.
        digits: significant digits; None gives what the dtype carries, 7 or 15.
        parts: the word's vectors as features, to be shown in place of a site's rows.

    Raises:
        SiteError: no such point, or a score asked for elsewhere than at `final`.
        ConfigError: a score asked of a model without a head.
    """
    digits = digits or digits_of(lm)
    book = journey.ledger(at, rows=None if parts is None else rows_of_parts(parts))
    if between is not None:
        book = book.between(between)
    reading = _reading(book, toward)
    points = journey.points
    error = book.closing_error
    data = {
        "schema": SCHEMA,
        "summary": [],
        "text": journey.text,
        "pieces": list(journey.pieces),
        "token": {
            "surface": journey.surface,
            "positions": list(journey.positions),
            "piece": journey.pieces[journey.positions[-1]],
            "carried_by": journey.carried_by,
        },
        "point": _point(at, points),
        "between": None if between is None else _point(between, points),
        "points": [_point(name, points) for name in points],
        "length": significant(float(book.vector.norm()), digits),
        "rows_count": len(book),
        "closing_error": {
            "largest": significant(error.largest, 3),
            "relative": significant(error.relative, 3),
        },
        "read": _read(lm, book, reading, toward, digits),
        "kinds": summed_kinds(reading, digits),
        "features": None if parts is None else _features(parts, digits),
        "groups": {axis: grouped(reading, axis, digits) for axis in _axes(book)},
        "layers": kinds_by_layer(reading, digits),
        "river": river_data(reading, digits),
        **reading_rows(reading, top, digits),
        "next": _next(lm, book),
        "notes": _notes(lm, journey, between, toward, parts),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data, points)
    return data


def _point(name: str, points: Sequence[str]) -> dict[str, Any]:
    layer, dot, _ = name.partition(".")
    return {
        "name": name,
        "layer": int(layer) if dot else None,
        "after": after(name, points),
        "mark": point_mark(name, points),
    }


def _axes(book: Ledger) -> Sequence[Axis]:
    """The axes that say something of these rows."""
    there = any(part.kind == "feature" for part in book.parts)
    return (*AXES, "feature") if there else AXES


def _features(parts: FeatureParts, digits: int) -> dict[str, Any]:
    return {
        "name": parts.name,
        "site": parts.site,
        "active": len(parts.numbers),
        "error_share": significant(parts.error_share, min(digits, 4)),
    }


# --- what is read -----------------------------------------------------------------------------


def _reading(book: Ledger, toward: int | None) -> Reading:
    if toward is not None:
        return book.logit(toward)
    length = float(book.vector.norm())
    return book.toward(book.vector / (length or 1.0))


def _read(
    lm: LanguageModel, book: Ledger, reading: Reading, toward: int | None, digits: int
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "what": "length" if toward is None else "score",
        "total": significant(reading.total, digits),
        "constant": significant(reading.constant, digits),
        "measured": significant(reading.measured, digits),
        "closing_error": significant(reading.closing_error, 3),
    }
    if toward is None:
        return told
    near = nearest(lm, book.vector[None], k=1, ruler="logit", finished=[True], track=[toward])[0]
    assert lm.tokenizer is not None, "a text was read with a tokenizer"
    scores = lm.model.unembed(book.vector[None].to(lm.model.dtype))[0].float()
    return told | {
        "token": toward,
        "piece": lm.tokenizer.piece(toward),
        "rank": near.ranks[0] if isfinite(reading.measured) else None,
        "probability": significant(float(scores.log_softmax(-1)[toward].exp()), 4),
    }


def _next(lm: LanguageModel, book: Ledger) -> list[dict[str, Any]]:
    """The words nearest to the vector: what the model would say if it stopped there."""
    reading = nearest(lm, book.vector[None], k=5, finished=[book.at == "final"])[0]
    return [
        {"piece": near.piece, "score": significant(near.score, 4)}
        | ({} if near.probability is None else {"probability": significant(near.probability, 4)})
        for near in reading.near
    ]


# --- sums -------------------------------------------------------------------------------------


def _share(value: float, reading: Reading) -> float | None:
    """A part of the whole. Of a whole that is not positive there are no shares to speak of."""
    return significant(value / reading.measured, 4) if reading.measured > 0 else None


def _entry(name: str, value: float, reading: Reading, digits: int) -> dict[str, Any]:
    return {
        "name": name,
        "value": significant(value, digits),
        "share": _share(value, reading),
    }


def summed_kinds(reading: Reading, digits: int) -> list[dict[str, Any]]:
    """What each kind of row adds up to, and how many rows it has, largest first."""
    sums: dict[str, float] = {}
    counts: dict[str, int] = {}
    for part, value in zip(reading.ledger.parts, reading.values, strict=True):
        name = _KINDS.get(part.kind, part.name)
        sums[name] = sums.get(name, 0.0) + float(value.double().sum())
        counts[name] = counts.get(name, 0) + len(part)
    if reading.constant:
        sums["constant"], counts["constant"] = reading.constant, 1
    names = sorted(sums, key=lambda name: -abs(sums[name]))
    return [_entry(name, sums[name], reading, digits) | {"count": counts[name]} for name in names]


def grouped(
    reading: Reading, axis: Axis, digits: int, *, most: int = MOST_GROUPS
) -> dict[str, Any]:
    """The rows added up by an axis, largest first (layers in their order), and what the rest adds
    up to."""
    sums = reading.by(axis)
    places = _places(reading.ledger) if axis == "source" else {}
    order = list(sums.items())
    if axis != "layer":
        order.sort(key=lambda entry: -abs(entry[1]))
    kept = [
        _entry(_group_name(label, places, reading.ledger), value, reading, digits)
        | ({"position": places[label]} if label in places else {})
        for label, value in order[:most]
    ]
    rest = [value for _, value in order[most:]]
    return {
        "entries": kept,
        "rest": significant(sum(rest, 0.0), digits),
        "rest_count": len(rest),
    }


def _places(book: Ledger) -> dict[str, int]:
    """How a ledger labels each source token, and where that stands."""
    return {f"{piece!r} ({place})": place for place, piece in enumerate(book.pieces)}


def _group_name(label: str, places: dict[str, int], book: Ledger) -> str:
    if label in places:
        return f"{bare(book.pieces[places[label]])} ({places[label]})"
    return {"MLP": "MLPs"}.get(label, component(label))


def kinds_by_layer(reading: Reading, digits: int) -> list[dict[str, Any]]:
    """Attention, MLP and biases of every layer in order, and before them what has no layer."""
    layers: dict[int | None, dict[str, float]] = {}
    for part, value in zip(reading.ledger.parts, reading.values, strict=True):
        name = _KINDS.get(part.kind, part.name)
        sums = layers.setdefault(part.layer, {})
        sums[name] = sums.get(name, 0.0) + float(value.double().sum())
    if reading.constant:
        layers.setdefault(None, {})["constant"] = reading.constant
    return [
        {
            "layer": layer,
            "parts": [
                {"name": name, "value": significant(value, digits)} for name, value in sums.items()
            ],
        }
        for layer, sums in sorted(
            layers.items(), key=lambda item: -1 if item[0] is None else item[0]
        )
    ]


# --- rows -------------------------------------------------------------------------------------


def reading_rows(reading: Reading, top: int, digits: int) -> dict[str, Any]:
    """The largest rows of each kind, all in one list, largest first; and what is not in it."""
    book = reading.ledger
    length = float(reading.direction.norm())
    rows: list[Row] = []
    left = []
    for kind in dict.fromkeys(part.kind for part in book.parts):
        chosen = reading.top(top, kind=kind)
        rows += chosen
        own = [
            (len(part), float(value.double().sum()))
            for part, value in zip(book.parts, reading.values, strict=True)
            if part.kind == kind
        ]
        count, total = sum(one for one, _ in own), sum(value for _, value in own)
        left.append(
            {
                "kind": kind,
                "count": count,
                "shown": len(chosen),
                "rest": significant(total - sum(row.toward for row in chosen), digits)
                if count > len(chosen)
                else 0.0,
            }
        )
    rows.sort(key=lambda row: -abs(row.toward))
    return {"rows": [_row(row, reading, length, digits) for row in rows], "rows_left": left}


def _row(row: Row, reading: Reading, length: float, digits: int) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": row.kind, "name": row_name(row), "layer": row.layer}
    if row.kind == "head" and row.source is not None:
        told |= {"head": row.head, "source": row.source}
        told["piece"] = reading.ledger.piece(row.side, row.source)
    elif row.kind == "neuron":
        told["neuron"] = row.neuron
    elif row.kind == "feature":
        told["feature"] = row.feature
    reach = row.norm * length
    return told | {
        "value": significant(row.toward, digits),
        "share": _share(row.toward, reading),
        "norm": significant(row.norm, min(digits, 5)),
        "cosine": significant(row.toward / reach if reach else 0.0, min(digits, 5)),
        "coefficient": significant(row.coefficient, min(digits, 5)),
    }


def row_name(row: Row) -> str:
    """What wrote a row: `head 23.4`, `neuron 29.1066`, `embedding`."""
    return f"head {row.layer}.{row.head}" if row.kind == "head" else component(row.label)


# --- in words ---------------------------------------------------------------------------------


def _notes(
    lm: LanguageModel,
    journey: Journey,
    between: str | None,
    toward: int | None,
    parts: FeatureParts | None,
) -> list[str]:
    notes = [
        "A row says what was added, not what would have happened without it: another input would "
        "have changed patterns and coefficients too.",
    ]
    if len(journey.positions) > 1:
        notes.append(f"The word is the {journey.carried_by}.")
    if journey.model.config.causal:
        notes.append(
            "The model reads from left to right: what comes after the token is not in the sum."
        )
    if unread := unknown_note([unknown_words(lm, lm.encode([journey.text]))]):
        notes.append(unread)
    if between is not None:
        notes.append(f"All that was added up to {between} is one row.")
    if parts is not None:
        notes.append(
            f"What stands at {parts.site} is shown as {len(parts.numbers)} features of "
            f"{parts.name}, the decoder's bias and the error, {percent(parts.error_share)} of its "
            "length, that they leave: the sum is the same."
        )
    if toward is not None:
        notes.append(
            "A score alone does not make a word likely: what raises every word's score falls away "
            "in the softmax."
        )
    return notes


def _summary(data: dict[str, Any], points: Sequence[str]) -> list[str]:
    """What a reader must take away, in a few plain sentences."""
    read, word = data["read"], _quoted(data["token"]["surface"])
    where = data["point"]["after"]
    begin = f"The vector of {word} {where} is the sum of {data['rows_count']:,} rows"
    if read["what"] == "length":
        parts = [f"{kind['name']} {percent(kind['share'])}" for kind in data["kinds"]]
        lines = [f"{begin}. Of its length, {_number(data['length'])}: {enumerated(parts)}."]
    else:
        parts = [f"{kind['name']} {_signed(kind['value'])}" for kind in data["kinds"]]
        lines = [
            f"After {word} the model gives {_quoted(read['piece'])} {_score(read)}.",
            f"That score is the sum of {data['rows_count']:,} rows: {enumerated(parts)}.",
        ]
    lines += [line for line in [_largest(data)] if line]
    error = data["closing_error"]["relative"]
    lines.append(
        "Some numbers here are not finite: look at the model's weights before believing the rest."
        if error is None or read["measured"] is None
        else "Nothing is left out: the rows add up to the vector, "
        + (f"to within {error:.1e} of its length." if error else "exactly.")
    )
    return lines


def _score(read: dict[str, Any]) -> str:
    """A word's score and its place among all words; one that is no number has none."""
    if read["rank"] is None:
        return "a score that is not finite"
    place = "the best" if read["rank"] == 0 else f"number {read['rank'] + 1:,}"
    sure = percent(read["probability"])
    return f"the score {_number(read['measured'])}: {place} of all words, at {sure}"


def _largest(data: dict[str, Any]) -> str:
    """The largest single rows, in one sentence."""
    rows = [row for row in data["rows"] if row["kind"] in ("head", "neuron", "feature")][:3]
    if not rows:
        return ""
    told = []
    for row in rows:
        source = f" from {_quoted(row['piece'])}" if "piece" in row else ""
        told.append(f"{row['name']}{source} ({_signed(row['value'])})")
    return f"The largest single rows are {enumerated(told)}."


def _quoted(piece: str) -> str:
    return f"“{clipped(bare(piece).strip('“”'), 40)}”"


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    shown = f"{abs(value):.2f}"
    return f"{'−' if value < 0 and float(shown) else ''}{shown}"


def _signed(value: float | None) -> str:
    shown = _number(value)
    return shown if value is None or value < 0 else f"+{shown}"
