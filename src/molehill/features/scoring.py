"""Scores of an autoencoder over vectors that it did not learn from: the core metrics, by their
papers' definitions, from sums in float64.

Names in the data are those of SAEBench's core evaluation, so that its plots can read them. How the
model's loss changes is asked in `splicing.py`; this module knows no text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.trained import Features

__all__ = ["Score", "score_rows"]


@dataclass(frozen=True)
class Score:
    """What some rows say of an autoencoder."""

    rows: int
    l0: float
    """Active features in a row, on average."""
    l1: float
    """The sum of a row's values, on average."""
    explained_variance: float
    """1 - E‖y - ŷ‖² / E‖y - E y‖², over all rows together."""
    explained_variance_legacy: float
    """The mean over rows of 1 - ‖y - ŷ‖² / ‖y - E y‖², with each batch's own mean: what older
    reports give; not the share of the variance."""
    mse: float
    """E‖y - ŷ‖² / d."""
    cossim: float
    """The mean cosine of a row and its reconstruction."""
    l2_ratio: float
    """The mean of ‖ŷ‖ / ‖y‖."""
    relative_reconstruction_bias: float
    """E‖ŷ‖² / E[y · ŷ]: below 1 where reconstructions are too short (Rajamanoharan et al. 2024a,
    section 3.1)."""
    counts: Int[Tensor, " n_features"]
    """In how many rows each feature was active."""
    average_max_encoder_cosine_sim: float
    """The mean over features of the largest cosine to another feature's encoder row."""
    average_max_decoder_cosine_sim: float
    """The same of directions: near 1 where features come in copies."""

    @property
    def density(self) -> Float[Tensor, " n_features"]:
        """In what share of the rows each feature was active."""
        return self.counts / max(1, self.rows)

    @property
    def frac_alive(self) -> float:
        """The share of features that were active at all."""
        return (self.counts > 0).float().mean().item()

    def over(self, share: float) -> float:
        """The share of features that are active in more than a share of the rows."""
        return (self.density > share).float().mean().item()

    def histogram(self, bins: int = 24) -> tuple[list[float], list[int]]:
        """How dense features are: edges in powers of ten from 10⁻⁶ to 1, and how many lie between;
        silent ones are not counted, those below 10⁻⁶ in the first."""
        alive = self.density[self.counts > 0].clamp(min=1e-6).log10().double()
        found, edges = torch.histogram(alive, bins, range=(-6.0, 0.0))
        return edges.tolist(), found.long().tolist()

    def to_dict(self) -> dict[str, Any]:
        """As plain values, by SAEBench's names."""
        numbers = {
            name: getattr(self, name)
            for name in (
                "l0",
                "l1",
                "explained_variance",
                "explained_variance_legacy",
                "mse",
                "cossim",
                "l2_ratio",
                "relative_reconstruction_bias",
                "frac_alive",
                "average_max_encoder_cosine_sim",
                "average_max_decoder_cosine_sim",
            )
        }
        return {
            "rows": self.rows,
            **numbers,
            "freq_over_1_percent": self.over(0.01),
            "freq_over_10_percent": self.over(0.1),
        }


@torch.no_grad()
def score_rows(features: Features, batches: Iterable[Mapping[str, Tensor]]) -> Score:
    """The core metrics over batches of rows, by site.

    Raises:
        ConfigError: no rows at all.
    """
    sums: dict[str, float] = {}
    counts = torch.zeros(features.n_features, dtype=torch.int64)
    rows, total, mean_square = 0, None, 0.0
    for batch in batches:
        x = features.rows(batch, features.reads).float()
        y = features.rows(batch, features.writes).float()
        codes = features.autoencoder.encode(x)
        near = features.autoencoder.decode(codes) + features.autoencoder.skipped(x)
        for name, value in _sums(y.double(), near.double()).items():
            sums[name] = sums.get(name, 0.0) + value
        sums["l0"] = sums.get("l0", 0.0) + codes.active.sum().item()
        sums["l1"] = sums.get("l1", 0.0) + codes.values.double().sum().item()
        counts += codes.counts()
        rows += len(y)
        own = y.double().sum(0)
        total = own if total is None else total + own
        mean_square += y.double().square().sum().item()
    if not rows or total is None:
        raise ConfigError("There are no rows to score an autoencoder on: give more text.")
    variance = mean_square - (total.square().sum() / rows).item()
    return Score(
        rows=rows,
        l0=sums["l0"] / rows,
        l1=sums["l1"] / rows,
        explained_variance=1 - sums["error"] / variance if variance > 0 else math.nan,
        explained_variance_legacy=sums["legacy"] / rows,
        mse=sums["error"] / rows / len(total),
        cossim=sums["cosine"] / rows,
        l2_ratio=sums["ratio"] / rows,
        relative_reconstruction_bias=sums["near"] / sums["dot"] if sums["dot"] else math.nan,
        counts=counts,
        average_max_encoder_cosine_sim=_nearest(features.autoencoder.w_enc),
        average_max_decoder_cosine_sim=_nearest(features.autoencoder.w_dec),
    )


def _sums(y: Float[Tensor, "rows d"], near: Float[Tensor, "rows d"]) -> dict[str, float]:
    """Sums over a batch's rows."""
    error = (y - near).square().sum(1)
    around = (y - y.mean(0)).square().sum(1)
    length, found, dot = y.norm(dim=1), near.norm(dim=1), (y * near).sum(1)
    tiny = torch.finfo(y.dtype).tiny
    terms = {
        "error": error,
        "legacy": 1 - error / around.clamp(min=tiny),
        "cosine": dot / (length * found).clamp(min=tiny),
        "ratio": found / length.clamp(min=tiny),
        "near": found.square(),
        "dot": dot,
    }
    return {name: term.sum().item() for name, term in terms.items()}


def _nearest(rows: Float[Tensor, "n d"], block: int = 2048) -> float:
    """The mean over rows of the largest cosine to another row, over blocks."""
    if len(rows) < 2:
        return math.nan
    unit = rows.float() / rows.float().norm(dim=1, keepdim=True).clamp(min=1e-12)
    total = 0.0
    for first in range(0, len(unit), block):
        met = unit[first : first + block] @ unit.T
        places = torch.arange(len(met))
        met[places, places + first] = -2.0
        total += met.amax(1).sum().item()
    return total / len(unit)
