"""Senses nobody labelled: a word's uses fall into groups by where its vectors stand.

`group` standardises every dimension, keeps each vector's direction alone, projects on the strongest
principal directions and runs k-means there; unless told, k is the one with the best silhouette. It
always looks for two groups or more: a word of one sense is parted too, and only a low silhouette
says so. It knows nothing of words or models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from molehill.errors import SenseError
from molehill.journey.sense_scores import Labels, silhouette

__all__ = ["Groups", "adjusted_rand", "group", "k_means", "unlabelled_space"]

_RESTARTS = 10
_STEPS = 100


@dataclass(frozen=True, eq=False)
class Groups:
    """Uses of a word, grouped.

    Attributes:
        labels: [n] each use's group; group 0 is the largest.
        silhouettes: the silhouette of every k that was tried.
    """

    labels: Int[Tensor, " n"]
    silhouettes: Mapping[int, float]

    @property
    def k(self) -> int:
        """How many groups there are."""
        return len(torch.unique(self.labels))


def group(
    vectors: Float[Tensor, "n d"],
    k: int | None = None,
    *,
    largest: int = 8,
    dims: int = 20,
    seed: int = 0,
) -> Groups:
    """Group a word's uses by their vectors at one point of the model.

    Args:
        k: how many groups. None: from 2 to `largest`, the number with the best silhouette.
        dims: principal directions kept.

    Raises:
        SenseError: fewer uses than groups, or too few to choose a number of groups.
    """
    n = len(vectors)
    if k is not None and not 1 <= k <= n:
        raise SenseError(f"{n} uses cannot make {k} groups; ask for a number from 1 to {n}.")
    if k is None and n < 3:
        raise SenseError(f"{n} uses are too few to choose the number of groups; give three or k.")
    space = unlabelled_space(vectors, dims)
    tried = (k,) if k is not None else range(2, min(largest, n - 1) + 1)
    found = {count: _by_size(k_means(space, count, seed=seed)) for count in tried}
    scores = {
        count: silhouette(space, labels) if len(torch.unique(labels)) > 1 else 0.0
        for count, labels in found.items()
    }
    best = max(scores, key=lambda count: (scores[count], -count))
    return Groups(found[best], MappingProxyType(scores))


def unlabelled_space(vectors: Float[Tensor, "n d"], dims: int = 20) -> Float[Tensor, "n r"]:
    """Directions of the standardised vectors in their strongest principal directions.

    Standardised, because a few dimensions of a residual stream are far larger than the rest and
    would decide every distance.
    """
    x = vectors.double()
    x = x - x.mean(0)
    # A dimension that does not vary, but for rounding, holds nothing to be magnified.
    spread = x.square().mean(0).sqrt()
    x = torch.where(spread > 1e-7 * spread.max(), x / spread.clamp(min=1e-300), 0.0)
    x = normalize(x, dim=-1)
    x = x - x.mean(0)
    left, strength, _ = torch.linalg.svd(x, full_matrices=False)
    return normalize((left * strength)[:, :dims], dim=-1)


def k_means(vectors: Float[Tensor, "n d"], k: int, *, seed: int = 0) -> Int[Tensor, " n"]:
    """Lloyd's k-means from k-means++ starts (Arthur and Vassilvitskii, 2007, section 2.2): the
    restart with the smallest sum of squared distances. Fewer groups than `k` may be left when
    vectors coincide."""
    generator = torch.Generator().manual_seed(seed)
    runs = [_lloyd(vectors, _spread_out(vectors, k, generator)) for _ in range(_RESTARTS)]
    return min(runs, key=lambda run: run[0])[1]


def adjusted_rand(one: Labels, other: Labels) -> float:
    """Agreement of two groupings whatever their numbering: 1 the same, 0 as by chance (Hubert and
    Arabie, "Comparing partitions", 1985, equation 5).

    Raises:
        SenseError: groupings of different lengths.
    """
    a, b = (torch.unique(torch.as_tensor(x), return_inverse=True)[1] for x in (one, other))
    if len(a) != len(b):
        raise SenseError(f"The groupings have {len(a)} and {len(b)} uses; give two of the same.")
    table = torch.bincount(a * (int(b.max()) + 1) + b) if len(a) else torch.zeros(0)
    together, in_one, in_other = (_pairs(x) for x in (table, torch.bincount(a), torch.bincount(b)))
    chance = in_one * in_other / max(len(a) * (len(a) - 1) / 2, 1.0)
    most = (in_one + in_other) / 2
    return 1.0 if most == chance else (together - chance) / (most - chance)


def _spread_out(vectors: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k starting centres, each drawn with a chance that grows with its squared distance to those
    already there."""
    picks = [int(torch.randint(len(vectors), (1,), generator=generator))]
    nearest = (vectors - vectors[picks[0]]).square().sum(-1)
    for _ in range(k - 1):
        # All vectors stand on a centre: one more centre can stand anywhere.
        weights = nearest if nearest.sum() > 0 else torch.ones_like(nearest)
        picks.append(int(torch.multinomial(weights.cpu(), 1, generator=generator)))
        nearest = torch.minimum(nearest, (vectors - vectors[picks[-1]]).square().sum(-1))
    return vectors[picks]


def _lloyd(vectors: Tensor, centres: Tensor) -> tuple[float, Tensor]:
    """The sum of squared distances and the labels once no vector changes its group."""
    labels = None
    for _ in range(_STEPS):
        apart = torch.cdist(vectors, centres)
        moved = apart.argmin(-1)
        if labels is not None and torch.equal(moved, labels):
            break
        labels = moved
        held = torch.nn.functional.one_hot(labels, len(centres)).to(vectors)
        counts = held.sum(0)
        means = held.T @ vectors / counts.clamp(min=1)[:, None]
        centres = torch.where(counts[:, None] > 0, means, centres)  # an empty group stays put
    apart = torch.cdist(vectors, centres)
    return float(apart.min(-1).values.square().sum()), apart.argmin(-1)


def _by_size(labels: Tensor) -> Tensor:
    """The same groups, numbered from the largest on."""
    _, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    return counts.argsort(descending=True, stable=True).argsort()[place]


def _pairs(counts: Tensor) -> float:
    return float((counts.double() * (counts.double() - 1)).sum() / 2)
