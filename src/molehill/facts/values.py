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
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.asking import put, unknown_token
from molehill.facts.fact import Fact, subject_tokens
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import Replace, Sweep, record

__all__ = [
    "Context",
    "Learning",
    "Token",
    "Value",
    "contexts_of",
    "keys_at",
    "learn_value",
    "learn_values",
    "site_of",
    "streams_at",
    "writes_at",
]


Token = Literal["subject", "last"]


@dataclass(frozen=True)
class Learning:
    """How a value is learnt."""

    token: Token = "subject"
    """Where the fact is written: at the last token of its subject, where large models keep facts,
    or at the last token of its prompt. Tracing tells which."""
    steps: int = 25
    """At most; learning ends as soon as the object is likely enough everywhere."""
    rate: float = 1.0
    """Adam's, in units of the typical coordinate of what the MLP writes there."""
    likely: float = 0.9
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
    """The position of the token where the fact is written: its subject's last, or the prompt's."""
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

    def __repr__(self) -> str:
        return (
            f"Value of {str(self.fact)!r} at layer {self.layer}: probability "
            f"{self.probability:.2f} after {len(self.losses) - 1} steps"
        )


def contexts_of(
    lm: LanguageModel, fact: Fact, prefixes: Sequence[str], token: Token = "subject"
) -> list[Context]:
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
        span = (first + shift, last + shift)
        _, end = subject_tokens(question.tokens, span, unknown=unknown_token(lm))
        place = end - 1 if token == "subject" else question.at[0]
        found.append(Context(question.ids, place, question.at, question.answer))
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
    """Learn what the layer's MLP should write at one fact's subject. Errors are those of
    `learn_values`."""
    return learn_values(lm, [fact], layer, prefixes, how)[0]


def learn_values(
    lm: LanguageModel,
    facts: Sequence[Fact],
    layer: int,
    prefixes: Sequence[str] = (),
    how: Learning | None = None,
) -> list[Value]:
    """Learn what the layer's MLP should write at each fact's subject, each as if alone.

    Facts that are learnt side by side share every reading of the weights, which is most of the time
    that one takes.

    Raises:
        FactError: see `contexts_of`; or a difference that is no number.
    """
    how = how or Learning()
    asked = [_Asked.of(lm, fact, layer, prefixes, how) for fact in facts]
    run = _Run(lm, asked, layer)
    # Small steps would be lost in a model's own bfloat16.
    wide = torch.promote_types(lm.model.dtype, torch.float32)
    differences = torch.zeros(len(facts), lm.config.d_model, dtype=wide, requires_grad=True)
    optimizer = torch.optim.Adam([differences], lr=how.rate)
    losses: list[list[float]] = [[] for _ in facts]
    ends = [(0.0, 0.0)] * len(facts)
    unfinished = list(range(len(facts)))
    for step in range(how.steps + 1):
        found = run.losses(unfinished, differences)
        for number, (nll, probability, apart) in found.items():
            losses[number].append(float(nll.detach()))
            ends[number] = probability, float(apart.detach())
        unfinished = [number for number in unfinished if ends[number][0] < how.likely]
        if not unfinished or step == how.steps:
            break
        total = sum(
            (
                found[number][0]
                + how.essence * found[number][2]
                + how.decay
                * (differences[number].norm() * asked[number].unit / asked[number].stream) ** 2
                for number in unfinished
            ),
            differences.new_zeros(()),
        )
        _step(optimizer, differences, total, asked, unfinished, how)
    values = []
    for number, one in enumerate(asked):
        difference = (differences[number].detach() * one.unit).double()
        if not bool(difference.isfinite().all()):
            raise FactError(f"Learning {one.fact} at layer {layer} ended in no numbers.")
        key = keys_at(lm, one.contexts, layer).mean(0)
        values.append(Value(one.fact, key, difference, layer, tuple(losses[number]), *ends[number]))
    return values


def _step(
    optimizer: torch.optim.Adam,
    differences: Tensor,
    total: Tensor,
    asked: Sequence[_Asked],
    unfinished: Sequence[int],
    how: Learning,
) -> None:
    """One step for the facts that are not yet learnt; the others stay where they are."""
    before = differences.detach().clone()
    (differences.grad,) = torch.autograd.grad(total, differences)
    optimizer.step()
    with torch.no_grad():
        done = torch.ones(len(differences), dtype=torch.bool)
        done[list(unfinished)] = False
        differences[done] = before[done]
        longest = torch.tensor([how.longest * one.stream / one.unit for one in asked])
        length = differences.norm(dim=1).clamp(min=1e-12)
        differences *= (longest.to(length) / length).clamp(max=1.0)[:, None]


