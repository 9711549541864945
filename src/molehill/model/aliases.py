"""Names of sites in TransformerLens' two dialects, to and from ours.

The older dialect ("blocks.3.hook_resid_pre") says what a value is; the newer one, of its bridge
("blocks.3.hook_in"), names a part and whether it is read before or after it. Both mean the values
of a model's own, unprocessed weights, and so do we.

An alias is kept only where the values are the same ones. Where the norms of a family make a name
mean something that is no site here, or where the two dialects mean two things by one name, the name
is refused, with the reason and the nearest site. This module knows names and no values.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Literal

from molehill.errors import SiteError
from molehill.model.config import ModelConfig
from molehill.model.sites import all_sites, parse_site

__all__ = ["Dialect", "foreign_name", "resolve_site"]

Dialect = Literal["legacy", "bridge"]
"""`legacy`: TransformerLens 1 to 3, HookedTransformer; `bridge`: TransformerBridge."""

_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")


def resolve_site(name: str, config: ModelConfig, *, edited: bool = False) -> str:
    """Our name for `name`, which may be ours or either TransformerLens dialect's.

    Args:
        name: a full name, layer included.
        config: the model's.
        edited: whether the value is to be changed. Some names share their value with a site and
            not what follows from it: they are refused then.

    Raises:
        SiteError: the model has no such site; near names are offered.
    """
    known = all_sites(config)
    if name in known:
        return name
    match = _BLOCK.fullmatch(name)
    layer, rest = match.groups() if match else ("", name)
    table = _block(config) if match else _outside(config)
    ours = f"{layer}.{table[rest]}" if match and rest in table else table.get(rest, name)
    if edited and match and rest in _branches(config):
        raise SiteError(
            f"{name!r} is one reader's copy of the value at {ours!r}: a change there would reach "
            f"the others too. Change '{layer}.attn.in' or '{layer}.mlp.in', what attention or the "
            "MLP reads, or the stream itself."
        )
    if ours in known:
        return ours
    if reason := _refused(rest, config, layer):
        raise SiteError(f"{name!r} is not kept here: {reason}.")
    near = get_close_matches(ours, known, n=3)
    hint = (
        f" Did you mean {', '.join(near)}?"
        if near
        else f" The first ones are {', '.join(known[:4])}."
    )
    raise SiteError(f"This model has no site {name!r}.{hint}")


def foreign_name(site: str, config: ModelConfig, dialect: Dialect = "legacy") -> str:
    """What a TransformerLens dialect calls one of our sites.

        foreign_name("3.attn.mix", config)             # blocks.3.attn.hook_z
        foreign_name("3.attn.mix", config, "bridge")   # blocks.3.attn.o.hook_in

    Args:
        site: our name, or one that `resolve_site` knows.
        config: the model's.
        dialect: which of the two.

    Raises:
        SiteError: no such site, or one that this dialect has no name for.
    """
    layer, ours = parse_site(resolve_site(site, config))
    table = _outside(config) if layer is None else _block(config)
    branches = _branches(config)
    for theirs, own in table.items():
        if own == ours and theirs not in branches and _dialect(theirs) == dialect:
            return theirs if layer is None else f"blocks.{layer}.{theirs}"
    raise SiteError(f"TransformerLens' {dialect} dialect has no name for {site!r}.")


def _dialect(theirs: str) -> Dialect:
    """Only the bridge reads parts at their two ends, `hook_in` and `hook_out`."""
    return "bridge" if theirs.rpartition(".")[2] in ("hook_in", "hook_out") else "legacy"


# --- what is the same -----------------------------------------------------------------------------
# The first name of a site in each dialect is the one that is emitted.


def _outside(config: ModelConfig) -> dict[str, str]:
    """Names outside the blocks -> ours."""
    found = {}
    if config.d_embed is None:  # otherwise theirs is the narrow vector before its matrix
        found |= {"hook_embed": "embed", "embed.hook_out": "embed"}
    if config.positions == "learned":
        found |= {"hook_pos_embed": "pos_embed", "pos_embed.hook_out": "pos_embed"}
    if config.final_norm:
        found |= {
            "ln_final.hook_scale": "final_norm_scale",
            "ln_final.hook_in": f"{config.n_layers - 1}.resid_post",
            "ln_final.hook_out": "final",
        }
    if config.d_embed is None and not config.head_transform:
        found["unembed.hook_in"] = "final"
    if config.final_softcap is None:
        found["unembed.hook_out"] = "logits"
    return found


def _block(config: ModelConfig) -> dict[str, str]:
    """Names inside a block, without it -> ours, without the layer."""
    place, turned = config.norm_place, config.positions == "rotary" or config.qk_norm
    before = place in ("pre", "sandwich")
    mid = "resid_pre" if config.parallel else "resid_mid"
    raw = ("attn.raw", "mlp.raw") if place == "sandwich" else ("attn.out", "mlp.out")
    found = {
        "hook_resid_pre": "resid_pre",
        "hook_in": "resid_pre",
        "hook_attn_out": "attn.out",
        "hook_mlp_out": "mlp.out",
        "hook_resid_post": "resid_post",
        "hook_out": "resid_post",
        "ln1.hook_scale": "norm1_scale",
        "ln2.hook_scale": "norm2_scale",
        "attn.hook_in": "attn.in",
        "attn.q.hook_in": "attn.in",
        "attn.k.hook_in": "attn.in",
        "attn.v.hook_in": "attn.in",
        "attn.hook_v": "attn.v",
        "attn.v.hook_out": "attn.v",
        "attn.hook_attn_scores": "attn.scores",
        "attn.hook_pattern": "attn.pattern",
        "attn.hook_z": "attn.mix",
        "attn.o.hook_in": "attn.mix",
        "attn.hook_result": "attn.result",
        "attn.o.hook_out": raw[0],
        "mlp.hook_in": "mlp.in",
        "mlp.in.hook_in": "mlp.in",
        "mlp.in.hook_out": "mlp.pre",
        "mlp.hook_post": "mlp.act",
        "mlp.out.hook_in": "mlp.act",
        "mlp.out.hook_out": raw[1],
        "mlp.hook_out": raw[1],
    }
    if config.gated:
        found |= {
            "mlp.hook_pre": "mlp.gate",
            "mlp.gate.hook_in": "mlp.in",
            "mlp.gate.hook_out": "mlp.gate",
            "mlp.hook_pre_linear": "mlp.pre",
        }
    else:
        found["mlp.hook_pre"] = "mlp.pre"
    if turned:  # ours are the queries and keys that the scores are made of
        found |= {"attn.hook_rot_q": "attn.q", "attn.hook_rot_k": "attn.k"}
    else:
        found |= {"attn.hook_q": "attn.q", "attn.q.hook_out": "attn.q"}
        found |= {"attn.hook_k": "attn.k", "attn.k.hook_out": "attn.k"}
    if place != "post" and not config.parallel:
        found["hook_resid_mid"] = "resid_mid"
    if place != "post":
        found["attn.hook_out"] = raw[0]
    if before:
        found |= {
            "ln1.hook_in": "resid_pre",
            "ln1.hook_out": "attn.in",
            "ln2.hook_in": mid,
            "ln2.hook_out": "mlp.in",
            "hook_mlp_in": mid,
        }
    elif place == "post":
        found |= {"ln1.hook_out": "resid_mid", "ln2.hook_out": "resid_post"}
        found["hook_mlp_in"] = "mlp.in"
    if place == "sandwich":
        found |= {
            "ln1_post.hook_in": "attn.raw",
            "ln1_post.hook_scale": "attn_out_scale",
            "ln1_post.hook_out": "attn.out",
            "ln2_post.hook_in": "mlp.raw",
            "ln2_post.hook_scale": "mlp_out_scale",
            "ln2_post.hook_out": "mlp.out",
        }
    return found


def _branches(config: ModelConfig) -> set[str]:
    """Names whose value is a site's, and whose change would reach one of its readers only."""
    names = {"attn.q.hook_in", "attn.k.hook_in", "attn.v.hook_in"}
    if config.gated:
        names |= {"mlp.gate.hook_in", "mlp.in.hook_in"}
    if config.norm_place in ("pre", "sandwich"):
        names |= {"ln1.hook_in", "ln2.hook_in", "hook_mlp_in"}
    return names


