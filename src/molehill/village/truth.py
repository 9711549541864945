"""Told: a sentence with what is true of every word in it.

Sentences are records that `tell` makes. One word is one token of the village's tokenizer, so a
token's truth is found by its position. This module knows nothing of how sentences are told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from molehill.errors import TextError
from molehill.village.world import World

__all__ = ["Cues", "FactPrompt", "TokenTruth", "Told", "feature_table"]

Cues = Literal["before", "after"]


@dataclass(frozen=True, slots=True)
class TokenTruth:
    """What is true at one word.

    "Known" is said of a reader who goes from left to right: known here is what the words up to this
    one, itself included, tell.
    """

    word: str
    start: int
    end: int
    """The characters `text[start:end]` are the word."""
    kind: str
    sense: str | None
    """The sense that is meant, at an ambiguous word, whether or not it is known here."""
    facts: tuple[str, ...]
    """Facts in play: subject and relation are known, up to the object."""
    features: tuple[str, ...]
    """Everything active: this word's `kind:`; a `subject:` at its last name or town, up to the end
    of the sentence; a `relation:` from its telling word on; a `fact:` while it is in play; a
    `topic:` from its first cue on; a `sense:` at its word and after, once a cue was read."""
    noisy: bool
    """Whether a wrong word stands here; a wrong cue is counted as no cue."""


@dataclass(frozen=True, slots=True)
class Told:
    """One sentence."""

    text: str
    tokens: tuple[TokenTruth, ...]
    form: str
    sense: str | None
    """Which sense the sentence uses; None if it tells a fact."""
    cues: Cues | None
    """Whether a cue comes before the ambiguous word, or all of them after it."""
    position: int | None
    """Where the ambiguous word stands."""
    fact: str | None
    """Which fact the sentence tells."""

    @property
    def words(self) -> tuple[str, ...]:
        """The words, one for each token."""
        return tuple(token.word for token in self.tokens)

    @property
    def place(self) -> tuple[int, int]:
        """The characters of the ambiguous word.

        Raises:
            TextError: the sentence has none.
        """
        if self.position is None:
            raise TextError(f"There is no ambiguous word in {self.text!r}: it tells a fact.")
        token = self.tokens[self.position]
        return token.start, token.end


@dataclass(frozen=True, slots=True)
class FactPrompt:
    """A sentence up to a fact's object: whoever knows the fact goes on with `answer`."""

    fact: str
    relation: str
    form: str
    withheld: bool
    """Whether this is the form in which the fact is never told."""
    prompt: str
    answer: str
    subject: tuple[int, int]
    """The characters of the subject."""
    told: Told
    """The whole sentence, with the truth of its words."""


def feature_table(world: World, sentences: Sequence[Told]) -> Bool[Tensor, "token feature"]:
    """Which features are active at each word of all sentences one after another.

    Columns are `world.features`.
    """
    column = {name: number for number, name in enumerate(world.features)}
    active = [token.features for told in sentences for token in told.tokens]
    table = torch.zeros(len(active), len(column), dtype=torch.bool)
    for row, names in enumerate(active):
        table[row, [column[name] for name in names]] = True
    return table
