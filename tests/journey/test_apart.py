"""What sets one journey apart, and which tokens its heads brought in, by brute force."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language

from molehill.journey.lens import set_apart
from molehill.journey.shift import shift

SENTENCES = ("a b c word", "x y z word", "long before it word and after")


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_the_word_that_was_added_to_one_path_sets_it_apart(name):
    lm = tiny_language(name)
    model = lm.model
    table = model.unembedding if model.config.has_head else model.w_token
    wanted = [7, 20, 41]
    paths = torch.stack([table[token] - table.mean(0) for token in wanted])[:, None] * 1e3
    found = set_apart(lm, paths, k=1, finished=[True])
    assert [reading[0].near[0].token for reading in found] == wanted


def test_scores_count_standard_deviations_over_the_vocabulary():
    lm = tiny_language("notes")  # block_end: no last norm between the vectors and the head
    model = lm.model
    paths = torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found = set_apart(lm, paths, k=60)
    own = paths[0, 0] - paths[:, 0].mean(0)
    table = model.unembedding - model.unembedding.mean(0)
    cosines = torch.stack([torch.dot(own, row) / own.norm() / row.norm() for row in table])
    scores = (cosines - cosines.mean()) / cosines.std()
    for near in found[0][0].near:
        assert near.score == pytest.approx(float(scores[near.token]), abs=1e-5)


def test_one_path_alone_is_set_apart_by_nothing():
    lm = tiny_language("gpt2")
    found = shift(lm, "word", SENTENCES[:1])
    assert all(step.own.near == () for step in found.sentences[0].steps)


@pytest.mark.parametrize("name", BLOCKS)
def test_every_token_s_share_is_the_sum_over_its_heads(name):
    found = shift(tiny_language(name), "word", SENTENCES)
    for sentence in found.sentences:
        labels = {f"{source.piece!r} ({source.position})": source for source in sentence.sources}
        for label, source in labels.items():
            assert source.share == pytest.approx(sentence.by_source[label])
    for pair in found.pairs:
        for part in filter(None, (pair.parting, pair.end)):
            total = sum(source.share for source in part.sources)
            rest = [share for label, share in part.by_source.items() if "'" not in label]
            assert total + sum(rest) == pytest.approx(part.distance)
            for source in part.sources:
                text = found.sentences[pair.b if source.side else pair.a].pieces
                assert text[source.position] == source.piece


def test_the_word_s_place_in_the_text_is_kept():
    found = shift(tiny_language("gpt2"), "word", ("a word b", "word word c"))
    for sentence in found.sentences:
        start, end = sentence.span
        assert sentence.read[start:end] == "word"
    assert found.sentences[1].span == (5, 9)


def test_a_token_s_place_in_the_text_is_kept():
    found = shift(tiny_language("gpt2"), "word", ("a word b",)).sentences[0]
    assert [found.read[start:end] for start, end in found.spans] == list("a word b")
