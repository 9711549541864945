"""A direction by its name, as a person writes it: `animal - spy`, `1 - 2`, `feature:lexicon-4/17`.

A word stands for its unembedding: the way in which the stream must go for its score to rise. A
number stands for a sentence, several (`1+3`) for the mean of several: the way from the vectors of
one sense to those of another. A feature stands for what it adds. Axes of a picture and moves by
hand are both made of such directions. This module draws nothing and loads no features: whoever
calls hands their vectors in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from molehill.errors import ConfigError, SiteError
from molehill.journey.paths import journeys, uses_by_text
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer

__all__ = [
    "Direction",
    "FeatureVector",
    "Kind",
    "read_direction",
    "sentence_vectors",
    "vector_of",
    "word_vector",
]

Kind = Literal["word", "sentence", "feature"]
FeatureVector = Callable[[str, int], Tensor]
"""The vector that a feature adds [d_model], by the name of its features and its number."""

_FORMS = (
    "write a word (`spy`), two words (`animal - spy`), two sentences or groups of sentences by "
    "their numbers (`1 - 2`, `1+3 - 2`), or a feature (`feature:lexicon-4/17`)"
)
_FEATURE = re.compile(r"feature:(?P<features>.+)/(?P<number>\d{1,9})")
_NUMBERS = re.compile(r"\d{1,4}(\s*[+,]\s*\d{1,4})*")


@dataclass(frozen=True)
class Direction:
    """A direction that was named, not yet worked out.

    Attributes:
        name: in one spelling, for people.
        kind: what it is made of.
        plus, minus: words; or sentences' numbers from 1; or the features' name and the feature's
            number (in `plus`). What is in `minus` is taken off.
    """

    name: str
    kind: Kind
    plus: tuple[str, ...]
    minus: tuple[str, ...] = ()


def read_direction(text: str) -> Direction:
    """A direction as it is written; a word that is a number stands in quotation marks.

    Raises:
        ConfigError: another form.
    """
    told = text.strip()
    if found := _FEATURE.fullmatch(told):
        return Direction(told, "feature", (found["features"], str(int(found["number"]))))
    sides = [side.strip() for side in re.split(r"\s+[-−]\s+", told)]
    if not all(sides) or len(sides) > 2 or told.startswith("feature:"):
        raise ConfigError(f"{text!r} names no direction: {_FORMS}.")
    numbered = [bool(_NUMBERS.fullmatch(side)) for side in sides]
    if all(numbered):
        plus, *minus = [tuple(re.split(r"\s*[+,]\s*", side)) for side in sides]
        name = " − ".join("+".join(side) for side in (plus, *minus))
        return Direction(name, "sentence", plus, minus[0] if minus else ())
    if any(numbered):
        raise ConfigError(
            f"{text!r} takes a sentence and a word from one another: {_FORMS}; a word that is a "
            'number stands in quotation marks, as "7".'
        )
    words = [re.sub(r'^(["“])(.+)(["”])$', r"\2", side) for side in sides]
    return Direction(" − ".join(words), "word", (words[0],), tuple(words[1:]))


def vector_of(
    lm: LanguageModel,
    direction: Direction,
    *,
    sentences: Float[Tensor, "sentence d_model"] | None = None,
    feature: FeatureVector | None = None,
    finished: bool = False,
) -> Float64[Tensor, " d_model"]:
    """A direction as a vector, of its own length.

    Args:
        sentences: the vectors that numbers stand for.
        feature: where features come from.
        finished: whether the vectors that it is for have passed the last norm.

    Raises:
        TextError: a word that is several tokens.
        ConfigError: a sentence that is not there, features where none can be had, a feature that
            they do not have, a model without a head.
        SiteError: a model whose head is not linear.
    """
    if direction.kind == "feature":
        if feature is None:
            raise ConfigError(f"{direction.name!r} names a feature, and no features are here.")
        name, number = direction.plus
        return feature(name, int(number)).double()
    if direction.kind == "sentence":
        plus, minus = (_mean(sentences, side) for side in (direction.plus, direction.minus))
    else:
        plus, minus = (_words(lm, side, finished) for side in (direction.plus, direction.minus))
    assert plus is not None, "a direction has a first side"
    return plus if minus is None else plus - minus


def word_vector(
    model: Transformer, token: int, *, finished: bool = False
) -> Float64[Tensor, " d_model"]:
    """Where a vector must go for a word's score to rise: its row of the unembedding, and before the
    last norm that row times the norm's gain, centred where the norm centres.

    With the norm's divisor held fast, the score of a vector is its dot product with this, divided
    by the divisor, and a constant.

    Raises:
        ConfigError: the model has no head.
        SiteError: its head is not linear.
    """
    if model.w_head is not None:
        raise SiteError(
            "This model's head is not linear (dense, GELU, norm): no direction raises a word's "
            "score by itself."
        )
    row = model.unembedding[token].detach().double()
    if model.w_embed_out is not None:
        row = row @ model.w_embed_out.detach().double()
    norm = model.final_norm
    if norm is None or finished:
        return row
    row = row * norm.multiplier.detach().double()
    return row if norm.rms else row - row.mean()


def sentence_vectors(
    lm: LanguageModel, word: str, sentences: Sequence[str], at: str
) -> Float[Tensor, "sentence d_model"]:
    """Where a word stands in each sentence at a point of its journey: what numbers stand for when
    a vector is moved there. The word's last occurrence is taken, as in a shift.

    Raises:
        TextError: the word is not in a sentence.
        SiteError: no such point.
    """
    tokens = lm.encode(list(sentences))
    uses = [some[-1] for some in uses_by_text(tokens, word, given=sentences)]
    return torch.stack([journey.vector(at) for journey in journeys(lm, tokens, uses)])


def _words(
    lm: LanguageModel, words: tuple[str, ...], finished: bool
) -> Float64[Tensor, " d_model"] | None:
    if not words:
        return None
    return word_vector(lm.model, lm.next_token(words[0]), finished=finished)


def _mean(
    vectors: Float[Tensor, "sentence d_model"] | None, numbers: tuple[str, ...]
) -> Float64[Tensor, " d_model"] | None:
    if not numbers:
        return None
    count = 0 if vectors is None else len(vectors)
    if vectors is None or not all(1 <= int(number) <= count for number in numbers):
        asked, there = ", ".join(numbers), f"1 to {count}" if count else "none"
        raise ConfigError(f"A direction names sentence {asked}; there are {there}.")
    return vectors[[int(number) - 1 for number in numbers]].double().mean(0)
