"""A concept as a direction: made from two groups of vectors or two words, checked on vectors it has
not seen, and held against a vector.

    direction_between(a, b)            the difference of two means, or a linear probe
    unembedding_difference(lm, x, y)   what parts the scores of two words
    holds(vector, directions)          which facts a vector holds, and how much, beside chance

A direction is only as good as its control: the same is done with labels shuffled, and what random
directions would give stands beside every dot product. This file knows where a model's vectors come
from (`vectors_at`) and nothing of what they mean.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import FactError, TextError
from molehill.facts.carrying import carry_back, norm_stage, wide
from molehill.facts.showing import few
from molehill.facts.words import reads_words, word_directions
from molehill.language_model import LanguageModel
from molehill.text.next_word import next_token
from molehill.trace.record import record

__all__ = [
    "Control",
    "Direction",
    "Held",
    "Holdings",
    "Method",
    "direction_between",
    "holds",
    "unembedding_difference",
    "vectors_at",
]

Method = Literal["difference of means", "linear probe"]


@dataclass(frozen=True)
class Control:
    """How well a direction tells vectors that it was not made from, and what shuffled labels give.

    Accuracies are the mean of both groups' own, so that chance is a half whatever their sizes.
    """

    accuracy: float
    folds: tuple[float, ...]
    """The accuracy of each fold, told by a direction made from the others."""
    shuffled_mean: float
    shuffled_95: float
    """The 95th percentile of the accuracies with labels shuffled."""
    shuffles: int
    seed: int

    def __str__(self) -> str:
        return (
            f"{100 * self.accuracy:.0f}% of held-out vectors in {len(self.folds)} stratified folds "
            f"(labels shuffled {self.shuffles} times: {100 * self.shuffled_mean:.0f}%, 95th "
            f"percentile {100 * self.shuffled_95:.0f}%)"
        )


@dataclass(frozen=True, eq=False)
class Direction:
    """A concept as a unit vector: what lies above the threshold is a, what lies below is b."""

    vector: Tensor
    """[d_model], of length one."""
    threshold: float | None
    """Of the dot product: halfway between the two groups' means, or where two words' scores are
    equal. None where that depends on the text: before a norm that adds a bias."""
    method: str
    length: float
    """Of the vector before it was brought to length one."""
    counts: tuple[int, int]
    """How many vectors of a and of b it was made from; (0, 0) where it was read from weights."""
    control: Control | None
    """None: it was read from weights."""

    def __repr__(self) -> str:
        return few(
            f"Direction by {self.method}, {len(self.vector)} wide, length {self.length:.3g}",
            [] if self.control is None else [f"tells {self.control}"],
        )

    def above(self, vectors: Tensor) -> Tensor:
        """By how much vectors [..., d_model] lie above the threshold [...].

        Raises:
            FactError: there is no threshold.
        """
        if self.threshold is None:
            raise FactError(
                "This direction has no threshold: before a norm that adds a bias it depends on the "
                "text. Ask for it with stream=False, and read `final`."
            )
        return vectors.to(self.vector) @ self.vector - self.threshold


# --- from two groups of vectors -------------------------------------------------------------------


@torch.no_grad()
def direction_between(
    vectors_a: Tensor,
    vectors_b: Tensor,
    method: Method = "difference of means",
    *,
    folds: int = 5,
    shuffles: int = 200,
    seed: int = 0,
) -> Direction:
    """The direction from b to a, cross-validated and controlled.

    `difference of means` is just that. `linear probe` divides it by the vectors' covariance, after
    each coordinate was brought to spread one: least squares, shrunk as much as Ledoit and Wolf ("A
    well-conditioned estimator for large-dimensional covariance matrices", 2004) find right for the
    vectors it is made from, so that nothing can be fitted to those held out. That one is best for
    telling, the difference of means for changing what a model does (Marks and Tegmark, "The
    Geometry of Truth", 2023).

    Folds are stratified: each has its share of both groups. Labels are shuffled within folds, so
    that each keeps its share. Vectors that belong together (two tokens of one text) are not kept
    together: give one of each.

    Args:
        vectors_a, vectors_b: [n, d_model] each.
        folds: at most as many as the smaller group has vectors.
        shuffles: how often the whole is done again with labels shuffled.

    Raises:
        FactError: groups of other shapes or with fewer than two vectors, vectors that are not
            finite, an unknown method, or two groups with one mean.
    """
    _check_groups(vectors_a, vectors_b, method, folds, shuffles)
    rows = torch.cat([vectors_a, vectors_b]).detach().double().cpu()
    labels = torch.arange(len(rows)) < len(vectors_a)
    generator = torch.Generator().manual_seed(seed)
    fold_of = _stratified(labels, min(folds, int(labels.sum()), int((~labels).sum())), generator)
    columns = torch.stack(
        [labels, *(_shuffled(labels, fold_of, generator) for _ in range(shuffles))], 1
    )
    scores = torch.stack(
        [
            _held_out(rows, columns, fold_of == fold, method)
            for fold in range(int(fold_of.max()) + 1)
        ]
    )
    means = scores.mean(0)
    control = Control(
        accuracy=float(means[0]),
        folds=tuple(scores[:, 0].tolist()),
        shuffled_mean=float(means[1:].mean()),
        shuffled_95=float(means[1:].quantile(0.95)),
        shuffles=shuffles,
        seed=seed,
    )
    weights, threshold = _fit(rows, labels[:, None], method)
    length = float(weights.norm())
    if length == 0:
        raise FactError("Both groups have the same mean: there is no direction between them.")
    return Direction(
        (weights[:, 0] / length).to(vectors_a.dtype).to(vectors_a.device),
        float(threshold) / length,
        method,
        length,
        (len(vectors_a), len(vectors_b)),
        control,
    )


def _check_groups(a: Tensor, b: Tensor, method: str, folds: int, shuffles: int) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise FactError(
            f"The groups have shapes {tuple(a.shape)} and {tuple(b.shape)}: give two or more "
            "vectors of one width in each, (n, d_model)."
        )
    if method not in ("difference of means", "linear probe"):
        raise FactError(
            f"method is {method!r}: there are 'difference of means' and 'linear probe'."
        )
    if folds < 2 or shuffles < 1:
        raise FactError(f"folds is {folds} and shuffles {shuffles}: at least 2 and 1.")
    if not (bool(a.isfinite().all()) and bool(b.isfinite().all())):
        raise FactError("Some vectors are NaN or infinite: look at the model's weights first.")


def _stratified(labels: Tensor, folds: int, generator: torch.Generator) -> Tensor:
    """Which fold each vector is in [n]; every fold has its share of both groups."""
    fold_of = torch.empty(len(labels), dtype=torch.int64)
    for group in (labels, ~labels):
        places = group.nonzero().flatten()
        order = torch.randperm(len(places), generator=generator)
        fold_of[places[order]] = torch.arange(len(places)) % folds
    return fold_of


def _shuffled(labels: Tensor, fold_of: Tensor, generator: torch.Generator) -> Tensor:
    shuffled = labels.clone()
    for fold in range(int(fold_of.max()) + 1):
        places = (fold_of == fold).nonzero().flatten()
        shuffled[places] = labels[places[torch.randperm(len(places), generator=generator)]]
    return shuffled


def _held_out(rows: Tensor, labels: Tensor, out: Tensor, method: str) -> Tensor:
    """The accuracy on the rows `out` of directions made from the others, one for each column of
    labels [n, shuffle]: [shuffle]."""
    weights, thresholds = _fit(rows[~out], labels[~out], method)
    above = rows[out] @ weights > thresholds
    truth = labels[out]
    of_a = (above & truth).sum(0) / truth.sum(0)
    of_b = (~above & ~truth).sum(0) / (~truth).sum(0)
    return (of_a + of_b).double() / 2


def _fit(rows: Tensor, labels: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """Directions [d_model, shuffle] and thresholds [shuffle] for columns of labels [n, shuffle].

    Only the difference of means depends on the labels, so that one factorisation serves all.
    """
    in_a, in_b = labels.double(), (~labels).double()
    means_a = rows.T @ in_a / in_a.sum(0)
    means_b = rows.T @ in_b / in_b.sum(0)
    weights = means_a - means_b
    if method == "linear probe":
        spread = rows.std(0, correction=0)
        scale = torch.where(spread > 0, spread, torch.ones_like(spread))
        even = (rows - rows.mean(0)) / scale
        weights = torch.cholesky_solve(weights / scale[:, None], _shrunk(even)) / scale[:, None]
    return weights, (weights * (means_a + means_b)).sum(0) / 2


def _shrunk(rows: Tensor) -> Tensor:
    """The Cholesky factor of the covariance of centred rows [n, d], shrunk toward a multiple of the
    identity by Ledoit and Wolf's formula."""
    count, width = rows.shape
    covariance = rows.T @ rows / count
    level = covariance.diagonal().mean()
    apart = (covariance.square().sum() - width * level**2).clamp(min=0)
    noise = (rows.square().sum(1).square().mean() - covariance.square().sum()) / count
    share = 1.0 if apart == 0 else float((noise / apart).clamp(1e-6, 1))
    eye = torch.eye(width, dtype=rows.dtype)
    return torch.linalg.cholesky((1 - share) * covariance + share * level.clamp(min=1e-12) * eye)


# --- from two words -------------------------------------------------------------------------------


@torch.no_grad()
def unembedding_difference(
    lm: LanguageModel, word_a: str | int, word_b: str | int, *, stream: bool = True
) -> Direction:
    """The direction along which the score of one word rises against that of another.

    Args:
        word_a, word_b: single tokens, as `next_token` finds them, or their numbers.
        stream: whether it is to read the residual stream, before the last norm: the norm's gain is
            carried, its divisor (a positive number) is not. False: it reads `final`, where the dot
            product times `length` above the threshold is exactly the difference of the two scores.

    Raises:
        TextError: a word is no single token, or the model has no tokenizer.
        FactError: the model has no head, or one that transforms the vector first; or both words are
            one token.
    """
    model = lm.model
    if not reads_words(model):
        raise FactError(
            f"{lm.name} has no head that reads words straight from the stream: make a direction "
            "from vectors, with direction_between."
        )
    tokens = torch.tensor([_token(lm, word) for word in (word_a, word_b)], device=model.device)
    if int(tokens[0]) == int(tokens[1]):
        raise FactError(f"{word_a!r} and {word_b!r} are one token: give two words.")
    above, below = word_directions(model, tokens)
    vector = above - below
    constant = 0.0
    if model.b_unembed is not None:
        constant += float(model.b_unembed[tokens[0]] - model.b_unembed[tokens[1]])
    norm = model.final_norm if stream else None
    if norm is not None:
        constant += 0.0 if norm.bias is None else float(vector @ wide(norm.bias))
        vector = carry_back(vector, [norm_stage(norm)])
    length = float(vector.norm())
    threshold = None if norm is not None and constant else -constant / length
    return Direction(vector / length, threshold, "difference of two words", length, (0, 0), None)


def _token(lm: LanguageModel, word: str | int) -> int:
    if isinstance(word, int):
        if not 0 <= word < lm.config.d_vocab:
            raise TextError(f"There is no token {word}: the vocabulary has {lm.config.d_vocab}.")
        return word
    if lm.tokenizer is None:
        raise TextError(f"{lm.name} came without a tokenizer: give a token's number.")
    return next_token(lm.tokenizer, word)


# --- vectors, and what they hold --------------------------------------------------------------


def vectors_at(
    lm: LanguageModel,
    texts: Sequence[str],
    site: str,
    positions: str | Sequence[int] | Sequence[Sequence[int]] = "last",
    *,
    batch_size: int = 32,
) -> Tensor:
    """The vectors of texts at one site, one row for each position kept [n, width].

    Args:
        site: one name, such as `12.resid_post`.
        positions: as for `record`: "last", the same numbers for every text, or a list for each.

    Raises:
        SiteError, TextError: as `record`.
        FactError: the name stands for several sites, or for one with more axes.
    """
    trace = record(
        lm, list(texts), [site], positions=positions, logits="none", batch_size=batch_size
    )
    if len(trace.values) != 1 or next(iter(trace.values.values())).ndim != 3:
        raise FactError(f"{site!r} is no one site with a vector at each token: name one.")
    (values,) = trace.values.values()
    assert trace.positions is not None, "positions were asked for"
    counts = torch.tensor([len(row) for row in trace.positions])
    return values[torch.arange(values.shape[1])[None] < counts[:, None]]


@dataclass(frozen=True)
class Held:
    """How much of one direction a vector holds, beside chance."""

    name: str
    product: float
    """The dot product."""
    cosine: float
    quantile: float
    """The share of random directions of the same length that have a smaller dot product."""
    z: float
    """How many of their standard deviations it lies above their mean."""
    among: float | None
    """The share of the background's vectors that hold less of this direction; None without any."""


@dataclass(frozen=True)
class Holdings:
    """Which directions a vector holds, by z, the largest first."""

    rows: tuple[Held, ...]
    draws: int
    background: int
    """How many vectors the random directions were drawn from the covariance of; 0: every direction
    was as likely as any other."""
    seed: int

    def __repr__(self) -> str:
        back = f" from {self.background} other vectors" if self.background else ""
        return few(
            f"Holdings of {len(self.rows)} directions, beside {self.draws:,} random ones{back}",
            [f"z {one.z:+.1f}, product {one.product:+.3g}: {one.name}" for one in self.rows],
        )


@torch.no_grad()
def holds(
    vector: Tensor,
    directions: Mapping[str, Tensor],
    null: Tensor | None = None,
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Holdings:
    """The dot product of a vector with each direction, beside those of random directions.

    A residual stream is not alike in all directions: a few carry most of its length, and whatever
    has a part of them has a large dot product. Give `null` a few hundred vectors of the same site,
    and random directions have the spread that the stream has.

    Args:
        vector: [d_model].
        directions: name -> [d_model].
        null: background vectors [n, d_model]; random directions are drawn from their covariance.
            None: all directions are equally likely.

    Raises:
        FactError: nothing to compare with, shapes that do not fit, a direction without a length, or
            fewer than two background vectors.
    """
    _check_holds(vector, directions, null, draws)
    point = vector.detach().double().cpu()
    generator = torch.Generator().manual_seed(seed)
    back = None if null is None else null.detach().double().cpu()
    products = _random_unit(len(point), draws, back, generator) @ point
    spread, mean = torch.std_mean(products, correction=0)
    rows = []
    for name, given in directions.items():
        direction = given.detach().double().cpu()
        length, product = float(direction.norm()), float(direction @ point)
        unit = product / length
        rows.append(
            Held(
                name,
                product,
                unit / max(float(point.norm()), 1e-300),
                float((products < unit).double().mean()),
                float((unit - mean) / spread.clamp(min=1e-300)),
                None if back is None else float((back @ direction < product).double().mean()),
            )
        )
    rows.sort(key=lambda one: -one.z)
    return Holdings(tuple(rows), draws, 0 if back is None else len(back), seed)


def _random_unit(
    width: int, draws: int, background: Tensor | None, generator: torch.Generator
) -> Tensor:
    """Random directions [draws, width] of length one, from the background's covariance."""
    count = width if background is None else len(background)
    noise = torch.randn(draws, count, generator=generator, dtype=torch.float64)
    # Sums of the centred vectors with random weights have their covariance.
    drawn = noise if background is None else noise @ (background - background.mean(0))
    return drawn / drawn.norm(dim=1, keepdim=True).clamp(min=1e-300)


def _check_holds(
    vector: Tensor, directions: Mapping[str, Tensor], null: Tensor | None, draws: int
) -> None:
    shape = tuple(vector.shape)
    if vector.ndim != 1 or not directions or draws < 2:
        raise FactError(
            f"The vector has shape {shape}, with {len(directions)} directions and {draws} draws: "
            "give one vector (d_model,), at least one direction and two draws."
        )
    for name, direction in directions.items():
        if direction.shape != vector.shape or not float(direction.norm()) > 0:
            raise FactError(
                f"The direction {name!r} has shape {tuple(direction.shape)} and length "
                f"{float(direction.norm()):.3g}: expected {shape} and more than nothing."
            )
    if null is not None and (null.ndim != 2 or null.shape[1:] != vector.shape or len(null) < 2):
        raise FactError(
            f"The background has shape {tuple(null.shape)}: expected (n, {shape[0]}), n at least 2."
        )
