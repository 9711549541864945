"""Strips: heights, marks, gaps for what is not finite, and nothing sampled without a count."""

from __future__ import annotations

import pytest

from molehill.views.strips import COLOURS, binned, colour_of, ramp, strip


def test_heights_follow_the_numbers():
    assert strip([0.0, 0.5, 1.0], largest=1.0) == "▁▅█"
    assert strip([0.0, 0.5, 1.0], largest=1.0, ascii_only=True) == "_=#"
    assert strip([0.0, 1.0, 1.0], largest=1.0, mark=1) == "▁|██"
    assert strip([0.0, 0.0], largest=0.0) == "▁▁"


def test_what_is_not_finite_is_a_question():
    assert ramp(None, 1.0) == ramp(float("nan"), 1.0) == "?"


@pytest.mark.parametrize(
    ("count", "width", "step"), [(30, 40, 1), (80, 40, 2), (81, 40, 3), (5, 1, 5)]
)
def test_bins_hold_the_largest_of_their_neighbours(count, width, step):
    values = [float(number % 7) for number in range(count)]
    found, each = binned(values, width)
    assert each == step and len(found) <= width
    assert found == [max(values[start : start + step]) for start in range(0, count, step)]


def test_a_bin_with_a_gap_is_a_gap():
    assert binned([1.0, None, 2.0], 2) == ([None, 2.0], 2)


def _luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_is_legible_on_black_and_on_white(colour):
    light = _luminance(colour)
    assert min(1.05 / (light + 0.05), (light + 0.05) / 0.05) >= 2.8


def test_the_ninth_sentence_has_the_first_one_s_colour():
    assert colour_of(9) == colour_of(1)
