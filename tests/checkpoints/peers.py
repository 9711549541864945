"""Tiny random models of transformers, one or more per family: the independent truth.

Every parameter is random, gains and biases too (transformers starts them at one and zero, which
would hide a wrong one). The sizes are odd on purpose, so that no two axes are of one length.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
import transformers

# Imported now: its table of dtypes, filled under `honest_doubles`, would hold float64 for good.
import transformers.modeling_utils

__all__ = ["GGUF_PEERS", "PEERS", "Answer", "Peer", "ask", "honest_doubles", "texts"]

VOCAB, WIDTH, MLP, LAYERS, CONTEXT = 53, 24, 40, 3, 32
PAD = 1


@dataclass(frozen=True)
class Peer:
    """A tiny model of transformers, by its class and its config."""

    name: str
    family: str
    head: str
    config: Callable[[], Any]
    padding_aware: bool = False
    """Whether it counts positions over real tokens by itself and refuses to be told them."""

    def build(self, dtype: torch.dtype, seed: int = 2) -> Any:
        """The model with random weights.

        The seed is one at which no family's draw is badly conditioned. At 0 gemma3's is: float32
        rounding alone moves its answers by 8e-6 there, transformers' own as much as ours.
        """
        torch.manual_seed(seed)
        config = self.config()
        config._attn_implementation = "eager"
        with honest_doubles() if dtype == torch.float64 else contextlib.nullcontext():
            model = getattr(transformers, self.head)(config).to(dtype).eval()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                noise = torch.randn(weight.shape, dtype=torch.float64)
                is_gain = weight.ndim == 1 and name.endswith("weight")
                weight.copy_(noise * (0.25 if weight.ndim > 1 else 0.4) + is_gain)
        return model


@contextlib.contextmanager
def honest_doubles() -> Iterator[None]:
    """Make transformers calculate in float64 all the way.

    Its norms, rotations and softmax go through float32 whatever the model's dtype (`x.float()`,
    `x.to(torch.float32)`, `softmax(dtype=torch.float32)`), which leaves errors of 1e-7 in a float64
    model. Here float32 means float64 while a reference is made or run, so that what is left is a
    difference in what is computed and not in how finely.
    """
    names = {name: getattr(torch, name) for name in ("float32", "float")}
    default, to_float = torch.get_default_dtype(), torch.Tensor.float
    try:
        torch.set_default_dtype(torch.float64)
        torch.float32 = torch.float = torch.float64
        torch.Tensor.float = torch.Tensor.double
        yield
    finally:
        for name, value in names.items():
            setattr(torch, name, value)
        torch.Tensor.float = to_float
        torch.set_default_dtype(default)


@dataclass(frozen=True)
class Answer:
    """What the reference says of some texts."""

    logits: torch.Tensor | None
    hidden: tuple[torch.Tensor, ...]
    patterns: tuple[torch.Tensor, ...]


@torch.no_grad()
def ask(peer: Peer, model: Any, ids: torch.Tensor, mask: torch.Tensor | None = None) -> Answer:
    """Run the reference; positions are counted over real tokens."""
    given: dict[str, Any] = {"attention_mask": mask if mask is None else mask.long()}
    if mask is not None and not peer.padding_aware:
        given["position_ids"] = (mask.long().cumsum(1) - 1).clamp(min=0)
    double = next(model.parameters()).dtype == torch.float64
    with honest_doubles() if double else contextlib.nullcontext():
        out = model(ids, output_hidden_states=True, output_attentions=True, **given)
    return Answer(getattr(out, "logits", None), out.hidden_states, out.attentions)


def texts(padding: str = "none") -> tuple[torch.Tensor, torch.Tensor | None]:
    """Three random texts of 12, 7 and 9 tokens, padded left or right; or of 12 tokens each."""
    generator = torch.Generator().manual_seed(7)
    ids = torch.randint(2, VOCAB, (3, 12), generator=generator)
    if padding == "none":
        return ids, None
    mask = torch.ones_like(ids, dtype=torch.bool)
    for text, length in enumerate((12, 7, 9)):
        mask[text, length:] = False
    if padding == "left":
        mask = mask.flip(1)
    return torch.where(mask, ids, PAD), mask


def _llama_like(make: str, **more: Any) -> Callable[[], Any]:
    common = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": PAD,
        "bos_token_id": 2,
        "eos_token_id": 3,
    }
    return lambda: getattr(transformers, make)(**{**common, **more})


def _bert_like(make: str, **more: Any) -> Callable[[], Any]:
    common = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": MLP,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "max_position_embeddings": CONTEXT,
        "pad_token_id": PAD,
    }
    return lambda: getattr(transformers, make)(**{**common, **more})


def _gpt2(**more: Any) -> Callable[[], Any]:
    return lambda: transformers.GPT2Config(
        vocab_size=VOCAB,
        n_embd=WIDTH,
        n_layer=LAYERS,
        n_head=4,
        n_positions=CONTEXT,
        bos_token_id=2,
        eos_token_id=3,
        **more,
    )


def _opt(**more: Any) -> Callable[[], Any]:
    return lambda: transformers.OPTConfig(
        vocab_size=VOCAB,
        hidden_size=WIDTH,
        ffn_dim=MLP,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        pad_token_id=PAD,
        **more,
    )


def _neox(**more: Any) -> Callable[[], Any]:
    # A third of six dimensions turns: two.
    rope = {"rope_type": "default", "rope_theta": 10_000.0, "partial_rotary_factor": 0.34}
    given = {"bos_token_id": 2, "eos_token_id": 3, "rope_parameters": rope, **more}
    return _bert_like("GPTNeoXConfig", **given)


_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
_LINEAR = {"rope_type": "linear", "rope_theta": 10_000.0, "factor": 2.0}
_LOCAL = ["sliding_attention", "full_attention", "sliding_attention"]
_GEMMA3_ROPE = {
    "sliding_attention": {"rope_type": "default", "rope_theta": 100.0},
    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1_000_000.0},
}

_ALL = (
    Peer("gpt2", "gpt2", "GPT2LMHeadModel", _gpt2()),
    Peer("gpt2-relu", "gpt2", "GPT2LMHeadModel", _gpt2(activation_function="relu", n_inner=MLP)),
    Peer(
        "gpt2-unscaled",
        "gpt2",
        "GPT2LMHeadModel",
        _gpt2(scale_attn_weights=False, tie_word_embeddings=False),
    ),
    Peer("gpt2-headless", "gpt2", "GPT2Model", _gpt2()),
    Peer("opt", "opt", "OPTForCausalLM", _opt()),
    Peer(
        "opt-350m",
        "opt",
        "OPTForCausalLM",
        _opt(do_layer_norm_before=False, word_embed_proj_dim=10),
    ),
    Peer("opt-plain", "opt", "OPTForCausalLM", _opt(enable_bias=False, tie_word_embeddings=False)),
    Peer("opt-headless", "opt", "OPTModel", _opt()),
    Peer("pythia", "gpt_neox", "GPTNeoXForCausalLM", _neox()),
    Peer(
        "neox-in-turn",
        "gpt_neox",
        "GPTNeoXForCausalLM",
        _neox(
            use_parallel_residual=False,
            attention_bias=False,
            tie_word_embeddings=True,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": 500.0,
                "partial_rotary_factor": 1.0,
            },
        ),
    ),
    Peer("neox-headless", "gpt_neox", "GPTNeoXModel", _neox()),
    Peer("llama", "llama", "LlamaForCausalLM", _llama_like("LlamaConfig")),
    Peer(
        "llama3",
        "llama",
        "LlamaForCausalLM",
        _llama_like("LlamaConfig", rope_parameters=_LLAMA3, tie_word_embeddings=True),
    ),
    Peer(
        "llama-biased",
        "llama",
        "LlamaForCausalLM",
        _llama_like(
            "LlamaConfig",
            rope_parameters=_LINEAR,
            attention_bias=True,
            mlp_bias=True,
            head_dim=8,
            num_key_value_heads=1,
        ),
    ),
    Peer("llama-headless", "llama", "LlamaModel", _llama_like("LlamaConfig")),
    Peer(
        "mistral",
        "mistral",
        "MistralForCausalLM",
        _llama_like("MistralConfig", sliding_window=4, head_dim=10),
    ),
    Peer("qwen2", "qwen2", "Qwen2ForCausalLM", _llama_like("Qwen2Config")),
    Peer(
        "qwen2-windowed",
        "qwen2",
        "Qwen2ForCausalLM",
        _llama_like(
            "Qwen2Config",
            use_sliding_window=True,
            sliding_window=5,
            max_window_layers=1,
            tie_word_embeddings=True,
        ),
    ),
    Peer("qwen3", "qwen3", "Qwen3ForCausalLM", _llama_like("Qwen3Config", head_dim=10)),
    Peer(
        "gemma2",
        "gemma2",
        "Gemma2ForCausalLM",
        _llama_like(
            "Gemma2Config",
            head_dim=10,
            sliding_window=4,
            query_pre_attn_scalar=7,
            attn_logit_softcapping=3.0,
            final_logit_softcapping=4.0,
        ),
    ),
    Peer(
        "gemma3",
        "gemma3_text",
        "Gemma3ForCausalLM",
        _llama_like(
            "Gemma3TextConfig",
            head_dim=10,
            sliding_window=4,
            query_pre_attn_scalar=7,
            layer_types=_LOCAL,
            rope_parameters=_GEMMA3_ROPE,
        ),
    ),
    Peer("bert", "bert", "BertForMaskedLM", _bert_like("BertConfig")),
    Peer("bert-relu", "bert", "BertForMaskedLM", _bert_like("BertConfig", hidden_act="relu")),
    Peer("minilm", "bert", "BertModel", _bert_like("BertConfig")),
    Peer(
        "roberta",
        "roberta",
        "RobertaForMaskedLM",
        _bert_like("RobertaConfig", type_vocab_size=1),
        padding_aware=True,
    ),
    Peer(
        "roberta-headless",
        "roberta",
        "RobertaModel",
        _bert_like("RobertaConfig", type_vocab_size=1),
        padding_aware=True,
    ),
)
PEERS = {peer.name: peer for peer in _ALL}

# What a GGUF file cannot say (which layers are local, the scale of scores) is at its default here.
_gguf_gemma = {"head_dim": 10, "query_pre_attn_scalar": 10, "sliding_window": 4}
_IN_GGUF = (
    PEERS["gpt2"],
    PEERS["llama"],
    Peer(
        "llama3",
        "llama",
        "LlamaForCausalLM",
        _llama_like(
            "LlamaConfig",
            head_dim=16,
            max_position_embeddings=16384,
            rope_parameters={
                **_LLAMA3,
                "rope_theta": 5000.0,
                "original_max_position_embeddings": 8192,
            },
        ),
    ),
    PEERS["qwen2"],
    PEERS["qwen3"],
    Peer(
        "gemma2",
        "gemma2",
        "Gemma2ForCausalLM",
        _llama_like(
            "Gemma2Config",
            attn_logit_softcapping=3.0,
            final_logit_softcapping=4.0,
            **_gguf_gemma,
        ),
    ),
    Peer(
        "gemma3",
        "gemma3",
        "Gemma3ForCausalLM",
        _llama_like(
            "Gemma3TextConfig", num_hidden_layers=6, rope_parameters=_GEMMA3_ROPE, **_gguf_gemma
        ),
    ),
)
GGUF_PEERS = {peer.name: peer for peer in _IN_GGUF}
