"""Rows that answer to their subjects and to nothing else: fitted, sharpened on the hardest others,
and given a threshold and a length.

    row, bias     asked of what a layer's MLP reads: above nothing at the subject alone

A row is fitted on its subject's tokens and a sample of everything else, then the hardest others are
looked for over the whole reference and it is fitted again with these, until there are no harder
ones. This module knows no columns and certifies nothing; how one row is solved is `separating.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.facts.firing_certificate import FALSE_SHARE, activation_of, count_firings
from molehill.facts.reference import Batch, Reference
from molehill.facts.separating import Spread, separate
from molehill.language_model import LanguageModel

__all__ = ["Row", "fit_rows"]

_HARDEST = 512
"""The hardest others of one pass over the reference on which a row is sharpened."""
_SAMPLE = 4096
"""Tokens from all over the reference that every row is fitted on."""
_NEARER = 16
"""How much nearer to the threshold than anything in the reference other texts may come and a smooth
neuron still give nothing. Of 96 new texts a neuron of SmolLM2 fires on 77 with 1, on 1 with 16."""


@dataclass(frozen=True, eq=False)
class Row:
    """One neuron's row as it will stand in the model."""

    row: Tensor
    bias: Tensor
    scale: float
    """The mean pre-activation at the subject."""


def fit_rows(
    lm: LanguageModel,
    reference: Reference,
    facts: Sequence[Fact],
    inside: Sequence[Tensor],
    anywhere: Sequence[Tensor],
    rounds: int,
    threshold: float = 0.5,
) -> list[Row]:
    """Fit, look for the hardest others over the whole reference, and fit again with these.

    Args:
        reference: its lines know the facts by their numbers.
        inside: for each fact what the MLP reads at its subject in its prompts [prompt, d_model].
        anywhere: the same in other places, of any number.
        rounds: how often at most the hardest are looked for.
        threshold: how far it lies from the largest match of anything else, at 0, to the smallest of
            the subject in its prompts, at 1.

    Raises:
        FactError: no row tells a subject from the nearest other text; both matches are named.
    """
    spread, hard = _looked_over(reference, len(facts))
    pairs: list[tuple[Tensor, Tensor]] = []
    fit = range(len(facts))
    for _ in range(max(1, rounds)):
        for number in fit:
            own = torch.cat([inside[number], anywhere[number]])
            pair = separate(spread, own, hard[number], _weights(inside[number], anywhere[number]))
            pairs[number : number + 1] = [pair]
        rows, bias = (torch.stack(part) for part in zip(*pairs, strict=True))
        hardest = _hardest(reference, rows, bias)
        fit = [
            number
            for number, (answers, _) in enumerate(hardest)
            if float(answers[0]) > _reached(pairs[number], hard[number])
        ]
        if not fit:
            break
        for number in fit:
            hard[number] = torch.cat([hard[number], hardest[number][1]])
    placed = []
    for number, (pair, own, found) in enumerate(zip(pairs, inside, hardest, strict=True)):
        row = _placed(lm, pair[0], own, found, threshold)
        if row is None:
            raise _not_apart(lm, reference, facts, number, pair[0], own)
        placed.append(row)
    return placed


def _weights(prompts: Tensor, anywhere: Tensor) -> Tensor:
    """Half for the prompts, half for the subject in other places."""
    parts = [
        torch.full((len(one),), 1 / max(1, len(one)), dtype=torch.float64)
        for one in (prompts, anywhere)
    ]
    return torch.cat(parts)


def _reached(pair: tuple[Tensor, Tensor], others: Tensor) -> float:
    """The largest answer to the others that a row was fitted on, or what it should not pass."""
    row, bias = pair
    return max(-0.8, float((others.double() @ row + bias).max()) + 1e-6)


