"""Kept: for every feature, the few entries with the largest keys of all that were ever offered, in
tables whose size does not depend on how many those were.

With values as keys these are the largest activations; with random numbers as keys, a sample in
which each activation is as likely as any other (a reservoir; Vitter 1985, "Random sampling with a
reservoir"; by keys as in Efraimidis and Spirakis 2006). Once the tables are full nearly everything
is refused by one comparison. This module knows no model and no text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Chances", "Kept", "Offer", "mixed"]

_Array = np.ndarray


@dataclass(frozen=True)
class Offer:
    """Entries of one batch, side by side [entry]."""

    feature: _Array
    key: _Array
    """float64; larger is better."""
    value: _Array
    window: _Array
    position: _Array
    token: _Array
    around: Callable[[_Array], _Array]
    """The numbers of chosen entries [n] -> their feature's values around them, as shares of the
    entry's own value [n, width]."""


class Kept:
    """`each` entries of each feature, in no order; empty places have a key of minus infinity.

    Args:
        width: values that are kept around an entry, its own included.
    """

    def __init__(self, n_features: int, each: int, width: int) -> None:
        shape = (n_features, each)
        self.key = np.full(shape, -np.inf)
        # Filled and not merely reserved: memory is then the same from the first token to the last.
        self.value = np.full(shape, 0, np.float32)
        self.window = np.full(shape, -1, np.int32)
        self.position = np.full(shape, 0, np.int32)
        self.token = np.full(shape, 0, np.int32)
        # Shares need no range, and three digits of them are more than a shade shows.
        self.around = np.full((*shape, width), 0, np.float16)
        self.floor = np.full(n_features, -np.inf)

    @property
    def nbytes(self) -> int:
        """What the tables take."""
        return sum(table.nbytes for table in vars(self).values())

    def offer(self, offer: Offer) -> _Array:
        """Keep what is better than the worst kept; the earlier one of equals stays.

        Returns:
            The windows of what was taken.
        """
        if not self.key.shape[1]:
            return np.empty(0, np.int32)
        passing = np.flatnonzero(offer.key > self.floor[offer.feature])
        feature, key = offer.feature[passing], offer.key[passing]
        order = np.lexsort((-key, feature))
        passing, feature = passing[order], feature[order]
        first = np.flatnonzero(np.diff(feature, prepend=-1))
        lengths = np.diff(np.append(first, len(feature)))
        rank = np.arange(len(feature)) - np.repeat(first, lengths)
        taken, slots = [], []
        for number in range(min(self.key.shape[1], int(rank.max(initial=-1)) + 1)):
            # One entry of each feature: no two meet in a place.
            mine = passing[rank == number]
            held = self.key[offer.feature[mine]]
            slot = held.argmin(1)
            better = offer.key[mine] > held[np.arange(len(mine)), slot]
            mine, slot = mine[better], slot[better]
            self.key[offer.feature[mine], slot] = offer.key[mine]
            taken.append(mine)
            slots.append(slot)
        if not taken:
            return np.empty(0, np.int32)
        return self._put(offer, np.concatenate(taken), np.concatenate(slots))

    def _put(self, offer: Offer, taken: _Array, slot: _Array) -> _Array:
        places = offer.feature[taken], slot
        for name in ("value", "window", "position", "token"):
            getattr(self, name)[places] = getattr(offer, name)[taken]
        self.around[places] = offer.around(taken)
        touched = np.unique(places[0])
        self.floor[touched] = self.key[touched].min(1)
        return offer.window[taken]

    def of(self, feature: int) -> _Array:
        """The places of a feature that hold something, the largest key first."""
        order = np.argsort(-self.key[feature], kind="stable")
        return order[np.isfinite(self.key[feature][order])]


class Chances:
    """A number between 0 and 1 for every activation, the same however batches are cut: of the seed,
    the window, the position and the feature, mixed as in SplitMix64 (Steele et al. 2014)."""

    def __init__(self, seed: int) -> None:
        self.seed = np.array([seed % (1 << 63)], np.uint64)

    def __call__(self, window: _Array, position: _Array, feature: _Array) -> _Array:
        """[entry] each -> [entry] as float64."""
        with np.errstate(over="ignore"):
            place = window.astype(np.uint64) << np.uint64(20) | position.astype(np.uint64)
            found = mixed(place + mixed(self.seed + np.uint64(1)))
            found = mixed(found + feature.astype(np.uint64))
        return (found >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mixed(number: _Array) -> _Array:
    """Numbers [n], uint64, that look drawn by chance and depend on the given ones alone."""
    number = number + np.uint64(0x9E3779B97F4A7C15)
    number = (number ^ (number >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    number = (number ^ (number >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return number ^ (number >> np.uint64(31))
