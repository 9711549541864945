"""Groups in their own words."""

from __future__ import annotations

from molehill.journey.describe import describe

SENTENCES = (
    "the mole dug a tunnel in the garden",
    "a tunnel under the garden was dug by the mole",
    "the spy was a mole in the agency",
    "the agency found the mole and the spy",
)


def test_a_group_is_told_by_the_words_that_the_others_lack():
    words = describe(SENTENCES, [0, 0, 1, 1], k=3, leave_out=["Mole"])
    assert set(words[0]) == {"dug", "garden", "tunnel"}
    assert words[1][:2] == ("agency", "spy")


def test_the_word_itself_and_common_words_tell_nothing():
    words = describe(SENTENCES, [0, 0, 1, 1], k=20, leave_out=["mole"])
    assert not {"mole", "the"} & {*words[0], *words[1]}


def test_one_group_is_told_by_its_frequent_words():
    assert describe(["sun sun sun", "sun rain"], [0, 0], k=1) == {0: ("sun",)}


def test_no_words_no_description():
    assert describe(["1234", "!!"], [0, 1]) == {0: (), 1: ()}
