"""Tiny random transformers of every kind of block, for the tests of this room."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from molehill.language_model import LanguageModel
from molehill.model.config import ModelConfig
from molehill.model.transformer import Transformer
from molehill.text.tokenizer import Tokenizer
from molehill.text.tokens import Tokens

SIZES = {
    "n_layers": 3,
    "d_model": 32,
    "n_heads": 4,
    "d_head": 8,
    "d_mlp": 24,
    "d_vocab": 60,
    "n_ctx": 40,
}
BIASES = {"qkv_bias": True, "attn_out_bias": True, "mlp_bias": True}
ROTARY = {"positions": "rotary", "norm": "rms"}

BLOCKS = {
    "notes": BIASES | {"norm_place": "block_end", "final_norm": False},
    "gpt2": BIASES | {"activation": "gelu_tanh"},
    "opt_post": BIASES | {"norm_place": "post", "final_norm": False, "d_embed": 16},
    "llama": ROTARY | {"n_kv_heads": 2, "gated": True, "activation": "silu", "tied": False},
    "neox": BIASES
    | {"positions": "rotary", "rotary_dims": 4, "parallel": True, "unembed_bias": True},
    "gemma": ROTARY
    | {
        "n_kv_heads": 1,
        "gated": True,
        "activation": "gelu_tanh",
        "norm_place": "sandwich",
        "norm_offset": 1.0,
        "qk_norm": True,
        "attn_softcap": 4.0,
        "final_softcap": 2.0,
        "embed_scale": 5.5,
        "window": 5,
        "windowed_layers": (0, 2),
    },
    "bert": BIASES
    | {
        "causal": False,
        "norm_place": "post",
        "final_norm": False,
        "token_types": 2,
        "embed_norm": True,
        "has_head": False,
    },
}


def tiny(name: str, *, dtype: torch.dtype = torch.float64, seed: int = 0) -> Transformer:
    """A random model whose every weight matters, norms' gains and biases included."""
    model = Transformer(ModelConfig(**SIZES, **BLOCKS[name]), dtype=dtype)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator, dtype=dtype) * 0.4)
    return model.requires_grad_(False)


class _Letters(Tokenizer):
    """One token per letter."""

    unk_id = None

    def __init__(self) -> None:
        pass

    def encode(self, texts, **_) -> Tokens:
        texts = [texts] if isinstance(texts, str) else list(texts)
        return Tokens.of_parts(
            [[ord(letter) % SIZES["d_vocab"] for letter in text] for text in texts],
            0,
            texts=texts,
            pieces=texts,
            spans=[[(place, place + 1) for place in range(len(text))] for text in texts],
            special=[[False] * len(text) for text in texts],
            dropped=[0] * len(texts),
        )

    def piece(self, token: int) -> str:
        return f"<{token}>"


def tiny_language(name: str, *, dtype: torch.dtype = torch.float64) -> LanguageModel:
    """A tiny model that reads letters."""
    return LanguageModel(tiny(name, dtype=dtype), _Letters(), f"tiny {name}")


def random_ids(lengths: tuple[int, ...], seed: int = 1) -> SimpleNamespace:
    """Right-padded random ids and their mask."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, SIZES["d_vocab"], (len(lengths), max(lengths)), generator=generator)
    mask = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return SimpleNamespace(ids=ids, mask=mask)
