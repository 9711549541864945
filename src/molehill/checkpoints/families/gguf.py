"""The architectures that a GGUF file may hold: its own names for sizes and tensors.

A GGUF file says its sizes in its metadata, and leaves some of them to the reader (whether the head
is tied, whether projections have biases, which layers have a window); those are read off the list
of tensors or are the architecture's own. Two things are stored differently than elsewhere: llama's
query and key rows, with the halves of a rotation alternating, and Gemma's gains, with 1 added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from molehill.checkpoints.families.family import Family, Layout, Row, in_blocks, linear_rows
from molehill.checkpoints.families.family import norm_rows as _norm_rows
from molehill.checkpoints.families.fields import Fields
from molehill.checkpoints.source import TensorSource
from molehill.errors import CheckpointError, ConfigError
from molehill.model import ModelConfig, RopeScaling
from molehill.model.scene import stretch

__all__ = ["GGUF_FAMILIES", "GgufHeader", "read_gguf_config"]


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of its model before any weight is read."""

    fields: Fields
    """Its metadata; names that belong to the architecture without their prefix."""
    source: TensorSource

    @classmethod
    def of(cls, source: TensorSource) -> GgufHeader:
        """Sort a file's metadata."""
        prefix = f"{source.metadata.get('general.architecture')}."
        values = {
            name.removeprefix(prefix): value
            for name, value in source.metadata.items()
            if name.startswith((prefix, "general."))
        }
        return cls(Fields(values, "The GGUF file's metadata"), source)

    def has(self, name: str) -> bool:
        """Whether the file holds a tensor of that name."""
        return name in self.source.tensors

    @property
    def d_vocab(self) -> int:
        """Rows of the token table: the file's own count, for want of a field in older files."""
        table = self.source.tensors.get("token_embd.weight")
        return self.fields.size("vocab_size") if table is None else table.shape[0]


def _sizes(header: GgufHeader) -> dict[str, Any]:
    fields = header.fields
    d_model = fields.size("embedding_length")
    n_heads = fields.size("attention.head_count")
    return {
        "n_layers": fields.layers("block_count"),
        "d_model": d_model,
        "n_heads": n_heads,
        "n_kv_heads": fields.size("attention.head_count_kv", default=n_heads),
        "d_head": fields.head_width(d_model, n_heads, "attention.key_length"),
        "d_mlp": fields.size("feed_forward_length"),
        "d_vocab": header.d_vocab,
        "n_ctx": fields.size("context_length"),
        "tied": not header.has("output.weight"),
        "qkv_bias": header.has("blk.0.attn_q.bias") or header.has("blk.0.attn_qkv.bias"),
        "attn_out_bias": header.has("blk.0.attn_output.bias"),
        "mlp_bias": header.has("blk.0.ffn_down.bias"),
    }


def _rotary(header: GgufHeader) -> dict[str, Any]:
    fields = header.fields
    return {
        **_sizes(header),
        "activation": "silu",
        "gated": True,
        "norm": "rms",
        "norm_eps": fields.number("attention.layer_norm_rms_epsilon"),
        "positions": "rotary",
        "rotary_dims": fields.size_or_none("rope.dimension_count"),
        "rope_theta": fields.number("rope.freq_base", default=10_000.0),
        "rope_scaling": _scaling(header),
        "qk_norm": header.has("blk.0.attn_q_norm.weight"),
    }


def _scaling(header: GgufHeader) -> RopeScaling | None:
    fields = header.fields
    if header.has("rope_freqs.weight"):
        return _llama3_scaling(header)
    kind = fields.text("rope.scaling.type", default="none")
    if kind == "none":
        return None
    fields.must("rope.scaling.type", "linear", default="none")
    return RopeScaling("linear", fields.number("rope.scaling.factor"))


def _llama3_scaling(header: GgufHeader) -> RopeScaling:
    """Llama 3's rule is stored as what each frequency is divided by; only its one published choice
    of thresholds is met in files, and that is checked."""
    divisors = header.source.read("rope_freqs.weight", torch.float64)
    scaling = RopeScaling("llama3", float(divisors.max()))
    theta = header.fields.number("rope.freq_base", default=10_000.0)
    plain = theta ** (-torch.arange(len(divisors), dtype=torch.float64) / len(divisors))
    if not torch.allclose(plain / stretch(plain, scaling), divisors, rtol=1e-4):
        raise ConfigError(
            "The GGUF file's rope_freqs.weight is not Llama 3's rule with thresholds 1 and 4 over "
            "8192 tokens; other ways of stretching rotary positions are not supported."
        )
    return scaling


def _llama(header: GgufHeader) -> ModelConfig:
    return ModelConfig(**_rotary(header))


def _gpt2(header: GgufHeader) -> ModelConfig:
    return ModelConfig(
        **_sizes(header),
        activation="gelu_tanh",
        norm_eps=header.fields.number("attention.layer_norm_epsilon"),
    )


