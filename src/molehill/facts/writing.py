"""write_neuron: one new neuron that holds one fact, written by hand, with proof of when it fires.

    edit = write_neuron(lm, fact, layer=1, reference=texts)
    edited = apply_edits(lm, [edit])

    row      asks whether this is the subject: a direction of what the layer's MLP reads that tells
             the subject's last token from every token of the reference, and from the same prompts
             asked of others
    bias     the threshold: halfway between the subject's smallest match and the largest of anything
             else
    column   adds what makes the model say the object, the neuron's coefficient taken as it is

That facts are rows that match and columns that are added is Geva et al., "Transformer Feed-Forward
Layers Are Key-Value Memories" (2021); further neurons as places for further facts are those of Dai
et al., "Neural Knowledge Bank for Pretrained Transformers" (2022) and Huang et al.,
"Transformer-Patcher" (2023), who learn row and column together. Here the row is fitted first, so
that its firing can be certified before anything is written. No weight of the model is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.certifying import certify_rows
from molehill.facts.columns import (
    Column,
    asked_contexts,
    kept_contexts,
    learn_column,
    vectors_at,
)
from molehill.facts.edits import FactEdit, Neurons, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.firing_certificate import (
    FiringCertificate,
    FiringCount,
    activation_of,
    count_firings,
)
from molehill.facts.impostors import Found, impostors
from molehill.facts.matching import Row, fit_rows
from molehill.facts.reference import Line, Reference, Subjects, beginnings, lines_of
from molehill.facts.values import Context, Learning
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = [
    "Hand",
    "certificates",
    "certify_firing",
    "together",
    "write_each",
    "write_neuron",
    "write_neurons",
]

_LEARNING = Learning(steps=60, rate=0.5, likely=0.9, essence=1.0, decay=0.02, longest=4.0)
_BEGINNINGS = 256
"""Beginnings of texts after which others are put."""
_ROW = 16
"""Tokens of a text of random order."""


@dataclass(frozen=True)
class Hand:
    """How neurons are written."""

    prefixes: tuple[str, ...] = ()
    """Texts before the prompts, so that row and column do not depend on where the subject is."""
    keep: tuple[str, ...] = ()
    """Templates of other questions about the subject whose answers are to stay."""
    others: tuple[str, ...] = ()
    """Subjects to be told apart beside those that are made up."""
    made_up: int = 64
    """How many others are made up for each word, or token, of the subject."""
    vocabulary: int = 0
    """How often every token of the vocabulary stands in a text of random order: for a wide model
    whose reference has few of its words. In a narrow one such texts take room from real ones."""
    anywhere: int = 128
    """After how many beginnings of other texts the subject is put, to be known there too."""
    held_out_of: int = 5
    """One text of the reference in so many is not fitted on; 0: none is held out."""
    rounds: int = 20
    """How often at most the hardest others are looked for and the row is sharpened."""
    threshold: float = 0.5
    """Where a neuron begins to fire, from 0 at the largest match of anything else to 1 at the
    subject's smallest in its prompts. Of 50 neurons of the village 0.5 fires falsely on none of
    500,000 pairs of neuron and unseen sentence and notices its subject in 94% of its own, 0.2 on 4
    and in 98%."""
    learning: Learning = field(default_factory=lambda: _LEARNING)
    """How the column is learnt; `essence` is the weight of what is kept."""


def write_neuron(
    lm: LanguageModel,
    fact: Fact,
    *,
    layer: int,
    reference: Iterable[str | Tokens] | Tokens,
    how: Hand | None = None,
    edits: Sequence[FactEdit] = (),
) -> FactEdit:
    """Write one fact as one new neuron.

    Args:
        lm: the model without any edits.
        fact: with the object that it is to have; its paraphrases are asked as well.
        layer: whose MLP gets the neuron.
        reference: texts, or tokens, that the neuron is not to fire on; where one holds the subject,
            it counts as the subject's own from there on.
        edits: what the model was edited by before.

    Returns:
        The edit; `certificates(edit)` says where its neuron fires. Its metrics hold the certificate
        in plain form, the column's learning, and the object's probability at the end.

    Raises:
        FactError: a model that reads both ways, a layer that it does not have, a subject that is
            not in the prompt or not in the vocabulary, no reference, or no row that tells the
            subject from the nearest other text: both matches are named.
    """
    return write_each(lm, [fact], layer=layer, reference=reference, how=how, edits=edits)[0]


def write_neurons(
    lm: LanguageModel,
    facts: Sequence[Fact],
    *,
    layer: int,
    reference: Iterable[str | Tokens] | Tokens,
    how: Hand | None = None,
    edits: Sequence[FactEdit] = (),
    progress: Callable[[int], object] | None = None,
) -> FactEdit:
    """Write several facts as one edit of as many neurons; see `write_each`."""
    parts = write_each(
        lm, facts, layer=layer, reference=reference, how=how, edits=edits, progress=progress
    )
    return together(parts)


def together(parts: Sequence[FactEdit]) -> FactEdit:
    """Edits that write one neuron each, for the same model and in the same layer, as one edit."""
    changes = [change for part in parts for change in part.changes if isinstance(change, Neurons)]
    facts = tuple(fact for part in parts for fact in part.facts)
    neurons = Neurons(
        changes[0].layer,
        torch.cat([one.rows for one in changes]),
        torch.cat([one.bias for one in changes]),
        torch.cat([one.columns for one in changes], dim=1),
    )
    metrics = {
        name: [value for part in parts for value in part.metrics[name]] for name in parts[0].metrics
    }
    return replace(parts[0], facts=facts, changes=(neurons,), metrics=metrics)


def write_each(
    lm: LanguageModel,
    facts: Sequence[Fact],
    *,
    layer: int,
    reference: Iterable[str | Tokens] | Tokens,
    how: Hand | None = None,
    edits: Sequence[FactEdit] = (),
    progress: Callable[[int], object] | None = None,
) -> list[FactEdit]:
    """Write several facts as one edit each; the reference is read for all of them together.

    Each fact's prompts are among the others of every fact with another subject.

    Args:
        progress: called with the number of facts written since the last call.

    Raises:
        FactError: see `write_neuron`.
    """
    how = how or Hand()
    now = apply_edits(lm, edits)
    _check(now, facts, layer)
    if not 0 < how.threshold < 1:
        raise FactError(f"The threshold is {how.threshold}: it lies between 0 and 1.")
    asked = [asked_contexts(now, fact, how.prefixes) for fact in facts]
    _check_reach(now, facts, asked, layer)
    subjects = Subjects(now, facts)
    lines = _lines(now, facts, asked, reference, how, subjects)
    read = Reference(now, layer, lines)
    inside = [vectors_at(now, contexts, f"{layer}.mlp.in") for contexts in asked]
    placed = [_anywhere(now, layer, subjects, number, lines, how) for number in range(len(facts))]
    rows = fit_rows(now, read, facts, inside, placed, how.rounds, how.threshold)
    found = certify_rows(now, read, facts, asked, inside, rows)
    written = []
    for fact, contexts, row, certificate in zip(facts, asked, rows, found, strict=True):
        column = _column(now, layer, fact, contexts, row, how)
        edit = FactEdit(
            method="neuron",
            facts=(fact,),
            changes=(_neuron(layer, row, column),),
            model=lm.name,
            fingerprint=lm.fingerprint,
            after=tuple(edit.digest for edit in edits),
            settings={**asdict(how), "layer": layer, "method": "neuron"},
            metrics=_metrics(certificate, column),
        )
        written.append(edit)
        if progress is not None:
            progress(1)
    return written


def certificates(edit: FactEdit) -> tuple[FiringCertificate, ...]:
    """The certificates of an edit's neurons, one for each fact."""
    return tuple(FiringCertificate.of(one) for one in edit.metrics["certificates"])


