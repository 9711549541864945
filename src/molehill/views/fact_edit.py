"""One edit of a model as data: what `--json` prints, the page draws and the text is written from.

Every prompt before and after, what the model writes by itself, how large the change is, and what
the health gate says of it. The schemas are described in docs/rooms/facts.md. This module knows
nothing of terminals, pages or files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from molehill.facts.before_after import Compared
from molehill.facts.edits import Dense, FactEdit, LowRank, Neurons, Size
from molehill.facts.health import Health, Measure
from molehill.language_model import LanguageModel
from molehill.views.fact_trace import amount
from molehill.views.provenance import provenance
from molehill.views.words import enumerated, percent, significant, visible

__all__ = ["SCHEMA", "compared_row", "edit_entry", "fact_edit_data"]

SCHEMA = "molehill.fact-edit/1"

_DIGITS = 6
_VERDICTS = {"healthy": "healthy", "warns": "a warning", "refuses": "refused"}


def fact_edit_data(
    lm: LanguageModel,
    edit: FactEdit,
    health: Health,
    *,
    edits: Sequence[FactEdit] = (),
    sizes: Sequence[Size] = (),
    written: Sequence[tuple[str, str, str]] = (),
    version: str,
) -> dict[str, Any]:
    """Everything that the views of an edit show, as plain values without NaN or infinities.

    Args:
        lm: the model without any edit.
        edits: what was applied before this one.
        sizes: of this edit alone, as `sizes` gives them.
        written: prompts with what the model wrote after them, before and after the edit.
        version: of Molehill, for the provenance.
    """
    count = health.new_facts
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "edit": edit_entry(edit),
        "stack": [one.name for one in edits],
        "stack_digests": [one.digest for one in edits],
        "against": _against(len(edits)),
        "rows": [
            *(compared_row("prompt", one) for one in health.new[:count]),
            *(compared_row("paraphrase", one) for one in health.new[count:]),
            *(compared_row("neighbour", one) for one in health.neighbours),
            *(compared_row("earlier", one) for one in health.earlier),
        ],
        "written": [
            {"prompt": prompt, "before": before.strip(), "after": after.strip()}
            for prompt, before, after in written
        ],
        "sizes": [_size(one) for one in sizes],
        "health": _health(health),
    }
    data["notes"] = [*health.notes, _held_against(len(edits)), *_NOTES]
    data["provenance"] = provenance(lm, version)
    data["summary"] = [*_said(data), *_large(data), _gate(data)]
    return data


def _against(edits: int) -> dict[str, str]:
    """By kind of prompt, what `before` is: not the same model for all where edits are stacked."""
    unedited = "without any edit"
    kinds = dict.fromkeys(("prompt", "paraphrase", "neighbour", "written"), unedited)
    earlier = ("with this one" if edits == 1 else f"with these {edits}") if edits else unedited
    return {**kinds, "earlier": earlier}


def edit_entry(edit: FactEdit) -> dict[str, Any]:
    """An edit without its numbers."""
    return {
        "name": edit.name,
        "digest": edit.digest,
        "method": edit.method,
        "facts": [
            {
                "subject": fact.subject,
                "object": fact.object,
                "template": fact.template,
                "prompt": fact.prompt,
                "relation": fact.relation,
                "paraphrases": list(fact.paraphrases),
            }
            for fact in edit.facts
        ],
        "changes": [_change(change, _relative(edit)) for change in edit.changes],
        "model": edit.model,
        "fingerprint": edit.fingerprint,
        "after": [digest[:8] for digest in edit.after],
        "settings": _plain(edit.settings),
        "metrics": _plain(edit.metrics),
        "molehill": edit.molehill,
    }


def _relative(edit: FactEdit) -> Mapping[str, Any]:
    """By weight, the change's share of its size as it was measured; a file may say anything."""
    found = edit.metrics.get("sizes")
    if not isinstance(found, Mapping):
        return {}
    return {name: one for name, one in found.items() if isinstance(one, int | float)}


def _change(change: LowRank | Dense | Neurons, relative: Mapping[str, Any]) -> dict[str, Any]:
    """A change without its numbers: where, of which rank, and how large.

    Args:
        relative: by weight, the change's share of its size, where that was measured.
    """
    if isinstance(change, Neurons):
        return {
            "kind": "neurons",
            "layer": change.layer,
            "count": len(change),
            "norm": significant(float(change.columns.double().norm()), _DIGITS),
            "relative": None,
        }
    if isinstance(change, LowRank):
        kind, rank = "low rank", change.left.shape[1]
        left, right = change.left.double(), change.right.double()
        # The norm of a product of thin factors, without laying it out.
        norm = float(((left.T @ left) * (right @ right.T)).sum().clamp(min=0).sqrt())
    else:
        kind, rank = "dense", min(change.difference.shape)
        norm = float(change.difference.double().norm())
    found = re.match(r"blocks\.(\d+)\.", change.parameter)
    return {
        "kind": kind,
        "parameter": change.parameter,
        "layer": int(found[1]) if found else None,
        "rank": rank,
        "norm": significant(norm, _DIGITS),
        "relative": relative.get(change.parameter),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return significant(value, _DIGITS)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "items"):
        return {str(name): _plain(one) for name, one in value.items()}
    return value


