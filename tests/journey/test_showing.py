"""What results say of themselves when they are printed: short, true, and without tensors."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.journey import follow, lens, shift, why_attended
from molehill.journey.showing import clipped, few, largest

TEXT = "abcabdabe"
SENTENCES = ["it dug a mole", "he was a mole", "a gram is not a mole"] * 4


def results():
    lm = tiny_language("llama")
    found = shift(lm, "mole", SENTENCES, near=3)
    book = follow(lm, TEXT, -1).ledger("final")
    return {
        "Ledger": book,
        "Reading": book.logit(7),
        "LensGrid": lens(lm, TEXT),
        "WhyAttended": why_attended(lm, TEXT, layer=1, head=2, query=-1, key=3),
        "Shift": found,
        "ShiftPair": found.pairs[0],
        "Parting": next(pair.end for pair in found.pairs if pair.end is not None),
    }


@pytest.fixture(scope="module")
def shown():
    return {name: (one, repr(one)) for name, one in results().items()}


@pytest.mark.parametrize(
    "name", ["Ledger", "Reading", "LensGrid", "WhyAttended", "Shift", "ShiftPair", "Parting"]
)
def test_a_result_is_a_few_lines(name, shown):
    one, text = shown[name]
    assert text.startswith(name) and text == str(one)
    lines = text.splitlines()
    assert 1 <= len(lines) <= 10
    assert max(map(len, lines)) <= 132 and max(map(len, lines[1:]), default=0) <= 96
    assert "tensor(" not in text and "Tensor" not in text


def test_what_they_say_is_what_they_hold(shown):
    book, text = shown["Ledger"]
    assert f"{len(book):,} rows" in text and f"{float(book.vector.norm()):.4g}" in text
    best = book.toward(book.vector / book.vector.norm()).top(1)[0]
    assert text.splitlines()[1] == f"  {best.toward:+.3g} {best.label}"
    why, text = shown["WhyAttended"]
    assert "head 1.2 from" in text and f"score {why.score:.4g}" in text
    text = shown["Shift"][1]
    assert "'mole' in 12 sentences" in text and "tiny llama in float64" in text
    assert text.splitlines()[-1] == "  and 4 more"
    pair, text = shown["ShiftPair"]
    assert f"sentences {pair.a + 1} and {pair.b + 1}" in text
    grid, text = shown["LensGrid"]
    assert f"{len(grid.points)} points of {len(TEXT)} tokens" in text
    assert text.splitlines()[-1].startswith(f"  {grid.points[-1]}: ")


def test_what_is_not_finite_can_be_printed_too():
    lm = tiny_language("llama")
    with torch.no_grad():
        lm.model.blocks[2].mlp.w_out[0, 0] = torch.nan
    assert "nan" in repr(follow(lm, TEXT, -1).ledger("final"))
    assert repr(lens(lm, TEXT)).startswith("LensGrid")


def test_lines_are_cut_and_counted():
    assert clipped("a  b\n c") == "a b c"
    assert clipped("x" * 50, 10) == "x" * 9 + "…"
    assert few("T", map(str, range(11)), most=2).splitlines() == ["T", "  0", "  1", "  and 9 more"]
    assert largest({"a": 1.0, "b": -2.0, "c": 0.5}, 2) == "b -2, a +1"
