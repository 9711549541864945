"""A neuron written by hand as data and as text: what its certificate says, in plain words, and the
prompts before and after.

The schema is described in docs/rooms/facts.md. This module knows nothing of files.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from molehill.facts.before_after import Compared
from molehill.facts.edits import FactEdit
from molehill.facts.firing_certificate import (
    BINS,
    FALSE_SHARE,
    HIGHEST,
    LOWEST,
    FiringCertificate,
    FiringCount,
)
from molehill.facts.writing import certificates
from molehill.language_model import LanguageModel
from molehill.views.fact_edit import edit_entry
from molehill.views.provenance import provenance
from molehill.views.strips import strip
from molehill.views.terminal import as_text, facts, legend, signed
from molehill.views.words import percent, visible

__all__ = ["SCHEMA", "written_neuron_data", "written_neuron_renderable", "written_neuron_text"]

SCHEMA = "molehill.written-neuron/1"


def written_neuron_data(
    lm: LanguageModel, edit: FactEdit, compared: Sequence[Compared], *, version: str
) -> dict[str, Any]:
    """One fact's neuron as plain values.

    Args:
        lm: the model without any edit.
        compared: the prompt and its paraphrases, before and after.
        version: of Molehill, for the provenance.
    """
    (certificate,) = certificates(edit)
    return {
        "schema": SCHEMA,
        "summary": [*_fires(certificate), _says(edit, compared), *_cut(edit)],
        "edit": edit_entry(edit),
        "stack_digests": list(edit.after),
        "certificate": {
            **asdict(certificate),
            "margin": certificate.margin,
            "clean": certificate.clean,
        },
        "bins": {"low": LOWEST, "high": HIGHEST, "count": BINS},
        "rows": [_row(one) for one in compared],
        "notes": [*_notes(certificate), *_NOTES],
        "provenance": provenance(lm, version),
    }


def written_neuron_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = written_neuron_renderable(data, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def written_neuron_renderable(data: dict[str, Any], *, ascii_only: bool = False) -> RenderableType:
    """The data for rich's console."""
    return Group(*_lines(data, ascii_only))


