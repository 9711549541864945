"""Axes that a person names, as one more fixed basis for all paths of a picture.

Principal components show most of the variance and mean nothing by themselves; a named axis means
what its name says and shows what it shows: its share of the variance is stated. Named directions
are seldom at right angles, so each is turned away from those before it (Gram-Schmidt, in the order
in which they were named), and by how much is stated too. Axes that were not named are principal
components of what the named ones leave. This module draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import ConfigError
from molehill.journey.basis import Basis, joint_basis
from molehill.journey.directions import FeatureVector, read_direction, vector_of
from molehill.journey.shift import Shift
from molehill.language_model import LanguageModel

__all__ = ["MOST_AXES", "NamedAxes", "axes_of", "named_axes"]

MOST_AXES = 3

_LEAST = 1e-4
"""Of a direction's length; what is left of one that lies among those before it is rounding."""


@dataclass(frozen=True, eq=False)
class NamedAxes:
    """A basis whose first axes were named.

    Attributes:
        names: of the named axes, fewer than three perhaps.
        turned: by how many degrees each was turned to stand at right angles to those before it.
        basis: three axes, the named ones first. Nothing is taken off the points: where two unit
            vectors meet an axis is their cosine with it.
    """

    names: tuple[str, ...]
    turned: tuple[float, ...]
    basis: Basis


def named_axes(
    paths: Float[Tensor, "path point d_model"],
    directions: Float[Tensor, "axis d_model"],
    names: Sequence[str],
) -> NamedAxes:
    """The coordinates of all points along named directions, the rest of three axes filled up.

    Raises:
        ConfigError: none or more than three directions, or one that lies among those before it.
    """
    if not 1 <= len(names) <= MOST_AXES:
        raise ConfigError(f"{len(names)} axes are named, expected 1 to {MOST_AXES}.")
    points = paths.flatten(0, 1).double()
    axes, turned = _at_right_angles(directions.double(), names)
    total = float((points - points.mean(0)).square().sum()) or 1.0
    left = paths.double() - (paths.double() @ axes.T) @ axes
    rest = joint_basis(left, MOST_AXES - len(names)).axes
    axes = torch.cat([axes, rest])
    coordinates = points @ axes.T
    spread = (coordinates - coordinates.mean(0)).square().sum(0) / total
    basis = Basis(
        torch.zeros_like(axes[0]),
        axes,
        tuple(spread.tolist()),
        coordinates.unflatten(0, paths.shape[:2]),
    )
    return NamedAxes(tuple(names), turned, basis)


def axes_of(
    lm: LanguageModel,
    found: Shift,
    named: Sequence[str],
    *,
    feature: FeatureVector | None = None,
) -> NamedAxes:
    """Axes for the paths of a shift, all vectors scaled to length one.

    Args:
        named: directions as `read_direction` takes them; a number stands for the end of that
            sentence's path.
        feature: where features come from.

    Raises:
        ConfigError, TextError, SiteError: a name that is no direction here (see `vector_of`), or
            directions of which no axes can be made (see `named_axes`).
    """
    if not 1 <= len(named) <= MOST_AXES:
        raise ConfigError(f"{len(named)} axes are named, expected 1 to {MOST_AXES}.")
    paths = torch.stack([sentence.vectors for sentence in found.sentences]).double()
    paths = torch.nn.functional.normalize(paths, dim=-1)
    directions = [read_direction(text) for text in named]
    vectors = [
        vector_of(lm, each, sentences=paths[:, -1], feature=feature).to(paths)
        for each in directions
    ]
    return named_axes(paths, torch.stack(vectors), [each.name for each in directions])


def _at_right_angles(
    directions: Float[Tensor, "axis d_model"], names: Sequence[str]
) -> tuple[Float[Tensor, "axis d_model"], tuple[float, ...]]:
    """Unit vectors, each turned away from those before it, and by how many degrees."""
    axes: list[Tensor] = []
    turned: list[float] = []
    for direction, name in zip(directions, names, strict=True):
        length = float(direction.norm())
        if not math.isfinite(length) or length == 0.0:
            raise ConfigError(f"The axis {name!r} has no direction: its two sides are the same.")
        unit = direction / length
        left = unit
        # Twice: the first time leaves the rounding of long vectors.
        for _ in range(2):
            for axis in axes:
                left = left - (left @ axis) * axis
        if float(left.norm()) < _LEAST:
            raise ConfigError(
                f"The axis {name!r} lies among those named before it: name another, or leave it "
                "out."
            )
        axes.append(left / left.norm())
        turned.append(math.degrees(math.acos(min(1.0, float(unit @ axes[-1])))))
    return torch.stack(axes), tuple(turned)
