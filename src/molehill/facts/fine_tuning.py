"""Fine-tuning on a few facts: gradient steps on one layer's down matrix, free or bounded.

The plain way to change what a model says, and what the other methods are compared with. Bounded, no
weight moves further than a fixed amount (Zhu et al., "Modifying Memories in Transformer Models",
2020). This module knows nothing of keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molehill.facts.asking import Question, put
from molehill.facts.edits import Change, Dense
from molehill.facts.fact import Fact
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["Tuning", "fine_tune"]


@dataclass(frozen=True)
class Tuning:
    """How it is tuned."""

    steps: int = 25
    rate: float = 5e-3
    """Adam's."""
    likely: float = 0.95
    """Tuning ends when every object is at least so likely."""
    bound: float = 1e-2
    """Constrained: how far any weight may move."""


def fine_tune(
    lm: LanguageModel, facts: Sequence[Fact], layer: int, how: Tuning, *, constrained: bool
) -> tuple[list[Change], dict[str, Any]]:
    """Tune the down matrix of a layer until it says the facts.

    Returns:
        The change, and what was measured: steps and the objects' probabilities.
    """
    name = f"blocks.{layer}.mlp.w_out"
    weight = lm.model.get_parameter(name).detach()
    difference = torch.zeros_like(weight, requires_grad=True)
    optimizer = torch.optim.Adam([difference], lr=how.rate)
    questions = [put(lm, fact.prompt, fact.object) for fact in facts]
    steps, likely = 0, torch.zeros(len(facts))
    for step in range(how.steps + 1):
        losses = _losses(lm, questions, name, weight + difference)
        likely = torch.stack(losses).detach().neg().exp()
        steps = step
        if step == how.steps or bool((likely >= how.likely).all()):
            break
        per_token = [
            one / len(question.answer) for one, question in zip(losses, questions, strict=True)
        ]
        loss = torch.stack(per_token).mean()
        (difference.grad,) = torch.autograd.grad(loss, difference)
        optimizer.step()
        if constrained:
            with torch.no_grad():
                difference.clamp_(-how.bound, how.bound)
    measured = {"steps": steps, "probability": [round(float(one), 4) for one in likely]}
    return [Dense(name, difference.detach().clone())], measured


def _losses(
    lm: LanguageModel, questions: Sequence[Question], name: str, weight: Tensor
) -> list[Tensor]:
    """Each object's negative log probability with another matrix in the place of `name`."""
    tokens = Tokens.of_ids([list(question.ids) for question in questions])
    out = torch.func.functional_call(
        lm.model, {name: weight}, (tokens.ids,), {"mask": tokens.mask, "logits": "none"}
    )
    losses = []
    for row, question in enumerate(questions):
        scores = lm.model.unembed(out.final[row, list(question.at)]).float().log_softmax(-1)
        wanted = torch.tensor(question.answer)
        losses.append(-scores.gather(-1, wanted[:, None]).sum())
    return losses
