"""Dimensionality, interference and names of polytopes, on figures that are built exactly."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.toy_shapes import (
    PLATEAUS,
    dimensionality,
    dimensions_per_feature,
    feature_norms,
    interference,
    polytope,
    shapes_of,
)


def turned(w: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """The same figure in another position."""
    generator = torch.Generator().manual_seed(seed)
    frame = torch.linalg.qr(torch.randn(len(w), len(w), generator=generator, dtype=w.dtype)).Q
    return frame @ w


def test_dimensionality_and_interference_by_hand():
    w = torch.tensor([[2.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    assert feature_norms(w).tolist() == [2, 1, 1, 0]
    # The first feature's direction meets itself with 2² and the third with 1².
    assert dimensionality(w).tolist() == pytest.approx([4 / 5, 1, 1 / 5, 0])
    assert interference(w).tolist() == pytest.approx([1, 0, 4, 0])
    assert float(dimensions_per_feature(w)) == pytest.approx(2 / 6)


@pytest.mark.parametrize(("name", "size"), PLATEAUS.items())
def test_a_figure_has_its_fraction_and_its_name(name, size):
    w = turned(polytope(name))
    assert dimensionality(w).tolist() == pytest.approx([size] * w.shape[1])
    (shape,) = shapes_of(w)
    assert shape.name == name and shape.dimensions == len(w)
    assert shape.dimensionality == pytest.approx(size)
    # The antiprisms are held against one another in steps of a hundredth of their height.
    assert shape.deviation == pytest.approx(0, abs=0.01 if "antiprism" in name else 1e-6)


def test_corners_of_a_pentagon_are_72_degrees_apart():
    w = polytope("pentagon")
    assert [float(a @ b) for a, b in pairwise(w.T)] == pytest.approx([0.309017] * 4, abs=1e-6)
    w = polytope("tetrahedron")
    assert (w.T @ w)[0].tolist() == pytest.approx([1, -1 / 3, -1 / 3, -1 / 3])


def test_figures_that_share_no_dimension_are_told_apart():
    parts = [polytope("triangle"), polytope("digon"), polytope("pentagon"), torch.eye(1).double()]
    w = torch.block_diag(*parts, torch.zeros(0, 2).double())
    found = shapes_of(turned(w, 3))
    assert [(shape.name, len(shape.features)) for shape in found] == [
        ("pentagon", 5),
        ("triangle", 3),
        ("digon", 2),
        ("alone", 1),
    ]
    assert found[0].features == (5, 6, 7, 8, 9)
    # Two features are not represented and belong nowhere.
    assert sum(len(shape.features) for shape in found) == 11


def test_what_is_no_regular_figure_is_counted_only():
    w = torch.tensor([[1.0, 0.0, 0.7071], [0.0, 1.0, 0.7071]])
    (shape,) = shapes_of(w)
    assert shape.name == "3 in 2" and shape.deviation is None
    three = torch.tensor([[1.0, -1.0, 0.9]])
    assert [shape.name for shape in shapes_of(three)] == ["3 in 1"]


def test_a_figure_may_be_a_little_off_and_no_more():
    w = polytope("pentagon")
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, 5, generator=generator, dtype=torch.float64)
    (near,) = shapes_of(w + 0.03 * noise)
    assert near.name == "pentagon" and near.deviation and 0 < near.deviation < 0.12
    (far,) = shapes_of(w + 0.4 * noise)
    assert far.name == "5 in 2"


def test_square_antiprisms_may_be_taller_or_flatter():
    w = polytope("square antiprism")
    w[2] *= 0.511 / w[2].abs().max()
    w[:2] *= (1 - 0.511**2) ** 0.5 / w[:2].norm(dim=0)
    (shape,) = shapes_of(w)
    assert shape.name == "square antiprism" and shape.deviation and shape.deviation < 0.01
    cube = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)]).T
    (shape,) = shapes_of(cube / 3**0.5)
    assert shape.name == "8 in 3"


def test_an_unknown_figure_is_named_with_the_known_ones():
    with pytest.raises(GeometryError, match="no figure 'teapot' here: digon"):
        polytope("teapot")
