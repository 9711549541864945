"""Gemma 2 and Gemma 3: norms on both sides of attention and MLP, local and global layers in turn.

Gains are stored less 1, token vectors are multiplied by the root of their width, and scores have a
scale of their own. Gemma 2 caps scores and logits softly; Gemma 3 has norms on queries and keys and
a rotary base of its own in the local layers. A Gemma 3 that sees pictures keeps its language model
under `text_config` and under a longer prefix; its eyes are left out.
"""

from __future__ import annotations

import math
from typing import Any

from molehill.checkpoints.families.family import Family, in_blocks, norm_rows
from molehill.checkpoints.families.fields import Fields, read_rope, write_activation, write_rope
from molehill.checkpoints.families.llama import (
    LLAMA_ATTENTION,
    LLAMA_COPIES,
    LLAMA_ENDS,
    LLAMA_IGNORED,
    LLAMA_MLP,
    llama_fields,
    windows_from,
    write_llama_fields,
)
from molehill.errors import ConfigError
from molehill.model import ModelConfig

__all__ = ["GEMMA2", "GEMMA3"]

# The configs of published Gemma 3 models leave out what is at its default.
_GEMMA3_DEFAULTS = {
    "vocab_size": 262_208,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 131_072,
}
_GEMMA2_DEFAULTS = {"num_key_value_heads": 4, "head_dim": 256, "max_position_embeddings": 8192}


def _common(fields: Fields, pattern: int, default_theta: float) -> dict[str, Any]:
    """What both generations share; every `pattern`th layer sees all of the text."""
    if fields.get("use_bidirectional_attention"):
        raise ConfigError(
            f"{fields.where}: use_bidirectional_attention is set, and Gemma is only supported as a "
            "causal model."
        )
    common = llama_fields(fields, default_theta=default_theta)
    bias = fields.flag("attention_bias", default=False)
    local = [layer for layer in range(common["n_layers"]) if (layer + 1) % pattern]
    return {
        **common,
        **windows_from(fields, common["n_layers"], local),
        "attn_scale": fields.number("query_pre_attn_scalar", default=256) ** -0.5,
        "attn_softcap": fields.number_or_none("attn_logit_softcapping"),
        "final_softcap": fields.number_or_none("final_logit_softcapping"),
        "activation": fields.activation("hidden_activation", default="gelu_pytorch_tanh"),
        "qkv_bias": bias,
        "attn_out_bias": bias,
        "norm_place": "sandwich",
        "norm_offset": 1.0,
        "embed_scale": math.sqrt(common["d_model"]),
        "tied": fields.flag("tie_word_embeddings", default=True),
    }


def _write_common(config: ModelConfig, model_type: str) -> dict[str, Any]:
    written = write_llama_fields(config, model_type)
    scalar = config.score_scale**-2
    if math.isclose(scalar, round(scalar), rel_tol=1e-12):
        scalar = round(scalar)  # what transformers accepts; another one is refused further on
    return {
        **written,
        "hidden_activation": write_activation(config.activation),
        "query_pre_attn_scalar": scalar,
        "attn_logit_softcapping": config.attn_softcap,
        "final_logit_softcapping": config.final_softcap,
        "attention_bias": config.qkv_bias,
        "sliding_window": config.window,
        "layer_types": [
            "sliding_attention" if layer in config.windowed_layers else "full_attention"
            for layer in range(config.n_layers)
        ],
    }


def _read_gemma2(fields: Fields) -> ModelConfig:
    # Absent caps are at their defaults; null is no cap.
    defaults = {
        **_GEMMA2_DEFAULTS,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        "sliding_window": 4096,
    }
    return ModelConfig(**_common(fields.with_defaults(defaults), 2, 10_000.0))


def _write_gemma2(config: ModelConfig) -> dict[str, Any]:
    return _write_common(config, "gemma2")


def _read_gemma3(fields: Fields) -> ModelConfig:
    # In a model that also sees, the head's tying may be said outside.
    if fields.get("text_config") is not None:
        own = fields.part("text_config")
        outer = {
            name: fields.values[name] for name in ("tie_word_embeddings",) if name in fields.values
        }
        fields = Fields({**outer, **own.values}, own.where)
    fields = fields.with_defaults({**_GEMMA3_DEFAULTS, "sliding_window": 4096})
    pattern = fields.size("sliding_window_pattern", "_sliding_window_pattern", default=6)
    common = _common(fields, pattern, 1_000_000.0)
    theta, scaling, _ = read_rope(
        fields,
        default_theta=1_000_000.0,
        default_context=common["n_ctx"],
        layer_type="full_attention",
    )
    local = _local_theta(fields)
    if scaling is not None and local == theta:
        raise ConfigError(
            f"{fields.where}: local and global layers share the rotary base {theta}, and only the "
            "global ones are stretched; that is not supported."
        )
    common |= {"rope_theta": theta, "rope_scaling": scaling}
    return ModelConfig(**common, rope_theta_windowed=local, qk_norm=True)


def _local_theta(fields: Fields) -> float:
    top = fields.number("rope_local_base_freq", default=10_000.0)
    own = fields.part("rope_parameters").part("sliding_attention")
    own.must("rope_type", "default", default="default")
    return own.number("rope_theta", default=top)


def _write_gemma3(config: ModelConfig) -> dict[str, Any]:
    local = config.rope_theta if config.rope_theta_windowed is None else config.rope_theta_windowed
    return {
        **_write_common(config, "gemma3_text"),
        "rope_local_base_freq": local,
        "rope_parameters": {
            "full_attention": write_rope(config.rope_theta, config.rope_scaling),
            "sliding_attention": write_rope(local, None),
        },
    }


_ROWS = LLAMA_ENDS + in_blocks(
    "layers.{i}.",
    norm_rows("norm1", "input_layernorm"),
    LLAMA_ATTENTION,
    norm_rows("norm1_post", "post_attention_layernorm"),
    norm_rows("norm2", "pre_feedforward_layernorm"),
    LLAMA_MLP,
    norm_rows("norm2_post", "post_feedforward_layernorm"),
)

GEMMA2 = Family(
    name="gemma2",
    config_from=_read_gemma2,
    config_to=_write_gemma2,
    with_head="Gemma2ForCausalLM",
    without_head="Gemma2Model",
    prefix="model.",
    rows=_ROWS,
    ignored=LLAMA_IGNORED,
    copies=LLAMA_COPIES,
)
GEMMA3 = Family(
    name="gemma3_text",
    config_from=_read_gemma3,
    config_to=_write_gemma3,
    with_head="Gemma3ForCausalLM",
    without_head="Gemma3TextModel",
    prefix="model.",
    other_prefixes=("language_model.model.", "model.language_model.", "language_model."),
    rows=_ROWS,
    ignored=(
        *LLAMA_IGNORED,
        r"(model\.)?(vision_tower|multi_modal_projector)\..*",
        r"(vision_tower|multi_modal_projector)\..*",
    ),
    copies=LLAMA_COPIES,
)
