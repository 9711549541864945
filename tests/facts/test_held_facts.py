"""Which facts a vector holds: concepts from files, and the village's own facts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import molehill
from molehill.errors import FactError
from molehill.facts.directions import direction_between, vectors_at
from molehill.facts.held_facts import Concept, held_facts, read_concepts

SPORT = Path(__file__).parents[2] / "docs/examples/facts/sport.json"


def test_a_relation_gives_a_concept_for_each_object_without_the_one_asked_about():
    concepts = {one.name: one for one in read_concepts(SPORT, without="Leo Rosner plays")}
    pairs = {one["subject"]: one["object"] for one in json.loads(SPORT.read_text())["samples"]}
    assert set(concepts) == set(pairs.values())
    for name, one in concepts.items():
        own = [f"{who} plays" for who, what in pairs.items() if what == name and who[:3] != "Leo"]
        assert set(own) <= set(one.above) and not set(one.above) & set(one.below)
        assert "Leo Rosner plays" not in (*one.above, *one.below)
        assert len(one.above) + len(one.below) == len(pairs) - 1
    other = read_concepts(SPORT, without="The sport of Leo Rosner is", start="x ")[0]
    assert other.above[0].startswith("x The sport of ")


def test_lists_of_texts_are_concepts_too(tmp_path):
    path = tmp_path / "own.json"
    path.write_text(json.dumps({"sweet": {"above": ["a", "b"], "below": ["c"]}}))
    assert read_concepts(path, start="> ") == (Concept("sweet", ("> a", "> b"), ("> c",)),)
    for wrong in ("[]", "{}", '{"x": 1}', '{"x": {"above": ["a"]}}', '{"x": {"above": [1]}}', "{"):
        path.write_text(wrong)
        with pytest.raises(FactError, match=r"expected|cannot be read"):
            read_concepts(path)


def test_the_village_s_answer_is_held_most_wherever_it_has_a_direction():
    lm = molehill.load("village")
    asked = json.loads(SPORT.read_text())["samples"][:12]
    alone, without = 0, []
    for one in asked:
        prompt = f"{one['subject']} plays"
        found = held_facts(lm, prompt, read_concepts(SPORT, without=prompt), shuffles=2, draws=50)
        if one["object"] in found.left_out:  # two people play it, and one of them is asked about
            without.append(one["object"])
            continue
        assert found.holdings.rows[0].name == one["object"]
        alone += [name for name, above in found.above.items() if above > 0] == [one["object"]]
    assert found.site == "2.resid_post" and found.at == 2 and found.texts == 59
    assert without == ["squash", "squash"] and alone >= 8


def test_products_and_thresholds_are_those_of_the_directions():
    lm = molehill.load("village")
    prompt = "Leo Rosner plays"
    concepts = [
        one for one in read_concepts(SPORT, without=prompt) if one.name in ("polo", "chess")
    ]
    lone = Concept("lone", ("Leo Rosner plays",), ("Judith Penfax plays", "Ida Morfax plays"))
    made = held_facts(lm, prompt, [*concepts, lone], site="1.resid_post", at=1, shuffles=3, seed=4)
    assert made.left_out == ("lone",) and made.at == 1 and made.pieces[1] == "·Rosner"
    (vector,) = vectors_at(lm, [prompt], "1.resid_post", [1]).double()
    texts = list(dict.fromkeys(text for one in concepts for text in (*one.above, *one.below)))
    mean = vectors_at(lm, texts, "1.resid_post").double().mean(0)
    for one in concepts:
        groups = (
            vectors_at(lm, list(side), "1.resid_post").double() for side in (one.above, one.below)
        )
        direction = direction_between(*groups, shuffles=3, seed=4)
        (row,) = [row for row in made.holdings.rows if row.name == one.name]
        assert row.product == pytest.approx(float(direction.vector @ (vector - mean)), rel=1e-6)
        assert made.above[one.name] == pytest.approx(float(direction.above(vector)), rel=1e-6)
        assert made.directions[one.name].control == direction.control


def test_what_cannot_be_held_is_refused():
    lm = molehill.load("village")
    concepts = read_concepts(SPORT)
    with pytest.raises(FactError, match="There is no position 7"):
        held_facts(lm, "Leo Rosner plays", concepts, at=7)
    with pytest.raises(FactError, match="None of 1 concepts has 2 texts"):
        held_facts(lm, "Leo Rosner plays", [Concept("x", ("a",), ("b",))])
