"""The named places in a transformer where a value can be watched or replaced, with their shapes.

In the order of the forward pass; L is a layer number, `-` marks sites that only some models have:

    embed              batch pos d_model         the token's own vector: where the word starts
  - pos_embed          batch pos d_model         what its position adds
  - embed_norm_scale   batch pos 1               divisor of the norm after the embeddings (BERT)
    L.resid_pre        batch pos d_model         the residual stream as it enters the block
  - L.norm1_scale      batch pos 1               divisor of the norm before attention; in post-norm
                                                 models, of the norm after attention is added
    L.attn.q           batch pos head d_head     queries as the scores use them: normed and turned
    L.attn.k           batch pos kv_head d_head  keys as the scores use them
    L.attn.v           batch pos kv_head d_head  values
  - L.attn.q_scale     batch pos head 1          divisors of the norms on queries and keys
  - L.attn.k_scale     batch pos kv_head 1
    L.attn.scores      batch head query key      scaled and capped, before the mask
    L.attn.pattern     batch head query key      after softmax: each row sums to one
    L.attn.mix         batch pos head d_head     per head, the values weighted by the pattern
    L.attn.result      batch pos head d_model    per head, what it writes, output bias aside
    L.attn.out         batch pos d_model         exactly what is added to the residual stream
  - L.attn_out_scale   batch pos 1               divisor of the norm between attention and stream
    L.resid_mid        batch pos d_model         the stream after attention, and after its norm in
                                                 post-norm models; absent in parallel blocks
  - L.norm2_scale      batch pos 1               as norm1_scale, for the MLP; in the notes' block,
                                                 of its only norm
    L.mlp.pre          batch pos d_mlp           what the up matrix gives, bias added
  - L.mlp.gate         batch pos d_mlp           what the gate matrix gives, before its activation
    L.mlp.act          batch pos d_mlp           each neuron's coefficient, its column's multiplier
    L.mlp.out          batch pos d_model         exactly what is added to the residual stream
  - L.mlp_out_scale    batch pos 1               divisor of the norm between MLP and stream
    L.resid_post       batch pos d_model         the stream as it leaves the block
  - final_norm_scale   batch pos 1               divisor of the last norm
    final              batch pos d_model         what the unembedding reads
    logits             batch pos d_vocab         scores of the next word, where they were asked for

A divisor is what the centred (LayerNorm) or plain (RMS norm) vector is divided by. This module
knows the names and nothing of the values.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches

from molehill.errors import SiteError
from molehill.model.config import ModelConfig

__all__ = ["BlockSites", "all_sites", "parse_site", "resolve_site"]

_BLOCK_FIELDS = {
    "resid_pre": "resid_pre",
    "norm1_scale": "norm1_scale",
    "q": "attn.q",
    "k": "attn.k",
    "v": "attn.v",
    "q_scale": "attn.q_scale",
    "k_scale": "attn.k_scale",
    "scores": "attn.scores",
    "pattern": "attn.pattern",
    "mix": "attn.mix",
    "result": "attn.result",
    "attn_out": "attn.out",
    "attn_out_scale": "attn_out_scale",
    "resid_mid": "resid_mid",
    "norm2_scale": "norm2_scale",
    "pre": "mlp.pre",
    "gate": "mlp.gate",
    "act": "mlp.act",
    "mlp_out": "mlp.out",
    "mlp_out_scale": "mlp_out_scale",
    "resid_post": "resid_post",
}


@dataclass(frozen=True, slots=True)
class BlockSites:
    """The full names of one block's sites, made once so that the forward pass formats no
    strings."""

    resid_pre: str
    norm1_scale: str
    q: str
    k: str
    v: str
    q_scale: str
    k_scale: str
    scores: str
    pattern: str
    mix: str
    result: str
    attn_out: str
    attn_out_scale: str
    resid_mid: str
    norm2_scale: str
    pre: str
    gate: str
    act: str
    mlp_out: str
    mlp_out_scale: str
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
        absent |= {"attn_out_scale", "mlp_out_scale"}
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


# --- the two dialects of TransformerLens
# ------------------------------------------------------------------------------ The first
# ("blocks.3.hook_resid_pre") is the older one; the second names a part and whether it is read
# before or after it. `hook_attn_out` and `hook_mlp_out` are what is added to the stream, norms in
# between included; ours too. Their `mlp.hook_pre` is our gate in gated models.

_ALIASES = {
    "hook_embed": "embed",
    "hook_pos_embed": "pos_embed",
    "ln_final.hook_scale": "final_norm_scale",
    "ln_final.hook_normalized": "final",
    "embed.hook_out": "embed",
    "pos_embed.hook_out": "pos_embed",
    "ln_final.hook_out": "final",
    "unembed.hook_in": "final",
    "unembed.hook_out": "logits",
}
_BLOCK_ALIASES = {
    "hook_resid_pre": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_attn_out": "attn.out",
    "hook_mlp_out": "mlp.out",
    "ln1.hook_scale": "norm1_scale",
    "ln2.hook_scale": "norm2_scale",
    "attn.hook_rot_q": "attn.q",
    "attn.hook_rot_k": "attn.k",
    "attn.hook_v": "attn.v",
    "attn.hook_attn_scores": "attn.scores",
    "attn.hook_pattern": "attn.pattern",
    "attn.hook_z": "attn.mix",
    "attn.hook_result": "attn.result",
    "mlp.hook_pre_linear": "mlp.pre",
    "mlp.hook_post": "mlp.act",
    "hook_in": "resid_pre",
    "hook_out": "resid_post",
    "ln2.hook_in": "resid_mid",
    "attn.hook_out": "attn.out",
    "attn.v.hook_out": "attn.v",
    "attn.o.hook_in": "attn.mix",
    "attn.o.hook_out": "attn.out",
    "mlp.hook_out": "mlp.out",
    "mlp.out.hook_in": "mlp.act",
    "mlp.out.hook_out": "mlp.out",
    "mlp.gate.hook_out": "mlp.gate",
    "mlp.in.hook_out": "mlp.pre",
}
# Without rotation their queries are ours; with it, ours are the turned ones and theirs are named
# hook_rot_q.
_UNTURNED = {
    "attn.hook_q": "attn.q",
    "attn.hook_k": "attn.k",
    "attn.q.hook_out": "attn.q",
    "attn.k.hook_out": "attn.k",
}


def resolve_site(name: str, config: ModelConfig) -> str:
    """Our name for `name`, which may be ours or either TransformerLens dialect's.

    Raises:
        SiteError: the model has no such site; near names are offered.
    """
    known = all_sites(config)
    ours = _translate(name, config)
    if ours in known:
        return ours
    near = get_close_matches(ours, known, n=3)
    hint = (
        f" Did you mean {', '.join(near)}?"
        if near
        else f" The first ones are {', '.join(known[:4])}."
    )
    raise SiteError(f"This model has no site {name!r}.{hint}")


def _translate(name: str, config: ModelConfig) -> str:
    if name in _ALIASES:
        return _ALIASES[name]
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if not match:
        return name
    layer, rest = match.groups()
    if rest == "mlp.hook_pre":
        return f"{layer}.mlp.gate" if config.gated else f"{layer}.mlp.pre"
    if rest in _UNTURNED:
        if config.positions == "rotary" or config.qk_norm:
            raise SiteError(
                f"{name!r} names queries or keys before their rotation, not kept here; "
                f"'{layer}.{_UNTURNED[rest]}' holds them as the scores use them."
            )
        return f"{layer}.{_UNTURNED[rest]}"
    return f"{layer}.{_BLOCK_ALIASES[rest]}" if rest in _BLOCK_ALIASES else name
