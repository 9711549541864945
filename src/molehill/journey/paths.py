"""A word's journey through the model: where it stands at every point, and the ledger of any of
them.

One pass over all texts serves all their words. In a causal model a word that spans several tokens
is carried by the last of them, which has seen the others; in a bidirectional one by their mean.
The record says which.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molehill.errors import SiteError, TextError
from molehill.journey.capture import Captured, capture
from molehill.journey.ledger import Ledger
from molehill.journey.parts import OtherRows, Walked, parts_until, walk
from molehill.journey.unknown import refuse_unknown
from molehill.language_model import LanguageModel
from molehill.model.config import ModelConfig
from molehill.model.transformer import Transformer
from molehill.model.watch import Watch
from molehill.text.tokens import Occurrence, Tokens
from molehill.text.words import nearest_words

__all__ = [
    "Journey",
    "carriers",
    "follow",
    "journeys",
    "ledger",
    "need_tokens",
    "place_of",
    "points_of",
    "tokens_at",
    "uses_by_text",
]


def points_of(config: ModelConfig) -> tuple[str, ...]:
    """Every point of a journey in order: the token alone, with its position, then after attention
    and MLP of each layer, then `final`."""
    points = ["embed"]
    if config.positions == "learned" or config.token_types or config.embed_norm:
        points.append("0.resid_pre")
    for layer in range(config.n_layers):
        if not config.parallel:
            points.append(f"{layer}.resid_mid")
        points.append(f"{layer}.resid_post")
    return (*points, "final") if config.final_norm else tuple(points)


def carriers(config: ModelConfig, positions: Sequence[int]) -> tuple[int, ...]:
    """Which of a word's tokens stand for it: the last in a causal model, all (their mean) in a
    bidirectional one."""
    return tuple(positions[-1:]) if config.causal else tuple(positions)


@dataclass(frozen=True, eq=False)
class Journey:
    """One word in one text, captured on its way through the model.

    Attributes:
        text: the sentence.
        pieces: its tokens.
        positions: the tokens that carry the word.
        surface: the word as it stands in the text.
    """

    text: str
    pieces: tuple[str, ...]
    positions: tuple[int, ...]
    surface: str
    model: Transformer = field(repr=False)
    captured: Captured = field(repr=False)

    @property
    def carried_by(self) -> str:
        """In words, which tokens stand for the word."""
        if len(self.positions) > 1:
            return f"mean of tokens {', '.join(map(str, self.positions))}"
        return f"token {self.positions[0]}"

    @property
    def points(self) -> tuple[str, ...]:
        """The points of the journey, in order."""
        return points_of(self.model.config)

    def vector(self, at: str) -> Tensor:
        """Where the word stands at a point [d_model]."""
        if at not in self.captured.values:
            raise SiteError(f"{at!r} is no point of this journey; the first are {self.points[:3]}.")
        return self.captured.at(at)

    def path(self) -> Tensor:
        """Where the word stands at every point [point, d_model]."""
        return torch.stack([self.vector(point) for point in self.points])

    def walk(self) -> Iterator[Walked]:
        """Every point in order, with what was added on the way and the sum of all rows so far."""
        return walk(self.model, self.captured, self.points)

    def ledger(self, at: str = "final", *, rows: OtherRows | None = None) -> Ledger:
        """The vector at `at` as a sum of rows.

        Args:
            rows: other rows, such as an autoencoder's features, for what stands at a site before
            it or there.

        Raises:
            SiteError: `at` is no point of the stream, or the rows are for a site after it.
        """
        parts = parts_until(self.model, self.captured, at, rows)
        return Ledger(at, self.vector(at), parts, self.pieces, self.model)


def journeys(
    lm: LanguageModel,
    tokens: Tokens,
    words: Sequence[Occurrence],
    *,
    edits: Watch | None = None,
) -> list[Journey]:
    """Follow every given occurrence through one pass over the texts.

    Raises:
        TextError: the model does not know a word and would read its token for any unknown one.
    """
    places = [(word.text, carriers(lm.model.config, word.positions)) for word in words]
    refuse_unknown(lm, tokens, places)
    found = capture(
        lm.model,
        tokens.ids.to(lm.model.device),
        tokens.mask.to(lm.model.device),
        places,
        edits=edits,
    )
    return [
        Journey(
            tokens.texts[word.text],
            tokens.pieces[word.text],
            held.positions,
            word.surface,
            lm.model,
            held,
        )
        for word, held in zip(words, found, strict=True)
    ]


def follow(
    lm: LanguageModel, text: str, word: str | int = -1, *, edits: Watch | None = None
) -> Journey:
    """The journey of one word of one text.

    Args:
        word: the word (its last occurrence is taken), or a token's position; -1 is the last token.

    Raises:
        TextError: the word is not in the text.
        SiteError: the position is not.
    """
    tokens = lm.encode([text])
    return journeys(lm, tokens, [place_of(tokens, word)], edits=edits)[0]


def ledger(
    lm: LanguageModel,
    text: str,
    word: str | int = -1,
    *,
    at: str = "final",
    edits: Watch | None = None,
) -> Ledger:
    """The ledger of one word of one text.

    Args:
        word: the word (its last occurrence is taken), or a token's position; -1 is the last token.
        at: any point of the journey; `final` is what the unembedding reads.

    Example:
        >>> ledger(lm, "The capital of France is").logit(token).by("head")
    """
    return follow(lm, text, word, edits=edits).ledger(at)


def place_of(tokens: Tokens, word: str | int) -> Occurrence:
    """Where a word stands in the first of the texts: its last occurrence, or the token at a
    position.

    Raises:
        TextError: the word is not in the text.
        SiteError: the position is not.
    """
    if isinstance(word, str):
        return tokens.find(word)[-1]
    length = need_tokens(tokens)
    position = word + length if word < 0 else word
    if not 0 <= position < length:
        raise SiteError(
            f"There is no token at position {word}: the text has {length}, "
            f"from 0 (or -{length}) to {length - 1} (or -1)."
        )
    span = tokens.spans[0][position]
    return Occurrence(0, *span, (position,), tokens.pieces[0][position], "exact")


def need_tokens(tokens: Tokens) -> int:
    """How many tokens the first of the texts has.

    Raises:
        SiteError: none.
    """
    if not tokens.pieces[0]:
        raise SiteError("The text holds no token: give one with a word in it.")
    return len(tokens.pieces[0])


def tokens_at(tokens: Tokens, text: int, start: int, end: int) -> tuple[int, ...]:
    """The tokens that hold any of the characters from `start` to `end` of a text.

    Raises:
        TextError: there are none.
    """
    found = tuple(
        position
        for position, (a, b) in enumerate(tokens.spans[text])
        if a < end and b > start and not tokens.special[text][position]
    )
    if not found:
        raise TextError(
            f"Characters {start} to {end} hold no token of the text, "
            f"which has {len(tokens.texts[text])} characters."
        )
    return found


def uses_by_text(
    tokens: Tokens, word: str, *, given: Sequence[str] | None = None
) -> list[list[Occurrence]]:
    """Every text's occurrences of a word, in order.

    Args:
        given: the texts as a person gave them, where the tokens are of something longer.

    Raises:
        TextError: a text without the word; all of them are numbered, from 1.
    """
    found: list[list[Occurrence]] = [[] for _ in range(len(tokens))]
    for occurrence in tokens.find(word):
        found[occurrence.text].append(occurrence)
    if missing := [number for number, some in enumerate(found) if not some]:
        raise TextError(_missing(word, given or tokens.texts, missing))
    return found


def _missing(word: str, texts: Sequence[str], missing: Sequence[int]) -> str:
    """Which sentences lack the word, how they read, and what to do about it."""
    numbers = ", ".join(str(number + 1) for number in missing[:12])
    numbers += f" and {len(missing) - 12} more" if len(missing) > 12 else ""
    first = texts[missing[0]]
    shown = repr(first if len(first) <= 60 else f"{first[:57]}...")
    which = f"{shown}" if len(missing) == 1 else f"the first of which reads {shown}"
    near = nearest_words(word, [texts[number] for number in missing])
    hint = f"The nearest words are {', '.join(near)}." if near else "No word is near it."
    return (
        f"The word {word!r} is not in sentence {numbers}, {which}. {hint} Give sentences that hold "
        "it, in any case, in the plural or before 's, or leave these out."
    )
