"""What all blocks of one pass share: who may see whom, how positions turn, where keys go, who
watches.

It is made once per pass from positions, padding and the cache. It knows nothing of weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.model.cache import KVCache
from molehill.model.config import ModelConfig, RopeScaling
from molehill.model.products import Products
from molehill.model.watch import Watch

__all__ = ["Attend", "Scene", "count_positions", "rotary_angles", "set_scene", "stretch", "turn"]

Attend = Callable[[int | None, Tensor, Tensor, Tensor], Tensor]
"""How far back a token sees in this layer, queries [1, head, row, d_head], keys and values [1,
kv_head, row, d_head] -> the heads' weighted values, shaped like the queries."""


@dataclass(frozen=True)
class Scene:
    """The setting of one pass."""

    masks: dict[int | None, Tensor | None]
    """By window: True where a query may see a key [batch or 1, 1, query, key]; None where the
    plain rule says it all."""
    turns: dict[float, tuple[Tensor, Tensor]]
    """By rotary base: what `turn` needs [batch, pos, 1, rotary_dims]; empty without rotary
    positions."""
    triangle: bool
    """Whether, where there is no mask, each token sees itself and what stands before it."""
    cache: KVCache | None
    slots: slice | None
    """Where this pass's keys and values go in the cache."""
    watch: Watch | None
    linear: Products
    """How products with weights are made."""
    attend: Attend | None = None
    """Who sees whom where the rows are no batch of texts side by side but parts of many texts in
    one row; then masks, triangle and cache are not asked."""


def count_positions(
    shape: torch.Size, real: Tensor | None, cache: KVCache | None, device: torch.device
) -> Tensor:
    """Each token's place in its own text [batch, pos]: padding is not counted, and a cache is gone
    on from."""
    if real is None:
        positions = torch.arange(shape[1], device=device).expand(shape)
    else:
        positions = (real.long().cumsum(1) - 1).clamp(min=0)
    if cache is None or cache.used == 0:
        return positions
    if cache.padded:
        return positions + cache.real[:, : cache.used].sum(1, keepdim=True)
    return positions + cache.used


def set_scene(
    config: ModelConfig,
    dtype: torch.dtype,
    positions: Tensor,
    real: Tensor | None,
    cache: KVCache | None,
    watch: Watch | None,
    linear: Products,
) -> Scene:
    """The scene of a pass over tokens at `positions` [batch, pos]; `real` is False at padding,
    None without any.

    Takes the slots that the pass needs from the cache.
    """
    slots = None if cache is None else cache.reserve(positions, real)
    windows = {config.window_of(layer) for layer in range(config.n_layers)}
    masks = {window: _mask(config, positions, real, cache, slots, window) for window in windows}
    turns = {}
    if config.positions == "rotary":
        for theta in {config.theta_of(layer) for layer in range(config.n_layers)}:
            cos, sin = rotary_angles(config, positions, theta, dtype)
            turns[theta] = cos.transpose(1, 2), sin.transpose(1, 2)
    from_start = slots is None or slots.start == 0
    return Scene(masks, turns, config.causal and from_start, cache, slots, watch, linear)


def _mask(
    config: ModelConfig,
    positions: Tensor,
    real: Tensor | None,
    cache: KVCache | None,
    slots: slice | None,
    window: int | None,
) -> Tensor | None:
    """True where a query may see a key [batch or 1, 1, query, key].

    None where the triangle is all there is to say, or where one token goes on from a cache that it
    sees whole. Padding sees itself, so that no row of the softmax is empty; nothing else sees
    padding.
    """
    length = positions.shape[1]
    start = 0 if slots is None else slots.start
    end = start + length
    padded = real is not None if cache is None else cache.padded
    unlimited = window is None or window >= end
    if not padded and unlimited and (start == 0 or length == 1):
        return None
    key_positions = positions if cache is None else cache.positions[:, :end]
    key_real = real if cache is None else cache.real[:, :end]
    query_slot = torch.arange(start, end, device=positions.device)[:, None]
    key_slot = torch.arange(end, device=positions.device)[None, :]
    allowed = (
        (key_slot <= query_slot)[None]
        if config.causal
        else torch.ones_like(key_slot <= query_slot)[None]
    )
    if not unlimited:
        allowed = allowed & (positions[:, :, None] - key_positions[:, None, :] < window)
    if padded and key_real is not None:
        allowed = (allowed & key_real[:, None, :]) | (key_slot == query_slot)[None]
    return allowed[:, None]


def rotary_angles(
    config: ModelConfig, positions: Tensor, theta: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of each position's angles [batch, 1, pos, rotary_dims], computed in float64
    (RoFormer, sec. 3.2). The first half's sines are negative: that is the sign with which a pair's
    first dimension receives its second."""
    dims = config.d_head if config.rotary_dims is None else config.rotary_dims
    steps = torch.arange(0, dims, 2, dtype=torch.float64, device=positions.device)
    frequencies = theta ** (-steps / dims)
    if config.rope_scaling is not None and theta == config.rope_theta:
        frequencies = stretch(frequencies, config.rope_scaling)
    angles = positions[:, None, :, None].double() * frequencies
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([cos, cos], dim=-1).to(dtype), torch.cat([-sin, sin], dim=-1).to(dtype)


def stretch(frequencies: Tensor, scaling: RopeScaling) -> Tensor:
    """Rotary frequencies for contexts longer than the model was first trained on (Llama 3 report,
    section 3.4.3)."""
    if scaling.kind == "linear":
        return frequencies / scaling.factor
    turns_in_context = scaling.original_context * frequencies / (2 * math.pi)
    low, high = scaling.low_freq_factor, scaling.high_freq_factor
    blend = ((turns_in_context - low) / (high - low)).clamp(0.0, 1.0)
    return frequencies * (blend + (1.0 - blend) / scaling.factor)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs (i, i + half) of the first rotary dimensions of x [..., d_head] by their angles.

    cos and sin are those of `rotary_angles`, of any shape that spreads over x; with -sin the
    rotation is undone.
    """
    dims = cos.shape[-1]
    turning = x if dims == x.shape[-1] else x[..., :dims]
    # Rolled by half, each dimension stands where its partner stood.
    turned = torch.addcmul(turning * cos, turning.roll(dims // 2, -1), sin)
    return turned if dims == x.shape[-1] else torch.cat([turned, x[..., dims:]], dim=-1)
