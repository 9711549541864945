"""Sense scores against brute force, their controls, and partings that add up."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.errors import SenseError, TextError
from molehill.journey.coarsewsd import SenseWord, Use, read_sense_word
from molehill.journey.gather import gather
from molehill.journey.paths import journeys
from molehill.journey.sense_parting import part_senses
from molehill.journey.senses import draw_uses, score_senses

CUES = (("dig", "fur"), ("spy", "lie"))


def _use(sense: int, number: int) -> Use:
    filler = "xyzwvu"[number % 6] * (1 + number % 3)
    sentence = f"{CUES[sense][number % 2]} {filler} mole {filler}"
    start = sentence.index("mole")
    return Use(sentence, 2, start, start + 4, sense)


def _word(train: int = 12, test: int = 6) -> SenseWord:
    def some(count):
        return tuple(_use(sense, n) for sense in (0, 1) for n in range(count))

    return SenseWord("mole", ("animal", "spy"), some(train), some(test))


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_gathered_vectors_are_those_of_one_sentence_at_a_time(name):
    lm = tiny_language(name)
    uses = _word().train
    found = gather(
        lm, [u.sentence for u in uses], [(u.start, u.end) for u in uses], tokens_per_batch=50
    )
    for row in (0, 5, 17):
        tokens = lm.encode([uses[row].sentence])
        journey = journeys(lm, tokens, tokens.find("mole"))[0]
        expected = torch.stack([journey.vector(point) for point in found.points])
        torch.testing.assert_close(found.vectors[row], expected.float())


def test_read_twice_is_the_second_occurrence_of_the_doubled_text():
    lm = tiny_language("gpt2")
    use = _word().train[3]
    twice = gather(lm, [use.sentence], [(use.start, use.end)], twice=True, separator="\n")
    tokens = lm.encode([f"{use.sentence}\n{use.sentence}"])
    journey = journeys(lm, tokens, tokens.find("mole")[-1:])[0]
    torch.testing.assert_close(twice.at("2.resid_post")[0], journey.vector("2.resid_post").float())


def test_the_plain_reading_is_nearest_centroid_by_hand():
    lm = tiny_language("llama")
    word = _word()
    scores = score_senses(lm, word, draws=2)
    found = gather(
        lm,
        [u.sentence for u in (*word.train, *word.test)],
        [(u.start, u.end) for u in (*word.train, *word.test)],
    )
    for place, point in enumerate(found.points):
        learn, test = found.vectors[:24, place], found.vectors[24:, place]
        mean = learn.mean(0)
        centres = [learn[:12].mean(0) - mean, learn[12:].mean(0) - mean]
        right = 0
        for row, use in zip(test - mean, word.test, strict=True):
            cosines = [float(row @ c / (row.norm() * c.norm()).clamp(min=1e-12)) for c in centres]
            right += cosines.index(max(cosines)) == use.label
        layer = scores.layers[place]
        assert layer.point == point
        if place:
            assert layer.test.accuracy == pytest.approx(right / 12)
    assert scores.uses == {"animal": (12, 6), "spy": (12, 6)}
    assert scores.most_frequent == pytest.approx((2 * 6 / 18) / 2)
    assert len(scores.shuffled) == 2


def test_the_embedding_tells_nothing_and_the_layers_tell_the_senses():
    scores = score_senses(tiny_language("llama"), _word(train=24, test=12))
    assert scores.layers[0].test.accuracy == pytest.approx(0.5, abs=0.2)
    assert scores.combined.accuracy > 0.9
    assert scores.plain.point != "embed"


def test_test_labels_do_not_reach_the_choice_of_layer():
    lm = tiny_language("llama")
    word = _word()
    turned = SenseWord(
        word.word,
        word.senses,
        word.train,
        tuple(Use(u.sentence, u.index, u.start, u.end, 1 - u.label) for u in word.test),
    )
    first, second = score_senses(lm, word), score_senses(lm, turned)
    assert first.chosen == second.chosen
    assert first.combined.accuracy == pytest.approx(1 - second.combined.accuracy)


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_what_parts_two_senses_adds_up_to_the_distance_of_their_means(name):
    lm = tiny_language(name)
    word = _word()
    told = part_senses(lm, word, 0, 1, at="2.resid_post", most=9, batch=4)
    assert told.closing_error < 1e-10
    for shares in (told.by_component, told.by_head, told.by_source):
        assert sum(shares.values()) == pytest.approx(told.distance)
    found = gather(lm, [u.sentence for u in word.train], [(u.start, u.end) for u in word.train]).at(
        "2.resid_post"
    )
    means = found[:9].mean(0), found[12:21].mean(0)
    assert told.distance == pytest.approx(float((means[0] - means[1]).norm()), rel=1e-4)


def test_uses_are_drawn_sense_by_sense_and_a_smaller_draw_is_part_of_a_larger():
    uses = _word(train=12).train
    few, more = draw_uses(uses, 3, seed=1), draw_uses(uses, 7, seed=1)
    assert [use.label for use in few] == [0] * 3 + [1] * 3
    assert [use.label for use in more] == [0] * 7 + [1] * 7
    assert draw_uses(uses, 100) == draw_uses(uses, None) == uses
    assert all(any(use is other for other in more) for use in few)
    assert few != draw_uses(uses, 3, seed=2)


def test_senses_part_where_the_means_of_their_uses_do():
    lm = tiny_language("llama")
    word = _word()
    told = part_senses(lm, word, 0, 1, at="2.resid_post", twice=True, most=12)
    texts = [f"{u.sentence} {u.sentence}" for u in word.train]
    tokens = lm.encode(texts)
    words = [tokens.find("mole")[2 * row + 1] for row in range(len(texts))]
    followed = journeys(lm, tokens, words)
    for point, distance in told.distances.items():
        stood = torch.stack([journey.vector(point) for journey in followed])
        a, b = stood[:12].mean(0), stood[12:].mean(0)
        length = ((a.square().sum() + b.square().sum()) / 2).sqrt()
        assert distance == pytest.approx(float((a - b).norm() / length), abs=1e-9)
    largest = max(told.distances.values())
    points = list(told.distances)
    after = points[points.index(told.parts_at) :]
    assert told.distances["embed"] == pytest.approx(0.0, abs=1e-9)
    assert all(told.distances[point] >= largest / 2 for point in after)
    assert told.distances[points[points.index(told.parts_at) - 1]] < largest / 2


def test_what_cannot_be_scored_is_named():
    lm = tiny_language("llama")
    word = _word()
    only_one = SenseWord(word.word, word.senses, word.train[:12], word.test)
    with pytest.raises(SenseError, match="no training use of spy"):
        score_senses(lm, only_one)
    with pytest.raises(SenseError, match="at least one training use"):
        part_senses(lm, only_one, 0, 1, at="0.resid_post")
    for a, b in ((0, 0), (0, 2), (-1, 1)):
        with pytest.raises(SenseError, match=r"not two of its senses \(0 animal, 1 spy\)"):
            part_senses(lm, word, a, b, at="0.resid_post")
    with pytest.raises(SenseError, match=r"'9\.resid_post' is no point"):
        part_senses(lm, word, 0, 1, at="9.resid_post")
    with pytest.raises(TextError, match="one place for each"):
        gather(lm, ["a mole"], [])
    with pytest.raises(TextError, match="hold no token"):
        gather(lm, ["a mole"], [(40, 44)])


def test_mole_of_coarsewsd_has_five_senses_and_reads_as_its_files_say(coarsewsd):
    word = read_sense_word(coarsewsd / "mole")
    assert len(word.senses) == 5
    assert all(use.surface.startswith("mole") for use in (*word.train, *word.test))
