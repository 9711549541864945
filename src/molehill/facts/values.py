"""What an MLP would have to write at a fact's subject for the model to say the fact: learnt by
gradient, with the key that asks for it.

    key     the layer's coefficients at the subject's last token, the mean over contexts  [d_mlp]
    value   what its MLP should write there instead                                       [d_model]

The value is what it writes now plus a difference that makes the object likely after every prompt,
keeps what the subject is otherwise (its essence) and stays short (Meng et al., 2022, section 3.1).
The same contexts give key and value, without which edits collapse in a row (Yang et al., 2024).
Only layers above, and tokens from the subject's last on, are computed again. This module changes no
weight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.asking import put
from molehill.facts.fact import Fact, subject_tokens
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import Replace, Sweep, record

__all__ = [
    "Context",
    "Learning",
    "Value",
    "contexts_of",
    "keys_at",
    "learn_value",
    "streams_at",
    "writes_at",
]


@dataclass(frozen=True)
class Learning:
    """How a value is learnt."""

    steps: int = 25
    """At most; learning ends as soon as the object is likely enough everywhere."""
    rate: float = 0.5
    """Adam's, in units of the typical coordinate of what the MLP writes there."""
    likely: float = 0.95
    """The object's probability at which learning ends, as the mean over contexts."""
    essence: float = 0.0625
    """Weight of the divergence of what follows `{subject} is a`."""
    decay: float = 0.02
    """Weight of the difference's squared length against the stream's."""
    longest: float = 0.75
    """The longest difference, against the length of the stream where it is added."""


@dataclass(frozen=True, eq=False)
class Context:
    """One text in which a fact is asked: a prefix, the prompt, the object up to its last token."""

    ids: tuple[int, ...]
    subject: int
    """The position of the subject's last token."""
    at: tuple[int, ...]
    answer: tuple[int, ...]
    """Empty where nothing is to be said: a text that keeps the subject's essence."""


@dataclass(frozen=True, eq=False)
class Value:
    """What was learnt for one fact."""

    fact: Fact
    key: Tensor
    """[d_mlp]"""
    difference: Tensor
    """What is to be written more at the layer's MLP site [d_model]."""
    layer: int
    losses: tuple[float, ...]
    """Mean negative log probability of the object, step by step, in nats per token."""
    probability: float
    """Of the object at the end, the mean over contexts."""
    divergence: float
    """Of what follows `{subject} is a`, in nats."""


def contexts_of(lm: LanguageModel, fact: Fact, prefixes: Sequence[str]) -> list[Context]:
    """The prompt alone and after every prefix.

    Raises:
        FactError: the subject is not in the prompt's tokens, or the model reads both ways.
    """
    if not lm.config.causal:
        raise FactError(
            f"{lm.name} reads both ways: a fact is not kept at one token of its subject there."
        )
    found = []
    for prefix in ("", *prefixes):
        before = f"{fact.start}{prefix} " if prefix else fact.start
        prompt = before + fact.prompt[len(fact.start) :]
        question = put(lm, prompt, fact.object)
        first, last = fact.place()
        shift = len(before) - len(fact.start)
        _, end = subject_tokens(question.tokens, (first + shift, last + shift))
        found.append(Context(question.ids, end - 1, question.at, question.answer))
    return found


def _essence(lm: LanguageModel, fact: Fact) -> Context | None:
    """`{subject} is a`, if the model has words for it."""
    text = f"{fact.start}{fact.subject} is a"
    tokens = lm.encode([text])
    unknown = None if lm.tokenizer is None else lm.tokenizer.unk_id
    ids = tuple(tokens.row(0))
    special = tokens.special[0]
    if any(token == unknown and not special[place] for place, token in enumerate(ids)):
        return None
    start = len(fact.start)
    _, end = subject_tokens(tokens, (start, start + len(fact.subject)))
    return Context(ids, end - 1, (len(ids) - 1,), ())


def site_of(lm: LanguageModel, layer: int) -> str:
    """Where the down matrix's output stands before anything else is done to it."""
    return f"{layer}.mlp.{'raw' if lm.config.norm_place == 'sandwich' else 'out'}"


def keys_at(lm: LanguageModel, contexts: Sequence[Context], layer: int) -> Tensor:
    """The layer's coefficients at each context's subject [context, d_mlp], in float64."""
    return _at_subjects(lm, contexts, f"{layer}.mlp.act")


def writes_at(lm: LanguageModel, contexts: Sequence[Context], layer: int) -> Tensor:
    """What the layer's MLP writes at each context's subject [context, d_model], in float64."""
    return _at_subjects(lm, contexts, site_of(lm, layer))


