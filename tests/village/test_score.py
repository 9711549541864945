"""Scores against models whose knowledge is known: one that looks facts up, one that knows
nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from molehill.errors import TextError
from molehill.model import ModelConfig, Output, Transformer
from molehill.village import (
    fact_prompts,
    make_world,
    score_facts,
    score_senses,
    sense_sentences,
    village_tokenizer,
)

CONFIG = ModelConfig(
    n_layers=2,
    d_model=16,
    n_heads=2,
    d_head=8,
    d_mlp=32,
    d_vocab=1,
    n_ctx=32,
    norm_place="block_end",
    final_norm=False,
)


@pytest.fixture(scope="module")
def world():
    return make_world(words=3, people=5, towns=3)


@pytest.fixture(scope="module")
def tokenizer(world):
    return village_tokenizer(world)


class Oracle(Transformer):
    """Answers from a table: the ids of a prompt -> the id of the answer."""

    table: dict[tuple[int, ...], int]
    senses: dict[tuple[int, ...], int]

    def forward(self, ids, *, mask=None, watch=None, logits="all", **others):
        """Streams are one-hot in the sense at layer 1, and zero before."""
        out = torch.zeros(len(ids), 1, self.config.d_vocab)
        stream = torch.zeros(*ids.shape, self.config.d_model)
        for row, (numbers, real) in enumerate(zip(ids, mask, strict=True)):
            text = tuple(numbers[real].tolist())
            if text in self.table:
                out[row, 0, self.table[text]] = 1.0
            if text in self.senses:
                stream[row, :, self.senses[text]] = 1.0
        if watch is not None:
            for site in ("0.resid_pre", "0.resid_post"):
                watch(site, torch.zeros_like(stream))
            watch("1.resid_post", stream)
        return Output(resid=stream, final=None, logits=out)


def oracle(world, tokenizer) -> Oracle:
    model = Oracle(replace(CONFIG, d_vocab=tokenizer.d_vocab))
    model.table = {
        tuple(tokenizer.ids([one.prompt])[0]): tokenizer.ids([one.answer])[0][0]
        for one in fact_prompts(world)
    }
    numbers = {sense.name: number for number, sense in enumerate(world.senses)}
    model.senses = {
        tuple(tokenizer.ids([one.text])[0]): numbers[one.sense]
        for held_out, each in ((False, 10), (True, 4))
        for one in sense_sentences(world, each, 0, held_out=held_out)
    }
    return model


def test_who_knows_everything_scores_one(world, tokenizer):
    score = score_facts(world, oracle(world, tokenizer), tokenizer)
    assert (score.told, score.withheld, score.wrong) == (1.0, 1.0, ())
    assert set(score.by_relation.values()) == {1.0}


def test_what_is_not_known_is_counted_where_it_belongs(world, tokenizer):
    model = oracle(world, tokenizer)
    fact = world.facts[0]
    withheld = [one for one in fact_prompts(world) if one.fact == fact.name and one.withheld]
    for one in withheld:
        del model.table[tuple(tokenizer.ids([one.prompt])[0])]
    score = score_facts(world, model, tokenizer)
    count = len(world.facts)
    assert score.told == 1.0
    assert score.withheld == pytest.approx((count - 1) / count)
    assert score.wrong == ((withheld[0].prompt, "<|endoftext|>"),)
    assert score.by_relation[fact.relation] == pytest.approx(1 - 1 / (4 * 5))


def test_senses_are_separated_where_vectors_are_and_by_chance_before(world, tokenizer):
    score = score_senses(world, oracle(world, tokenizer), tokenizer, each=10, test=4)
    chance = sum(1 / len(word.senses) for word in world.words) / len(world.words)
    assert score.chance == pytest.approx(chance)
    assert score.uses == 4 * len(world.senses)
    assert [point.point for point in score.points] == [
        "0.resid_pre",
        "0.resid_post",
        "1.resid_post",
    ]
    assert score.first.accuracy == pytest.approx(chance)
    assert score.last.by_word == {word.word: 1.0 for word in world.words}


def test_a_wrong_sense_costs_as_much_as_it_should(world, tokenizer):
    model = oracle(world, tokenizer)
    held = sense_sentences(world, 4, 0, held_out=True)
    bank = [one for one in held if one.sense.startswith("bank/")]
    other = {
        model.senses[tuple(tokenizer.ids([one.text])[0])] for one in bank if one.sense[-3:] == "sea"
    }
    for one in bank[:2]:  # two of eight uses of bank, told as the other sense
        model.senses[tuple(tokenizer.ids([one.text])[0])] = other.copy().pop()
    score = score_senses(world, model, tokenizer, each=10, test=4)
    assert score.last.by_word["bank"] == pytest.approx(6 / 8)
    assert score.last.accuracy == pytest.approx((2 + 6 / 8) / 3)


def test_another_worlds_tokenizer_is_refused(world, tokenizer):
    model = Transformer(replace(CONFIG, d_vocab=tokenizer.d_vocab)).initialise()
    with pytest.raises(TextError, match="no single token for"):
        score_facts(make_world(words=3, people=40, towns=3), model, tokenizer)
