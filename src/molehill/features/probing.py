"""Probing: how well a label is told from the k best features, beside all of the vector's numbers.

Features are chosen by the difference of their means between the label's rows and the others, on the
rows that train; a logistic regression on them is judged on other rows. Beside it stand the same on
the raw vectors, the larger class, and the same with shuffled labels, which shows what choosing
among many features finds by chance. Gurnee et al. 2023, "Finding neurons in a haystack", and the
sparse probing of SAEBench. This module does not know what labels mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.codes import Codes

__all__ = ["Logistic", "ProbeScore", "fit_logistic", "probe_label", "probe_labels"]

_STEPS = 50


@dataclass(frozen=True)
class Logistic:
    """A logistic regression."""

    weights: Float[Tensor, " d"]
    bias: float

    def says(self, x: Float[Tensor, "rows d"]) -> Bool[Tensor, " rows"]:
        """Whether the label is likelier than not."""
        return x.double() @ self.weights + self.bias > 0


def fit_logistic(
    x: Float[Tensor, "rows d"], label: Bool[Tensor, " rows"], *, ridge: float = 1.0
) -> Logistic:
    """Minimise ridge ‖w‖² / 2 + the sum of the rows' losses, by Newton's method.

    Columns are divided by their standard deviation first; the bias is not held small.

    Raises:
        ConfigError: only one class.
    """
    if not 0 < label.sum() < len(label):
        raise ConfigError("A probe needs rows with the label and rows without it.")
    x = x.double()
    mean, spread = x.mean(0), x.std(0, correction=0)
    spread = torch.where(spread > 0, spread, torch.ones_like(spread))
    table = torch.cat(((x - mean) / spread, x.new_ones(len(x), 1)), dim=1)
    held = torch.full((table.shape[1],), ridge, dtype=torch.float64)
    held[-1] = 0.0
    weights = table.new_zeros(table.shape[1])
    wanted, loss = label.double(), torch.inf
    for _ in range(_STEPS):
        chance = torch.sigmoid(table @ weights)
        slope = table.T @ (chance - wanted) + held * weights
        bend = (table * (chance * (1 - chance))[:, None]).T @ table + torch.diag(held + 1e-9)
        step = torch.linalg.solve(bend, slope)
        weights, new = _stepped(table, wanted, held, weights, step)
        if loss - new < 1e-9 * abs(new):
            break
        loss = new
    own = weights[:-1] / spread
    return Logistic(own, (weights[-1] - mean @ own).item())


def _stepped(
    table: Tensor, wanted: Tensor, held: Tensor, weights: Tensor, step: Tensor
) -> tuple[Tensor, float]:
    """A step that does not make it worse: halved until then."""

    def loss(at: Tensor) -> float:
        scores = table @ at
        rows = torch.nn.functional.softplus(scores) - wanted * scores
        return (rows.sum() + (held * at.square()).sum() / 2).item()

    before, size = loss(weights), 1.0
    while size > 1e-4:
        new = weights - size * step
        if (after := loss(new)) <= before:
            return new, after
        size /= 2
    return weights, before


@dataclass(frozen=True)
class ProbeScore:
    """How well one label is told, in rows that did not train; accuracies."""

    label: str
    by_features: Mapping[int, float]
    """By how many features were chosen."""
    chosen: tuple[int, ...]
    """The features, the best first."""
    raw: float
    """By all numbers of the vector."""
    larger_class: float
    """Always saying what is commoner among the rows that train."""
    shuffled: Mapping[int, float]
    """By as many features, where labels were shuffled before anything was chosen."""
    rows: int
    """That trained."""
    judged: int

    def to_dict(self) -> dict[str, Any]:
        """As plain values, by SAEBench's names where it has them."""
        return {
            "label": self.label,
            **{f"sae_top_{k}_test_accuracy": value for k, value in self.by_features.items()},
            "llm_test_accuracy": self.raw,
            "larger_class": self.larger_class,
            **{f"shuffled_top_{k}": value for k, value in self.shuffled.items()},
            "features": list(self.chosen),
            "train_rows": self.rows,
            "test_rows": self.judged,
        }


