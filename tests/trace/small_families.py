"""Tiny models of every family, with random weights that leave nothing at zero or one."""

from __future__ import annotations

import torch

from molehill.model import ModelConfig, Transformer

SMALL = {
    "n_layers": 2,
    "d_model": 12,
    "n_heads": 4,
    "d_head": 4,
    "d_mlp": 20,
    "d_vocab": 30,
    "n_ctx": 32,
}
BIASED = {"qkv_bias": True, "attn_out_bias": True, "mlp_bias": True}
ROTARY = {"norm": "rms", "positions": "rotary", "activation": "silu", "gated": True}
BERT = {"causal": False, "norm_place": "post", "final_norm": False, "embed_norm": True}

FAMILIES = {
    "notes": {**BIASED, "norm_place": "block_end", "final_norm": False, "activation": "relu"},
    "gpt2": {**BIASED, "activation": "gelu_tanh"},
    "opt": {**BIASED, "activation": "relu", "position_offset": 2, "d_embed": 8, "tied": True},
    "neox": {
        **BIASED,
        "activation": "gelu",
        "positions": "rotary",
        "rotary_dims": 2,
        "parallel": True,
        "tied": False,
    },
    "llama": {**ROTARY, "n_kv_heads": 2},
    "mistral": {**ROTARY, "n_kv_heads": 1, "window": 3, "windowed_layers": (0, 1), "tied": False},
    "qwen3": {**ROTARY, "n_kv_heads": 2, "qk_norm": True, "qkv_bias": True},
    "gemma2": {
        **ROTARY,
        "activation": "gelu_tanh",
        "n_kv_heads": 2,
        "norm_place": "sandwich",
        "norm_offset": 1.0,
        "embed_scale": 12**0.5,
        "attn_softcap": 2.0,
        "final_softcap": 3.0,
        "window": 3,
        "windowed_layers": (1,),
        "attn_scale": 0.4,
    },
    "gemma3": {
        **ROTARY,
        "activation": "gelu_tanh",
        "n_kv_heads": 2,
        "norm_place": "sandwich",
        "norm_offset": 1.0,
        "qk_norm": True,
        "window": 4,
        "windowed_layers": (0,),
        "rope_theta_windowed": 100.0,
    },
    "bert": {
        **BIASED,
        **BERT,
        "activation": "gelu",
        "token_types": 2,
        "head_transform": True,
        "unembed_bias": True,
    },
    "minilm": {**BIASED, **BERT, "activation": "gelu", "token_types": 2, "has_head": False},
}


def build(family: str, dtype: torch.dtype = torch.float64, **changes) -> Transformer:
    """A model of a family with random weights; norms' gains near one, biases not zero."""
    model = Transformer(ModelConfig(**{**SMALL, **FAMILIES[family], **changes}), dtype=dtype)
    generator = torch.Generator().manual_seed(sum(map(ord, family)))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            centre = 1.0 - model.config.norm_offset if name.endswith("gain") else 0.0
            weight.copy_(centre + 0.3 * noise)
    return model
