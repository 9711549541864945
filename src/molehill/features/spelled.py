"""Spelled: which whole word a token ends, of however many tokens, and how often each was seen.

A word of several tokens is known at its last token by all of them; a number stands for the tokens
from the word's first one up to here, so that words are compared and counted without being written
out. Counts take a fixed memory: each word shares its counter with a few others in two tables, and
the smaller of its two is never too low (a count-min sketch; Cormode and Muthukrishnan 2005). This
module knows no features.
"""

from __future__ import annotations

import numpy as np

from molehill.features.kept import mixed
from molehill.features.words import Words

__all__ = ["COUNTERS", "add_spelled", "counts_of", "no_counts", "spelled"]

_Array = np.ndarray

COUNTERS = 1 << 19
_TABLES = 2
_LONGEST = 16
"""Tokens of a word; what comes after them begins anew."""


def spelled(words: Words, ids: _Array, first: _Array) -> tuple[_Array, _Array]:
    """The word that each token ends, so far.

    Args:
        ids: tokens of texts one after the other [n]; -1 is no token.
        first: whether a text begins here [n].

    Returns:
        A number for each word [n], uint64, and its tokens so far [n]. A token that is no letters is
        a word of its own.
    """
    token = ids.clip(min=0)
    letters = words.letters[token] & (ids >= 0)
    goes_on = letters & ~words.begins[token] & ~first
    goes_on[1:] &= letters[:-1]
    goes_on[:1] = False
    place = np.arange(len(ids))
    begun = np.maximum.accumulate(np.where(goes_on, 0, place))
    depth = (place - begun) % _LONGEST
    number = words.number[token].astype(np.uint64)
    with np.errstate(over="ignore"):
        found = mixed(number)
        for size in range(1, int(depth.max(initial=0)) + 1):
            here = np.flatnonzero(depth == size)
            found[here] = mixed(found[here - 1] + number[here])
    return found, depth + 1


def no_counts() -> _Array:
    """Counters before the first word [table, counter]."""
    return np.full((_TABLES, COUNTERS), 0, np.int32)


def add_spelled(counts: _Array, found: _Array) -> None:
    """Count words [n], as often as they are named."""
    for table, places in zip(counts, _places(found), strict=True):
        np.add.at(table, places, 1)


def counts_of(counts: _Array, found: _Array) -> _Array:
    """How often words [n] were counted; not less than that."""
    return np.minimum.reduce(
        [table[places] for table, places in zip(counts, _places(found), strict=True)]
    )


def _places(found: _Array) -> list[_Array]:
    """Where words are counted in each table."""
    parts = found, found >> np.uint64(32)
    return [(part % np.uint64(COUNTERS)).astype(np.int64) for part in parts]
