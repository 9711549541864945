"""The transformer: token ids become logits. The whole model is in this file.

    tokens ─embed (+ position)─► residual stream ─► block ─► block ─► ... ─► final norm ─► unembed
    ─► logits
                                                    │
          attention: every token asks (q), answers (k) and offers (v); what it receives is added to
          the stream
          MLP:       rows of the up matrix ask, the activation gates, columns of the down matrix
          are added

Families differ in their `ModelConfig`, never in code paths of their own. At every site of
`sites.py` the forward pass runs `x = watch(site, x)` if somebody watches; otherwise the line costs
one comparison. The model knows nothing of text, files, training or of what a watcher does.

All matrices are [out, in]. Queries, keys and values are rows of one matrix, and so are a gated
MLP's gate and up: one product each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from molehill.errors import ConfigError, SiteError
from molehill.model.cache import KVCache
from molehill.model.checks import check_inputs, last_real
from molehill.model.config import ModelConfig
from molehill.model.norm import Norm, parameter
from molehill.model.products import Products
from molehill.model.scene import Scene, count_positions, set_scene, turn
from molehill.model.short_attention import LONGEST, short_causal_attention
from molehill.model.sites import BlockSites
from molehill.model.watch import Watch, seen, wanted

__all__ = ["MLP", "Attention", "Block", "LogitsAt", "Norm", "Output", "Transformer"]

LogitsAt = Literal["all", "last", "none"]


@dataclass(frozen=True)
class Output:
    """What a pass returns."""

    resid: Tensor
    """The residual stream after the last block that was run [batch, pos, d_model]."""
    final: Tensor | None
    """What the unembedding reads, at the positions asked for; None if the pass stopped before the
    end."""
    logits: Tensor | None
    """Scores of the next word at the positions asked for [batch, pos or 1, d_vocab]."""


class Attention(nn.Module):
    """Multi-head attention: all heads in one batched product, keys and values possibly shared by
    groups of heads."""

    def __init__(self, config: ModelConfig, layer: int, **place) -> None:
        super().__init__()
        self.config = config
        self.layer = layer
        self.window = config.window_of(layer)
        self.theta = config.theta_of(layer)
        rows = (config.n_heads + 2 * config.kv_heads) * config.d_head
        mixed = config.n_heads * config.d_head
        self.w_qkv = parameter(rows, config.d_model, **place)
        self.b_qkv = parameter(rows, **place) if config.qkv_bias else None
        self.w_out = parameter(config.d_model, mixed, **place)
        self.b_out = parameter(config.d_model, **place) if config.attn_out_bias else None
        self.q_norm = Norm(config, config.d_head, rms=True, **place) if config.qk_norm else None
        self.k_norm = Norm(config, config.d_head, rms=True, **place) if config.qk_norm else None

    def forward(self, x: Tensor, scene: Scene, sites: BlockSites) -> Tensor:
        """x [batch, pos, d_model] -> what the heads write, same shape, before any norm on the way
        to the stream."""
        config, watch = self.config, scene.watch
        turning = config.n_heads + config.kv_heads
        # All of them [batch, pos, head, d_head].
        qkv = scene.linear(x, self.w_qkv, self.b_qkv).unflatten(-1, (-1, config.d_head))
        qk, v = qkv.split((turning, config.kv_heads), dim=2)
        if self.q_norm is not None and self.k_norm is not None:
            q, k = qk.split((config.n_heads, config.kv_heads), dim=2)
            q, k = self.q_norm(q, watch, sites.q_scale), self.k_norm(k, watch, sites.k_scale)
            qk = torch.cat([q, k], dim=2)
        if self.theta in scene.turns:
            qk = turn(qk, *scene.turns[self.theta])
        q, k = qk.split((config.n_heads, config.kv_heads), dim=2)
        if watch is not None:
            q, k = seen(watch, sites.q, q), seen(watch, sites.k, k)
            v = seen(watch, sites.v, v)
        # From here on [batch, head, pos, d_head].
        q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        if scene.cache is not None and scene.slots is not None:
            k, v = scene.cache.extend(self.layer, scene.slots, k, v)
        mix = self._mix(q, k, v, scene, sites).transpose(1, 2)  # [batch, pos, head, d_head]
        mix = seen(watch, sites.mix, mix)
        if watch is not None and watch.wants(sites.result):
            by_head = self.w_out.unflatten(1, (config.n_heads, config.d_head))
            result = watch(sites.result, torch.einsum("bphd,mhd->bphm", mix, by_head))
            return result.sum(2) if self.b_out is None else result.sum(2) + self.b_out
        return scene.linear(mix.flatten(2), self.w_out, self.b_out)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, scene: Scene, sites: BlockSites) -> Tensor:
        """Each head's weighted values [batch, head, query, d_head]: fused, or step by step where
        someone looks inside."""
        if scene.attend is not None:
            return scene.attend(self.window, q, k, v)
        config, watch = self.config, scene.watch
        mask = scene.masks[self.window]
        grouped = config.kv_heads != config.n_heads
        looked_at = wanted(watch, sites.scores) or wanted(watch, sites.pattern)
        if not looked_at and config.attn_softcap is None:
            if grouped and q.shape[2] == 1:
                # One query per head: heads that share keys are as many queries to them, which
                # spares a copy of all keys and values for each.
                folded = q.reshape(q.shape[0], config.kv_heads, -1, config.d_head)
                mixed = F.scaled_dot_product_attention(
                    folded, k, v, attn_mask=mask, scale=config.score_scale
                )
                return mixed.reshape(q.shape)
            triangle = scene.triangle and mask is None and q.shape[2] > 1
            if self.training and triangle and not grouped and _is_short(q):
                return short_causal_attention(q, k, v, config.score_scale)
            return F.scaled_dot_product_attention(
                q,
                k,
                v,
                attn_mask=mask,
                is_causal=triangle,
                scale=config.score_scale,
                enable_gqa=grouped,
            )
        if grouped:
            share = config.n_heads // config.kv_heads
            k, v = k.repeat_interleave(share, dim=1), v.repeat_interleave(share, dim=1)
        scores = q @ k.transpose(-1, -2) * config.score_scale  # [batch, head, query, key]
        if config.attn_softcap is not None:
            scores = torch.tanh(scores / config.attn_softcap) * config.attn_softcap
        scores = seen(watch, sites.scores, scores)
        if mask is None and scene.triangle:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
            mask = mask.tril(scores.shape[-1] - scores.shape[-2])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        pattern = seen(watch, sites.pattern, scores.softmax(-1))
        return pattern @ v


def _is_short(q: Tensor) -> bool:
    """Whether whole products are the faster way to learn from rows of this length. They are in
    bfloat16, where a compiler makes one pass over the scores of what would be eight."""
    learning = torch.is_grad_enabled() and torch.compiler.is_compiling()
    return q.is_cpu and q.dtype is torch.bfloat16 and learning and q.shape[2] <= LONGEST


_ACTIVATIONS = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


class MLP(nn.Module):
    """Each token by itself: rows ask, the activation gates, columns answer.

    A neuron's coefficient is act(row . x + bias), or with a gate act(gate row . x) * (up row . x);
    its column is multiplied by that and added.
    """

    def __init__(self, config: ModelConfig, **place) -> None:
        super().__init__()
        self.gated = config.gated
        self.activation = _ACTIVATIONS[config.activation]
        rows = config.d_mlp * (2 if config.gated else 1)
        self.w_in = parameter(rows, config.d_model, **place)
        self.b_in = parameter(rows, **place) if config.mlp_bias else None
        self.w_out = parameter(config.d_model, config.d_mlp, **place)
        self.b_out = parameter(config.d_model, **place) if config.mlp_bias else None

    def forward(self, x: Tensor, scene: Scene, sites: BlockSites) -> Tensor:
        """x [batch, pos, d_model] -> what the neurons write, same shape, before any norm on the
        way to the stream."""
        watch = scene.watch
        asked = scene.linear(x, self.w_in, self.b_in)
        if self.gated:
            gate, up = asked.chunk(2, dim=-1)
            gate, up = seen(watch, sites.gate, gate), seen(watch, sites.pre, up)
            act = self.activation(gate)
            # In place where no gradient needs the two apart: it is a large part of what is not
            # a product.
            act = act * up if torch.is_grad_enabled() else act.mul_(up)
        else:
            act = self.activation(seen(watch, sites.pre, asked))
        return scene.linear(seen(watch, sites.act, act), self.w_out, self.b_out)


class Block(nn.Module):
    """Attention, then MLP, each added to the residual stream; where the norms stand is the
    family's choice."""

    def __init__(self, config: ModelConfig, layer: int, **place) -> None:
        super().__init__()
        self.place = config.norm_place
        self.parallel = config.parallel
        self.sites = BlockSites.of(layer)
        self.attn = Attention(config, layer, **place)
        self.mlp = MLP(config, **place)
        sandwich = self.place == "sandwich"
        self.norm1 = None if self.place == "block_end" else Norm(config, config.d_model, **place)
        self.norm2 = Norm(config, config.d_model, **place)
        self.norm1_post = Norm(config, config.d_model, **place) if sandwich else None
        self.norm2_post = Norm(config, config.d_model, **place) if sandwich else None

    def forward(self, x: Tensor, scene: Scene) -> Tensor:
        """The stream before the block -> the stream after it, both [batch, pos, d_model]."""
        sites, watch = self.sites, scene.watch
        x = seen(watch, sites.resid_pre, x)
        before = self.place in ("pre", "sandwich")

        read = self.norm1(x, watch, sites.norm1_scale) if before and self.norm1 is not None else x
        attn = self.attn(seen(watch, sites.attn_in, read), scene, sites)
        if self.norm1_post is not None:
            attn = seen(watch, sites.attn_raw, attn)
            attn = self.norm1_post(attn, watch, sites.attn_out_scale)
        attn = seen(watch, sites.attn_out, attn)
        if self.parallel:
            mid = x
        else:
            mid = x + attn
            if self.place == "post" and self.norm1 is not None:
                mid = self.norm1(mid, watch, sites.norm1_scale)
            mid = seen(watch, sites.resid_mid, mid)

        read = self.norm2(mid, watch, sites.norm2_scale) if before else mid
        mlp = self.mlp(seen(watch, sites.mlp_in, read), scene, sites)
        if self.norm2_post is not None:
            mlp = seen(watch, sites.mlp_raw, mlp)
            mlp = self.norm2_post(mlp, watch, sites.mlp_out_scale)
        mlp = seen(watch, sites.mlp_out, mlp)
        x = x + attn + mlp if self.parallel else mid + mlp
        if not before:
            x = self.norm2(x, watch, sites.norm2_scale)
        return seen(watch, sites.resid_post, x)


