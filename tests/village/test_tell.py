"""Sentences and their truth, against a reader who knows only word lists and reads word by word."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from molehill.errors import TextError
from molehill.text import Tokens
from molehill.village import (
    Grammar,
    fact_prompts,
    feature_table,
    is_held_out,
    make_world,
    sense_sentences,
    tell,
    village_tokenizer,
)
from molehill.village.grammar import RELATIONS
from molehill.village.wordlist import AMBIGUOUS, TOPICS

# Which relation a word of a fact's sentence tells, written out by hand from the meaning of words.
TELLING = {
    "plays": "sport", "sport": "sport", "team": "sport",
    "works": "trade", "trade": "trade", "father": "trade",
    "lives": "home", "home": "home", "walks": "home", "house": "home",
    "lies": "river", "river": "river", "bridge": "river", "fish": "river",
    "known": "ware", "market": "ware", "sells": "ware", "carts": "ware",
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    return make_world(words=4, people=8, towns=4)


@pytest.fixture(scope="module")
def told(world):
    return tell(world, 3000)


def possible_senses(words: tuple[str, ...], word: str) -> set[str]:
    """The senses of `word` that all cues among `words` allow."""
    found = set()
    for topic, verbs in AMBIGUOUS[word].items():
        own = {cue for part in TOPICS[topic] for cue in part.split()} | set(verbs.split())
        others = {
            cue
            for name, parts in TOPICS.items()
            if name != topic
            for part in parts
            for cue in part.split()
        }
        others |= {
            v for name, some in AMBIGUOUS[word].items() if name != topic for v in some.split()
        }
        if not (others - own) & set(words):
            found.add(topic)
    return found


def test_the_cues_and_nothing_else_decide_the_sense(told):
    uses = [one for one in told if one.sense]
    assert len(uses) > 1000
    for one in uses:
        word = one.words[one.position]
        assert {f"{word}/{topic}" for topic in possible_senses(one.words, word)} == {one.sense}
        before = possible_senses(one.words[: one.position], word)
        if one.cues == "after":
            assert len(before) == len(AMBIGUOUS[word])
        else:
            assert {f"{word}/{topic}" for topic in before} == {one.sense}


def test_a_sense_is_active_exactly_where_what_was_read_decides_it(told):
    for one in (one for one in told if one.sense):
        word = one.words[one.position]
        topic = one.sense.partition("/")[2]
        for number, token in enumerate(one.tokens):
            read = one.words[: number + 1]
            decided = len(possible_senses(read, word)) == 1
            assert (f"sense:{one.sense}" in token.features) == (
                decided and number >= one.position
            ), (one.text, token)
            assert (f"topic:{topic}" in token.features) == decided
            assert token.sense == (one.sense if number == one.position else None)


def test_position_and_plain_words_do_not_give_the_sense_away(world):
    """Every sense stands equally often at every position, but for chance."""
    some = sense_sentences(world, each=200)
    for word in world.words:
        rows = {sense.name: Counter() for sense in word.senses}
        for one in some:
            if one.sense in rows:
                rows[one.sense][one.position] += 1
        for position in {p for row in rows.values() for p in row}:
            shares = [row[position] / 200 for row in rows.values()]
            # Six deviations of a share of 200.
            assert max(shares) - min(shares) < 6 * (0.25 / 200) ** 0.5


def test_facts_that_are_told_are_the_worlds(world, told):
    true = {(fact.relation, *fact.subject): fact for fact in world.facts}
    kinds = {relation.name: relation for relation in RELATIONS}
    facts = [one for one in told if one.fact]
    assert len({one.fact for one in facts}) == len(world.facts)
    for one in facts:
        (relation,) = {TELLING[word] for word in one.words if word in TELLING}
        person = tuple(t.word for t in one.tokens if t.kind in ("first name", "last name"))
        towns = [t.word for t in one.tokens if t.kind == "town"]
        subject = person or (towns[0],)
        fact = true[relation, *subject]
        assert one.fact == fact.name
        assert one.words[-2] == fact.object
        assert one.form != kinds[relation].forms[fact.withheld]


def test_a_fact_is_in_play_from_where_subject_and_relation_are_read_up_to_its_object(told):
    for one in (one for one in told if one.fact):
        relation, _, subject = one.fact[:-1].partition("(")
        for number, token in enumerate(one.tokens):
            read = one.words[: number + 1]
            asked = any(TELLING.get(word) == relation for word in read)
            named = subject in " ".join(read)
            assert (f"relation:{relation}" in token.features) == asked
            assert (f"subject:{subject}" in token.features) == named
            in_play = asked and named and number < len(one.words) - 1
            assert token.facts == ((one.fact,) if in_play else ())
            assert (f"fact:{one.fact}" in token.features) == in_play


def test_the_text_is_its_words(told):
    for one in told[:300]:
        assert [one.text[t.start : t.end] for t in one.tokens] == list(one.words)
        assert one.text == " ".join(one.words[:-1]) + "."
        assert f"kind:{one.tokens[0].kind}" == one.tokens[0].features[0]
        if one.sense:
            start, end = one.place
            assert one.text[start:end] == one.sense.partition("/")[0]
        else:
            with pytest.raises(TextError, match="no ambiguous word"):
                _ = one.place


def test_a_seed_tells_the_same_and_more_begin_with_fewer(world, told):
    assert tell(world, 3000) == told
    assert tell(world, 100) == told[:100]
    assert tell(world, 100, seed=1) != told[:100]
    with pytest.raises(TextError, match="-1 sentences"):
        tell(world, -1)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.5])
def test_as_much_is_wrong_as_was_asked_for(noise):
    world = make_world(words=4, people=8, towns=4, grammar=Grammar(noise=noise))
    right = {fact.name: fact.object for fact in world.facts}
    could = wrong = 0
    for one in tell(world, 4000):
        for token in one.tokens:
            if one.sense and token.kind in ("agent", "place", "thing", "verb"):
                topic = one.sense.partition("/")[2]
                own = {cue for part in TOPICS[topic] for cue in part.split()}
                own |= set(AMBIGUOUS[one.sense.partition("/")[0]][topic].split())
                is_wrong = token.word not in own
            elif one.fact and token is one.tokens[-2]:
                is_wrong = token.word != right[one.fact]
            else:
                assert not token.noisy
                continue
            assert token.noisy == is_wrong, (one.text, token)
            could, wrong = could + 1, wrong + is_wrong
    deviation = (noise * (1 - noise) / could) ** 0.5
    assert abs(wrong / could - noise) <= 5 * deviation


def test_shares_of_the_grammar_are_kept():
    grammar = Grammar(facts=0.2, after=0.6)
    told = tell(make_world(grammar=grammar), 5000)
    uses = [one for one in told if one.sense]
    assert abs(len(uses) / 5000 - 0.8) < 0.03
    # What is held out is drawn again in the same kind, so the share stays.
    assert abs(sum(one.cues == "after" for one in uses) / len(uses) - 0.6) < 0.04


def test_held_out_sentences_are_never_told(world, told):
    assert not any(is_held_out(one.text) for one in told if one.sense)
    held = sense_sentences(world, 10, held_out=True)
    free = sense_sentences(world, 10)
    assert all(is_held_out(one.text) for one in held)
    assert not any(is_held_out(one.text) for one in free)
    assert Counter(one.sense for one in held) == dict.fromkeys(
        (sense.name for sense in world.senses), 10
    )
    assert len({one.text for one in held}) == len(held)


def test_more_sentences_than_there_are_cannot_be_had(world):
    with pytest.raises(TextError, match="ask for fewer"):
        sense_sentences(world, 100_000, cues="after", held_out=True)


def test_prompts_are_all_facts_in_all_forms(world):
    prompts = fact_prompts(world)
    assert len(prompts) == 4 * len(world.facts)
    assert Counter(prompt.withheld for prompt in prompts)[True] == len(world.facts)
    answers = {fact.name: fact for fact in world.facts}
    for prompt in prompts:
        fact = answers[prompt.fact]
        assert prompt.answer == fact.object
        assert prompt.told.text == f"{prompt.prompt} {prompt.answer}."
        start, end = prompt.subject
        assert prompt.prompt[start:end] == " ".join(fact.subject)
    assert fact_prompts(world) == prompts


def test_one_word_is_one_token_at_its_position(world, told):
    tokenizer = village_tokenizer(world)
    tokens: Tokens = tokenizer.encode([one.text for one in told[:500]])
    for row, one in enumerate(told[:500]):
        assert tokens.spans[row] == tuple((t.start, t.end) for t in one.tokens)
        assert tokenizer.decode(tokens.row(row)) == one.text
    assert tokenizer.unk_id not in tokens.ids


def test_the_table_has_a_row_for_every_word_and_a_column_for_every_feature(world, told):
    some = told[:50]
    table = feature_table(world, some)
    active = [token.features for one in some for token in one.tokens]
    assert table.shape == (len(active), len(world.features))
    for row, names in zip(table, active, strict=True):
        assert {world.features[n] for n in torch.nonzero(row).flatten().tolist()} == set(names)
