"""A pseudo-random order of 0..n-1 that is computed, not stored.

A Feistel network is a bijection of the numbers below a power of four, whatever its round function
(Luby and Rackoff 1988); a number that lands at n or above is sent through again until it lands
below (cycle walking: Black and Rogaway 2002, section 3). So the place of one item costs
microseconds, however many there are. This order is for shuffling, not for secrets. The module knows
numbers only.
"""

from __future__ import annotations

import numpy as np

__all__ = ["mixed", "permuted"]

_ROUNDS = 6
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permuted(index: np.ndarray, size: int, key: np.ndarray) -> np.ndarray:
    """Where each index comes in the order of its key.

    For every key this is a bijection of 0..size-1. Another key gives another, unrelated order.

    Args:
        index: [n] Integers from 0 to `size` - 1.
        size: How many items there are, from 1 to 2**62.
        key: [n] uint64, the order's number.

    Returns:
        [n] int64.
    """
    assert 1 <= size <= 2**62, "half of the bits must fit into what is multiplied"
    # Each half has so many bits; at least one, since a half of none is no half.
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = np.stack([mixed(key, number) for number in range(_ROUNDS)])
    found = _feistel(index.astype(np.uint64), half, keys)
    while (outside := np.flatnonzero(found >= size)).size:
        found[outside] = _feistel(found[outside], half, keys[:, outside])
    return found.astype(np.int64)


def mixed(*numbers: np.ndarray | int) -> np.ndarray:
    """A well-mixed number of several, [n] uint64 elementwise (the finaliser of splitmix64, Steele,
    Lea and Flood 2014)."""
    state = np.zeros(1, np.uint64)
    with np.errstate(over="ignore"):  # arithmetic modulo 2**64 is what is meant
        for number in numbers:
            state = _finalised(state + np.asarray(number).astype(np.uint64) + _GOLDEN)
    return state


def _feistel(value: np.ndarray, half: int, keys: np.ndarray) -> np.ndarray:
    """One pass through the network; `keys` are [round, n]."""
    bits, mask = np.uint64(half), np.uint64(2**half - 1)
    left, right = value >> bits, value & mask
    for key in keys:
        left, right = right, left ^ (_finalised(right + key) & mask)
    return (left << bits) | right


def _finalised(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
