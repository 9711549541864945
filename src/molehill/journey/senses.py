"""The senses of one word: how far a model's own vectors tell them apart, layer by layer, and what
does it.

Two readings are scored on uses that were held out. The plain one at every layer: the sense whose
centroid has the largest cosine with the vector, the training mean taken off both. And the combined
one: nearest centroid in a whitened space that holds all layers side by side (`separate.py`). The
layer that a single-layer reading should use is chosen by cross-validation on the training uses;
test labels only score. Beside them stand what they must beat: the first layer, where every use has
one vector, the most frequent sense, and readings fitted to shuffled labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import SenseError
from molehill.journey.coarsewsd import SenseWord, Use
from molehill.journey.gather import WordVectors, gather
from molehill.journey.ledger import Ledger
from molehill.journey.paths import carriers, journeys, tokens_at
from molehill.journey.separate import (
    centroids,
    cross_validate,
    fit_reading,
    macro_f1,
    most_frequent_sense,
    nearest_centroid,
    per_sense_recall,
    shuffled_control,
    silhouette,
    variance_ratio,
)
from molehill.language_model import LanguageModel
from molehill.text.tokens import Occurrence

__all__ = [
    "LayerScore",
    "Score",
    "SenseParting",
    "SenseScores",
    "part_senses",
    "score_senses",
    "score_vectors",
]


@dataclass(frozen=True)
class Score:
    """How well a reading told the test uses' senses.

    Attributes:
        macro_f1: the mean over senses of their F1.
        accuracy: the share of uses told rightly; skewed senses flatter it.
        recall: for every sense, the share of its uses told rightly.
    """

    macro_f1: float
    accuracy: float
    recall: dict[str, float]


@dataclass(frozen=True)
class LayerScore:
    """The plain reading at one point.

    Attributes:
        test: on the test uses.
        train_macro_f1: on the training uses, cross-validated: what a layer may be chosen by.
        silhouette, variance_ratio: of the test uses' vectors by their true senses.
    """

    point: str
    test: Score
    train_macro_f1: float
    silhouette: float
    variance_ratio: float


@dataclass(frozen=True)
class SenseScores:
    """One word's result.

    Attributes:
        uses: for every sense, how many uses there are to learn from and to be scored on.
        layers: the plain reading at the embedding and after every layer.
        chosen: the point with the best cross-validated training score.
        combined: the whitened reading of all layers; and its score by cross-validation on the
        training uses.
        shuffled: macro-F1 of the combined reading after its training labels were dealt out at
        random, once per draw.
        most_frequent: macro-F1 of always saying the most frequent sense.
    """

    word: str
    model: str
    fingerprint: str
    twice: bool
    uses: dict[str, tuple[int, int]]
    layers: tuple[LayerScore, ...]
    chosen: str
    combined: Score
    combined_train_macro_f1: float
    shuffled: tuple[float, ...]
    most_frequent: float

    @property
    def plain(self) -> LayerScore:
        """The plain reading at the chosen point."""
        return next(layer for layer in self.layers if layer.point == self.chosen)


@dataclass(frozen=True, eq=False)
class _PlainReading:
    """Cosine to centroids, the training mean taken off both."""

    mean: Tensor
    centres: Tensor

    def predict(self, vectors: Tensor) -> Tensor:
        return nearest_centroid(vectors - self.mean, self.centres)


def _fit_plain(vectors: Tensor, labels: Tensor) -> _PlainReading:
    mean = vectors.mean(0)
    return _PlainReading(mean, centroids(vectors - mean, labels))


def score_senses(
    lm: LanguageModel,
    word: SenseWord,
    *,
    twice: bool = False,
    separator: str = " ",
    most_train: int | None = None,
    draws: int = 3,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> SenseScores:
    """Score both readings of `word` on its test uses.

    Args:
        twice: read each text twice and follow the word in the second reading.
        separator: what stands between the two readings.
        most_train: learn from at most so many training uses, drawn by `seed`, each sense in
        proportion.
        progress: called with the number of sentences just run.

    Raises:
        SenseError: a sense without two training uses: nothing can be cross-validated.
    """
    train = _draw(word.train, most_train, seed)
    both = (*train, *word.test)
    found = gather(
        lm,
        [use.sentence for use in both],
        [(use.start, use.end) for use in both],
        twice=twice,
        separator=separator,
        progress=progress,
    )
    return score_vectors(lm, word, train, found, draws=draws, seed=seed)


def score_vectors(
    lm: LanguageModel,
    word: SenseWord,
    train: Sequence[Use],
    found: WordVectors,
    *,
    draws: int = 3,
    seed: int = 0,
) -> SenseScores:
    """The same from vectors that were gathered before: those of `train`, then those of the test
    uses."""
    known = torch.tensor([use.label for use in train])
    gold = torch.tensor([use.label for use in word.test])
    known, gold, senses = _compact(known, gold, word)
    learn, test = found.vectors[: len(train)], found.vectors[len(train) :]
    layers = tuple(
        _score_layer(point, learn[:, place], known, test[:, place], gold, senses, seed)
        for place, point in enumerate(found.points)
    )
    best = max(layers, key=lambda layer: layer.train_macro_f1)
    reading = fit_reading(learn, known)
    baseline = torch.full_like(gold, most_frequent_sense(known))
    return SenseScores(
        word.word,
        lm.name,
        lm.fingerprint,
        found.twice,
        {
            title: (int((known == number).sum()), int((gold == number).sum()))
            for number, title in enumerate(senses)
        },
        layers,
        best.point,
        _score(gold, reading.predict(test), senses),
        macro_f1(known, cross_validate(learn, known, seed=seed)),
        shuffled_control(learn, known, test, gold, draws=draws, seed=seed),
        macro_f1(gold, baseline),
    )


def _score_layer(
    point: str,
    learn: Tensor,
    known: Tensor,
    test: Tensor,
    gold: Tensor,
    senses: Sequence[str],
    seed: int,
) -> LayerScore:
    told = _fit_plain(learn, known).predict(test)
    held_out = cross_validate(learn, known, _fit_plain, seed=seed)
    several = len(torch.unique(gold)) > 1
    return LayerScore(
        point,
        _score(gold, told, senses),
        macro_f1(known, held_out),
        silhouette(test, gold) if several else 0.0,
        variance_ratio(test, _renumbered(gold)),
    )


def _score(gold: Tensor, told: Tensor, senses: Sequence[str]) -> Score:
    recall = {senses[number]: share for number, share in per_sense_recall(gold, told).items()}
    return Score(macro_f1(gold, told), float((gold == told).double().mean()), recall)


def _renumbered(labels: Tensor) -> Tensor:
    """Labels without gaps: a sense may be missing from the test uses."""
    return torch.unique(labels, return_inverse=True)[1]


def _compact(
    known: Tensor, gold: Tensor, word: SenseWord
) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """Labels of the senses that there are uses to learn from, numbered without gaps, and their
    names."""
    present = torch.unique(known)
    if unknown := set(gold.tolist()) - set(present.tolist()):
        names = ", ".join(word.titles[number] for number in sorted(unknown))
        raise SenseError(f"{word.word}: there is no training use of {names}, which is tested.")
    place = torch.full((len(word.senses),), -1)
    place[present] = torch.arange(len(present))
    return place[known], place[gold], tuple(word.titles[number] for number in present.tolist())


def _draw(uses: Sequence[Use], most: int | None, seed: int) -> tuple[Use, ...]:
    """At most `most` uses, each sense in proportion but none below ten, in their old order."""
    if most is None or len(uses) <= most:
        return tuple(uses)
    counts = Counter(use.label for use in uses)
    order = torch.randperm(len(uses), generator=torch.Generator().manual_seed(seed)).tolist()
    left = {label: max(10, round(most * count / len(uses))) for label, count in counts.items()}
    chosen = []
    for number in order:
        label = uses[number].label
        if left[label] > 0:
            left[label] -= 1
            chosen.append(number)
    return tuple(uses[number] for number in sorted(chosen))


@dataclass(frozen=True)
class SenseParting:
    """What moves one sense of a word away from another, over many sentences.

    Each sentence's ledger is read along one direction, from the mean vector of sense `a` to that
    of sense `b`; the means of the two senses' readings are compared. The shares add up to the
    distance between the means.

    Attributes:
        by_component, by_head: shares by attention or MLP of a layer, and by head.
        by_source: shares by source word, as it is written, whatever its position.
        closing_error: the sum of the shares against the distance, relative.
    """

    a: str
    b: str
    at: str
    distance: float
    by_component: dict[str, float]
    by_head: dict[str, float]
    by_source: dict[str, float]
    closing_error: float


def part_senses(
    lm: LanguageModel, word: SenseWord, a: int, b: int, *, at: str, most: int = 40, batch: int = 16
) -> SenseParting:
    """Find out which components, heads and source words move sense `b` away from sense `a` at a
    point.

    Args:
        a, b: numbers of senses.
        most: how many training uses of each are read.

    Raises:
        SenseError: a sense without uses.
    """
    uses = [[use for use in word.train if use.label == sense][:most] for sense in (a, b)]
    if not all(uses):
        raise SenseError(f"{word.word}: senses {a} and {b} need at least one training use each.")
    ledgers = [_ledgers(lm, some, at, batch) for some in uses]
    means = [torch.stack([one.vector.double() for one in some]).mean(0) for some in ledgers]
    difference = means[1] - means[0]
    distance = float(difference.norm())
    direction = difference / max(distance, 1e-30)
    sums: dict[str, dict[str, float]] = {"component": {}, "head": {}, "source": {}}
    for sign, some in zip((-1.0, 1.0), ledgers, strict=True):
        for one in some:
            reading = one.toward(direction)
            for axis, total in sums.items():
                for label, share in reading.by(axis).items():  # type: ignore[arg-type]
                    name = label.rsplit(" (", 1)[0] if axis == "source" else label
                    total[name] = total.get(name, 0.0) + sign * share / len(some)
    told = {
        axis: dict(sorted(total.items(), key=lambda e: -abs(e[1]))) for axis, total in sums.items()
    }
    error = max(abs(sum(total.values()) - distance) for total in told.values())
    titles = word.titles
    return SenseParting(
        titles[a],
        titles[b],
        at,
        distance,
        told["component"],
        told["head"],
        told["source"],
        error / max(distance, 1e-30),
    )


def _ledgers(lm: LanguageModel, uses: Sequence[Use], at: str, batch: int) -> list[Ledger]:
    found: list[Ledger] = []
    for start in range(0, len(uses), batch):
        some = uses[start : start + batch]
        tokens = lm.encode([use.sentence for use in some])
        words = []
        for row, use in enumerate(some):
            held = carriers(lm.config, tokens_at(tokens, row, use.start, use.end))
            words.append(Occurrence(row, use.start, use.end, held, use.surface, "exact"))
        found += [journey.ledger(at) for journey in journeys(lm, tokens, words)]
    return found
