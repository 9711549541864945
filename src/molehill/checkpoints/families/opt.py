"""OPT: learned positions (the table's first two rows stand before position 0) and a ReLU MLP.

The 350m model has its norms after attention and MLP, and a token table narrower than its stream,
with a projection on the way in and one on the way out.
"""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family, Row, in_blocks, linear_rows, norm_rows
from molehill.checkpoints.families.fields import Fields, write_activation
from molehill.model import ModelConfig

__all__ = ["OPT"]

_OFFSET = 2


def _read(fields: Fields) -> ModelConfig:
    fields.must("layer_norm_elementwise_affine", True, default=True)
    d_model = fields.size("hidden_size")
    n_heads = fields.size("num_attention_heads")
    d_embed = fields.size("word_embed_proj_dim", default=d_model)
    bias = fields.flag("enable_bias", default=True)
    before = fields.flag("do_layer_norm_before", default=True)
    removed = fields.flag("_remove_final_layer_norm", default=False)
    return ModelConfig(
        n_layers=fields.layers("num_hidden_layers"),
        d_model=d_model,
        n_heads=n_heads,
        d_head=fields.head_width(d_model, n_heads),
        d_mlp=fields.size("ffn_dim"),
        d_vocab=fields.size("vocab_size"),
        n_ctx=fields.size("max_position_embeddings", default=2048),
        qkv_bias=bias,
        attn_out_bias=bias,
        activation=fields.activation("activation_function", default="relu"),
        mlp_bias=bias,
        norm_place="pre" if before else "post",
        final_norm=before and not removed,
        position_offset=_OFFSET,
        d_embed=None if d_embed == d_model else d_embed,
        tied=fields.flag("tie_word_embeddings", default=True),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    return {
        "model_type": "opt",
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "num_attention_heads": config.n_heads,
        "ffn_dim": config.d_mlp,
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "word_embed_proj_dim": config.token_width,
        "enable_bias": config.mlp_bias,
        "activation_function": write_activation(config.activation),
        "do_layer_norm_before": config.norm_place == "pre",
        "_remove_final_layer_norm": config.norm_place == "pre" and not config.final_norm,
        "tie_word_embeddings": config.tied,
    }


OPT = Family(
    name="opt",
    config_from=_read,
    config_to=_write,
    with_head="OPTForCausalLM",
    without_head="OPTModel",
    prefix="model.decoder.",
    headless_prefix="decoder.",
    rows=(
        Row("w_token", "embed_tokens.weight"),
        Row("w_pos", "embed_positions.weight"),
        Row("w_embed_in", "project_in.weight"),
        Row("w_embed_out", "project_out.weight"),
        *in_blocks(
            "layers.{i}.",
            norm_rows("norm1", "self_attn_layer_norm"),
            linear_rows("attn.w_qkv", "self_attn.q_proj", "q"),
            linear_rows("attn.w_qkv", "self_attn.k_proj", "k"),
            linear_rows("attn.w_qkv", "self_attn.v_proj", "v"),
            linear_rows("attn.w_out", "self_attn.out_proj"),
            norm_rows("norm2", "final_layer_norm"),
            linear_rows("mlp.w_in", "fc1"),
            linear_rows("mlp.w_out", "fc2"),
        ),
        *norm_rows("final_norm", "final_layer_norm"),
        Row("w_unembed", "lm_head.weight", body=False),
    ),
    copies=(("lm_head.weight", "embed_tokens.weight"),),
)
