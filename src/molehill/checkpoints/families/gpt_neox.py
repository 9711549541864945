"""GPT-NeoX (Pythia): attention and MLP side by side, rotation of a quarter of each head.

Query, key and value rows stand together head by head. The head's name on disk is `embed_out`;
recent versions of transformers know it as `lm_head`.
"""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family, Row, in_blocks, linear_rows, norm_rows
from molehill.checkpoints.families.fields import Fields, read_rope, write_activation, write_rope
from molehill.model import ModelConfig

__all__ = ["GPT_NEOX"]


def _read(fields: Fields) -> ModelConfig:
    d_model = fields.size("hidden_size")
    n_heads = fields.size("num_attention_heads")
    n_ctx = fields.size("max_position_embeddings", default=2048)
    d_head = fields.head_width(d_model, n_heads)
    theta, scaling, share = read_rope(fields, default_theta=10_000.0, default_context=n_ctx)
    share = fields.number("rotary_pct", default=0.25) if share is None else share
    bias = fields.flag("attention_bias", default=True)
    return ModelConfig(
        n_layers=fields.layers("num_hidden_layers"),
        d_model=d_model,
        n_heads=n_heads,
        d_head=d_head,
        d_mlp=fields.size("intermediate_size"),
        d_vocab=fields.size("vocab_size"),
        n_ctx=n_ctx,
        qkv_bias=bias,
        attn_out_bias=bias,
        activation=fields.activation("hidden_act", default="gelu"),
        mlp_bias=True,
        norm_eps=fields.number("layer_norm_eps", default=1e-5),
        parallel=fields.flag("use_parallel_residual", default=True),
        positions="rotary",
        rotary_dims=int(d_head * share),
        rope_theta=theta,
        rope_scaling=scaling,
        tied=fields.flag("tie_word_embeddings", default=False),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    share = (config.rotary_dims or config.d_head) / config.d_head
    rope = write_rope(config.rope_theta, config.rope_scaling) | {"partial_rotary_factor": share}
    return {
        "model_type": "gpt_neox",
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_mlp,
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "attention_bias": config.qkv_bias,
        "hidden_act": write_activation(config.activation),
        "layer_norm_eps": config.norm_eps,
        "use_parallel_residual": config.parallel,
        "rotary_pct": share,
        "rotary_emb_base": config.rope_theta,
        "rope_theta": config.rope_theta,
        "rope_scaling": None if config.rope_scaling is None else rope,
        "rope_parameters": rope,
        "tie_word_embeddings": config.tied,
    }


GPT_NEOX = Family(
    name="gpt_neox",
    config_from=_read,
    config_to=_write,
    with_head="GPTNeoXForCausalLM",
    without_head="GPTNeoXModel",
    prefix="gpt_neox.",
    rows=(
        Row("w_token", "embed_in.weight"),
        *in_blocks(
            "layers.{i}.",
            norm_rows("norm1", "input_layernorm"),
            linear_rows("attn.w_qkv", "attention.query_key_value", layout="by_head"),
            linear_rows("attn.w_out", "attention.dense"),
            norm_rows("norm2", "post_attention_layernorm"),
            linear_rows("mlp.w_in", "mlp.dense_h_to_4h"),
            linear_rows("mlp.w_out", "mlp.dense_4h_to_h"),
        ),
        *norm_rows("final_norm", "final_layer_norm"),
        Row("w_unembed", "embed_out.weight", body=False),
    ),
    renamed={"lm_head.weight": "embed_out.weight"},
    ignored=(
        r"layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq)",
        r"rotary_emb\.inv_freq",
    ),
    copies=(("embed_out.weight", "embed_in.weight"),),
)
