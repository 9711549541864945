"""A fact's card: whether a model knows it, where it is carried, what writes it, and what becomes of
it when that is switched off.

    split = molehill.ledger(lm, fact.prompt).logit(first_token(lm, fact))
    card = fact_card(lm, fact, split, trace=trace_fact(lm, fact))

The split of the object's score comes from the caller, as does the causal trace: this module holds
them side by side and adds what ablation says. A share in a sum is not yet a cause: what is listed
as writing the object is switched off, alone and together, with random parts beside it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import torch

from molehill.errors import FactError
from molehill.facts.ablating import Ablations, Change, Control, Part, ablate
from molehill.facts.asking import Answer, Question, put, score_answers, unknown_token
from molehill.facts.carrying import as_added, block_of, wide
from molehill.facts.fact import Fact, subject_tokens
from molehill.facts.showing import few
from molehill.facts.traced import FactTrace, Kind
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import record

__all__ = [
    "Asked",
    "Carrier",
    "FactCard",
    "Listed",
    "ScoreSplit",
    "WriterRow",
    "fact_card",
    "first_token",
]

_WRITTEN = 12
"""Tokens of a free continuation."""
_AGAINST = 3
"""Parts against the object that are named, of each kind."""


@runtime_checkable
class WriterRow(Protocol):
    """One row of a score that was split exactly, as a ledger's reading gives it."""

    @property
    def kind(self) -> str: ...
    @property
    def layer(self) -> int | None: ...
    @property
    def head(self) -> int | None: ...
    @property
    def source(self) -> int | None: ...
    @property
    def neuron(self) -> int | None: ...
    @property
    def toward(self) -> float: ...


@runtime_checkable
class ScoreSplit(Protocol):
    """One token's score as a sum over the model's parts: `ledger(lm, prompt).logit(token)`."""

    @property
    def measured(self) -> float: ...
    @property
    def closing_error(self) -> float: ...
    def by(self, axis: Literal["component", "head"], /) -> dict[str, float]: ...
    def top(self, k: int, /, *, kind: str) -> Sequence[WriterRow]: ...


@dataclass(frozen=True)
class Asked:
    """One prompt, put to the model."""

    prompt: str
    answer: Answer
    """How likely the whole object is."""
    said: str | None
    """How the model goes on, taking the likeliest token each time; None for one that fills gaps."""
    next_piece: str | None
    """The likeliest next token."""
    next_probability: float | None


@dataclass(frozen=True)
class Carrier:
    """Where restoring one kind of value brings back most of the object's probability."""

    kind: Kind
    place: Literal["subject", "end"]
    """Among the subject's tokens, or those after it."""
    layer: int
    position: int
    effect: float


@dataclass(frozen=True)
class Listed:
    """A head or a neuron, why it is listed, and what switching it off does."""

    part: Part
    toward: float | None
    """What it adds to the score of the object's first token; None at the subject."""
    size: float | None
    """At the subject: the length of what a neuron adds, coefficient times its column's norm."""
    source: int | None
    """Of a head: the position from which it brings most of that, as far as its rows were listed."""
    change: Change
    control: Control | None


@dataclass(frozen=True, eq=False)
class FactCard:
    """All that is told of one fact in one model.

    Shares and rows are of the score of the object's first token; probabilities are of the whole.
    """

    model: str
    fact: Fact
    pieces: tuple[str, ...]
    """The prompt's tokens."""
    subject_span: tuple[int, int]
    object_pieces: tuple[str, ...]
    at: int
    """The position at which the object's first token is predicted."""
    asked: tuple[Asked, ...]
    """The prompt, then every paraphrase."""
    trace: FactTrace | None
    carriers: tuple[Carrier, ...]
    score: float | None
    """Of the object's first token; None where the model's score is no sum."""
    closing_error: float | None
    by_component: Mapping[str, float]
    heads: tuple[Listed, ...]
    """Those that add most to the score, all their sources together."""
    neurons: tuple[Listed, ...]
    """The same of neurons at the last token."""
    against: tuple[tuple[str, float], ...]
    """Labels of those that take most from the score; they are not switched off."""
    subject_layers: tuple[int, ...]
    """The window of layers whose MLPs at the subject's last token matter most in the trace."""
    subject_neurons: tuple[Listed, ...]
    """In these, the neurons that add the longest vectors there, whatever they say of the object."""
    together: Mapping[str, tuple[Change, Control | None]]
    """Of all `heads`, `neurons`, `subject neurons`, and `everything`, switched off at once."""
    log_probability: float
    """Of the whole object with nothing switched off, in nats."""
    seed: int

    def __repr__(self) -> str:
        first = self.asked[0]
        listed = [*self.heads[:3], *self.neurons[:3]]
        return few(
            f"Card of {str(self.fact)!r} in {self.model}: {'known' if self.known else 'not known'}"
            f", rank {first.answer.rank + 1:,}, probability {first.answer.probability:.2g}",
            [
                f"{one.toward or 0:+.3g} {one.part.label}; without it "
                f"{one.change.log_probability:+.3g} nats"
                for one in listed
            ],
        )

    @property
    def known(self) -> bool:
        """Whether the model, asked by the prompt, takes the object token by token."""
        return self.asked[0].answer.greedy