@dataclass(frozen=True, eq=False)
class _Asked:
    """One fact with all its contexts."""

    fact: Fact
    contexts: list[Context]
    essence: Context | None
    unit: float
    """The typical coordinate of what the MLP writes there: differences are learnt in it."""
    stream: float
    """The length of the stream there."""

    @classmethod
    def of(
        cls, lm: LanguageModel, fact: Fact, layer: int, prefixes: Sequence[str], how: Learning
    ) -> _Asked:
        contexts = contexts_of(lm, fact, prefixes, how.token)
        written = float(writes_at(lm, contexts, layer).norm(dim=-1).mean())
        return cls(
            fact,
            contexts,
            _essence(lm, fact) if how.essence and how.token == "subject" else None,
            written / lm.config.d_model**0.5,
            float(streams_at(lm, contexts, layer).norm(dim=-1).mean()),
        )

    @property
    def texts(self) -> list[Context]:
        """All of them, the essence last."""
        return self.contexts if self.essence is None else [*self.contexts, self.essence]


class _Run:
    """The contexts of several facts as one run, of which only what comes after the edit, and only
    for facts that are still being learnt, is repeated."""

    def __init__(self, lm: LanguageModel, asked: Sequence[_Asked], layer: int) -> None:
        self.asked, self.model, self.site = asked, lm.model, site_of(lm, layer)
        texts = [text for one in asked for text in one.texts]
        self.firsts = [sum(len(one.texts) for one in asked[:n]) for n in range(len(asked))]
        rows = Tokens.of_ids([list(text.ids) for text in texts])
        self.sweep = Sweep(lm, rows, at=[list(text.at) for text in texts], lowest=layer)
        self.written = writes_at(lm, texts, layer).to(lm.model.dtype)
        base = self.sweep.run([]).base
        kept = [n for n, one in enumerate(asked) if one.essence is not None]
        with torch.no_grad():
            rows = self._follows(base[[self._essence(number) for number in kept], 0])
        self.before = dict(zip(kept, rows, strict=True))

    def _essence(self, number: int) -> int:
        """Which text keeps the essence of a fact that has one."""
        return self.firsts[number] + len(self.asked[number].contexts)

    def losses(
        self, numbers: Sequence[int], differences: Tensor
    ) -> dict[int, tuple[Tensor, float, Tensor]]:
        """For each of these facts the mean negative log probability per token, the mean probability
        of the whole object, and the divergence of the essence from what it was."""
        written = self.written.to(differences)
        edits = [
            Replace(
                self.site,
                (written[self.firsts[number] + place] + differences[number] * one.unit).to(
                    self.model.dtype
                ),
                positions=[text.subject],
                texts=[self.firsts[number] + place],
            )
            for number in numbers
            for one in [self.asked[number]]
            for place, text in enumerate(one.texts)
        ]
        final = self.sweep.run([edits], grad=True).final[0]
        places = [
            (self.firsts[number] + place, at, token)
            for number in numbers
            for place, text in enumerate(self.asked[number].contexts)
            for at, token in enumerate(text.answer)
        ]
        kept = [number for number in numbers if number in self.before]
        texts = [text for text, _, _ in places] + [self._essence(number) for number in kept]
        at = [place for _, place, _ in places] + [0] * len(kept)
        # One product for all of them: the table of words is most of what is read.
        follows = self._follows(final[texts, at])
        wanted = torch.tensor([token for _, _, token in places], device=final.device)
        logs = follows[: len(places)].gather(-1, wanted[:, None])[:, 0]
        apart = dict(zip(kept, follows[len(places) :], strict=True))
        found, start = {}, 0
        for number in numbers:
            one = self.asked[number]
            shape = len(one.contexts), len(one.contexts[0].answer)
            own = logs[start : start + shape[0] * shape[1]].view(shape)
            start += own.numel()
            moved = own.new_zeros(())
            if number in apart:
                before = self.before[number]
                moved = (before.exp() * (before - apart[number])).sum()
            found[number] = -own.mean(), float(own.detach().sum(1).exp().mean()), moved
        return found

    def _follows(self, final: Tensor) -> Tensor:
        return self.model.unembed(final).float().log_softmax(-1)
