"""Sentences of the village: drawn at random, or all that a question needs.

    tell             n sentences as the village tells them: facts and ambiguous words, with noise
    sense_sentences  every sense equally often, without noise
    fact_prompts     every fact in every form, cut before its object

Some sentences with ambiguous words are held out: which ones, is decided by a hash of their text, so
no seed ever tells them. Of the forms of each fact one is withheld. This module knows nothing of
tokens or models.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache

from molehill.errors import TextError
from molehill.village.grammar import CUE_SLOTS, RELATIONS, SENSE_FORMS, read_form
from molehill.village.truth import Cues, FactPrompt, TokenTruth, Told
from molehill.village.wordlist import ADJECTIVES, ADVERBS, DAYS
from molehill.village.world import Fact, Sense, Topic, World, pick

__all__ = ["fact_prompts", "is_held_out", "sense_sentences", "tell"]

_HELD_OUT_OF = 8
"""One sentence in so many is held out."""
_PATIENCE = 200
"""How often in a row a sentence may come up that is known already."""

_FREE = {"adjective": ADJECTIVES, "adverb": ADVERBS, "day": DAYS}
_RELATIONS = {relation.name: relation for relation in RELATIONS}


def tell(world: World, n: int, seed: int = 0) -> tuple[Told, ...]:
    """`n` sentences as the village tells them, by the shares of `world.grammar`.

    The same world, number and seed give the same sentences; more sentences begin with the same
    ones. What is held out or withheld is never told.

    Raises:
        TextError: `n` is negative.
    """
    if n < 0:
        raise TextError(f"{n} sentences cannot be told; give a number from 0.")
    rng = random.Random(f"tell {world.seed} {seed}")
    return tuple(_any(world, rng) for _ in range(n))


def sense_sentences(
    world: World, each: int = 20, seed: int = 0, *, cues: Cues = "before", held_out: bool = False
) -> tuple[Told, ...]:
    """`each` different sentences for every sense of every word, without noise.

    Args:
        each: How many for every sense.
        seed: Other sentences for another seed.
        cues: Whether a cue comes `before` the word, or all of them `after` it, where a reader from
            left to right cannot know the sense at the word.
        held_out: Sentences that are never told, or only such as may be.

    Raises:
        TextError: there are not so many different sentences.
    """
    rng = random.Random(f"senses {world.seed} {seed} {cues} {held_out}")
    told = []
    for sense in world.senses:
        found: dict[str, Told] = {}
        misses = 0
        while len(found) < each:
            one = _of_sense(world, sense, cues, rng, noise=0.0)
            misses += 1
            if is_held_out(one.text) == held_out and one.text not in found:
                found[one.text], misses = one, 0
            if misses > _PATIENCE * _HELD_OUT_OF:
                raise TextError(
                    f"{sense.name} can be told in about {len(found)} sentences of this kind, and "
                    f"{each} were asked for: ask for fewer."
                )
        told += found.values()
    return tuple(told)


def fact_prompts(world: World) -> tuple[FactPrompt, ...]:
    """Every fact in every form of its relation, cut before its object."""
    return tuple(
        _prompt(world, fact, number)
        for fact in world.facts
        for number in range(len(_RELATIONS[fact.relation].forms))
    )


def is_held_out(text: str) -> bool:
    """Whether `tell` never tells this sentence, if it has an ambiguous word."""
    return hashlib.blake2b(text.encode(), digest_size=1).digest()[0] % _HELD_OUT_OF == 0


# --- one sentence -------------------------------------------------------------------------------


def _any(world: World, rng: random.Random) -> Told:
    grammar = world.grammar
    if rng.random() < grammar.facts:
        fact = pick(rng, world.facts)
        forms = range(len(_RELATIONS[fact.relation].forms))
        form = pick(rng, [number for number in forms if number != fact.withheld])
        return _of_fact(world, fact, form, rng, noise=grammar.noise)
    cues: Cues = "after" if rng.random() < grammar.after else "before"
    # By word first: a word with six senses is not told more often than one with two.
    sense = pick(rng, pick(rng, world.words).senses)
    while is_held_out((told := _of_sense(world, sense, cues, rng, noise=grammar.noise)).text):
        pass
    return told


def _of_sense(world: World, sense: Sense, cues: Cues, rng: random.Random, *, noise: float) -> Told:
    form = pick(rng, SENSE_FORMS[cues])
    topic = world.topic[sense.topic]
    right = {
        "agent": topic.agents,
        "place": topic.places,
        "thing": topic.things,
        "verb": sense.verbs,
    }
    fill: dict[str, Sequence[str]] = {"word": (sense.word,)}
    noisy = set()
    for slot in read_form(form):
        if slot.kind in right:
            wrong = noise > 0 and rng.random() < noise
            choices = _wrong_cues(world, sense, slot.kind) if wrong else right[slot.kind]
            fill[slot.kind] = (pick(rng, choices),)
            noisy |= {slot.kind} if wrong else set()
        elif slot.kind == "person":
            fill["person"] = pick(rng, world.people)
        elif slot.kind in _FREE:
            fill[slot.kind] = (pick(rng, _FREE[slot.kind]),)
    return _built(world, form, fill, noisy, sense=sense, cues=cues)


def _of_fact(world: World, fact: Fact, number: int, rng: random.Random, *, noise: float) -> Told:
    relation = _RELATIONS[fact.relation]
    wrong = noise > 0 and rng.random() < noise
    others = [thing for thing in world.objects[relation.object] if thing != fact.object]
    said = pick(rng, others) if wrong else fact.object
    fill = {"s": fact.subject, "o": (said,), "day": (pick(rng, DAYS),)}
    return _built(world, relation.forms[number], fill, {"o"} if wrong else set(), fact=fact)


def _prompt(world: World, fact: Fact, number: int) -> FactPrompt:
    # The day is the same in every process, and need not be the same for every fact.
    told = _of_fact(world, fact, number, random.Random(f"{fact.name} {number}"), noise=0.0)
    end = next(token.start for token in told.tokens if token.word == fact.object)
    subject = " ".join(fact.subject)
    start = told.text.index(subject)
    return FactPrompt(
        fact.name,
        fact.relation,
        told.form,
        number == fact.withheld,
        told.text[:end].rstrip(),
        fact.object,
        (start, start + len(subject)),
        told,
    )


@lru_cache(maxsize=256)
def _wrong_of(topics: tuple[Topic, ...], topic: str, slot: int) -> tuple[str, ...]:
    return tuple(
        word
        for other in topics
        if other.name != topic
        for word in (other.agents, other.places, other.things)[slot]
    )


def _wrong_cues(world: World, sense: Sense, kind: str) -> tuple[str, ...]:
    """Cues of other topics; verbs of the word's other senses."""
    if kind == "verb":
        own = next(word for word in world.words if word.word == sense.word)
        return tuple(verb for other in own.senses if other is not sense for verb in other.verbs)
    return _wrong_of(world.topics, sense.topic, CUE_SLOTS.index(kind))


