"""Tokens: texts as the model reads them, with the way back to characters and words.

The record that leaves this room. `Tokenizer.encode` makes it; the model reads `ids` and `mask`;
people read `pieces`; `find` leads from a word to its positions. This module knows nothing of
vocabularies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, islice

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from molehill.errors import TextError
from molehill.text.words import Rule, find_word, nearest_words

__all__ = ["Occurrence", "Tokens"]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """A word at one place of one text.

    `positions` are all tokens that hold any of its characters, a token that also holds more
    included. In a causal model the last one has read the whole word.
    """

    text: int
    """Which of the texts."""
    start: int
    """First character."""
    end: int
    """Character after the last."""
    positions: tuple[int, ...]
    """Tokens, counted from 0 in the padded row."""
    surface: str
    """The characters themselves."""
    rule: Rule
    """Why it counts as the word; `molehill.text.words` lists the rules."""

    @property
    def last(self) -> int:
        """The position of the word's last token."""
        return self.positions[-1]


@dataclass(frozen=True, eq=False)
class Tokens:
    """Several texts as token ids, padded on the right, and what each token stands for.

    Rows of `pieces`, `spans` and `special` hold the real tokens only, without padding. They and
    `texts` are empty where only ids are known (`Tokens.of_ids`).
    """

    ids: Int[Tensor, "batch pos"]
    """Token numbers, int64."""
    mask: Bool[Tensor, "batch pos"]
    """True at real tokens, False at padding."""
    texts: tuple[str, ...] = ()
    pieces: tuple[tuple[str, ...], ...] = ()
    """Tokens for people: a leading space is `·`, a new line `⏎`, half a character `<0xE2>`."""
    spans: tuple[tuple[tuple[int, int], ...], ...] = ()
    """First character and the one after the last, in `texts`. A token's leading white space is left
    out, unless the token is nothing else. Tokens that no text stands behind have (0, 0); tokens
    that share one character (an emoji's bytes) share its span."""
    special: tuple[tuple[bool, ...], ...] = ()
    """True for tokens that are not text: `<s>`, `[SEP]`, `<|im_start|>`."""
    dropped: tuple[int, ...] = ()
    """How many tokens of each text were cut off to respect a limit."""

    def __post_init__(self) -> None:
        assert self.ids.dtype == torch.int64, f"ids are {self.ids.dtype}, expected torch.int64"
        assert self.ids.shape == self.mask.shape, f"{self.ids.shape} ids, {self.mask.shape} mask"
        if self.texts:
            rows = [self.texts, self.pieces, self.spans, self.special, self.dropped]
            assert {len(row) for row in rows} == {len(self)}, "every text has one row of each"
            real = self.lengths.tolist()
            for row in (self.pieces, self.spans, self.special):
                assert [len(part) for part in row] == real, "every real token has one part of each"

    @classmethod
    def of_ids(cls, rows: Sequence[Sequence[int]], pad_id: int = 0) -> Tokens:
        """Tokens from bare ids, without texts: enough for a model, not for `find`."""
        ids, mask = _padded(rows, pad_id)
        return cls(ids, mask)

    @classmethod
    def of_parts(
        cls,
        rows: Sequence[Sequence[int]],
        pad_id: int,
        *,
        texts: Sequence[str],
        pieces: Sequence[Sequence[str]],
        spans: Sequence[Sequence[tuple[int, int]]],
        special: Sequence[Sequence[bool]],
        dropped: Sequence[int],
    ) -> Tokens:
        """Tokens from one row per text of each part; pads the ids."""
        ids, mask = _padded(rows, pad_id)
        return cls(
            ids,
            mask,
            tuple(texts),
            tuple(map(tuple, pieces)),
            tuple(map(tuple, spans)),
            tuple(map(tuple, special)),
            tuple(dropped),
        )

    def __len__(self) -> int:
        """How many texts."""
        return self.ids.shape[0]

    def __repr__(self) -> str:
        lengths = self.lengths.tolist()
        shown = f"{lengths[:6]}"[:-1] + (", ...]" if len(lengths) > 6 else "]")
        cut = f", dropped={sum(self.dropped)}" if any(self.dropped) else ""
        return f"Tokens({len(self)} texts, lengths {shown}{cut})"

    @property
    def lengths(self) -> Int[Tensor, " batch"]:
        """Real tokens in each text."""
        return self.mask.sum(1)

    def row(self, text: int) -> list[int]:
        """The ids of one text without padding."""
        return self.ids[text][self.mask[text]].tolist()

    def select(self, texts: Sequence[int]) -> Tokens:
        """These texts, in this order, padded no further than the longest of them needs."""
        chosen = torch.as_tensor(list(texts), dtype=torch.int64, device=self.ids.device)
        mask = self.mask[chosen]
        width = int(mask.sum(1).max()) if len(chosen) else 0
        parts = (self.texts, self.pieces, self.spans, self.special, self.dropped)
        kept = [tuple(part[index] for index in texts) if part else () for part in parts]
        # pyrefly: ignore[bad-argument-type] (one column per field, in their order)
        return Tokens(self.ids[chosen, :width], mask[:, :width], *kept)

    def find(
        self, word: str, *, rule: str = "word", forms: Sequence[str] = (), each: bool = False
    ) -> list[Occurrence]:
        """Every occurrence of a word or phrase, by text and then from left to right.

        Special tokens and padding never match, and neither does what was cut off at a limit.

        Args:
            word: The word, or a phrase of several words.
            rule: How strict to be. `exact`: these very letters. `case`: in any case. `word`:
                plurals, possessives and `forms` too. `inside`: within longer words as well.
            forms: Further spellings that count, such as irregular plurals: `("mice",)`.
            each: Whether every text must hold the word, and not only one of them.

        Raises:
            TextError: the word is in no text (with `each`: missing from some text), or there are
                no texts to search.
        """
        if not self.texts:
            raise TextError(f"These tokens have no text to find {word!r} in: encode texts instead.")
        found = [
            occurrence
            for text in range(len(self))
            for occurrence in self._find_in(text, word, rule, forms)
        ]
        missing = sorted(set(range(len(self))) - {occurrence.text for occurrence in found})
        if missing and (each or not found):
            raise TextError(self._not_found(word, rule, missing))
        return found

    def _find_in(self, text: int, word: str, rule: str, forms: Sequence[str]) -> list[Occurrence]:
        """The occurrences in one text; those that a special token or the cut touches are none."""
        matches = find_word(self.texts[text], word, strictness=rule, forms=forms)
        if not matches:
            return []
        spans, special = self.spans[text], self.special[text]
        held = [position for position, (start, end) in enumerate(spans) if start < end]
        ends = [spans[position][1] for position in held]
        kept_until = max(ends, default=0) if self.dropped[text] else len(self.texts[text])
        found = []
        for match in matches:
            first = bisect_right(ends, match.start)
            positions = []
            for position in islice(held, first, None):
                if spans[position][0] >= match.end:
                    break
                positions.append(position)
            whole = match.end <= kept_until and not any(special[index] for index in positions)
            if positions and whole:
                surface = self.texts[text][match.start : match.end]
                found.append(
                    Occurrence(text, match.start, match.end, tuple(positions), surface, match.rule)
                )
        return found

    def _not_found(self, word: str, rule: str, missing: list[int]) -> str:
        """What to say: where the word is missing, whether the cut took it, which words are near."""
        texts = [self.texts[text] for text in missing]
        if len(self) == 1:
            where = f"is not in the text {_shortened(texts[0])}"
        elif len(missing) == len(self):
            where = f"is in none of the {len(self)} texts, the first of which is "
            where += _shortened(texts[0])
        else:
            named = "; ".join(f"{text}: {_shortened(self.texts[text])}" for text in missing[:3])
            where = f"is missing from {len(missing)} of the {len(self)} texts ({named})"
        cut = [text for text in missing if self.dropped[text]]
        if any(find_word(self.texts[text], word, strictness=rule) for text in cut):
            return f"{word!r} {where}, as far as it was kept: raise the limit that cut it off."
        near = nearest_words(word, texts)
        hint = f"The nearest words are {', '.join(near)}." if near else "No word is near it."
        looser = (
            "" if rule == "inside" else f" This was the rule {rule!r}; rule='inside' is looser."
        )
        return f"{word!r} {where}. {hint}{looser}"


def _padded(rows: Sequence[Sequence[int]], pad_id: int) -> tuple[Tensor, Tensor]:
    """Rows of unequal length as one table of ids and its mask."""
    lengths = torch.tensor([len(row) for row in rows], dtype=torch.int64)
    width = int(lengths.max()) if len(rows) else 0
    mask = torch.arange(width) < lengths[:, None]
    ids = torch.full((len(rows), width), pad_id, dtype=torch.int64)
    ids[mask] = torch.tensor(list(chain.from_iterable(rows)), dtype=torch.int64)
    return ids, mask


def _shortened(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
