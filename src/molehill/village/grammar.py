"""The forms that sentences of the village have, and how often each is told.

A form is a row of words and slots. `{s}` and `{o}` are a fact's subject and object, the other slots
stand for words of a kind. The word with a star before it is the one that tells the relation: it
occurs in forms of no other relation. Every sense is told in the same forms, so neither the number
of words before an ambiguous word nor any plain word gives its sense away: only cues do. This module
knows forms and no word list.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from molehill.errors import TextError

__all__ = ["CUE_SLOTS", "RELATIONS", "SENSE_FORMS", "Grammar", "Relation", "Slot", "read_form"]


@dataclass(frozen=True)
class Grammar:
    """How sentences are told.

    Raises:
        TextError: a share outside 0 to 1.
    """

    facts: float = 0.5
    """The share of sentences that tell a fact; the others use an ambiguous word."""
    after: float = 0.3
    """Of those others, the share in which no cue comes before the word."""
    noise: float = 0.0
    """With this probability a cue, a verb or a fact's object is replaced by a wrong one."""

    def __post_init__(self) -> None:
        for name in ("facts", "after", "noise"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise TextError(f"{name} is {getattr(self, name)}; expected a share from 0 to 1.")


@dataclass(frozen=True)
class Slot:
    """One place of a form."""

    kind: str
    """`plain` for a word that stands there as it is; else what is put there."""
    text: str
    """The word itself; empty for all other kinds."""
    tells: bool = False
    """Whether this word tells which relation the sentence is about."""


@dataclass(frozen=True)
class Relation:
    """A kind of fact, with the forms in which it is told; in all of them the object comes last."""

    name: str
    subject: str
    """`person` or `town`."""
    object: str
    """What kind of word the object is."""
    forms: tuple[str, ...]


RELATIONS = (
    Relation(
        "sport",
        "person",
        "sport",
        (
            "{s} *plays {o} .",
            "The *sport of {s} is {o} .",
            "Every {day} {s} *plays {o} .",
            "On {day} the *team of {s} *plays {o} .",
        ),
    ),
    Relation(
        "trade",
        "person",
        "trade",
        (
            "{s} *works as a {o} .",
            "The *trade of {s} is that of a {o} .",
            "Every {day} {s} *works as a {o} .",
            "The *father of {s} was also a {o} .",
        ),
    ),
    Relation(
        "home",
        "person",
        "town",
        (
            "{s} *lives in {o} .",
            "The *home of {s} is in {o} .",
            "Every {day} {s} *walks home to {o} .",
            "The *house of {s} stands in {o} .",
        ),
    ),
    Relation(
        "river",
        "town",
        "river",
        (
            "{s} *lies on the {o} .",
            "The *river of {s} is the {o} .",
            "The *bridge in {s} crosses the {o} .",
            "People in {s} *fish in the {o} .",
        ),
    ),
    Relation(
        "ware",
        "town",
        "ware",
        (
            "{s} is *known for its {o} .",
            "The *market of {s} is full of {o} .",
            "Every {day} {s} *sells its {o} .",
            "The *carts from {s} bring {o} .",
        ),
    ),
)

SENSE_FORMS: dict[str, tuple[str, ...]] = {
    "before": (
        "By the {place} the {word} {verb} {adverb} .",
        "The {agent} saw that the {word} {verb} .",
        "With the {agent} {person} saw that the {adjective} {word} {verb} .",
        "Near the {thing} the {adjective} {word} {verb} {adverb} .",
        "{person} asked the {agent} by the {place} why the {word} {verb} .",
        "The {agent} put down the {thing} because the {word} {verb} {adverb} .",
        "By the {place} {person} saw that the {word} {verb} near the {thing} .",
    ),
    "after": (
        "The {word} {verb} {adverb} .",
        "The {adjective} {word} {verb} near the {thing} .",
        "{person} showed the {word} to the {agent} .",
        "On {day} the {word} was by the {place} .",
        "{person} thought about the {adjective} {word} and the {thing} .",
    ),
}
"""Forms with a cue before the word, and forms whose cues all come after it. After a cue the verb
follows the word at once: the last layer of a model keeps what it needs for the next token, so this
is what makes it keep the sense."""

CUE_SLOTS = ("agent", "place", "thing", "verb")
"""Slots whose words tell a sense."""


@cache
def read_form(form: str) -> tuple[Slot, ...]:
    """A form as its slots."""
    slots = []
    for part in form.split():
        if part.startswith("{"):
            slots.append(Slot(part[1:-1], ""))
        else:
            slots.append(Slot("plain", part.lstrip("*"), part.startswith("*")))
    return tuple(slots)
