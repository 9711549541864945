"""The senses of one word: how far a model's own vectors tell them apart, layer by layer.

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
from molehill.journey.sense_scores import (
    centroids,
    macro_f1,
    most_frequent_sense,
    per_sense_recall,
    silhouette,
    variance_ratio,
)
from molehill.journey.separate import (
    cross_validate,
    fit_reading,
    nearest_centroid,
    shuffled_control,
)
from molehill.language_model import LanguageModel

__all__ = ["LayerScore", "Score", "SenseScores", "draw_uses", "score_senses", "score_vectors"]


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
        shuffled: the mean macro-F1 on the test uses when the training labels were dealt out at
        random.
        silhouette, variance_ratio: of the test uses' vectors by their true senses.
    """

    point: str
    test: Score
    train_macro_f1: float
    shuffled: float
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
        cut: uses whose text is longer than the model reads, and was cut around the word.
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
    cut: int = 0

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
        most_train: learn from at most so many training uses of each sense, drawn by `seed`. Test
        uses are always all scored.
        progress: called with the number of sentences just run.

    Raises:
        SenseError: a sense without two training uses: nothing can be cross-validated.
    """
    train = draw_uses(word.train, most_train, seed)
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
        _score_layer(point, learn[:, place], known, test[:, place], gold, senses, draws, seed)
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
        found.cut,
    )


def _score_layer(
    point: str,
    learn: Tensor,
    known: Tensor,
    test: Tensor,
    gold: Tensor,
    senses: Sequence[str],
    draws: int,
    seed: int,
) -> LayerScore:
    told = _fit_plain(learn, known).predict(test)
    held_out = cross_validate(learn, known, _fit_plain, seed=seed)
    dealt = shuffled_control(learn, known, test, gold, _fit_plain, draws=draws, seed=seed)
    several = len(torch.unique(gold)) > 1
    return LayerScore(
        point,
        _score(gold, told, senses),
        macro_f1(known, held_out),
        sum(dealt) / len(dealt),
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


def draw_uses(uses: Sequence[Use], most: int | None, seed: int = 0) -> tuple[Use, ...]:
    """At most `most` uses of each sense, in their old order.

    A smaller draw with the same seed is part of a larger one.
    """
    if most is None:
        return tuple(uses)
    drawn: Counter[int] = Counter()
    chosen = []
    for number in torch.randperm(len(uses), generator=torch.Generator().manual_seed(seed)).tolist():
        drawn[uses[number].label] += 1
        if drawn[uses[number].label] <= most:
            chosen.append(number)
    return tuple(uses[number] for number in sorted(chosen))