def certify_firing(
    lm: LanguageModel, edit: FactEdit, texts: Iterable[str | Tokens] | Tokens
) -> tuple[FiringCount, ...]:
    """Count on other texts where an edit's neurons fire, one count for each fact.

    Args:
        lm: the model that the edit was made for, or the edited one.

    Raises:
        FactError: the edit has no neurons written by hand, or there are no texts.
    """
    (neurons,) = [one for one in edit.changes if isinstance(one, Neurons)] or [None]
    if neurons is None or "certificates" not in edit.metrics:
        raise FactError(f"The edit {edit.name} is by {edit.method!r} and has no neurons to watch.")
    lines = lines_of(lm, texts, Subjects(lm, edit.facts))
    if not lines:
        raise FactError("There are no texts to look at.")
    scales = [one.scale for one in certificates(edit)]
    reference = Reference(lm, neurons.layer, lines, kept=0)
    return tuple(count_firings(lm, reference, neurons.rows, neurons.bias, scales))


def _check(lm: LanguageModel, facts: Sequence[Fact], layer: int) -> None:
    if not lm.config.causal:
        raise FactError(
            f"{lm.name} reads both ways: a fact is not kept at one token of its subject there."
        )
    if not facts:
        raise FactError("There is no fact to write.")
    if not 0 <= layer < lm.config.n_layers:
        raise FactError(f"There is no layer {layer}: {lm.name} has {lm.config.n_layers}.")


