"""Packings as data: what `--json` prints, the page and the figure draw and the text is made from.

One packing, with its bound and random directions beside it, or a table of packings whose optimum is
known; two forms of one schema, told apart by `kind`. The schema is described in
docs/rooms/superposition.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molehill.superposition.known_packings import Compared
from molehill.superposition.packing import Packing
from molehill.views.words import percent, significant

__all__ = ["SCHEMA", "angle", "cosine_of", "known_packings_data", "packing_data"]

SCHEMA = "molehill.packing/1"

_DIGITS = 7
_STEPS_TOLD = 240
# Larger matrices of cosines are no picture any more.
_MATRIX_UP_TO = 96
_MET = 1e-3


def packing_data(found: Packing, *, version: str, stopped: bool = False) -> dict[str, Any]:
    """One packing as plain values without NaN.

    Args:
        version: of Molehill, for the provenance.
        stopped: whether the search was ended before its steps were done.

    Returns:
        Among other things the `histogram` of all pairs' cosines, ours and random ones, as shares of
        bins from `from` to `to`; `nearest`, quantiles of each vector's largest |cosine|; `history`;
        and of few vectors the `matrix` of cosines.
    """
    how = found.settings
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "packing",
        "summary": [],
        "count": len(found.vectors),
        "dimensions": found.vectors.shape[1],
        "lines": how.lines,
        "largest": found.largest,
        "degrees": found.degrees,
        "pair": list(found.pair),
        "as_worst": found.as_worst,
        "pairs": found.cosines.pairs,
        "bound": {
            "cosine": found.bound,
            "degrees": angle(found.bound),
            "name": found.bound_name,
            "ratio": significant(found.ratio, _DIGITS),
        },
        "random": {
            "cosine": found.random_largest,
            "degrees": angle(found.random_largest),
            "rms": significant(found.random.rms, _DIGITS),
        },
        "rms": significant(found.cosines.rms, _DIGITS),
        "nearest": _quantiles(found.cosines.nearest),
        "histogram": _histogram(found),
        "history": _history(found),
        "reached": [significant(value, _DIGITS) for value in found.reached],
        "matrix": _matrix(found.vectors),
        "steps_done": found.steps_done,
        "stopped": stopped,
    }
    data["notes"] = _notes(found)
    data["provenance"] = {"version": version, "seed": how.seed, "settings": dict(vars(how))}
    data["summary"] = _summary(data)
    return data


def known_packings_data(found: Sequence[Compared], *, version: str, seed: int) -> dict[str, Any]:
    """Packings whose optimum is known, as plain values: a row for each, and how many were met."""
    rows = [
        {
            "name": one.known.name,
            "count": one.known.count,
            "dimensions": one.known.dimensions,
            "lines": one.known.lines,
            "optimum": one.known.cosine,
            "degrees": angle(one.known.cosine),
            "largest": one.largest,
            "gap": one.gap,
            "met": one.gap < _MET,
            "bound": one.bound,
            "bound_name": one.bound_name,
            "starts": one.known.starts,
            "steps": one.known.steps,
            "shifts": one.known.shifts,
            "reached": one.reached,
            "alternating": one.alternating,
            "random": one.random,
        }
        for one in found
    ]
    data: dict[str, Any] = {"schema": SCHEMA, "kind": "known", "summary": [], "rows": rows}
    data["notes"] = [
        "Each optimum is built exactly, and its largest cosine is computed from its vectors.",
        "The search is told sizes only; where a symmetry is named, also to look among packings "
        "that these cyclic shifts of coordinates map to themselves.",
        f"Met: within {_MET} of the optimum. Starts that reached it are counted.",
        "Alternating projection (Tropp, Dhillon, Heath, Strohmer 2005) is told the optimum, which "
        "it needs; 8 starts of 1,000 steps, of up to 70 lines.",
    ]
    data["provenance"] = {"version": version, "seed": seed, "settings": {}}
    data["summary"] = _known_summary(rows)
    return data


def angle(cosine: float) -> float:
    """The angle in degrees."""
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def cosine_of(value: float, digits: int = 4) -> str:
    """A cosine as it is written: `0.2087`, `−0.1429`."""
    shown = f"{abs(value):.{digits}f}"
    return f"−{shown}" if value < 0 and float(shown) else shown


# --- the numbers ----------------------------------------------------------------------------------


def _quantiles(nearest: Tensor) -> dict[str, float]:
    ranked = nearest.double().sort().values
    places = {"least": 0.0, "median": 0.5, "largest": 1.0}
    return {name: float(ranked[round(at * (len(ranked) - 1))]) for name, at in places.items()}


def _histogram(found: Packing) -> dict[str, Any]:
    """The bins that any pair is in, of ours or of random ones."""
    ours, random = found.cosines.histogram, found.random.histogram
    filled = (ours + random).nonzero().squeeze(1)
    first, last = int(filled[0]), int(filled[-1]) + 1
    edges = found.cosines.edges
    return {
        "from": round(float(edges[first]), 6),
        "to": round(float(edges[last]), 6),
        "ours": _shares(ours[first:last]),
        "random": _shares(random[first:last]),
    }


def _shares(counts: Tensor) -> list[float]:
    shares = counts.double() / max(1, int(counts.sum()))
    return [float(f"{value:.5g}") for value in shares.tolist()]


def _history(found: Packing) -> list[dict[str, Any]]:
    """The search step by step; of many steps, evenly chosen ones and the last."""
    every = max(1, -(-len(found.history) // _STEPS_TOLD))
    told = [*found.history[::every]]
    if told[-1] is not found.history[-1]:
        told.append(found.history[-1])
    return [
        {
            "step": one.step,
            "largest": significant(one.largest, _DIGITS),
            "width": significant(one.width, 4),
        }
        for one in told
    ]


def _matrix(vectors: Tensor) -> list[list[float]] | None:
    if len(vectors) > _MATRIX_UP_TO:
        return None
    wide = vectors.detach().cpu().double()
    rounded = torch.round(wide @ wide.T, decimals=4) + 0.0
    return [[round(value, 4) for value in row] for row in rounded.tolist()]


# --- in words -------------------------------------------------------------------------------------


def _things(data: dict[str, Any]) -> str:
    return "lines" if data["lines"] else "vectors"


def _size(data: dict[str, Any]) -> str:
    return "|cosine|" if data["lines"] else "cosine"


def _summary(data: dict[str, Any]) -> list[str]:
    space = f"{data['count']:,} {_things(data)} in {data['dimensions']:,} dimensions"
    lines = [
        f"{space}: the closest two are {data['degrees']:.2f} degrees apart, a {_size(data)} of "
        f"{cosine_of(data['largest'])}.",
        _beside_the_bound(data),
        f"As many random directions have a pair at {data['random']['degrees']:.1f} degrees "
        f"({cosine_of(data['random']['cosine'])}).",
        f"{data['as_worst']:,} of {data['pairs']:,} pairs "
        f"({percent(data['as_worst'] / data['pairs'])}) are within 0.001 of the worst.",
    ]
    if data["stopped"]:
        lines.append(f"The search was stopped after {data['steps_done']:,} steps.")
    return lines


def _beside_the_bound(data: dict[str, Any]) -> str:
    bound = data["bound"]
    limit = f"{cosine_of(bound['cosine'])} ({bound['name']}, {bound['degrees']:.2f} degrees)"
    gap = data["largest"] - bound["cosine"]
    if gap < _MET:
        near = "to 7 digits" if gap < 1e-6 else f"to within {gap:.1e}"
        return f"No packing can be better: the bound of {limit} is met {near.replace('e-', 'e−')}."
    times = f"{bound['ratio']:.2f} times" if bound["ratio"] else f"{cosine_of(gap)} above"
    return (
        f"Theory allows no packing below {limit}; this one is at {times} that, and what lies "
        "between is open."
    )


def _notes(found: Packing) -> list[str]:
    how = found.settings
    notes = [
        "The worst pair is found over all pairs and computed in float64; the optimiser minimises "
        "the sum of fourth powers of what pairs exceed a threshold by, which lies a shrinking "
        "width below the worst pair, and that sum is told nowhere.",
        f"{how.starts:,} start{'s' if how.starts != 1 else ''}, seed {how.seed}, "
        f"{found.steps_done:,} steps, products in {how.products}"
        + (", gone on from given vectors." if how.continued else "."),
    ]
    if how.shifts > 1:
        leaders = len(found.vectors) // how.shifts
        notes.append(
            f"Searched among packings that cyclic shifts of {how.shifts} coordinates map to "
            f"themselves: {leaders:,} vectors stand for all."
        )
    if how.lines:
        notes.append("A vector and its opposite count as one direction.")
    if found.largest - found.bound >= _MET:
        notes.append("Another seed or more steps may find a better one.")
    return notes


def _limit(gap: float) -> str:
    """A gap in one digit, upwards: what is said to be within it is."""
    if gap <= 0:
        return "0"
    power = math.floor(math.log10(gap))
    digit = math.ceil(gap / 10.0**power * (1 - 1e-9))
    told = f"1e{power + 1}" if digit == 10 else f"{digit}e{power}"
    return told.replace("-", "−")


def _known_summary(rows: Sequence[dict[str, Any]]) -> list[str]:
    met = [row for row in rows if row["met"]]
    missed = [row for row in rows if not row["met"]]
    told = [f"{len(met)} of {len(rows)} packings that nothing can beat were found again."]
    if met:
        told.append(
            f"Those found are within {_limit(max(row['gap'] for row in met))} of the optimum."
        )
    if missed:
        names = ", ".join(f"{row['count']} in {row['dimensions']}" for row in missed)
        told.append(f"Not found: {names}.")
    compared = [row for row in rows if row["alternating"] is not None]
    classical = sum(row["alternating"] < row["optimum"] + _MET for row in compared)
    if compared:
        ours = sum(row["met"] for row in compared)
        told.append(
            f"Of {len(compared)} that alternating projection was tried on, it found {classical} "
            f"and the search {ours}."
        )
    return told
