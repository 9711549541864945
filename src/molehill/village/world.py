"""World: who lives in the village, which words mean several things there, and what is true.

`make_world` draws one from a seed. It decides everything that sentences can tell and no sentence;
those are told by `tell`. This module knows nothing of tokens or models.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, TypeVar

from molehill.errors import TextError
from molehill.village.grammar import CUE_SLOTS, RELATIONS, SENSE_FORMS, Grammar, read_form
from molehill.village.wordlist import (
    ADJECTIVES,
    ADVERBS,
    AMBIGUOUS,
    DAYS,
    FIRST_NAMES,
    LAST_NAME_PARTS,
    RIVER_PARTS,
    SPORTS,
    TOPICS,
    TOWN_PARTS,
    TRADES,
    WARES,
)

__all__ = ["KINDS", "Ambiguous", "Fact", "Sense", "Topic", "World", "make_world", "pick"]

KINDS = (
    "stop",
    "plain",
    "adjective",
    "adverb",
    "day",
    "first name",
    "last name",
    "town",
    "river",
    "sport",
    "trade",
    "ware",
    "ambiguous",
    *CUE_SLOTS,
)
"""What a word can be; every word of a world is of one kind."""

_RIVERS = 10
_PEOPLE_PER_NAME = 2.5


@dataclass(frozen=True)
class Topic:
    """A field of life with the people, places and things that are met there and nowhere else."""

    name: str
    agents: tuple[str, ...]
    places: tuple[str, ...]
    things: tuple[str, ...]

    @property
    def cues(self) -> tuple[str, ...]:
        """All words that tell the topic."""
        return (*self.agents, *self.places, *self.things)


@dataclass(frozen=True)
class Sense:
    """One meaning of an ambiguous word."""

    name: str
    """`mole/garden`."""
    word: str
    topic: str
    verbs: tuple[str, ...]
    """What it does; among the senses of this word these verbs are its own."""


@dataclass(frozen=True)
class Ambiguous:
    """A word with several senses."""

    word: str
    senses: tuple[Sense, ...]


@dataclass(frozen=True)
class Fact:
    """One thing that is true in this world."""

    name: str
    """`sport(Anna Bell)`."""
    relation: str
    subject: tuple[str, ...]
    """The subject's words: a town has one, a person two."""
    object: str
    withheld: int
    """The form of the relation in which `tell` never tells this fact."""