def _looked_over(reference: Reference, facts: int) -> tuple[Spread, list[Tensor]]:
    """How the texts that are fitted on lie, and for each fact some of the others from all over, in
    one pass."""
    count, total, moment = 0, torch.zeros(()), torch.zeros(())
    stride = max(1, sum(len(line.ids) for line in reference.lines) // _SAMPLE)
    sample: list[tuple[Tensor, Tensor]] = []
    for batch in reference.batches():
        fitted = _fitted(batch)
        some = batch.vectors[fitted].double()
        count, total, moment = count + len(some), total + some.sum(0), moment + some.T @ some
        others = batch.others(facts)[fitted]
        first = -count % stride
        sample.append((batch.vectors[fitted][first::stride], others[first::stride]))
    vectors, others = (torch.cat(part) for part in zip(*sample, strict=True))
    spread = Spread.of(count, total, moment)
    return spread, [vectors[others[:, number]] for number in range(facts)]


def _fitted(batch: Batch) -> Tensor:
    """Which tokens are fitted on [token]."""
    return torch.tensor([not line.held_out for line in batch.lines])[batch.line]


def _hardest(reference: Reference, rows: Tensor, bias: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each row the largest answers to others that are fitted on, falling, with the vectors."""
    kept: list[tuple[Tensor, Tensor]] = [
        (torch.zeros(0, dtype=torch.float64), torch.zeros(0, rows.shape[1])) for _ in rows
    ]
    for batch in reference.batches():
        answers = batch.vectors.double() @ rows.T + bias
        counted = batch.others(len(rows)) & _fitted(batch)[:, None]
        best = answers.masked_fill(~counted, -torch.inf).topk(min(_HARDEST, len(answers)), dim=0)
        for number, (matches, vectors) in enumerate(kept):
            both = torch.cat([vectors, batch.vectors[best.indices[:, number]]])
            some, order = torch.cat([matches, best.values[:, number]]).sort(descending=True)
            # Texts that begin alike have the same vectors up to rounding: one of them is enough.
            new = some.isfinite() & (some.diff(prepend=some[:1] + 1).abs() > 1e-5)
            kept[number] = (some[new][:_HARDEST], both[order[new]][:_HARDEST])
    return kept


def _placed(
    lm: LanguageModel,
    row: Tensor,
    inside: Tensor,
    hardest: tuple[Tensor, Tensor],
    share: float,
) -> Row | None:
    """The threshold between the subject and everything else, and the row's length; None where they
    are not apart."""
    own, others = inside @ row, hardest[1].double() @ row
    lowest, highest = float(own.min()), float(others.max())
    if lowest <= highest:
        return None
    threshold = highest + share * (lowest - highest)
    mean = float(own.mean()) - threshold
    scale = _scale(lm, (highest - threshold) / mean)
    return Row(row * scale / mean, torch.tensor(-threshold * scale / mean).double(), scale)


def _not_apart(
    lm: LanguageModel,
    reference: Reference,
    facts: Sequence[Fact],
    number: int,
    row: Tensor,
    inside: Tensor,
) -> FactError:
    """What to say of a fact whose subject is not told from something else."""
    rows, bias = row.expand(len(facts), -1), torch.zeros(len(facts), dtype=torch.float64)
    counts = count_firings(
        lm, reference, rows, bias, [1.0] * len(facts), lambda line: not line.held_out
    )
    lowest, count = float((inside @ row).min()), counts[number]
    return FactError(
        f"No row of layer {reference.layer} tells {facts[number].subject!r} from "
        f"{count.nearest!r}: the subject's smallest match is {lowest:.4g}, the other's "
        f"{count.largest:.4g}. Try another layer, or prompts that are more alike."
    )


def _scale(lm: LanguageModel, highest: float) -> float:
    """How long the row is to be: the pre-activation at the subject.

    A ReLU needs no length. A smooth activation gets as much as it takes for everything down from a
    sixteenth of the largest match of anything else, `highest` of the subject's, to give less than a
    thousandth of the coefficient.
    """
    if lm.config.activation == "relu":
        return 1.0
    act, scale = activation_of(lm.config.activation), 4.0
    below = torch.linspace(1 / _NEARER, 20.0, 400, dtype=torch.float64) * highest
    while scale < 1e6:
        most = float(act(below * scale).abs().max())
        if most < FALSE_SHARE * float(act(torch.tensor(scale).double())) / 2:
            break
        scale *= 1.25
    return scale
