"""Scores of a reading of senses, and of how far senses stand apart, with no reading at all.

F1, recall, silhouette and the ratio of variances; each is the field's own definition and is held
against scikit-learn's. This module sees vectors and sense numbers; it knows no model and no
reading.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import SenseError

__all__ = [
    "Labels",
    "as_labels",
    "centroids",
    "macro_f1",
    "most_frequent_sense",
    "per_sense_recall",
    "silhouette",
    "variance_ratio",
]

Labels = Tensor | Sequence[int]


def centroids(vectors: Float[Tensor, "n d"], labels: Labels) -> Float[Tensor, "sense d"]:
    """The mean vector of every sense.

    Raises:
        SenseError: a sense between 0 and the largest has no vector.
    """
    gold = as_labels(labels, len(vectors)).to(vectors.device)
    counts = torch.bincount(gold)
    if len(gold) == 0 or (counts == 0).any():
        missing = torch.nonzero(counts == 0).flatten().tolist()
        raise SenseError(
            f"No vector has sense {missing[0]}; every sense needs a use to take the mean of."
            if missing
            else "There are no vectors; give at least one use of every sense."
        )
    sums = torch.zeros(len(counts), vectors.shape[1]).to(vectors).index_add_(0, gold, vectors)
    return sums / counts[:, None].to(vectors)


def macro_f1(gold: Labels, predicted: Labels) -> float:
    """The mean over senses of F1 = 2 TP / (2 TP + FP + FN), each sense counting alike.

    A sense that is neither in `gold` nor in `predicted` does not count.

    Raises:
        SenseError: not one prediction for each use, or no use at all.
    """
    truth, guess = _pair(gold, predicted)
    scores = []
    for sense in torch.unique(torch.cat([truth, guess])):
        hits = ((truth == sense) & (guess == sense)).sum()
        scores.append(2 * hits / ((truth == sense).sum() + (guess == sense).sum()))
    return float(torch.stack(scores).double().mean())


def per_sense_recall(gold: Labels, predicted: Labels) -> dict[int, float]:
    """For every sense in `gold`, the share of its uses that were given to it."""
    truth, guess = _pair(gold, predicted)
    return {
        int(sense): float((guess[truth == sense] == sense).double().mean())
        for sense in torch.unique(truth)
    }


def most_frequent_sense(labels: Labels) -> int:
    """The baseline that looks at no vector: the sense with the most uses (the lowest of equals)."""
    gold = as_labels(labels)
    if not len(gold):
        raise SenseError("There are no labels; the most frequent sense needs at least one.")
    return int(torch.bincount(gold).argmax())


def silhouette(vectors: Float[Tensor, "n d"], labels: Labels) -> float:
    """The mean over uses of (b - a) / max(a, b), from -1 to 1.

    a is a use's mean distance to the others of its sense and b its mean distance to the nearest
    other sense; a sense with one use counts 0 (Rousseeuw, "Silhouettes", 1987, section 2).

    Raises:
        SenseError: fewer than two senses.
    """
    gold = as_labels(labels, len(vectors)).to(vectors.device)
    senses, place, counts = torch.unique(gold, return_inverse=True, return_counts=True)
    if len(senses) < 2:
        raise SenseError(
            f"The vectors have {len(senses)} sense; a silhouette compares two or more."
        )
    # Seen from one of them and then from their mean: equal vectors are exactly 0, and the product
    # form of the distance, 20 times as fast, is off by 1e-8 of the vectors' spread at most.
    x = vectors.double() - vectors[0].double()
    x = x - x.mean(0)
    apart = torch.cdist(x, x, compute_mode="use_mm_for_euclid_dist").fill_diagonal_(0.0)
    member = torch.nn.functional.one_hot(place, len(senses)).to(x)
    sums = apart @ member  # [n, sense]
    own = counts[place]
    a = sums.gather(1, place[:, None])[:, 0] / (own - 1).clamp(min=1)
    b = (sums / counts).masked_fill(member.bool(), torch.inf).min(1).values
    widest = torch.maximum(a, b)
    score = torch.where((own > 1) & (widest > 0), (b - a) / widest.clamp(min=1e-300), 0.0)
    return float(score.mean())


def variance_ratio(vectors: Float[Tensor, "n d"], labels: Labels) -> float:
    """Variance between the senses over variance within them: the sums of squared distances of the
    senses' means to the whole mean (each counted once per use), and of the uses to their sense's
    mean. 0: the senses have one mean; infinite: each sense is one point."""
    gold = as_labels(labels, len(vectors)).to(vectors.device)
    x = vectors.double()
    middle = centroids(x, gold)[gold]
    between = (middle - x.mean(0)).square().sum()
    within = (x - middle).square().sum()
    return 0.0 if between == 0 else float(between / within)


def as_labels(labels: Labels, expected: int | None = None) -> Int[Tensor, " n"]:
    """Sense numbers as a tensor, one for each of `expected` vectors.

    Raises:
        SenseError: not whole numbers from 0 on, or not as many as there are vectors.
    """
    found = torch.as_tensor(labels, device="cpu")
    if not len(found):
        found = found.long()
    if found.ndim != 1 or found.is_floating_point() or (len(found) and int(found.min()) < 0):
        raise SenseError("Senses must be one whole number, 0 or more, for each vector.")
    if expected is not None and len(found) != expected:
        raise SenseError(
            f"There are {expected} vectors and {len(found)} senses; give one sense for each."
        )
    return found.long()


def _pair(gold: Labels, predicted: Labels) -> tuple[Tensor, Tensor]:
    truth, guess = as_labels(gold), as_labels(predicted)
    if len(truth) != len(guess) or not len(truth):
        raise SenseError(
            f"There are {len(truth)} true senses and {len(guess)} predicted ones; "
            "give one prediction for each use, and at least one use."
        )
    return truth, guess
