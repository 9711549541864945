"""A vocabulary of whole words: one token each, exact places, and nothing cut unseen."""

from __future__ import annotations

import pytest

from molehill.errors import TextError
from molehill.text import Tokenizer

WORDS = ("The", "the", "mole", "Anna", "digs", ".", ",")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.of_words(WORDS)


def test_every_word_is_one_token_in_the_order_of_the_list(tokenizer):
    assert tokenizer.d_vocab == 3 + len(WORDS)
    text = "The mole, the mole digs."
    ids = tokenizer.ids([text])[0]
    assert ids == [3, 5, 9, 4, 5, 7, 8]
    assert tokenizer.decode(ids) == text


def test_characters_are_where_they_stand_in_the_text(tokenizer):
    text = "Anna  digs ."
    tokens = tokenizer.encode(text)
    held = [text[start:end] for start, end in tokens.spans[0]]
    assert held == ["Anna", " ", "digs", " ", "."]
    assert tokenizer.decode(tokens.row(0)) == text
    assert tokenizer.encode("mole.").spans == (((0, 4), (4, 5)),)


def test_other_words_are_one_unknown_token_each(tokenizer):
    tokens = tokenizer.encode("The badger digs.")
    assert tokens.ids[0, 1] == tokenizer.unk_id == 1
    assert tokens.pieces[0] == ("·The", "<unk>", "·digs", ".")
    found = tokens.find("badger")[0]
    assert found.positions == (1,)


def test_the_token_between_texts_is_recognised_and_special(tokenizer):
    ids = tokenizer.ids(["The mole.<|endoftext|>The mole."])[0]
    assert ids[3] == tokenizer.eos_id == tokenizer.bos_id == tokenizer.pad_id == 0
    assert ids[:3] == ids[4:]
    assert tokenizer.special_ids == {0}


def test_a_folder_holds_it_unchanged(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = Tokenizer.from_folder(tmp_path)
    text = "The mole digs, Xavier digs.<|endoftext|>Anna"
    assert again.ids([text]) == tokenizer.ids([text])
    assert again.encode(text).pieces == tokenizer.encode(text).pieces
    assert (again.eos_id, again.unk_id, again.special_ids) == (0, 1, {0})


def test_transformers_reads_the_same_words(tokenizer, tmp_path):
    from transformers import AutoTokenizer

    tokenizer.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    text = "The mole, the mole digs. Anna badger"
    assert theirs(text)["input_ids"] == tokenizer.ids([text])[0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "empty"),
        (("mole", "mole"), "'mole' is given twice"),
        (("mole hill",), "'mole hill' is no single word"),
        (("mole-hill",), "'mole-hill' is no single word"),
        (("",), "'' is no single word"),
    ],
)
def test_lists_that_make_no_vocabulary_are_refused(words, message):
    with pytest.raises(TextError, match=message):
        Tokenizer.of_words(words)
