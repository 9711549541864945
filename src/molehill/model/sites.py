"""The named places in a transformer where a value can be watched or replaced, with their shapes.

In the order of the forward pass; L is a layer number, `-` marks sites that only some models have:

    embed              batch pos d_model         the token's own vector: where the word starts
  - pos_embed          batch pos d_model         what its position adds
  - embed_norm_scale   batch pos 1               divisor of the norm after the embeddings (BERT)
    L.resid_pre        batch pos d_model         the residual stream as it enters the block
  - L.norm1_scale      batch pos 1               divisor of the norm before attention; in post-norm
                                                 models, of the norm after attention is added
    L.attn.in          batch pos d_model         what attention reads: the stream after the norm
                                                 before it, or itself where there is none
    L.attn.q           batch pos head d_head     queries as the scores use them: normed and turned
    L.attn.k           batch pos kv_head d_head  keys as the scores use them
    L.attn.v           batch pos kv_head d_head  values
  - L.attn.q_scale     batch pos head 1          divisors of the norms on queries and keys
  - L.attn.k_scale     batch pos kv_head 1
    L.attn.scores      batch head query key      scaled and capped, before the mask
    L.attn.pattern     batch head query key      after softmax: each row sums to one
    L.attn.mix         batch pos head d_head     per head, the values weighted by the pattern
    L.attn.result      batch pos head d_model    per head, what it writes, output bias aside
  - L.attn.raw         batch pos d_model         what attention writes, before the norm between it
                                                 and the stream (Gemma)
  - L.attn_out_scale   batch pos 1               divisor of that norm
    L.attn.out         batch pos d_model         exactly what is added to the residual stream
    L.resid_mid        batch pos d_model         the stream after attention, and after its norm in
                                                 post-norm models; absent in parallel blocks
  - L.norm2_scale      batch pos 1               as norm1_scale, for the MLP; in the notes' block,
                                                 of its only norm
    L.mlp.in           batch pos d_model         what the MLP reads, as attn.in
    L.mlp.pre          batch pos d_mlp           what the up matrix gives, bias added
  - L.mlp.gate         batch pos d_mlp           what the gate matrix gives, before its activation
    L.mlp.act          batch pos d_mlp           each neuron's coefficient, its column's multiplier
  - L.mlp.raw          batch pos d_model         what the MLP writes, before the norm between it and
                                                 the stream (Gemma)
  - L.mlp_out_scale    batch pos 1               divisor of that norm
    L.mlp.out          batch pos d_model         exactly what is added to the residual stream
    L.resid_post       batch pos d_model         the stream as it leaves the block
  - final_norm_scale   batch pos 1               divisor of the last norm
    final              batch pos d_model         what the unembedding reads
    logits             batch pos d_vocab         scores of the next word, where they were asked for

A divisor is what the centred (LayerNorm) or plain (RMS norm) vector is divided by. This module
knows the names and nothing of the values; other libraries' names are in `aliases.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from molehill.model.config import ModelConfig

__all__ = ["BlockSites", "all_sites", "parse_site"]

_BLOCK_FIELDS = {
    "resid_pre": "resid_pre",
    "norm1_scale": "norm1_scale",
    "attn_in": "attn.in",
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "q_scale": "attn.q_scale",
    "k_scale": "attn.k_scale",
    "scores": "attn.scores",
    "pattern": "attn.pattern",
    "mix": "attn.mix",
    "result": "attn.result",
    "attn_raw": "attn.raw",
    "attn_out_scale": "attn_out_scale",
    "attn_out": "attn.out",
    "resid_mid": "resid_mid",
    "norm2_scale": "norm2_scale",
    "mlp_in": "mlp.in",
    "pre": "mlp.pre",
    "gate": "mlp.gate",
    "act": "mlp.act",
    "mlp_raw": "mlp.raw",
    "mlp_out_scale": "mlp_out_scale",
    "mlp_out": "mlp.out",
    "resid_post": "resid_post",
}


@dataclass(frozen=True, slots=True)
class BlockSites:
    """The full names of one block's sites, made once so that the forward pass formats no
    strings."""

    resid_pre: str
    norm1_scale: str
    attn_in: str
    q: str
    k: str
    v: str
    q_scale: str
    k_scale: str
    scores: str
    pattern: str
    mix: str
    result: str
    attn_raw: str
    attn_out_scale: str
    attn_out: str
    resid_mid: str
    norm2_scale: str
    mlp_in: str
    pre: str
    gate: str
    act: str
    mlp_raw: str
    mlp_out_scale: str
    mlp_out: str
    resid_post: str

    @classmethod
    def of(cls, layer: int) -> BlockSites:
        """The names of `layer`'s sites."""
        return cls(**{field: f"{layer}.{name}" for field, name in _BLOCK_FIELDS.items()})


def _block_names(config: ModelConfig) -> list[str]:
    """Names without the layer that this model's blocks have, in the order of the forward pass."""
    absent = set()
    if config.norm_place == "block_end":
        absent |= {"norm1_scale"}
    if config.norm_place != "sandwich":
        absent |= {"attn.raw", "attn_out_scale", "mlp.raw", "mlp_out_scale"}
    if not config.qk_norm:
        absent |= {"attn.q_scale", "attn.k_scale"}
    if not config.gated:
        absent |= {"mlp.gate"}
    if config.parallel:
        absent |= {"resid_mid"}
    return [name for name in _BLOCK_FIELDS.values() if name not in absent]


def all_sites(config: ModelConfig) -> list[str]:
    """Every site of a model of this configuration, in the order of the forward pass."""
    names = ["embed"]
    if config.positions == "learned":
        names.append("pos_embed")
    if config.embed_norm:
        names.append("embed_norm_scale")
    names += [
        f"{layer}.{name}" for layer in range(config.n_layers) for name in _block_names(config)
    ]
    if config.final_norm:
        names.append("final_norm_scale")
    names.append("final")
    if config.has_head:
        names.append("logits")
    return names


def parse_site(name: str) -> tuple[int | None, str]:
    """Split `3.attn.q` into its layer and the rest; sites outside the blocks have no layer."""
    layer, dot, rest = name.partition(".")
    return (int(layer), rest) if dot and layer.isdecimal() else (None, name)
