"""Bounds on nearly orthogonal directions as data: what `--json` prints, the page draws and the text
is written from.

A verdict first: whether so many directions can keep an angle in so many dimensions. Then how far
apart they can be at most, how many could be, in how many dimensions it works, and how that grows.
This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from molehill.errors import GeometryError
from molehill.superposition.bounds import Bounds, bounds, degrees
from molehill.superposition.how_many import (
    Estimate,
    HowMany,
    Needed,
    dimensions_needed,
    growth,
    growth_rates,
    how_many,
)
from molehill.superposition.levenshtein import polynomial_degree
from molehill.superposition.linear_program import program_cosine
from molehill.views.words import significant

__all__ = ["ANGLES", "ROUND", "SCHEMA", "bounds_data", "brief", "counted", "power"]

SCHEMA = "molehill.superposition-bounds/1"
ANGLES = (89.0, 85.0, 80.0)
"""Angles whose growth is always shown."""

ROUND = (10, 100, 1_000, 4_096, 10_000, 100_000)
"""Numbers of dimensions that are on every growth curve."""

_MOST_DIMENSIONS = 1_000_000
_QUICK = 1500
"""A curve ends where its polynomials would have a larger degree."""


def bounds_data(
    count: int | None,
    dimensions: int,
    angle: float,
    *,
    version: str,
    signed: bool = True,
    points: int = 110,
) -> dict[str, Any]:
    """Everything that is known of `count` directions `angle` degrees apart in `dimensions`.

    Args:
        count: None leaves out what asks for one.
        angle: in degrees, above 0 and up to 90; also asked of growth.
        version: of Molehill, for the provenance.
        signed: also the bounds on vectors, whose opposites do not count.
        points: of each growth curve, evenly spaced beside the round ones.

    Returns:
        `bounds` (None without a count) with lists of named cosines for `lines` and `vectors` and
        what random ones have; `how_many` with `lower` and `upper` for both; `needed` (None without
        a count); `growth`, a curve per angle, counts as powers of two; `summary`, `notes`.

    Raises:
        GeometryError: numbers that cannot be.
    """
    if dimensions > _MOST_DIMENSIONS:
        raise GeometryError(
            f"{dimensions} dimensions: bounds are computed up to {_MOST_DIMENSIONS:,} of them."
        )
    # First of all, so that what cannot be is refused before work begins.
    lines = how_many(dimensions, angle)
    found = None if count is None else bounds(count, dimensions)
    needed = None if count is None or angle == 90 else dimensions_needed(count, angle)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "count": count,
        "dimensions": dimensions,
        "degrees": angle,
        "bounds": None if found is None else _bounds(found),
        "how_many": {"lines": _how_many(lines)},
        "needed": None if needed is None else _needed(needed),
        "growth": [_growth(one, dimensions, points) for one in _angles(angle)],
        "notes": _notes(),
        "provenance": {"version": version},
    }
    if signed:
        data["how_many"]["vectors"] = _how_many(how_many(dimensions, angle, "vectors"))
    data["summary"] = _summary(data, found, lines, needed)
    return data


def counted(value: float | int | None) -> str:
    """A count with commas."""
    return "none" if value is None else f"{value:,.0f}"


def power(log2: float) -> str:
    """A count given as a power of two: whole where there is room, else as a power of ten."""
    if log2 < 40:
        return counted(math.floor(2**log2 * (1 + 1e-9)))
    ten = log2 * math.log10(2)
    if ten < 100:
        return f"{10 ** (ten % 1):.1f}·10^{math.floor(ten)}"
    return f"10^{ten:,.0f}"


def brief(log2: float) -> str:
    """The same in at most nine characters."""
    if log2 < 20:
        return power(log2)
    ten = log2 * math.log10(2)
    if ten < 1000:
        return f"{10 ** (ten % 1):.1f}·10^{math.floor(ten)}"
    return f"10^{ten:,.0f}"


def _angles(angle: float) -> tuple[float, ...]:
    rest = tuple(one for one in ANGLES if one != angle)
    return ANGLES if angle in (*ANGLES, 90.0) else (angle, *rest)


def _bounds(found: Bounds) -> dict[str, Any]:
    lines = [("Welch", found.welch, "theorem")]
    orders = [pair for pair in found.welch_orders if pair[0] > 1]
    if orders:
        order, value = max(orders, key=lambda pair: pair[1])
        lines.append((f"Welch, order {order}", value, "theorem"))
    lines += [("orthoplex", found.orthoplex, "theorem")]
    lines += [("Levenshtein", found.levenshtein, "theorem")]
    if found.which == "equal steps in a plane":
        lines.append((found.which, found.best, "theorem"))
    program = program_cosine(found.count, found.dimensions, "lines")
    if program is not None and program.cosine > found.best:
        lines.append(("Delsarte's linear program", program.cosine, "certificate"))
    signed = found.vectors
    vectors = [("simplex", signed.simplex), ("Rankin", signed.rankin)]
    vectors += [("Levenshtein", signed.levenshtein)]
    if signed.which == "equal steps in a plane":
        vectors.append((signed.which, signed.best))
    best = max(lines, key=lambda line: line[1])
    return {
        "lines": [_named(*line) for line in lines if line[1] > 0],
        "best": _named(*best) if best[1] > 0 else _named("axes at right angles", 0.0, "theorem"),
        "vectors": [_named(name, value, "theorem") for name, value in vectors if value is not None],
        "best_vectors": _named(signed.which, signed.best, "theorem"),
        "orders": [[order, significant(value)] for order, value in found.welch_orders[:8]],
        "random": {
            "expected": significant(found.random_expected),
            "median": significant(found.random_median),
            "asymptotic": significant(found.random_asymptotic),
            "degrees": significant(degrees(found.random_expected)),
        },
    }


def _named(name: str, cosine: float, how: str) -> dict[str, Any]:
    return {
        "name": name,
        "cosine": significant(cosine),
        "degrees": significant(degrees(cosine)),
        "how": how,
    }


def _how_many(found: HowMany) -> dict[str, Any]:
    return {
        "lower": [_estimate(one) for one in sorted(found.lower, key=lambda one: -one.log2)],
        "upper": [_estimate(one) for one in sorted(found.upper, key=lambda one: one.log2)],
    }


def _estimate(one: Estimate) -> dict[str, Any]:
    # Numbers in JSON are read as floating point: beyond its whole numbers the power stands alone.
    count = one.count if one.count is not None and one.count < 2**53 else None
    return {"name": one.name, "how": one.how, "log2": significant(one.log2, 10), "count": count}


def _needed(found: Needed) -> dict[str, Any]:
    return {
        "at_least": found.at_least,
        "explicit": found.explicit,
        "explicit_name": found.explicit_name,
        "random": found.random,
        "johnson_lindenstrauss": found.johnson_lindenstrauss,
    }


def _growth(angle: float, dimensions: int, points: int) -> dict[str, Any]:
    end = max(100_000, min(_MOST_DIMENSIONS, 3 * dimensions))
    sizes = {round(size) for size in np.geomspace(2, end, points)}
    sizes |= {4**power for power in range(1, 10) if 4**power <= end} | {dimensions, *ROUND}
    cosine = math.cos(math.radians(angle))
    quick = [size for size in sorted(sizes) if polynomial_degree(cosine, size) < _QUICK]
    rates = growth_rates(angle)
    return {
        "degrees": angle,
        "rates": {"lower": significant(rates.lower), "upper": significant(rates.upper)},
        "points": [
            {
                "dimensions": point.dimensions,
                "explicit": significant(point.explicit, 10),
                "explicit_name": point.explicit_name,
                "exists": significant(point.exists, 10),
                "upper": significant(point.upper, 10),
            }
            for point in growth(angle, quick or [2])
        ],
    }


def _summary(
    data: dict[str, Any], found: Bounds | None, lines: HowMany, needed: Needed | None
) -> list[str]:
    angle, size = f"{data['degrees']:g}", counted(data["dimensions"])
    low, high = lines.at_least, lines.at_most
    least, most = power(low.log2), power(high.log2)
    held = f"exactly {least}" if least == most else f"{least} to {most}"
    said = [
        f"{size} dimensions hold {held} lines at {angle} degrees or more (at least: {low.name}; at "
        f"most: {high.name})."
    ]
    if found is not None:
        said.insert(0, _verdict(data, found, lines))
        random = data["bounds"]["random"]
        said.append(
            f"Drawn at random, {counted(data['count'])} directions have a closest pair "
            f"{random['degrees']:.1f} degrees apart on average (|cos| {random['expected']:.3f})."
        )
    if needed is not None:
        said.append(
            f"{counted(needed.count)} lines at {angle} degrees need at least "
            f"{counted(needed.at_least)} dimensions; {counted(needed.explicit)} are enough "
            f"({needed.explicit_name}). Random ones need {counted(needed.random)}, and the lemma "
            "of Johnson and Lindenstrauss promises it for "
            f"{counted(needed.johnson_lindenstrauss)}."
        )
    if data["degrees"] < 90:
        rates = growth_rates(data["degrees"])
        said.append(
            f"In the long run their number doubles with every {1 / rates.upper:,.0f} to "
            f"{1 / rates.lower:,.0f} dimensions: exponential growth, but a slow one so near to 90."
            if data["degrees"] >= 85
            else f"In the long run their number doubles with every {1 / rates.upper:,.1f} to "
            f"{1 / rates.lower:,.1f} dimensions."
        )
    return said


def _verdict(data: dict[str, Any], found: Bounds, lines: HowMany) -> str:
    """Can they, or can they not? The first sentence."""
    best, angle = data["bounds"]["best"], f"{data['degrees']:g}"
    wanted = math.log2(found.count)
    many = f"{counted(found.count)} directions in {counted(found.dimensions)} dimensions"
    limit = (
        f"the closest pair is at most {best['degrees']:.2f} degrees apart "
        f"({best['name']}: |cos| at least {best['cosine']:.4f})"
    )
    if wanted > lines.at_most.log2 + 1e-9:
        welch = degrees(found.welch)
        older = "" if best["name"] == "Welch" else f"; Welch's bound alone says {welch:.2f}"
        range_ = f"between {angle} and {180 - data['degrees']:g}" if data["degrees"] < 90 else "90"
        said = f"{many} cannot all be {range_} degrees apart: {limit}{older}."
        popular = (found.count, found.dimensions, data["degrees"]) == (10_000, 100, 89)
        return f"{said} The popular claim that they can is false." if popular else said
    enough = [one for one in lines.lower if wanted <= one.log2 + 1e-9]
    if enough:
        one = min(enough, key=lambda one: (one.how != "explicit", -one.log2))
        how = "can be written down" if one.how == "explicit" else "exist, though none is shown"
        return f"{many} can all keep {angle} degrees: they {how} ({one.name}); {limit}."
    return (
        f"Whether {many} can all keep {angle} degrees is not settled here: {limit}, and "
        f"{power(lines.at_least.log2)} are known to fit ({lines.at_least.name})."
    )


def _notes() -> Sequence[str]:
    return (
        "Lines: a vector and its opposite are one direction, and |cos| counts; a claim about "
        "angles between 89 and 91 degrees is one about lines. Vectors: only a cosine above 0 is "
        "close, and more of them fit.",
        "Upper bounds are theorems (Welch 1974, Rankin 1955, Levenshtein 1978); of the linear "
        "program (Delsarte, Goethals and Seidel 1977), each polynomial is checked in whole "
        "numbers. No theorem says that a bound can be reached.",
        "Lower bounds: families that anyone can write down; volume (Gilbert), which shows that a "
        "set exists and shows none. Better ones are known for some sizes, and a search finds more: "
        "molehill superposition pack.",
        "The law of one random cosine is exact (a Beta law); the largest of all pairs takes them "
        "as independent.",
        "Johnson and Lindenstrauss promise dimensions that suffice for random directions (Dasgupta "
        "and Gupta 2003). It is no account of a model: at 768 dimensions it promises 50,257 "
        "directions no more than 47 degrees.",
    )
