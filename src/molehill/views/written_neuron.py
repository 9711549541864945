"""A neuron written by hand as data and as text: what its certificate says, in plain words, and the
prompts before and after.

The schema is described in docs/rooms/facts.md. This module knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from molehill.facts.before_after import Compared
from molehill.facts.edits import FactEdit
from molehill.facts.firing_certificate import FiringCertificate, FiringCount
from molehill.facts.writing import certificates
from molehill.language_model import LanguageModel
from molehill.views.fact_edit import edit_entry
from molehill.views.provenance import provenance
from molehill.views.words import percent, visible

__all__ = ["SCHEMA", "written_neuron_data", "written_neuron_renderable"]

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
        "certificate": {**asdict(certificate), "margin": certificate.margin},
        "rows": [_row(one) for one in compared],
        "provenance": provenance(lm, version),
    }


def written_neuron_renderable(data: dict[str, Any]) -> RenderableType:
    """The data for rich's console."""
    return Group(*_lines(data))


def _lines(data: dict[str, Any]) -> Iterator[RenderableType]:
    for sentence in data["summary"]:
        yield Text(sentence)
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
        yield from (Text(f"  {one['match']:.2f}  {visible(one['words'])}") for one in shown)
    where = data["provenance"]
    yield Text(f"\n{where['model']} {where['fingerprint'][:12]}, {where['dtype']}", style="dim")


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
        f"{found.smallest_positive:.2f}, the largest of anything fitted on "
        f"{found.fitted.largest:.2f} (“{visible(found.fitted.nearest[-40:])}”); the threshold is 0."
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
    apart, clipped = edit.metrics["divergence"][0], edit.metrics["clipped"][0]
    yield (
        f"What else is asked of the subject moves by {apart:.3f} nats; the column is "
        f"{edit.metrics['length'][0]:.2f} times as long as the stream"
        f"{', the longest that was allowed' if clipped else ''}."
    )
