"""Causal traces as data: what `--json` prints, the pages draw and the texts are written from.

A map of effects, layer by token, for every kind of value that was restored and for every
approximation; where each is largest; and what that means in words. A trace of one fact and the
mean over many have the same form: the rows of the one are tokens, those of the other the roles of
tokens. The schemas are described in docs/rooms/views.md. This module knows nothing of terminals,
pages or files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Any

from torch import Tensor

from molehill.facts.traced import FactTrace, RelationTrace
from molehill.language_model import LanguageModel
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import bare, enumerated, percent, significant, visible

__all__ = [
    "RELATION_SCHEMA",
    "SCHEMA",
    "amount",
    "fact_trace_data",
    "first_row",
    "interval",
    "largest_effect",
    "maps_of",
    "relation_trace_data",
]

SCHEMA = "molehill.fact-trace/1"
RELATION_SCHEMA = "molehill.relation-trace/1"

_TITLES = {"state": "state", "mlp": "MLP", "attention": "attention"}


def fact_trace_data(
    lm: LanguageModel, trace: FactTrace, *, version: str, digits: int | None = None
) -> dict[str, Any]:
    """Everything that the views of one fact's trace show, as plain values without NaN.

    Args:
        version: of Molehill, for the provenance.
        digits: significant digits; None gives what the dtype carries, 7 or 15.

    Returns:
        Among other things `rows` (the tokens, with their roles), `kinds` and `approximations`:
        per name a map with `effects` [layer][row] as differences of probability, `errors` (None
        where there was one draw only) and its peaks: of all, at the subject, and after it.
    """
    digits = digits or digits_of(lm)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "prompt": trace.prompt,
        "subject": trace.subject,
        "target": trace.target,
        "subject_span": list(trace.subject_span),
        "rows": _tokens(trace),
        "layers": _layers(trace.effects),
        "clean": significant(trace.clean, digits),
        "corrupted": significant(trace.corrupted, digits),
        "total_effect": significant(trace.total_effect, digits),
        "corruption": trace.corruption,
    }
    rows = data["rows"]
    data["kinds"] = {
        kind: _map(_TITLES[kind], trace.windows.get(kind, 1), effects, rows, digits)
        | {"errors": _errors(trace.errors.get(kind), digits)}
        for kind, effects in trace.effects.items()
    }
    _mark_half(data)
    data["approximations"] = {
        name: _map(name, 1, estimate.effects, rows, digits)
        | {"errors": None, "correlation": significant(estimate.correlation, digits)}
        for name, estimate in trace.approximations.items()
    }
    data["notes"] = _fact_notes(data)
    data["provenance"] = provenance(lm, version)
    data["summary"] = [_fall(data), *_places(data), *_agreement(data), *_broken(data)]
    return data


def relation_trace_data(
    lm: LanguageModel, trace: RelationTrace, *, version: str, digits: int | None = None
) -> dict[str, Any]:
    """The same for a mean over facts: rows are roles with `count`, the number of facts that have
    them; maps have `low` and `high`, the ends of the 95% interval, in place of errors.

    Args:
        version, digits: as for `fact_trace_data`.
    """
    digits = digits or digits_of(lm)
    mean, low, high = (significant(value, digits) for value in trace.total_effect)
    data: dict[str, Any] = {
        "schema": RELATION_SCHEMA,
        "summary": [],
        "relation": trace.relation,
        "facts": list(trace.facts),
        "rows": [
            {"name": role, "role": role, "subject": "subject" in role, "count": count}
            for role, count in zip(trace.roles, trace.counts, strict=True)
        ],
        "layers": _layers(trace.effects),
        "total_effect": mean,
        "total_interval": [low, high],
        "corruption": trace.corruption,
        "resamples": trace.resamples,
        "seed": trace.seed,
    }
    data["kinds"] = {
        kind: _map(_TITLES[kind], trace.windows.get(kind, 1), effects, data["rows"], digits)
        | {"low": _plain(trace.low[kind], digits), "high": _plain(trace.high[kind], digits)}
        for kind, effects in trace.effects.items()
    }
    _mark_half(data)
    data["approximations"] = {}
    data["notes"] = _relation_notes(data)
    data["provenance"] = provenance(lm, version)
    data["summary"] = [_mean_fall(data), *_places(data), *_broken(data)]
    return data


def maps_of(data: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every map of a trace by its name: the kinds, then the approximations."""
    return {**data["kinds"], **data["approximations"]}


def largest_effect(data: dict[str, Any]) -> float:
    """The largest size of any effect of any map: the end of a scale that they share; 1 where there
    is none."""
    cells = (cell for one in maps_of(data).values() for line in one["effects"] for cell in line)
    return max((abs(cell) for cell in cells if cell), default=1.0)