def first_token(lm: LanguageModel, fact: Fact) -> int:
    """The object's first token as it goes on from the prompt: what a ledger is read toward.

    Raises:
        FactError: see `asking.put`.
    """
    return put(lm, fact.prompt, fact.object).answer[0]


def fact_card(
    lm: LanguageModel,
    fact: Fact,
    writers: ScoreSplit | None,
    *,
    trace: FactTrace | None = None,
    k: int = 10,
    controls: int = 10,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> FactCard:
    """A fact's card.

    Args:
        writers: the score of the object's first token, split: `ledger(lm, prompt).logit(token)`
            with `first_token`. None: nothing is said of what writes it (a model whose head is not
            linear).
        trace: of the same fact; without it nothing is said of where it is carried, nor of neurons
            at the subject.
        k: how many heads, neurons, and neurons at the subject are listed; of heads at most half, so
            that others are left to compare with.
        controls: how often random parts are drawn beside them.
        seed: of these draws.
        progress: called with a number of runs since the last call.

    Raises:
        FactError: the subject is not in the prompt, a split of another score, or a trace of
            another prompt.
    """
    question = put(lm, fact.prompt, fact.object)
    span = subject_tokens(question.tokens, fact.place(), unknown=unknown_token(lm))
    at = question.at[0]
    _check(lm, fact, question, writers, trace, k)
    heads = [] if writers is None else _heads(lm, writers, at, k)
    neurons = [] if writers is None else _neurons(writers, at, k)
    layers = () if trace is None else _subject_layers(trace)
    longest = _longest(lm, question, layers, span[1] - 1, k)
    drafts = [*heads, *neurons, *longest]
    groups = _groups(len(heads), len(neurons), len(longest))
    off = ablate(
        lm,
        question,
        [draft.part for draft in drafts],
        groups,
        controls=controls,
        seed=seed,
        progress=progress,
    )
    listed = _listed(drafts, off)
    ends = len(heads), len(heads) + len(neurons)
    tokenizer = lm.tokenizer
    return FactCard(
        model=lm.name,
        fact=fact,
        pieces=tuple(question.tokens.pieces[0]),
        subject_span=span,
        object_pieces=tuple(tokenizer.piece(one) for one in question.answer) if tokenizer else (),
        at=at,
        asked=_asked(lm, fact),
        trace=trace,
        carriers=() if trace is None else _carriers(trace),
        score=None if writers is None else writers.measured,
        closing_error=None if writers is None else writers.closing_error,
        by_component={} if writers is None else writers.by("component"),
        heads=listed[: ends[0]],
        neurons=listed[ends[0] : ends[1]],
        against=() if writers is None else _against(writers),
        subject_layers=layers,
        subject_neurons=listed[ends[1] :],
        together=off.together,
        log_probability=off.log_probability,
        seed=seed,
    )


@dataclass(frozen=True)
class _Draft:
    """A part to be listed, before it is switched off; fields are those of `Listed`."""

    part: Part
    toward: float | None = None
    size: float | None = None
    source: int | None = None


def _check(
    lm: LanguageModel,
    fact: Fact,
    question: Question,
    writers: ScoreSplit | None,
    trace: FactTrace | None,
    k: int,
) -> None:
    if k < 1:
        raise FactError(f"k is {k}: list at least one part.")
    if trace is not None and (trace.prompt, trace.target) != (fact.prompt, fact.object_text):
        raise FactError(
            f"The trace is of {trace.prompt + trace.target!r}, the fact {str(fact)!r}: trace this."
        )
    if writers is None:
        return
    final = record(lm, Tokens.of_ids([list(question.ids)]), ["final"], logits="none")["final"]
    score = float(lm.model.unembed(final[0, question.at[0]])[question.answer[0]])
    if abs(score - writers.measured) > 1e-2 * max(1.0, abs(score)):
        raise FactError(
            f"The split is of a score of {writers.measured:.4g}, but {fact.object!r} has "
            f"{score:.4g} after {fact.prompt!r}: split the score of its first token there."
        )


def _asked(lm: LanguageModel, fact: Fact) -> tuple[Asked, ...]:
    answers = score_answers(lm, [(prompt, fact.object) for prompt in fact.prompts])
    if not lm.config.causal or lm.tokenizer is None:
        return tuple(
            Asked(prompt, answer, None, None, None)
            for prompt, answer in zip(fact.prompts, answers, strict=True)
        )
    told = lm.generate(fact.prompts, max_new_tokens=_WRITTEN)
    return tuple(
        Asked(prompt, answer, one.text, lm.tokenizer.piece(one.ids[0]), math.exp(one.logprobs[0]))
        for prompt, answer, one in zip(fact.prompts, answers, told, strict=True)
    )


# --- where it is carried --------------------------------------------------------------------------


def _carriers(trace: FactTrace) -> tuple[Carrier, ...]:
    """Of each kind the largest effect among the subject's tokens and among those after it."""
    first, end = trace.subject_span
    found = []
    for kind, effects in trace.effects.items():
        places: list[tuple[Literal["subject", "end"], int, int]] = [("subject", first, end)]
        if end < effects.shape[1]:
            places.append(("end", end, effects.shape[1]))
        for place, low, high in places:
            some = effects[:, low:high]
            layer, position = divmod(int(some.argmax()), high - low)
            found.append(Carrier(kind, place, layer, low + position, float(some[layer, position])))
    return tuple(found)


def _subject_layers(trace: FactTrace) -> tuple[int, ...]:
    """The layers restored together where MLPs at the subject's last token bring back most."""
    if "mlp" not in trace.effects:
        return ()
    column = trace.effects["mlp"][:, trace.subject_span[1] - 1]
    peak, window = int(column.argmax()), trace.windows["mlp"]
    return tuple(range(max(0, peak - window // 2), min(len(column), peak - (-window // 2))))


# --- what writes it -------------------------------------------------------------------------------


def _heads(lm: LanguageModel, writers: ScoreSplit, at: int, k: int) -> list[_Draft]:
    """Heads that add most, over all their sources; none that adds a fiftieth of the first or
    less."""
    every = [
        (Part("head", int(layer), int(head), at), value)
        for label, value in writers.by("head").items()
        if (found := re.fullmatch(r"head (\d+)\.(\d+)", label)) and value > 0
        for layer, head in [found.groups()]
    ]
    chosen = sorted(every, key=lambda entry: -entry[1])
    rows = writers.top(40 * k, kind="head")
    sources: dict[tuple[int | None, int | None], int | None] = {}
    for row in rows:
        if row.toward > 0:
            sources.setdefault((row.layer, row.head), row.source)
    most = min(k, max(1, lm.config.n_layers * lm.config.n_heads // 2))
    return [
        _Draft(part, value, source=sources.get((part.layer, part.index)))
        for part, value in chosen[:most]
        if value > chosen[0][1] / 50
    ]


def _neurons(writers: ScoreSplit, at: int, k: int) -> list[_Draft]:
    return [
        _Draft(Part("neuron", row.layer, row.neuron, at), row.toward)
        for row in writers.top(10 * k, kind="neuron")
        if row.toward > 0 and row.layer is not None and row.neuron is not None
    ][:k]


def _against(writers: ScoreSplit) -> tuple[tuple[str, float], ...]:
    """The heads and neurons that take most from the score."""
    heads = [
        (label, value)
        for label, value in writers.by("head").items()
        if label.startswith("head ") and value < 0
    ]
    neurons = [
        (f"neuron {row.layer}.{row.neuron}", row.toward)
        for row in writers.top(20 * _AGAINST, kind="neuron")
        if row.toward < 0
    ]
    heads.sort(key=lambda entry: entry[1])
    return (*heads[:_AGAINST], *neurons[:_AGAINST])


@torch.no_grad()
def _longest(
    lm: LanguageModel, question: Question, layers: Sequence[int], at: int, k: int
) -> list[_Draft]:
    """The neurons of some layers that add the longest vectors at a position."""
    if not layers:
        return []
    sites = [f"{layer}.mlp.act" for layer in layers]
    trace = record(lm, Tokens.of_ids([list(question.ids)]), sites, positions=[at], logits="none")
    found: list[tuple[float, Part]] = []
    for layer, site in zip(layers, sites, strict=True):
        columns = as_added(lm.model, layer, wide(block_of(lm.model, layer).mlp.w_out).T)
        sizes = trace[site][0, 0].to(columns).abs() * columns.norm(dim=-1)
        values, places = sizes.topk(min(k, len(sizes)))
        found += [
            (value, Part("neuron", layer, place, at))
            for value, place in zip(values.tolist(), places.tolist(), strict=True)
            if value > 0
        ]
    found.sort(key=lambda entry: -entry[0])
    return [_Draft(part, size=size) for size, part in found[:k]]


# --- what switching off does ----------------------------------------------------------------------


def _groups(heads: int, neurons: int, longest: int) -> dict[str, range]:
    ends = heads, heads + neurons, heads + neurons + longest
    groups = {
        "heads": range(ends[0]),
        "neurons": range(ends[0], ends[1]),
        "subject neurons": range(ends[1], ends[2]),
        "everything": range(ends[2]),
    }
    return {name: numbers for name, numbers in groups.items() if len(numbers)}


def _listed(drafts: Sequence[_Draft], off: Ablations) -> tuple[Listed, ...]:
    return tuple(
        Listed(one.part, one.toward, one.size, one.source, change, control)
        for one, (change, control) in zip(drafts, off.alone, strict=True)
    )