@dataclass(frozen=True)
class World:
    """A village: its words, senses, facts and grammar.

    Attributes:
        seed, sizes: what it was drawn from (`words`, `senses`, `people`, `towns`).
        topics: those that some sense belongs to.
        people: first and last name; every name is shared where there are people enough.
        features: the names of everything that can be active at a token, in a fixed order:
            `kind:`, `topic:`, `sense:`, `subject:`, `relation:` and `fact:`.
    """

    seed: int
    sizes: dict[str, int]
    grammar: Grammar
    topics: tuple[Topic, ...]
    words: tuple[Ambiguous, ...]
    people: tuple[tuple[str, str], ...]
    towns: tuple[str, ...]
    rivers: tuple[str, ...]
    facts: tuple[Fact, ...]
    features: tuple[str, ...]

    @cached_property
    def senses(self) -> tuple[Sense, ...]:
        """All senses of all words."""
        return tuple(sense for word in self.words for sense in word.senses)

    @cached_property
    def kinds(self) -> dict[str, str]:
        """Every word that sentences of this world can hold, with its kind: the vocabulary."""
        found: dict[str, str] = {}
        for word, kind in _kinds(self):
            known = found.setdefault(word, kind)
            assert known == kind, f"{word!r} is both {known} and {kind}"
        return found

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Those words, in a fixed order."""
        return tuple(self.kinds)

    @cached_property
    def objects(self) -> dict[str, tuple[str, ...]]:
        """What facts can be about, by kind of word."""
        return {
            "sport": tuple(SPORTS),
            "trade": tuple(TRADES),
            "ware": tuple(WARES),
            "town": self.towns,
            "river": self.rivers,
        }

    @cached_property
    def topic(self) -> dict[str, Topic]:
        """The topics by name."""
        return {topic.name: topic for topic in self.topics}

    def settings(self) -> dict[str, Any]:
        """What `make_world` needs to draw this world again."""
        return {"seed": self.seed, **self.sizes, "grammar": asdict(self.grammar)}


def make_world(
    seed: int = 0,
    *,
    words: int = 16,
    senses: int = 6,
    people: int = 60,
    towns: int = 16,
    grammar: Grammar | None = None,
) -> World:
    """Draw a world. The same arguments give the same world everywhere.

    Args:
        seed: Decides names and facts.
        words: Ambiguous words, at most 24; the first ones of a fixed list that begins with *mole*.
        senses: The most senses of one word.
        people: How many people. First and last names are shared, by two or three people each in
            the middle sizes, so that a name alone does not tell who is meant.
        towns: How many towns, at most 160.
        grammar: How sentences are told; the default is without noise.

    Raises:
        TextError: a size outside what the word lists allow.
    """
    sizes = {"words": words, "senses": senses, "people": people, "towns": towns}
    _check(sizes)
    # One stream each: a world with more people has the same towns.
    drawn = {
        part: random.Random(f"{part} {seed}") for part in ("names", "towns", "rivers", "facts")
    }
    ambiguous = tuple(Ambiguous(word, _senses(word, senses)) for word in list(AMBIGUOUS)[:words])
    used = {sense.topic for word in ambiguous for sense in word.senses}
    topics = tuple(
        Topic(name, *(tuple(part.split()) for part in parts))
        for name, parts in TOPICS.items()
        if name in used
    )
    names = _people(people, drawn["names"])
    town_names = tuple(_joined(TOWN_PARTS, drawn["towns"])[:towns])
    rivers = tuple(_joined(RIVER_PARTS, drawn["rivers"])[:_RIVERS])
    facts = tuple(_facts(names, town_names, rivers, drawn["facts"]))
    return World(
        seed,
        sizes,
        Grammar() if grammar is None else grammar,
        topics,
        ambiguous,
        names,
        town_names,
        rivers,
        facts,
        tuple(_features(topics, ambiguous, names, town_names, facts)),
    )


def _check(sizes: dict[str, int]) -> None:
    most_people = len(FIRST_NAMES) * len(LAST_NAME_PARTS[0]) * len(LAST_NAME_PARTS[1])
    limits = {
        "words": (1, len(AMBIGUOUS)),
        "senses": (2, 6),
        "people": (2, most_people),
        "towns": (2, len(TOWN_PARTS[0]) * len(TOWN_PARTS[1])),
    }
    for name, (least, most) in limits.items():
        if not least <= sizes[name] <= most:
            raise TextError(f"{name} is {sizes[name]}; a world can have from {least} to {most}.")


def _senses(word: str, most: int) -> tuple[Sense, ...]:
    listed = list(AMBIGUOUS[word].items())[:most]
    return tuple(
        Sense(f"{word}/{topic}", word, topic, tuple(verbs.split())) for topic, verbs in listed
    )


# --- names --------------------------------------------------------------------------------------

_Item = TypeVar("_Item")


def pick(rng: random.Random, items: Sequence[_Item]) -> _Item:
    """One of the items. By `random()` alone, whose stream Python promises never to change."""
    return items[int(rng.random() * len(items))]


def _shuffled(rng: random.Random, items: Sequence[_Item]) -> list[_Item]:
    keys = [rng.random() for _ in items]
    return [item for _, item in sorted(zip(keys, items, strict=True), key=lambda pair: pair[0])]


def _joined(parts: Sequence[Sequence[str]], rng: random.Random) -> list[str]:
    """Every beginning with every ending, in random order."""
    return _shuffled(rng, [first + last for first in parts[0] for last in parts[1]])


def _people(count: int, rng: random.Random) -> tuple[tuple[str, str], ...]:
    """Pairs of names without a repeat; a name is used again in every round."""
    n_first = min(len(FIRST_NAMES), max(1, round(count / _PEOPLE_PER_NAME)))
    rounds = -(-count // n_first)
    firsts = _shuffled(rng, FIRST_NAMES)[:n_first]
    lasts = _joined(LAST_NAME_PARTS, rng)[: max(n_first, rounds)]
    return tuple(
        (firsts[index % n_first], lasts[(index % n_first + index // n_first) % len(lasts)])
        for index in range(count)
    )


# --- facts --------------------------------------------------------------------------------------


def _facts(
    people: Sequence[tuple[str, str]],
    towns: Sequence[str],
    rivers: Sequence[str],
    rng: random.Random,
) -> Iterator[Fact]:
    objects = {"sport": SPORTS, "trade": TRADES, "ware": WARES, "town": towns, "river": rivers}
    for relation in RELATIONS:
        of_town = relation.subject == "town"
        subjects = [(town,) for town in towns] if of_town else list(people)
        given: dict[tuple[str, ...], str] = {}
        for number, subject in enumerate(subjects):
            # Who shares a name with this one has another object, as long as there are others: so
            # neither name alone tells the fact.
            taken = {
                given[other]
                for other in given
                if any(a == b for a, b in zip(other, subject, strict=True))
            }
            allowed = [thing for thing in objects[relation.object] if thing not in taken]
            given[subject] = pick(rng, allowed or objects[relation.object])
            name = f"{relation.name}({' '.join(subject)})"
            withheld = number % len(relation.forms)
            yield Fact(name, relation.name, subject, given[subject], withheld)


# --- vocabulary and features ----------------------------------------------------------------------


def _kinds(world: World) -> Iterator[tuple[str, str]]:
    yield ".", "stop"
    forms = [form for some in SENSE_FORMS.values() for form in some]
    forms += [form for relation in RELATIONS for form in relation.forms]
    plain = (slot.text for form in forms for slot in read_form(form) if slot.kind == "plain")
    yield from ((word, "plain") for word in plain if word != ".")
    lists = {"adjective": ADJECTIVES, "adverb": ADVERBS, "day": DAYS, **world.objects}
    for kind, words in lists.items():
        yield from ((word, kind) for word in words)
    for first, last in world.people:
        yield first, "first name"
        yield last, "last name"
    for topic in world.topics:
        for kind, words in zip(CUE_SLOTS, (topic.agents, topic.places, topic.things), strict=False):
            yield from ((word, kind) for word in words)
    for sense in world.senses:
        yield sense.word, "ambiguous"
        yield from ((verb, "verb") for verb in sense.verbs)


def _features(
    topics: Sequence[Topic],
    words: Sequence[Ambiguous],
    people: Sequence[tuple[str, str]],
    towns: Sequence[str],
    facts: Sequence[Fact],
) -> Iterator[str]:
    yield from (f"kind:{kind}" for kind in KINDS)
    yield from (f"topic:{topic.name}" for topic in topics)
    yield from (f"sense:{sense.name}" for word in words for sense in word.senses)
    yield from (f"subject:{' '.join(person)}" for person in people)
    yield from (f"subject:{town}" for town in towns)
    yield from (f"relation:{relation.name}" for relation in RELATIONS)
    yield from (f"fact:{fact.name}" for fact in facts)
