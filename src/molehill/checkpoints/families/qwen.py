"""Qwen 2 and Qwen 3: Llama with biases on queries, keys and values, or with norms on queries and
keys."""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family
from molehill.checkpoints.families.fields import Fields
from molehill.checkpoints.families.llama import (
    LLAMA,
    llama_fields,
    windows_from,
    write_llama_fields,
)
from molehill.model import ModelConfig

__all__ = ["QWEN2", "QWEN3"]


def _windows(fields: Fields, n_layers: int) -> dict[str, Any]:
    fields = fields.with_defaults({"sliding_window": 4096})
    if not fields.flag("use_sliding_window", default=False) or not fields.get("sliding_window"):
        return {}
    first = fields.size("max_window_layers", default=28, least=0)
    return windows_from(fields, n_layers, list(range(min(first, n_layers), n_layers)))


def _write_windows(config: ModelConfig) -> dict[str, Any]:
    windowed = config.windowed_layers
    return {
        "use_sliding_window": bool(windowed),
        "sliding_window": config.window if windowed else None,
        "max_window_layers": min(windowed, default=config.n_layers),
        "layer_types": [
            "sliding_attention" if layer in windowed else "full_attention"
            for layer in range(config.n_layers)
        ],
    }


def _read_qwen2(fields: Fields) -> ModelConfig:
    common = llama_fields(fields)
    return ModelConfig(**common, **_windows(fields, common["n_layers"]), qkv_bias=True)


def _write_qwen2(config: ModelConfig) -> dict[str, Any]:
    return {**write_llama_fields(config, "qwen2"), **_write_windows(config)}


def _read_qwen3(fields: Fields) -> ModelConfig:
    # Its heads have a width of their own, which is 128 where nothing is said.
    common = llama_fields(fields.with_defaults({"head_dim": 128}))
    bias = fields.flag("attention_bias", default=False)
    windows = _windows(fields, common["n_layers"])
    return ModelConfig(**common, **windows, qk_norm=True, qkv_bias=bias, attn_out_bias=bias)


def _write_qwen3(config: ModelConfig) -> dict[str, Any]:
    return {
        **write_llama_fields(config, "qwen3"),
        **_write_windows(config),
        "attention_bias": config.qkv_bias,
    }


QWEN2 = Family(
    name="qwen2",
    config_from=_read_qwen2,
    config_to=_write_qwen2,
    with_head="Qwen2ForCausalLM",
    without_head="Qwen2Model",
    prefix=LLAMA.prefix,
    rows=LLAMA.rows,
    ignored=LLAMA.ignored,
    copies=LLAMA.copies,
)
QWEN3 = Family(
    name="qwen3",
    config_from=_read_qwen3,
    config_to=_write_qwen3,
    with_head="Qwen3ForCausalLM",
    without_head="Qwen3Model",
    prefix=LLAMA.prefix,
    rows=LLAMA.rows,
    ignored=LLAMA.ignored,
    copies=LLAMA.copies,
)
