"""A score in a terminal: at any width, without colour, for any text, and still a sum."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from tests.views.made import HOSTILE, why_of

from molehill.views.why_text import MOST_BARS, MOST_HEADS, MOST_PAIRS, why_text

HEADS = [None, (2, 1)]
BAR = re.compile(r"^  (\S.*?) {2,}([+−]?\d+\.\d+)  [▒█▏│ ]*$")


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("head", HEADS)
def test_no_line_is_wider_than_the_terminal(width, head):
    for line in why_text(why_of(head=head), width=width).splitlines():
        assert cell_len(line) <= width, line


def test_every_part_of_the_answer_is_there():
    text = why_text(why_of())
    headings = [line for line in text.splitlines() if line.isupper()]
    assert headings == [
        "WHERE THIS HEAD LOOKS FROM THE QUERY",
        "WHAT ASKED: THE ROWS OF E (26)",
        "WHAT ANSWERED: THE ROWS OF M (23)",
        "WHAT MET: PART OF THE QUERY WITH PART OF THE KEY",
        "THE SAME SCORE, THREE TIMES OVER",
        "TO BE SURE",
    ]
    assert text.startswith("why · head 2.1 · tiny llama, float64")
    assert "[m]" in text and "[e]" in text


def test_the_heads_are_listed_with_what_they_give():
    made = why_of(head=None)
    text = why_text(made)
    found = re.findall(r"^  head (\d)\.(\d) +([\d.]+)%", text, re.MULTILINE)
    assert len(found) == min(MOST_HEADS, 12)
    for (layer, head, share), one in zip(found, made["heads"], strict=False):
        assert (int(layer), int(head)) == (one["layer"], one["head"])
        assert float(share) == pytest.approx(100 * one["weight"], abs=0.51)
    best = made["heads"][0]
    assert f"--layer {best['layer']} --head {best['head']}" in " ".join(text.split())


@pytest.mark.parametrize("side", ["query", "key"])
def test_the_numbers_beside_a_sides_bars_add_up_to_the_score(side):
    made = why_of()
    start = {"query": "WHAT ASKED", "key": "WHAT ANSWERED"}[side]
    part = why_text(made, width=100).partition(start)[2].partition("row  ")[0]
    values = [
        float(match[2].replace("−", "-"))
        for line in part.splitlines()
        if (match := BAR.match(line))
    ]
    assert 3 <= len(values) <= MOST_BARS + 1
    assert sum(values) == pytest.approx(made["chosen"]["score"], abs=0.006 * len(values))


def test_pairs_that_are_not_listed_are_counted_and_added_up():
    made = why_of()
    text = why_text(made, width=100)
    part = text.partition("WHAT MET")[2].partition("The other")[0]
    listed = [match for line in part.splitlines() if (match := BAR.match(line))]
    assert len(listed) == MOST_PAIRS
    pairs = made["chosen"]["pairs"]
    count = len(pairs["entries"]) - MOST_PAIRS + pairs["rest_count"]
    rest = made["chosen"]["score"] - sum(one["value"] for one in pairs["entries"][:MOST_PAIRS])
    said = re.search(r"The other (\d+) pairs add ([+−]?[\d.]+)", text)
    assert int(said[1]) == count
    assert float(said[2].replace("−", "-")) == pytest.approx(rest, abs=0.006)


def test_the_three_sums_and_the_score_stand_below_one_another():
    made = why_of()
    score = f"{abs(made['chosen']['score']):.6f}"
    part = why_text(made).partition("THREE TIMES OVER")[2].partition("TO BE SURE")[0]
    assert part.count(score) == 4


@pytest.mark.parametrize("head", HEADS)
def test_it_is_plain_text_and_ascii_where_it_must_be(head):
    assert "\x1b" not in why_text(why_of(head=head))
    plain = why_text(why_of(head=head), ascii_only=True)
    assert plain.isascii()
    assert head is not None or 'From "e" to "m" attend most' in " ".join(plain.split())
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b[31m red \x07 bell mole"])
@pytest.mark.parametrize("head", HEADS)
def test_text_cannot_steer_the_terminal(text, head):
    shown = why_text(why_of("llama", text, head=head, key=0), width=60)
    assert not {"\x1b", "\x07", "\u202e", "\u2028", "\u200d"} & set(shown)