@dataclass(frozen=True)
class _Side:
    codes: Codes
    x: Float[Tensor, "rows d"]
    label: Bool[Tensor, " rows"]

    def columns(self, features: Sequence[int]) -> Float[Tensor, "rows k"]:
        place = torch.full((self.codes.n_features,), -1, dtype=torch.int64)
        place[list(features)] = torch.arange(len(features))
        at = place[self.codes.features]
        kept = at >= 0
        table = torch.zeros(self.codes.rows, len(features))
        table[self.codes.row_of[kept], at[kept]] = self.codes.values[kept].float()
        return table


def probe_label(
    name: str,
    train: tuple[Codes, Tensor, Tensor],
    test: tuple[Codes, Tensor, Tensor],
    *,
    ks: Sequence[int] = (1, 2, 5),
    ridge: float = 1.0,
    seed: int = 0,
) -> ProbeScore:
    """How well one label is told.

    Args:
        train, test: codes, the vectors [rows, d] that they were read from, and which rows have the
            label.

    Raises:
        ConfigError: one class only.
    """
    learning, judging = _Side(*train), _Side(*test)
    generator = torch.Generator().manual_seed(seed)
    mixed = [
        _Side(side.codes, side.x, side.label[torch.randperm(len(side.label), generator=generator)])
        for side in (learning, judging)
    ]
    found, chosen = _by_features(learning, judging, ks, ridge)
    shuffled, _ = _by_features(mixed[0], mixed[1], ks, ridge)
    raw = fit_logistic(learning.x, learning.label, ridge=ridge)
    common = bool(learning.label.float().mean() > 0.5)
    return ProbeScore(
        name,
        found,
        chosen,
        _accuracy(raw.says(judging.x), judging.label),
        (judging.label == common).double().mean().item(),
        shuffled,
        len(learning.label),
        len(judging.label),
    )


def _by_features(
    learning: _Side, judging: _Side, ks: Sequence[int], ridge: float
) -> tuple[dict[int, float], tuple[int, ...]]:
    apart = _mean_differences(learning).abs()
    best = apart.topk(min(max(ks), len(apart))).indices.tolist()
    found = {}
    for k in ks:
        probe = fit_logistic(learning.columns(best[:k]), learning.label, ridge=ridge)
        found[k] = _accuracy(probe.says(judging.columns(best[:k])), judging.label)
    return found, tuple(best)


def _mean_differences(side: _Side) -> Float[Tensor, " n_features"]:
    codes, label = side.codes, side.label
    with_it = label[codes.row_of]
    sums = torch.zeros(2, codes.n_features, dtype=torch.float64)
    for number, chosen in enumerate((with_it, ~with_it)):
        sums[number].index_add_(0, codes.features[chosen], codes.values[chosen].double())
    return sums[0] / label.sum().clamp(min=1) - sums[1] / (~label).sum().clamp(min=1)


def _accuracy(said: Tensor, label: Tensor) -> float:
    return (said == label).double().mean().item()


def probe_labels(
    train: tuple[Codes, Tensor, Sequence[str]],
    test: tuple[Codes, Tensor, Sequence[str]],
    *,
    ks: Sequence[int] = (1, 2, 5),
    ridge: float = 1.0,
    seed: int = 0,
) -> tuple[ProbeScore, ...]:
    """Every label against all others; labels of which one side has no row are left out.

    Raises:
        ConfigError: fewer than two labels.
    """
    names = sorted(set(train[2]))
    if len(names) < 2:
        raise ConfigError(f"There is one label, {', '.join(names)}: a probe needs two or more.")
    kept = [name for name in names if name in set(test[2])]
    scores = []
    for name in kept:
        sides = [
            (codes, x, torch.tensor([one == name for one in labels]))
            for codes, x, labels in (train, test)
        ]
        scores.append(probe_label(name, sides[0], sides[1], ks=ks, ridge=ridge, seed=seed))
    return tuple(scores)
