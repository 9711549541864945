"""TransformerLens' names by value: each is the input or output of a module of transformers."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from tests.checkpoints.peers import PEERS, honest_doubles, texts
from tests.trace.small_families import build

from molehill.checkpoints import load_checkpoint
from molehill.errors import SiteError
from molehill.model import ModelConfig, all_sites, foreign_name, resolve_site
from molehill.trace import Zero, find_sites, record

# Their part of a block -> the module of transformers that it wraps, by family.
_LLAMA = {
    "": "model.layers.{}",
    "ln1": "input_layernorm",
    "ln2": "post_attention_layernorm",
    "attn": "self_attn",
    "attn.q": "self_attn.q_proj",
    "attn.k": "self_attn.k_proj",
    "attn.v": "self_attn.v_proj",
    "attn.o": "self_attn.o_proj",
    "mlp": "mlp",
    "mlp.gate": "mlp.gate_proj",
    "mlp.in": "mlp.up_proj",
    "mlp.out": "mlp.down_proj",
    "embed": "model.embed_tokens",
    "ln_final": "model.norm",
    "unembed": "lm_head",
}
_GEMMA = _LLAMA | {
    "ln1_post": "post_attention_layernorm",
    "ln2": "pre_feedforward_layernorm",
    "ln2_post": "post_feedforward_layernorm",
}
_OPT = {
    "": "model.decoder.layers.{}",
    "ln1": "self_attn_layer_norm",
    "ln2": "final_layer_norm",
    "attn": "self_attn",
    "attn.q": "self_attn.q_proj",
    "attn.k": "self_attn.k_proj",
    "attn.v": "self_attn.v_proj",
    "attn.o": "self_attn.out_proj",
    "mlp.in": "fc1",
    "mlp.out": "fc2",
    "embed": "model.decoder.embed_tokens",
    "unembed": "lm_head",
}
MODULES = {
    "gpt2": {
        "": "transformer.h.{}",
        "ln1": "ln_1",
        "ln2": "ln_2",
        "attn": "attn",
        "attn.o": "attn.c_proj",
        "mlp": "mlp",
        "mlp.in": "mlp.c_fc",
        "mlp.out": "mlp.c_proj",
        "embed": "transformer.wte",
        "pos_embed": "transformer.wpe",
        "ln_final": "transformer.ln_f",
        "unembed": "lm_head",
    },
    "opt": _OPT | {"ln_final": "model.decoder.final_layer_norm"},
    "opt-350m": _OPT,
    "pythia": {
        "": "gpt_neox.layers.{}",
        "ln1": "input_layernorm",
        "ln2": "post_attention_layernorm",
        "attn": "attention",
        "attn.o": "attention.dense",
        "mlp": "mlp",
        "mlp.in": "mlp.dense_h_to_4h",
        "mlp.out": "mlp.dense_4h_to_h",
        "embed": "gpt_neox.embed_in",
        "ln_final": "gpt_neox.final_layer_norm",
    },
    "llama": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "bert": {
        "": "bert.encoder.layer.{}",
        "ln1": "attention.output.LayerNorm",
        "ln2": "output.LayerNorm",
        "attn": "attention",
        "attn.q": "attention.self.query",
        "attn.k": "attention.self.key",
        "attn.v": "attention.self.value",
        "attn.o": "attention.output.dense",
        "mlp.in": "intermediate.dense",
        "mlp.out": "output.dense",
        "embed": "bert.embeddings.word_embeddings",
        "pos_embed": "bert.embeddings.position_embeddings",
        "ln_final": "cls.predictions.transform.LayerNorm",
        "unembed": "cls.predictions.decoder",
    },
}
OUTSIDE = ("embed", "pos_embed", "ln_final", "unembed")
LAYER = 1

# Names of theirs whose value is no site's: these are refused and no others.
_NO_QUERIES = {"attn.q.hook_out", "attn.k.hook_out"}
_AFTER = {"ln1.hook_in", "ln2.hook_in", "attn.hook_out"}
_HEAD = {"unembed.hook_in", "unembed.hook_out"}
REFUSED = {
    "gpt2": set(),
    "opt": set(),
    "opt-350m": _AFTER | {"embed.hook_out", "unembed.hook_in"},
    "pythia": set(),
    "llama": _NO_QUERIES,
    "qwen3": _NO_QUERIES,
    "gemma2": _NO_QUERIES | {"unembed.hook_out"},
    "gemma3": _NO_QUERIES,
    "bert": _AFTER | {"unembed.hook_in", "ln_final.hook_in", "ln_final.hook_out"},
}
# What the older names mean, as an end of a part. A norm's place decides.
LEGACY = {
    "hook_resid_pre": ".hook_in",
    "hook_resid_post": ".hook_out",
    "hook_resid_mid": "ln2.hook_in",
    "attn.hook_z": "attn.o.hook_in",
    "hook_attn_out": "attn.o.hook_out",
    "hook_mlp_out": "mlp.out.hook_out",
    "mlp.hook_post": "mlp.out.hook_in",
    "hook_mlp_in": "ln2.hook_in",
}
CHANGED = {
    "gemma2": {"hook_attn_out": "ln1_post.hook_out", "hook_mlp_out": "ln2_post.hook_out"},
    "gemma3": {"hook_attn_out": "ln1_post.hook_out", "hook_mlp_out": "ln2_post.hook_out"},
    "bert": {"hook_mlp_in": "mlp.in.hook_in", "hook_resid_mid": ""},
    "opt-350m": {"hook_mlp_in": "mlp.in.hook_in", "hook_resid_mid": ""},
    "pythia": {"hook_resid_mid": ""},
}


@cache
def watched(name: str, folder: str):
    """Every end of every part in transformers, and our model with a trace of all its sites."""
    peer, ends = PEERS[name], {}
    theirs = peer.build(torch.float64)
    theirs.save_pretrained(folder)
    modules = dict(theirs.named_modules())
    table = MODULES[name]

    def keep(part):
        def hook(_, given, named, out):
            first = given[0] if given else next(iter(named.values()))
            ends[f"{part}.hook_in"] = first.detach()
            ends[f"{part}.hook_out"] = (out[0] if isinstance(out, tuple) else out).detach()

        return hook

    block = table[""].format(LAYER)
    for part, path in table.items():
        inside = part not in OUTSIDE
        path = (f"{block}.{path}" if part else block) if inside else path
        modules[path].register_forward_hook(keep(part), with_kwargs=True)
    ids, _ = texts()
    with torch.no_grad(), honest_doubles():
        theirs(ids)
    lm = load_checkpoint(folder, dtype=torch.float64).model
    return ends, lm, record(lm, ids, all_sites(lm.config), logits="all")


@pytest.fixture
def seen(request, tmp_path_factory):
    return watched(request.param, str(tmp_path_factory.getbasetemp() / request.param))


def _full(part_end: str) -> str:
    part = part_end.rpartition(".")[0]
    return part_end if part in OUTSIDE else f"blocks.{LAYER}.{part_end.removeprefix('.')}"


@pytest.mark.parametrize(("seen", "name"), [(name, name) for name in MODULES], indirect=["seen"])
def test_every_end_of_every_part_is_the_same_value_or_refused(seen, name):
    ends, _, trace = seen
    refused = set()
    for end, value in ends.items():
        if end in ("embed.hook_in", "pos_embed.hook_in"):
            continue  # ids, and positions
        try:
            ours = trace[_full(end)]
        except SiteError:
            refused.add(end)
            continue
        ours = ours.flatten(2)
        if value.numel() < ours.numel():  # positions are looked up once for all texts
            value = value.expand(3, -1, -1)
        expected = value.reshape(ours.shape)
        torch.testing.assert_close(ours, expected, atol=1e-9, rtol=1e-9, msg=end)
    assert refused == REFUSED[name]


@pytest.mark.parametrize(("seen", "name"), [(name, name) for name in MODULES], indirect=["seen"])
def test_the_older_names_mean_what_is_added_and_the_stream(seen, name):
    ends, model, trace = seen
    for theirs, end in (LEGACY | CHANGED.get(name, {})).items():
        if not end:
            with pytest.raises(SiteError, match="stream"):
                resolve_site(_full(theirs), model.config)
            continue
        ours = trace[_full(theirs)].flatten(2)
        expected = ends[end].reshape(ours.shape)
        torch.testing.assert_close(ours, expected, atol=1e-9, rtol=1e-9, msg=theirs)


def test_before_its_norm_what_gemma_writes_is_another_vector_than_what_is_added():
    """The mistake that this table is held against: one name for two values."""
    model = build("gemma2")
    trace = record(model, torch.arange(8)[None], ["mlp.raw", "mlp.out", "attn.raw", "attn.out"])
    for part in ("mlp", "attn"):
        assert not torch.allclose(trace[f"1.{part}.raw"], trace[f"1.{part}.out"], atol=0.1)
    assert trace["blocks.1.mlp.hook_out"] is trace["1.mlp.raw"]
    assert trace["blocks.1.hook_mlp_out"] is trace["1.mlp.out"]


@pytest.mark.parametrize("family", ["gpt2", "neox", "llama", "qwen3", "gemma2", "bert", "notes"])
@pytest.mark.parametrize("dialect", ["legacy", "bridge"])
def test_a_name_that_is_given_is_understood(family, dialect):
    config = build(family).config
    given = {}
    for site in all_sites(config):
        try:
            given[site] = foreign_name(site, config, dialect)
        except SiteError as error:
            assert f"{dialect} dialect has no name" in str(error)
    for site, theirs in given.items():
        assert resolve_site(theirs, config) == site
        assert resolve_site(theirs, config, edited=True) == site
    assert {"0.resid_pre", "1.resid_post", "1.attn.mix", "1.mlp.act"} <= set(given)


def test_names_are_given_in_either_dialect():
    llama, gemma = build("llama").config, build("gemma2").config
    assert foreign_name("1.attn.mix", llama) == "blocks.1.attn.hook_z"
    assert foreign_name("1.attn.mix", llama, "bridge") == "blocks.1.attn.o.hook_in"
    assert foreign_name("0.mlp.gate", llama) == "blocks.0.mlp.hook_pre"
    assert foreign_name("0.mlp.out", gemma, "bridge") == "blocks.0.ln2_post.hook_out"
    assert foreign_name("0.mlp.raw", gemma, "bridge") == "blocks.0.mlp.out.hook_out"
    assert foreign_name("final", llama, "bridge") == "ln_final.hook_out"


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        ("blocks.1.hook_q_input", "'1.resid_pre' once for every head"),
        ("blocks.1.hook_attn_in", "'1.attn.in'"),
        ("blocks.0.ln2.hook_normalized", "'0.mlp.in'"),
        ("ln_final.hook_normalized", "'final' is the norm's whole output"),
        ("blocks.1.attn.hook_k", "'1.attn.k' holds them as the scores use them"),
        ("hook_v_input", "once for every head"),
    ],
)
def test_what_is_not_kept_is_refused_with_the_nearest(theirs, said):
    with pytest.raises(SiteError, match=said):
        find_sites([theirs], build("llama").config)


@pytest.mark.parametrize("theirs", ["attn.q.hook_in", "mlp.gate.hook_in", "hook_mlp_in"])
def test_one_readers_copy_may_be_read_and_not_changed(theirs):
    model, ids = build("llama"), torch.arange(6)[None]
    assert record(model, ids, [f"blocks.1.{theirs}"]).values
    with pytest.raises(SiteError, match="one reader's copy"):
        record(model, ids, ["final"], edits=[Zero(f"blocks.1.{theirs}")])


def test_a_change_of_what_a_part_reads_leaves_the_stream_alone():
    model, ids = build("llama"), torch.arange(6)[None]
    plain = record(model, ids, ["*"])
    silent = record(model, ids, ["*"], edits=[Zero("1.mlp.in")])
    assert float(silent["1.mlp.out"].abs().max()) == 0.0
    torch.testing.assert_close(silent["1.resid_post"], plain["1.resid_mid"])
    torch.testing.assert_close(silent["1.attn.out"], plain["1.attn.out"])


def test_a_config_alone_says_what_names_mean():
    sizes = {"n_layers": 1, "d_model": 8, "n_heads": 2, "d_head": 4, "d_mlp": 8, "d_vocab": 9}
    config = ModelConfig(**sizes, n_ctx=4, norm_place="block_end", final_norm=False)
    assert resolve_site("blocks.0.hook_resid_mid", config) == "0.resid_mid"
    with pytest.raises(SiteError, match=r"'0\.resid_mid' plus '0\.mlp\.out'"):
        resolve_site("blocks.0.ln2.hook_in", config)
