"""The lens as data: what `--json` prints, the page draws from and the text is written from.

A reading for every point and token of a text: the nearest words with probability or cosine, the
entropy, and the rank of every tracked word. Points can be thinned to every so many layers; what is
left out is named. The schema is described in docs/howto/ledger.md. This module knows nothing of
terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log2
from typing import Any

from molehill.journey.lens import LensGrid, LensReading
from molehill.journey.paths import points_of
from molehill.journey.unknown import unknown_note, unknown_words
from molehill.language_model import LanguageModel
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import after, bare, percent, point_mark, significant

__all__ = ["SCHEMA", "every_layers", "lens_data"]

SCHEMA = "molehill.lens/1"


def every_layers(points: Sequence[str], every: int) -> list[int]:
    """Which points stand for every so many layers: the start, the ends of these layers and the last
    one, and `final`."""
    ends = [place for place, point in enumerate(points) if point.endswith("resid_post")]
    chosen = {place for number, place in enumerate(ends, start=1) if number % every == 0}
    return sorted({0, *chosen, *ends[-1:], len(points) - 1})


def lens_data(
    lm: LanguageModel,
    text: str,
    grid: LensGrid,
    *,
    every: int | None = None,
    version: str,
    digits: int | None = None,
) -> dict[str, Any]:
    """Everything that the views of a lens show, as plain values without NaN or infinities.

    Args:
        every: only the ends of every so many layers; None takes every point.
        version: of Molehill, for the provenance.
        digits: significant digits; None gives what the dtype carries, 7 or 15.
    """
    digits = digits or digits_of(lm)
    tokens = lm.encode([text])
    special = tokens.special[0]
    own = [place for place, is_special in enumerate(special) if not is_special]
    unread = unknown_note([unknown_words(lm, tokens)])
    kept = list(range(len(grid.points))) if every is None else every_layers(grid.points, every)
    points, named = points_of(lm.config), {grid.points[place] for place in kept}
    data = {
        "schema": SCHEMA,
        "summary": [],
        "text": text,
        "ruler": grid.ruler,
        "pieces": list(grid.pieces),
        # Looked at first: the last token that is text, which has read the most.
        "focus": own[-1] if own else len(grid.pieces) - 1,
        "points": [
            {
                "name": grid.points[place],
                "layer": int(grid.points[place].partition(".")[0])
                if "." in grid.points[place]
                else None,
                "after": after(grid.points[place], points),
                "mark": point_mark(grid.points[place], points),
            }
            for place in kept
        ],
        "points_left_out": [point for point in points if point not in named],
        "every": every,
        "tracked": [{"token": token, "piece": _piece(lm, token)} for token in grid.tracked],
        "d_vocab": lm.config.d_vocab,
        "readings": [
            [_reading(reading, min(digits, 5)) for reading in grid.readings[place]]
            for place in kept
        ],
        "notes": [*_notes(lm, grid), *([unread] if unread else [])],
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def _piece(lm: LanguageModel, token: int) -> str:
    return f"#{token}" if lm.tokenizer is None else lm.tokenizer.piece(token)


def _reading(reading: LensReading, digits: int) -> dict[str, Any]:
    """One cell: the nearest words, best first, as lists side by side."""
    told: dict[str, Any] = {
        "words": [near.piece for near in reading.near],
        "scores": [significant(near.score, digits) for near in reading.near],
    }
    if reading.near and reading.near[0].probability is not None:
        told["probabilities"] = [significant(near.probability, digits) for near in reading.near]
    if reading.entropy is not None:
        told["entropy"] = significant(reading.entropy, digits)
    if reading.ranks:
        finite = _is_finite(told)
        told["ranks"] = [rank if finite else None for rank in reading.ranks]
    return told


def _notes(lm: LanguageModel, grid: LensGrid) -> list[str]:
    if grid.ruler == "logit":
        return [
            "Every vector is sent through the model's own last norm and unembedding, as if nothing "
            "more were added: what the model would say if it stopped there. Early layers do not "
            "write for that reader, so what stands there may mean little.",
            "Entropy is that of the next word's distribution, in bits: 0 is certainty, "
            f"{log2(lm.config.d_vocab):.1f} a blind guess among {lm.config.d_vocab:,} words.",
        ]
    why = "" if lm.config.has_head else " This model has no head that predicts words."
    return [
        "Every vector is compared by cosine with the tokens' own vectors, the mean of the table "
        f"taken off both.{why}"
    ]


# --- in words ---------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> list[str]:
    focus = data["focus"]
    last = data["readings"][-1][focus]
    where = data["points"][-1]["after"]
    where = where[0].upper() + where[1:]
    word = _quoted(data["pieces"][focus])
    best = _quoted(last["words"][0]) if last["words"] else "nothing"
    if data["ruler"] == "logit":
        sure = percent(last["probabilities"][0]) if last["words"] else ""
        first = f"{where}, the model would say {best} after {word}, at {sure}."
    else:
        first = f"{where}, {word} is nearest to {best}."
    if not _is_finite(last):
        return [f"{where}, the scores of the words after {word} are not finite: {_BROKEN}"]
    lines = [f"{first} {_since(data, focus)}"]
    if any(not _is_finite(row[focus]) for row in data["readings"]):
        return [first, f"Elsewhere its scores are not finite: {_BROKEN}"]
    return [*lines, *(_tracked(data, n, focus) for n in range(len(data["tracked"])))]


_BROKEN = "no word is nearest there. Look at the model's weights before believing the rest."


def _is_finite(reading: dict[str, Any]) -> bool:
    """Whether a cell's scores are numbers, so that its words are in any order at all."""
    return None not in reading["scores"]


def _since(data: dict[str, Any], focus: int) -> str:
    """From where on the token's best word is the one of the end."""
    column = [row[focus]["words"][:1] for row in data["readings"]]
    first = len(column) - 1
    while first and column[first - 1] == column[-1]:
        first -= 1
    if first == len(column) - 1:
        return "Nowhere before that is it the first."
    return f"It comes first {data['points'][first]['after']}, and stays."


def _tracked(data: dict[str, Any], number: int, focus: int) -> str:
    """Where a tracked word stands, from the start to the end."""
    ranks = [row[focus]["ranks"][number] for row in data["readings"]]
    best = min(ranks)
    word = _quoted(data["tracked"][number]["piece"])
    told = f"{word} begins at rank {ranks[0] + 1:,} of {data['d_vocab']:,}"
    if best < ranks[-1]:
        told += f", comes to {best + 1:,} {data['points'][ranks.index(best)]['after']},"
    return f"{told} and ends at {ranks[-1] + 1:,}."


def _quoted(piece: str) -> str:
    return f"“{bare(piece).strip('“”')}”"
