"""What toy models made of their features: dimensionality, interference, the polytopes they form.

Elhage et al., "Toy Models of Superposition", 2022: the dimensionality of a feature is how much of a
dimension it has to itself (section 4, "The geometry of superposition"), and groups of features that
share dimensions stand like the corners of a regular figure. This module knows matrices and no
training.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import pi, sqrt

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import GeometryError

__all__ = [
    "PLATEAUS",
    "Shape",
    "dimensionality",
    "dimensions_per_feature",
    "feature_norms",
    "interference",
    "polytope",
    "shapes_of",
]

PLATEAUS: dict[str, float] = {
    "tetrahedron": 3 / 4,
    "triangle": 2 / 3,
    "digon": 1 / 2,
    "pentagon": 2 / 5,
    "square antiprism": 3 / 8,
}
"""The fractions that dimensionalities keep to, with the figure of each: its dimensions by its
corners."""

_POLYGONS = {5: "pentagon", 6: "hexagon", 7: "heptagon", 8: "octagon", 9: "nonagon", 10: "decagon"}
_SIMPLICES = {2: "digon", 3: "triangle", 4: "tetrahedron", 5: "5-cell", 6: "5-simplex"}


@dataclass(frozen=True)
class Shape:
    """Features that share dimensions with one another and with no others.

    Attributes:
        name: the regular figure that they are the corners of, or `5 in 3` where there is none.
        features: which.
        dimensions: that they span.
        dimensionality: of a feature, on average.
        deviation: the largest difference between a cosine of theirs and the figure's; None where
            there is no figure.
    """

    name: str
    features: tuple[int, ...]
    dimensions: int
    dimensionality: float
    deviation: float | None


def feature_norms(weights: Float[Tensor, "*some m n"]) -> Float[Tensor, "*some n"]:
    """‖W_i‖: about 1 for a feature that is represented, 0 for one that is not."""
    return weights.norm(dim=-2)


def dimensionality(weights: Float[Tensor, "*some m n"]) -> Float[Tensor, "*some n"]:
    """D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)²: 1 for a dimension of its own, 1/2 for one of an antipodal
    pair, 0 for a feature that is not represented."""
    squares = weights.square().sum(-2)
    met = _unit(weights).mT @ weights
    total = met.square().sum(-1)
    return torch.where(total > 0, squares / total.clamp_min(1e-30), torch.zeros_like(squares))


def interference(weights: Float[Tensor, "*some m n"]) -> Float[Tensor, "*some n"]:
    """Σ_(j≠i) (Ŵ_i · W_j)²: how much of the others lies along a feature; 0 where none does."""
    met = (_unit(weights).mT @ weights).square()
    return met.sum(-1) - met.diagonal(dim1=-2, dim2=-1)


def dimensions_per_feature(weights: Float[Tensor, "*some m n"]) -> Float[Tensor, "*some"]:
    """D* = m / ‖W‖²: dimensions for each feature that is represented."""
    return weights.shape[-2] / weights.square().sum((-2, -1))


def _unit(weights: Tensor) -> Tensor:
    return weights / weights.norm(dim=-2, keepdim=True).clamp_min(1e-15)


def polytope(name: str) -> Float[Tensor, "m n"]:
    """The corners of a figure of `PLATEAUS`, a regular polygon or a simplex, as unit columns.

    The square antiprism is the one whose corners are a tight frame: there each of them has exactly
    3/8 of a dimension.

    Raises:
        GeometryError: no such figure.
    """
    for corners, named in _POLYGONS.items():
        if named == name:
            return _polygon(corners)
    for corners, named in _SIMPLICES.items():
        if named == name:
            return _simplex(corners)
    if name == "square antiprism":
        return _antiprism(1 / sqrt(3))
    known = ", ".join([*_SIMPLICES.values(), *_POLYGONS.values(), "square antiprism"])
    raise GeometryError(f"There is no figure {name!r} here: {known}.")


def _polygon(corners: int) -> Tensor:
    turn = 2 * pi * torch.arange(corners, dtype=torch.float64) / corners
    return torch.stack([turn.cos(), turn.sin()])


def _simplex(corners: int) -> Tensor:
    """From the unit vectors, moved so that their middle is 0."""
    middle = torch.eye(corners, dtype=torch.float64) - 1 / corners
    values, vectors = torch.linalg.eigh(middle)
    kept = values > 0.5
    flat = vectors[:, kept].mT
    return flat / flat.norm(dim=0)


def _antiprism(high: float) -> Tensor:
    """Two squares turned by 45 degrees, `high` above and below the middle."""
    turn = pi / 2 * torch.arange(4, dtype=torch.float64)
    wide, sides = sqrt(1 - high**2), []
    for start, level in ((0.0, high), (pi / 4, -high)):
        level_row = torch.full((4,), level, dtype=torch.float64)
        sides.append(
            torch.stack([wide * (turn + start).cos(), wide * (turn + start).sin(), level_row])
        )
    return torch.cat(sides, 1)


def shapes_of(
    weights: Float[Tensor, "m n"],
    *,
    present: float = 0.3,
    apart: float = 0.2,
    tolerance: float = 0.12,
) -> tuple[Shape, ...]:
    """The groups of features that share dimensions, each with the figure it forms; the largest
    first.

    Args:
        present: the least norm of a feature that counts as represented.
        apart: features whose |cosine| is less share no dimension.
        tolerance: how far any cosine may be from the figure's.
    """
    norms = feature_norms(weights)
    kept = (norms > present).nonzero().flatten().tolist()
    units = _unit(weights.double())
    cosines = units.mT @ units
    sizes = dimensionality(weights)
    found = [
        _shape(tuple(group), cosines, sizes, tolerance) for group in _groups(kept, cosines, apart)
    ]
    return tuple(sorted(found, key=lambda shape: (-len(shape.features), shape.features)))


def _groups(kept: list[int], cosines: Tensor, apart: float) -> list[list[int]]:
    """Features that are joined, by one another or by others between them."""
    near = cosines.abs() >= apart
    left, groups = set(kept), []
    while left:
        group, edge = [], [min(left)]
        left -= set(edge)
        while edge:
            one = edge.pop()
            group.append(one)
            joined = [other for other in left if bool(near[one, other])]
            left -= set(joined)
            edge += joined
        groups.append(sorted(group))
    return groups


def _shape(group: tuple[int, ...], cosines: Tensor, sizes: Tensor, tolerance: float) -> Shape:
    size = float(sizes[list(group)].mean())
    if len(group) == 1:
        return Shape("alone", group, 1, size, 0.0)
    gram = cosines[list(group)][:, list(group)]
    values = torch.linalg.eigvalsh(gram)
    spanned = int((values > 0.1 * values[-1]).sum())
    name, deviation = _named(gram, len(group), spanned)
    if deviation is None or deviation > tolerance:
        return Shape(f"{len(group)} in {spanned}", group, spanned, size, None)
    return Shape(name, group, spanned, size, deviation)


def _named(gram: Tensor, corners: int, spanned: int) -> tuple[str, float | None]:
    """The figure with so many corners and dimensions, and how far the cosines are from its own."""
    name, own = "", _sorted_cosines(gram)
    if (corners, spanned) == (8, 3):
        # How flat it is depends on the density: the nearest of its kind counts.
        kinds = [_antiprism(high / 100) for high in range(45, 66)]
        return "square antiprism", min(_distance(own, ideal) for ideal in kinds)
    if spanned == corners - 1:
        name = _SIMPLICES.get(corners, "")
    elif spanned == 2:
        name = _POLYGONS.get(corners, "")
    return (name, _distance(own, polytope(name))) if name else ("", None)


def _distance(own: Tensor, ideal: Tensor) -> float:
    return float((own - _sorted_cosines(ideal.mT @ ideal)).abs().max())


def _sorted_cosines(gram: Tensor) -> Tensor:
    pairs = list(combinations(range(len(gram)), 2))
    return torch.stack([gram[one, other] for one, other in pairs]).sort().values
