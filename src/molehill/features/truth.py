"""Truth: which true features learnt ones have found, where it is known what is active in every row.

Three questions, each with its control:

- `found_by_activity`: which learnt feature is active where a true one is, and how exactly (F1)?
  Features and thresholds are chosen in some rows and judged in others; the control is the same with
  the truth's rows shuffled.
- `estimated_directions`: along which direction does a true feature move a vector? Nobody knows it
  for a trained model; it is estimated by a regression of the vectors on all true features at once.
- `linear_ceiling`: is a true feature to be read off the vectors by a direction and a threshold at
  all? Which no autoencoder's encoder can do better, but for its choice among features.

This module knows no model and does not know where a truth comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.matching import Agreement, match_scores

__all__ = [
    "Columns",
    "Directions",
    "Found",
    "Truth",
    "best_threshold",
    "estimated_directions",
    "found_by_activity",
    "linear_ceiling",
]

_CANDIDATES = 8
"""Learnt features of each true one, whose thresholds are tried."""

_CONTROLS = 64
"""True features whose rows are shuffled, about."""


@dataclass(frozen=True)
class Truth:
    """What is true of some rows."""

    names: tuple[str, ...]
    active: Bool[Tensor, "rows true"]
    aside: Bool[Tensor, "rows true"] | None = None
    """Rows that count neither for nor against a feature; it is not active there."""

    def __post_init__(self) -> None:
        if len(self.names) != self.active.shape[1]:
            raise ConfigError(
                f"The truth has {self.active.shape[1]} columns and {len(self.names)} names."
            )

    def rows(self, chosen: slice | Tensor) -> Truth:
        """Some of the rows."""
        aside = None if self.aside is None else self.aside[chosen]
        return Truth(self.names, self.active[chosen], aside)

    def counted(self, feature: int) -> Bool[Tensor, " rows"]:
        """The rows that count for one feature."""
        if self.aside is None:
            return torch.ones(len(self.active), dtype=torch.bool)
        return ~self.aside[:, feature]


@dataclass(frozen=True)
class Found:
    """For each true feature its partner among the learnt ones, by activity."""

    names: tuple[str, ...]
    partner: Int[Tensor, " true"]
    """The learnt feature, each at most once; -1 for none."""
    threshold: Float[Tensor, " true"]
    """Above it the partner counts as active; found in the rows that choose."""
    f1: Float[Tensor, " true"]
    """In the rows that judge."""
    precision: Float[Tensor, " true"]
    recall: Float[Tensor, " true"]
    f1_at_zero: Float[Tensor, " true"]
    """The same where every value above zero counts as active."""
    f1_nearest: Float[Tensor, " true"]
    """Of the best learnt feature, though it be another true one's partner."""
    times: Int[Tensor, " true"]
    """In how many of the judging rows the true feature is active."""
    control: float
    """The mean F1 where the truth's rows are shuffled."""

    def share(self, line: float = 0.9, *, among: Sequence[int] | None = None) -> float:
        """The share of true features whose partner's F1 is above a line."""
        f1 = self.f1 if among is None else self.f1[list(among)]
        return (f1 > line).float().mean().item()