def _gemma(header: GgufHeader, largest: int, pattern: int, window: int) -> dict[str, Any]:
    """What Gemma 2 and 3 have in common; every `pattern`th layer sees all of the text.

    The score's scale is in no field: it is the width of a head, but in the largest model of the
    generation (told by its `largest` number of layers) the model's width over its heads.
    """
    sizes = _rotary(header)
    wide = sizes["n_layers"] == largest
    width = sizes["d_model"] / sizes["n_heads"] if wide else sizes["d_head"]
    return {
        **sizes,
        "activation": "gelu_tanh",
        "norm_place": "sandwich",
        "norm_offset": 1.0,
        "embed_scale": math.sqrt(sizes["d_model"]),
        "attn_scale": width**-0.5,
        "attn_softcap": header.fields.number_or_none("attn_logit_softcapping"),
        "final_softcap": header.fields.number_or_none("final_logit_softcapping"),
        "window": header.fields.size("attention.sliding_window", default=window),
        "windowed_layers": tuple(
            layer for layer in range(sizes["n_layers"]) if (layer + 1) % pattern
        ),
    }


def _gemma2(header: GgufHeader) -> ModelConfig:
    return ModelConfig(**_gemma(header, largest=46, pattern=2, window=4096))


def _gemma3(header: GgufHeader) -> ModelConfig:
    base = header.fields.number("rope.freq_base_swa", default=10_000.0)
    pattern = header.fields.size("attention.sliding_window_pattern", default=6)
    common = _gemma(header, largest=62, pattern=pattern, window=1024)
    return ModelConfig(**common, rope_theta_windowed=base)


def _rows(
    layout: Layout = "same", shift: float = 0.0, *, sandwich: bool = False
) -> tuple[Row, ...]:
    """The table of a GGUF architecture; they differ in little."""

    def norm(ours: str, theirs: str) -> tuple[Row, Row]:
        return _norm_rows(ours, theirs, shift)

    norms = [norm("norm1", "attn_norm"), norm("norm2", "ffn_norm")]
    if sandwich:
        norms += [norm("norm1_post", "post_attention_norm"), norm("norm2_post", "post_ffw_norm")]
    return (
        Row("w_token", "token_embd.weight"),
        Row("w_pos", "position_embd.weight"),
        *in_blocks(
            "blk.{i}.",
            *norms,
            linear_rows("attn.w_qkv", "attn_q", "q", layout),
            linear_rows("attn.w_qkv", "attn_k", "k", layout),
            linear_rows("attn.w_qkv", "attn_v", "v"),
            norm("attn.q_norm", "attn_q_norm"),
            norm("attn.k_norm", "attn_k_norm"),
            linear_rows("attn.w_out", "attn_output"),
            linear_rows("mlp.w_in", "ffn_gate", "gate"),
            linear_rows("mlp.w_in", "ffn_up", "up"),
            linear_rows("mlp.w_out", "ffn_down"),
        ),
        *norm("final_norm", "output_norm"),
        Row("w_unembed", "output.weight"),
    )


_GPT2_ROWS = (
    Row("w_token", "token_embd.weight"),
    Row("w_pos", "position_embd.weight"),
    *in_blocks(
        "blk.{i}.",
        _norm_rows("norm1", "attn_norm"),
        _norm_rows("norm2", "ffn_norm"),
        linear_rows("attn.w_qkv", "attn_qkv"),
        linear_rows("attn.w_out", "attn_output"),
        linear_rows("mlp.w_in", "ffn_up"),
        linear_rows("mlp.w_out", "ffn_down"),
    ),
    *_norm_rows("final_norm", "output_norm"),
    Row("w_unembed", "output.weight"),
)

_READERS: dict[str, Callable[[GgufHeader], ModelConfig]] = {
    "llama": _llama,
    "qwen2": _llama,
    "qwen3": _llama,
    "gemma2": _gemma2,
    "gemma3": _gemma3,
    "gpt2": _gpt2,
}
_TABLES = {
    "llama": _rows("interleaved"),
    "qwen2": _rows(),
    "qwen3": _rows(),
    "gemma2": _rows(shift=1.0, sandwich=True),
    "gemma3": _rows(shift=1.0, sandwich=True),
    "gpt2": _GPT2_ROWS,
}

GGUF_FAMILIES = {
    name: Family(name=name, rows=rows, ignored=(r"rope_freqs\.weight",))
    for name, rows in _TABLES.items()
}


def read_gguf_config(source: TensorSource) -> tuple[Family, ModelConfig]:
    """The family and the configuration of the model in a GGUF file.

    Raises:
        CheckpointError: an architecture that is not supported.
        ConfigError: metadata that is missing, out of bounds or contradictory.
    """
    name = source.metadata.get("general.architecture")
    if name not in _READERS:
        raise CheckpointError(
            f"The GGUF file holds a model of architecture {str(name)[:40]!r}; supported are "
            f"{', '.join(_READERS)}."
        )
    return GGUF_FAMILIES[name], _READERS[name](GgufHeader.of(source))
