"""The lens: which words a vector is nearest to, at any point of its journey.

Two rulers. `logit` sends the vector through the model's own last norm and unembedding, as if the
remaining layers added nothing (nostalgebraist, "interpreting GPT: the logit lens", 2020): what the
model would say next if it stopped here. `embedding` compares it by cosine with the tokens' own
vectors, both centred on the table's mean: what it still looks like. A model without a head has the
second only. Where several journeys are compared, `set_apart` tells what one of them has that the
others lack. This file knows nothing of how the answers are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.journey.capture import capture
from molehill.journey.paths import need_tokens, points_of
from molehill.journey.showing import few
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer

__all__ = ["LensGrid", "LensReading", "Near", "Ruler", "lens", "nearest", "set_apart"]

Ruler = Literal["logit", "embedding"]


@dataclass(frozen=True)
class Near:
    """One word near a vector: its score (logit or cosine) and, for logits, its probability."""

    token: int
    piece: str
    score: float
    probability: float | None


@dataclass(frozen=True)
class LensReading:
    """What one vector is near to."""

    near: tuple[Near, ...]
    ranks: tuple[int, ...]
    """The rank of each tracked token, 0 for the nearest."""
    entropy: float | None
    """Of the next word's distribution, in bits; None by the embedding ruler."""


