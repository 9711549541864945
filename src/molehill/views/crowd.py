"""Many uses of one word as data: coordinates of every one at every point, groups, nearest words.

Coordinates are rounded to four decimals of a unit vector, which is finer than any screen; the
schema is described in docs/howto/shift.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from typing import Any

import torch

from molehill.journey.crowd import Crowd
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import after, enumerated, percent, point_mark, readable, significant

__all__ = ["SCHEMA", "crowd_data"]

SCHEMA = "molehill.crowd/1"

_ROOM = 90
"""Characters of a sentence that are shown to either side of the word."""


def crowd_data(lm: LanguageModel, found: Crowd, *, version: str) -> dict[str, Any]:
    """Everything that the views of a crowd show, as plain values."""
    spaced = any(one.near and one.near[0].piece.startswith("·") for one in found.near)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "word": found.word,
        "points": [
            {"name": point, "after": _after(point, found), "mark": point_mark(point, found.points)}
            for point in found.points
        ],
        "sentences": [
            {
                "number": number + 1,
                "text": text,
                "word_at": list(found.places[number]),
                "shown": _shown(text, found.places[number]),
                "group": found.groups[number] + 1,
                "near": [near.piece for near in found.near[number].near],
                "length": significant(float(found.lengths[number, -1]), 4),
            }
            for number, text in enumerate(found.sentences)
        ],
        "groups": [
            {
                "number": number + 1,
                "count": found.groups.count(number),
                "words": list(words),
                "near": _near(found, number, spaced),
            }
            for number, words in enumerate(found.group_words)
        ],
        "grouped_at": found.grouped_at,
        "grouped_after": found.grouped_at and _after(found.grouped_at, found),
        "silhouette": significant(found.silhouette, 3),
        "bases": {name: _basis(found, name) for name in found.bases},
        "notes": _notes(found),
        "provenance": provenance(lm, version),
    }
    return data | {"summary": _summary(data)}


def _after(point: str, found: Crowd) -> str:
    """In words; whole layers are steps here."""
    if not point.endswith("resid_post"):
        return after(point, found.points)
    return f"after layer {point.partition('.')[0]}"


def _shown(text: str, place: tuple[int, int]) -> list[str]:
    """What stands before the word, the word, and what follows, of a long text around it."""
    start, end = place
    before, rest = text[:start], text[end:]
    before = f"…{before[-_ROOM:]}" if len(before) > _ROOM else before
    return [before, text[start:end], f"{rest[:_ROOM]}…" if len(rest) > _ROOM else rest]


def _near(found: Crowd, number: int, spaced: bool) -> list[str]:
    """The words that most uses of a group are near to at the end."""
    counts: dict[str, int] = {}
    for own, near in zip(found.groups, found.near, strict=True):
        if own == number:
            for one in near.near:
                counts[one.piece] = counts.get(one.piece, 0) + 1
    return readable(sorted(counts, key=lambda piece: (-counts[piece], piece)), 4, spaced=spaced)


def _basis(found: Crowd, name: str) -> dict[str, Any]:
    basis = found.bases[name]
    told: dict[str, Any] = {
        "explained": [significant(share, 4) for share in basis.explained],
        # By axis, all sentences' points one after another: a third of the brackets.
        "coordinates": [
            [round(value, 4) for value in torch.round(axis, decimals=4).flatten().tolist()]
            for axis in basis.coordinates.unbind(-1)
        ],
    }
    if name == "axes" and found.named is not None:
        told["names"] = list(found.named.names)
        told["turned"] = [significant(angle, 3) for angle in found.named.turned]
    return told


def _notes(found: Crowd) -> list[str]:
    notes = [
        f"All {len(found.sentences):,} sentences are drawn, at all {len(found.points)} points; "
        "none is left out. Coordinates are rounded to 0.0001 of a unit vector.",
        "Points are the start, the end of each layer and, where there is one, the last norm; "
        "between attention and MLP only a shift of fewer sentences looks.",
    ]
    if found.grouped_at:
        notes.append(
            "Groups are k-means of the uses' directions, without labels; a word of one sense is "
            "parted too, and only a low silhouette says so. A group's words are those that its "
            "sentences have more than the others."
        )
    if found.cut:
        notes.append(
            f"{found.cut} sentences are longer than the model reads and were cut around the word."
        )
    return notes


def _summary(data: dict[str, Any]) -> list[str]:
    count, points = len(data["sentences"]), len(data["points"])
    lines = [
        f"“{data['word']}” in {count:,} sentences, each at {points} points: {count * points:,} "
        "points, all of them drawn."
    ]
    if data["grouped_at"]:
        told = [
            f"{one['number']} ({one['count']:,}) " + ", ".join(one["words"][:3])
            for one in data["groups"][:6]
        ]
        lines.append(
            f"By where they stand {data['grouped_after']} they make {len(data['groups'])} groups "
            f"(silhouette {data['silhouette']:.2f}; 1 is far apart, 0 is no groups): "
            f"{'; '.join(told)}."
        )
    first = next(iter(data["bases"].values()))
    share = percent(sum(first["explained"][:2]))
    if "names" in first:
        lines.append(f"The named axes are {enumerated(first['names'])}.")
    lines.append(f"The first two axes show {share} of the variance.")
    return lines
