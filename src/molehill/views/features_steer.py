"""Steering as data: what was written at every strength, and what the next word would be.

The schema is described in docs/rooms/features.md. This module knows nothing of terminals, pages or
files.
"""

from __future__ import annotations

from typing import Any

from molehill.features.steering import Steering
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import bare, clipped, enumerated, percent, significant

__all__ = ["SCHEMA", "steer_data"]

SCHEMA = "molehill.features-steer/1"

_DURING = {
    "all": "at every token",
    "prompt": "at the prompt's tokens only",
    "generated": "at the tokens that were written only",
}


def steer_data(
    lm: LanguageModel, features: Features, found: Steering, *, version: str
) -> dict[str, Any]:
    """Everything that the views of steering show, as plain values."""
    assert lm.tokenizer is not None, "a prompt was read with a tokenizer"
    words = [
        {
            "token": token,
            "piece": lm.tokenizer.piece(token),
            "probabilities": [significant(one.probabilities[at], 6) for one in found.next],
        }
        for at, token in enumerate(found.words)
    ]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "prompt": found.prompt,
        "features": {
            "name": features.name,
            "reads": list(features.reads),
            "writes": list(features.writes),
            "count": features.n_features,
        },
        "changes": [vars(change) | {"told": str(change)} for change in found.changes],
        "during": found.during,
        "sampling": {"temperature": found.temperature, "seed": found.seed},
        "runs": [
            {
                "strength": strength,
                "text": run.text,
                "ids": list(run.ids),
                "ending": run.ending,
                "alike": _alike(found.runs[0].ids, run.ids),
                "divergence": significant(one.divergence, 6),
                "edits": list(edits),
            }
            for strength, run, one, edits in zip(
                found.strengths, found.runs, found.next, found.edits, strict=True
            )
        ],
        "words": words,
        "notes": _notes(found),
        "provenance": provenance(lm, version),
    }
    return data | {"summary": _summary(data)}


def _alike(first: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How many tokens two runs have in common before they part."""
    for at, (one, two) in enumerate(zip(first, other, strict=False)):
        if one != two:
            return at
    return min(len(first), len(other))


def _notes(found: Steering) -> list[str]:
    drawn = "greedily" if not found.temperature else f"from seed {found.seed} in every run"
    notes = [
        "Only what the features add is changed; what the autoencoder leaves unexplained stays.",
        f"Changed {_DURING[found.during]}; words are drawn {drawn}.",
        "A strength multiplies what is added and where a feature is held; a factor moves from 1 "
        "towards its own.",
    ]
    if found.during == "generated":
        notes.append("The next word's probabilities are those before anything is changed.")
    return notes


def _summary(data: dict[str, Any]) -> list[str]:
    changes = enumerated([change["told"] for change in data["changes"]])
    runs = data["runs"]
    last = runs[-1]
    lines = [
        f"“{clipped(data['prompt'], 60)}” is continued with {changes} of "
        f"{data['features']['name']}, beside the unchanged model."
    ]
    if last["ids"] == runs[0]["ids"]:
        lines.append(f"Nothing that is written changes, up to strength {last['strength']:g}.")
    else:
        first = next(run for run in runs[1:] if run["ids"] != runs[0]["ids"])
        lines.append(
            f"At strength {first['strength']:g} the text parts from the unchanged one after "
            f"{first['alike']} of its tokens."
        )
    if data["words"] and data["during"] != "generated":
        best = max(data["words"], key=lambda word: word["probabilities"][-1])
        before, after = best["probabilities"][0], best["probabilities"][-1]
        lines.append(
            f"At strength {last['strength']:g} the likeliest next word is {bare(best['piece'])} "
            f"({percent(after)}; without, {percent(before)}), and the distribution is "
            f"{last['divergence']:.2g} nats from the unchanged one."
        )
    return lines
