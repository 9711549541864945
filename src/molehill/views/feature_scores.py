"""Scores of autoencoders as data: what each keeps of the model against how many features it uses,
and, where the truth is known, what it has found of it.

What `--json` prints, the page draws and the text is written from. This module knows nothing of
terminals, pages or files, and scores nothing itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from molehill.features.evaluating import Evaluation
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import enumerated, percent, significant

__all__ = ["SCHEMA", "feature_scores_data"]

SCHEMA = "molehill.feature-scores/1"

_FEW = 1000
"""Vectors below which a score is chance."""


def feature_scores_data(
    lm: LanguageModel,
    found: Sequence[tuple[str, Evaluation]],
    *,
    texts: str,
    truths: Sequence[Mapping[str, Any]] = (),
    senses: Sequence[Sequence[Mapping[str, Any]]] = (),
    version: str,
) -> dict[str, Any]:
    """Scores as plain values.

    Args:
        found: each file's name with its scores.
        texts: what was read, in words.
        truths: of each, what it has found where the truth is known; empty: nobody asked.
        senses: of each, how well senses of some words are told by its features; empty: nobody
            asked.
        version: of Molehill.

    Returns:
        `autoencoders`, by place, kind and L0: what it is, `saebench` (its groups and names),
        `recovered_from_mean`, the `density` of its features, what was `left_out`, and `truth`;
        `series`: which of them are points of one frontier; `summary` and `notes` in words.
    """
    entries = [
        _entry(number, file, one, truths[number] if truths else None)
        | {"senses": _rounded(senses[number]) if senses else []}
        for number, (file, one) in enumerate(found)
    ]
    entries.sort(key=lambda entry: (entry["series"], entry["l0"]))
    for mark, entry in enumerate(entries):
        entry["mark"] = _mark(mark)
    names = list(dict.fromkeys(entry["series"] for entry in entries))
    return {
        "schema": SCHEMA,
        "summary": list(_summary(entries)),
        "autoencoders": entries,
        "series": [
            {"name": name, "points": [n for n, one in enumerate(entries) if one["series"] == name]}
            for name in names
        ],
        "texts": texts,
        "notes": list(_notes(entries)),
        "provenance": provenance(lm, version),
    }


def _entry(
    number: int, file: str, one: Evaluation, truth: Mapping[str, Any] | None
) -> dict[str, Any]:
    settings, score = one.features.settings, one.score
    place = " + ".join(one.features.reads)
    if one.features.transcodes:
        place += " -> " + " + ".join(one.features.writes)
    edges, counts = score.histogram()
    bench = _rounded(one.to_saebench())
    return {
        "number": number,
        "file": file,
        "name": one.features.name,
        "architecture": settings.architecture,
        "place": place,
        "features": settings.n_features,
        "series": f"{settings.architecture}, {settings.n_features:,} at {place}",
        "l0": bench["sparsity"]["l0"],
        "explained_variance": bench["reconstruction_quality"]["explained_variance"],
        "ce_loss_score": bench.get("model_performance_preservation", {}).get("ce_loss_score"),
        "frac_alive": bench["misc_metrics"]["frac_alive"],
        "recovered_from_mean": None
        if one.losses is None
        else significant(one.losses.recovered_from_mean),
        "rows": score.rows,
        "predictions": 0 if one.losses is None else one.losses.tokens,
        "left_out": str(one.left_out),
        "trained_rows": one.features.provenance.get("rows"),
        "density": {"edges": [significant(edge, 4) for edge in edges], "counts": counts},
        "saebench": bench,
        "truth": None if truth is None else _rounded(truth),
    }


def _rounded(value: Any) -> Any:
    """Numbers as JSON can hold them: NaN is null."""
    if isinstance(value, Mapping):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(one) for one in value]
    if isinstance(value, float):
        return significant(value) if math.isfinite(value) else None
    return value


def _mark(number: int) -> str:
    """a, b, ..., z, A, ..., then numbers."""
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return letters[number] if number < len(letters) else str(number)


def _summary(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(entries) == 1:
        one = entries[0]
        line = (
            f"{one['features']:,} features by {one['architecture']} at {one['place']}: "
            f"{one['l0']:.1f} active in a row explain {percent(one['explained_variance'])} of the "
            "variance"
        )
        if one["ce_loss_score"] is not None:
            line += f" and recover {percent(one['ce_loss_score'])} of the loss"
        yield f"{line}; {percent(one['frac_alive'])} of the features are alive."
    else:
        low, high = min(e["l0"] for e in entries), max(e["l0"] for e in entries)
        best = max(entries, key=lambda entry: entry["explained_variance"] or -math.inf)
        yield (
            f"{len(entries)} autoencoders with {low:.1f} to {high:.1f} active features in a row; "
            f"{best['name']} explains most, {percent(best['explained_variance'])} of the variance "
            f"with {best['l0']:.1f}."
        )
    told = [entry for entry in entries if entry["truth"] is not None]
    if told:
        yield _found(max(told, key=lambda entry: entry["truth"]["used"]["found"]))


def _found(entry: Mapping[str, Any]) -> str:
    used = entry["truth"]["used"]
    kinds = used["by_kind"]
    parts = [
        f"{percent(one['found'])} of {one['features']} "
        f"{kind if one['features'] == 1 else kind + 's'}"
        for kind, one in sorted(kinds.items(), key=lambda pair: -pair[1]["found"])
    ]
    there = ""
    if "ceiling" in used:
        there = f", where a linear probe can tell {percent(used['ceiling'])}"
    return (
        f"{entry['name']}: of the true features, at the words where they are used, "
        f"{percent(used['found'])} are found with F1 over 0.9{there}: {enumerated(parts)}."
    )


def _notes(entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for left_out in dict.fromkeys(entry["left_out"] for entry in entries):
        mine = [entry for entry in entries if entry["left_out"] == left_out]
        who = "" if len(mine) == len(entries) else f" of {enumerated([e['name'] for e in mine])}"
        rows = enumerated(sorted({f"{entry['rows']:,}" for entry in mine}))
        yield f"Left out{who}: {left_out}. Vectors scored: {rows}."
    fewest = min(entry["rows"] for entry in entries)
    if fewest < _FEW:
        yield (
            f"So few vectors ({fewest:,}) say nothing of an autoencoder: give more texts, or more "
            f"--tokens, {_FEW:,} at least."
        )
    if any(entry["predictions"] for entry in entries):
        yield (
            "Loss recovered: 1 is the model's own cross-entropy, 0 that with zeros in the vectors' "
            "place; from the mean: 0 is that with the vectors' mean, which is harder to beat."
        )
    if len(entries) == 1:
        yield "One point is no frontier: give several files, of other k or penalty, to compare."
    if len({entry["trained_rows"] for entry in entries}) > 1:
        yield "They were trained on different numbers of vectors."
    if any(entry["truth"] for entry in entries):
        yield (
            "True directions are estimates, by a regression of the vectors on all true features at "
            "once; activity needs no estimate. Partners and thresholds are chosen in one half of "
            "the sentences and judged in the other."
        )
