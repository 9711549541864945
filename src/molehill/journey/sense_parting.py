"""What moves one sense of a word away from another, over many sentences: which heads, MLPs and
source words, and from which layer on.

It reads ledgers along the direction between the means of two senses, so it says what was added on
the way, not what would have happened without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import SenseError
from molehill.journey.coarsewsd import SenseWord, Use
from molehill.journey.gather import doubled
from molehill.journey.ledger import Axis, Ledger
from molehill.journey.paths import journeys, points_of, tokens_at
from molehill.journey.shift import parting_point
from molehill.language_model import LanguageModel
from molehill.text.tokens import Occurrence

__all__ = ["SenseParting", "part_senses"]


@dataclass(frozen=True)
class SenseParting:
    """What moves one sense of a word away from another, over many sentences.

    Each sentence's ledger is read along one direction, from the mean vector of sense `a` to that
    of sense `b`; the means of the two senses' readings are compared. The shares add up to the
    distance between the means.

    Attributes:
        parts_at: the first point from which on the distance between the means never falls below
        half of its largest value; None where they do not part.
        distances: at every point, |a - b| / sqrt((|a|^2 + |b|^2) / 2) of the two means.
        distance: between the means at `at`.
        by_component, by_head: shares by attention or MLP of a layer, and by head.
        by_source: shares by source word, as it is written, whatever its position.
        closing_error: the sum of the shares against the distance, relative.
    """

    a: str
    b: str
    at: str
    parts_at: str | None
    distances: dict[str, float]
    distance: float
    by_component: dict[str, float]
    by_head: dict[str, float]
    by_source: dict[str, float]
    closing_error: float


def part_senses(
    lm: LanguageModel,
    word: SenseWord,
    a: int,
    b: int,
    *,
    at: str,
    twice: bool = False,
    most: int = 40,
    batch: int = 16,
) -> SenseParting:
    """Find out which components, heads and source words move sense `b` away from sense `a` at a
    point, and where the two part.

    Args:
        a, b: numbers of senses, as in `word.senses`.
        at: a point of the journey, such as `18.resid_post`.
        twice: read each text twice and follow the word in the second reading.
        most: how many training uses of each are read.

    Raises:
        SenseError: no such sense or point, one sense twice, or a sense without uses.
    """
    points = points_of(lm.config)
    if at not in points:
        raise SenseError(
            f"{at!r} is no point of {lm.name}: choose from {points[0]} to {points[-1]}."
        )
    known = ", ".join(f"{number} {title}" for number, title in enumerate(word.titles))
    if a == b or not all(0 <= sense < len(word.senses) for sense in (a, b)):
        raise SenseError(f"{word.word}: {a} and {b} are not two of its senses ({known}).")
    uses = [[use for use in word.train if use.label == sense][:most] for sense in (a, b)]
    if not all(uses):
        raise SenseError(f"{word.word}: senses {a} and {b} need at least one training use each.")
    means, ledgers = zip(*(_read(lm, some, points, at, twice, batch) for some in uses), strict=True)
    apart = {point: _relative(one, other) for point, one, other in zip(points, *means, strict=True)}
    place = points.index(at)
    difference = means[1][place] - means[0][place]
    distance = float(difference.norm())
    direction = difference / max(distance, 1e-30)
    told = _shares(ledgers, direction)
    error = max(abs(sum(total.values()) - distance) for total in told.values())
    return SenseParting(
        word.titles[a],
        word.titles[b],
        at,
        parting_point(list(apart.values()), points),
        apart,
        distance,
        told["component"],
        told["head"],
        told["source"],
        error / max(distance, 1e-30),
    )


def _read(
    lm: LanguageModel,
    uses: Sequence[Use],
    points: Sequence[str],
    at: str,
    twice: bool,
    batch: int,
) -> tuple[Tensor, list[Ledger]]:
    """The mean vector at every point [point, d_model], and each use's ledger at one."""
    texts, places = [use.sentence for use in uses], [(use.start, use.end) for use in uses]
    if twice:
        texts, places = doubled(texts, places)
    total = torch.zeros(len(points), lm.config.d_model, dtype=torch.float64)
    ledgers: list[Ledger] = []
    for start in range(0, len(uses), batch):
        tokens = lm.encode(texts[start : start + batch])
        words = [
            Occurrence(
                row, *place, tokens_at(tokens, row, *place), uses[start + row].surface, "exact"
            )
            for row, place in enumerate(places[start : start + batch])
        ]
        for journey in journeys(lm, tokens, words):
            total += torch.stack([journey.vector(point).double() for point in points])
            ledgers.append(journey.ledger(at))
    return total / len(uses), ledgers


def _relative(a: Tensor, b: Tensor) -> float:
    lengths = (a.square().sum() + b.square().sum()) / 2
    return float((a - b).norm() / lengths.sqrt().clamp(min=1e-30))


def _shares(ledgers: Sequence[Sequence[Ledger]], direction: Tensor) -> dict[Axis, dict[str, float]]:
    """The mean reading of the second sense's ledgers less that of the first's, largest first."""
    sums: dict[Axis, dict[str, float]] = {"component": {}, "head": {}, "source": {}}
    for sign, some in zip((-1.0, 1.0), ledgers, strict=True):
        for one in some:
            reading = one.toward(direction)
            for axis, total in sums.items():
                for label, share in reading.by(axis).items():
                    name = label.rsplit(" (", 1)[0] if axis == "source" else label
                    total[name] = total.get(name, 0.0) + sign * share / len(some)
    return {
        axis: dict(sorted(total.items(), key=lambda entry: -abs(entry[1])))
        for axis, total in sums.items()
    }
