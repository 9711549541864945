"""Splitting and absorption: how a true feature is shared out among learnt ones.

Split: several learnt features are needed for what is one. Absorbed: the learnt feature that stands
for it is silent in rows in which it is true, and another one, whose direction has a part of it,
does its work there (Chanin et al. 2024, "A is for Absorption"). The measures are those of SAEBench
(Karvonen et al. 2025), with the truth itself in the place of its probes, and with "any of them is
active" where it has a probe on k values. This module does not know where a truth comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.features.autoencoder import Autoencoder
from molehill.features.codes import Codes
from molehill.features.matching import Agreement
from molehill.features.truth import Columns, Truth

__all__ = ["Absorption", "Split", "absorption", "splits"]

_GAIN = 0.03
"""F1 that one more learnt feature must add (SAEBench's τ_fs)."""
_MOST = 10
_CANDIDATES = 24
_FULL_COSINE, _PART_COSINE = 0.025, 0.1
_SHARE = 0.4
"""Of a row's projection on the true direction, what absorbing features must carry (τ_pa)."""
_ABSORBING = 3
"""Absorbing features of a row that count (A_max)."""
_BLOCK = 1024


@dataclass(frozen=True)
class Split:
    """The learnt features that stand for one true feature together."""

    learnt: tuple[int, ...]
    """The best first; more than one: it is split."""
    f1: float
    """Of "any of them is active"."""


@dataclass(frozen=True)
class Absorption:
    """Means over the rows in which each true feature is active."""

    full: Float[Tensor, " true"]
    """The share of rows in which all its learnt features are silent and one other carries at least
    0.4 of the projection on its direction."""
    part: Float[Tensor, " true"]
    """The mean share of what is carried that three others at most carry, where these carry at least
    0.4 of the projection; 0 elsewhere."""
    rows: Int[Tensor, " true"]

    @property
    def mean_full(self) -> float:
        """SAEBench's `mean_full_absorption_score`."""
        return self.full[self.rows > 0].mean().item()

    @property
    def mean_part(self) -> float:
        """SAEBench's `mean_absorption_fraction_score`."""
        return self.part[self.rows > 0].mean().item()


def splits(codes: Codes, truth: Truth) -> tuple[Split, ...]:
    """For each true feature the learnt ones that raise F1 by more than 0.03 each, found one after
    the other; none where it is never active."""
    agreement = Agreement(len(truth.names), codes.n_features)
    agreement.add(codes, truth.active, truth.aside)
    columns = Columns(codes)
    # One of several may find a small part of the rows, but then it must be right there.
    kin = agreement.precision * agreement.both.sqrt()
    candidates = kin.topk(min(_CANDIDATES, codes.n_features)).indices.tolist()
    best = agreement.f1.argmax(1).tolist()
    found = []
    for feature, some in enumerate(candidates):
        counts = truth.counted(feature)
        wanted = truth.active[counts, feature]
        fires = {one: columns.column(one)[counts] > 0 for one in {best[feature], *some}}
        found.append(_grown(fires, best[feature], wanted))
    return tuple(found)


def _grown(fires: dict[int, Tensor], first: int, wanted: Tensor) -> Split:
    """Take features in as long as each adds enough."""
    if not bool(wanted.any()):
        return Split((), 0.0)
    taken, any_of = [first], fires[first]
    f1 = _f1(any_of, wanted)
    while len(taken) < _MOST:
        gains = {one: _f1(any_of | other, wanted) for one, other in fires.items()}
        one = max(gains, key=lambda number: gains[number])
        if gains[one] - f1 <= _GAIN:
            break
        taken.append(one)
        any_of, f1 = any_of | fires[one], gains[one]
    return Split(tuple(taken), f1)


def _f1(fires: Tensor, wanted: Tensor) -> float:
    total = (fires.sum() + wanted.sum()).item()
    return 2 * (fires & wanted).sum().item() / total if total else 0.0


@torch.no_grad()
def absorption(
    autoencoder: Autoencoder,
    x: Float[Tensor, "rows d"],
    truth: Truth,
    directions: Float[Tensor, "true d"],
    main: Sequence[Split],
) -> Absorption:
    """How often the learnt features of a true one leave its work to others.

    Args:
        x: the vectors.
        directions: of the true features, known or estimated.
        main: from `splits`: who stands for each.
    """
    unit = directions.float() / directions.float().norm(dim=1, keepdim=True).clamp(min=1e-12)
    along = autoencoder.w_dec @ unit.T
    cosines = along / autoencoder.w_dec.norm(dim=1, keepdim=True).clamp(min=1e-12)
    full, part = torch.zeros(2, len(truth.names), dtype=torch.float64)
    rows = truth.active.sum(0)
    for feature, split in enumerate(main):
        here = truth.active[:, feature].nonzero().squeeze(1)
        sums = torch.zeros(2, dtype=torch.float64)
        for some in here.split(_BLOCK):
            carried = autoencoder.encode(x[some]).dense() * along[:, feature]
            whole = x[some].float() @ unit[feature]
            sums += _absorbed(carried, whole, cosines[:, feature], list(split.learnt))
        full[feature], part[feature] = sums / max(1, len(here))
    return Absorption(full, part, rows)


def _absorbed(
    carried: Float[Tensor, "rows learnt"],
    whole: Float[Tensor, " rows"],
    cosines: Float[Tensor, " learnt"],
    main: list[int],
) -> Float[Tensor, " 2"]:
    """Sums over rows: of full absorption, and of the absorbed share."""
    own = carried[:, main].sum(1)
    others = carried.clone()
    others[:, main] = 0.0
    silent = (carried[:, main] == 0).all(1)
    most, who = others.max(1)
    full = silent & (cosines[who] >= _FULL_COSINE) & (most >= _SHARE * whole) & (most > 0)
    others[:, cosines < _PART_COSINE] = 0.0
    taken = others.clamp(min=0).topk(min(_ABSORBING, others.shape[1])).values.sum(1)
    counts = (own < whole) & (taken >= _SHARE * whole) & (taken > 0)
    share = torch.where(counts, taken / (taken + own.clamp(min=0)).clamp(min=1e-12), 0.0)
    return torch.stack((full.double().sum(), share.double().sum()))
