"""Attention as data and as text: matrices read back, pictures pooled by plain loops, words."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch
from tests.journey.tiny import tiny_language
from tests.views.made import HOSTILE

from molehill.errors import SiteError, TextError
from molehill.journey.attention import attention
from molehill.views.attention import attention_data, direction_of, head_data
from molehill.views.attention_text import attention_text, matrix_of
from molehill.views.html import embedded_json
from molehill.views.matrices import Pooled, base64_halves, pooled

TEXT = "the mole saw the mole"
HALF = 2.0**-11


def made(name="llama", text=TEXT, **options):
    lm = tiny_language(name)
    found = attention(lm, text)
    toward = direction_of(lm, found, None)
    return found, toward, attention_data(lm, found, toward, version="0.0.0", **options)


@pytest.mark.parametrize("name", ["llama", "gemma", "bert"])
def test_a_heads_matrices_are_read_back_to_half_precision(name):
    found, toward, data = made(name, layer=1, head=2)
    head = found.head(1, 2, toward)
    for weigh, true in (
        ("pattern", head.pattern),
        ("added", head.added),
        ("toward", head.toward),
    ):
        read = torch.from_numpy(matrix_of(data, weigh))
        error = (read - true).abs()
        # Lists of lengths have five digits; the smallest numbers have a fixed step.
        assert bool((error <= true.abs() * (HALF + 2e-5) + float(true.abs().max()) * 6e-8).all())
    assert (data["head"]["layer"], data["head"]["head"]) == (1, 2)
    assert (data["head"]["divisors"] is None) == (name != "gemma")
    assert data["head"]["adds"] == pytest.approx(head.adds.tolist(), rel=1e-4)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("count", "most"), [(7, 32), (70, 32), (9, 3), (1, 4)])
def test_a_small_picture_has_the_largest_of_each_square(signed, count, most):
    generator = torch.Generator().manual_seed(count)
    matrix = torch.randn(count, count, generator=generator) if signed else None
    matrix = torch.rand(count, count, generator=generator) if matrix is None else matrix
    matrix = matrix.tril()
    small = Pooled(count, most, triangle=True, signed=signed)
    small.add(matrix)
    side, cell = small.side, small.cell
    expected = np.zeros((side, side))
    for row in range(count):
        for column in range(count):
            place = (row // cell, column // cell)
            if abs(float(matrix[row, column])) > abs(expected[place]):
                expected[place] = float(matrix[row, column])
    np.testing.assert_array_equal(pooled(matrix, cell).numpy(), expected.astype(np.float32))
    told = small.to_dict()
    raw = np.frombuffer(base64.b64decode(str(told["pictures"])), np.int8 if signed else np.uint8)
    picture = np.zeros((side, side))
    picture[np.tril_indices(side)] = raw
    steps, scale = (127 if signed else 255), told["scales"][0]
    read = np.sign(picture) * (np.abs(picture) / steps) ** 2 * scale
    assert np.abs(read - expected).max() <= scale * (1.01 / steps + 1e-3)


def test_nothing_is_a_picture_too():
    assert base64_halves(torch.zeros(2, 2), triangle=False)[1] == 1.0
    small = Pooled(2, 4, triangle=False)
    small.add(torch.zeros(2, 2))
    assert small.to_dict()["scales"] == [0.0]


def test_every_number_of_the_glance_is_the_measures_own():
    found, toward, data = made(position=3)
    assert data["toward"] == {
        "word": None,
        "piece": None,
        "position": 3,
        "at": " ",
        "measured": pytest.approx(float(toward.measured[3]), rel=1e-5),
    }
    names = [one["name"] for one in data["measures"]]
    assert list(data["values"]) == names and "following" not in names
    along = float(found.head(2, 1, toward).toward[3].sum())
    assert data["values"]["toward"][2][1] == pytest.approx(along, rel=1e-4)
    largest = max(abs(value) for row in data["values"]["toward"] for value in row)
    head = data["head"]
    assert abs(data["values"]["toward"][head["layer"]][head["head"]]) == largest
    assert len(data["small"]["pattern"]["scales"]) == data["layers"] * data["heads_per_layer"]


def test_a_model_that_reads_both_ways_has_one_measure_more_and_whole_squares():
    data = made("bert")[2]
    assert "following" in data["values"] and not data["causal"]
    count = len(data["pieces"])
    assert len(base64.b64decode(data["head"]["pattern"]["halves"])) == 2 * count**2


def test_windows_are_told_where_there_are_some():
    assert made("gemma")[2]["windows"] == [5, None, 5]
    assert made("llama")[2]["windows"] is None


def test_a_page_on_a_disk_has_all_heads_of_a_short_text_and_says_when_it_has_not(monkeypatch):
    data = made(embed=True)[2]
    assert [(one["layer"], one["head"]) for one in data["heads"]] == [
        (layer, head) for layer in range(3) for head in range(4)
    ]
    assert not any("holds one head" in note for note in data["notes"])
    monkeypatch.setattr("molehill.views.attention.MOST_EMBEDDED", 20)
    data = made(embed=True)[2]
    assert data["heads"] == [] and any("holds one head" in note for note in data["notes"])


def test_toward_a_word_names_it():
    lm = tiny_language("llama")
    found = attention(lm, TEXT)
    toward = found.toward_word(5)
    data = attention_data(lm, found, toward, word="#5", version="0.0.0")
    assert data["toward"]["piece"] == "<5>"
    assert "toward “<5>”" in data["measures"][-1]["title"]
    assert "“<5>”" in data["summary"][1]


def test_what_is_not_there_is_refused():
    with pytest.raises(SiteError, match="no token at position 40"):
        made(position=40)
    with pytest.raises(SiteError, match="give both, or neither"):
        made(layer=1)
    with pytest.raises(SiteError, match=r"no head 3\.0"):
        made(layer=3, head=0)
    lm = tiny_language("llama")
    with pytest.raises(TextError):
        attention(lm, "a" * 2100)


@pytest.mark.parametrize("text", [TEXT, "a", "ab", *HOSTILE])
@pytest.mark.parametrize("name", ["llama", "bert"])
def test_data_is_plain_and_text_says_the_same(name, text):
    lm = tiny_language(name)
    found = attention(lm, text[: lm.config.n_ctx])
    toward = direction_of(lm, found, None)
    data = attention_data(lm, found, toward, version="0.0.0", digits=5)
    assert json.loads(embedded_json(data)) == json.loads(json.dumps(data))
    told = attention_text(data, by="previous", width=100)
    assert data["summary"][0][:20] in told and "TO BE SURE" in told
    one = head_data(lm, found, toward, 2, 3, version="0.0.0")
    told = attention_text(one, ascii_only=True)
    assert "HEAD 2.3" in told and "looks most at" in told


def test_the_text_lists_heads_in_the_order_of_a_measure():
    data = made()[2]
    told = attention_text(data, by="entropy", width=120).splitlines()
    start = next(place for place, line in enumerate(told) if line.strip().startswith("head "))
    rows = [line.split() for line in told[start + 1 : start + 13]]
    values = [data["values"]["entropy"][int(row[0][0])][int(row[0][2])] for row in rows]
    assert values == sorted(values, reverse=True) and len(values) == 12