def _lines(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    for sentence in data["summary"]:
        yield Text(sentence)
    yield from _histogram(data, ascii_only)
    yield Text("")
    for row in data["rows"]:
        yield Text(visible(row["prompt"]), style="bold")
        yield Text(f"  before  {_told(row, 'before')}")
        yield Text(f"  after   {_told(row, 'after')}")
    shown = [
        *data["certificate"]["fitted"]["false"],
        *data["certificate"]["held_out"]["false"],
    ]
    if shown:
        yield Text("\nWhere it fires and should not")
        yield from (Text(f"  {signed(one['match'])}  {visible(one['words'])}") for one in shown)
    where = data["provenance"]
    yield Text(f"\n{where['model']} {where['fingerprint'][:12]}, {where['dtype']}", style="dim")


def _histogram(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    """How many match by how much, the subject below everything else; both kinds of texts."""
    counts = [data["certificate"][name] for name in ("fitted", "held_out")]
    if not counts[0]["matches"]:
        return
    yield Text("")
    entries: list[tuple[str, str]] = []
    for name, key in (("else", "matches"), ("subject", "own_matches")):
        both = [sum(pair) for pair in zip(*(one[key] or [0] * BINS for one in counts), strict=True)]
        # Three bins in one: a line of a terminal has room for so many.
        few = [math.log1p(sum(both[at : at + 3])) for at in range(0, BINS, 3)]
        threshold = round(-LOWEST / (HIGHEST - LOWEST) * len(few))
        drawn = strip(few, largest=max(few) or 1.0, mark=threshold, ascii_only=ascii_only)
        entries.append((name, f"{LOWEST:.0f} {drawn} {HIGHEST:.0f}".replace("-", "−", 1)))
    yield facts(entries)
    yield legend("Matches of all tokens, heights by their logarithm; the bar is the threshold.")


def _told(row: dict[str, Any], when: str) -> str:
    return (
        f"{visible(row[f'first_{when}'])!r}; {row['object']!r} has "
        f"{percent(row[f'probability_{when}'])}"
    )


def _row(one: Compared) -> dict[str, Any]:
    return {
        "prompt": one.asked.prompt,
        "object": one.asked.wanted,
        "probability_before": one.wanted_before.probability,
        "probability_after": one.wanted_after.probability,
        "first_before": one.first_before,
        "first_after": one.first_after,
        "said": one.said,
    }


def _notes(found: FiringCertificate) -> Iterator[str]:
    if found.exact:
        yield (
            "With ReLU the certificate is exact: where the match is below the threshold the "
            "neuron's coefficient is nothing, to the bit."
        )
    else:
        yield (
            "This activation is never exactly nothing: a neuron counts as firing where its "
            f"coefficient is at least {100 * FALSE_SHARE:g}% of the subject's."
        )


_NOTES = [
    "A match is in units of the subject's own: the subject has 1 on average, the threshold is 0.",
    "What was looked at are the texts that were given, the fact's own prompts, and the same "
    "prompts asked of others who are made up; of other texts nothing is known. Where the subject "
    "stands in a text, tokens from there on are its own and not counted.",
    "A fact is said where every token of its object is the likeliest, given those before it.",
]


def _fires(found: FiringCertificate) -> Iterator[str]:
    yield (
        f"A new neuron in layer {found.layer} fires at “{found.subject}” in {found.fired} of "
        f"{found.positives} prompts."
    )
    yield _count("Of the texts that it was fitted on", found.fitted)
    if found.held_out.texts:
        yield _count("Of texts held out", found.held_out)
    own, noticed = (
        getattr(found.fitted, name) + getattr(found.held_out, name)
        for name in ("own_texts", "own_fired")
    )
    if 2 * noticed < own:
        yield (
            f"It misses its subject in {own - noticed:,} of the {own:,} texts that hold it: it "
            "knows the prompts alone. Write it with more ways to ask (--paraphrase), or take "
            "another layer."
        )
    yield (
        f"In units of the subject's own match, the smallest of the subject is "
        f"{signed(found.smallest_positive)}, the largest of anything fitted on "
        f"{signed(found.fitted.largest)} (“{visible(found.fitted.nearest[-40:])}”); the threshold "
        "is 0."
    )
    if found.exact:
        yield "Where it does not fire it adds exactly nothing."
    else:
        yield (
            f"Its activation is never exactly nothing: elsewhere the coefficient is at most "
            f"{found.elsewhere:.1e} of the subject's."
        )


def _count(begins: str, count: FiringCount) -> str:
    made = f", {count.made_up:,} of them made up" if count.made_up else ""
    where = "none" if not count.false_texts else f"{count.false_texts:,}"
    own = ""
    if count.own_texts:
        own = f" The subject is in {count.own_texts:,}, noticed in {count.own_fired:,}."
    return (
        f"{begins} ({count.texts:,}{made}; {count.tokens:,} tokens) it fires on something else in "
        f"{where}.{own}"
    )


def _says(edit: FactEdit, compared: Sequence[Compared]) -> str:
    said = sum(one.said for one in compared)
    return (
        f"“{edit.facts[0].object}” is the likeliest answer to {said} of {len(compared)} prompts, "
        f"before it was to {sum(one.wanted_before.greedy for one in compared)}."
    )


def _cut(edit: FactEdit) -> Iterator[str]:
    clipped = edit.metrics["clipped"][0]
    # A divergence of nothing may be rounded to less.
    apart = max(0.0, edit.metrics["divergence"][0])
    yield (
        f"What else is asked of the subject moves by {apart:.3f} nats; the column is "
        f"{edit.metrics['length'][0]:.2f} times as long as the stream"
        f"{', the longest that was allowed' if clipped else ''}."
    )
