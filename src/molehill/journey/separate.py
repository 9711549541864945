"""How well a model's own vectors tell the senses of a word apart: readings, scores and controls.

The plain reading gives a use to the sense whose centroid is nearest. A model's vectors vary along
a few directions far more than along the others, whatever the sense, and those drown the rest; so
`fit_reading` measures distance in units of the spread *within* senses. At each layer l, with x_l
the word's vector at length one, c_lk the mean of sense k and S_l the covariance of the vectors
about their own sense's mean (divided by their number):

    Sigma_l = (1 - lambda_l) S_l + lambda_l (tr S_l / d) I     shrunk, so that it can be inverted
    distance_k = mean over layers of  (x_l - c_lk)' Sigma_l^-1 (x_l - c_lk) / d
    sense      = the k of the smallest distance

It is 1-nearest-neighbour to sense centroids in a whitened space that holds all layers side by side.
Lengths are left out because one use may be a thousand times longer than the rest (a causal model's
first token is), and would decide means and covariance alone; the model's own norms drop them too.
lambda_l is Ledoit and Wolf's ("A well-conditioned estimator for large-dimensional covariance
matrices", Journal of Multivariate Analysis 88, 2004, section 3.2, equation 14 and lemmas 3.2-3.4):
it comes from the training vectors alone, so nothing is tuned.

This module sees vectors and sense numbers; it knows nothing of models, words or files.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from molehill.errors import SenseError
from molehill.journey.sense_scores import Labels, as_labels, centroids, macro_f1

__all__ = [
    "Predicts",
    "Reading",
    "cross_validate",
    "fit_reading",
    "folds",
    "ledoit_wolf",
    "nearest_centroid",
    "shuffled_control",
]


class Predicts(Protocol):
    """Anything that gives each use a sense: a `Reading`, or a reading of the caller's own."""

    def predict(self, vectors: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Reading:
    """A whitened, layer-combined space with the centroid of every sense in it.

    Attributes:
        layers: which entries of the layer axis are read.
        mean: [layer, d] the mean of the training vectors, each at length one.
        whiten: [layer, d, d] W with W'W = Sigma^-1: `W (x / |x| - mean)` is x in the space.
        shrinkage: lambda of every layer, from 0 (the measured covariance) to 1 (no whitening).
        centroids: [layer, sense, d] in the whitened space.
    """

    layers: tuple[int, ...]
    mean: Float[Tensor, "layer d"]
    whiten: Float[Tensor, "layer d d"]
    shrinkage: tuple[float, ...]
    centroids: Float[Tensor, "layer sense d"]

    def map(self, vectors: Float[Tensor, "n all_layers d"]) -> Float[Tensor, "n layer d"]:
        """The vectors in the whitened space, the read layers only.

        Raises:
            SenseError: vectors of another width, or without one of the layers.
        """
        if vectors.shape[1] <= max(self.layers) or vectors.shape[2] != self.mean.shape[1]:
            raise SenseError(
                f"The vectors have {vectors.shape[1]} layers of width {vectors.shape[2]}; this "
                f"reading was fitted to layer {max(self.layers)} and width {self.mean.shape[1]}. "
                "Give vectors from the same model and points."
            )
        centred = normalize(vectors[:, list(self.layers)].to(self.mean), dim=-1) - self.mean
        return torch.einsum("lij,nlj->nli", self.whiten, centred)

    def distances(self, vectors: Float[Tensor, "n all_layers d"]) -> Float[Tensor, "n sense"]:
        """Squared distance to every sense, per dimension, averaged over the layers."""
        mapped = self.map(vectors)
        # One layer at a time: [n, sense, d] for all layers at once would be large.
        total = torch.zeros(len(mapped), self.centroids.shape[1]).to(mapped)
        for layer, centres in enumerate(self.centroids):
            total += (mapped[:, layer, None] - centres).square().mean(-1)
        return total / len(self.layers)

    def predict(self, vectors: Float[Tensor, "n all_layers d"]) -> Int[Tensor, " n"]:
        """The nearest sense of every use."""
        return self.distances(vectors).argmin(-1)


def fit_reading(
    vectors: Float[Tensor, "n all_layers d"],
    labels: Labels,
    *,
    layers: Sequence[int] | None = None,
    shrinkage: float | None = None,
) -> Reading:
    """Learn the space and the centroids from labelled vectors (see the module's opening).

    Args:
        vectors: one word's vectors, a row of layers for each use.
        labels: the sense of each use; every sense from 0 to the largest needs a use.
        layers: which layers to average over. None: all but the first, which is the embedding, where
            every use has the same vector.
        shrinkage: one lambda for every layer, above 0 and at most 1. None: Ledoit and Wolf's.

    Raises:
        SenseError: labels that do not fit the vectors, or a layer or shrinkage that cannot be.
    """
    gold = as_labels(labels, len(vectors)).to(vectors.device)
    read = _chosen_layers(layers, vectors.shape[1])
    if shrinkage is not None and not 0 < shrinkage <= 1:
        raise SenseError(f"The shrinkage is {shrinkage}; it must be above 0 and at most 1.")
    means, whitens, lambdas, centres = [], [], [], []
    for layer in read:
        # Float64, because a residual stream has directions a million times stronger than others.
        # Seen from the first vector, so that equal vectors have no spread, not even by rounding.
        directions = normalize(vectors[:, layer].double(), dim=-1)
        first = directions[0]
        x = directions - first
        mean, middle = x.mean(0), centroids(x, gold)
        whiten, lam = _whitening(x - mean, x - middle[gold], shrinkage)
        means.append(first + mean)
        whitens.append(whiten)
        lambdas.append(lam)
        centres.append((middle - mean) @ whiten.T)
    kept = (torch.stack(part).to(_at_least_float32(vectors)) for part in (means, whitens, centres))
    mean, whiten, centre = kept
    return Reading(read, mean, whiten, tuple(lambdas), centre)


def nearest_centroid(
    vectors: Float[Tensor, "n d"],
    centres: Float[Tensor, "sense d"],
    *,
    metric: Literal["cosine", "euclidean"] = "cosine",
) -> Int[Tensor, " n"]:
    """The plain reading at one point: the sense whose centroid is nearest. Centre both first (take
    the training mean away) for the centred cosine."""
    if metric == "euclidean":
        return torch.cdist(vectors, centres).argmin(-1)
    unit, toward = (normalize(x, dim=-1) for x in (vectors, centres))
    return (unit @ toward.T).argmax(-1)


def ledoit_wolf(rows: Float[Tensor, "n d"]) -> float:
    """Ledoit and Wolf's shrinkage, from 0 to 1, for rows whose mean is zero.

    With S = rows' rows / n, m = tr S / d and squared norms divided by d: the distance of S from its
    target is ||S - m I||^2, its error is the mean of ||r r' - S||^2 over the rows r, divided by n;
    lambda is error over distance, at most 1.
    """
    n, d = rows.shape
    # Traces of S and S^2 are had from the smaller of the two products.
    product = rows @ rows.T if n < d else rows.T @ rows
    square = product.square().sum() / n**2  # tr S^2
    level = rows.square().sum() / (n * d)
    distance = (square - d * level**2) / d
    error = (rows.square().sum(1).square().sum() / n - square) / (n * d)
    if distance <= torch.finfo(rows.dtype).eps * level**2:
        return 1.0
    return float((error / distance).clamp(0, 1))


def folds(labels: Labels, count: int = 5, *, seed: int = 0) -> Int[Tensor, " n"]:
    """A fold number for every use, each sense spread evenly over the folds.

    Raises:
        SenseError: fewer than two folds, or a sense with fewer than two uses, which cannot be both
            learnt from and held out.
    """
    gold = as_labels(labels)
    counts = torch.bincount(gold)
    if count < 2 or (counts[counts > 0] < 2).any():
        raise SenseError(
            f"{count} folds over senses with {counts.tolist()} uses: give two folds or more, and "
            "two uses or more of every sense."
        )
    generator = torch.Generator().manual_seed(seed)
    fold = torch.empty_like(gold)
    for sense in torch.unique(gold):
        uses = torch.nonzero(gold == sense).flatten()
        uses = uses[torch.randperm(len(uses), generator=generator)]
        first = int(torch.randint(count, (1,), generator=generator))
        fold[uses] = (torch.arange(len(uses)) + first) % count
    return fold


def cross_validate(
    vectors: Float[Tensor, "n ..."],
    labels: Labels,
    fit: Callable[[Tensor, Tensor], Predicts] = fit_reading,
    *,
    count: int = 5,
    seed: int = 0,
) -> Int[Tensor, " n"]:
    """The sense of every use as told by a reading that was fitted without the use's fold.

    Score these against `labels` to choose between readings: the test split stays unseen.
    """
    gold = as_labels(labels, len(vectors))
    fold = folds(gold, count, seed=seed)
    told = torch.empty_like(gold)
    for number in torch.unique(fold):
        held = fold == number
        told[held] = fit(vectors[~held], gold[~held]).predict(vectors[held]).cpu()
    return told


def shuffled_control(
    train: Float[Tensor, "n ..."],
    labels: Labels,
    test: Float[Tensor, "m ..."],
    gold: Labels,
    fit: Callable[[Tensor, Tensor], Predicts] = fit_reading,
    *,
    draws: int = 5,
    seed: int = 0,
) -> tuple[float, ...]:
    """Macro-F1 on `test` after the training labels were dealt out anew at random, once per draw.

    A reading that still scores well here is reading something else than senses.
    """
    known = as_labels(labels, len(train))
    generator = torch.Generator().manual_seed(seed)
    scores = []
    for _ in range(draws):
        dealt = known[torch.randperm(len(known), generator=generator)]
        scores.append(macro_f1(gold, fit(train, dealt).predict(test)))
    return tuple(scores)


def _whitening(
    centred: Tensor, within: Tensor, shrinkage: float | None
) -> tuple[Float[Tensor, "d d"], float]:
    """W with W'W = Sigma^-1 and the lambda in Sigma, from rows about the mean and about senses'."""
    n, d = within.shape
    spread, whole = float(within.square().mean()), float(centred.square().mean())
    if whole == 0:
        # Every use has one vector (the embedding): the layer says nothing, so it weighs nothing.
        return torch.zeros(d, d).to(within), 1.0
    lam = ledoit_wolf(within) if shrinkage is None else float(shrinkage)
    sigma = (1 - lam) * (within.T @ within) / n
    # The floor keeps a layer whose senses are single points from dividing by nothing.
    sigma.diagonal().add_(lam * spread + 1e-9 * whole)
    lower = torch.linalg.cholesky(sigma)
    return torch.linalg.solve_triangular(lower, torch.eye(d).to(sigma), upper=False), lam


def _chosen_layers(layers: Sequence[int] | None, count: int) -> tuple[int, ...]:
    chosen = tuple(range(1, count) if layers is None else layers)
    if not chosen or not all(0 <= layer < count for layer in chosen):
        raise SenseError(
            f"The layers {list(chosen)} cannot be read from vectors of {count} layers; "
            f"choose one or more from 0 to {count - 1}."
        )
    return chosen


def _at_least_float32(vectors: Tensor) -> torch.dtype:
    return torch.promote_types(vectors.dtype, torch.float32)