def streams_at(lm: LanguageModel, contexts: Sequence[Context], layer: int) -> Tensor:
    """The stream after the layer at each context's subject [context, d_model], in float64."""
    return _at_subjects(lm, contexts, f"{layer}.resid_post")


def _at_subjects(lm: LanguageModel, contexts: Sequence[Context], site: str) -> Tensor:
    # Nothing after a subject's last token can change what stands there.
    tokens = Tokens.of_ids([list(one.ids[: one.subject + 1]) for one in contexts])
    return record(lm, tokens, [site], positions="last", logits="none")[site][:, 0].double()


def learn_value(
    lm: LanguageModel,
    fact: Fact,
    layer: int,
    prefixes: Sequence[str] = (),
    how: Learning | None = None,
) -> Value:
    """Learn what the layer's MLP should write at the fact's subject.

    Raises:
        FactError: see `contexts_of`; or a difference that is no number.
    """
    how = how or Learning()
    contexts = contexts_of(lm, fact, prefixes)
    key = keys_at(lm, contexts, layer).mean(0)
    asked = _Asked(lm, contexts, _essence(lm, fact) if how.essence else None, layer)
    difference = torch.zeros(lm.config.d_model, dtype=lm.model.dtype, requires_grad=True)
    unit = float(asked.written.norm(dim=-1).mean()) / lm.config.d_model**0.5
    optimizer = torch.optim.Adam([difference], lr=how.rate * unit)
    losses: list[float] = []
    probability = divergence = 0.0
    for step in range(how.steps + 1):
        nll, probability, apart = asked.losses(difference)
        losses.append(float(nll.detach()))
        divergence = float(apart.detach())
        if probability >= how.likely or step == how.steps:
            break
        size = (difference.norm() / asked.stream) ** 2
        loss = nll + how.essence * apart + how.decay * size
        optimizer.zero_grad()
        (difference.grad,) = torch.autograd.grad(loss, difference)
        optimizer.step()
        with torch.no_grad():
            longest = how.longest * asked.stream
            difference *= (longest / difference.norm().clamp(min=1e-12)).clamp(max=1.0)
    if not bool(difference.isfinite().all()):
        raise FactError(f"Learning {fact} at layer {layer} ended in no numbers.")
    found = difference.detach().double()
    return Value(fact, key, found, layer, tuple(losses), probability, divergence)


class _Asked:
    """All contexts of one fact as one run, of which only what comes after the edit is repeated."""

    def __init__(
        self, lm: LanguageModel, contexts: Sequence[Context], essence: Context | None, layer: int
    ) -> None:
        self.contexts = [*contexts, essence] if essence is not None else list(contexts)
        self.essence = essence
        self.site = site_of(lm, layer)
        rows = [list(one.ids) for one in self.contexts]
        at = [list(one.at) for one in self.contexts]
        self.sweep = Sweep(lm, Tokens.of_ids(rows), at=at, lowest=layer)
        self.model = lm.model
        self.written = writes_at(lm, self.contexts, layer).to(lm.model.dtype)
        stream = streams_at(lm, contexts, layer)
        self.stream = float(stream.norm(dim=-1).mean())
        width = max(map(len, at))
        self.answers = torch.tensor(
            [[*one.answer, *[0] * (width - len(one.answer))] for one in contexts]
        ).to(lm.model.device)
        self.real = torch.tensor(
            [[True] * len(one.answer) + [False] * (width - len(one.answer)) for one in contexts]
        ).to(lm.model.device)
        with torch.no_grad():
            self.before = self._follows(self.sweep._final[-1, 0]) if essence is not None else None

    def losses(self, difference: Tensor) -> tuple[Tensor, float, Tensor]:
        """Mean negative log probability per token, mean probability of the whole object, and
        divergence of the essence from what it was."""
        edits = [
            Replace(
                self.site, self.written[text] + difference, positions=[one.subject], texts=[text]
            )
            for text, one in enumerate(self.contexts)
        ]
        final = self.sweep.run([edits], grad=True).final[0]
        asked = len(self.answers)
        scores = self.model.unembed(final[:asked]).float().log_softmax(-1)
        own = scores.gather(-1, self.answers[..., None])[..., 0]
        own = torch.where(self.real, own, 0.0)
        nll = -(own.sum(1) / self.real.sum(1)).mean()
        probability = float(own.sum(1).exp().mean().detach())
        if self.before is None:
            return nll, probability, nll.new_zeros(())
        after = self._follows(final[-1, 0])
        apart = (self.before.exp() * (self.before - after)).sum()
        return nll, probability, apart

    def _follows(self, final: Tensor) -> Tensor:
        return self.model.unembed(final).float().log_softmax(-1)