def found_by_activity(codes: Codes, truth: Truth, *, choosing: int, seed: int = 0) -> Found:
    """Which learnt feature is active where a true one is.

    Args:
        codes: of all rows.
        choosing: the first so many rows choose partners and thresholds, the others judge. Rows of
            one text belong on one side.

    Raises:
        ConfigError: rows on one side only.
    """
    if not 0 < choosing < codes.rows:
        raise ConfigError(f"{choosing} of {codes.rows} rows choose: expected some on either side.")
    columns = Columns(codes)
    found = _found(columns, codes, truth, choosing)
    order = torch.randperm(codes.rows, generator=torch.Generator().manual_seed(seed))
    # Some of the true features are enough for a mean.
    some = list(range(0, len(truth.names), max(1, len(truth.names) // _CONTROLS)))
    aside = None if truth.aside is None else truth.aside[:, some]
    mixed = Truth(tuple(truth.names[n] for n in some), truth.active[:, some], aside)
    shuffled = _found(columns, codes, mixed.rows(order), choosing)
    return Found(truth.names, *found, shuffled[2].mean().item())


def _found(
    columns: Columns, codes: Codes, truth: Truth, choosing: int
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    early, late = slice(0, choosing), slice(choosing, codes.rows)
    scores, thresholds = _chosen(columns, codes, truth.rows(early), choosing)
    partner = match_scores(scores).partner
    nearest = scores.argmax(1)
    judged = torch.zeros(4, len(partner), dtype=torch.float64)
    at_zero = torch.zeros(len(partner), dtype=torch.float64)
    threshold = torch.zeros(len(partner), dtype=torch.float64)
    judging = truth.rows(late)
    for feature, learnt in enumerate(partner.tolist()):
        wanted, counts = judging.active[:, feature], judging.counted(feature)
        best = int(nearest[feature])
        value = columns.column(best)[late]
        judged[3, feature] = _f1(value > thresholds[feature, best], wanted, counts)[0]
        if learnt < 0:
            continue
        value, threshold[feature] = columns.column(learnt)[late], thresholds[feature, learnt]
        judged[:3, feature] = torch.tensor(_f1(value > threshold[feature], wanted, counts))
        at_zero[feature] = _f1(value > 0, wanted, counts)[0]
    f1, precision, recall, f1_nearest = judged
    times = judging.active.sum(0)
    return partner, threshold, f1, precision, recall, at_zero, f1_nearest, times


class Columns:
    """The values of single features over all rows."""

    def __init__(self, codes: Codes) -> None:
        order = codes.features.argsort(stable=True)
        self._row, self._values = codes.row_of[order], codes.values[order]
        counts = torch.bincount(codes.features, minlength=codes.n_features)
        self._ends = torch.cat((counts.new_zeros(1), counts.cumsum(0)))
        self._rows = codes.rows

    def column(self, feature: int) -> Float[Tensor, " rows"]:
        """0 where it is silent."""
        here = slice(int(self._ends[feature]), int(self._ends[feature + 1]))
        values = torch.zeros(self._rows)
        values[self._row[here]] = self._values[here].float()
        return values


def _chosen(
    columns: Columns, codes: Codes, truth: Truth, choosing: int
) -> tuple[Float[Tensor, "true learnt"], Float[Tensor, "true learnt"]]:
    """The F1 of every pair in the rows that choose, of the best ones at their best threshold, and
    these thresholds."""
    end = int(codes.offsets[choosing])
    some = Codes(
        codes.values[:end],
        codes.features[:end],
        codes.offsets[: choosing + 1],
        codes.n_features,
    )
    agreement = Agreement(len(truth.names), codes.n_features)
    agreement.add(some, truth.active, truth.aside)
    scores = agreement.f1
    thresholds = torch.zeros_like(scores)
    # Those with the highest F1, and those that miss least: a threshold can mend what is too many.
    by_recall = scores.sqrt() * agreement.recall
    half = min(_CANDIDATES // 2, codes.n_features)
    candidates = torch.cat((scores.topk(half).indices, by_recall.topk(half).indices), dim=1)
    for feature, learnt in enumerate(candidates.tolist()):
        wanted, counts = truth.active[:, feature], truth.counted(feature)
        for one in set(learnt):
            value = columns.column(one)[:choosing]
            f1, threshold = best_threshold(value[counts], wanted[counts])
            scores[feature, one], thresholds[feature, one] = f1, threshold
    return scores, thresholds


def best_threshold(
    values: Float[Tensor, " rows"], wanted: Bool[Tensor, " rows"]
) -> tuple[float, float]:
    """The highest F1 of "the value is above a threshold", and that threshold; not below 0 for
    values that are never negative."""
    if not bool(wanted.any()):
        return 0.0, 0.0
    some = values != 0 if bool((values >= 0).all()) else torch.ones_like(wanted)
    if not bool(some.any()):
        return 0.0, 0.0
    order = values[some].argsort(descending=True)
    ranked = values[some][order]
    hits = wanted[some][order].double().cumsum(0)
    taken = torch.arange(1, len(ranked) + 1, dtype=torch.float64)
    f1 = 2 * hits / (taken + wanted.sum())
    # A threshold cannot part equal values.
    f1[:-1][ranked[:-1] == ranked[1:]] = 0.0
    best = int(f1.argmax())
    lower = ranked[best + 1] if best + 1 < len(ranked) else ranked[best] * 0
    lower = torch.minimum(lower, ranked[best] - 1e-6 * ranked[best].abs())
    return f1[best].item(), ((ranked[best] + lower) / 2).item()


def _f1(fires: Tensor, wanted: Tensor, counts: Tensor) -> tuple[float, float, float]:
    """F1, precision and recall in the rows that count."""
    hits = (fires & wanted & counts).sum().item()
    fired, true = (fires & counts).sum().item(), wanted.sum().item()
    total = fired + true
    return (
        2 * hits / total if total else 0.0,
        hits / fired if fired else 0.0,
        hits / true if true else 0.0,
    )


@dataclass(frozen=True)
class Directions:
    """Estimates of the directions along which true features move a vector."""

    effects: Float[Tensor, "true d"]
    """What a feature adds, all others being held: the rows of the regression."""
    means: Float[Tensor, "true d"]
    """The mean of the vectors where it is active, from the mean of all: with whatever else is
    active there, a word's own vector among it."""
    explained: float
    """The share of the variance, in rows that were not used, that all true features explain."""
    explained_shuffled: float
    """The same where the truth's rows are shuffled."""
    own: Float[Tensor, " true"]
    """In unused rows where it is active: of the squared error without it the share that it takes
    away. Near or below 0: no direction of its own is there."""


def estimated_directions(
    x: Float[Tensor, "rows d"],
    truth: Truth,
    *,
    choosing: int,
    ridge: float = 1.0,
    seed: int = 0,
) -> Directions:
    """Directions of true features, by least squares of the vectors on all of them at once.

    Args:
        x: the vectors.
        truth: its rows left out of account are used like any others, as not active.
        choosing: the first so many rows are used, the others judge.
        ridge: as if every feature had been seen so many times more, without an effect.
    """
    active = truth.active.double()
    x = x.double()
    order = torch.randperm(choosing, generator=torch.Generator().manual_seed(seed))
    effects, mean = _regression(active[:choosing], x[:choosing], ridge)
    shuffled, other = _regression(active[order], x[:choosing], ridge)
    late, seen = x[choosing:], active[choosing:]
    left = late - mean - seen @ effects
    variance = (late - x[:choosing].mean(0)).square().sum()
    control = (late - other - seen @ shuffled).square().sum()
    own = torch.zeros(len(truth.names), dtype=torch.float64)
    for feature in range(len(own)):
        here = seen[:, feature] > 0
        without = (left[here] + effects[feature]).square().sum()
        own[feature] = 1 - left[here].square().sum() / without.clamp(min=1e-12)
    used, times = active[:choosing], active[:choosing].sum(0).clamp(min=1)
    means = used.T @ x[:choosing] / times[:, None] - x[:choosing].mean(0)
    return Directions(
        effects,
        means,
        (1 - left.square().sum() / variance).item(),
        (1 - control / variance).item(),
        own,
    )


def _regression(active: Tensor, x: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Rows of the regression, and the intercept."""
    mean_active, mean = active.mean(0), x.mean(0)
    gram = active.T @ active - len(active) * torch.outer(mean_active, mean_active)
    gram += ridge * torch.eye(len(gram), dtype=gram.dtype)
    effects = torch.linalg.solve(gram, active.T @ (x - mean))
    return effects, mean - mean_active @ effects


def linear_ceiling(
    x: Float[Tensor, "rows d"],
    truth: Truth,
    *,
    choosing: int,
    steps: int = 400,
    batch: int = 4096,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Float[Tensor, " true"]:
    """The F1 of a logistic probe for each true feature, learnt with its threshold in the first
    `choosing` rows and judged in the others.

    All probes learn at once, by Adam; an estimate from below, as any probe's is. `progress` is
    called with each step.
    """
    x = (x - x[:choosing].mean(0)) / x[:choosing].std().clamp(min=1e-12)
    x = torch.cat((x.float(), torch.ones(len(x), 1)), dim=1)
    weights = torch.zeros(x.shape[1], len(truth.names), requires_grad=True)
    optimizer = torch.optim.Adam([weights])
    generator = torch.Generator().manual_seed(seed)
    for step in range(steps):
        rows = torch.randint(0, choosing, (batch,), generator=generator)
        part = truth.rows(rows)
        counts = None if part.aside is None else (~part.aside).float()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            x[rows] @ weights, part.active.float(), counts, reduction="sum"
        )
        optimizer.zero_grad()
        (loss / batch).backward()
        optimizer.param_groups[0]["lr"] = 0.1 * min(1.0, 2 * (steps - step) / steps)
        optimizer.step()
        if progress is not None:
            progress(1)
    scores = x @ weights.detach()
    found = []
    early, late = truth.rows(slice(0, choosing)), truth.rows(slice(choosing, len(x)))
    for feature in range(len(truth.names)):
        counts = early.counted(feature)
        value = scores[:choosing, feature]
        _, threshold = best_threshold(value[counts], early.active[counts, feature])
        fires = scores[choosing:, feature] > threshold
        found.append(_f1(fires, late.active[:, feature], late.counted(feature))[0])
    return torch.tensor(found, dtype=torch.float64)
