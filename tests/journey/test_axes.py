"""Named axes: a case worked by hand, and what is stated against the points themselves."""

from __future__ import annotations

import math

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.errors import ConfigError
from molehill.journey.axes import axes_of, named_axes
from molehill.journey.shift import shift


def test_a_case_worked_by_hand():
    paths = torch.tensor(
        [[[0.0, 0.0, 0.0], [2.0, 0.0, 0.0]], [[0.0, 0.0, 0.0], [0.0, 4.0, 0.0]]],
        dtype=torch.float64,
    )
    # The second direction stands at 45 degrees to the first; what is left of it is the second axis.
    directions = torch.tensor([[5.0, 0.0, 0.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
    found = named_axes(paths, directions, ["x", "xy"])
    assert found.names == ("x", "xy")
    assert found.turned == pytest.approx((0.0, 45.0), abs=1e-5)
    expected = [[[0, 0, 0], [2, 0, 0]], [[0, 0, 0], [0, 4, 0]]]
    assert torch.allclose(found.basis.coordinates, torch.tensor(expected).double(), atol=1e-12)
    # Sums of squares around the mean (0.5, 1): 3 along x and 12 along y.
    assert found.basis.explained == pytest.approx((0.2, 0.8, 0.0), abs=1e-12)


def test_axes_that_were_not_named_show_most_of_what_is_left():
    generator = torch.Generator().manual_seed(1)
    paths = torch.randn(3, 5, 8, generator=generator, dtype=torch.float64)
    direction = torch.randn(1, 8, generator=generator, dtype=torch.float64)
    found = named_axes(paths, direction, ["one"])
    axes = found.basis.axes
    assert torch.allclose(axes @ axes.T, torch.eye(3).double(), atol=1e-12)
    points = paths.flatten(0, 1)
    centred = points - points.mean(0)
    unit = direction[0] / direction.norm()
    left = centred - (centred @ unit)[:, None] * unit
    sizes = torch.linalg.svdvals(left).square() / centred.square().sum()
    assert found.basis.explained[1:] == pytest.approx(sizes[:2].tolist())
    assert torch.allclose(found.basis.coordinates[..., 0], paths @ unit)


def test_axes_of_a_shift_are_cosines_with_what_they_name():
    lm = tiny_language("llama")
    found = shift(lm, "word", ["ab word", "xyz word", "q word"])
    thrown = torch.arange(32, dtype=torch.float64)
    named = axes_of(lm, found, ["1 - 2,3", "feature:own/4"], feature=lambda name, one: thrown * one)
    ends = [torch.nn.functional.normalize(one.vectors[-1], dim=0) for one in found.sentences]
    way = ends[0] - (ends[1] + ends[2]) / 2
    cosine = float(ends[0] @ way / way.norm())
    assert float(named.basis.coordinates[0, -1, 0]) == pytest.approx(cosine)
    angle = math.degrees(math.asin(abs(float(way @ thrown / way.norm() / thrown.norm()))))
    assert named.turned[1] == pytest.approx(angle)


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ([], "0 axes are named"),
        (["1", "2", "3", "1 - 2"], "4 axes are named"),
        (["1", "1"], "lies among those named before it"),
        (["1 - 1"], "its two sides are the same"),
    ],
)
def test_directions_of_which_no_axes_can_be_made_are_refused(named, told):
    lm = tiny_language("gpt2")
    found = shift(lm, "word", ["ab word", "xyz word", "q word"])
    with pytest.raises(ConfigError, match=told):
        axes_of(lm, found, named)
