"""One fixed basis for many paths, so that a picture of them can be trusted: principal components
of all points together.

It knows nothing of words or models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Basis", "joint_basis"]

_MANY = 8
"""Points for each dimension."""


@dataclass(frozen=True, eq=False)
class Basis:
    """Axes shared by all paths.

    Attributes:
        mean: what was taken off every point [d_model].
        axes: unit vectors at right angles [axis, d_model].
        explained: the share of the points' variance along each axis; shares of all axes there are
        add up to one.
        coordinates: [path, point, axis].
    """

    mean: Tensor
    axes: Tensor
    explained: tuple[float, ...]
    coordinates: Tensor


def joint_basis(paths: Tensor, axes: int = 3) -> Basis:
    """The first principal components of all points of all paths [path, point, d_model].

    Each axis points so that its largest coordinate is positive: the same input gives the same
    picture. Where there are fewer independent directions than axes, the rest are zero.
    """
    points = paths.flatten(0, 1).double()
    mean = points.mean(0)
    centred = points - mean
    variance, directions = _principal(centred)
    # Directions of no variance are arbitrary: they would make the same input give different
    # pictures.
    kept = int((variance > variance.sum() * 1e-12).sum())
    directions = directions[: min(axes, kept)]
    coordinates = centred @ directions.T
    if len(directions):
        flips = coordinates.gather(0, coordinates.abs().argmax(0)[None])[0].sign()
        directions, coordinates = directions * flips[:, None], coordinates * flips
    missing = axes - len(directions)
    directions = torch.nn.functional.pad(directions, (0, 0, 0, missing))
    coordinates = torch.nn.functional.pad(coordinates, (0, missing))
    total = float(variance.sum()) or 1.0
    shares = [float(value) / total for value in variance[: axes - missing]] + [0.0] * missing
    return Basis(mean, directions, tuple(shares), coordinates.unflatten(0, paths.shape[:2]))


def _principal(centred: Tensor) -> tuple[Tensor, Tensor]:
    """The variance along every principal direction of centred points [n, d_model], the largest
    first, and the directions [k, d_model].

    Of many points by way of their covariance: its rounding is far below what a picture shows, and
    nothing of the points' own size is laid out again.
    """
    if len(centred) < _MANY * centred.shape[1]:
        _, sizes, directions = torch.linalg.svd(centred, full_matrices=False)
        return sizes.square(), directions
    variance, vectors = torch.linalg.eigh(centred.T @ centred)
    return variance.flip(0).clamp(min=0.0), vectors.T.flip(0)
