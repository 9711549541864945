"""What a neuron must add at a subject for the model to say an object: learnt by gradient, with the
neuron's coefficient as it is.

    column   added coefficient times at the subject's last token    [d_model]

The column makes the object likely after every prompt, leaves what else is asked of the subject
answered as before, and stays short. The objective is that of a value (Meng et al., 2022, section
3.1; `values.py`), but the coefficient is the neuron's own in each context, all prompts count, and
any number of other questions may be kept. This module changes no weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.asking import has_unknown
from molehill.facts.fact import Fact, subject_tokens
from molehill.facts.values import Context, Learning, contexts_of, site_of
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import Replace, Sweep, record

__all__ = ["Column", "asked_contexts", "kept_contexts", "learn_column", "vectors_at"]


@dataclass(frozen=True, eq=False)
class Column:
    """What was learnt for one fact."""

    column: Tensor
    """[d_model], in float64"""
    steps: int
    probability: float
    """Of the object, the smallest over prompts."""
    divergence: float
    """Of what follows the kept questions, the mean in nats."""
    length: float
    """Against the length of the stream where it is added."""
    clipped: bool
    """Whether it would have grown longer than was allowed."""


def asked_contexts(lm: LanguageModel, fact: Fact, prefixes: Sequence[str]) -> list[Context]:
    """The prompt and its paraphrases, each alone and after every prefix.

    Raises:
        FactError: the subject is not in a prompt's tokens, or the model reads both ways.
    """
    templates = (fact.template, *fact.paraphrases)
    return [
        context
        for template in templates
        for context in contexts_of(lm, replace(fact, template=template, paraphrases=()), prefixes)
    ]


def kept_contexts(lm: LanguageModel, fact: Fact, keep: Sequence[str]) -> list[Context]:
    """Templates of other questions about the subject, and `{} is a` if the model has its words.

    Raises:
        FactError: a template without a `{}`.
    """
    found = []
    for template in dict.fromkeys([*keep, "{} is a"]):
        asked = replace(fact, template=template, paraphrases=())
        tokens = lm.encode([asked.prompt])
        if template in (fact.template, *fact.paraphrases) or has_unknown(lm, tokens):
            continue
        _, end = subject_tokens(tokens, asked.place())
        ids = tuple(tokens.row(0))
        found.append(Context(ids, end - 1, (len(ids) - 1,), ()))
    return found


def vectors_at(lm: LanguageModel, contexts: Sequence[Context], site: str) -> Tensor:
    """A site's vectors at each context's subject [context, d], in float64."""
    # Nothing after a subject's last token can change what stands there.
    tokens = Tokens.of_ids([one.ids[: one.subject + 1] for one in contexts])
    found = record(lm, tokens, [site], positions="last", logits="none")[site]
    return found[:, 0].double().cpu()


def learn_column(
    lm: LanguageModel,
    layer: int,
    contexts: Sequence[Context],
    kept: Sequence[Context],
    coefficients: Tensor,
    how: Learning,
) -> Column:
    """Learn one column.

    Args:
        contexts, kept: see `asked_contexts` and `kept_contexts`.
        coefficients: the neuron's at the subject in each of both [context].

    Raises:
        FactError: learning ended in no numbers.
    """
    asked = _Asked(lm, layer, contexts, kept, coefficients)
    column = torch.zeros(lm.config.d_model, dtype=lm.model.dtype, device=lm.model.device)
    column.requires_grad_()
    unit = float(asked.written.norm(dim=-1).mean()) / lm.config.d_model**0.5
    optimizer = torch.optim.Adam([column], lr=how.rate * unit)
    longest, clipped = how.longest * asked.stream, False
    for step in range(how.steps + 1):
        nll, probability, apart = asked.losses(column)
        done = probability >= how.likely and float(apart.detach()) <= _QUIET
        if done or step == how.steps:
            break
        loss = nll + how.essence * apart + how.decay * (column.norm() / asked.stream) ** 2
        (column.grad,) = torch.autograd.grad(loss, column)
        optimizer.step()
        with torch.no_grad():
            too_long = bool(column.norm() > longest)
            clipped |= too_long
            column *= (longest / column.norm().clamp(min=1e-12)).clamp(max=1.0)
    if not bool(column.isfinite().all()):
        raise FactError(f"Learning a column at layer {layer} of {lm.name} ended in no numbers.")
    found = column.detach().double().cpu()
    length = float(found.norm()) / asked.stream
    return Column(found, step, probability, float(apart.detach()), length, clipped)


_QUIET = 0.02
"""The divergence of the kept questions, in nats, at which learning may end."""


class _Asked:
    """All prompts of a fact, and the questions that are kept, as one run of which only what comes
    after the neuron is repeated."""

    def __init__(
        self,
        lm: LanguageModel,
        layer: int,
        contexts: Sequence[Context],
        kept: Sequence[Context],
        coefficients: Tensor,
    ) -> None:
        self.model, self.site, self.asked = lm.model, site_of(lm, layer), len(contexts)
        self.contexts = [*contexts, *kept]
        self.coefficients = coefficients.to(lm.model.w_token)
        at = [list(one.at) for one in self.contexts]
        tokens = Tokens.of_ids([one.ids for one in self.contexts])
        self.sweep = Sweep(lm, tokens, at=at, lowest=layer)
        self.written = vectors_at(lm, self.contexts, self.site).to(lm.model.w_token)
        stream = vectors_at(lm, contexts, f"{layer}.resid_post")
        self.stream = float(stream.norm(dim=-1).mean())
        width = max(map(len, at))
        answers = [[*one.answer, *[-1] * (width - len(one.answer))] for one in contexts]
        self.answers = torch.tensor(answers, device=lm.model.device)
        self.before: Tensor | None = None
        with torch.no_grad():
            self.before = self._follows(self._final(self.written.new_zeros(lm.config.d_model)))

    def _final(self, column: Tensor) -> Tensor:
        """What the unembedding reads [context, at, d_model]."""
        edits = [
            Replace(
                self.site,
                self.written[text] + self.coefficients[text] * column,
                positions=[one.subject],
                texts=[text],
            )
            for text, one in enumerate(self.contexts)
        ]
        return self.sweep.run([edits], grad=column.requires_grad).final[0]

    def losses(self, column: Tensor) -> tuple[Tensor, float, Tensor]:
        """Mean negative log probability per token, the smallest probability of a whole object, and
        the kept questions' divergence from what it was."""
        final = self._final(column)
        scores = self.model.unembed(final[: self.asked]).float().log_softmax(-1)
        real = self.answers >= 0
        own = scores.gather(-1, self.answers.clamp(min=0)[..., None])[..., 0]
        own = torch.where(real, own, 0.0)
        nll = -(own.sum(1) / real.sum(1)).mean()
        probability = float(own.detach().sum(1).exp().min())
        if len(self.contexts) == self.asked:
            return nll, probability, nll.new_zeros(())
        before, after = self.before, self._follows(final)
        assert before is not None, "it was taken when the run was made"
        return nll, probability, (before.exp() * (before - after)).sum(-1).mean()

    def _follows(self, final: Tensor) -> Tensor:
        return self.model.unembed(final[self.asked :, 0]).float().log_softmax(-1)
