"""Shift: distances by hand, partings by brute force, and shares that add up."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language

from molehill.errors import TextError
from molehill.journey.basis import joint_basis
from molehill.journey.paths import ledger
from molehill.journey.shift import part_at, parting_point, shift

SENTENCES = ("a b c word", "x y z word", "a b c word", "long before it word and after")


@pytest.mark.parametrize("name", BLOCKS)
def test_everything_in_a_shift_adds_up(name):
    lm = tiny_language(name)
    found = shift(lm, "word", SENTENCES)
    assert found.closing_error < 1e-11
    for sentence in found.sentences:
        assert len(sentence.steps) == len(found.points) == len(sentence.vectors)
        end = ledger(lm, sentence.read, "word", at=found.points[-1])
        unit = torch.nn.functional.normalize(end.move, dim=0)
        along = pytest.approx(float(sentence.vectors[-1] @ unit))
        assert sum(sentence.by_source.values()) == along
        assert sum(sentence.by_component.values()) == along
    for pair in found.pairs:
        for part in filter(None, (pair.parting, pair.end)):
            place = found.points.index(part.point)
            a, b = (found.sentences[number].vectors[place] for number in (pair.a, pair.b))
            assert part.distance == pytest.approx(float((a - b).norm()))
            for shares in (part.by_source, part.by_head, part.by_component):
                assert sum(shares.values()) == pytest.approx(part.distance)


def test_the_same_sentence_twice_never_parts():
    found = shift(tiny_language("gpt2"), "word", SENTENCES)
    same = next(pair for pair in found.pairs if (pair.a, pair.b) == (0, 2))
    assert same.parts_at is None and same.parting is None
    assert max(same.distances) < 1e-9


def test_distances_are_what_they_say():
    found = shift(tiny_language("llama"), "word", SENTENCES)
    pair = found.pairs[0]
    for place, distance in enumerate(pair.distances):
        a, b = (found.sentences[number].vectors[place] for number in (pair.a, pair.b))
        size = ((a @ a + b @ b) / 2).sqrt()
        assert distance == pytest.approx(float((a - b).norm() / size), abs=1e-12)
    assert pair.distances[0] == 0.0


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        ([0.0, 0.1, 0.6, 1.0], "c"),
        ([0.0, 0.6, 0.1, 1.0], "d"),
        ([0.0, 0.6, 0.7, 1.0], "b"),
        ([0.0, 0.01, 0.02, 0.04], None),
        ([0.0, 1.0, 1.0, 0.4], None),
        ([0.9, 1.0, 1.0, 1.0], "a"),
    ],
)
def test_paths_part_where_the_distance_stays_above_half_of_its_largest(distances, expected):
    assert parting_point(distances, "abcd") == expected


def test_reading_twice_follows_the_second_occurrence():
    lm = tiny_language("gpt2")
    found = shift(lm, "word", ("a word b", "a word c"), twice=True)
    assert [sentence.positions for sentence in found.sentences] == [(14,), (14,)]
    assert max(found.pairs[0].distances) > 0.05
    once = shift(lm, "word", ("a word b", "a word c"))
    assert max(once.pairs[0].distances) < 1e-9
    assert any("left to right" in note for note in once.notes)


def test_a_sentence_without_the_word_is_named():
    lm = tiny_language("gpt2")
    with pytest.raises(TextError):
        shift(lm, "word", ("a word b", "nothing here"))
    with pytest.raises(TextError):
        shift(lm, "word", ())


def test_the_basis_keeps_distances_when_it_keeps_all_axes():
    paths = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    basis = joint_basis(paths, axes=2)
    assert sum(basis.explained) == pytest.approx(1.0)
    torch.testing.assert_close(basis.coordinates @ basis.axes + basis.mean, paths)
    flat = basis.coordinates.flatten(0, 1)
    assert flat[:, 0].var() > flat[:, 1].var()
    assert float((flat[:, 0] @ flat[:, 1]).abs()) < 1e-10


def test_the_basis_of_one_point_is_empty():
    basis = joint_basis(torch.ones(1, 1, 5))
    assert basis.explained == (0.0, 0.0, 0.0)
    assert float(basis.coordinates.abs().max()) == 0.0


def test_a_word_at_another_position_has_not_parted_for_that():
    """Learned positions alone set vectors apart; that is told apart from what context did."""
    found = shift(tiny_language("gpt2"), "word", ("a word", "abc word"))
    pair = found.pairs[0]
    assert pair.without_position is not None
    assert pair.distances[1] > 0.1 and pair.without_position[1] < 1e-12
    assert pair.parts_at not in ("embed", "0.resid_pre")
    assert shift(tiny_language("llama"), "word", SENTENCES[:2]).pairs[0].without_position is None


def test_two_sentences_are_parted_at_any_point_as_in_a_shift():
    lm = tiny_language("llama")
    found = shift(lm, "word", SENTENCES)
    pair = found.pairs[0]
    at = pair.parts_at
    assert at is not None and pair.parting is not None
    own = part_at(lm, "word", (SENTENCES[0], SENTENCES[1]), at)
    assert own.parting.distance == pytest.approx(pair.parting.distance)
    assert own.parting.by_component == pytest.approx(pair.parting.by_component)
    assert [side.positions for side in own.sides] == [one.positions for one in found.sentences[:2]]
    start = part_at(lm, "word", (SENTENCES[0], SENTENCES[1]), "0.resid_mid")
    assert sum(start.parting.by_source.values()) == pytest.approx(start.parting.distance)


def test_what_parted_two_sentences_is_taken_over_and_the_same():
    lm = tiny_language("gpt2")
    first = shift(lm, "word", SENTENCES)
    changed = (SENTENCES[0], "x b z word", *SENTENCES[2:])
    anew, renewed = shift(lm, "word", changed), shift(lm, "word", changed, before=first)
    old = {id(pair.parting) for pair in first.pairs if pair.parting}
    taken = [pair for pair in renewed.pairs if id(pair.parting) in old]
    assert taken and all(1 not in (pair.a, pair.b) for pair in taken)
    movers = {id(one.movers) for one in first.sentences}
    kept = [id(one.movers) in movers for one in renewed.sentences]
    assert kept == [True, False, True, True]
    for one, other in zip(renewed.sentences, anew.sentences, strict=True):
        for step, fresh in zip(one.steps, other.steps, strict=True):
            # What sets a sentence apart depends on the others too.
            assert [each.piece for each in step.own.near] == [each.piece for each in fresh.own.near]
            assert step.norm == pytest.approx(fresh.norm)
    for pair, other in zip(renewed.pairs, anew.pairs, strict=True):
        assert (pair.a, pair.b, pair.parts_at) == (other.a, other.b, other.parts_at)
        if pair.parting and other.parting:
            assert pair.parting.by_component == pytest.approx(other.parting.by_component)
            assert pair.parting.distance == pytest.approx(other.parting.distance)


def test_another_words_or_settings_shift_is_no_help():
    lm = tiny_language("gpt2")
    few = shift(lm, "word", SENTENCES, rows=2)
    twice = shift(lm, "word", SENTENCES[:3], twice=True)
    old = {id(pair.parting) for each in (few, twice) for pair in each.pairs if pair.parting}
    for before in (few, twice):
        renewed = shift(lm, "word", SENTENCES, before=before)
        assert not [pair for pair in renewed.pairs if pair.parting and id(pair.parting) in old]
