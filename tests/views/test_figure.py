"""Figures: real files of both kinds, text kept as text, nothing active, the same every time."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET

import pytest
from tests.views.made import HOSTILE, SIX, data

from molehill.views.figure import shift_figure

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: bytes) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("dark", [False, True])
def test_a_png_is_2000_pixels_wide(dark):
    png = shift_figure(data("llama"), kind="png", dark=dark)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == 2000 and 900 < height < 1500


def test_svg_keeps_sentences_and_provenance_as_text():
    found = texts(shift_figure(data("llama"), kind="svg"))
    assert set(SIX) <= set(found)
    assert any("tiny llama" in text and "closing error" in text for text in found)
    assert any("of the variance" in text for text in found)


def test_the_same_result_gives_the_same_file():
    assert shift_figure(data("llama"), kind="svg") == shift_figure(data("llama"), kind="svg")


def test_hostile_sentences_are_drawn_as_text():
    svg = shift_figure(data("llama", HOSTILE), kind="svg")
    root = ET.fromstring(svg)
    assert not [
        node
        for node in root.iter()
        if node.tag.rpartition("}")[2] in ("script", "img", "foreignObject")
    ]
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]
    assert any('</script><img src=x onerror="alert(1)">' in text for text in texts(svg))


@pytest.mark.parametrize("count", [1, 2, 6, 13])
def test_any_number_of_sentences_is_drawn(count):
    sentences = tuple(f"{'abcdefghijklm'[number]} {SIX[number % 6]}" for number in range(count))
    found = texts(shift_figure(data("llama", sentences), kind="svg"))
    assert sum(text in sentences for text in found) == min(count, 12)
    assert any("and 1 more sentence" in text for text in found) == (count == 13)


def test_gaps_are_left_where_numbers_are_not_finite():
    made = data("llama", SIX[:2])
    made["pairs"][0]["distances"][3] = None
    made["bases"]["differences"]["paths"][0][2] = [None, None, None]
    made["closing_error"] = None
    found = texts(shift_figure(made, kind="svg"))
    assert any("closing error not finite" in text for text in found)
