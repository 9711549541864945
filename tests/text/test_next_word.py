"""The one token that a word is when it comes next."""

from __future__ import annotations

import pytest

import molehill
from molehill.errors import TextError
from molehill.text.next_word import next_token


@pytest.mark.parametrize("model", ["village", "lexicon"])
def test_a_word_is_taken_with_the_space_before_it_and_nothing_is_no_word(model):
    tokenizer = molehill.load(model).tokenizer
    token = next_token(tokenizer, "animal" if model == "lexicon" else "golf")
    assert tokenizer.piece(token) in ("·animal", "·golf")
    assert next_token(tokenizer, f"#{token}") == token
    # A space alone is a token of both vocabularies, and nobody asked for it.
    with pytest.raises(TextError, match="'' is no token of this model"):
        next_token(tokenizer, "")
