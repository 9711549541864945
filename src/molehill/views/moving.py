"""A vector moved by hand as data: what is said next at every strength, attention free and frozen.

The schema is described in docs/howto/shift.md. This module knows nothing of terminals, pages or
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from molehill.journey.directions import Direction
from molehill.journey.moving import Moved, Moving
from molehill.journey.paths import points_of
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import after, bare, clipped, percent, point_mark, significant

__all__ = ["SCHEMA", "WAYS", "moving_data"]

SCHEMA = "molehill.moving/1"

WAYS = {"free": "attention recomputed", "frozen": "attention frozen"}
"""The two ways in which every strength is run, in words."""


def moving_data(
    lm: LanguageModel,
    found: Moving,
    direction: Direction,
    *,
    version: str,
    word: str | None = None,
    sentences: Sequence[str] = (),
    digits: int = 6,
) -> dict[str, Any]:
    """Everything that the views of a move show, as plain values.

    Args:
        direction: along which the vector was moved.
        word, sentences: what numbers in its name stand for, if they were given.
    """
    assert lm.tokenizer is not None, "a text was read with a tokenizer"
    points = points_of(lm.config)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "text": found.text,
        "pieces": list(found.pieces),
        "position": found.position,
        "at": found.at,
        "after": after(found.at, points),
        "points": [
            {"name": point, "after": after(point, points), "mark": point_mark(point, points)}
            for point in points
            if point != "final"
        ],
        "direction": {
            "name": direction.name,
            "kind": direction.kind,
            "cosine": significant(found.cosine, digits),
        },
        "length": significant(found.length, digits),
        "strengths": list(found.strengths),
        "unmoved": found.strengths.index(0.0),
        "words": [
            {
                "token": token,
                "piece": lm.tokenizer.piece(token),
                "free": [significant(one.probabilities[at], digits) for one in found.free],
                "frozen": [significant(one.probabilities[at], digits) for one in found.frozen],
            }
            for at, token in enumerate(found.words)
        ],
        "free": _ways(lm, found, found.free, digits),
        "frozen": _ways(lm, found, found.frozen, digits),
        "word": word,
        "sentences": list(sentences),
        "notes": _notes(),
        "provenance": provenance(lm, version),
    }
    return data | {"summary": _summary(data)}


def _ways(
    lm: LanguageModel, found: Moving, rows: Sequence[Moved], digits: int
) -> list[dict[str, Any]]:
    """One way of moving, by strength."""
    assert lm.tokenizer is not None, "a text was read with a tokenizer"
    plain = rows[found.strengths.index(0.0)].ids
    return [
        {
            "divergence": significant(row.divergence, digits),
            "text": row.text,
            "pieces": [lm.tokenizer.piece(token) for token in row.ids],
            "alike": _alike(plain, row.ids),
        }
        for row in rows
    ]


def _alike(first: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two continuations have in common before they part."""
    for at, (one, two) in enumerate(zip(first, other, strict=False)):
        if one != two:
            return at
    return min(len(first), len(other))


def _notes() -> list[str]:
    return [
        "A strength is in lengths of the vector that is moved: at 1 as much is added as there is.",
        "Attention recomputed: everything after the move is worked out anew. Attention frozen: "
        "every head looks where it looked when the model read the same words without the move; "
        "what stands there, norms and MLPs are worked out anew. What only the first shows came of "
        "heads that look elsewhere.",
        "In a frozen continuation the unmoved model reads the same words beside it, and its "
        "patterns are taken.",
        "Continuations are greedy: the likeliest token every time. The vector is moved once, at "
        "its own token; words that are written later are not.",
    ]


def _summary(data: dict[str, Any]) -> list[str]:
    piece = _quoted(data["pieces"][data["position"]])
    top = max(abs(strength) for strength in data["strengths"])
    line = (
        f"{piece}, token {data['position']} of “{clipped(data['text'], 60)}”, is moved along "
        f"{data['direction']['name']} {data['after']}, by up to {top:g} of its own lengths."
    )
    lines = [line, *_ends(data)]
    if any(row["pieces"] for row in data["free"]):
        lines.append(_parts(data))
    return lines


def _ends(data: dict[str, Any]) -> list[str]:
    """What would come next at both ends of the scale, beside the unmoved."""
    zero = data["unmoved"]
    plain = _likeliest(data, "free", zero)
    lines = [f"Unmoved, the likeliest next word is {plain}."]
    for place in sorted({0, len(data["strengths"]) - 1} - {zero}):
        free, frozen = (data[way][place]["divergence"] for way in WAYS)
        lines.append(
            f"At {_signed(data['strengths'][place])}: {_likeliest(data, 'free', place)}, "
            f"{free:.2g} nats from the unmoved; with attention frozen "
            f"{_likeliest(data, 'frozen', place)}, {frozen:.2g} nats."
        )
    return lines


def _likeliest(data: dict[str, Any], way: str, place: int) -> str:
    best = max(data["words"], key=lambda word: word[way][place])
    return f"{_quoted(best['piece'])} ({percent(best[way][place])})"


def _quoted(piece: str) -> str:
    told = bare(piece)
    return told if told.startswith("“") else f"“{told}”"


def _parts(data: dict[str, Any]) -> str:
    """From which strength on, to either side, something else is written."""
    told = []
    for way, name in WAYS.items():
        rows, zero = data[way], data["unmoved"]
        plain = rows[zero]["pieces"]
        sides = [range(zero - 1, -1, -1), range(zero + 1, len(rows))]
        first = [
            next((data["strengths"][at] for at in side if rows[at]["pieces"] != plain), None)
            for side in sides
        ]
        ends = " and ".join(_signed(strength) for strength in first if strength is not None)
        told.append(f"{name}: {f'from {ends} on' if ends else 'never'}")
    return f"Something else is written, {'; '.join(told)}."


def _signed(strength: float) -> str:
    return f"{strength:+g}".replace("-", "−")
