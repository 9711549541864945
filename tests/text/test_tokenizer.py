from __future__ import annotations

import string

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.text.test_gguf_vocab import SCORED, sentencepiece_keys

from molehill.errors import TextError
from molehill.text import Tokenizer

AWKWARD = [
    "",
    " ",
    "   \n\t ",
    "The mole's tunnels 😀 end.",
    "👩‍👩‍👧 e\u0301\u0301 각 ﷽",
    "\u202eelom\u202c \u200fשלום\u200e مول",
    "a\x00b\x07\x7f",
    "<|endoftext|><|endoftext|>",
    "a<|endoftext|> b",
    "\ufeff\ufffd\uffff\U0010ffff",
    "</script><img onerror=alert(1)>",
]
texts = st.one_of(st.text(max_size=60), st.sampled_from(AWKWARD))


# --- there and back ---------------------------------------------------------------------------


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_a_byte_level_text_comes_back_exactly(trained, text):
    assert trained.exact
    assert trained.decode(trained.encode(text).row(0)) == text


@pytest.mark.parametrize("text", [text for text in AWKWARD if "\x07" not in text])
def test_smollm2_gives_awkward_texts_back_exactly(smollm2, text):
    assert smollm2.decode(smollm2.encode(text).row(0)) == text


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_spans_are_in_order_and_leave_out_nothing_but_white_space(trained, text):
    tokens = trained.encode(text)
    covered, last = set(), 0
    for start, end in tokens.spans[0]:
        assert last <= start < end <= len(text)
        covered |= set(range(start, end))
        last = start
    left_out = set(range(len(text))) - covered
    assert all(text[place].isspace() for place in left_out)


@settings(deadline=None, max_examples=300)
@given(text=texts)
def test_a_span_holds_the_text_of_its_token(trained, text):
    """Whole characters: the slice is the token without leading blanks. Parts: one character."""
    tokens = trained.encode(text)
    for token, (start, end) in zip(tokens.row(0), tokens.spans[0], strict=True):
        own = trained.decode([token])
        if "\ufffd" in own:
            continue  # bytes of a character, or that very character
        assert text[start:end] == (own.lstrip() or own)


@settings(deadline=None, max_examples=200)
@given(st.text(st.sampled_from(string.ascii_letters + string.digits + string.punctuation + " \n")))
@example("def f(x):\n    return  x\n\n")
def test_pieces_join_to_the_text(trained, text):
    [pieces] = trained.encode(text).pieces
    assert "".join(pieces).replace("·", " ").replace("⏎", "\n") == text


def test_several_texts_stand_side_by_side_as_each_alone(trained):
    together = trained.encode(AWKWARD)
    assert len(together) == len(AWKWARD)
    for index, text in enumerate(AWKWARD):
        alone = trained.encode(text)
        assert together.row(index) == alone.row(0)
        assert together.pieces[index] == alone.pieces[0]
        assert together.spans[index] == alone.spans[0]
        assert together.ids[index, len(alone.row(0)) :].tolist() == [trained.pad_id] * int(
            (~together.mask[index]).sum()
        )


def test_only_ids_are_the_ids_of_the_tokens(trained, minilm):
    for tokenizer in (trained, minilm):
        tokens = tokenizer.encode(AWKWARD[3:])
        assert tokenizer.ids(AWKWARD[3:]) == [tokens.row(text) for text in range(len(tokens))]


def test_no_texts_are_no_rows(trained):
    assert trained.encode([]).ids.shape == (0, 0)
    assert trained.encode("").ids.shape == (1, 0)


# --- what a token is ----------------------------------------------------------------------------


def test_smollm2_by_hand(smollm2):
    tokens = smollm2.encode("The mole's 😀\n<|im_end|>")
    assert tokens.pieces[0] == (
        "The", "·mole", "'s", "·<0xF0><0x9F><0x98>", "<0x80>", "⏎", "<|im_end|>",
    )  # fmt: skip
    assert tokens.spans[0] == ((0, 3), (4, 8), (8, 10), (11, 12), (11, 12), (12, 13), (13, 23))
    assert tokens.special[0] == (False,) * 6 + (True,)
    [found] = tokens.find("mole")
    assert (found.positions, found.surface, found.rule) == ((1,), "mole", "possessive")
    assert (smollm2.bos_id, smollm2.eos_id, smollm2.pad_id, smollm2.unk_id) == (1, 2, 2, 0)
    assert smollm2.d_vocab == 49152
    assert smollm2.exact


