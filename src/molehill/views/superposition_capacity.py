"""Capacity of directions as data: errors of reading against the number of features, with theory.

What `--json` prints, the page draws and the text is written from. This module knows nothing of
terminals, pages or files, and draws no direction itself.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from molehill.superposition.bounds import degrees
from molehill.superposition.capacity import CapacityPoint
from molehill.superposition.capacity_theory import (
    BreakingPoints,
    breaking_points,
    expected,
    guaranteed_active,
    guaranteeing_coherence,
    reading_densities,
)
from molehill.superposition.how_many import how_many
from molehill.views.superposition_bounds import brief
from molehill.views.words import numbered, percent, significant

__all__ = ["SCHEMA", "capacity_data", "few"]

SCHEMA = "molehill.superposition-capacity/1"

_TITLES = {
    "random": "random directions",
    "packed": "packed directions",
    "learned": "learned directions",
}
_STEPS = 121


def capacity_data(
    series: Mapping[str, Sequence[CapacityPoint]],
    dimensions: int,
    active: float,
    *,
    fixed: bool,
    seed: int,
    version: str,
) -> dict[str, Any]:
    """Capacity curves as plain values.

    Args:
        series: points by the kind of directions: `random`, `packed`, `learned`.
        fixed: exactly `active` features in every input, or each by itself with chance active / k.
        seed: of everything that was drawn.
        version: of Molehill, for the provenance.

    Returns:
        `series` with what was measured and expected at each number of features; `theory`, a dense
        curve for random directions; `breaking`, where each way of reading breaks (None: nowhere
        below 10^15; 0: from the start); `guarantee`, what coherence alone promises; `hills`, the
        densities of readings; `summary`, `notes`.
    """
    points = [point for some in series.values() for point in some]
    largest = max(point.features for point in points)
    first = max(math.ceil(2 * active), 4)
    dense = np.geomspace(first, 10 * largest, 90)
    sizes = sorted({round(size) for size in dense} | {point.features for point in points})
    breaking = breaking_points(dimensions, active) if fixed else None
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "dimensions": dimensions,
        "active": active,
        "fixed": fixed,
        "inputs": points[0].measured.inputs,
        "series": [
            {"name": name, "title": _TITLES.get(name, name), "points": [_point(p) for p in some]}
            for name, some in series.items()
        ],
        "theory": [_theory(size, dimensions, active, fixed) for size in sizes],
        "breaking": None if breaking is None else _breaking(breaking),
        "guarantee": _guarantee(dimensions, active),
        "hills": _hills(largest, dimensions, active, fixed),
        "notes": _notes(),
        "provenance": {"version": version, "seed": seed},
    }
    data["summary"] = _summary(data, series, breaking)
    return data


def few(value: float | None) -> str:
    """An error or a number of bits, with two digits that tell."""
    if value is None:
        return "none"
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1e}" if value < 0.001 else f"{value:.2g}" if value < 1 else f"{value:.1f}"


def _point(point: CapacityPoint) -> dict[str, Any]:
    return {
        "features": point.features,
        "coherence": significant(point.coherence),
        "mean": significant(point.mean),
        "mean_square": significant(point.mean_square),
        "guaranteed": guaranteed_active(point.coherence) if point.coherence > 1e-6 else None,
        "expected": _plain(asdict(point.expected)),
        "measured": _plain(asdict(point.measured)),
    }


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    drop = ("features", "dimensions", "active")
    return {
        name: value if isinstance(value, int) else significant(value)
        for name, value in record.items()
        if name not in drop
    }


def _theory(features: int, dimensions: int, active: float, fixed: bool) -> dict[str, Any]:
    found = expected(features, dimensions, active, fixed=fixed)
    return {"features": features, **_plain(asdict(found))}


def _breaking(found: BreakingPoints) -> dict[str, float | None]:
    return {name: significant(value) for name, value in asdict(found).items()}


def _guarantee(dimensions: int, active: float) -> dict[str, Any]:
    """How many directions could have a coherence that makes the reading certain."""
    needed = guaranteeing_coherence(max(1, round(active)))
    if needed >= 1 or dimensions < 2:
        return {"coherence": significant(needed), "at_least": None, "at_most": None}
    found = how_many(dimensions, degrees(needed))
    return {
        "coherence": significant(needed),
        "at_least": brief(found.at_least.log2),
        "at_most": brief(found.at_most.log2),
    }


def _hills(features: int, dimensions: int, active: float, fixed: bool) -> dict[str, Any]:
    at = [round(float(x), 4) for x in np.linspace(-0.9, 2.1, _STEPS)]
    silent, firing = reading_densities(at, features, dimensions, active, fixed=fixed)
    return {
        "at": at,
        "silent": [significant(max(value, 1e-300), 5) for value in silent],
        "firing": [significant(max(value, 1e-300), 5) for value in firing],
    }


def _summary(
    data: dict[str, Any],
    series: Mapping[str, Sequence[CapacityPoint]],
    breaking: BreakingPoints | None,
) -> list[str]:
    dimensions, active = data["dimensions"], data["active"]
    said = []
    if breaking is not None:
        said.append(
            f"{dimensions:,} dimensions, {numbered(round(active), 'feature')} active in every "
            "input: reading random directions by dot products alone breaks at "
            f"{numbered(round(breaking.linear), 'feature')}, the best linear map at "
            f"{breaking.least_squares:,.0f}, {_gate(breaking)}."
        )
    else:
        said.append(
            f"{dimensions:,} dimensions, each feature active by itself, {active:g} on average."
        )
    said += _told(series)
    said += _compared(series)
    guarantee = data["guarantee"]
    if guarantee["at_most"] is not None:
        least, most = guarantee["at_least"], guarantee["at_most"]
        held = f"{most}" if least == most else f"{least} to {most}"
        said.append(
            f"That any {round(active)} are read for certain takes |cos| below "
            f"{guarantee['coherence']:.3f}, which {held} directions can keep"
            f"{_certain(series, active)}."
        )
    return said


def _certain(series: Mapping[str, Sequence[CapacityPoint]], active: float) -> str:
    """The most of these directions for which coherence alone makes every reading certain."""
    needed = guaranteeing_coherence(round(active))
    certain = [
        (point.features, name)
        for name, points in series.items()
        for point in points
        if point.coherence < needed
    ]
    if not certain:
        return "; none of these do"
    count, name = max(certain)
    return f"; of these, {count:,} {_TITLES.get(name, name)} do"


def _gate(breaking: BreakingPoints) -> str:
    if breaking.bits == 0:
        return "and with a gate one bit is wrong in an input from the start"
    if math.isinf(breaking.bits):
        return "and a bias with ReLU nowhere below 10^15"
    return f"and a bias with ReLU at {breaking.bits:,.0f}, where one bit in an input is wrong"


def _told(series: Mapping[str, Sequence[CapacityPoint]]) -> list[str]:
    """Counting beside theory for random directions."""
    points = series.get("random", ())
    if not points:
        return []
    apart = [
        abs(math.log(point.measured.wrong_bits / point.expected.wrong_bits))
        for point in points
        if point.measured.wrong_bits * point.measured.inputs >= 30
    ]
    if not apart:
        return []
    far = percent(math.expm1(max(apart)))
    return [
        f"Counted and expected wrong bits of random directions differ by at most {far}, wherever "
        "30 or more were counted."
    ]


def _compared(series: Mapping[str, Sequence[CapacityPoint]]) -> list[str]:
    """Where directions do better than random ones by most, at one number of features."""
    random = {point.features: point for point in series.get("random", ())}
    said = []
    for name, points in series.items():
        both = [(point, random[point.features]) for point in points if point.features in random]
        both = [pair for pair in both if pair[1].measured.wrong_bits * pair[1].measured.inputs > 30]
        if name == "random" or not both:
            continue
        tenth = [
            (one, drawn)
            for one, drawn in both
            if one.measured.wrong_bits <= 0.1 * drawn.measured.wrong_bits
        ]
        # The most that still have a tenth of the wrong bits, else the fewest there are.
        one, drawn = tenth[-1] if tenth else both[0]
        said.append(
            f"{one.features:,} {_TITLES[name]} are read with {few(one.measured.wrong_bits)} wrong "
            f"bits in an input where random ones have {few(drawn.measured.wrong_bits)}; their "
            f"largest |cos| is {one.coherence:.2f} against {drawn.coherence:.2f}."
        )
    return said


def _notes() -> tuple[str, ...]:
    return (
        "An input is the sum of the directions of its active features; each feature is read by the "
        "dot product with its own direction. A wrong bit is a feature read as active that is not, "
        "or the other way round, at the threshold with the fewest of them.",
        "Errors of values are squared and per active feature: 1 is what always saying 0 has. "
        "Gated: gain × ReLU(dot product - threshold).",
        "It is how an MLP holds facts and an autoencoder its features: a row asks by a dot "
        "product, the bias is the threshold, ReLU the gate. A model's own features are not alike "
        "in size and frequency, and not drawn independently.",
        "Theory takes interference as normal, with the mean and mean square of the cosines as they "
        "are. Packed directions have no large cosine, and learned ones shun positive cosines, "
        "which do harm, and not negative ones: theory knows of neither and expects more errors "
        "than they have. Their threshold is chosen on other inputs.",
        "One dot product for each feature is the simplest reader. Readers that subtract what they "
        "have found and ask again go further.",
    )
