"""Labels of features whose rule is known, with figures worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from molehill.features.labels import UNCLEAR, Corpus, Seen, label_of
from molehill.features.words import KINDS, Words

PIECES = [
    "·", "·mole", "·Mole", "·lawn", "·the", "·spy", ".", "ing", "·42", "·7", "·dig", "⏎",
    *(f"·word{'abcdefghijklmnopqrst'[at]}" for at in range(20)),
]  # fmt: skip
AT = 4


def number(piece: str) -> int:
    return PIECES.index(piece)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """1,000 tokens: 50 of mole in either case, 200 of the, 60 numbers; the rest alike."""
    counts = np.full(len(PIECES), 30)
    for piece, count in (("·mole", 40), ("·Mole", 10), ("·the", 200), ("·42", 40), ("·7", 20)):
        counts[number(piece)] = count
    positions = np.full(25, counts.sum() // 25)
    return Corpus(Words.of(PIECES), counts, counts.copy(), positions)


def rows(pieces, count=20, before=None, after=None, seed=0) -> np.ndarray:
    """Examples at these pieces in turn, with other words around them."""
    rng = np.random.default_rng(seed)
    made = rng.integers(number("·worda"), len(PIECES), (count, 7))
    for row, example in enumerate(made):
        example[AT] = number(pieces[row % len(pieces)])
        if before:
            example[AT - 1] = number(before[row % len(before)])
        if after:
            example[AT + 1] = number(after[row % len(after)])
    return made


def seen(count, top, sample, **more) -> Seen:
    places = [np.full(len(each), 12) for each in (top, sample)]
    return Seen(count, top, sample, *places, AT, **more)


def test_a_word_in_either_case_is_one_rule_with_precision_and_recall(corpus):
    same = rows(["·mole", "·Mole"])
    label = label_of(seen(50, same, same), corpus)
    assert (label.text, label.kind, label.score) == ("“mole”", "token", 1.0)
    # Active at 25 of the 50: every activation is at the word, half the words are activations.
    half = label_of(seen(25, same, same), corpus)
    assert half.text == "“mole”" and half.score == pytest.approx(2 * 0.5 * 1 / 1.5)
    assert "precision 0.50, recall 1.00 on 10 held-out" in half.evidence[0]
    assert half.chance == pytest.approx(2 * (25 / corpus.rows) / (1 + 25 / corpus.rows))


def test_the_score_is_of_examples_that_were_not_chosen_on(corpus):
    sample = np.concatenate((rows(["·mole"], 10), rows(["·spy"], 10)))
    label = label_of(seen(20, rows(["·mole"]), sample), corpus)
    assert label.kind == "strongest token" and label.text == "strongest at “mole”"
    assert label.score == 1.0 and label.chance == pytest.approx(50 / corpus.rows)


@pytest.mark.parametrize(
    ("pieces", "before", "count", "text", "kind"),
    [
        (["·worda", "·wordb", "·wordc", "·wordd"], ["·the"], 200, "after “the”", "after"),
        (["·42", "·7"], None, 60, "numbers", "kind"),
        (
            [f"·word{one}" for one in "abcdefghijkl"],
            ["·7", "·42"],
            60,
            "after numbers",
            "after kind",
        ),
        (["·mole", "·spy"], None, 80, "“mole”, “spy”", "token"),
    ],
)
def test_what_stands_before_and_kinds_are_rules_too(corpus, pieces, before, count, text, kind):
    same = rows(pieces, before=before)
    label = label_of(seen(count, same, same), corpus)
    assert label.kind == kind or (text == "numbers" and label.kind in ("kind", "token"))
    assert label.text == text or set(label.words) == {"42", "7"}
    assert label.score > 0.85


def test_places_are_a_rule(corpus):
    pieces = [f"·word{one}" for one in "abcdefghijklmnopqrst"]
    same = rows(pieces)
    places = np.ones(20, np.int64)
    given = Seen(int(corpus.positions[:2].sum()), same, same, places, places, AT)
    label = label_of(given, corpus)
    assert (label.kind, label.text) == ("position", "the first 2 tokens of a window")
    assert label.score == pytest.approx(1.0)


def test_words_around_and_words_that_follow(corpus):
    pieces = [f"·word{one}" for one in "abcdefghijklmnopqrst"]
    near = np.concatenate((rows(pieces, seed=1), rows(pieces, seed=2)))
    dig = np.arange(40) % 4 < 2
    near[dig, 0], near[~dig, 1] = number("·dig"), number("·lawn")
    label = label_of(seen(900, near[:20], near), corpus)
    assert label.kind == "near" and set(label.words) >= {"dig", "lawn"} and label.score == 1.0
    follows = np.concatenate((rows(pieces, after=["·spy"], seed=3), rows(pieces, seed=4)))
    given = seen(900, follows[:20], follows, promoted=[number("·spy")])
    label = label_of(given, corpus)
    assert label.kind == "follows" and label.text == "before “spy”"
    held = np.concatenate((follows[:20][1::2], follows[20:]))
    assert label.score == pytest.approx((held[:, AT + 1] == number("·spy")).mean())


def test_where_nothing_holds_it_is_unclear_and_says_what_was_tried(corpus):
    pieces = [f"·word{one}" for one in "abcdefghijklmnopqrst"]
    none = label_of(seen(300, rows(pieces, seed=5), rows(pieces[::-1], seed=6)), corpus)
    assert none.text == none.kind == UNCLEAR and none.score == 0.0
    assert len(none.evidence) >= 2 and "F1" in none.evidence[0]
    few = label_of(seen(2, rows(["·mole"], 1), rows(["·mole"], 2)), corpus)
    assert few.text == UNCLEAR and "Only 2 activations" in few.evidence[0]


def test_words_are_whole_and_parts_are_told_from_them():
    words = Words.of(["·dig", "ging", "dig", "·Digging", ".", "·the", "The"])
    assert words.words == ("dig", "-ging", "-dig", "digging", ".", "the")
    assert words.number[5] == words.number[6], "a capital without a space begins a text"
    ids = [5, 0, 1, 4]
    assert [words.word_at(ids, at) for at in range(4)] == ["the", "digging", "digging", "."]
    of = dict(zip(KINDS, words.kinds, strict=True))
    assert of["parts of words"].tolist() == [False, True, True, False, False, False, True]
    assert of["punctuation"].tolist()[4] and of["words in -ing"].tolist()[3]
    bert = Words.of(["dig", "##ging", "the"])
    assert bert.word_at([2, 0, 1], 1) == "digging" and bert.words == ("dig", "-ging", "the")
