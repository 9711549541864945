"""Synthetic superposition: vectors that are sums of known features, more of them than dimensions.

    made = Synthetic.random(512, 64, active=4)
    x, values = made.rows(10_000)               # vectors, and how strongly each feature is in them
    made.batches(1024, Place())                 # the same as a source to learn from

Features are active each by itself, or only where their parent is (then an autoencoder is tempted to
let the child's feature absorb the parent's). Nothing here is learnt: what is true is known exactly.
After Sharkey et al. 2022 and Chanin et al. 2024, section 3. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.activations import Place

__all__ = ["SITE", "Synthetic"]

SITE = "synthetic"
"""Where its vectors are said to stand."""


@dataclass(frozen=True)
class Synthetic:
    """Features with their directions, how often and how strongly they are active."""

    directions: Float[Tensor, "features d"]
    chance: Float[Tensor, " chances"]
    """Of being active; of a feature with a parent, where its parent is active."""
    parent: Int[Tensor, " features"] | None = None
    """A smaller number; -1 for none."""
    least: float = 0.5
    most: float = 1.5
    """Values are even between these."""
    noise: float = 0.0
    """Standard deviation of what is added to every number."""
    seed: int = 0

    def __post_init__(self) -> None:
        if len(self.chance) != len(self.directions):
            raise ConfigError(
                f"There are {len(self.directions)} directions and {len(self.chance)} chances."
            )
        own = torch.arange(len(self.directions))
        if self.parent is not None and bool((self.parent >= own).any()):
            raise ConfigError("A feature's parent must have a smaller number than itself.")

    @classmethod
    def random(
        cls, features: int, d: int, *, active: float = 4.0, seed: int = 0, **choices: Any
    ) -> Synthetic:
        """Random directions of length one; `active` features in a row on average."""
        generator = torch.Generator().manual_seed(seed)
        rows = torch.randn(features, d, generator=generator)
        chance = torch.full((features,), min(1.0, active / features))
        return cls(rows / rows.norm(dim=1, keepdim=True), chance, seed=seed, **choices)

    @property
    def widths(self) -> Mapping[str, int]:
        """Its one site with its numbers in a row."""
        return {SITE: self.directions.shape[1]}

    @property
    def description(self) -> Mapping[str, Any]:
        """As JSON-able values."""
        return {
            "source": "synthetic",
            "model": "synthetic",
            "fingerprint": "",
            "features": len(self.directions),
            "active": self.mean_active,
            "values": [self.least, self.most],
            "noise": self.noise,
            "seed": self.seed,
            "skip_first": 0,
            "skip_special": False,
        }

    @property
    def mean_active(self) -> float:
        """Active features in a row, on average."""
        chance = self.chance.clone()
        if self.parent is not None:
            for feature, parent in enumerate(self.parent.tolist()):
                chance[feature] *= chance[parent] if parent >= 0 else 1.0
        return chance.sum().item()

    def rows(
        self, count: int, number: int = 0
    ) -> tuple[Float[Tensor, "count d"], Float[Tensor, "count features"]]:
        """Some rows and the values of their features; other rows for another number."""
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % (1 << 63))
        size = (count, len(self.directions))
        active = torch.rand(size, generator=generator) < self.chance
        if self.parent is not None:
            for feature, parent in enumerate(self.parent.tolist()):
                if parent >= 0:
                    active[:, feature] &= active[:, parent]
        spread = torch.rand(size, generator=generator) * (self.most - self.least)
        values = (self.least + spread) * active
        x = values @ self.directions
        if self.noise:
            x = x + self.noise * torch.randn(x.shape, generator=generator)
        return x, values

    def batches(self, size: int, start: Place) -> Iterator[tuple[Mapping[str, Tensor], Place]]:
        """Batches without an end, never the same rows twice; number 0 of `rows` is not among
        them."""
        place = start
        while True:
            x, _ = self.rows(size, place.batch + 1)
            place = Place(place.epoch, place.chunk, place.batch + 1, place.left_out, place.cursor)
            yield {SITE: x}, place
