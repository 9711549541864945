"""Words that a model cannot read: what a vocabulary without a token for them reads in their place.

A vocabulary of whole words has one token for every word that is not in it. That token's vector is
the same whatever the word was, so its journey is nobody's: it is refused as what is followed, and
named wherever else it stands. Vocabularies made of bytes know every text. This module knows tokens
and nothing of vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from molehill.errors import TextError
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens

__all__ = ["refuse_unknown", "unknown_note", "unknown_words"]

_MOST_NAMED = 6


def unknown_words(lm: LanguageModel, tokens: Tokens, text: int = 0) -> tuple[str, ...]:
    """What stands in one of the texts where the model reads its token for unknown words, each
    spelling once and in order."""
    places = _unknown_at(lm, tokens, text)
    return tuple(dict.fromkeys(_written(tokens, text, place) for place in places))


def unknown_note(unknown: Sequence[Sequence[str]]) -> str | None:
    """One sentence on what the model could not read, for people; None where it read everything.

    Args:
        unknown: every sentence's unknown words, as `unknown_words` gives them. Of several sentences
            the note says which.
    """
    told = [(number, words) for number, words in enumerate(unknown, start=1) if words]
    if not told:
        return None
    named = "; ".join(
        f"{_listed(words)}{f' in sentence {number}' if len(unknown) > 1 else ''}"
        for number, words in told[:_MOST_NAMED]
    )
    more = f"; and in {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return (
        f"The model does not know {named}{more}: it reads one and the same token for every word "
        "that it does not know."
    )


def refuse_unknown(
    lm: LanguageModel, tokens: Tokens, places: Iterable[tuple[int, Sequence[int]]]
) -> None:
    """Refuse words whose journey would be that of the token for unknown words.

    Args:
        places: (text, positions of the tokens that carry the word), one per word.

    Raises:
        TextError: one of these tokens is the unknown one.
    """
    known: dict[int, set[int]] = {}
    for text, positions in places:
        unknown = known.setdefault(text, set(_unknown_at(lm, tokens, text)))
        place = next((position for position in positions if position in unknown), None)
        if place is not None:
            raise TextError(
                f"{lm.name} does not know {_written(tokens, text, place)!r} in text {text + 1}: it "
                f"reads the token {tokens.pieces[text][place]!r} in place of any word that is not "
                "in its vocabulary. Follow a word that it knows, or take another model."
            )


def _unknown_at(lm: LanguageModel, tokens: Tokens, text: int) -> list[int]:
    unknown = None if lm.tokenizer is None else lm.tokenizer.unk_id
    if unknown is None:
        return []
    # Where one token has several roles (GPT-2's ends texts too), it is special and no word's.
    special = tokens.special[text]
    return [
        place
        for place, token in enumerate(tokens.row(text))
        if token == unknown and not special[place]
    ]


def _written(tokens: Tokens, text: int, place: int) -> str:
    start, end = tokens.spans[text][place]
    return tokens.texts[text][start:end] or tokens.pieces[text][place]


def _listed(words: Sequence[str]) -> str:
    more = f" and {len(words) - _MOST_NAMED} more" if len(words) > _MOST_NAMED else ""
    return f"{', '.join(f'“{word}”' for word in words[:_MOST_NAMED])}{more}"
