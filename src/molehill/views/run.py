"""Runs of training as data: their curves, samples, recipes, and what each keeps.

One run or several side by side; the curves themselves are `run_curves`'. This module knows nothing
of terminals, pages or files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from molehill.errors import ConfigError
from molehill.training.history import RunHistory
from molehill.views.run_curves import (
    CURVE_DIGITS,
    charts_of,
    curves_of,
    finite,
    thinning_notes,
)
from molehill.views.words import enumerated, numbered, significant

__all__ = ["LISTED", "MOST_RUNS", "RUNS", "SCHEMA", "run_data", "runs_data", "span"]

SCHEMA = "molehill.run/1"
LISTED = "molehill.runs/1"
RUNS = 200
"""Runs in a list, at most."""
MOST_RUNS = 8
"""Runs that are compared in one picture; there are as many colours."""

_MOST_SAMPLES = 400


def runs_data(
    found: Sequence[RunHistory], *, version: str, there: int | None = None
) -> dict[str, Any]:
    """A list of runs, a line each: how it stands, how far it is, and its last figures.

    Args:
        found: the runs.
        version: of Molehill, for the provenance.
        there: how many runs there are, if not all were read.
    """
    there = len(found) if there is None else there
    shown = found[:RUNS]
    states = [one.state for one in found]
    told = [
        f"{states.count(state)} {state}"
        for state in ("at work", "finished", "stopped", "not begun")
        if state in states
    ]
    summary = [f"{numbered(len(found), 'run')}: {enumerated(told)}."] if found else ["No runs."]
    notes = [
        "At work is what a process of this machine trains into; another machine's is not seen."
    ]
    if there > len(shown):
        notes.insert(0, f"{len(shown)} of {there} runs are listed.")
    return {
        "schema": LISTED,
        "summary": summary,
        "runs": [_run(one, number) for number, one in enumerate(shown, start=1)],
        "notes": notes,
        "provenance": {"version": version},
    }


def run_data(
    found: Sequence[RunHistory],
    *,
    version: str,
    first: int | None = None,
    last: int | None = None,
) -> dict[str, Any]:
    """Runs side by side, as plain values without NaN.

    Args:
        found: the runs; what is compared is compared in this order.
        version: of Molehill, for the provenance.
        first, last: curves of these steps only, and so with more of their points.

    Returns:
        Among other things `runs` as in `runs_data`, `charts` with `curves` (arrays by point:
        `first` and `step`, the ends of its stretch, `value`, its mean, and, where it was thinned,
        `low` and `high`), `samples` by prompt, step and run, and the `recipe` key by key.

    Raises:
        ConfigError: no runs, more than can be told apart, or two of one name.
    """
    names = [one.name for one in found]
    if not found or len(found) > MOST_RUNS or len(set(names)) < len(names):
        raise ConfigError(
            f"{len(found)} runs were given ({', '.join(names[:9]) or 'none'}): give from 1 to "
            f"{MOST_RUNS}, each once."
        )
    inside = (float(first or 0), math.inf if last is None else float(last))
    charts = charts_of(found, inside)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "runs": [_run(one, number) for number, one in enumerate(found, start=1)],
        "span": None if first is None and last is None else [first, last],
        "charts": charts,
        "samples": _samples(found),
        "recipe": _recipe(found),
        "notes": [*thinning_notes(charts), *_notes(found)],
        "provenance": {"version": version},
    }
    data["summary"] = list(_summary(data))
    return data


# --- one run ------------------------------------------------------------------------------------


def _run(told: RunHistory, number: int) -> dict[str, Any]:
    last = told.stepped[-1] if told.stepped else {}
    size, steps = told.step_size, told.steps
    seconds = finite(last.get("seconds"))
    plan = (told.began[-1].get("plan") or {}) if told.began else {}
    return {
        "number": number,
        "name": told.name,
        "kind": told.kind,
        "state": told.state,
        "step": told.step,
        "steps": steps,
        "unit": "tokens" if told.kind == "model" else "vectors",
        "step_size": size,
        "read": None if size is None else size * told.step,
        "to_read": None if size is None or steps is None else size * steps,
        "seconds": significant(seconds, CURVE_DIGITS),
        "parameters": plan.get("parameters"),
        "parts": len(told.began),
        "version": told.began[-1].get("version") if told.began else None,
        "last": _last(told),
        "checkpoints": list(told.checkpoints),
        "models": list(told.models),
        "files": list(told.files),
        "told": [
            {"step": line["step"], "text": str(line.get("text", ""))} for line in told.notices[-20:]
        ],
        "notices": len(told.notices),
    }


def _last(told: RunHistory) -> list[dict[str, Any]]:
    """The last figures of a run, named: what a list of runs has room for."""
    found = []
    for name, unit, points in _figures(told):
        good = [(line, value) for line, value in points if value is not None]
        if good:
            best = min(good, key=lambda one: one[1])
            found.append(
                {
                    "name": name,
                    "unit": unit,
                    "step": good[-1][0],
                    "value": significant(good[-1][1], CURVE_DIGITS),
                    "lowest": significant(best[1], CURVE_DIGITS),
                    "lowest_at": best[0],
                }
            )
    return found


def _figures(told: RunHistory) -> Iterable[tuple[str, str, list[tuple[int, float | None]]]]:
    for chart, part, unit, _, lines in curves_of(told):
        if chart in ("loss", "held-out", "error", "explained", "active", "dead"):
            name = {"loss": f"{part} loss", "held-out": f"{part}, held out"}.get(chart)
            yield name or f"{part}: {chart}", unit, [(step, value) for _, step, value, _ in lines]


def span(seconds: float | None) -> str:
    """A time as people say it: `8 s`, `2 min 3 s`, `5 h 20 min`."""
    if seconds is None:
        return "unknown time"
    whole = round(seconds)
    if whole < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 6_000:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3_600} h {whole % 3_600 // 60} min"


# --- samples and recipes ------------------------------------------------------------------------


def _samples(found: Sequence[RunHistory]) -> dict[str, Any]:
    """What was written, the last so many of each run."""
    told = [
        {
            "run": number,
            "step": line["step"],
            "prompt": str(line.get("prompt", "")),
            "text": str(line.get("text", "")),
        }
        for number, one in enumerate(found, start=1)
        for line in one.sampled[-_MOST_SAMPLES:]
    ]
    prompts = list(dict.fromkeys(sample["prompt"] for sample in told))
    return {"prompts": prompts, "of": sum(len(one.sampled) for one in found), "texts": told}


def _recipe(found: Sequence[RunHistory]) -> list[dict[str, Any]]:
    """Every key of the recipes, with each run's value, None where it has none."""
    keys = dict.fromkeys(key for one in found for key in one.recipe)
    rows = []
    for key in keys:
        values = [one.recipe.get(key) for one in found]
        differs = any(value != values[0] for value in values)
        rows.append(
            {
                "key": key,
                "values": [None if value is None else _written(value) for value in values],
                "differs": differs,
                "decides": any(one.decides(key) for one in found),
            }
        )
    return rows


