"""BERT and RoBERTa: bidirectional, norms after attention and MLP, a head for masked words.

MiniLM is a BERT that was saved without its head and without a prefix. RoBERTa's position table has
rows before position 0, as many as the padding token's id and one. BERT's pooler and its guess
whether one sentence follows another do not help to predict words and are left out.
"""

from __future__ import annotations

from typing import Any

from molehill.checkpoints.families.family import Family, Row, in_blocks, linear_rows, norm_rows
from molehill.checkpoints.families.fields import Fields, write_activation
from molehill.errors import ConfigError
from molehill.model import ModelConfig

__all__ = ["BERT", "ROBERTA"]


def _common(fields: Fields) -> dict[str, Any]:
    fields.must("position_embedding_type", "absolute", default="absolute")
    fields.must("is_decoder", False, default=False)
    fields.must("add_cross_attention", False, default=False)
    d_model = fields.size("hidden_size")
    n_heads = fields.size("num_attention_heads")
    return {
        "n_layers": fields.layers("num_hidden_layers"),
        "d_model": d_model,
        "n_heads": n_heads,
        "d_head": fields.head_width(d_model, n_heads),
        "d_mlp": fields.size("intermediate_size"),
        "d_vocab": fields.size("vocab_size"),
        "n_ctx": fields.size("max_position_embeddings", default=512),
        "causal": False,
        "qkv_bias": True,
        "attn_out_bias": True,
        "activation": fields.activation("hidden_act", default="gelu"),
        "mlp_bias": True,
        "norm_place": "post",
        "norm_eps": fields.number("layer_norm_eps", default=1e-12),
        "final_norm": False,
        "embed_norm": True,
        "token_types": fields.size("type_vocab_size", default=2),
        "tied": fields.flag("tie_word_embeddings", default=True),
        "unembed_bias": True,
        "head_transform": True,
    }


def _write_common(config: ModelConfig, model_type: str) -> dict[str, Any]:
    return {
        "model_type": model_type,
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "num_attention_heads": config.n_heads,
        "intermediate_size": config.d_mlp,
        "vocab_size": config.d_vocab,
        "max_position_embeddings": config.n_ctx,
        "hidden_act": write_activation(config.activation),
        "layer_norm_eps": config.norm_eps,
        # There is always a row; of a model without one, this is what it would lose.
        "type_vocab_size": max(config.token_types, 1),
        "position_embedding_type": "absolute",
        "tie_word_embeddings": config.tied,
    }


def _read_bert(fields: Fields) -> ModelConfig:
    return ModelConfig(**_common(fields))


def _write_bert(config: ModelConfig) -> dict[str, Any]:
    return _write_common(config, "bert")


def _read_roberta(fields: Fields) -> ModelConfig:
    common = _common(fields)
    pad = fields.size("pad_token_id", default=1, least=0)
    rows = common.pop("n_ctx")
    if rows <= pad + 1:
        raise ConfigError(
            f"{fields.where}: max_position_embeddings is {rows}, which leaves no position after "
            f"the {pad + 1} that stand before the first."
        )
    if common["activation"] != "gelu":
        raise ConfigError(
            f"{fields.where}: hidden_act is {fields.get('hidden_act')!r:.40}; RoBERTa's head "
            "always has gelu, and only the same in the MLPs is supported."
        )
    return ModelConfig(**common, n_ctx=rows - pad - 1, position_offset=pad + 1)


def _write_roberta(config: ModelConfig) -> dict[str, Any]:
    before = max(config.position_offset, 1)
    return {
        **_write_common(config, "roberta"),
        "max_position_embeddings": config.n_ctx + before,
        # Not only a token's id: what positions are counted from.
        "pad_token_id": before - 1,
    }


_BODY = (
    Row("w_token", "embeddings.word_embeddings.weight"),
    Row("w_pos", "embeddings.position_embeddings.weight"),
    Row("w_type", "embeddings.token_type_embeddings.weight"),
    *norm_rows("embed_norm", "embeddings.LayerNorm"),
    *in_blocks(
        "encoder.layer.{i}.",
        linear_rows("attn.w_qkv", "attention.self.query", "q"),
        linear_rows("attn.w_qkv", "attention.self.key", "k"),
        linear_rows("attn.w_qkv", "attention.self.value", "v"),
        linear_rows("attn.w_out", "attention.output.dense"),
        norm_rows("norm1", "attention.output.LayerNorm"),
        linear_rows("mlp.w_in", "intermediate.dense"),
        linear_rows("mlp.w_out", "output.dense"),
        norm_rows("norm2", "output.LayerNorm"),
    ),
)
_IGNORED = (r"embeddings\.(position_ids|token_type_ids)", r"pooler\..*")
_OLD_NORMS = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
_TABLE = "embeddings.word_embeddings.weight"


def _head(dense: str, norm: str, bias: str, decoder: str) -> tuple[Row, ...]:
    return (
        Row("w_head", f"{dense}.weight", body=False),
        Row("b_head", f"{dense}.bias", body=False),
        Row("head_norm.gain", f"{norm}.weight", body=False),
        Row("head_norm.bias", f"{norm}.bias", body=False),
        Row("b_unembed", bias, body=False),
        Row("w_unembed", f"{decoder}.weight", body=False),
    )


BERT = Family(
    name="bert",
    config_from=_read_bert,
    config_to=_write_bert,
    with_head="BertForMaskedLM",
    without_head="BertModel",
    prefix="bert.",
    rows=_BODY
    + _head(
        "cls.predictions.transform.dense",
        "cls.predictions.transform.LayerNorm",
        "cls.predictions.bias",
        "cls.predictions.decoder",
    ),
    ignored=(*_IGNORED, r"cls\.seq_relationship\..*"),
    copies=(
        ("cls.predictions.decoder.weight", _TABLE),
        ("cls.predictions.decoder.bias", "cls.predictions.bias"),
    ),
    renamed=_OLD_NORMS,
)
ROBERTA = Family(
    name="roberta",
    config_from=_read_roberta,
    config_to=_write_roberta,
    with_head="RobertaForMaskedLM",
    without_head="RobertaModel",
    prefix="roberta.",
    rows=_BODY + _head("lm_head.dense", "lm_head.layer_norm", "lm_head.bias", "lm_head.decoder"),
    ignored=_IGNORED,
    copies=(("lm_head.decoder.weight", _TABLE), ("lm_head.decoder.bias", "lm_head.bias")),
    renamed=_OLD_NORMS,
)
