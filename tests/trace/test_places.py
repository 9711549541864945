"""Names of sites: ours, patterns, both TransformerLens dialects, and what is said of wrong
ones."""

from __future__ import annotations

import pytest
from tests.trace.small_families import build

from molehill.errors import SiteError
from molehill.model import all_sites
from molehill.trace import find_sites, record, site_axes

LEGACY = {  # TransformerLens' older names -> ours, in layer 1
    "blocks.1.hook_resid_pre": "1.resid_pre",
    "blocks.1.hook_resid_mid": "1.resid_mid",
    "blocks.1.hook_resid_post": "1.resid_post",
    "blocks.1.hook_attn_out": "1.attn.out",
    "blocks.1.hook_mlp_out": "1.mlp.out",
    "blocks.1.ln1.hook_scale": "1.norm1_scale",
    "blocks.1.ln2.hook_scale": "1.norm2_scale",
    "blocks.1.attn.hook_v": "1.attn.v",
    "blocks.1.attn.hook_attn_scores": "1.attn.scores",
    "blocks.1.attn.hook_pattern": "1.attn.pattern",
    "blocks.1.attn.hook_z": "1.attn.mix",
    "blocks.1.attn.hook_result": "1.attn.result",
    "blocks.1.mlp.hook_post": "1.mlp.act",
    "ln_final.hook_scale": "final_norm_scale",
    "hook_embed": "embed",
}
BRIDGE = {
    "embed.hook_out": "embed",
    "blocks.1.hook_in": "1.resid_pre",
    "blocks.1.hook_out": "1.resid_post",
    "blocks.1.ln2.hook_in": "1.resid_mid",
    "blocks.1.attn.hook_out": "1.attn.out",
    "blocks.1.attn.o.hook_in": "1.attn.mix",
    "blocks.1.mlp.hook_out": "1.mlp.out",
    "blocks.1.mlp.out.hook_in": "1.mlp.act",
    "unembed.hook_out": "logits",
}


@pytest.mark.parametrize(("theirs", "ours"), {**LEGACY, **BRIDGE}.items())
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_both_dialects_name_our_sites(family, theirs, ours):
    assert find_sites([theirs], build(family).config) == [ours]


def test_names_whose_meaning_depends_on_the_family():
    gpt2, llama = (build(family).config for family in ("gpt2", "llama"))
    assert find_sites(["blocks.1.mlp.hook_pre"], gpt2) == ["1.mlp.pre"]
    assert find_sites(["blocks.1.mlp.hook_pre"], llama) == ["1.mlp.gate"]
    assert find_sites(["blocks.1.mlp.hook_pre_linear"], llama) == ["1.mlp.pre"]
    assert find_sites(["blocks.1.attn.hook_q"], gpt2) == ["1.attn.q"]
    assert find_sites(["blocks.1.attn.hook_rot_q"], llama) == ["1.attn.q"]
    with pytest.raises(SiteError, match="before their rotation"):
        find_sites(["blocks.1.attn.hook_q"], llama)


def test_patterns_stand_for_several_sites_in_the_order_of_the_pass():
    config = build("llama", n_layers=12).config
    posts = [f"{layer}.resid_post" for layer in range(12)]
    assert find_sites(["*.resid_post"], config) == posts
    assert find_sites(["resid_post"], config) == posts
    assert find_sites(["hook_resid_post"], config) == posts
    assert find_sites(["blocks.*.hook_resid_post"], config) == posts
    assert find_sites(["blocks.1?.hook_resid_post"], config) == posts[10:]
    assert find_sites(["1?.attn.pattern"], config) == ["10.attn.pattern", "11.attn.pattern"]
    assert find_sites(["attn.hook_z"], config) == [f"{layer}.attn.mix" for layer in range(12)]
    assert find_sites(["final", "0.*", "embed", "embed"], config)[0] == "embed"
    assert find_sites(["*"], config) == all_sites(config)
    assert find_sites("3.attn.q", config) == ["3.attn.q"]


def test_wrong_names_are_all_listed_with_near_ones():
    config = build("neox").config
    with pytest.raises(SiteError) as caught:
        find_sites(["0.resid_pots", "*.resid_mid", "2.resid_post", "embed", "attn.patern"], config)
    said = str(caught.value)
    assert "'0.resid_pots'" in said and "0.resid_post" in said
    assert "'*.resid_mid'" in said and "*.resid_pre" in said and "layers are 0 to 1" in said
    assert "'2.resid_post'" in said and "1.resid_post" in said
    assert "'attn.patern'" in said and "attn.pattern" in said
    assert "'embed'" not in said


def test_axes_are_those_of_the_values(model, tokens):
    sizes = {"batch": 3, "pos": 7, "query": 7, "key": 7, "one": 1}
    sizes |= {"head": 4, "kv_head": model.config.kv_heads, "d_head": 4, "d_model": 12}
    sizes |= {"d_mlp": 20, "d_vocab": 30}
    trace = record(model, tokens, ["*"], logits="all")
    for site, value in trace.values.items():
        assert value.shape == tuple(sizes[axis] for axis in site_axes(site)), site
