"""Together: which features are active at the same tokens, counted in memory of a fixed size.

Up to 4,096 features every pair has a count of its own. Beyond that a feature's partners share
1,024 counters, in two tables with different ways of sharing; the smaller one of a pair's two
counters is never too low (a count-min sketch; Cormode and Muthukrishnan 2005). Where tokens have so
many active features that pairs would cost more than the model, only one token in so many is
counted, and that is told. This module knows no text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

__all__ = ["Partner", "Together", "add_one"]

_Array = np.ndarray

_EXACT = 4096
_COUNTERS = 1024
_PAIRS_OF_A_ROW = 4096
_PIECE = 2_000_000


@dataclass(frozen=True)
class Partner:
    """A feature that is active together with another one."""

    feature: int
    share: float
    """Of the other one's tokens, those at which it is active too; where counters are shared, not
    more than this."""
    correlation: float
    """Of being active, over all tokens that were counted."""


class Together:
    """Counts of pairs."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self.exact = n_features <= _EXACT
        self.every = 0
        """One token in so many is counted; 0 before the first one."""
        self.rows = 0
        """Tokens that were counted."""
        self.counts = np.zeros(n_features, np.int64)
        """In how many of these each is active."""
        numbers = np.arange(n_features, dtype=np.int64)
        if self.exact:
            self._places = [numbers]
            width = n_features
        else:
            rng = np.random.default_rng(0)
            self._places = [rng.permutation(n_features) % _COUNTERS for _ in range(2)]
            width = _COUNTERS
        self.tables = [np.full((n_features, width), 0, np.int32) for _ in self._places]

    @property
    def nbytes(self) -> int:
        """What the tables take."""
        return sum(table.nbytes for table in self.tables)

    def add(self, features: _Array, offsets: _Array, chance: _Array) -> None:
        """Count a batch's pairs.

        Args:
            features: all active ones [entry], row by row.
            offsets: where each row begins [row + 1].
            chance: a number between 0 and 1 for each row [row].
        """
        lengths = np.diff(offsets)
        if not self.every and len(lengths):
            mean = float((lengths.astype(np.float64) ** 2).mean())
            self.every = max(1, math.ceil(mean / _PAIRS_OF_A_ROW))
        chosen = np.flatnonzero(chance * max(1, self.every) < 1)
        self.rows += len(chosen)
        weights = (lengths[chosen] ** 2).cumsum()
        for rows in np.split(chosen, np.searchsorted(weights, _cuts(weights), side="left")):
            if len(rows):
                self._add(features, offsets[rows], lengths[rows])

    def _add(self, features: _Array, starts: _Array, lengths: _Array) -> None:
        """All pairs of some rows, those of a feature with itself included."""
        entries = _ranges(starts, lengths)
        partners = _ranges(np.repeat(starts, lengths), np.repeat(lengths, lengths))
        one = np.repeat(features[entries], np.repeat(lengths, lengths))
        self.counts += np.bincount(features[entries], minlength=self.n_features)
        for places, table in zip(self._places, self.tables, strict=True):
            flat = one.astype(np.int64) * table.shape[1] + places[features[partners]]
            add_one(table, flat)

    def pairs_of(self, feature: int) -> _Array:
        """At how many counted tokens each feature is active together with this one [feature];
        without exact counts, at most so many."""
        found = [
            table[feature][places] for places, table in zip(self._places, self.tables, strict=True)
        ]
        return np.minimum.reduce(found) if len(found) > 1 else found[0]

    def correlations(self, feature: int) -> _Array:
        """The correlation of being active with every feature [feature]; 0 with those that are
        always or never active."""
        p, q, rows = self.counts / max(1, self.rows), self.counts[feature], max(1, self.rows)
        own = q / rows
        both = np.minimum(self.pairs_of(feature), np.minimum(self.counts, q)) / rows
        spread = np.sqrt(np.maximum(p * (1 - p) * own * (1 - own), 0.0))
        return np.divide(both - p * own, spread, out=np.zeros(len(p)), where=spread > 0)

    def partners(self, feature: int, most: int) -> tuple[Partner, ...]:
        """Those with the largest correlation, if it is above zero; first the largest."""
        if not self.counts[feature]:
            return ()
        found = self.correlations(feature)
        found[feature] = -1.0
        best = np.argpartition(-found, min(most, len(found) - 1))[:most]
        best = best[np.argsort(-found[best], kind="stable")]
        pairs = np.minimum(self.pairs_of(feature), self.counts)
        return tuple(
            Partner(int(one), float(pairs[one] / self.counts[feature]), float(found[one]))
            for one in best
            if found[one] > 0
        )


def add_one(table: _Array, places: _Array) -> None:
    """Add one at each place [n] of a flattened int32 table, as often as it is named: torch does it
    in a twentieth of numpy's time."""
    flat = torch.from_numpy(table.reshape(-1))
    ones = torch.ones(len(places), dtype=flat.dtype)
    flat.scatter_add_(0, torch.from_numpy(places), ones)


def _ranges(starts: _Array, lengths: _Array) -> _Array:
    """The numbers from each start on, so many of each, one range after the other."""
    ends = lengths.cumsum()
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) + np.repeat(starts - (ends - lengths), lengths)


def _cuts(weights: _Array) -> _Array:
    """Where to cut so that no piece has many more pairs than `_PIECE`."""
    total = int(weights[-1]) if len(weights) else 0
    return np.arange(_PIECE, total, _PIECE)
