"""Worlds: drawn the same from the same seed, consistent, and without a way to guess."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest

from molehill.errors import MolehillError, TextError
from molehill.village import Grammar, make_world, read_world, save_world
from molehill.village.grammar import RELATIONS
from molehill.village.wordlist import AMBIGUOUS, TOPICS


@pytest.fixture(scope="module")
def world():
    return make_world()


def test_a_seed_gives_one_world_and_another_seed_another(world):
    assert make_world() == world
    other = make_world(1)
    assert other.people != world.people
    assert {fact.name: fact.object for fact in other.facts} != {
        fact.name: fact.object for fact in world.facts
    }


def test_sizes_are_what_was_asked_for():
    world = make_world(3, words=2, senses=3, people=7, towns=4)
    assert [word.word for word in world.words] == ["mole", "bank"]
    assert [len(word.senses) for word in world.words] == [3, 2]
    assert (len(world.people), len(world.towns)) == (7, 4)
    assert len(world.facts) == 3 * 7 + 2 * 4
    assert len(make_world(words=24).words) == 24


@pytest.mark.parametrize(
    "sizes", [{"words": 0}, {"words": 25}, {"senses": 1}, {"people": 1}, {"towns": 161}]
)
def test_sizes_that_the_lists_do_not_allow_are_refused(sizes):
    (name,) = sizes
    with pytest.raises(TextError, match=f"{name} is {sizes[name]}; a world can have from"):
        make_world(**sizes)


def test_shares_are_shares():
    with pytest.raises(TextError, match=r"noise is 1\.5"):
        Grammar(noise=1.5)


def test_every_subject_has_one_object_in_every_relation_that_it_can_have(world):
    counted = Counter((fact.relation, fact.subject) for fact in world.facts)
    wanted = {
        (relation.name, subject)
        for relation in RELATIONS
        for subject in (
            [(town,) for town in world.towns] if relation.subject == "town" else world.people
        )
    }
    assert counted == dict.fromkeys(wanted, 1)
    for fact in world.facts:
        kind = next(one.object for one in RELATIONS if one.name == fact.relation)
        assert world.kinds[fact.object] == kind


def test_all_names_are_shared_and_none_alone_tells_a_fact(world):
    assert len(set(world.people)) == len(world.people)
    for place in (0, 1):
        named = defaultdict(list)
        for person in world.people:
            named[person[place]].append(person)
        assert all(2 <= len(people) <= 3 for people in named.values())
        objects = defaultdict(list)
        for fact in world.facts:
            if len(fact.subject) == 2:
                objects[fact.relation, fact.subject[place]].append(fact.object)
        assert all(len(set(some)) == len(some) for some in objects.values())


def test_no_word_is_a_cue_of_two_topics_and_no_verb_of_two_senses_of_a_word():
    cues = Counter(cue for parts in TOPICS.values() for part in parts for cue in part.split())
    assert set(cues.values()) == {1}
    for senses in AMBIGUOUS.values():
        verbs = Counter(verb for some in senses.values() for verb in some.split())
        assert set(verbs.values()) == {1}
        assert set(senses) <= set(TOPICS)


def test_every_sense_can_be_told_in_equally_many_ways():
    assert {tuple(len(part.split()) for part in parts) for parts in TOPICS.values()} == {(3, 3, 4)}
    assert {len(verbs.split()) for some in AMBIGUOUS.values() for verbs in some.values()} == {3}


def test_every_word_is_of_one_kind_in_the_largest_world_too():
    world = make_world(5, words=24, people=400, towns=160)
    assert len(set(world.vocabulary)) == len(world.vocabulary) == len(world.kinds)
    assert len(set(world.features)) == len(world.features)


def test_the_larger_world_has_the_towns_of_the_smaller(world):
    assert make_world(people=200, towns=20).towns[:16] == world.towns


def test_a_world_beside_a_model_is_read_back_or_refused(tmp_path):
    world = make_world(2, words=3, people=5, towns=3, grammar=Grammar(noise=0.1))
    with pytest.raises(MolehillError, match="cannot be read"):
        read_world(tmp_path)
    save_world(world, tmp_path)
    assert read_world(tmp_path) == world
    path = tmp_path / "world.json"
    written = path.read_text()
    path.write_text(written.replace('"seed": 2', '"seed": 4'))
    with pytest.raises(MolehillError, match="train the model again"):
        read_world(tmp_path)
    for broken in ("", "[]", "{}", '{"settings": {"grammar": {}, "sides": 3}, "digest": ""}'):
        path.write_text(broken)
        with pytest.raises(MolehillError, match="does not describe a world"):
            read_world(tmp_path)