def test_a_word_of_several_tokens_is_found_whole(smollm2):
    tokens = smollm2.encode(["Guacamole, two guacamoles.", "Michael Jordan played."])
    first, second, third = tokens.find("guacamole") + tokens.find("Michael Jordan")
    for found in (first, second, third):
        assert len(found.positions) > 1
        joined = "".join(tokens.pieces[found.text][place] for place in found.positions)
        assert joined.replace("·", " ").strip() == found.surface


def test_minilm_wraps_and_lowers(minilm):
    tokens = minilm.encode("The Molehill’s café 🦡")
    assert tokens.pieces[0] == (
        "[CLS]", "the", "mole", "##hill", "’", "s", "cafe", "[UNK]", "[SEP]",
    )  # fmt: skip
    assert tokens.spans[0][1:4] == ((0, 3), (4, 8), (8, 12))
    assert tokens.special[0] == (True, *[False] * 7, True)
    assert [each.surface for each in tokens.find("molehill")] == ["Molehill"]
    assert tokens.find("🦡")[0].positions == (7,)
    assert (minilm.bos_id, minilm.eos_id, minilm.mask_id) == (101, 102, 103)
    assert minilm.encode("mole", add_special=False).row(0) == tokens.row(0)[2:3]
    assert not minilm.exact


def test_a_piece_is_known_for_every_id(trained):
    assert trained.piece(trained.bos_id) == "<|endoftext|>"
    assert trained.piece(trained.d_vocab) == f"<id {trained.d_vocab}>"
    assert trained.piece(-1) == "<id -1>"


@pytest.mark.parametrize("ids", [[-1], [600], [1, 2**40]])
def test_an_id_outside_the_vocabulary_is_refused(trained, ids):
    with pytest.raises(TextError, match="is no id of this vocabulary; expected 0 to 599"):
        trained.decode(ids)
    with pytest.raises(TextError, match="is no id of this vocabulary"):
        trained.stream().push(ids[-1])


def test_ids_may_be_a_tensor_and_special_ones_left_out(trained):
    ids = trained.encode("a<|endoftext|>b").ids[0]
    assert isinstance(ids, torch.Tensor)
    assert trained.decode(ids) == "a<|endoftext|>b"
    assert trained.decode(ids, skip_special=True) == "ab"


def test_a_vocabulary_larger_than_the_models_table_is_refused(trained):
    trained.check_fits(600)
    trained.check_fits(1024)
    with pytest.raises(TextError, match=r"has the id 599 .* has 500 rows"):
        trained.check_fits(500)


@settings(deadline=None, max_examples=100)
@given(text=texts)
def test_a_stream_gives_whole_characters_and_in_the_end_everything(trained, text):
    stream = trained.stream(skip_special=False)
    parts = [stream.push(token) for token in trained.encode(text).row(0)]
    assert "".join([*parts, stream.close()]) == text
    assert all("\ufffd" not in part for part in parts) or "\ufffd" in text


def test_a_stream_of_half_a_character_says_so(trained):
    stream = trained.stream()
    first, *_ = trained.encode("😀").row(0)
    assert (stream.push(first), stream.close()) == ("", "\ufffd")


def test_a_stream_of_words_joins_to_their_text(minilm):
    ids = minilm.encode("the molehill, a cafe").row(0)
    stream = minilm.stream()
    text = "".join([*map(stream.push, ids), stream.close()])
    assert text == minilm.decode(ids, skip_special=True) == "the molehill, a cafe"


@pytest.fixture(scope="session")
def word_list():
    return Tokenizer.of_words([*["the", "mole", "dug", "a", "tunnel"], ".", ","])


@pytest.fixture(scope="session")
def sentencepiece():
    """Llama's kind: a space before a text that decoding takes away, and bytes for the rest."""
    return Tokenizer.from_gguf(sentencepiece_keys(SCORED))


_SENTENCE = "the mole dug tunnels. é 😀 the mole's cafe"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("trained", _SENTENCE),
        ("minilm", _SENTENCE),
        ("smollm2", _SENTENCE),
        ("word_list", "the mole dug a tunnel, the mole."),
        ("sentencepiece", "the moles é the 😀 mole"),
    ],
)
def test_a_stream_goes_on_from_a_prompt_where_its_text_ended(kind, text, request):
    """Prompt and stream join to the text of all tokens, wherever the two are divided."""
    tokenizer = request.getfixturevalue(kind)
    ids = tokenizer.encode(text).row(0)
    whole = tokenizer.decode(ids, skip_special=True)
    for cut in range(1, len(ids)):
        before = tokenizer.decode(ids[:cut], skip_special=True)
        stream = tokenizer.stream(after=ids[:cut])
        new = "".join([*map(stream.push, ids[cut:]), stream.close()])
        if "\ufffd" not in before:  # a prompt is a text: it does not end within a character
            assert before + new == whole, cut


