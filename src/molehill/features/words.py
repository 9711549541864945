"""Words of a vocabulary as labels see them: which word a token writes, and of what kind it is.

Spellings of one word with and without a capital or a leading space are one word here. This module
knows no texts and no features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["KINDS", "Words", "bare"]

_Array = np.ndarray

_ENDINGS = ("ing", "ed", "ly", "er", "est", "tion", "ness", "ment", "s")

KINDS = (
    "numbers",
    "punctuation",
    "line ends",
    "capitalised words",
    "words in capitals",
    "parts of words",
    *(f"words in -{ending}" for ending in _ENDINGS),
)
"""What a token can be, beside being a certain word; one may be several."""


@dataclass(frozen=True)
class Words:
    """A vocabulary: pieces, the words that they write, and kinds."""

    pieces: tuple[str, ...]
    """As people read them [token]."""
    number: _Array
    """Which word each token writes [token]."""
    words: tuple[str, ...]
    """Each word once, in small letters; parts of words with a hyphen in front [word]."""
    kinds: _Array
    """Whether a token is of a kind [kind, token]."""
    begins: _Array
    """Whether a token begins a word [token]."""
    letters: _Array
    """Whether a token is letters and nothing else [token]."""

    @classmethod
    def of(cls, pieces: Sequence[str]) -> Words:
        """Of all pieces of a vocabulary, in order."""
        spaced = any(piece.startswith("·") and len(piece) > 1 for piece in pieces)
        joined = any(piece.startswith("##") for piece in pieces)
        begins = np.array(
            [
                piece.startswith("·") if spaced else not (joined and piece.startswith("##"))
                for piece in pieces
            ],
            dtype=bool,
        )
        names: dict[str, int] = {}
        number = np.array(
            [
                names.setdefault(_word(piece, first), len(names))
                for piece, first in zip(pieces, begins.tolist(), strict=True)
            ]
        )
        kinds = np.zeros((len(KINDS), len(pieces)), dtype=bool)
        for token, piece in enumerate(pieces):
            kinds[:, token] = _kinds(bare(piece), bool(begins[token]))
        letters = np.array([bare(piece).isalpha() for piece in pieces], dtype=bool)
        return cls(tuple(pieces), number, tuple(names), kinds, begins, letters)

    def counts(self, tokens: _Array) -> _Array:
        """Counts of tokens [token] as counts of words [word]."""
        return np.bincount(self.number, weights=tokens, minlength=len(self.words))

    def word_at(self, ids: Sequence[int], at: int) -> str:
        """The whole word in which a token stands, in small letters, from the tokens around it."""
        first, last = at, at
        if not self._is_letters(ids[at]):
            return bare(self.pieces[ids[at]]).casefold()
        while first and not self.begins[ids[first]] and self._is_letters(ids[first - 1]):
            first -= 1
        while (
            last + 1 < len(ids)
            and not self.begins[ids[last + 1]]
            and self._is_letters(ids[last + 1])
        ):
            last += 1
        return "".join(bare(self.pieces[one]) for one in ids[first : last + 1]).casefold()

    def _is_letters(self, token: int) -> bool:
        return bool(self.letters[token])


def bare(piece: str) -> str:
    """A piece without what says that it begins or continues a word."""
    return piece.lstrip("·").removeprefix("##") or piece


def _word(piece: str, begins: bool) -> str:
    """What a piece counts as; a part of a word is not the word that is spelled like it."""
    word = bare(piece)
    part = word.isalpha() and not begins and not word[0].isupper()
    return f"-{word.casefold()}" if part else word.casefold()


def _kinds(word: str, begins: bool) -> list[bool]:
    letters = word.isalpha()
    endings = [
        letters and begins and len(word) > len(ending) + 2 and word.endswith(ending)
        for ending in _ENDINGS
    ]
    return [
        word.isdigit(),
        not any(map(str.isalnum, word)) and not word.startswith("<") and "⏎" not in word,
        "⏎" in word,
        letters and begins and word[0].isupper() and (len(word) == 1 or not word.isupper()),
        letters and len(word) > 1 and word.isupper(),
        letters and not begins,
        *endings,
    ]
