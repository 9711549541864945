"""Models by name: a block's form and a size, and what either may be changed to.

    notes   the notes' block: attention and a ReLU MLP are added, one layer norm ends the block
    gpt2    layer norm before attention and before a GELU MLP, learned positions, biases
    llama   RMS norm before both, rotary positions, a gated SiLU MLP, no biases

A size says layers, heads and width; the rest follows from the form. This module knows
configurations, and nothing of weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

from molehill.errors import ConfigError
from molehill.model import ModelConfig

__all__ = ["Preset", "Size", "preset_config"]

Preset = Literal["notes", "gpt2", "llama"]
Size = Literal["tiny", "1m", "3m", "10m", "30m", "125m", "350m"]

_FORMS: dict[str, dict[str, Any]] = {
    # The MLP has biases: with ReLU a bias is the threshold that a row's match has to pass.
    "notes": {
        "norm_place": "block_end",
        "final_norm": False,
        "activation": "relu",
        "mlp_bias": True,
    },
    "gpt2": {
        "activation": "gelu_tanh",
        "qkv_bias": True,
        "attn_out_bias": True,
        "mlp_bias": True,
    },
    "llama": {
        "norm": "rms",
        "positions": "rotary",
        "activation": "silu",
        "gated": True,
    },
}

# Layers, width, heads. The name says about how many parameters the blocks have with an MLP four
# times as wide as the stream; `125m` and `350m` count GPT-2's vocabulary too, as everybody does.
_SIZES: dict[str, tuple[int, int, int]] = {
    "tiny": (2, 64, 2),
    "1m": (5, 128, 4),
    "3m": (4, 256, 4),
    "10m": (6, 384, 6),
    "30m": (10, 512, 8),
    "125m": (12, 768, 12),
    "350m": (24, 1024, 16),
}


def preset_config(
    preset: str, size: str, *, d_vocab: int, n_ctx: int, changes: Mapping[str, Any] | None = None
) -> ModelConfig:
    """The configuration of a form in a size.

    Args:
        preset: a name of `Preset`.
        size: a name of `Size`.
        d_vocab: tokens in the vocabulary.
        n_ctx: the longest text, in tokens.
        changes: fields of `ModelConfig` that shall be otherwise. Where width or heads change and
            `d_head` or `d_mlp` are not given, these follow.

    Raises:
        ConfigError: an unknown name, or sizes that contradict one another.
    """
    for name, known, kind in ((preset, Preset, "preset"), (size, Size, "size")):
        if name not in get_args(known):
            raise ConfigError(f"There is no {kind} {name!r}; known: {', '.join(get_args(known))}.")
    n_layers, d_model, n_heads = _SIZES[size]
    given = {"n_layers": n_layers, "d_model": d_model, "n_heads": n_heads}
    given |= {"d_vocab": d_vocab, "n_ctx": n_ctx} | _FORMS[preset] | dict(changes or {})
    width, heads = given["d_model"], given["n_heads"]
    if "d_head" not in given:
        if not width or not heads or width % heads:
            raise ConfigError(
                f"d_model {width} is not a multiple of n_heads {heads}: change one of them, or "
                "give d_head."
            )
        given["d_head"] = width // heads
    if "d_mlp" not in given:
        given["d_mlp"] = _mlp_width(width, bool(given.get("gated")))
    return ModelConfig.from_dict(given)


def _mlp_width(d_model: int, gated: bool) -> int:
    """Four times the stream; with a gate two thirds of that, which is as many parameters, rounded
    up to a multiple of 64 (Shazeer 2020)."""
    return -(-8 * d_model // 192) * 64 if gated else 4 * d_model
