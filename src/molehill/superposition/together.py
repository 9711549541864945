"""Does interference fall on what occurs together?

Two directions that are not at right angles disturb one another when both are in use. Whether a
model lets that happen is asked by comparing pairs that occur together more often than chance with
pairs that do not, of like frequency: frequent rows differ from rare ones in many ways. Frequencies
are matched by strata; the null is drawn by giving rows of one stratum one another's vectors; the
interval is a jackknife over groups of rows, since pairs that share a row are not independent. What
an event is, a stretch of text or one token, is the caller's choice. This file knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.cosines import unit_rows

__all__ = [
    "Effect",
    "Together",
    "occurrences_in_windows",
    "occurrences_of_largest",
    "together",
]

_LEAST_EVENTS = 5
_LEAST_ROWS = 20
_GROUPS = 20


@dataclass(frozen=True)
class Effect:
    """A mean over pairs that occur together, less that over matched pairs that do not."""

    with_one_another: float
    apart: float
    """The mean over matched pairs that do not occur together."""
    low: float
    high: float
    """The 95% interval of their difference."""
    null: float
    """The standard deviation of the difference where vectors are dealt out again."""

    @property
    def difference(self) -> float:
        return self.with_one_another - self.apart

    @property
    def z(self) -> float:
        """The difference in standard deviations of the null."""
        return self.difference / self.null if self.null else 0.0


@dataclass(frozen=True)
class Together:
    """What was compared, and what came out."""

    events: int
    rows: int
    linked: int
    """Pairs that occur together more often than chance."""
    others: int
    size: Effect
    """Of |cosine|: how much two rows disturb one another at all."""
    signed: Effect
    """Of the cosine: above nothing, what occurs together points the same way."""
    alike: tuple[tuple[int, int, float, int], ...]
    """Of the linked pairs, those of the largest cosine: (row, row, cosine, events in common)."""
    opposed: tuple[tuple[int, int, float, int], ...]
    """Those of the smallest."""


def occurrences_in_windows(texts: list[list[int]], window: int, most: int) -> tuple[Tensor, Tensor]:
    """Which of the most frequent tokens are in which window of so many tokens.

    Returns:
        Occurrences [event, row] of 0 and 1, and the tokens that the rows stand for [row].

    Raises:
        GeometryError: no two tokens side by side.
    """
    windows = [text[at : at + window] for text in texts for at in range(0, len(text), window)]
    windows = [one for one in windows if len(one) > 1]
    if not windows:
        raise GeometryError("The texts hold no two tokens side by side: give longer ones.")
    counts = torch.bincount(torch.tensor([token for one in windows for token in set(one)]))
    enough = int((counts >= _LEAST_EVENTS).sum())
    tokens = counts.topk(min(most, enough)).indices.sort().values
    place = torch.full((len(counts),), -1)
    place[tokens] = torch.arange(len(tokens))
    found = torch.zeros(len(windows), len(tokens))
    for event, one in enumerate(windows):
        rows = place[torch.tensor(one)]
        found[event, rows[rows >= 0]] = 1.0
    return found, tokens


def occurrences_of_largest(values: Tensor, share: float = 0.05) -> Tensor:
    """Where each column of values [events, rows] is at its own largest in size: at this share of
    events, so that all rows occur equally often [events, rows]."""
    most = max(1, round(share * len(values)))
    places = values.detach().abs().topk(most, dim=0).indices
    return torch.zeros_like(values, dtype=torch.float32).scatter_(0, places, 1.0)


@torch.no_grad()
def together(
    vectors: Tensor,
    occurrences: Tensor,
    *,
    centred: bool = True,
    strata: int = 8,
    draws: int = 100,
    seed: int = 0,
) -> Together:
    """Compare the cosines of vectors [rows, d] that occur together with those of others.

    Linked pairs have two events or more in common, and more than expected by two standard
    deviations; the others have no more in common than expected. Expected is the product of both
    frequencies, times one number for all pairs so that it adds up to what they have in common.

    Args:
        occurrences: which row is in which event [events, rows], 0 and 1.
        centred: whether the vectors' mean is taken off first: what all have in common says nothing
            of pairs.
        strata: how many classes of frequency.

    Raises:
        GeometryError: shapes that do not fit, too few rows with five events or more, no pair
            linked.
    """
    if occurrences.ndim != 2 or occurrences.shape[1] != len(vectors):
        raise GeometryError(
            f"Occurrences must be [events, {len(vectors)}], found {tuple(occurrences.shape)}."
        )
    given = occurrences.float()
    counts = given.sum(0)
    kept = (counts >= _LEAST_EVENTS).nonzero().squeeze(1)
    if len(kept) < _LEAST_ROWS:
        raise GeometryError(
            f"{len(kept)} rows occur {_LEAST_EVENTS} times or more, and {_LEAST_ROWS} are needed: "
            "give more text."
        )
    chosen = vectors.detach()[kept].float()
    unit = unit_rows(chosen - chosen.mean(0) if centred else chosen)
    counted = _Compared.of(given[:, kept], counts[kept], strata)
    cosines = unit @ unit.T
    generator = torch.Generator().manual_seed(seed)
    effects = [counted.effect(one, draws, generator) for one in (cosines.abs(), cosines)]
    return Together(
        events=len(given),
        rows=len(kept),
        linked=int(counted.linked.sum()),
        others=int((~counted.linked).sum()),
        size=effects[0],
        signed=effects[1],
        alike=counted.named(cosines, kept, largest=True),
        opposed=counted.named(cosines, kept, largest=False),
    )


@dataclass(frozen=True, eq=False)
class _Compared:
    """The pairs that are compared: linked or not, their stratum, and each row's class."""

    first: Tensor
    second: Tensor
    linked: Tensor
    common: Tensor
    stratum: Tensor
    classes: Tensor
    strata: int

    @classmethod
    def of(cls, given: Tensor, counts: Tensor, strata: int) -> _Compared:
        rows = len(counts)
        first, second = torch.triu_indices(rows, rows, offset=1)
        common = (given.T @ given)[first, second]
        expected = counts[first] * counts[second]
        # Where much occurs, all occurs: only what a pair has beyond the others is its own.
        expected = expected * (common.sum() / expected.sum())
        linked = (common >= 2) & (common > expected + 2 * expected.sqrt())
        if not linked.any():
            raise GeometryError("No two rows occur together more than chance: give more text.")
        used = linked | (common <= expected)
        order = counts.argsort(stable=True)
        classes = torch.empty_like(order)
        classes[order] = torch.arange(rows) * strata // rows
        low = torch.minimum(classes[first], classes[second])
        high = torch.maximum(classes[first], classes[second])
        stratum = low * strata + high
        return cls(
            first=first[used],
            second=second[used],
            linked=linked[used],
            common=common[used],
            stratum=stratum[used],
            classes=classes,
            strata=strata * strata,
        )

    def means(self, values: Tensor, kept: Tensor | None = None) -> tuple[float, float]:
        """The mean over linked pairs and over others, the others weighted so that their strata are
        as frequent; `kept` [pairs] leaves pairs out."""
        linked, stratum = self.linked, self.stratum
        if kept is not None:
            values, linked, stratum = values[kept], linked[kept], stratum[kept]
        group = stratum * 2 + linked
        sizes = torch.bincount(group, minlength=2 * self.strata).double().view(-1, 2)
        sums = torch.bincount(group, values.double(), minlength=2 * self.strata).view(-1, 2)
        both = (sizes > 0).all(1)
        sizes, sums = sizes[both], sums[both]
        weights = sizes[:, 1] / sizes[:, 1].sum()
        mean = sums / sizes
        return float((weights * mean[:, 1]).sum()), float((weights * mean[:, 0]).sum())

    def effect(self, matrix: Tensor, draws: int, generator: torch.Generator) -> Effect:
        values = matrix[self.first, self.second]
        linked, others = self.means(values)
        dealt = []
        for _ in range(draws):
            order = self._dealt(generator)
            one, other = self.means(matrix[order[self.first], order[self.second]])
            dealt.append(one - other)
        groups = torch.randint(_GROUPS, (len(self.classes),), generator=generator)
        without = []
        for group in range(_GROUPS):
            kept = (groups[self.first] != group) & (groups[self.second] != group)
            one, other = self.means(values, kept)
            without.append(one - other)
        left = torch.tensor(without, dtype=torch.float64)
        error = float(((_GROUPS - 1) / _GROUPS * ((left - left.mean()) ** 2).sum()).sqrt())
        null = float(torch.tensor(dealt, dtype=torch.float64).std()) if draws > 1 else 0.0
        middle = linked - others
        return Effect(linked, others, middle - 1.96 * error, middle + 1.96 * error, null)

    def _dealt(self, generator: torch.Generator) -> Tensor:
        """Rows in another order, each within its class of frequency."""
        mixed = torch.rand(len(self.classes), generator=generator)
        to = (self.classes + mixed).argsort()
        order = torch.empty_like(to)
        order[self.classes.argsort(stable=True)] = to
        return order

    def named(
        self, cosines: Tensor, kept: Tensor, *, largest: bool, most: int = 8
    ) -> tuple[tuple[int, int, float, int], ...]:
        places = self.linked.nonzero().squeeze(1)
        values = cosines[self.first[places], self.second[places]]
        best = values.topk(min(most, len(values)), largest=largest)
        chosen = places[best.indices]
        rows = kept.to(self.first.device)
        listed = (
            rows[self.first[chosen]],
            rows[self.second[chosen]],
            best.values,
            self.common[chosen],
        )
        return tuple(
            (int(one), int(other), float(cosine), int(common))
            for one, other, cosine, common in zip(*(part.tolist() for part in listed), strict=True)
        )
