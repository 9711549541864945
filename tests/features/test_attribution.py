"""Graphs of direct effects: sums, and every edge against a run that is changed by hand."""

from __future__ import annotations

import pytest
import torch
from tests.features.test_architectures import made
from tests.trace.small_families import build

from molehill.errors import ConfigError, TextError
from molehill.features.attribution import attribute
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.model import all_sites
from molehill.text import Tokens
from molehill.trace import Add, Replace, record

TOKENS = Tokens.of_ids([[3, 1, 4, 1, 5]])
FAMILIES = ["gpt2", "llama", "neox", "gemma2", "gemma3", "qwen3", "notes", "opt"]


def transcoder(layer: int, architecture="topk", **changes) -> Features:
    found = made(architecture, seed=layer, centred=False, **changes)
    return Features(found, (f"{layer}.mlp.in",), (f"{layer}.mlp.out",), f"layer {layer}")


def language(family: str) -> LanguageModel:
    return LanguageModel(build(family), None, family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("skip", [False, True])
def test_parts_of_every_node_add_up_to_its_value(family, skip):
    lm = language(family)
    both = [transcoder(0, skip=skip), transcoder(1, skip=skip)]
    graph = attribute(lm, TOKENS, both)
    assert graph.closing_error < 1e-9
    features = [node for node in graph.nodes if node.kind == "feature"]
    assert len(features) == 2 * 5 * 4  # layers, positions, k
    assert len(graph.nodes) == len(features) + 2 * 5 + 5 + int(graph.of_kind("logit").sum())
    logits = record(lm.model, TOKENS, [], logits="last")["logits"][0, -1]
    for node in graph.nodes:
        if node.kind == "logit" and lm.config.final_softcap is None:
            assert node.value == pytest.approx(float(logits[node.number] - logits.mean()), abs=1e-9)


@pytest.mark.parametrize("architecture", ["relu", "jumprelu", "gated", "batchtopk", "matryoshka"])
def test_every_architecture_adds_up(architecture):
    graph = attribute(language("llama"), TOKENS, [transcoder(1, architecture)])
    assert bool(graph.of_kind("feature").any())
    assert graph.closing_error < 1e-9


def held_run(model, change=()):
    """What the MLPs read and the unembedding, with all patterns, divisors and MLP outputs held at
    their measured values by edits, and something added."""
    sites = [
        site
        for site in all_sites(model.config)
        if site.endswith((".attn.pattern", ".mlp.out"))
        or (site.endswith("_scale") and not site.endswith(("q_scale", "k_scale")))
    ]
    wanted = [site for site in all_sites(model.config) if site.endswith(".mlp.in")]
    plain = record(model, TOKENS, [*sites, *wanted], logits="none")
    edits = [Replace(site, plain[site]) for site in sites]
    return record(model, TOKENS, [*wanted, "final"], edits=[*edits, *change], logits="none")


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox", "gemma2", "notes"])
def test_edges_are_the_effects_of_changes_by_hand(family):
    lm = language(family)
    model = lm.model
    coders = {layer: transcoder(layer) for layer in (0, 1)}
    graph = attribute(lm, TOKENS, list(coders.values()))
    before = held_run(model)
    sources = list(range(0, len(graph.nodes), 3))
    for source in sources:
        node = graph.nodes[source]
        if node.kind == "logit":
            continue
        site = "0.resid_pre" if node.layer is None else f"{node.layer}.mlp.out"
        if node.kind == "feature":
            added = node.value * coders[node.layer].autoencoder.w_dec[node.number].detach()
        elif node.kind == "embedding":
            added = record(model, TOKENS, [site], logits="none")[site][0, node.position]
        else:
            trace = record(model, TOKENS, [site, site.replace("out", "in")], logits="none")
            with torch.no_grad():
                near = coders[node.layer].autoencoder(trace[site.replace("out", "in")][0])
            added = (trace[site][0] - near)[node.position]
        after = held_run(model, [Add(site, added, positions=[node.position])])
        for target, other in enumerate(graph.nodes):
            if other.kind == "feature":
                asked = coders[other.layer].autoencoder.w_enc[other.number].detach()
                place = f"{other.layer}.mlp.in"
            elif other.kind == "logit":
                table = model.unembedding.detach()
                asked, place = table[other.number] - table.mean(0), "final"
            else:
                continue
            change = (after[place] - before[place])[0, other.position] @ asked
            assert float(graph.effects[target, source]) == pytest.approx(float(change), abs=1e-9)


def test_a_layer_without_a_transcoder_is_an_error_node():
    lm = language("llama")
    graph = attribute(lm, TOKENS, [transcoder(1)])
    assert graph.closing_error < 1e-9
    assert {node.layer for node in graph.nodes if node.kind == "feature"} == {1}
    written = record(lm.model, TOKENS, ["0.mlp.out"], logits="none")["0.mlp.out"][0]
    lengths = [node.value for node in graph.nodes if node.kind == "error" and node.layer == 0]
    assert lengths == pytest.approx(written.norm(dim=1).tolist())


def test_where_few_are_looked_into_their_rows_are_those_of_the_whole_graph():
    lm = language("gpt2")
    both = [transcoder(0), transcoder(1)]
    whole = attribute(lm, TOKENS, both, targets=[3, 7])
    some = attribute(lm, TOKENS, both, targets=[3, 7], most_features=9)
    assert (some.left_out, int(some.of_kind("feature").sum())) == (31, 9)
    assert some.closing_error < 1e-9
    place = [whole.nodes.index(node) for node in some.nodes]
    torch.testing.assert_close(some.effects, whole.effects[place][:, place])
    # One batch is chosen at once here: by the targets' own rows.
    matter = whole.of_kind("logit").double() @ (
        whole.effects.abs()
        / whole.effects.abs().sum(1, keepdim=True).clamp(min=1e-30)
        * whole.weights[:, None]
    )
    matter[~whole.of_kind("feature")] = -1
    assert sorted(matter.topk(9).indices.tolist()) == place[:9]


def test_targets_are_the_likeliest_words():
    lm = language("gpt2")
    likely = record(lm.model, TOKENS, [], logits="last")["logits"][0, -1].softmax(-1)
    graph = attribute(lm, TOKENS, [transcoder(0)])
    told = [(node.number, node.weight) for node in graph.nodes if node.kind == "logit"]
    values, words = likely.topk(10)
    count = min(10, int((values.cumsum(0) < 0.95).sum()) + 1)
    assert told == [
        (word, pytest.approx(value))
        for word, value in zip(words[:count].tolist(), values[:count].tolist(), strict=True)
    ]


def test_what_makes_no_graph_is_refused():
    lm = language("llama")
    flat = Features(made("topk"), ("0.resid_post",), ("0.resid_post",), "flat")
    with pytest.raises(ConfigError, match=r"flat reads 0.resid_post and writes 0.resid_post: a"):
        attribute(lm, TOKENS, [flat])
    with pytest.raises(ConfigError, match="are both of layer 1: give one"):
        attribute(lm, TOKENS, [transcoder(1), transcoder(1)])
    with pytest.raises(ConfigError, match="has no linear head"):
        attribute(language("bert"), TOKENS, [transcoder(1)])
    with pytest.raises(TextError, match="expected different words of 30"):
        attribute(lm, TOKENS, [transcoder(1)], targets=[30])
    with pytest.raises(TextError, match="one text with a token"):
        attribute(lm, Tokens.of_ids([[1], [2]]), [transcoder(1)])
