"""How methods of editing are judged, as data: every definition side by side, before and after, over
all cases; and what is left after many edits in a row.

The schemas are described in docs/rooms/facts.md. This module knows nothing of terminals, pages or
files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from molehill.facts.evaluate import METRICS, Evaluation
from molehill.facts.stacking import Milestone
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import significant

__all__ = ["SCHEMA", "fact_scores_data"]

SCHEMA = "molehill.fact-scores/1"

_DIGITS = 6


def fact_scores_data(
    lm: LanguageModel,
    evaluations: Sequence[Evaluation],
    *,
    stacks: Mapping[str, Sequence[Milestone]] | None = None,
    cases: int,
    ended: bool = True,
    version: str,
) -> dict[str, Any]:
    """Everything that the views of scores show, as plain values without NaN or infinities.

    Args:
        evaluations: one for each method, each edit by itself.
        stacks: the milestones of each method, edits in a row.
        cases: how many there were to be.
        ended: whether all of them were done.
        version: of Molehill, for the provenance.

    Returns:
        Among other things `metrics` (name, definition, source; those that something is known of)
        and, per method, `values`: by metric its mean and standard deviation over cases `before`
        and `after`, as shares from 0 to 1 (fluency in bits).
    """
    stacks = stacks or {}
    judged = [*evaluations, *(one.scores for rows in stacks.values() for one in rows)]
    known = [name for name in METRICS if any(one.mean(name) is not None for one in judged)]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "cases": cases,
        "ended": ended,
        "metrics": [
            {
                "name": name,
                "words": METRICS[name].words,
                "source": METRICS[name].source,
                "percent": METRICS[name].percent,
            }
            for name in known
        ],
        "methods": [_method(one, known) for one in evaluations],
        "stacks": [
            {
                "method": method,
                "bits_before": significant(rows[0].bits_before, _DIGITS),
                "milestones": [
                    {
                        "edits": one.edits,
                        "bits": significant(one.bits, _DIGITS),
                        "values": _values(one.scores, known),
                    }
                    for one in rows
                ],
            }
            for method, rows in stacks.items()
            if rows
        ],
        "notes": list(_NOTES),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def _method(one: Evaluation, known: Sequence[str]) -> dict[str, Any]:
    return {
        "method": one.method,
        "count": len(one.cases),
        "values": _values(one, known),
        "cases": [
            {
                "prompt": score.case.fact.prompt,
                "true": score.case.fact.object,
                "new": score.case.new,
                "edit": score.edit,
                "before": {name: significant(x, _DIGITS) for name, x in score.before.items()},
                "after": {name: significant(x, _DIGITS) for name, x in score.after.items()},
            }
            for score in one.cases
        ],
    }


def _values(one: Evaluation, known: Sequence[str]) -> dict[str, Any]:
    return {
        name: {
            "before": significant(one.mean(name, after=False), _DIGITS),
            "after": significant(one.mean(name), _DIGITS),
            "deviation_before": significant(one.deviation(name, after=False), _DIGITS),
            "deviation_after": significant(one.deviation(name), _DIGITS),
        }
        for name in known
        if one.mean(name) is not None
    }


def _summary(data: dict[str, Any]) -> list[str]:
    lines = []
    if not data["ended"]:
        lines.append("This is what was measured before it was stopped.")
    for one in data["methods"]:
        count, score = one["count"], one["values"].get("score")
        told = f"{one['method']}, over {count} case{'s' if count != 1 else ''}"
        if score is not None:
            lines.append(f"{told}: score {100 * (score['after'] or 0):.1f}.")
    for one in data["stacks"]:
        last = one["milestones"][-1]
        bits = "not finite" if last["bits"] is None else f"{last['bits']:.3f}"
        count = f"{last['edits']} edit{'s' if last['edits'] != 1 else ''} in a row"
        before = f"before, {one['bits_before']:.3f}"
        lines.append(f"{one['method']}, after {count}: {bits} bits per byte; {before}.")
    return lines or ["Nothing was measured."]


_NOTES = [
    "Shares are given times 100: the mean over cases and, after ±, the standard deviation over "
    "cases. The score is the harmonic mean of three means and has none.",
    "Success compares the new object's probability with the true one's and flatters: a model may "
    "prefer the new object and say neither. Accuracy and generation look at what it says.",
    "In a row, all cases edited so far are judged on the model as it is then.",
]
