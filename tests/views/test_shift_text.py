"""The terminal's text: what it must say, at any width, without colour, for any text."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from tests.views.made import HOSTILE, SIX, data

from molehill.views.shift_text import MOST_STRIPS, shift_text

THIRTY = tuple(f"{number:02} {text[-20:]}" for number in range(5) for text in SIX)


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("sentences", [SIX[:1], SIX[:2], SIX, THIRTY], ids=len)
def test_no_line_is_wider_than_the_terminal(width, sentences):
    for line in shift_text(data("llama", sentences), width=width).splitlines():
        assert cell_len(line) <= width, line


def test_the_point_stands_in_the_first_lines():
    lines = shift_text(data("llama")).splitlines()
    assert lines[0].startswith("mole · 6 sentences")
    told = " ".join(" ".join(lines[:9]).split())
    assert "starts at one and the same vector" in told
    assert re.search(r"first \d and \d, after .* of layer \d", told)


def test_every_part_of_the_answer_is_there():
    text = shift_text(data("llama"))
    headings = [line for line in text.splitlines() if line.isupper()]
    assert headings == [
        "THE SENTENCES",
        "WHERE THE PATHS PART",
        "WHAT PARTED THEM",
        "WHAT MOVED EACH",
        "TO BE SURE",
    ]
    assert text.count("[mole]") == 6
    assert "Closing error" in text and "left to right" in " ".join(text.split())


def test_one_sentence_has_no_partings():
    text = shift_text(data("llama", SIX[:1]))
    assert "WHERE THE PATHS PART" not in text and "WHAT MOVED EACH" in text


def test_the_matrix_holds_every_pair_twice():
    made = data("llama")
    text = shift_text(made, width=80)
    rows = [line.split() for line in text.splitlines() if re.match(r"^ +[1-6]( |$).*\.( |$)", line)]
    marks = {point["name"]: point["mark"] for point in made["points"]}
    found = {(pair["a"], pair["b"]): pair for pair in made["pairs"]}
    assert len(rows) == 6
    for row, cells in enumerate(rows, start=1):
        line = " ".join(cells)
        for column in range(1, 7):
            pair = found.get((min(row, column), max(row, column)))
            if pair and column < row:
                assert f"{pair['end_distance']:.2f}" in line
            elif pair:
                assert marks.get(pair["parts_at"], "never") in line


def test_few_pairs_are_all_told_and_of_many_it_is_said_which():
    few = shift_text(data("llama", SIX[:3]))
    told = re.findall(r"^ *(\d) and +(\d) part .* apart:$", few, re.MULTILINE)
    assert told == [("1", "2"), ("1", "3"), ("2", "3")] and len(told) <= MOST_STRIPS
    many = shift_text(data("llama"))
    assert "of 15 pairs are told here" in many


def test_thirty_sentences_are_counted_where_a_matrix_has_no_room():
    text = shift_text(data("llama", THIRTY), width=80)
    assert "Where each of the 435 pairs parts" in text
    bars = re.findall(r"^ *(?:\d+ (?:attn|MLP)|start|end|never) █+ (\d+)$", text, re.MULTILINE)
    assert sum(map(int, bars)) == 435


def test_it_is_plain_text_and_ascii_where_it_must_be():
    text = shift_text(data("llama"))
    assert "\x1b" not in text
    plain = shift_text(data("llama"), ascii_only=True)
    assert plain.isascii() and '"mole" starts' in plain
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize("width", [60, 80])
def test_text_cannot_steer_the_terminal(width):
    sentences = (*HOSTILE, "\x1b[31m red \x07 bell mole")
    text = shift_text(data("llama", sentences), width=width)
    assert not {"\x1b", "\x07", "\u202e", "\u2028"} & set(text)
    assert "</script>" in text and "<U+001B>[31m" in text.replace("\n   ", "")


def test_a_very_long_sentence_is_shown_around_its_word():
    made = data("llama", SIX[:2])
    sentence = made["sentences"][0]
    sentence["text"] = "x" * 5000 + " mole " + "y" * 5000
    sentence["word_at"] = [5001, 5005]
    text = shift_text(made)
    assert len(text) < 9000 and "[mole]" in text and "…" in text