def first_row(data: dict[str, Any]) -> int:
    """The first row with an effect in any map: in a causal model, of the subject; 0 where there is
    no effect at all."""
    lines = [line for one in maps_of(data).values() for line in one["effects"]]
    for row in range(len(data["rows"])):
        if any(line[row] != 0 for line in lines):
            return row
    return 0


def interval(one: dict[str, Any], layer: int, row: int) -> tuple[float | None, float | None]:
    """The ends of a cell's interval: of two standard errors to both sides, or as resampling gave
    it; None twice where there is none."""
    if one.get("low") is not None:
        return one["low"][layer][row], one["high"][layer][row]
    effect = one["effects"][layer][row]
    error = one["errors"][layer][row] if one.get("errors") is not None else None
    if effect is None or error is None:
        return None, None
    return effect - 2 * error, effect + 2 * error


def amount(value: float | None, *, plus: bool = False) -> str:
    """A probability, or a difference of two, with two digits that tell: `0.52`, `0.0031`,
    `−0.04`."""
    if value is None or not isfinite(value):
        return "not finite"
    size = abs(value)
    places = next((digits for digits in (2, 3, 4) if size >= 0.995 * 10 ** (1 - digits)), None)
    told = "0" if size == 0 else f"{size:.1e}" if places is None else f"{size:.{places}f}"
    told = told.replace("e-0", "e−").replace("e-", "e−")
    return f"{'−' if value < 0 else '+' if plus and value else ''}{told}"


# --- the maps -----------------------------------------------------------------------------------


def _tokens(trace: FactTrace) -> list[dict[str, Any]]:
    first, end = trace.subject_span
    return [
        {"name": piece, "role": role, "subject": first <= position < end, "position": position}
        for position, (piece, role) in enumerate(zip(trace.pieces, trace.roles(), strict=True))
    ]


def _layers(effects: Mapping[Any, Tensor]) -> int:
    sizes = {effect.shape[0] for effect in effects.values()}
    assert len(sizes) == 1, f"every kind of one trace has the same layers, not {sizes}"
    return sizes.pop()


def _map(
    title: str, window: int, effects: Tensor, rows: Sequence[dict[str, Any]], digits: int
) -> dict[str, Any]:
    assert effects.shape[1] == len(rows), "a map has a column for every token or role"
    told = _plain(effects, digits)
    subject = [place for place, row in enumerate(rows) if row["subject"]]
    behind = range(subject[-1] + 1 if subject else 0, len(rows))
    return {
        "title": title,
        "window": window,
        "effects": told,
        "peak": _peak(told, range(len(rows))),
        "peak_subject": _peak(told, subject),
        "peak_after": _peak(told, behind),
    }


def _plain(values: Tensor, digits: int) -> list[list[float | None]]:
    return [[significant(value, digits) for value in line] for line in values.tolist()]


def _errors(values: Tensor | None, digits: int) -> list[list[float | None]] | None:
    """None where every error is zero: a single draw tells nothing of its error."""
    return None if values is None or not bool(values.any()) else _plain(values, digits)


def _peak(
    effects: Sequence[Sequence[float | None]], columns: Iterable[int]
) -> dict[str, Any] | None:
    """The largest finite effect of some columns, the first of equals; None where there is none."""
    best: dict[str, Any] | None = None
    chosen = list(columns)
    for layer, line in enumerate(effects):
        for column in chosen:
            effect = line[column]
            if effect is not None and (best is None or effect > best["effect"]):
                best = {"layer": layer, "row": column, "effect": effect}
    return best


def _mark_half(data: dict[str, Any]) -> None:
    """From which layer on the last token's state has half of the total effect or more; None where
    it never has."""
    state, total = data["kinds"].get("state"), data["total_effect"]
    if state is None:
        return
    column = [line[-1] for line in state["effects"]]
    since = len(column)
    while total and total > 0 and since and (column[since - 1] or 0.0) >= total / 2:
        since -= 1
    state["half_at"] = since if since < len(column) else None


# --- in words -----------------------------------------------------------------------------------


def _quoted(text: str) -> str:
    return f"“{visible(text.strip()).strip('“”')}”"


def _fall(data: dict[str, Any]) -> str:
    subject, target = _quoted(data["subject"]), _quoted(data["target"])
    clean, corrupted = amount(data["clean"]), amount(data["corrupted"])
    if data["total_effect"] is None:
        return f"The probability of {target} is not finite. {_WEIGHTS}"
    if data["total_effect"] <= 0:
        return (
            f"Corrupting {subject} does not make {target} less probable ({clean} before, "
            f"{corrupted} after): there is nothing to restore, and the maps say little."
        )
    return (
        f"With {subject} corrupted, the probability of {target} falls from {clean} to "
        f"{corrupted}: a total effect of {amount(data['total_effect'])}."
    )


def _mean_fall(data: dict[str, Any]) -> str:
    low, high = (amount(value) for value in data["total_interval"])
    count = len(data["facts"])
    return (
        f"Over {count} fact{'s' if count != 1 else ''} of {_quoted(data['relation'])}, corrupting "
        "the subject lowers the probability of the target by "
        f"{amount(data['total_effect'])} on average ({low} to {high})."
    )