@dataclass(frozen=True)
class LensGrid:
    """A reading at every point and position of a text.

    Attributes:
        points: down the grid.
        pieces: across it.
        readings: [point][position].
    """

    ruler: Ruler
    points: tuple[str, ...]
    pieces: tuple[str, ...]
    tracked: tuple[int, ...]
    readings: tuple[tuple[LensReading, ...], ...]

    def __repr__(self) -> str:
        every = max(1, -(-len(self.points) // 7))
        places = [*range(0, len(self.points) - 1, every), len(self.points) - 1]
        return few(
            f"LensGrid by the ruler {self.ruler!r}: {len(self.points)} points of "
            f"{len(self.pieces)} tokens; the nearest words at the last, {self.pieces[-1]!r}",
            [
                f"{self.points[place]}: "
                + ", ".join(repr(near.piece) for near in self.readings[place][-1].near[:3])
                for place in places
            ],
        )


@torch.no_grad()
def nearest(
    lm: LanguageModel,
    vectors: Tensor,
    *,
    k: int = 5,
    ruler: Ruler | None = None,
    finished: Sequence[bool] = (),
    track: Sequence[int] = (),
    rows: int = 64,
    progress: Callable[[int], None] | None = None,
) -> list[LensReading]:
    """The k words nearest to each of `vectors` [n, d_model].

    Args:
        ruler: `logit` or `embedding`; None takes `logit` where the model has a head.
        finished: for each vector, whether it has already passed the last norm.
        track: tokens whose rank is wanted.
        rows: vectors compared at a time: the scores are [rows, d_vocab], whatever n is.
        progress: called after these with how many they were.

    Raises:
        SiteError: the logit ruler on a model without a head.
    """
    model = lm.model
    ruler = ruler or ("logit" if model.config.has_head else "embedding")
    if ruler == "logit" and not model.config.has_head:
        raise SiteError(
            "This model has no head that predicts words: ask for the ruler 'embedding'."
        )
    done = (
        torch.zeros(len(vectors), dtype=torch.bool)
        if not finished
        else torch.tensor(list(finished))
    )
    vectors = vectors.to(model.dtype)
    table = None if ruler == "logit" else _centred_table(model)
    readings: list[LensReading] = []
    for start in range(0, len(vectors), rows):
        batch = vectors[start : start + rows]
        if table is None:
            scores = _logits(model, batch, done[start : start + rows])
        else:
            unit = torch.nn.functional.normalize(batch - _table(model).mean(0), dim=-1)
            scores = unit @ table.T
        readings += _read(lm, scores.float(), k, track, ruler)
        if progress is not None:
            progress(len(batch))
    return readings


@torch.no_grad()
def set_apart(
    lm: LanguageModel,
    paths: Tensor,
    *,
    k: int = 5,
    finished: Sequence[bool] = (),
    rows: int = 64,
) -> list[list[LensReading]]:
    """The words that set each path apart from the others, at every point [path, point, d_model].

    What every path shares (SmolLM2's next word after any noun is a full stop) hides what they
    differ in. So each vector, read through the last norm, has the mean over the paths taken off,
    and the rest is compared by cosine with the words' own directions, centred. The score is in
    standard deviations over the vocabulary: the best of 49,152 random numbers reaches 4.2, so less
    than that says nothing. One path alone has nothing to be set apart from: its readings are empty.

    Args:
        finished: for each point, whether the vectors there have already passed the last norm.
        rows: vectors compared at a time, as for `nearest`.
    """
    count, points = paths.shape[:2]
    if count < 2:
        return [[LensReading((), (), None)] * points for _ in range(count)]
    model = lm.model
    table = _directions(model)
    table = torch.nn.functional.normalize(table - table.mean(0), dim=-1)
    vectors = paths.to(model.dtype)
    if model.final_norm is not None:
        done = torch.tensor(list(finished) or [False] * points, device=vectors.device)
        vectors = torch.where(done[None, :, None], vectors, model.final_norm(vectors, None, ""))
    own = torch.nn.functional.normalize(vectors - vectors.mean(0), dim=-1).flatten(0, 1)
    readings: list[LensReading] = []
    for start in range(0, len(own), rows):
        scores = own[start : start + rows] @ table.T
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        spread, mean = torch.std_mean(scores, 1, keepdim=True)
        best, ids = scores.topk(min(k, scores.shape[1]))
        best = (best - mean) / spread.clamp(1e-30)
        for tokens, values in zip(ids.tolist(), best.tolist(), strict=True):
            near = zip(tokens, values, strict=True)
            told = tuple(Near(token, _piece(lm, token), score, None) for token, score in near)
            readings.append(LensReading(told, (), None))
    return [readings[path * points : (path + 1) * points] for path in range(count)]


def lens(
    lm: LanguageModel,
    text: str,
    *,
    k: int = 5,
    ruler: Ruler | None = None,
    track: Sequence[int] = (),
    only: Sequence[str] | None = None,
    progress: Callable[[int], None] | None = None,
) -> LensGrid:
    """Read every token of a text at every point of its journey.

    Args:
        only: these points of it, in their order; what is left out costs nothing.
        progress: called with how many vectors were read, again and again.

    Raises:
        SiteError: a text without a token, none of the points, or the logit ruler on a model
            without a head.
    """
    tokens = lm.encode([text])
    need_tokens(tokens)
    pieces = tokens.pieces[0]
    model = lm.model
    points = points_of(model.config)
    if only is not None:
        points = tuple(point for point in points if point in only)
        if not points:
            raise SiteError(f"None of {', '.join(only) or 'no points'} is a point of the journey.")
    names = ("embed", "resid_pre", "resid_mid", "resid_post", "final")
    held = capture(
        model,
        tokens.ids.to(model.device),
        tokens.mask.to(model.device),
        [(0, tuple(range(len(pieces))))],
        only=names,
    )[0]
    ruler = ruler or ("logit" if model.config.has_head else "embedding")
    # All points in one go: the unembedding is read once for many vectors, and not for each point.
    readings = nearest(
        lm,
        torch.cat([held.values[point] for point in points]),
        k=k,
        ruler=ruler,
        track=track,
        finished=[point == "final" for point in points for _ in pieces],
        progress=progress,
    )
    wide = len(pieces)
    grid = tuple(tuple(readings[row * wide : (row + 1) * wide]) for row, _ in enumerate(points))
    return LensGrid(ruler, points, pieces, tuple(track), grid)


def _logits(model: Transformer, vectors: Tensor, done: Tensor) -> Tensor:
    if model.final_norm is not None and not bool(done.all()):
        normed = model.final_norm(vectors, None, "")
        vectors = torch.where(done.to(vectors.device)[:, None], vectors, normed)
    return model.unembed(vectors)


def _directions(model: Transformer) -> Tensor:
    """A direction per word at the end of the journey [d_vocab, d_model]: what a linear head reads,
    or else the words' own vectors."""
    if not model.config.has_head or model.w_head is not None:
        return _table(model)
    table = model.unembedding.detach()
    return table if model.w_embed_out is None else table @ model.w_embed_out.detach()


def _table(model: Transformer) -> Tensor:
    table = model.w_token.detach()
    return table if model.w_embed_in is None else table @ model.w_embed_in.T


def _centred_table(model: Transformer) -> Tensor:
    table = _table(model)
    return torch.nn.functional.normalize(table - table.mean(0), dim=-1)


def _piece(lm: LanguageModel, token: int) -> str:
    """How a token is shown: by its number where the model came without a tokenizer."""
    return f"#{token}" if lm.tokenizer is None else lm.tokenizer.piece(token)


def _read(
    lm: LanguageModel, scores: Tensor, k: int, track: Sequence[int], ruler: Ruler
) -> list[LensReading]:
    best, ids = scores.topk(min(k, scores.shape[1]))
    logs = scores.log_softmax(-1) if ruler == "logit" else None
    entropy = None if logs is None else -(logs.exp() * logs).sum(-1) / torch.log(torch.tensor(2.0))
    ranks = [(scores > scores[:, token, None]).sum(1) for token in track]
    readings = []
    for row in range(len(scores)):
        near = tuple(
            Near(
                token,
                _piece(lm, token),
                score,
                None if logs is None else float(logs[row, token].exp()),
            )
            for token, score in zip(ids[row].tolist(), best[row].tolist(), strict=True)
        )
        own_ranks = tuple(int(rank[row]) for rank in ranks)
        readings.append(
            LensReading(near, own_ranks, None if entropy is None else float(entropy[row]))
        )
    return readings