# --- limits -------------------------------------------------------------------------------------


def test_a_text_beyond_the_limit_is_refused_with_the_counts(trained):
    count = len(trained.encode("one two three").row(0))
    trained.encode("one two three", limit=count)
    with pytest.raises(TextError, match=f"The text has {count} tokens and the limit is 3: shorten"):
        trained.encode("one two three", limit=3)
    with pytest.raises(TextError, match=r"Text 2 has .*; 2 of 3 texts are too long"):
        trained.encode(["a", "one two", "one two three"], limit=3)


def test_a_text_far_beyond_the_limit_is_refused_without_being_encoded(trained, monkeypatch):
    monkeypatch.setattr(trained, "_encodings", None)
    with pytest.raises(TextError, match=r"has 10000000 characters, .* at least \d+ tokens, and"):
        trained.encode("mole " * 2_000_000, limit=8192)


def test_truncation_is_asked_for_and_counted(trained):
    whole = trained.encode(["one two three", "a"])
    cut = trained.encode(["one two three", "a"], limit=4, truncate=True)
    assert cut.row(0) == whole.row(0)[:4]
    assert cut.row(1) == whole.row(1)
    assert cut.dropped == (len(whole.row(0)) - 4, 0)
    assert "dropped" in repr(cut)


def test_truncation_keeps_what_closes_a_text(minilm):
    tokens = minilm.encode("the mole digs a tunnel", limit=5, truncate=True)
    assert tokens.pieces[0] == ("[CLS]", "the", "mole", "dig", "[SEP]")
    assert tokens.dropped == (len(minilm.encode("the mole digs a tunnel").row(0)) - 5,)
    with pytest.raises(TextError, match="leaves no room beside 2 special ones"):
        minilm.encode("the mole", limit=2, truncate=True)
    with pytest.raises(TextError, match="limit is 0 tokens; expected at least 1"):
        minilm.encode("the mole", limit=0)


def test_a_length_limit_left_in_the_file_is_not_obeyed(minilm):
    """MiniLM's tokenizer.json cuts at 128 tokens and pads to as many."""
    assert minilm.encode("mole " * 300).lengths.tolist() == [302]
    assert minilm.encode("mole").lengths.tolist() == [3]


# --- training -----------------------------------------------------------------------------------


def test_training_merges_the_most_frequent_pairs_first():
    tokenizer = Tokenizer.train(["low low low low lower lower newest newest"], d_vocab=260)
    # lo 6 times, then low 6 times, then " low": 5; ids follow the 256 bytes and the end of text.
    assert [tokenizer.piece(number) for number in (257, 258, 259)] == ["lo", "low", "·low"]
    assert tokenizer.encode("low lower").pieces[0] == ("low", "·low", "e", "r")
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id) == (0, 0, 0)


def test_training_twice_gives_the_same_vocabulary(trained, stdlib_lines):
    one, two = (Tokenizer.train(iter(stdlib_lines[:800]), d_vocab=500) for _ in range(2))
    assert [one.piece(number) for number in range(500)] == [
        two.piece(number) for number in range(500)
    ]
    assert one.ids(stdlib_lines[:200]) == two.ids(stdlib_lines[:200])


def test_too_little_text_gives_a_smaller_vocabulary():
    tokenizer = Tokenizer.train(["abab"], d_vocab=1000)
    assert 257 < tokenizer.d_vocab < 265
    assert tokenizer.decode(tokenizer.encode("zß").row(0)) == "zß"


def test_training_refuses_what_it_cannot_do():
    with pytest.raises(TextError, match=r"d_vocab is 256; the 256 bytes .* need 257"):
        Tokenizer.train(["a"], d_vocab=256)
    with pytest.raises(TextError, match="pre-tokenizer is 'words'"):
        Tokenizer.train(["a"], d_vocab=300, split="words")
    with pytest.raises(TextError, match="Text 1 has half a character"):
        Tokenizer.train(["a", "\ud83d"], d_vocab=300)
