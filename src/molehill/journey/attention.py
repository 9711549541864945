"""Where every head looks: each one's attention, what it adds from there, and toward what.

One pass keeps queries, keys and values of all layers, which are a few numbers for each token; a
head's matrix of all tokens with all others is made when somebody asks for it. Three weightings of
the same pairs, each exact: the attention itself (after the softmax); the length of the vector that
the head adds from one token to another, attention included (Kobayashi et al., "Attention is Not
Only a Weight", 2020, carried through grouped heads and the norm behind Gemma's attention); and the
dot product of that vector with a direction at the end of the journey, which is the row that the
ledger has for it. This file measures nothing over heads and draws nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from molehill.errors import SiteError, TextError
from molehill.journey.capture import Captured, capture, visible
from molehill.journey.parts import Static, carry, carry_back
from molehill.journey.paths import need_tokens
from molehill.journey.showing import few
from molehill.language_model import LanguageModel
from molehill.model.transformer import Block, Norm, Transformer

__all__ = ["MOST_TOKENS", "Attention", "HeadAttention", "Toward", "attention"]

MOST_TOKENS = 2048
"""A longer text's matrices would have more cells than a screen has points."""

_KEPT = (
    "embed",
    "embed_norm_scale",
    "norm1_scale",
    "norm2_scale",
    "attn.q",
    "attn.k",
    "attn.v",
    "attn_out_scale",
    "final_norm_scale",
    "final",
)