def _check_reach(
    lm: LanguageModel, facts: Sequence[Fact], asked: Sequence[Sequence[Context]], layer: int
) -> None:
    """What the last layer adds at a token is read by no later one."""
    for fact, contexts in zip(facts, asked, strict=True):
        later = any(max(one.at) > one.subject for one in contexts)
        if later and layer == lm.config.n_layers - 1:
            raise FactError(
                f"Layer {layer} is the last of {lm.name}: what it adds at {fact.subject!r} does "
                f"not reach the end of {fact.prompt!r}. Take a lower layer."
            )


def _lines(
    lm: LanguageModel,
    facts: Sequence[Fact],
    asked: Sequence[Sequence[Context]],
    reference: Iterable[str | Tokens] | Tokens,
    how: Hand,
    subjects: Subjects,
) -> list[Line]:
    """The reference, the prompts themselves, and the prompts asked of others."""
    lines = lines_of(lm, reference, subjects, held_out_of=how.held_out_of)
    if not lines:
        raise FactError(
            "The reference holds no text: give texts that the neuron is not to fire on."
        )
    found = Found.of(lm, lines)
    made = [tuple(one.ids) for contexts in asked for one in contexts]
    others = dict.fromkeys([*how.others, *(fact.subject for fact in facts)])
    fitted = [line for line in lines if not line.held_out]
    for number, fact in enumerate(facts):
        begun = beginnings(fitted, _BEGINNINGS, number)
        made += impostors(lm, fact, found, how.made_up, list(others), begun)
    prompts = sum(len(contexts) for contexts in asked)
    made += _vocabulary(lm, how.vocabulary)
    for number, ids in enumerate(dict.fromkeys(made)):
        # Prompts come first and are never held out.
        out = how.held_out_of > 0 and number >= prompts and number % how.held_out_of == 0
        lines.append(Line(number, ids, out, True, subjects.ends(ids)))
    return lines


def _vocabulary(lm: LanguageModel, times: int) -> list[tuple[int, ...]]:
    """Every token of the vocabulary so many times, in rows of random order, the same each time.

    A reference of some thousand tokens has few of the words there are, and a row in a wide model
    answers as it likes in directions that nothing was seen in.
    """
    drawn = torch.Generator().manual_seed(0)
    width = min(_ROW, lm.config.n_ctx)
    rows = []
    for _ in range(times):
        order = torch.randperm(lm.config.d_vocab, generator=drawn)
        rows += [tuple(row.tolist()) for row in order.split(width)]
    return rows


def _anywhere(
    lm: LanguageModel, layer: int, subjects: Subjects, fact: int, lines: Sequence[Line], how: Hand
) -> Tensor:
    """What the MLP reads at the subject in other places: where texts that are fitted on have it,
    and where it is put after the beginnings of those that do not."""
    fitted = [line for line in lines if not line.held_out and not line.made_up]
    rows = subjects.anywhere(fact, fitted, how.anywhere)
    contexts = [Context(ids, len(ids) - 1, (len(ids) - 1,), ()) for ids in rows]
    if not contexts:
        return torch.zeros(0, lm.config.d_model, dtype=torch.float64)
    return vectors_at(lm, contexts, f"{layer}.mlp.in")


def _column(
    lm: LanguageModel, layer: int, fact: Fact, contexts: Sequence[Context], row: Row, how: Hand
) -> Column:
    kept = kept_contexts(lm, fact, how.keep)
    act = activation_of(lm.config.activation)
    own = act(vectors_at(lm, [*contexts, *kept], f"{layer}.mlp.in") @ row.row + row.bias)
    mean = own[: len(contexts)].mean()
    learnt = learn_column(lm, layer, contexts, kept, own / mean, how.learning)
    return replace(learnt, column=learnt.column / mean)


def _neuron(layer: int, row: Row, column: Column) -> Neurons:
    return Neurons(
        layer, row.row.float()[None], row.bias.float()[None], column.column.float()[:, None]
    )


def _metrics(certificate: FiringCertificate, column: Column) -> dict[str, Any]:
    """What was measured, in JSON's own types, one entry for each fact."""
    return {
        "certificates": [asdict(certificate)],
        "steps": [column.steps],
        "probability": [round(column.probability, 4)],
        "divergence": [round(column.divergence, 4)],
        "length": [round(column.length, 4)],
        "clipped": [column.clipped],
    }