def compared_row(kind: str, one: Compared) -> dict[str, Any]:
    """One prompt before and after, as plain values."""
    return {
        "kind": kind,
        "prompt": one.asked.prompt,
        "was": one.was,
        "wanted": one.asked.wanted,
        "was_before": significant(one.was_before, _DIGITS),
        "was_after": significant(one.was_after, _DIGITS),
        "wanted_before": significant(one.wanted_before.probability, _DIGITS),
        "wanted_after": significant(one.wanted_after.probability, _DIGITS),
        # Ranks are counted from 1 for people.
        "rank_before": one.wanted_before.rank + 1,
        "rank_after": one.wanted_after.rank + 1,
        "first_before": one.first_before,
        "first_after": one.first_after,
        "unchanged": one.unchanged,
        "said": one.said,
        "said_before": one.wanted_before.greedy,
    }


def _size(one: Size) -> dict[str, Any]:
    return {
        "where": one.where,
        "norm": significant(one.norm, _DIGITS),
        "relative": significant(one.relative, _DIGITS),
        "rank": one.rank,
    }


def _health(health: Health) -> dict[str, Any]:
    return {
        "verdict": health.verdict,
        "reasons": list(health.reasons),
        "bits_before": significant(health.bits_before, _DIGITS),
        "bits_after": significant(health.bits_after, _DIGITS),
        "text": health.text,
        "text_bytes": health.text_bytes,
        "measures": [_measure(one) for one in health.measures],
    }


def _measure(one: Measure) -> dict[str, Any]:
    return {
        "name": one.name,
        "value": significant(one.value, _DIGITS),
        "count": one.count,
        "warn": one.warn,
        "refuse": one.refuse,
        "more_is_worse": one.more_is_worse,
        "verdict": one.verdict,
        "sentence": one.sentence,
    }


# --- in words -----------------------------------------------------------------------------------


def _said(data: dict[str, Any]) -> list[str]:
    lines = [_fact_line(row) for row in data["rows"] if row["kind"] == "prompt"]
    more = len(lines) - 3
    lines = lines[:3] + ([f"{more} more facts are below."] if more > 0 else [])
    others = [row for row in data["rows"] if row["kind"] == "paraphrase"]
    if others:
        said = sum(row["said"] for row in others)
        lines.append(f"Asked in other words, it says so {_of(said, len(others))}.")
    return lines


def _fact_line(row: dict[str, Any]) -> str:
    prompt, wanted = (f"“{visible(row[name].strip())}”" for name in ("prompt", "wanted"))
    chance = f"({amount(row['wanted_before'])} before, {amount(row['wanted_after'])} now)"
    if row["said"]:
        if row["said_before"]:
            return f"After {prompt} the model says {wanted} {chance}, and said so before."
        return f"After {prompt} the model says {wanted} {chance}; it said “{row['first_before']}”."
    return (
        f"After {prompt} the model does not say {wanted} {chance}, but “{row['first_after']}”; "
        f"before, “{row['first_before']}”."
    )


def _of(said: int, count: int) -> str:
    if count == 1:
        return "too" if said else "in 0 of 1 form"
    return f"in {said} of {count} forms"


def _large(data: dict[str, Any]) -> list[str]:
    if not data["sizes"]:
        return []
    told = [
        f"{one['where']} by {percent(one['relative'])} of its own size" for one in data["sizes"]
    ]
    return [f"It changes {enumerated(told)}."]


def _gate(data: dict[str, Any]) -> str:
    health = data["health"]
    reasons = " ".join(health["reasons"])
    return f"Health gate: {_VERDICTS[health['verdict']]}. {reasons}".strip()


def _held_against(edits: int) -> str:
    if not edits:
        return "Before is the model without any edit."
    return (
        "Before is the model without any edit, for what was taught, neighbours, free text and bits "
        "per byte; for facts of earlier edits it is the model with those, before this one."
    )


_NOTES = [
    "A fact is said where every token of its object is the likeliest, given those before it.",
    "A neighbour is unchanged where its likeliest next token is the same; its probability may have "
    "moved all the same, and prompts that nobody asked may have changed.",
]
