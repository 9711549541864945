from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from molehill.errors import TextError
from molehill.text.words import find_word, nearest_words


def found(text: str, word: str, **options: object) -> list[tuple[str, str]]:
    matches = find_word(text, word, **options)
    return [(text[match.start : match.end], match.rule) for match in matches]


def test_each_rule_is_named_by_what_it_accepted():
    text = "mole Mole MOLES moles' mole's mole’s MOLE'S the mole'll moles’s"
    assert found(text, "mole") == [
        ("mole", "exact"),
        ("Mole", "case"),
        ("MOLES", "plural"),
        ("moles", "plural"),
        ("mole", "possessive"),
        ("mole", "possessive"),
        ("MOLE", "possessive"),
        ("mole", "contraction"),
        ("moles", "plural possessive"),
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("exact", ["mole"]),
        ("case", ["mole", "Mole"]),
        ("word", ["mole", "Mole", "moles", "mole"]),
        ("inside", ["mole", "Mole", "moles", "mole", "mole", "mole"]),
    ],
)
def test_a_looser_rule_finds_more(rule, expected):
    text = "mole Mole moles mole's molehill guacamole"
    assert [surface for surface, _ in found(text, "mole", strictness=rule)] == expected


@pytest.mark.parametrize(
    ("word", "plural"),
    [
        ("mole", "moles"),
        ("box", "boxes"),
        ("bass", "basses"),
        ("branch", "branches"),
        ("lady", "ladies"),
        ("day", "days"),
        ("potato", "potatoes"),
        ("piano", "pianos"),
        ("Michael Jordan", "Michael Jordans"),
    ],
)
def test_regular_plurals_are_found_and_others_are_not(word, plural):
    assert found(f"two {plural}, no {plural}x", word) == [(plural, "plural")]


def test_a_word_in_es_or_ies_is_not_taken_for_the_plural_of_another():
    assert found("a species of mole", "specy") == [("species", "plural")]
    assert found("caches cached", "cach") == [("caches", "plural")]
    assert found("basses passes", "bas") == []


def test_irregular_forms_count_when_the_caller_lists_them():
    text = "The mice's tails; a Mouse; MICE; dormice"
    assert found(text, "mouse", forms=("mice",)) == [
        ("mice", "possessive"),
        ("Mouse", "case"),
        ("MICE", "form"),
    ]
    assert found(text, "mouse") == [("Mouse", "case")]


@pytest.mark.parametrize(
    "text",
    ["molehill", "guacamole", "mole_rat", "mole1", "2mole", "moléculaire", "mole\u0301", "éMole"],
)
def test_a_part_of_a_longer_word_is_not_the_word(text):
    assert found(text, "mole") == []
    assert all(rule == "inside" for _, rule in found(text, "mole", strictness="inside"))


@pytest.mark.parametrize("text", ["mole-like", "(mole)", "«mole»", "mole.", "l'mole", "mole—rat"])
def test_signs_around_a_word_are_its_edges(text):
    assert found(text, "mole") == [("mole", "exact")]


def test_an_apostrophe_inside_a_word_belongs_to_it():
    assert found("don't do", "don") == []
    assert found("O’Neill o'neill", "O'Neill") == [("O’Neill", "exact"), ("o'neill", "case")]


def test_accents_are_the_same_in_either_spelling():
    assert found("caf\u00e9 cafe\u0301 cafe", "cafe\u0301") == [
        ("caf\u00e9", "exact"),
        ("cafe\u0301", "exact"),
    ]


def test_letters_that_fold_to_two_are_found_whole_or_not_at_all():
    assert found("Straße STRASSE", "strasse") == [("Straße", "case"), ("STRASSE", "case")]
    assert found("ß", "s", strictness="inside") == []


def test_a_phrase_spans_any_white_space():
    text = "Michael Jordan, michael\n  jordan's, Michael J. Jordan"
    assert found(text, "Michael Jordan") == [
        ("Michael Jordan", "exact"),
        ("michael\n  jordan", "possessive"),
    ]


def test_scripts_without_spaces_have_no_edges():
    assert found("我看见鼹鼠在挖洞", "鼹鼠") == [("鼹鼠", "exact")]
    assert found("крот кроты", "крот") == [("крот", "exact")]


def test_the_word_itself_may_hold_signs():
    assert found("C++ and C", "C++") == [("C++", "exact")]
    assert found("a.b axb", "a.b") == [("a.b", "exact")]


@pytest.mark.parametrize(("word", "forms"), [("", ()), ("  ", ()), ("mouse", ("",))])
def test_an_empty_word_is_refused(word, forms):
    with pytest.raises(TextError, match="empty"):
        find_word("text", word, forms=forms)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(TextError, match="'fuzzy'; expected one of exact, case, word, inside"):
        find_word("text", "word", strictness="fuzzy")


def test_nearest_words_are_the_ones_a_typist_meant():
    assert nearest_words("moel", ["The Mole digs", "a tunnel"])[0] == "Mole"
    assert nearest_words("xyzzy", ["the mole digs"]) == []


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=5), st.sampled_from(["case", "word", "inside"]))
def test_matches_are_in_order_apart_and_hold_the_word(text, word, rule):
    if not word.strip():
        return
    end = 0
    for match in find_word(text, word, strictness=rule):
        assert end <= match.start < match.end <= len(text)
        end = match.end


@settings(deadline=None)
@given(st.text(st.characters(categories=["L"]), min_size=1, max_size=8), st.text(max_size=9))
def test_a_word_between_blanks_is_always_found(word, other):
    matches = find_word(f"{other} {word} {other}", word, strictness="exact")
    places = [match.start for match in matches]
    assert len(other) + 1 in places
