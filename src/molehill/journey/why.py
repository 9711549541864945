"""Why a head attends where it does: one attention score, split by the journeys of its two words.

A score is a dot product of a query and a key. Each is a linear reading of its own token's vector
(the norm's divisors held at their measured values, rotary positions being a rotation), and each
vector is a ledger. So the score is a sum over the rows of the query's ledger, or over those of the
key's, or over pairs of both; the parts add up to the score. After Elhage et al. (2021), "QK
circuits", with norms, biases and positions carried instead of left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.journey.capture import Captured, capture
from molehill.journey.ledger import Ledger, Reading
from molehill.journey.parts import Static, carry, carry_back, parts_until
from molehill.journey.showing import few, largest
from molehill.journey.unknown import refuse_unknown
from molehill.language_model import LanguageModel
from molehill.model.scene import rotary_angles, turn
from molehill.model.transformer import Block, Norm

__all__ = ["AttendingHead", "WhyAttended", "attending_heads", "why_attended"]


@dataclass(frozen=True)
class AttendingHead:
    """How much one head attends from a query to a key."""

    layer: int
    head: int
    weight: float
    """The share of the query's attention that the key gets, 0 to 1."""
    place: int
    """Where the key stands among all that this head sees from the query; 0 is first."""


@dataclass(frozen=True, eq=False)
class WhyAttended:
    """One attention score and its parts.

    Attributes:
        score: what the model computed, scaled and capped, before the softmax.
        weight: the share of attention that it became.
        pattern: the query's whole row of that head's attention [key].
        by_query: every row of the query's ledger with its share of the score, given the whole key.
        by_key: every row of the key's ledger with its share, given the whole query.
        grid: [query component, key component] shares; they add up to the score.
        query_components, key_components: names of the grid's rows and columns.
    """

    layer: int
    head: int
    query: int
    key: int
    score: float
    weight: float
    by_query: Reading
    by_key: Reading
    grid: Tensor = field(repr=False)
    query_components: tuple[str, ...] = field(repr=False)
    key_components: tuple[str, ...] = field(repr=False)
    pattern: Tensor = field(repr=False)

    def __repr__(self) -> str:
        pieces = self.by_key.ledger.pieces
        query, key = (f"{pieces[place]!r} ({place})" for place in (self.query, self.key))
        return few(
            f"WhyAttended: head {self.layer}.{self.head} from {query} to {key}, score "
            f"{self.score:.4g}, {self.weight:.1%} of its attention, to within "
            f"{self.closing_error:.1e}",
            [
                f"by the query: {largest(self.by_query.by('component'))}",
                f"by the key: {largest(self.by_key.by('component'))}",
            ],
        )

    @property
    def closing_error(self) -> float:
        """The largest of the three sums' distances from the score."""
        grid = abs(float(self.grid.double().sum()) - self.score)
        return max(self.by_query.closing_error, self.by_key.closing_error, grid)


@dataclass(frozen=True, eq=False)
class _Side:
    """How one token's vector becomes its query or key, with all divisors held."""

    ledger: Ledger
    read: tuple[Static, ...]  # the norm that attention reads through
    shift: Tensor  # that norm's bias [d_model]
    matrix: Tensor  # [d_head, d_model]
    bias: Tensor  # [d_head]
    multiplier: Tensor  # the head's own norm's gain over its divisor [d_head]
    divisor: float
    cosine: Tensor | None  # rotation of this position [rotary_dims]
    sine: Tensor | None

    def head_vectors(self, vectors: Tensor) -> Tensor:
        """Parts of the token's vector [part, d_model] -> parts of its query or key [part,
        d_head]."""
        return self._turned(carry(vectors, self.read) / self.divisor @ self.matrix.T)

    def constant(self) -> Tensor:
        """The part of the query or key that does not come from the token's vector [d_head]."""
        return self._turned((self.matrix @ self.shift + self.bias)[None])[0]

    def direction(self, other: Tensor) -> Tensor:
        """The direction whose dot product with the token's vector is that of its query or key with
        `other` [d_head]."""
        return carry_back(self.matrix.T @ self._turned_back(other), self.read) / self.divisor

    def _turned(self, vectors: Tensor) -> Tensor:
        scaled = vectors * self.multiplier
        if self.cosine is None or self.sine is None:
            return scaled
        return turn(scaled, self.cosine, self.sine)

    def _turned_back(self, vector: Tensor) -> Tensor:
        if self.cosine is not None and self.sine is not None:
            vector = turn(vector[None], self.cosine, -self.sine)[0]
        return vector * self.multiplier


