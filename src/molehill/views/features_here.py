"""Which features are active at which token of a text, as data: a grid, each token's strongest
features, and what they leave unexplained there.

The schema is described in docs/rooms/views.md. This module knows nothing of terminals, pages or
files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from molehill.features.examples_file import Examples
from molehill.features.finding import by_text
from molehill.features.parts import FeatureParts, feature_parts
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.trace.record import record
from molehill.views.feature_rows import point_of
from molehill.views.provenance import provenance
from molehill.views.words import bare, clipped, percent, significant

__all__ = ["SCHEMA", "here_data"]

SCHEMA = "molehill.features-here/1"

_DIGITS = 4
_AT_A_TOKEN = 12


@torch.no_grad()
def here_data(
    lm: LanguageModel,
    features: Features,
    text: str,
    *,
    examples: Examples | None = None,
    rows: int = 40,
    version: str,
) -> dict[str, Any]:
    """What fires in a text.

    Args:
        examples: of these features: labels, densities and usual values; None: features have no
            labels, and stand by their value alone.
        rows: the most features in the grid; all that are active are counted.

    Returns:
        `tokens`, each with its `error` (the length of what features leave out, against the
        vector's length), its count of active features and its strongest ones; `features`, the
        grid's rows with a value per token, those that stand out most first.

    Raises:
        ConfigError: features of another model.
        TextError: a text that is empty, too long or without a token to look at.
    """
    found = by_text(lm, features, examples, text, k=rows)
    sites = list(dict.fromkeys((*features.reads, *features.writes)))
    trace = record(lm, [text], sites, logits="none")
    parts = feature_parts(features, {site: trace[site][0] for site in sites})
    assert lm.tokenizer is not None, "a text was read with it"
    pieces = [lm.tokenizer.piece(token) for token in found.tokens]
    names = _Names(examples)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "text": text,
        "site": parts.site,
        "point": point_of(parts.site),
        "features": {
            "name": features.name,
            "count": features.n_features,
            "reads": list(features.reads),
            "writes": list(features.writes),
        },
        "labelled": examples is not None,
        "active": found.active,
        "tokens": _tokens(pieces, found.looked_at, parts, names),
        "rows": [
            {
                "feature": hit.feature,
                "label": names.label(hit.feature),
                "density": names.density(hit.feature),
                "at": hit.at,
                "score": significant(hit.score, _DIGITS),
                "values": [significant(value, 3) for value in hit.values],
            }
            for hit in found.hits
        ],
        "notes": _notes(features, examples, found.active, len(found.hits)),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


class _Names:
    """What features are called, where that is known."""

    def __init__(self, examples: Examples | None) -> None:
        self.labels = [] if examples is None else examples.labels()
        self.densities = None if examples is None else examples.densities()

    def label(self, feature: int) -> str:
        return self.labels[feature] if self.labels else ""

    def density(self, feature: int) -> float | None:
        return None if self.densities is None else significant(float(self.densities[feature]), 3)


def _tokens(
    pieces: Sequence[str], looked_at: Sequence[bool], parts: FeatureParts, names: _Names
) -> list[dict[str, Any]]:
    lengths = parts.vectors.norm(dim=1).clamp(min=1e-30)
    errors = (parts.rest["error"].norm(dim=1) / lengths).tolist()
    made = []
    for at, piece in enumerate(pieces):
        values = parts.values[at] if looked_at[at] else torch.zeros_like(parts.values[at])
        made.append(
            {
                "piece": piece,
                "looked_at": looked_at[at],
                "length": significant(float(lengths[at]), _DIGITS),
                "error": significant(errors[at], _DIGITS) if looked_at[at] else None,
                "active": int((values > 0).sum()),
                "strongest": _strongest(values, parts.numbers, names),
            }
        )
    return made


def _strongest(values: Tensor, numbers: Tensor, names: _Names) -> list[dict[str, Any]]:
    best = values.topk(min(_AT_A_TOKEN, len(values)))
    return [
        {
            "feature": int(numbers[place]),
            "label": names.label(int(numbers[place])),
            "value": significant(value, 3),
        }
        for value, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        if value > 0
    ]


def _notes(features: Features, examples: Examples | None, active: int, shown: int) -> list[str]:
    notes = [
        "A row's shade is its value against the row's own largest; values are exact.",
        "The error is the length of what features and bias leave out, against the vector's own.",
    ]
    if shown < active:
        notes.insert(
            0,
            f"{shown} of {active} active features have a row: those that stand out most. "
            "Each token lists its strongest, whether they have a row or not.",
        )
    if examples is None:
        notes.append("Features have no labels here: no examples of theirs are at hand.")
    else:
        told = ", ".join(examples.about["texts_named"]) or "texts without a name"
        notes.append(
            f"Labels, densities and usual values are from {told}: {examples.rows:,} tokens."
        )
        notes.append(
            "A feature stands out by its value, divided by its mean value where it is active, "
            "times -ln of its density."
        )
    if features.transcodes:
        notes.append(f"Read at {' and '.join(features.reads)}; the error is of what is written.")
    return notes


def _summary(data: dict[str, Any]) -> list[str]:
    looked = [token for token in data["tokens"] if token["looked_at"]]
    mean = sum(token["active"] for token in looked) / max(1, len(looked))
    lines = [
        f"{data['active']:,} of {data['features']['count']:,} features are active in "
        f"“{clipped(data['text'], 60)}”, {mean:.1f} at a token."
    ]
    if data["rows"]:
        first = data["rows"][0]
        label = f" ({first['label']})" if first["label"] else ""
        piece = bare(data["tokens"][first["at"]]["piece"])
        lines.append(f"The one that stands out most is {first['feature']}{label}, at “{piece}”.")
    worst = max(looked, key=lambda token: token["error"])
    errors = sorted(token["error"] for token in looked)
    lines.append(
        f"They leave {percent(errors[len(errors) // 2])} of a vector's length unexplained at the "
        f"median token, most at “{bare(worst['piece'])}” ({percent(worst['error'])})."
    )
    return lines
