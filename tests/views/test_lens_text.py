"""A lens in a terminal: what has room, what is left out and said, at any width and for any text."""

from __future__ import annotations

import re

import pytest
from rich.cells import cell_len
from tests.views.made import HOSTILE, SIX, lens_of

from molehill.views.lens_text import MOST_LINES, lens_text

LONG = "a mole dug on and on under the lawn"


@pytest.mark.parametrize("width", [40, 60, 80, 132])
@pytest.mark.parametrize("name", ["llama", "bert"])
@pytest.mark.parametrize("text", [SIX[0], "a", LONG])
def test_no_line_is_wider_than_the_terminal(width, name, text):
    for line in lens_text(lens_of(name, text), width=width).splitlines():
        assert cell_len(line) <= width, line


def test_every_part_of_the_answer_is_there():
    text = lens_text(lens_of())
    assert [line for line in text.splitlines() if line.isupper() and line[0] != " "] == [
        "THE NEAREST WORD AT EVERY POINT",
        "THE NEAREST WORDS OF THE LAST COLUMN",
        "TO BE SURE",
    ]
    assert text.startswith("lens · ruler logit · tiny llama, float64")


def rows_of(text: str) -> list[list[str]]:
    grid = text.partition("AT EVERY POINT")[2].partition("The block before")[0]
    return [line.split() for line in grid.splitlines()[2:] if line.strip()]


def test_the_grid_has_the_ends_of_layers_with_words_entropy_and_ranks():
    made = lens_of()
    rows = rows_of(lens_text(made, width=80))
    names = [point["name"] for point in made["points"]]
    kept = ["embed", "0.resid_post", "1.resid_post", "2.resid_post", "final"]
    assert [row[0] for row in rows] == ["start", "0", "1", "2", "end"]
    for row, name in zip(rows, kept, strict=True):
        cell = made["readings"][names.index(name)][made["focus"]]
        bits, *ranks = row[-3:]
        assert bits == f"{cell['entropy']:.1f}"
        assert ranks == [str(rank + 1) for rank in cell["ranks"]]
        assert row[-4].endswith(cell["words"][0])


def test_what_has_no_room_is_said():
    made = lens_of("llama", LONG)
    text = " ".join(lens_text(made, width=60).split())
    assert f"Of {len(LONG)} tokens, 0 to " in text and "--tokens A:B shows others" in text
    assert "--json holds the points after attention too" in text
    narrow = " ".join(lens_text(lens_of(track=(1, 2, 3)), width=48).split())
    assert "tracked words have no room" in narrow


def test_asked_tokens_are_the_columns():
    made = lens_of()
    text = lens_text(made, tokens=(3, 6), width=80)
    head = text.partition("AT EVERY POINT")[2].splitlines()[1]
    wanted = [SIX[0][place] for place in (3, 4, 5)]
    assert [word.strip("“”") for word in head.split()[:3]] == [one for one in wanted if one.strip()]
    assert f"[{SIX[0][5]}]" in text


def test_a_deep_model_has_no_more_lines_than_one_look():
    made = lens_of()
    point, row = made["points"][-2], made["readings"][-2]
    deep = [point | {"name": f"{n}.resid_post", "mark": str(n)} for n in range(60)]
    made["points"] = [made["points"][0], *deep, made["points"][-1]]
    made["readings"] = [made["readings"][0], *[row] * 60, made["readings"][-1]]
    text = lens_text(made)
    assert len(rows_of(text)) <= MOST_LINES
    assert re.search(r"Every \dth layer is shown; --every 1 shows each", " ".join(text.split()))


def test_it_is_plain_text_and_ascii_where_it_must_be():
    assert "\x1b" not in lens_text(lens_of())
    plain = lens_text(lens_of(), ascii_only=True)
    assert plain.isascii() and '"' in plain
    assert max(map(len, plain.splitlines())) <= 80


@pytest.mark.parametrize("text", [*HOSTILE, "\x1b[31m red \x07 bell mole"])
@pytest.mark.parametrize("width", [60, 80])
def test_text_cannot_steer_the_terminal(text, width):
    shown = lens_text(lens_of("llama", text), width=width, tokens=(0, 4))
    assert not {"\x1b", "\x07", "\u202e", "\u2028", "\u200d"} & set(shown)