class Transformer(nn.Module):
    """A transformer of the given configuration; its weights are not initialised (load them, or
    call `initialise`)."""

    def __init__(
        self,
        config: ModelConfig,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> None:
        super().__init__()
        place = {"dtype": dtype, "device": device}
        self.config = config
        self.products = Products()
        # Of passes that add one token: they are many, so that packed copies of weights pay.
        self.step_products = Products(packs=True)
        learned = config.positions == "learned"
        self.w_token = parameter(config.d_vocab, config.token_width, **place)
        self.w_pos = (
            parameter(config.n_ctx + config.position_offset, config.d_model, **place)
            if learned
            else None
        )
        self.w_type = (
            parameter(config.token_types, config.d_model, **place) if config.token_types else None
        )
        self.embed_norm = Norm(config, config.d_model, **place) if config.embed_norm else None
        narrow = config.d_embed is not None
        self.w_embed_in = parameter(config.d_model, config.token_width, **place) if narrow else None
        self.w_embed_out = (
            parameter(config.token_width, config.d_model, **place) if narrow else None
        )
        self.blocks = nn.ModuleList(
            Block(config, layer, **place) for layer in range(config.n_layers)
        )
        self.final_norm = Norm(config, config.d_model, **place) if config.final_norm else None
        transform = config.has_head and config.head_transform
        self.w_head = parameter(config.d_model, config.d_model, **place) if transform else None
        self.b_head = parameter(config.d_model, **place) if transform else None
        self.head_norm = Norm(config, config.d_model, **place) if transform else None
        untied = config.has_head and not config.tied
        self.w_unembed = parameter(config.d_vocab, config.token_width, **place) if untied else None
        self.b_unembed = (
            parameter(config.d_vocab, **place) if config.has_head and config.unembed_bias else None
        )

    @property
    def dtype(self) -> torch.dtype:
        """The weights' dtype."""
        return self.w_token.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.w_token.device

    @property
    def unembedding(self) -> Tensor:
        """One row per word: the direction whose dot product with `final` is the word's score
        [d_vocab, token_width].

        Raises:
            ConfigError: the model has no head.
        """
        if not self.config.has_head:
            raise ConfigError(
                "This model has no unembedding: it was saved without a head that predicts words."
            )
        return self.w_token if self.w_unembed is None else self.w_unembed

    @torch.no_grad()
    def initialise(self, seed: int = 0) -> Transformer:
        """Random weights as in GPT-2: normal with deviation 0.02, divided by sqrt(2 n_layers)
        where a block writes."""
        generator = torch.Generator(device="cpu").manual_seed(seed)
        for name, weight in self.named_parameters():
            if name.endswith("gain"):
                weight.fill_(1.0 - self.config.norm_offset)
            elif weight.ndim == 1:
                weight.zero_()
            else:
                writes = name.endswith("w_out")
                deviation = 0.02 / math.sqrt(2 * self.config.n_layers) if writes else 0.02
                noise = torch.empty(weight.shape).normal_(0.0, deviation, generator=generator)
                weight.copy_(noise)
        return self

    def forward(
        self,
        ids: Tensor | None,
        *,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
        watch: Watch | None = None,
        cache: KVCache | None = None,
        logits: LogitsAt = "all",
        resid: Tensor | None = None,
        first: int = 0,
        last: int | None = None,
    ) -> Output:
        """Run the model.

        Args:
            ids: token ids [batch, pos]; None if `resid` is given.
            mask: [batch, pos], False at padding, which may stand anywhere. None: no padding.
            positions: [batch, pos]. None: counted over the tokens that are not padding, on from
            what the cache holds.
            watch: who looks at values or changes them.
            cache: keys and values of earlier tokens; this pass adds its own.
            logits: at all positions, at each text's last token only, or not at all.
            resid: start from this residual stream [batch, pos, d_model] instead of from ids.
            first, last: run blocks first..last-1. With `last` given the pass stops there, without
            the final norm.

        Raises:
            SiteError: ids or positions outside the tables, shapes that do not fit.
        """
        x_shape = check_inputs(self.config, ids, resid, mask)
        real = None if mask is None or bool(mask.all()) else mask.bool()
        if positions is None:
            positions = count_positions(x_shape, real, cache, self.device)
        if watch is not None:
            watch.begin(
                positions,
                torch.ones(x_shape, dtype=torch.bool, device=self.device) if real is None else real,
            )
        if resid is None:
            assert ids is not None, "either ids or a residual stream was given: checked above"
            resid = self.embed(ids, positions, watch)
        x = resid
        one_step = cache is not None and cache.used > 0 and x_shape[1] == 1
        products = self.step_products if one_step else self.products
        scene = set_scene(self.config, x.dtype, positions, real, cache, watch, products)
        stop = self.config.n_layers if last is None else last
        for block in self.blocks[first:stop]:
            x = block(x, scene)
        if last is not None:
            return Output(resid=x, final=None, logits=None)
        stream = x
        if logits == "last":
            x = x[:, -1:] if real is None else last_real(x, real)
        final = x if self.final_norm is None else self.final_norm(x, watch, "final_norm_scale")
        final = seen(watch, "final", final)
        scores = (
            None if logits == "none" or not self.config.has_head else self.unembed(final, products)
        )
        if scores is not None:
            scores = seen(watch, "logits", scores)
        return Output(resid=stream, final=final, logits=scores)

    def embed(self, ids: Tensor, positions: Tensor, watch: Watch | None = None) -> Tensor:
        """ids and positions [batch, pos] -> where the residual stream starts [batch, pos,
        d_model]."""
        config = self.config
        # Values cannot be asked for while a graph is recorded: who compiles looks before.
        looked = torch.compiler.is_compiling()
        if config.positions == "learned" and not looked and int(positions.max()) >= config.n_ctx:
            raise SiteError(
                f"The text has {int(positions.max()) + 1} tokens and the model reads at most "
                f"{config.n_ctx}: shorten it."
            )
        x = F.embedding(ids, self.w_token)
        if self.w_embed_in is not None:
            x = self.products(x, self.w_embed_in)
        if config.embed_scale != 1.0:
            x = x * torch.tensor(config.embed_scale, dtype=x.dtype, device=x.device)
        x = seen(watch, "embed", x)
        if self.w_pos is not None:
            x = x + seen(
                watch, "pos_embed", F.embedding(positions + config.position_offset, self.w_pos)
            )
        if self.w_type is not None:
            x = x + self.w_type[0]
        return x if self.embed_norm is None else self.embed_norm(x, watch, "embed_norm_scale")

    def unembed(self, final: Tensor, products: Products | None = None) -> Tensor:
        """final [..., d_model] -> logits [..., d_vocab]."""
        products = self.products if products is None else products
        x = products(self.to_head(final, products), self.unembedding, self.b_unembed)
        cap = self.config.final_softcap
        return x if cap is None else torch.tanh(x / cap) * cap

    def to_head(self, final: Tensor, products: Products | None = None) -> Tensor:
        """final [..., d_model] -> what the rows of the unembedding are compared with [...,
        token_width]: the same, but for a head's own transform and for tables of another width."""
        products = self.products if products is None else products
        x = final
        if self.w_head is not None and self.head_norm is not None:
            activation = _ACTIVATIONS[self.config.activation]
            x = self.head_norm(activation(products(x, self.w_head, self.b_head)), None, "")
        return x if self.w_embed_out is None else products(x, self.w_embed_out)
