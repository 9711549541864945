"""Plain words: points, whole words around tokens, shares, and words picked from a lens."""

from __future__ import annotations

import pytest

from molehill.views.words import (
    after,
    clipped,
    component,
    density_told,
    enumerated,
    numbered,
    percent,
    point_mark,
    readable,
    significant,
    whole_word,
)

POINTS = ("embed", "0.resid_pre", "0.resid_mid", "0.resid_post", "final")
PARALLEL = ("embed", "0.resid_post")


def test_points_are_told_by_what_came_before_them():
    assert [after(point, POINTS) for point in POINTS] == [
        "at the start",
        "after its position was added",
        "after attention of layer 0",
        "after the MLP of layer 0",
        "after the last norm",
    ]
    assert after("0.resid_post", PARALLEL) == "after layer 0"


def test_points_fit_into_tables():
    assert [point_mark(point, POINTS) for point in POINTS] == [
        "start",
        "pos",
        "0 attn",
        "0 MLP",
        "end",
    ]
    assert [point_mark(p, POINTS, short=True) for p in POINTS] == ["0", "pos", "0a", "0m", "end"]
    assert point_mark("0.resid_post", PARALLEL) == "0"


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ("4 MLP", "MLP of layer 4"),
        ("11 attention", "attention of layer 11"),
        ("2 attention bias", "attention of layer 2 (bias)"),
        ("head 3.5", "head 3.5"),
        ("embedding", "embedding"),
    ],
)
def test_parts_of_the_model_are_told_in_words(label, told):
    assert component(label) == told


@pytest.mark.parametrize(
    ("text", "span", "word"),
    [
        ("the traitor sold", (7, 11), "traitor"),
        ("the traitor, he", (11, 12), ","),
        ("it's mine", (2, 4), "it's"),
        ("well-known", (5, 10), "well-known"),
        ("a  b", (1, 3), "<piece>"),
        ("x", (0, 0), "<piece>"),
        ("モグラは土の中に住んでいる小さな動物でありとても有名な生き物である", (3, 4), "は"),
    ],
)
def test_a_token_is_named_by_the_word_it_stands_in(text, span, word):
    assert whole_word(text, span, "<piece>") == word


def test_readable_words_come_before_fragments_and_once():
    pieces = ["·Colony", "ief", "·colony", "·the", "·,", "·digging"]
    assert readable(pieces, 2, spaced=True) == ["Colony", "the"]
    assert readable(pieces, 9, spaced=True) == ["Colony", "the", "digging"]
    assert readable(["ief", "·,"], 3, spaced=True) == ["ief"]
    assert readable(["##ing", "digging"], 2, spaced=False) == ["digging"]


@pytest.mark.parametrize(
    ("share", "told"),
    [
        (0.123, "12%"),
        (0.0041, "0.4%"),
        (-0.031, "−3%"),
        (-1e-9, "0.0%"),
        (1.0, "100%"),
        (None, "not finite"),
        (float("nan"), "not finite"),
    ],
)
def test_shares_as_people_write_them(share, told):
    assert percent(share) == told


def test_numbers_are_rounded_to_digits_and_never_nan():
    assert significant(123456.789, 3) == 123000.0
    assert significant(0.000123456, 3) == 0.000123
    assert significant(0.0) == 0.0
    assert [significant(value) for value in (float("nan"), float("inf"), None)] == [None] * 3


def test_a_density_is_told_as_the_page_tells_it():
    told = {0.25: "25%", 0.0012: "0.1%", 0.0006: "0.1%", 0.00049: "490 ppm", 1.2e-6: "1 ppm"}
    assert {density: density_told(density) for density in told} == told
    assert density_told(0.0) == "0.0%"


def test_lists_in_words():
    assert enumerated(["a"]) == "a"
    assert enumerated(["a", "b", 3]) == "a, b and 3"


def test_a_clipped_text_keeps_both_ends():
    assert clipped("short  text", 20) == "short text"
    cut = clipped("a long sentence about moles and their tunnels", 20)
    assert len(cut) <= 20 and cut.startswith("a long") and cut.endswith("els")


def test_a_number_has_its_noun_in_the_singular_or_the_plural():
    told = [numbered(1, "density"), numbered(2, "density"), numbered(1, "seed")]
    assert told == ["1 density", "2 densities", "1 seed"]
    assert [numbered(0, "seed"), numbered(1024, "seed")] == ["0 seeds", "1,024 seeds"]