def _places(data: dict[str, Any]) -> list[str]:
    """Where states, MLPs and attention bring back most: a line for states, one for the rest."""
    state = data["kinds"].get("state")
    rest = [
        f"{_NAMES[kind]} {_place(data, one, one['peak'], 'of the total')}"
        for kind, one in data["kinds"].items()
        if kind != "state" and one["peak"] is not None
    ]
    told = "; ".join(rest)
    told = told.replace("; attention matters most", "; attention") if len(rest) > 1 else told
    return [*(_states(data, state) if state else []), *([f"{_capital(told)}."] if rest else [])]


_NAMES = {"mlp": "MLPs matter most", "attention": "attention matters most"}


def _states(data: dict[str, Any], state: dict[str, Any]) -> list[str]:
    peak = state["peak_subject"]
    if peak is None:
        return []
    if data["rows"][-1]["subject"]:
        return [
            "The prompt ends with its subject, so that in states what reads the subject and what "
            "gives the answer cannot be told apart."
        ]
    line = f"At the subject, the state that brings back most is the one {_place(data, state, peak)}"
    if state["half_at"] is not None:
        line += f"; the last token has half of the total effect from layer {state['half_at']} on"
    return [f"{line}."]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _place(
    data: dict[str, Any], one: dict[str, Any], peak: dict[str, Any], of: str = "of the total effect"
) -> str:
    """`at “Jordan” after layer 13 (0.55, 72% of the total effect)`."""
    row = data["rows"][peak["row"]]
    name = f"the {row['name']}" if data["schema"] == RELATION_SCHEMA else _token(row["name"])
    single = "after" if one["title"] == "state" else "in"
    where = "around" if one["window"] > 1 else single
    share = ""
    if data["total_effect"] and data["total_effect"] > 0:
        share = f", {percent(peak['effect'] / data['total_effect'])} {of}"
    return f"at {name} {where} layer {peak['layer']} ({amount(peak['effect'])}{share})"


def _token(piece: str) -> str:
    return f"“{bare(piece).strip('“”')}”"


def _agreement(data: dict[str, Any]) -> list[str]:
    told = [
        f"{name} {amount(one['correlation'])}"
        for name, one in data["approximations"].items()
        if one["correlation"] is not None
    ]
    if not told:
        return []
    return [f"Correlation with the exact effects of states: {enumerated(told)}."]


_WEIGHTS = "Look at the model's weights before believing the rest."


def _broken(data: dict[str, Any]) -> list[str]:
    maps = maps_of(data).values()
    lost = sum(cell is None for one in maps for line in one["effects"] for cell in line)
    return [f"{lost:,} effects are not finite. {_WEIGHTS}"] if lost else []


def _fact_notes(data: dict[str, Any]) -> list[str]:
    drawn = any(one["errors"] is not None for one in data["kinds"].values())
    notes = [
        f"Corruption: {data['corruption']}.",
        _EFFECT,
        _ENOUGH,
        *_window_notes(data),
        "Intervals reach two standard errors to both sides, over the draws of noise."
        if drawn
        else "There was one corruption only, so that the effects have no standard errors.",
    ]
    if data["subject_span"][0]:
        notes.append("A causal model has read no subject in the tokens before it: effect 0.")
    if data["approximations"]:
        notes.append(
            "Approximations follow gradients instead of running the model for every cell, and are "
            "of states. Their correlation with the exact effects is Pearson's, over all cells."
        )
    return notes


def _relation_notes(data: dict[str, Any]) -> list[str]:
    return [
        f"Corruption: {data['corruption']}.",
        _EFFECT,
        _ENOUGH,
        *_window_notes(data),
        "Every fact counts once: of several tokens with one role the mean is taken first.",
        f"Intervals hold 95% of the means over facts drawn again with replacement "
        f"({data['resamples']:,} times, seed {data['seed']}).",
    ]


_EFFECT = (
    "An indirect effect: the subject's tokens are corrupted, one value of the run without "
    "corruption is put back, and what the target's probability gains over the corrupted run is "
    "read (Meng et al., 2022, section 2). The whole of what was lost is the total effect."
)
_ENOUGH = (
    "A large effect says that what stands there is enough to bring the answer back, and not that "
    "it is stored there. The state of the last token after the last layer always brings back "
    "everything: the answer is read from it."
)


def _window_notes(data: dict[str, Any]) -> list[str]:
    wide = {
        "MLPs" if kind == "mlp" else "attention": one["window"]
        for kind, one in data["kinds"].items()
        if one["window"] > 1
    }
    if not wide:
        return []
    told = enumerated([f"{name} of {window} layers" for name, window in wide.items()])
    return [f"What one layer adds is small, so {told} around the one named are restored together."]
