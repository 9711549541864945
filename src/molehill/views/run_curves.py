"""The curves of runs of training as arrays: which there are, and what is kept of long ones.

A long curve is cut into stretches of which minimum, maximum and mean are kept, so that no spike is
lost. This module knows the lines of a run's metrics, and nothing of how a curve is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from molehill.training.history import RunHistory
from molehill.views.words import numbered, significant

__all__ = [
    "CURVE_DIGITS",
    "Curve",
    "Line",
    "charts_of",
    "curves_of",
    "finite",
    "thinned",
    "thinning_notes",
]

CURVE_DIGITS = 6

_WHOLE = 1_200
"""Numbers of one curve: a longer one is cut into a third as many stretches of three each."""

_TITLES = {
    "loss": ("Loss", "nats per token"),
    "held-out": ("Held-out text, by kind", "bits per byte"),
    "error": ("Error of reconstruction", "of inputs with mean squared length d"),
    "explained": ("Explained variance", "share, of one batch"),
    "active": ("Active features", "per vector (L0), of one batch"),
    "dead": ("Dead features", "silent for too long"),
    "penalty": ("Other terms of the loss", ""),
    "rate": ("Learning rate", "share of the top rate"),
    "gradient": ("Length of the gradient", "before clipping"),
    "speed": ("Speed", "per second"),
}

Line = tuple[int, int, float | None, float | None]
"""First and last step, value, seconds."""


Curve = tuple[str, str, str, str, list[Line]]
"""Chart, part, unit, mark (`line` or `points`), and what is known by step."""


def curves_of(told: RunHistory) -> Iterable[Curve]:
    """All curves of a run."""
    clock = {line["step"]: finite(line.get("seconds")) for line in told.stepped}
    if told.kind == "features":
        yield from _learnt(told, clock)
        yield "rate", "rate", "", "line", _lines(told.stepped, clock, "rate")
        yield "speed", "vectors", "", "line", _lines(told.stepped, clock, "rows_per_second")
        return
    nats = "nats per token"
    yield "loss", "training", nats, "line", _lines(told.stepped, clock, "loss")
    yield "loss", "held-out", nats, "points", _lines(told.evaluated, clock, "loss")
    kinds = dict.fromkeys(k for line in told.evaluated for k in line.get("bits_per_byte") or {})
    for kind in kinds:
        bits = _lines(told.evaluated, clock, "bits_per_byte", kind)
        yield "held-out", kind, "bits per byte", "points", bits
    yield "rate", "rate", "", "line", _lines(told.stepped, clock, "rate")
    yield "gradient", "gradient", "", "line", _lines(told.stepped, clock, "grad_norm")
    yield "speed", "tokens", "", "line", _lines(told.stepped, clock, "tokens_per_second")


def _learnt(told: RunHistory, clock: Mapping[int, float | None]) -> Iterable[Curve]:
    """What every autoencoder of a run did."""
    terms: dict[str, dict[str, None]] = {}
    for line in told.stepped:
        for name, learnt in (line.get("learnt") or {}).items():
            terms.setdefault(name, {}).update(dict.fromkeys(learnt.get("terms") or {}))

    def of(*keys: str) -> list[Line]:
        return _lines(told.stepped, clock, "learnt", *keys)

    for name, own in terms.items():
        for term in own:
            chart, part = ("error", name) if term == "error" else ("penalty", f"{name}: {term}")
            yield chart, part, "", "line", of(name, "terms", term)
        yield "explained", name, "share", "line", of(name, "explained")
        yield "active", name, "features", "line", of(name, "l0")
        yield "dead", name, "features", "line", of(name, "dead")


def _lines(
    lines: Sequence[Mapping[str, Any]], clock: Mapping[int, float | None], *keys: str
) -> list[Line]:
    """What lines say under a key, or a key within a key; those that do not have it are left out."""
    found: list[Line] = []
    for line in lines:
        value: Any = line
        for key in keys:
            value = value[key] if isinstance(value, Mapping) and key in value else _ABSENT
        if value is not _ABSENT:
            found.append((line["step"], line["step"], finite(value), clock.get(line["step"])))
    return found


_ABSENT = object()


def charts_of(found: Sequence[RunHistory], inside: tuple[float, float]) -> list[dict[str, Any]]:
    """The charts of several runs, numbered from 1, with the curves of the steps from and to."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for number, told in enumerate(found, start=1):
        for chart, part, _, mark, lines in curves_of(told):
            # The step before and after too, so that a line reaches the edge.
            if kept := _inside(lines, inside):
                curve = {"run": number, "part": part, "mark": mark} | thinned(kept)
                curves.setdefault(chart, []).append(curve)
    return [
        {"name": name, "title": title, "unit": unit, "curves": curves[name]}
        for name, (title, unit) in _TITLES.items()
        if name in curves
    ]


def _inside(lines: list[Line], inside: tuple[float, float]) -> list[Line]:
    first, last = inside
    places = [place for place, line in enumerate(lines) if first <= line[1] <= last]
    return lines[max(0, places[0] - 1) : places[-1] + 2] if places else []


def thinned(lines: Sequence[Line], *, most: int = _WHOLE) -> dict[str, Any]:
    """A curve as arrays, whole if it has at most `most` points, else in stretches.

    Stretches hold equally many points (the last one what is left); of each, the minimum, maximum
    and mean of its finite values are kept.

    Returns:
        `of`, points there are; `stretch`, points in each of those shown; `last`, the last value
        itself; `not_finite`, how many are
        no numbers, and the first `not_finite_at` steps; arrays `first`, `step`, `value`, `seconds`,
        and with a stretch above 1 `low` and `high`.
    """
    stretch = 1 if len(lines) <= most else -(-len(lines) // (most // 3))
    groups = [lines[start : start + stretch] for start in range(0, len(lines), stretch)]
    good = [[value for _, _, value, _ in group if value is not None] for group in groups]
    bad = [step for _, step, value, _ in lines if value is None]
    curve: dict[str, Any] = {
        "of": len(lines),
        "stretch": stretch,
        "last": next((_rounded(v) for _, _, v, _ in reversed(lines) if v is not None), None),
        "not_finite": len(bad),
        "not_finite_at": bad[:20],
        "first": [group[0][0] for group in groups],
        "step": [group[-1][1] for group in groups],
        "value": [_rounded(math.fsum(some) / len(some)) if some else None for some in good],
        "seconds": [_rounded(group[-1][3]) for group in groups],
    }
    if stretch > 1:
        curve["low"] = [_rounded(min(some)) if some else None for some in good]
        curve["high"] = [_rounded(max(some)) if some else None for some in good]
    return curve


def finite(value: Any) -> float | None:
    """A number of a line of metrics; None for what is none."""
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if good else None


def _rounded(value: float | None) -> float | None:
    return significant(value, CURVE_DIGITS)


def thinning_notes(charts: Sequence[dict[str, Any]]) -> Iterable[str]:
    """What a reader must know of what the curves leave out, in sentences."""
    cut = [curve for chart in charts for curve in chart["curves"] if curve["stretch"] > 1]
    if cut:
        one = max(cut, key=lambda curve: curve["of"])
        shown = len(one["step"])
        yield (
            f"Long curves are thinned: {shown:,} stretches of {one['stretch']:,} points stand for "
            f"{one['of']:,}; minimum, maximum and mean of each are kept, so that every spike shows."
        )
    if bad := sum(curve["not_finite"] for chart in charts for curve in chart["curves"]):
        which = "is not finite: a gap" if bad == 1 else "are not finite: gaps"
        yield f"{numbered(bad, 'value')} of the curves {which}, not zero."
