"""Llama (SmolLM2 too) and Mistral: RMS norms, rotary positions, grouped heads, gated MLP.

Mistral adds a sliding window to every layer. `llama_fields` and `LLAMA_BLOCK` are what the families
that descend from Llama share.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from molehill.checkpoints.families.family import Family, Row, in_blocks, linear_rows, norm_rows
from molehill.checkpoints.families.fields import Fields, read_rope, write_activation, write_rope
from molehill.model import ModelConfig

__all__ = [
    "LLAMA",
    "LLAMA_ATTENTION",
    "LLAMA_COPIES",
    "LLAMA_ENDS",
    "LLAMA_IGNORED",
    "LLAMA_MLP",
    "MISTRAL",
    "llama_fields",
    "windows_from",
    "write_llama_fields",
]


def llama_fields(fields: Fields, *, default_theta: float = 10_000.0) -> dict[str, Any]:
    """The part of a ModelConfig that all of Llama's descendants say in the same words."""
    d_model = fields.size("hidden_size")
    n_heads = fields.size("num_attention_heads")
    n_ctx = fields.size("max_position_embeddings", default=2048)
    d_head = fields.head_width(d_model, n_heads, "head_dim")
    theta, scaling, share = read_rope(fields, default_theta=default_theta, default_context=n_ctx)
    return {
        "n_layers": fields.layers("num_hidden_layers"),
        "d_model": d_model,
        "n_heads": n_heads,
        "n_kv_heads": fields.size("num_key_value_heads", default=n_heads),
        "d_head": d_head,
        "d_mlp": fields.size("intermediate_size"),
        "d_vocab": fields.size("vocab_size"),
        "n_ctx": n_ctx,
        "activation": fields.activation("hidden_act", "hidden_activation", default="silu"),
        "gated": True,
        "norm": "rms",
        "norm_eps": fields.number("rms_norm_eps", default=1e-6),
        "positions": "rotary",
        "rotary_dims": None if share is None else int(d_head * share),
        "rope_theta": theta,
        "rope_scaling": scaling,
        "tied": fields.flag("tie_word_embeddings", default=False),
    }


def write_llama_fields(config: ModelConfig, model_type: str) -> dict[str, Any]:
    """The inverse of `llama_fields`, in both dialects of rotary fields."""
    rope = write_rope(config.rope_theta, config.rope_scaling)
    return {
        "model_type": model_type,
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.d_head,
        "intermediate_size": config.d_mlp,
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_act": write_activation(config.activation),
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": None if config.rope_scaling is None else rope,
        "rope_parameters": rope,
        "tie_word_embeddings": config.tied,
    }


def windows_from(fields: Fields, n_layers: int, windowed: list[int]) -> dict[str, Any]:
    """The window and the layers that have it: as `layer_types` lists them, else `windowed`."""
    kinds = fields.layer_types(n_layers)
    if kinds is not None:
        windowed = [layer for layer, kind in enumerate(kinds) if kind == "sliding_attention"]
    if not windowed:
        return {}
    return {"window": fields.size("sliding_window"), "windowed_layers": tuple(windowed)}


LLAMA_ATTENTION = (
    *linear_rows("attn.w_qkv", "self_attn.q_proj", "q"),
    *linear_rows("attn.w_qkv", "self_attn.k_proj", "k"),
    *linear_rows("attn.w_qkv", "self_attn.v_proj", "v"),
    *linear_rows("attn.w_out", "self_attn.o_proj"),
    *norm_rows("attn.q_norm", "self_attn.q_norm"),
    *norm_rows("attn.k_norm", "self_attn.k_norm"),
)
LLAMA_MLP = (
    *linear_rows("mlp.w_in", "mlp.gate_proj", "gate"),
    *linear_rows("mlp.w_in", "mlp.up_proj", "up"),
    *linear_rows("mlp.w_out", "mlp.down_proj"),
)
LLAMA_ENDS = (
    Row("w_token", "embed_tokens.weight"),
    *norm_rows("final_norm", "norm"),
    Row("w_unembed", "lm_head.weight", body=False),
)
_BLOCKS = in_blocks(
    "layers.{i}.",
    norm_rows("norm1", "input_layernorm"),
    LLAMA_ATTENTION,
    norm_rows("norm2", "post_attention_layernorm"),
    LLAMA_MLP,
)
LLAMA_IGNORED = (r"(layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq",)
LLAMA_COPIES = (("lm_head.weight", "embed_tokens.weight"),)


def _read_llama(fields: Fields) -> ModelConfig:
    bias = fields.flag("attention_bias", default=False)
    return ModelConfig(
        **llama_fields(fields),
        qkv_bias=bias,
        attn_out_bias=bias,
        mlp_bias=fields.flag("mlp_bias", default=False),
    )


def _write_llama(config: ModelConfig) -> dict[str, Any]:
    return {
        **write_llama_fields(config, "llama"),
        "attention_bias": config.qkv_bias,
        "mlp_bias": config.mlp_bias,
    }


def _read_mistral(fields: Fields) -> ModelConfig:
    # Absent is 4096, as for the first Mistral; null is no window.
    fields = fields.with_defaults({"sliding_window": 4096})
    config = ModelConfig(**llama_fields(fields))
    if fields.get("sliding_window") is None:
        return config
    every = tuple(range(config.n_layers))
    return replace(config, window=fields.size("sliding_window"), windowed_layers=every)


def _write_mistral(config: ModelConfig) -> dict[str, Any]:
    window = config.window if config.windowed_layers else None
    return {**write_llama_fields(config, "mistral"), "sliding_window": window}


LLAMA = Family(
    name="llama",
    config_from=_read_llama,
    config_to=_write_llama,
    with_head="LlamaForCausalLM",
    without_head="LlamaModel",
    prefix="model.",
    rows=LLAMA_ENDS + _BLOCKS,
    ignored=LLAMA_IGNORED,
    copies=LLAMA_COPIES,
)
MISTRAL = Family(
    name="mistral",
    config_from=_read_mistral,
    config_to=_write_mistral,
    with_head="MistralForCausalLM",
    without_head="MistralModel",
    prefix="model.",
    rows=LLAMA_ENDS + _BLOCKS,
    ignored=LLAMA_IGNORED,
    copies=LLAMA_COPIES,
)
