"""Figures of causal traces: real files of both kinds, text as text, the same every time."""

from __future__ import annotations

import struct
import xml.etree.ElementTree as ET

import pytest
from matplotlib.colors import to_rgb
from tests.views.made import HOSTILE
from tests.views.made_traces import LAYERS, PIECES, fact_made, relation_made
from tests.views.test_figure import SVG, texts

from molehill.views.fact_trace_figure import fact_trace_figure


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("made", [fact_made, relation_made])
def test_a_png_is_2000_pixels_wide(made, dark):
    png = fact_trace_figure(made(), kind="png", dark=dark)
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    assert width == 2000 and 400 < height < 900


def test_it_names_tokens_kinds_peaks_and_the_total_effect():
    found = texts(fact_trace_figure(fact_made(), kind="svg"))
    assert {"Michael *", "Jordan *", "plays", "of"} <= set(found)
    assert not any(PIECES[0] in text for text in found)  # of no effect, and said so
    assert any("not drawn: 1 token before the subject" in text for text in found)
    assert any(text.startswith("total effect 0.77:") for text in found)
    whole = " ".join(found)
    for title in ("State after a layer", "MLP, 10 layers together", "most 0.48, layer 12"):
        assert title in whole
    assert "tiny llama" in whole and "Corruption: noise of 3.0 sigma" in whole
    found = texts(fact_trace_figure(relation_made(), kind="svg"))
    assert {"last subject *", "first further", "last"} <= set(found)
    assert any("95% interval 0.55 to 0.67" in text for text in found)


def fills(svg: bytes, colour: str) -> int:
    """Shapes filled with a colour."""
    wanted = f"fill: {colour}"
    return sum(wanted in node.get("style", "") for node in ET.fromstring(svg).iter(f"{SVG}path"))


def test_a_cell_is_as_strong_as_its_effect_on_one_scale():
    made = fact_made(approximated=False)
    for one in made["kinds"].values():
        one["effects"] = [[0.0] * len(PIECES) for _ in range(LAYERS)]
    made["kinds"]["state"]["effects"][3][2] = 0.8
    made["kinds"]["mlp"]["effects"][5][4] = 0.4
    svg = fact_trace_figure(made, kind="svg")
    more = to_rgb("#0064b5")
    half = "#" + "".join(f"{round(255 * (1 + part) / 2):02x}" for part in more)
    assert fills(svg, "#0064b5") == 1
    near = [
        f"#{int(half[1:3], 16) + step:02x}{int(half[3:5], 16) + other:02x}{half[5:]}"
        for step in (-1, 0, 1)
        for other in (-1, 0, 1)
    ]
    assert sum(fills(svg, colour) for colour in near) == 1


def test_the_same_result_gives_the_same_file():
    first, again = (fact_trace_figure(fact_made(), kind="svg") for _ in range(2))
    assert first == again


@pytest.mark.parametrize("word", HOSTILE)
def test_hostile_tokens_are_drawn_as_text(word):
    made = fact_made(pieces=(PIECES[0], word, *PIECES[2:]), target=word, subject=word)
    root = ET.fromstring(fact_trace_figure(made, kind="svg"))
    active = ("script", "img", "foreignObject")
    assert not [node for node in root.iter() if node.tag.rpartition("}")[2] in active]
    assert not [name for node in root.iter() for name in node.attrib if name.startswith("on")]


def test_what_is_not_finite_leaves_a_gap():
    made = fact_made()
    made["kinds"]["state"]["effects"] = [[None] * len(PIECES) for _ in range(LAYERS)]
    made["kinds"]["state"]["peak"] = None
    assert any("not finite" in text for text in texts(fact_trace_figure(made, kind="svg")))


def test_no_effect_at_all_is_drawn_too():
    made = fact_made(approximated=False)
    for one in made["kinds"].values():
        one["effects"] = [[0.0] * len(PIECES) for _ in range(LAYERS)]
    assert fact_trace_figure(made, kind="png")