# --- its truth ----------------------------------------------------------------------------------


def _built(
    world: World,
    form: str,
    fill: Mapping[str, Sequence[str]],
    noisy: Container[str],
    *,
    sense: Sense | None = None,
    cues: Cues | None = None,
    fact: Fact | None = None,
) -> Told:
    """The sentence of a filled form, with the truth of each word worked out from left to right."""
    text = ""
    tokens: list[TokenTruth] = []
    position: int | None = None
    known: list[str] = []  # what stays active until the sentence ends
    cue_read = subject_read = relation_read = object_read = False
    for slot in read_form(form):
        words = (slot.text,) if slot.kind == "plain" else fill[slot.kind]
        wrong = slot.kind in noisy
        for number, word in enumerate(words):
            if slot.tells and fact is not None and not relation_read:
                relation_read = True
                known.append(f"relation:{fact.relation}")
            if slot.kind in ("s", "person") and number == len(words) - 1:
                subject_read = True
                known.append(f"subject:{' '.join(words)}")
            if slot.kind in CUE_SLOTS and sense is not None and not wrong and not cue_read:
                cue_read = True
                known.append(f"topic:{sense.topic}")
            if slot.kind == "word":
                position = len(tokens)
            named = None if sense is None else f"sense:{sense.name}"
            if named and cue_read and position is not None and named not in known:
                known.append(named)
            in_play = fact is not None and subject_read and relation_read and not object_read
            facts = (fact.name,) if fact is not None and in_play else ()
            kind = world.kinds[word]
            features = (f"kind:{kind}", *known, *(f"fact:{name}" for name in facts))
            text += word if kind == "stop" or not text else f" {word}"
            meant = sense.name if sense is not None and slot.kind == "word" else None
            tokens.append(
                TokenTruth(
                    word, len(text) - len(word), len(text), kind, meant, facts, features, wrong
                )
            )
            object_read = object_read or slot.kind == "o"
    return Told(
        text,
        tuple(tokens),
        form,
        None if sense is None else sense.name,
        cues,
        position,
        None if fact is None else fact.name,
    )
