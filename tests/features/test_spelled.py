"""Whole words of several tokens, against words put together by hand, and labels that name them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tests.features.made_examples import dense, gathered, village

from molehill.features.labels import Corpus, Seen, label_of
from molehill.features.spelled import add_spelled, counts_of, no_counts, spelled
from molehill.features.words import Words

PIECES = ["·the", "·bur", "row", "·Bur", "·ar", "s", ".", "·row", "·mole", "ly", "·42", "ing"]
AT = 5


def ids_of(*pieces: str) -> np.ndarray:
    return np.array([PIECES.index(piece) for piece in pieces], np.int64)


@pytest.fixture(scope="module")
def words() -> Words:
    return Words.of(PIECES)


def ended(words, ids, first=None):
    first = np.arange(len(ids)) == 0 if first is None else first
    return spelled(words, ids, first)


def test_a_word_is_all_its_tokens_up_to_here(words):
    ids = ids_of("·the", "·bur", "row", "s", ".", "·ar", "row", "·row", "·Bur", "row", ".", "row")
    numbers, sizes = ended(words, ids)
    assert sizes.tolist() == [1, 1, 2, 3, 1, 1, 2, 1, 1, 2, 1, 1]
    burrow, arrow, row, capital, part = numbers[[2, 6, 7, 9, 11]].tolist()
    assert burrow == capital, "a capital makes no other word"
    assert len({burrow, arrow, row, part, int(numbers[3])}) == 5
    # A text that begins in the middle of a word goes on with nothing that stood before it.
    cut = np.zeros(len(ids), dtype=bool)
    cut[[0, 2]] = True
    assert ended(words, ids, cut)[1].tolist()[2:4] == [1, 2]
    alone = ended(words, ids_of("row"))[0].item()
    assert ended(words, ids, cut)[0][2] == alone == part
    gap = np.array([PIECES.index("·bur"), -1, PIECES.index("row")])
    assert ended(words, gap)[1].tolist() == [1, 1, 1]


def test_counts_are_never_too_low_and_exact_while_there_are_few(words):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, len(PIECES), 5000)
    numbers, _ = ended(words, ids)
    counts = no_counts()
    for part in np.split(numbers, 7 * [0] + [1234]):
        add_spelled(counts, part)
    exact = Counter(numbers.tolist())
    every = np.array(list(exact), np.uint64)
    got = counts_of(counts, every)
    assert (got >= np.array(list(exact.values()))).all()
    assert (got == np.array(list(exact.values()))).mean() > 0.999
    assert len(exact) > 200


def corpus(words, texts) -> Corpus:
    """Counts of what stands in a text."""
    tokens = np.bincount(texts, minlength=len(PIECES))
    counts = no_counts()
    add_spelled(counts, ended(words, texts)[0])
    return Corpus(words, tokens, tokens.copy(), np.full(8, len(texts) // 8), counts)


def examples(*last: str, count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(1)
    rows = rng.choice(ids_of("·the", ".", "·42"), (count, 7))
    for row in rows:
        row[AT + 1 - len(last) : AT + 1] = ids_of(*last)
    return rows


def label(words, rows, count, texts):
    places = np.full(len(rows), 5)
    return label_of(Seen(count, rows, rows, places, places, AT), corpus(words, texts))


def test_the_last_token_of_a_word_gets_the_whole_word(words):
    # 60 burrows, 60 arrows, 20 rows that stand alone.
    text = np.concatenate(
        [
            np.tile(ids_of("·the", "·bur", "row", "·the", "·ar", "row", "."), 60),
            np.tile(ids_of("·row", "."), 20),
        ]
    )
    found = label(words, examples("·bur", "row"), 60, text)
    assert (found.text, found.kind, found.score) == ("“burrow”", "word", 1.0)
    assert found.words == ("burrow",)
    # By the token alone half of the rule's hits would be arrows.
    without = Corpus(words, np.bincount(text, minlength=12), np.zeros(12), np.full(8, 70))
    rows = examples("·bur", "row")
    places = np.full(len(rows), 5)
    old = label_of(Seen(60, rows, rows, places, places, AT), without)
    assert old.score == pytest.approx(2 / 3), "60 of 120"
    both = np.concatenate([examples("·bur", "row"), examples("·ar", "row")])
    rows = both[np.random.default_rng(2).permutation(40)]
    found = label(words, rows, 120, text)
    assert found.kind != "word" and found.score > 0.9, "one rule for both needs no two words"


def test_a_longer_word_is_told_where_it_has_come_to(words):
    text = np.tile(ids_of("·bur", "row", "ing", ".", "·bur", "row", ".", "·mole", "."), 50)
    found = label(words, examples("·bur", "row"), 100, text)
    assert found.text == "“burrow”" and found.score == 1.0
    longer = examples("·bur", "row")
    longer[:15, AT + 1] = PIECES.index("ing")
    found = label(words, longer, 100, text)
    assert found.text == "“burrow-”" and found.words == ("burrow-",), "it mostly goes on"
    found = label(words, examples("·bur", "row", "ing"), 50, text)
    assert found.text == "“burrowing”" and found.score == 1.0


def test_words_of_single_tokens_are_told_as_before(words):
    text = np.tile(ids_of("·the", "·mole", ".", "·bur", "row", "."), 50)
    found = label(words, examples("·mole"), 50, text)
    assert (found.text, found.kind) == ("“mole”", "token")


def test_a_pass_counts_the_words_of_its_windows():
    found, _ = gathered()
    words = Words.of([village().tokenizer.piece(one) for one in range(len(found.tokens))])
    special, exact = village().tokenizer.special_ids, Counter()
    for window in dense().windows:
        ids = np.array(window.ids, np.int64)
        numbers, sizes = ended(words, ids)
        assert (sizes == 1).all(), "the village has no words of several tokens"
        exact.update(
            int(number)
            for place, (number, token) in enumerate(zip(numbers, window.ids, strict=True))
            if place and token not in special
        )
    every = np.array(list(exact), np.uint64)
    np.testing.assert_array_equal(counts_of(found.spelled, every), list(exact.values()))
    assert found.spelled.sum() == 2 * found.rows
