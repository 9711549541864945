"""Rows and columns held against the vocabulary: which table, through which norms, and how much is
chance.

A row is held against what it would be given if nothing had been added to a token's own vector on
the way to its layer; a column against the directions whose dot product is a word's score. Scores
are told in standard deviations over the vocabulary, so that what the best of many random numbers
would reach can stand beside them. The spread over the vocabulary follows from the table's mean and
covariance; no table of words by neurons is laid out. A token's position is not part of its vector
here. This file knows nothing of texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import torch
from torch import Tensor

from molehill.facts.carrying import block_of, wide
from molehill.language_model import LanguageModel
from molehill.model.norm import Norm
from molehill.model.transformer import Transformer

__all__ = [
    "Spread",
    "WordScore",
    "best_of_chance",
    "best_words",
    "finished",
    "mlp_inputs",
    "piece_of",
    "reads_words",
    "token_vectors",
    "word_directions",
]

_ROWS = 8192


@dataclass(frozen=True)
class WordScore:
    """A word and how strongly it is matched or promoted."""

    token: int
    piece: str
    score: float
    """The dot product, in the model's own units."""
    z: float
    """The same in standard deviations over the vocabulary, its mean taken off."""


@dataclass(frozen=True, eq=False)
class Spread:
    """The mean and covariance of a table of vectors."""

    mean: Tensor  # [d_model]
    covariance: Tensor  # [d_model, d_model]

    @classmethod
    def of(cls, table: Tensor) -> Spread:
        """Of a table [n, d_model], some rows at a time."""
        mean = table.double().mean(0) if len(table) <= _ROWS else _mean(table)
        near = mean.to(table.dtype)
        total = torch.zeros(table.shape[1], table.shape[1], dtype=torch.float64)
        total = total.to(table.device)
        for start in range(0, len(table), _ROWS):
            centred = table[start : start + _ROWS] - near
            total += (centred.T @ centred).double()
        return cls(near, (total / len(table)).to(table.dtype))

    def deviations(self, readers: Tensor) -> Tensor:
        """The standard deviation of each reader's dot products with the table: [n, d_model] ->
        [n]."""
        return ((readers @ self.covariance) * readers).sum(-1).clamp(min=0).sqrt()


def _mean(table: Tensor) -> Tensor:
    parts = table.split(_ROWS)
    return torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(table)


@torch.no_grad()
def token_vectors(model: Transformer, tokens: Tensor | None = None) -> Tensor:
    """Where tokens [n] start, without a position [n, d_model]; None: all of the vocabulary."""
    table = wide(model.w_token if tokens is None else model.w_token[tokens])
    if model.w_embed_in is not None:
        table = table @ wide(model.w_embed_in).T
    if model.config.embed_scale != 1.0:
        table = table * model.config.embed_scale
    if model.w_type is not None:
        table = table + wide(model.w_type[0])
    return table if model.embed_norm is None else _normed(model.embed_norm, table)


@torch.no_grad()
def mlp_inputs(model: Transformer, vectors: Tensor) -> Iterator[tuple[Tensor, Norm | None]]:
    """What each layer's rows would be given of these vectors [n, d_model] if nothing were added to
    them: for every layer, a core and the norm whose gain and bias are still to be applied.

    Where norms stand before a block's parts the core, the vectors divided by their length, is one
    and the same tensor for every layer; where the stream itself passes norms it is another one each
    time, and no norm is left.
    """
    core = None
    for layer in range(model.config.n_layers):
        block = block_of(model, layer)
        if block.place in ("pre", "sandwich"):
            core = _divided(block.norm2, vectors) if core is None else core
            yield core, block.norm2
            continue
        if block.place == "post" and block.norm1 is not None:
            vectors = _normed(block.norm1, vectors)
        yield vectors, None
        vectors = _normed(block.norm2, vectors)


def finished(core: Tensor, norm: Norm | None) -> Tensor:
    """A core of `mlp_inputs` with its norm's gain and bias applied."""
    if norm is None:
        return core
    scaled = core * wide(norm.multiplier)
    return scaled if norm.bias is None else scaled + wide(norm.bias)


def _divided(norm: Norm, vectors: Tensor) -> Tensor:
    """A norm's work up to the division."""
    centred = vectors if norm.rms else vectors - vectors.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt()


def _normed(norm: Norm, vectors: Tensor) -> Tensor:
    return finished(_divided(norm, vectors), norm)


def reads_words(model: Transformer) -> bool:
    """Whether a word's score is a dot product with what the stream has become: not without a head,
    and not where the head transforms it first."""
    return model.config.has_head and model.w_head is None


@torch.no_grad()
def word_directions(model: Transformer, tokens: Tensor | None = None) -> Tensor:
    """The direction of each word's score at the end of the stream [n, d_model]; where there is none
    (`reads_words`), the tokens' own vectors. None: all of the vocabulary."""
    if not reads_words(model):
        return token_vectors(model, tokens)
    table = wide(model.unembedding if tokens is None else model.unembedding[tokens])
    return table if model.w_embed_out is None else table @ wide(model.w_embed_out)


def best_words(
    lm: LanguageModel, scores: Tensor, k: int, *, lowest: bool = False
) -> tuple[WordScore, ...]:
    """The words with the largest (or lowest) of the scores [d_vocab], with their z."""
    spread, mean = torch.std_mean(scores, correction=0)
    values, tokens = scores.topk(min(k, len(scores)), largest=not lowest)
    z = (values - mean) / spread.clamp(min=torch.finfo(scores.dtype).tiny)
    return tuple(
        WordScore(token, piece_of(lm, token), score, deviation)
        for token, score, deviation in zip(
            tokens.tolist(), values.tolist(), z.tolist(), strict=True
        )
    )


def piece_of(lm: LanguageModel, token: int) -> str:
    """How a token is shown: by its number where the model came without a tokenizer."""
    return f"#{token}" if lm.tokenizer is None else lm.tokenizer.piece(token)


def best_of_chance(count: int) -> float:
    """About what the best of so many independent normal numbers reaches, in standard deviations
    (Blom, "Statistical Estimates and Transformed Beta-Variables", 1958)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0
