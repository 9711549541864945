"""Questions about facts that a model has: a fact's card, its causal trace, what a vector holds.

Changing them is asked about in `facts_rewrite.py` and `facts_write.py`. This module knows no form.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from molehill.errors import FactError
from molehill.facts.card import fact_card, first_token
from molehill.facts.fact import Fact
from molehill.facts.held_facts import concepts_of, held_facts
from molehill.facts.locate import trace_fact
from molehill.facts.prompts import fact_of, find_subject
from molehill.facts.relations import Relation
from molehill.journey import ledger
from molehill.language_model import LanguageModel
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.facts_examples import example_for, offered
from molehill.questions.python import call, loading, written
from molehill.questions.telling import telling
from molehill.version import __version__
from molehill.views.fact_card import fact_card_data
from molehill.views.fact_card_text import fact_card_text
from molehill.views.fact_holds import fact_holds_data
from molehill.views.fact_holds_text import fact_holds_text
from molehill.views.fact_trace import fact_trace_data
from molehill.views.fact_trace_text import fact_trace_text

__all__ = ["QUESTIONS", "AboutFact", "AskCard", "AskHolds", "AskTrace"]

_LISTED = 8
"""Heads and neurons of each kind on a card: each is switched off, with random ones beside it."""
_SHUFFLES = 100


class AboutFact(OfModel):
    """A prompt and the subject in it."""

    prompt: str = Field(
        "",
        title="Prompt",
        description="Ends where the answer would begin. Empty: an example for this model.",
        json_schema_extra=asked_as("text", offers=offered(lambda one: one.prompt)),
    )
    subject: str = Field(
        "",
        max_length=200,
        title="Subject",
        description="As it stands in the prompt; empty: the words with a capital.",
        json_schema_extra=asked_as("word", offers=offered(lambda one: one.subject)),
    )
    object: str = Field(
        "",
        max_length=200,
        title="Answer",
        description="The answer that is followed; empty: what the model itself says.",
        json_schema_extra=asked_as("next", optional=True),
    )
    start: str | None = Field(
        None,
        max_length=200,
        title="Start",
        description="Stands before the prompt; default: what this model learnt to begin with.",
        json_schema_extra=asked_as("word", offers=offered(lambda one: one.start)),
    )

    def named(self) -> dict[str, Any]:
        """The prompt, and what `fact_of` is told of it."""
        example = example_for(self.model)
        prompt = self.prompt.rstrip() or example.prompt
        own = example.subject if prompt == example.prompt else _capitalised(prompt)
        return {
            "prompt": prompt,
            "subject": self.subject or own,
            "answer": self.object or None,
            "start": (example.start if self.start is None else self.start) or "",
        }

    def fact(self, lm: LanguageModel, forms: tuple[str, ...] = ()) -> Fact:
        """The fact, with the model's own answer where none was given.

        Raises:
            FactError: no subject was named and it could be none or several; see `fact_of`.
        """
        named = self.named()
        if named["subject"] is None:
            raise FactError(
                f"Which part of {named['prompt']!r} is the subject? It is not the one run of words "
                "with a capital: name it under “Subject”, as it stands there."
            )
        return fact_of(lm, paraphrases=forms, **named)


def _capitalised(prompt: str) -> str | None:
    """The one run of words with a capital; None where there is none, or several."""
    try:
        return find_subject(prompt)
    except FactError:
        return None


class AskCard(AboutFact):
    """What is known of a fact, and how closely it is traced."""

    paraphrases: tuple[str, ...] = Field(
        (),
        max_length=16,
        title="In other words",
        description="The same asked otherwise, one a line, with the subject or {} in it.",
        json_schema_extra=asked_as(
            "sentences", optional=True, offers=offered(lambda one: "\n".join(one.paraphrases))
        ),
    )
    draws: int = Field(
        5,
        ge=0,
        le=100,
        title="Draws",
        description="Of noise in the trace, and of random parts beside each; 0: no trace.",
        json_schema_extra=asked_as("slider", step=1),
    )


def _card(asked: AskCard, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    fact = asked.fact(lm, _forms(asked))
    writers = None
    if lm.config.causal and not lm.config.head_transform:
        writers = ledger(lm, fact.prompt).logit(first_token(lm, fact))
    trace = None
    if asked.draws:
        advance = telling(desk, "Causal trace", _places(lm, fact, 3))
        trace = trace_fact(lm, fact, draws=asked.draws, progress=advance)
    card = fact_card(
        lm,
        fact,
        writers,
        trace=trace,
        k=_LISTED,
        controls=max(1, asked.draws),
        progress=telling(desk, "Switching parts off"),
    )
    return fact_card_data(lm, card, own_answer=not asked.object, version=__version__)


def _forms(asked: AskCard) -> tuple[str, ...]:
    """Paraphrases as given; those of the example where it is asked for as it is."""
    if asked.paraphrases or asked.prompt:
        return tuple(one for one in asked.paraphrases if one.strip())
    return example_for(asked.model).paraphrases


def _places(lm: LanguageModel, fact: Fact, kinds: int) -> int:
    return lm.config.n_layers * len(lm.encode([fact.prompt]).row(0)) * kinds


def _fact_lines(asked: AboutFact, *imports: str, more: tuple[str, ...] = ()) -> list[str]:
    named = {name: value for name, value in asked.named().items() if name != "prompt" and value}
    made = call("fact_of", "lm", repr(asked.named()["prompt"]), *more, **named)
    imports = (*imports, "from molehill.facts.prompts import fact_of")
    return [*loading(asked, *imports), f"fact = {made}"]


def _card_python(asked: AskCard) -> str:
    forms = _forms(asked)
    more = (f"paraphrases={forms!r}",) if forms else ()
    lines = _fact_lines(asked, "from molehill.facts.card import fact_card, first_token", more=more)
    lines.append("writers = molehill.ledger(lm, fact.prompt).logit(first_token(lm, fact))")
    given = {"k": _LISTED, "controls": max(1, asked.draws)}
    traced = ("trace=trace",) if asked.draws else ()
    if asked.draws:
        lines.append(f"trace = molehill.trace_fact(lm, fact, draws={asked.draws})")
    made = call("fact_card", "lm", "fact", "writers", *traced, **given)
    return written([*lines, f"card = {made}", "print(card)"])


class AskTrace(AboutFact):
    """A fact, and how its subject is corrupted."""

    against: str = Field(
        "",
        max_length=200,
        title="Against",
        description="Another subject with as many tokens in its place; empty: noise.",
        json_schema_extra=asked_as("word", optional=True),
    )
    noise: float = Field(
        3.0,
        gt=0,
        le=100,
        title="Noise",
        description="In standard deviations of the token table.",
        json_schema_extra=asked_as("slider", step=0.5, most=10),
    )
    draws: int = Field(
        10,
        ge=1,
        le=100,
        title="Draws",
        description="How often noise is drawn; errors are of the mean over draws.",
        json_schema_extra=asked_as("slider", step=1, most=30),
    )
    window: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Window",
        description="Layers restored together, of MLPs and attention; default: a third, up to 10.",
        json_schema_extra=asked_as("layer", optional=True),
    )


def _trace(asked: AskTrace, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    if asked.window is not None and asked.window > lm.config.n_layers:
        raise FactError(
            f"The window is {asked.window}, but {lm.name} has {lm.config.n_layers} layers: take at "
            "most that many."
        )
    fact = asked.fact(lm)
    trace = trace_fact(
        lm,
        fact,
        against=asked.against or None,
        noise=asked.noise,
        draws=asked.draws,
        window=asked.window,
        progress=telling(desk, "Restoring one place after another", _places(lm, fact, 3)),
    )
    return fact_trace_data(lm, trace, version=__version__)


def _trace_python(asked: AskTrace) -> str:
    lines = _fact_lines(asked)
    made = call(
        "molehill.trace_fact",
        "lm",
        "fact",
        against=asked.against or None,
        noise=asked.noise,
        draws=asked.draws,
        window=asked.window,
    )
    return written([*lines, f"trace = {made}", "print(trace)"])


class AskHolds(OfModel):
    """A vector, and facts from which directions are made."""

    text: str = Field(
        "",
        title="Text",
        description="Whose vector is held against concepts. Empty: an example for this model.",
        json_schema_extra=asked_as("text", offers=offered(lambda one: one.start + one.text)),
    )
    position: int = Field(
        -1,
        ge=-100_000,
        le=100_000,
        title="Token",
        description="-1 is the last.",
        json_schema_extra=asked_as("token"),
    )
    at: str = Field(
        "final",
        max_length=40,
        title="Where",
        description="A point of the journey: final, embed, 3.resid_mid.",
        json_schema_extra=asked_as("point"),
    )
    template: str = Field(
        "",
        max_length=400,
        title="Asked as",
        description="How the facts below are asked, with {} for the subject.",
        json_schema_extra=asked_as("text", offers=offered(lambda one: one.asked)),
    )
    facts: tuple[str, ...] = Field(
        (),
        max_length=400,
        title="Facts",
        description="One a line, subject: object. Each object becomes a concept, its prompts "
        "against those of the others; facts of a subject that is in the text are left out.",
        json_schema_extra=asked_as("sentences", offers=offered(lambda one: "\n".join(one.pairs))),
    )
    method: Literal["difference of means", "linear probe"] = Field(
        "difference of means", title="Direction", json_schema_extra=asked_as("choice")
    )

    def whole(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """Text, template and pairs, the example's where they were left empty.

        Raises:
            FactError: a line that is no pair.
        """
        example = example_for(self.model)
        lines = [one for one in self.facts if one.strip()] or list(example.pairs)
        pairs = []
        for line in lines:
            subject, colon, answer = line.rpartition(":")
            if not colon or not subject.strip() or not answer.strip():
                raise FactError(f"The line {line!r:.80} is no fact: write 'subject: object'.")
            pairs.append((subject.strip(), answer.strip()))
        text = self.text or example.start + example.text
        return text, self.template or example.start + example.asked, tuple(pairs)


def _site(at: str) -> str | None:
    return None if at == "final" else at


def _holds(asked: AskHolds, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    text, template, pairs = asked.whole()
    facts = tuple(Fact(subject, answer, template) for subject, answer in pairs)
    concepts = concepts_of(Relation("facts", (template,), facts), text)
    found = held_facts(
        lm,
        text,
        concepts,
        site=_site(asked.at),
        at=asked.position,
        method=asked.method,
        shuffles=_SHUFFLES,
        progress=telling(desk, "Directions", len(concepts)),
    )
    return fact_holds_data(lm, found, version=__version__)


def _holds_python(asked: AskHolds) -> str:
    text, template, pairs = asked.whole()
    lines = loading(
        asked,
        "from molehill.facts import Fact, Relation, held_facts",
        "from molehill.facts.held_facts import concepts_of",
    )
    made = call(
        "held_facts",
        "lm",
        repr(text),
        "concepts",
        site=_site(asked.at),
        at=asked.position,
        method=asked.method,
        shuffles=_SHUFFLES,
    )
    return written(
        [
            *lines,
            "pairs = [",
            *(f"    {pair!r}," for pair in pairs),
            "]",
            f"template = {template!r}",
            "facts = tuple(Fact(subject, answer, template) for subject, answer in pairs)",
            f'concepts = concepts_of(Relation("facts", (template,), facts), {text!r})',
            f"held = {made}",
            "print(held)",
        ]
    )


QUESTIONS = (
    Question(
        "facts.card",
        "A fact's card",
        "Whether a model knows a fact, where it is carried, what writes it, what is lost without.",
        "fact-card",
        AskCard,
        _card,
        fact_card_text,
        _card_python,
    ),
    Question(
        "facts.trace",
        "Where it is kept",
        "A causal trace: the subject is corrupted, one place is restored, and what comes back.",
        "fact-trace",
        AskTrace,
        _trace,
        fact_trace_text,
        _trace_python,
    ),
    Question(
        "facts.holds",
        "What a vector holds",
        "One vector held against a direction for each concept, with random directions beside it.",
        "fact-holds",
        AskHolds,
        _holds,
        fact_holds_text,
        _holds_python,
    ),
)
