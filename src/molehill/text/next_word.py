"""The one token that a next word is: what a score, a rank or a probability is asked of.

A model's scores belong to tokens, and a person asks for words. Most vocabularies spell a word that
follows another with its leading space (`·Paris`), which a person leaves out. This module knows
vocabularies, and nothing of scores.
"""

from __future__ import annotations

import re

from molehill.errors import TextError
from molehill.text.tokenizer import Tokenizer

__all__ = ["next_token"]

_NUMBER = re.compile(r"#(\d{1,18})")


def next_token(tokenizer: Tokenizer, word: str) -> int:
    """The token that `word` is when it comes next.

    A word is tried with a space before it, then as it stands; one that is given with its space is
    taken as it stands. `#7042` names a token by its number.

    Raises:
        TextError: the word is several tokens, or none; the message names them.
    """
    if number := _NUMBER.fullmatch(word):
        token = int(number[1])
        if token >= tokenizer.d_vocab:
            raise TextError(f"There is no token {word}: the last is #{tokenizer.d_vocab - 1}.")
        return token
    spellings = [word] if word[:1].isspace() else [f" {word}", word]
    rows = tokenizer.ids(spellings, add_special=False)
    for row in rows:
        # Nothing, with the space before it, would be the token of a space.
        if word and len(row) == 1 and row[0] != tokenizer.unk_id:
            return row[0]
    if not word.strip() or tokenizer.unk_id in rows[0] or not rows[0]:
        raise TextError(
            f"{word!r} is no token of this model: give a word, or a number as in '#42'."
        )
    pieces = ", ".join(f"{tokenizer.piece(token)} (#{token})" for token in rows[0][:6])
    more = " and so on" if len(rows[0]) > 6 else ""
    raise TextError(
        f"{word!r} is {len(rows[0])} tokens and a score is of one: {pieces}{more}. "
        f"Ask for one of them, as in '#{rows[0][0]}'."
    )
