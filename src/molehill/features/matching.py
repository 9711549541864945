"""Matching: which learnt feature stands for which true one, each used once.

By direction where true directions are known (`match_directions`), by activity where only that is
(`Agreement`: in which rows both are active). Either gives every pair a score; partners are those
of the assignment whose scores have the largest sum (the Hungarian method), so that one learnt
feature cannot be found twice. Recall and precision are counted over partners whose score is above a
line. This module knows no autoencoder and does not know where a truth comes from.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.codes import Codes

__all__ = ["Agreement", "Match", "match_directions", "match_scores"]

_BLOCK = 8192


@dataclass(frozen=True)
class Match:
    """True features and their partners among the learnt ones."""

    scores: Float[Tensor, " true"]
    """Of each true feature and its partner; 0 where there are fewer learnt features than true."""
    partner: Int[Tensor, " true"]
    """The learnt feature; -1 for none."""
    nearest: Float[Tensor, " true"]
    """The best score of each true feature with any learnt one, used elsewhere or not."""
    back: Float[Tensor, " learnt"]
    """The best score of each learnt feature with any true one."""

    def recall(self, line: float = 0.9) -> float:
        """The share of true features whose partner's score is above the line."""
        return (self.scores > line).float().mean().item()

    def precision(self, line: float = 0.9) -> float:
        """The share of learnt features that are such a partner."""
        return (self.scores > line).sum().item() / max(1, len(self.back))

    @property
    def mean_nearest(self) -> float:
        """The mean best score of a true feature: of directions, MMCS from truth to learnt (Sharkey
        et al. 2022, "Taking features out of superposition with sparse autoencoders")."""
        return self.nearest.mean().item()

    @property
    def mean_back(self) -> float:
        """The same from learnt to true."""
        return self.back.mean().item()

    def curve(self, lines: int = 19) -> list[tuple[float, float, float]]:
        """Lines from 0.05 on in equal steps below 1, each with recall and precision."""
        at = [number / (lines + 1) for number in range(1, lines + 1)]
        return [(line, self.recall(line), self.precision(line)) for line in at]


def match_scores(scores: Float[Tensor, "true learnt"]) -> Match:
    """Partners by any scores of pairs, the larger the better.

    Raises:
        ConfigError: no true or no learnt feature.
    """
    true, learnt = scores.shape
    if not true or not learnt:
        raise ConfigError(f"There are {true} true and {learnt} learnt features to match.")
    table = scores.detach().double().cpu()
    rows, columns = linear_sum_assignment(table.numpy(), maximize=True)
    partner = torch.full((true,), -1, dtype=torch.int64)
    partner[torch.from_numpy(rows)] = torch.from_numpy(columns)
    own = torch.zeros(true, dtype=torch.float64)
    own[torch.from_numpy(rows)] = table[torch.from_numpy(rows), torch.from_numpy(columns)]
    return Match(own, partner, table.amax(1), table.amax(0))


def match_directions(true: Float[Tensor, "true d"], learnt: Float[Tensor, "learnt width"]) -> Match:
    """Partners by cosine; a direction has a sign, so that opposite ones do not match.

    Raises:
        ConfigError: widths that differ, or no feature.
    """
    if true.shape[1] != learnt.shape[1]:
        raise ConfigError(
            f"True directions have {true.shape[1]} numbers and learnt ones {learnt.shape[1]}."
        )
    return match_scores(_unit(true) @ _unit(learnt).T)


def _unit(rows: Tensor) -> Tensor:
    rows = rows.detach().double()
    return rows / rows.norm(dim=1, keepdim=True).clamp_(min=1e-12)


class Agreement:
    """In how many rows true and learnt features are active together; rows are added in batches.

    A row can be left out for some true features: where a feature is known to be active still, but
    nobody has to say so again, it counts neither for nor against a learnt one.
    """

    def __init__(self, n_true: int, n_learnt: int) -> None:
        self.rows = 0
        self.both = torch.zeros(n_true, n_learnt, dtype=torch.float64)
        self.alone = torch.zeros(n_true, n_learnt, dtype=torch.float64)
        """Rows that count, in which only the learnt one is active."""
        self.true = torch.zeros(n_true, dtype=torch.float64)
        self.learnt = torch.zeros(n_learnt, dtype=torch.float64)

    def add(
        self,
        codes: Codes,
        active: Bool[Tensor, "rows true"],
        aside: Bool[Tensor, "rows true"] | None = None,
    ) -> None:
        """More rows.

        Args:
            active: which true features are active.
            aside: which rows are left out for which true feature; none of them is active there.
        """
        assert len(active) == codes.rows, "a row of truth for each row of codes"
        assert aside is None or not bool((aside & active).any()), "rows left out are not active"
        for first in range(0, codes.rows, _BLOCK):
            rows = slice(first, first + _BLOCK)
            fires = _block(codes, first, min(first + _BLOCK, codes.rows))
            met = active[rows].float().T @ fires
            self.both += met
            self.alone -= met if aside is None else met + aside[rows].float().T @ fires
            self.alone += fires.sum(0)
            self.learnt += fires.sum(0)
        self.true += active.sum(0)
        self.rows += codes.rows

    @property
    def f1(self) -> Float[Tensor, "true learnt"]:
        """2 both / (2 both + only true + only learnt) of every pair; 0 where neither ever is."""
        missed = self.true[:, None] - self.both
        total = 2 * self.both + missed + self.alone
        return torch.where(total > 0, 2 * self.both / total.clamp(min=1), 0.0)

    @property
    def precision(self) -> Float[Tensor, "true learnt"]:
        """Of the rows in which the learnt feature is active, the share in which the true one is."""
        return self.both / (self.both + self.alone).clamp(min=1)

    @property
    def recall(self) -> Float[Tensor, "true learnt"]:
        """Of the rows in which the true feature is active, the share in which the learnt one is."""
        return self.both / self.true.clamp(min=1)[:, None]

    def match(self) -> Match:
        """Partners by F1."""
        return match_scores(self.f1)


def _block(codes: Codes, first: int, end: int) -> Float[Tensor, "rows learnt"]:
    """1 where a feature is active, of some rows."""
    here = slice(int(codes.offsets[first]), int(codes.offsets[end]))
    row = torch.arange(end - first).repeat_interleave(codes.offsets[first : end + 1].diff())
    active = codes.values[here] > 0
    table = torch.zeros(end - first, codes.n_features)
    table[row[active], codes.features[here][active]] = 1.0
    return table