@dataclass(frozen=True, eq=False)
class Toward:
    """A direction for every token at the end of its journey, read back to every layer.

    Attributes:
        token: whose score is read; None where it is the token's own whole move.
        measured: [query] what everything that is added to the token comes to along the direction:
            the model's score of the word, or the length of the move.
        readers: for each layer [query, d_model]: the direction that reads what a head writes there
            as the end reads what became of it. Norms' divisors are held at their measured values.
    """

    token: int | None
    measured: Tensor
    readers: tuple[Tensor, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class HeadAttention:
    """One head over one text. A query is the token that looks, a key the one that is looked at.

    Attributes:
        pattern: [query, key] the share of the query's attention; each row sums to one.
        sizes: [key] how long a vector the key would add if all attention went to it, before the
            divisor of a norm behind attention.
        divisors: [query] that divisor (Gemma); ones where there is no such norm.
        adds: [query] the length of all that the head adds to each token.
        toward: [query, key] what it adds, along the direction that was asked for; None without.
    """

    layer: int
    head: int
    pattern: Tensor
    sizes: Tensor
    divisors: Tensor
    adds: Tensor
    toward: Tensor | None

    @property
    def added(self) -> Tensor:
        """[query, key] the length of the vector that the head adds to the query from the key."""
        return self.pattern * self.sizes / self.divisors[:, None]

    def __repr__(self) -> str:
        return f"HeadAttention: head {self.layer}.{self.head} over {len(self.sizes)} tokens"


@dataclass(frozen=True, eq=False)
class Attention:
    """Every head over one text.

    Attributes:
        ids: the text's tokens by number.
        pieces: and as they are shown.
    """

    text: str
    ids: tuple[int, ...]
    pieces: tuple[str, ...]
    model: Transformer = field(repr=False)
    captured: Captured = field(repr=False)

    def __repr__(self) -> str:
        config = self.model.config
        return few(
            f"Attention of {config.n_layers} layers of {config.n_heads} heads over "
            f"{len(self)} tokens",
            [f"{self.text!r}", "a head's matrices: .head(layer, head)"],
        )

    def __len__(self) -> int:
        return len(self.pieces)

    def visible(self, layer: int) -> Tensor:
        """Which keys each query sees in a layer [query, key]."""
        places = range(len(self))
        device = self.captured.values["final"].device
        return visible(self.model.config, layer, places, len(self), device)

    def head(self, layer: int, head: int, toward: Toward | None = None) -> HeadAttention:
        """One head's matrices.

        Raises:
            SiteError: there is no such head.
        """
        config, values = self.model.config, self.captured.values
        if not (0 <= layer < config.n_layers and 0 <= head < config.n_heads):
            raise SiteError(
                f"There is no head {layer}.{head}: the model has {config.n_layers} layers of "
                f"{config.n_heads} heads, from 0.0 to {config.n_layers - 1}.{config.n_heads - 1}."
            )
        block = self._block(layer)
        offered = values[block.sites.v][:, head // (config.n_heads // config.kv_heads)]
        writer = block.attn.w_out.detach()[:, head * config.d_head : (head + 1) * config.d_head]
        writer = writer.to(offered.dtype)
        path, divisors = _branch(block, self.captured)
        # |W v|^2 = v' (W'W) v: a small matrix per head instead of a long vector per pair.
        columns = carry(writer.T, path)
        gram = columns @ columns.T
        pattern = self._pattern(layer, head)
        mix = pattern @ offered
        along = None
        if toward is not None:
            reader = carry_back(toward.readers[layer], path) / divisors[:, None]
            along = pattern * (reader @ writer @ offered.T)
        return HeadAttention(
            layer,
            head,
            pattern,
            _lengths(offered, gram),
            divisors,
            _lengths(mix, gram) / divisors,
            along,
        )

    def toward_word(self, token: int) -> Toward:
        """The score of a next word at every token, as the ledger reads it; a soft cap is carried
        like a norm's divisor.

        Raises:
            SiteError: no such token, or a model whose scores are no sum: without a head that
                predicts words, or with BERT's, which has an MLP of its own.
        """
        model, final = self.model, self.captured.values["final"]
        if not model.config.has_head or model.w_head is not None:
            why = "has no head that predicts words"
            if model.config.has_head:
                why = "has a head that is not linear (dense, GELU, norm)"
            raise SiteError(
                f"This model {why}: no head's part of a word's score can be told. "
                "Leave the word out to read along each token's own move."
            )
        if not 0 <= token < model.config.d_vocab:
            raise SiteError(f"Token {token} lies outside the vocabulary of {model.config.d_vocab}.")
        direction = model.unembedding[token].detach().to(final)
        if model.w_embed_out is not None:
            direction = direction @ model.w_embed_out.detach().to(final)
        raw = final @ direction
        if model.b_unembed is not None:
            raw = raw + model.b_unembed[token].detach().to(final)
        directions, measured, cap = direction.expand_as(final), raw, model.config.final_softcap
        if cap is not None:
            measured = torch.tanh(raw / cap) * cap
            factor = torch.where(raw == 0, torch.ones_like(raw), measured / raw)
            directions = directions * factor[:, None]
        return Toward(token, measured, self._readers(directions))

    def toward_move(self) -> Toward:
        """Every token's own whole move, scaled to length one: its last vector minus what became of
        the embedding that it started from."""
        final, start = self.captured.values["final"], self.captured.values["embed"]
        model = self.model
        passed = [(model.embed_norm, "embed_norm_scale")]
        for layer in range(model.config.n_layers):
            passed += _after_attention(self._block(layer))
        for norm, site in [*passed, (model.final_norm, "final_norm_scale")]:
            if norm is not None:
                start = carry(start / self.captured.values[site], (_static(norm, start),))
        move = final - start
        length = move.norm(dim=-1)
        directions = move / length.clamp(min=torch.finfo(move.dtype).tiny)[:, None]
        return Toward(None, length, self._readers(directions))

    def _readers(self, directions: Tensor) -> tuple[Tensor, ...]:
        """Directions at the end [query, d_model], read back to behind every layer's attention."""
        values, found = self.captured.values, []
        passed = [(self.model.final_norm, "final_norm_scale")]
        for layer in reversed(range(self.model.config.n_layers)):
            passed = [*_after_attention(self._block(layer)), *passed]
            for norm, site in reversed(passed):
                if norm is not None:
                    back = carry_back(directions, (_static(norm, directions),))
                    directions = back / values[site]
            found.append(directions)
            passed = []
        return tuple(reversed(found))

    def _pattern(self, layer: int, head: int) -> Tensor:
        """A head's attention from its queries and keys, as the model makes it [query, key]."""
        config, values = self.model.config, self.captured.values
        sites = self._block(layer).sites
        keys = values[sites.k][:, head // (config.n_heads // config.kv_heads)]
        scores = values[sites.q][:, head] @ keys.T * config.score_scale
        if config.attn_softcap is not None:
            scores = torch.tanh(scores / config.attn_softcap) * config.attn_softcap
        return scores.masked_fill(~self.visible(layer), -torch.inf).softmax(-1)

    def _block(self, layer: int) -> Block:
        block = self.model.blocks[layer]
        assert isinstance(block, Block), "a transformer's blocks are blocks"
        return block


@torch.no_grad()
def attention(lm: LanguageModel, text: str) -> Attention:
    """Run a text once and keep what every head's attention is made of.

    Memory grows with the text's length, not with its square: a few vectors a token and layer.

    Raises:
        SiteError: a text without a token.
        TextError: a text of more than `MOST_TOKENS` tokens, or than the model reads.
    """
    tokens = lm.encode([text])
    count = need_tokens(tokens)
    if count > MOST_TOKENS:
        raise TextError(
            f"The text has {count:,} tokens; who looks at whom is shown for at most "
            f"{MOST_TOKENS:,}. Give a part of it."
        )
    places = tuple(range(count))
    ids = tokens.ids.to(lm.model.device)
    mask = tokens.mask.to(lm.model.device)
    held = capture(lm.model, ids, mask, [(0, places)], only=_KEPT)[0]
    return Attention(text, tuple(tokens.ids[0].tolist()), tokens.pieces[0], lm.model, held)


def _after_attention(block: Block) -> Sequence[tuple[Norm | None, str]]:
    """The norms that the stream passes in a block once attention has been added."""
    passed = []
    if block.place == "post":
        passed.append((block.norm1, block.sites.norm1_scale))
    if block.place in ("post", "block_end"):
        passed.append((block.norm2, block.sites.norm2_scale))
    return passed


def _branch(block: Block, captured: Captured) -> tuple[tuple[Static, ...], Tensor]:
    """The norm between attention and the stream, and its divisors [query]; ones without."""
    values = captured.values
    if block.norm1_post is None:
        return (), torch.ones(
            captured.carriers, dtype=captured.dtype, device=values["final"].device
        )
    static = _static(block.norm1_post, values["final"])
    return (static,), values[block.sites.attn_out_scale][:, 0]


def _static(norm: Norm, like: Tensor) -> Static:
    return Static(norm.multiplier.detach().to(like), not norm.rms)


def _lengths(vectors: Tensor, gram: Tensor) -> Tensor:
    """The lengths of vectors [n, d_head] after a matrix of which only the gram matrix is known."""
    return ((vectors @ gram) * vectors).sum(-1).clamp(min=0).sqrt()
