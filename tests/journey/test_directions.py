"""Directions: how they are written, and a word's against the model's own scores."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import tiny, tiny_language

from molehill.errors import ConfigError, SiteError
from molehill.journey.directions import (
    Direction,
    read_direction,
    sentence_vectors,
    vector_of,
    word_vector,
)
from molehill.journey.paths import follow


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("spy", Direction("spy", "word", ("spy",))),
        (" animal - spy ", Direction("animal − spy", "word", ("animal",), ("spy",))),
        ("well-known - spy", Direction("well-known − spy", "word", ("well-known",), ("spy",))),
        ('"7" - “8”', Direction("7 − 8", "word", ("7",), ("8",))),
        ("1 - 2", Direction("1 − 2", "sentence", ("1",), ("2",))),
        ("1, 3 − 2", Direction("1+3 − 2", "sentence", ("1", "3"), ("2",))),
        ("2 - 1+3", Direction("2 − 1+3", "sentence", ("2",), ("1", "3"))),
        ("feature:a/b/017", Direction("feature:a/b/017", "feature", ("a/b", "17"))),
    ],
)
def test_directions_are_read_as_they_are_written(text, expected):
    assert read_direction(text) == expected


@pytest.mark.parametrize("text", ["", "a - b - c", "feature:x", "1 - spy", "spy - 1,2"])
def test_what_is_no_direction_says_how_to_write_one(text):
    with pytest.raises(ConfigError, match="write a word"):
        read_direction(text)


@pytest.mark.parametrize("name", ["notes", "gpt2", "llama", "neox", "opt_post"])
def test_a_words_direction_is_its_score_but_for_the_divisor_and_a_constant(name):
    model = tiny(name)
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(2, 32, generator=generator, dtype=torch.float64)
    norm = model.final_norm
    if norm is None:
        final, divisor = x, torch.ones(2, 1, dtype=torch.float64)
    else:
        final = norm(x, None, "")
        centred = x if norm.rms else x - x.mean(-1, keepdim=True)
        divisor = (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()
    bias = torch.zeros(32, dtype=torch.float64) if norm is None or norm.rms else norm.bias
    scores = model.unembed(final)[:, 7] - model.unembed(bias[None])[0, 7]
    assert torch.allclose(scores, (x / divisor) @ word_vector(model, 7), atol=1e-12)
    done = model.unembed(final)[:, 7] - model.unembed(torch.zeros_like(final))[:, 7]
    assert torch.allclose(done, final @ word_vector(model, 7, finished=True), atol=1e-12)


def test_sentences_stand_for_the_mean_of_their_vectors():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]], dtype=torch.float64)
    lm = tiny_language("llama")
    found = vector_of(lm, read_direction("1+3 - 2"), sentences=rows)
    assert found.tolist() == [2.0, 1.0]
    with pytest.raises(ConfigError, match="names sentence 4; there are 1 to 3"):
        vector_of(lm, read_direction("4"), sentences=rows)
    with pytest.raises(ConfigError, match="no features are here"):
        vector_of(lm, read_direction("feature:a/1"))


def test_a_words_vectors_are_those_of_its_journeys():
    lm = tiny_language("gpt2")
    found = sentence_vectors(lm, "word", ["a word word", "of word"], "1.resid_mid")
    for own, text in zip(found, ["a word word", "of word"], strict=True):
        # Read side by side or alone: the same up to rounding.
        alone = follow(lm, text, "word").vector("1.resid_mid")
        assert torch.allclose(own, alone, rtol=1e-9, atol=1e-9)


def test_a_head_that_is_not_linear_has_no_such_direction():
    model = tiny("llama")
    model.w_head = torch.nn.Parameter(torch.eye(32, dtype=torch.float64))
    with pytest.raises(SiteError, match="not linear"):
        word_vector(model, 1)
