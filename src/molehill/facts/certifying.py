"""Where new neurons fire and where not, of rows that were fitted: their certificates.

Counted on the texts that were fitted on and on those that were not, and in the fact's own prompts
after the subject. What a certificate holds, and how firing is counted, is `firing_certificate.py`.
This module fits nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from molehill.facts.fact import Fact
from molehill.facts.firing_certificate import FiringCertificate, activation_of, count_firings
from molehill.facts.matching import Row
from molehill.facts.reference import Line, Reference
from molehill.facts.values import Context
from molehill.language_model import LanguageModel

__all__ = ["certify_rows"]


def certify_rows(
    lm: LanguageModel,
    reference: Reference,
    facts: Sequence[Fact],
    asked: Sequence[Sequence[Context]],
    inside: Sequence[Tensor],
    rows: Sequence[Row],
) -> list[FiringCertificate]:
    """One certificate for each fact.

    Args:
        asked: each fact's prompts, in every form and after every prefix.
        inside: what the MLP reads at the subject in these [prompt, d_model].
    """
    weights, bias = torch.stack([one.row for one in rows]), torch.stack([one.bias for one in rows])
    scales = [one.scale for one in rows]
    fitted, held_out = (
        count_firings(
            lm, reference, weights, bias, scales, lambda line, out=out: line.held_out == out
        )
        for out in (False, True)
    )
    act = activation_of(lm.config.activation)
    found = []
    for number, (fact, row) in enumerate(zip(facts, rows, strict=True)):
        own = inside[number] @ row.row + row.bias
        both = (fitted[number].largest, held_out[number].largest)
        most = max(one for one in both if one is not None)
        reach = torch.linspace(min(most, 0.0) - 20.0, most, 2000, dtype=torch.float64)
        coefficient = float(act(own).mean())
        found.append(
            FiringCertificate(
                subject=fact.subject,
                layer=reference.layer,
                positives=len(own),
                fired=int((own > 0).sum()),
                smallest_positive=float(own.min()) / row.scale,
                largest_positive=float(own.max()) / row.scale,
                later=_later(lm, reference.layer, asked[number], row),
                fitted=fitted[number],
                held_out=held_out[number],
                scale=row.scale,
                coefficient=coefficient,
                exact=lm.config.activation == "relu",
                elsewhere=float(act(reach * row.scale).abs().max()) / coefficient,
            )
        )
    return found


def _later(lm: LanguageModel, layer: int, asked: Sequence[Context], row: Row) -> int:
    """How many tokens after the subject in the fact's own prompts the neuron fires on."""
    lines = [Line(number, one.ids) for number, one in enumerate(asked)]
    ends = torch.tensor([one.subject for one in asked])
    fires = 0
    for batch in Reference(lm, layer, lines, kept=0).batches():
        numbers = torch.tensor([line.text for line in batch.lines])
        after = batch.position > ends[numbers][batch.line]
        fires += int(((batch.vectors.double() @ row.row + row.bias > 0) & after).sum())
    return fires
