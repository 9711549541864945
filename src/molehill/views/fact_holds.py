"""Which facts a vector holds, as data: what `--json` prints, the page draws and the text is written
from.

Beside each dot product stand random directions, and how well the direction tells vectors that it
was not made from, with labels shuffled as control. The schema is described in docs/rooms/facts.md.
This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from typing import Any

from molehill.facts.directions import Direction
from molehill.facts.held_facts import HeldFacts
from molehill.language_model import LanguageModel
from molehill.views.neuron import HOLDS_SCHEMA, holds_data
from molehill.views.provenance import provenance
from molehill.views.words import bare, enumerated, percent, significant, visible

__all__ = ["HOLDS_SCHEMA", "fact_holds_data"]

_DIGITS = 5
_NAMED = 4
_DRAWN = 2.0
"""Random directions reach so many standard deviations in one of forty."""


def fact_holds_data(lm: LanguageModel, found: HeldFacts, *, version: str) -> dict[str, Any]:
    """Everything that the views of a vector's facts show, as plain values.

    Args:
        version: of Molehill, for the provenance.

    Returns:
        The schema of `holds_data`; each of `rows` has besides `above` (the dot product of the
        vector itself less the direction's threshold), `held`, whether that is more than nothing,
        `counts` of the texts that the direction was made from, and `control`.
    """
    data = {**holds_data(found.holdings), "summary": []}
    for row in data["rows"]:
        direction = found.directions[row["name"]]
        above = found.above[row["name"]]
        row["above"] = significant(above, _DIGITS)
        row["held"] = above > 0
        row["counts"] = list(direction.counts)
        row["control"] = _control(direction)
    data |= {
        "text": found.text,
        "pieces": list(found.pieces),
        "at": found.at,
        "site": found.site,
        "method": next(iter(found.directions.values())).method,
        "texts": found.texts,
        "left_out": list(found.left_out),
        "notes": list(_NOTES),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def _control(direction: Direction) -> dict[str, Any]:
    control = direction.control
    assert control is not None, "directions from vectors are always cross-validated"
    return {
        "accuracy": significant(control.accuracy, _DIGITS),
        "folds": [significant(one, _DIGITS) for one in control.folds],
        "shuffled_mean": significant(control.shuffled_mean, _DIGITS),
        "shuffled_95": significant(control.shuffled_95, _DIGITS),
        "shuffles": control.shuffles,
        "tells": control.accuracy > control.shuffled_95,
    }


# --- in words -----------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> list[str]:
    piece = bare(data["pieces"][data["at"]])
    where = f"At “{piece.strip('“”')}” ({data['site']}) the vector"
    return [
        f"{where} {_holds(data['rows'])}.",
        _first(data["rows"]),
        *_told_apart(data["rows"]),
        *_left_out(data["left_out"]),
    ]


def _left_out(names: list[str]) -> list[str]:
    if not names:
        return []
    told = enumerated([f"“{visible(name)}”" for name in names])
    it = "it is" if len(names) == 1 else "one of them is"
    return [
        f"Too few texts were there for {told}: if {it} held, another may be named in its place."
    ]


def _holds(rows: list[dict[str, Any]]) -> str:
    held = [f"“{visible(row['name'])}”" for row in rows if row["held"]]
    count = f"of {len(rows)} concept{'' if len(rows) == 1 else 's'}"
    if not held:
        return f"lies above the threshold of none {count}"
    more = len(held) - _NAMED
    named = held[:_NAMED] + ([f"{more} more"] if more > 0 else [])
    return f"lies above the threshold of {len(held)} {count}: {enumerated(named)}"


def _first(rows: list[dict[str, Any]]) -> str:
    best = rows[0]
    name = f"“{visible(best['name'])}”"
    z = "not finite" if best["z"] is None else f"z {_number(best['z'])}"
    share = best["quantile"]
    told = "any random direction" if share == 1 else f"{percent(share)} of random directions"
    beside = f"more than {told}"
    if len(rows) == 1:
        return f"It holds {name} with {z}, {beside}."
    second = rows[1]
    z_2 = "not finite" if second["z"] is None else _number(second["z"])
    weak = "" if (best["z"] or 0.0) > _DRAWN else "; that is what random directions reach"
    return (
        f"It holds {name} most: {z}, {beside}{weak}; the next, “{visible(second['name'])}”, {z_2}."
    )


def _told_apart(rows: list[dict[str, Any]]) -> list[str]:
    """What the directions are worth."""
    worth = [row for row in rows if row["control"]["tells"]]
    least = min(row["control"]["accuracy"] for row in rows)
    most = max(row["control"]["shuffled_95"] for row in rows)
    if len(worth) == len(rows):
        return [
            f"Every direction tells at least {percent(least)} of held-out vectors; with labels "
            f"shuffled the 95th percentile is {percent(most)} at most."
        ]
    names = [f"“{visible(row['name'])}”" for row in rows if row not in worth]
    more = len(names) - _NAMED
    named = names[:_NAMED] + ([f"{more} more"] if more > 0 else [])
    return [
        f"{len(names)} of {len(rows)} directions tell held-out vectors no better than shuffled "
        f"labels do, and say nothing of this one: {enumerated(named)}."
    ]


def _number(value: float) -> str:
    return f"{'−' if value < 0 else ''}{abs(value):.1f}"


_NOTES = [
    "A product is of the vector less the mean of all texts' vectors; random directions are drawn "
    "from their covariance, and z is in standard deviations of what these give.",
    "A threshold lies halfway between the means of the texts in which it is so and of those in "
    "which it is not; held-out accuracy is the mean of both groups', so that chance is a half.",
    "That a vector holds a direction says that it can be read there, not that the model reads it.",
]
