"""Words that a vocabulary does not have: refused where they are followed, named elsewhere."""

from __future__ import annotations

import pytest
from tests.journey.tiny import tiny, tiny_language

from molehill.errors import TextError
from molehill.journey import follow, gather
from molehill.journey.unknown import refuse_unknown, unknown_note, unknown_words
from molehill.language_model import LanguageModel
from molehill.text.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def lm() -> LanguageModel:
    return LanguageModel(tiny("llama"), Tokenizer.of_words(["the", "mole", "dug"]), "words")


def test_unknown_words_are_named_once_and_in_order(lm):
    tokens = lm.encode(["the zebra 🦄 saw the zebra", "the mole dug"])
    assert unknown_words(lm, tokens) == ("zebra", "🦄", "saw")
    assert unknown_words(lm, tokens, 1) == ()


def test_the_note_says_which_sentence_where_there_are_several():
    assert unknown_note([(), ()]) is None
    assert unknown_note([("zebra", "🦄")]).startswith("The model does not know “zebra”, “🦄”:")
    several = unknown_note([(), ("zebra",), ("saw",)])
    assert "“zebra” in sentence 2; “saw” in sentence 3:" in several
    many = unknown_note([tuple("abcdefgh")])
    assert "“f” and 2 more:" in many and "“g”" not in many


def test_the_token_for_unknown_words_is_never_followed(lm):
    for word in ("zebra", 1, -1):
        with pytest.raises(TextError, match="words does not know 'zebra' in text 1: it reads"):
            follow(lm, "the zebra", word)
    assert follow(lm, "the zebra dug").surface == "·dug"


def test_senses_are_not_read_off_it_either(lm):
    with pytest.raises(TextError, match="does not know 'zebra' in text 2"):
        gather(lm, ["the mole", "the zebra"], [(4, 8), (4, 9)])
    assert len(gather(lm, ["the mole", "zebra mole"], [(4, 8), (6, 10)]).vectors) == 2


def test_only_the_tokens_that_carry_a_word_count(lm):
    tokens = lm.encode(["the zebra dug"])
    place = tokens.find("zebra")[0].last
    refuse_unknown(lm, tokens, [(0, [0]), (0, [place + 1])])
    with pytest.raises(TextError, match="'zebra'"):
        refuse_unknown(lm, tokens, [(0, [0, place])])


def test_a_vocabulary_that_writes_every_byte_knows_every_word():
    tokenizer = Tokenizer.train(["the mole dug"] * 4, d_vocab=270)
    assert tokenizer.unk_id is None
    lm = LanguageModel(tiny_language("llama").model, tokenizer, "bytes")
    assert unknown_words(lm, tokenizer.encode("🦄 zebra")) == ()
