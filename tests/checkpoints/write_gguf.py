"""A tiny model of transformers as a GGUF file: what llama.cpp's own converter does to it, by the
`gguf` library's writer and its own table of names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import torch

__all__ = ["write_gguf"]

_ARCHITECTURES = {
    "gpt2": gguf.MODEL_ARCH.GPT2,
    "llama": gguf.MODEL_ARCH.LLAMA,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "gemma2": gguf.MODEL_ARCH.GEMMA2,
    "gemma3": gguf.MODEL_ARCH.GEMMA3,
}


def write_gguf(model: Any, family: str, path: Path) -> None:
    """Write `model` (float32) to `path` as the architecture `family`."""
    config = model.config
    writer = gguf.GGUFWriter(path, family)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_head_count(config.num_attention_heads)
    if family == "gpt2":
        writer.add_feed_forward_length(4 * config.hidden_size)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
    else:
        _rotary_fields(writer, config)
    names = gguf.get_tensor_name_map(_ARCHITECTURES[family], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        theirs = names.get_name(name, try_suffixes=(".weight", ".bias"))
        assert theirs is not None, f"gguf has no name for {name}"
        writer.add_tensor(theirs, _converted(name, weight.float(), family, config).numpy())
    if getattr(config, "rope_parameters", {}).get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", _llama3_divisors(config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _rotary_fields(writer: gguf.GGUFWriter, config: Any) -> None:
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope["rope_theta"])
    if getattr(config, "head_dim", None) is not None:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    if getattr(config, "attn_logit_softcapping", None):
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if config.model_type.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if config.model_type == "gemma3_text":
        local = config.rope_parameters["sliding_attention"]["rope_theta"]
        writer.add_float32("gemma3.rope.freq_base_swa", local)


def _converted(name: str, weight: torch.Tensor, family: str, config: Any) -> torch.Tensor:
    if family == "gpt2" and name.endswith(("c_attn.weight", "c_proj.weight", "c_fc.weight")):
        return weight.T.contiguous()
    if family.startswith("gemma") and name.endswith("norm.weight"):
        return weight + 1
    if family == "llama" and ".q_proj." in name:
        return _interleaved(weight, config.num_attention_heads)
    if family == "llama" and ".k_proj." in name:
        return _interleaved(weight, config.num_key_value_heads)
    return weight.contiguous()


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows i and i + half of each head come to stand next to each other."""
    out = torch.empty_like(weight)
    width = weight.shape[0] // heads
    for row in range(weight.shape[0]):
        head, place = divmod(row, width)
        half, pair = divmod(place, width // 2)
        out[head * width + 2 * pair + half] = weight[row]
    return out


def _llama3_divisors(config: Any) -> torch.Tensor:
    """By how much each frequency is divided (Llama 3 report, section 3.4.3), one by one."""
    rope = config.rope_parameters
    width = config.head_dim
    divisors = []
    for pair in range(width // 2):
        turns = rope["original_max_position_embeddings"] / (
            2 * torch.pi * rope["rope_theta"] ** (2 * pair / width)
        )
        if turns < rope["low_freq_factor"]:
            divisors.append(rope["factor"])
        elif turns > rope["high_freq_factor"]:
            divisors.append(1.0)
        else:
            smooth = (turns - rope["low_freq_factor"]) / (
                rope["high_freq_factor"] - rope["low_freq_factor"]
            )
            divisors.append(1 / ((1 - smooth) / rope["factor"] + smooth))
    return torch.tensor(divisors, dtype=torch.float32)
