"""GPT-2: learned positions, layer norm before attention and before an MLP with a tanh GELU.

Its matrices are stored [in, out]; queries, keys and values are one matrix. The hub's files have no
`transformer.` prefix and carry the causal triangle as a buffer.
"""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family, Row, in_blocks, linear_rows, norm_rows
from molehill.checkpoints.families.fields import Fields, write_activation
from molehill.model import ModelConfig

__all__ = ["GPT2"]


def _read(fields: Fields) -> ModelConfig:
    fields.must("scale_attn_by_inverse_layer_idx", False, default=False)
    fields.must("add_cross_attention", False, default=False)
    d_model = fields.size("n_embd", "hidden_size")
    n_heads = fields.size("n_head", "num_attention_heads")
    return ModelConfig(
        n_layers=fields.layers("n_layer", "num_hidden_layers"),
        d_model=d_model,
        n_heads=n_heads,
        d_head=fields.head_width(d_model, n_heads),
        d_mlp=fields.size("n_inner", default=4 * d_model),
        d_vocab=fields.size("vocab_size"),
        n_ctx=fields.size("n_positions", "max_position_embeddings", default=1024),
        attn_scale=None if fields.flag("scale_attn_weights", default=True) else 1.0,
        qkv_bias=True,
        attn_out_bias=True,
        activation=fields.activation("activation_function", default="gelu_new"),
        mlp_bias=True,
        norm_eps=fields.number("layer_norm_epsilon", default=1e-5),
        tied=fields.flag("tie_word_embeddings", default=True),
    )


def _write(config: ModelConfig) -> dict[str, Any]:
    return {
        "model_type": "gpt2",
        "n_layer": config.n_layers,
        "n_embd": config.d_model,
        "n_head": config.n_heads,
        "n_inner": config.d_mlp,
        "vocab_size": config.d_vocab,
        "n_positions": config.n_ctx,
        "n_ctx": config.n_ctx,
        "scale_attn_weights": config.score_scale != 1.0,
        "activation_function": write_activation(config.activation),
        "layer_norm_epsilon": config.norm_eps,
        "tie_word_embeddings": config.tied,
        # Ours has no dropout; left out, a tenth would be dropped where it is trained further.
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
    }


GPT2 = Family(
    name="gpt2",
    config_from=_read,
    config_to=_write,
    with_head="GPT2LMHeadModel",
    without_head="GPT2Model",
    prefix="transformer.",
    rows=(
        Row("w_token", "wte.weight"),
        Row("w_pos", "wpe.weight"),
        *in_blocks(
            "h.{i}.",
            norm_rows("norm1", "ln_1"),
            linear_rows("attn.w_qkv", "attn.c_attn", layout="transposed"),
            linear_rows("attn.w_out", "attn.c_proj", layout="transposed"),
            norm_rows("norm2", "ln_2"),
            linear_rows("mlp.w_in", "mlp.c_fc", layout="transposed"),
            linear_rows("mlp.w_out", "mlp.c_proj", layout="transposed"),
        ),
        *norm_rows("final_norm", "ln_f"),
        Row("w_unembed", "lm_head.weight", body=False),
    ),
    ignored=(r"h\.\d+\.attn\.(bias|masked_bias)",),
    copies=(("lm_head.weight", "wte.weight"),),
)