def why_attended(
    lm: LanguageModel, text: str, *, layer: int, head: int, query: int, key: int
) -> WhyAttended:
    """Split the score that `head` of `layer` gave the token at `key`, asked by the token at
    `query`.

    Args:
        query, key: positions; negative ones count from the end.

    Raises:
        SiteError: a layer, head or position that does not exist, or a key that the query does not
        see.
        TextError: the model does not know one of the two words.
    """
    model, config = lm.model, lm.model.config
    tokens = lm.encode([text])
    query, key = _positions(len(tokens.pieces[0]), query, key)
    refuse_unknown(lm, tokens, [(0, (query, key))])
    if not (0 <= layer < config.n_layers and 0 <= head < config.n_heads):
        raise SiteError(
            f"There is no head {layer}.{head}: the model has {config.n_layers} layers of "
            f"{config.n_heads} heads, from 0.0 to {config.n_layers - 1}.{config.n_heads - 1}."
        )
    window = config.window_of(layer)
    if config.causal and (key > query or (window is not None and query - key >= window)):
        raise SiteError(f"Token {query} does not see token {key} in layer {layer}.")
    also = ("attn.q", "attn.k", "attn.q_scale", "attn.k_scale", "attn.scores")
    ids, mask = tokens.ids.to(model.device), tokens.mask.to(model.device)
    asker, answerer = capture(
        model, ids, mask, [(0, (query,)), (0, (key,))], also=also, layers=layer + 1
    )
    block: Block = model.blocks[layer]  # type: ignore[assignment]
    q = asker.values[block.sites.q][0, head]
    k = answerer.values[block.sites.k][key, head // (config.n_heads // config.kv_heads)]
    score = float(asker.values[block.sites.scores][0, head, key])
    raw = float(q.double() @ k.double()) * config.score_scale
    factor = config.score_scale * (score / raw if config.attn_softcap is not None and raw else 1.0)

    ask = _side(lm, block, asker, tokens.pieces[0], head, query, is_query=True)
    answer = _side(lm, block, answerer, tokens.pieces[0], head, key, is_query=False)
    by_query = _reading(ask, k, factor, score)
    by_key = _reading(answer, q, factor, score)
    query_sums, key_sums = ask.ledger.by("component"), answer.ledger.by("component")
    asked = torch.cat([ask.head_vectors(query_sums.vectors), ask.constant()[None]])
    answered = torch.cat([answer.head_vectors(key_sums.vectors), answer.constant()[None]])
    pattern = asker.values[block.sites.pattern][0, head]
    return WhyAttended(
        layer,
        head,
        query,
        key,
        score,
        float(pattern[key]),
        by_query,
        by_key,
        asked @ answered.T * factor,
        (*query_sums.labels, "query bias"),
        (*key_sums.labels, "key bias"),
        pattern,
    )


def attending_heads(
    lm: LanguageModel, text: str, *, query: int, key: int
) -> tuple[AttendingHead, ...]:
    """Every head by how much it attends from the token at `query` to the one at `key`, most first.

    Args:
        query, key: positions; negative ones count from the end.

    Raises:
        SiteError: a position that does not exist, or a key that comes after the query in a causal
            model.
    """
    tokens = lm.encode([text])
    query, key = _positions(len(tokens.pieces[0]), query, key)
    refuse_unknown(lm, tokens, [(0, (query, key))])
    if lm.config.causal and key > query:
        raise SiteError(
            f"Token {query} does not see token {key}, which comes after it: this model reads from "
            "left to right. Exchange the two, or choose others."
        )
    device = lm.model.device
    ids, mask = tokens.ids.to(device), tokens.mask.to(device)
    seen = capture(lm.model, ids, mask, [(0, (query,))], only=("attn.pattern",))[0].values
    found = []
    for layer in range(lm.config.n_layers):
        pattern = seen[f"{layer}.attn.pattern"][0]  # [head, source]
        places = (pattern > pattern[:, key, None]).sum(1)
        found += [
            AttendingHead(layer, head, weight, place)
            for head, (weight, place) in enumerate(
                zip(pattern[:, key].tolist(), places.tolist(), strict=True)
            )
        ]
    return tuple(sorted(found, key=lambda one: -one.weight))


def _positions(length: int, query: int, key: int) -> tuple[int, int]:
    """Both positions counted from the start."""
    places = [place + length if place < 0 else place for place in (query, key)]
    if not all(0 <= place < length for place in places):
        raise SiteError(
            f"The text has {length} tokens: positions {query} and {key} are not both in it."
        )
    return places[0], places[1]


def _reading(side: _Side, other: Tensor, factor: float, score: float) -> Reading:
    direction = side.direction(other) * factor
    constant = float(side.constant() @ other) * factor
    values = tuple(part.toward(direction) for part in side.ledger.parts)
    return Reading(side.ledger, direction, values, constant, score)


def _side(
    lm: LanguageModel,
    block: Block,
    captured: Captured,
    pieces: tuple[str, ...],
    head: int,
    position: int,
    *,
    is_query: bool,
) -> _Side:
    """Read off the weights and divisors that make this token's query, or its key."""
    config, dtype, sites = lm.model.config, captured.dtype, block.sites
    layer = block.attn.layer
    at = f"{layer}.resid_pre"
    ledger = Ledger(at, captured.at(at), parts_until(lm.model, captured, at), pieces, lm.model)
    before = block.norm1 if block.place in ("pre", "sandwich") else None
    read = () if before is None else (Static(before.multiplier.detach().to(dtype), not before.rms),)
    divisor = 1.0 if before is None else float(captured.values[sites.norm1_scale][0, 0])
    shift = captured.at(at).new_zeros(config.d_model)
    if before is not None and before.bias is not None:
        shift = before.bias.detach().to(dtype)
    group = head if is_query else config.n_heads + head // (config.n_heads // config.kv_heads)
    rows = slice(group * config.d_head, (group + 1) * config.d_head)
    bias = block.attn.b_qkv
    own: Norm | None = block.attn.q_norm if is_query else block.attn.k_norm
    multiplier = torch.ones(config.d_head, dtype=dtype)
    if own is not None:
        scales = captured.values[sites.q_scale if is_query else sites.k_scale][0, :, 0]
        scale = scales[head if is_query else head // (config.n_heads // config.kv_heads)]
        multiplier = own.multiplier.detach().to(dtype) / scale
    cosine = sine = None
    if config.positions == "rotary":
        place = torch.tensor([[position]], device=lm.model.device)
        cosine, sine = (
            part[0, 0] for part in rotary_angles(config, place, block.attn.theta, dtype)
        )
    return _Side(
        ledger,
        read,
        shift,
        block.attn.w_qkv[rows].detach().to(dtype),
        shift.new_zeros(config.d_head) if bias is None else bias[rows].detach().to(dtype),
        multiplier,
        divisor,
        cosine,
        sine,
    )
