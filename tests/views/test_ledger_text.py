"""A ledger in a terminal: at any width, without colour, for any text, and still a sum."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from tests.views.made import HOSTILE, SIX, ledger_of

from molehill.views.ledger import AXES
from molehill.views.ledger_text import MOST_BARS, ledger_text

BAR = re.compile(r"^  (\S.*?) {2,}([+−]?\d+(?:\.\d+)?)(?: +−?[\d.]+%)?  [▒█▏│ ]*$")


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("toward", [None, 3])
@pytest.mark.parametrize("by", AXES)
def test_no_line_is_wider_than_the_terminal(width, toward, by):
    made = ledger_of("llama", toward=toward)
    for line in ledger_text(made, width=width, by=by).splitlines():
        assert cell_len(line) <= width, line


def test_every_part_of_the_answer_is_there():
    text = ledger_text(ledger_of("llama", toward=3))
    headings = [line for line in text.splitlines() if line.isupper()]
    assert [line.split(",")[0] for line in headings] == [
        "WHAT ADDS UP TO THE SCORE",
        headings[1],
        "TO BE SURE",
    ]
    assert headings[1].startswith("THE 12 LARGEST OF ")
    assert text.startswith("ledger · at final · tiny llama, float64")
    assert "Closing error" in text and "A row says what was added" in text


@pytest.mark.parametrize("by", AXES)
@pytest.mark.parametrize("toward", [None, 3])
def test_the_numbers_beside_the_bars_add_up_to_the_whole(by, toward):
    made = ledger_of("llama", toward=toward)
    part = ledger_text(made, by=by, width=100).partition("WHAT ADDS UP")[2].partition("Values")[0]
    found = [match for line in part.splitlines() if (match := BAR.match(line))]
    values = [float(match[2].replace("−", "-")) for match in found]
    assert len(values) >= 3
    assert sum(values) == pytest.approx(made["read"]["measured"], abs=0.006 * len(values))


def test_groups_without_a_bar_are_one_bar_together():
    made = ledger_of("llama")
    text = ledger_text(made, by="neuron")
    entries = made["groups"]["neuron"]["entries"]
    assert f"{len(entries) - MOST_BARS:,} others together" in text
    assert entries[MOST_BARS - 1]["name"] in text and entries[MOST_BARS + 1]["name"] not in text


def test_rows_that_are_not_listed_are_counted_and_added_up():
    made = ledger_of("llama")
    text = " ".join(ledger_text(made, top=3).split())
    rest = made["read"]["total"] - sum(row["value"] for row in made["rows"][:3])
    shown = f"{abs(rest):.2f}"
    sign = "−" if rest < 0 else r"\+"
    assert re.search(rf"The other {made['rows_count'] - 3:,} rows add {sign}{shown}", text)


@pytest.mark.parametrize("toward", [None, 3])
def test_it_is_plain_text_and_ascii_where_it_must_be(toward):
    made = ledger_of("llama", toward=toward)
    assert "\x1b" not in ledger_text(made)
    plain = ledger_text(made, ascii_only=True)
    assert plain.isascii() and '"' in plain
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b[31m red \x07 bell mole"])
@pytest.mark.parametrize("width", [60, 80])
def test_text_cannot_steer_the_terminal(text, width):
    shown = ledger_text(ledger_of("llama", text), width=width, by="source")
    assert not {"\x1b", "\x07", "\u202e", "\u2028", "\u200d"} & set(shown)
    if "\x1b" in text:
        assert "<U+001B>" in shown


def test_the_token_looked_at_stands_in_brackets():
    assert SIX[0][-1] == "e" and "[e]" in ledger_text(ledger_of("llama"))