def _written(value: Any) -> str:
    """A value as TOML has it, or nearly."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:,}".replace(",", "_")


# --- in sentences -------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> Iterable[str]:
    runs = data["runs"]
    for run in runs:
        yield _standing(run)
    if len(runs) > 1:
        yield from _compared(data)
    elif told := _figures_told(runs[0]):
        yield told


def _standing(run: dict[str, Any]) -> str:
    of = "" if run["steps"] is None else f" of {run['steps']:,}"
    read = "" if run["read"] is None else f", {run['read']:,} {run['unit']}"
    time = "" if run["seconds"] is None else f" in {span(run['seconds'])} of steps"
    kept = f"; {numbered(len(run['models']), 'model')} kept" if run["models"] else ""
    size = "" if run["parameters"] is None else f" ({run['parameters']:,} parameters)"
    return f"{run['name']}{size} is {run['state']}: step {run['step']:,}{of}{read}{time}{kept}."


def _figures_told(run: dict[str, Any]) -> str:
    """The last figures, and where the lowest was if it was not the last."""
    parts = []
    for one in run["last"][:6]:
        told = f"{one['name']} {one['value']:.4g}"
        held = one["name"].startswith("held-out") or one["name"].endswith("held out")
        if held and one["lowest_at"] != one["step"]:
            told += f" (lowest {one['lowest']:.4g} at step {one['lowest_at']:,})"
        parts.append(told)
    return f"At the last step told: {'; '.join(parts)}." if parts else ""


def _compared(data: dict[str, Any]) -> Iterable[str]:
    runs = data["runs"]
    keys = [row["key"] for row in data["recipe"] if row["differs"] and row["decides"]]
    if keys:
        named = enumerated(keys[:6]) + (f" and {len(keys) - 6} more" if len(keys) > 6 else "")
        yield f"Their recipes differ in {named}."
    else:
        yield "Their recipes differ in no key that decides the weights."
    told = [
        (one["lowest"], run["name"], one["lowest_at"])
        for run in runs
        for one in run["last"]
        if one["name"] == "held-out loss"
    ]
    if len(told) > 1:
        value, best, step = min(told)
        others = "; ".join(f"{other} {low:.4g}" for low, other, _ in sorted(told)[1:])
        yield f"Lowest held-out loss: {best} with {value:.4g} at step {step:,}; {others}."


def _notes(found: Sequence[RunHistory]) -> Iterable[str]:
    if any(one.kind == "model" for one in found):
        yield (
            "Training loss is each step's own batch, before the step; held-out loss is the same "
            "text each time. A step's seconds hold neither evaluation nor saving."
        )
    corpora = {one.recipe.get("corpus.folder") for one in found if one.kind == "model"}
    if len(corpora) > 1:
        yield "The runs read different corpora, so their losses cannot be held against each other."
    if len({one.kind for one in found}) > 1:
        yield "Models and autoencoders are side by side: only rate and speed are of one kind."
    read = {one.step_size and one.step_size * one.step for one in found}
    if len(read) > 1:
        yield "The runs have read different amounts: over tokens their curves can be compared."
    if any(one.kind == "features" for one in found):
        yield "An autoencoder's figures are of one training batch; `features evaluate` measures."
    yield "At work is what a process of this machine trains into; another machine's is not seen."
