"""Which rows collide, in words: kinds of pairs of tokens, and bundles of rows that share one
direction.

Kinds are told from the tokens' writing alone, by the first rule that holds:

    marks            neither holds a letter or digit
    case or space    the same letters but for case and the space before them: " Mole", "mole"
    form             words of one stem: one begins like the other for all but their last three
                     letters, of four or more
    numbers          both are digits
    part             one of the two at least is written as a part of a word: without the space
                     before it, or with ## in front
    words            two words that are told apart in writing

A bundle is a handful of rows or more that share one direction. Training leaves such where it has
nothing to learn from: rows that hardly ever occur all get the same pushes (what Land and Bartolo,
"Fishing for Magikarp", 2024, find under-trained tokens by). Words that are used alike may lie so
too; only their names tell. This file knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.superposition.cosines import PairCosines, exact_cosines, unit_rows

__all__ = ["Bundle", "Collision", "collisions", "find_bundles", "kind_of_pair"]

# A bundle's rows have at least this cosine with its mean direction, and there are at least so many.
_TIGHT = 0.9
_LEAST = 5
_ROUNDS = 20


@dataclass(frozen=True)
class Collision:
    """Two rows of which at least one is the other's nearest."""

    first: int
    second: int
    cosine: float
    mutual: bool
    """Whether each is the nearest of the other."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """Rows that share one direction."""

    rows: Tensor
    """Which [size], int64."""
    mean_cosine: float
    """Of its pairs."""
    length: float
    """The mean length of its rows."""
    spread: float
    """Their lengths' standard deviation over the mean: of all other rows it is `others`."""
    others: float

    @property
    def size(self) -> int:
        return len(self.rows)


def collisions(vectors: Tensor, pairs: PairCosines) -> list[Collision]:
    """Every row with its nearest, each pair once, by |cosine|."""
    nearest = pairs.nearest_row
    rows = torch.arange(len(nearest), device=nearest.device)
    mutual = nearest[nearest] == rows
    keys = torch.minimum(rows, nearest) * len(rows) + torch.maximum(rows, nearest)
    keys, place = keys.unique(return_inverse=True)
    both = torch.zeros(len(keys), dtype=torch.bool, device=keys.device)
    both[place[mutual]] = True
    first, second = keys // len(rows), keys % len(rows)
    cosines = exact_cosines(vectors, first, second)
    order = cosines.abs().argsort(descending=True, stable=True)
    listed = [one[order].tolist() for one in (first, second, cosines, both)]
    return [Collision(*one) for one in zip(*listed, strict=True)]


def find_bundles(vectors: Tensor, pairs: PairCosines, most: int = 3) -> tuple[Bundle, ...]:
    """The bundles around the rows that are in most of the closest pairs, the largest first.

    Members are all rows with a cosine of 0.9 or more with the mean direction of the members before,
    beginning with such a row and those it is paired with, until they stay the same. Then what is
    left is looked at in the same way.
    """
    unit = unit_rows(vectors)
    lengths = vectors.detach().double().norm(dim=1)
    free = torch.ones(len(unit), dtype=torch.bool, device=unit.device)
    left = [pair[:2] for pair in pairs.closest if pair[2] > 0]
    found: list[Bundle] = []
    while left and len(found) < most:
        centre = Counter(row for pair in left for row in pair).most_common(1)[0][0]
        around = sorted({row for pair in left if centre in pair for row in pair})
        members = _grown(unit, around, free)
        if int(members.sum()) >= _LEAST:
            found.append(_bundle(unit, lengths, members))
        taken = {*around, *members.nonzero().squeeze(1).tolist()}
        free &= ~members
        left = [pair for pair in left if not taken & set(pair)]
    return tuple(sorted(found, key=lambda one: -one.size))


def _grown(unit: Tensor, around: list[int], free: Tensor) -> Tensor:
    """Which of the free rows lie around these rows' mean direction."""
    members = torch.zeros_like(free)
    members[around] = True
    for _ in range(_ROUNDS):
        mean = unit[members].mean(0)
        now = (unit @ (mean / mean.norm()) >= _TIGHT) & free
        if torch.equal(now, members) or not now.any():
            break
        members = now
    return members


def _bundle(unit: Tensor, lengths: Tensor, members: Tensor) -> Bundle:
    inside, outside = lengths[members], lengths[~members]
    count, total = len(inside), float(unit[members].double().sum(0).norm()) ** 2
    return Bundle(
        rows=members.nonzero().squeeze(1),
        mean_cosine=(total - count) / (count * (count - 1)),
        length=float(inside.mean()),
        spread=float(inside.std() / inside.mean()),
        others=float(outside.std() / outside.mean()) if len(outside) > 1 else 0.0,
    )


def kind_of_pair(first: str, second: str, *, spaced: bool) -> str:
    """How two tokens are alike in writing.

    Args:
        spaced: whether a space before a word is written, as `·` (`Tokenizer.piece` has it so); else
            a part that goes on from another token begins with ##.
    """
    one, other = _bare(first), _bare(second)
    if not any(map(str.isalnum, one)) and not any(map(str.isalnum, other)):
        return "marks"
    if one == other:
        return "case or space"
    if one.isdigit() and other.isdigit():
        return "numbers"
    shared = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    shared = min(len(one), len(other)) if shared is None else shared
    if one.isalpha() and other.isalpha() and shared >= max(3, len(one) - 3, len(other) - 3):
        return "form"
    parts = [
        not piece.startswith("·") if spaced else piece[:2] == "##" for piece in (first, second)
    ]
    return "part" if any(parts) else "words"


def _bare(piece: str) -> str:
    return piece.strip("· ").removeprefix("##").casefold()