# --- what is not ----------------------------------------------------------------------------------


def _refused(rest: str, config: ModelConfig, layer: str) -> str:
    """Why a name of theirs is none of ours in this model; empty if it is no name of theirs."""
    at = f"{layer}." if layer else ""
    if rest in ("attn.hook_q", "attn.hook_k", "attn.q.hook_out", "attn.k.hook_out"):
        kind = "q" if "q" in rest.removeprefix("attn.") else "k"
        return (
            "queries or keys before their rotation or norm; "
            f"'{at}attn.{kind}' holds them as the scores use them"
        )
    if rest in ("hook_attn_in", "hook_q_input", "hook_k_input", "hook_v_input"):
        return (
            f"it is '{at}resid_pre' once for every head, before the norm; '{at}attn.in' is what "
            "attention reads after it"
        )
    if rest.endswith(".hook_normalized"):
        norm = rest.partition(".")[0]
        value = {"ln1": f"{at}attn.in", "ln2": f"{at}mlp.in", "ln_final": "final"}.get(norm, "")
        value = value if config.norm_place in ("pre", "sandwich") else ""
        after = f"; '{value}' is the norm's whole output" if value else ""
        return f"before or after the norm's gain, by the version of TransformerLens{after}"
    if config.norm_place == "post" and rest in ("hook_resid_mid", "ln2.hook_in", "ln1.hook_in"):
        return (
            "in a model whose norms come after each addition it is the stream before a norm; "
            f"'{at}resid_mid' and '{at}resid_post' stand after theirs"
        )
    if config.norm_place == "post" and rest == "attn.hook_out":
        return (
            "by the version of TransformerLens it is what attention adds, or the stream after it "
            f"and its norm; say '{at}attn.out' or '{at}resid_mid'"
        )
    if rest == "ln2.hook_in":
        return f"the norm at the block's end reads '{at}resid_mid' plus '{at}mlp.out'"
    if rest == "hook_resid_mid" and config.parallel:
        return (
            "attention and MLP are added together, so there is no stream between them; "
            f"'{at}resid_pre' is what both read"
        )
    if rest in ("hook_embed", "embed.hook_out"):
        return "theirs is the narrow vector before its matrix; 'embed' is what starts the stream"
    if rest == "unembed.hook_in":
        return "between 'final' and the table of words this model has a matrix of its own"
    if rest == "unembed.hook_out":
        return "theirs are scores before their cap; 'logits' are capped"
    if rest.startswith("ln_final."):
        return f"this model has no norm at its end; 'final' is '{config.n_layers - 1}.resid_post'"
    return ""
