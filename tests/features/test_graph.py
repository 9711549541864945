"""Influence, pruning and scores by hand; files written and read back."""

from __future__ import annotations

import json
import math

import pytest
import torch

from molehill.errors import CheckpointError, ConfigError
from molehill.features.graph import Graph, Node, influences
from molehill.features.graph_files import graph_json, node_id, read_graph, write_graph


def small() -> Graph:
    """Two embeddings, an error, three features and a word.

    word 6 = 6 (feature 1) + 2 (feature 2) - 2 (error 3); feature 1 = 3 (feature 0) + 1 (e. 4);
    feature 0 = 4 (embedding 5); feature 2 = 1 (embedding 4).
    """
    nodes = (
        Node("feature", 0, 1, 8, 4.5),
        Node("feature", 1, 1, 3, 4.0),
        Node("feature", 1, 0, 5, 1.0),
        Node("error", 1, 1, None, 2.0),
        Node("embedding", None, 0, 11, 1.0),
        Node("embedding", None, 1, 12, 1.0),
        Node("logit", None, 1, 20, 6.5, 0.8, "·mole"),
    )
    effects = torch.zeros(7, 7, dtype=torch.float64)
    effects[6, 1], effects[6, 2], effects[6, 3] = 6.0, 2.0, -2.0
    effects[1, 0], effects[1, 4] = 3.0, 1.0
    effects[0, 5] = 4.0
    effects[2, 4] = 1.0
    bias = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    return Graph(
        "village", "abc", ("a", "b"), "the mole", ("the", "·mole"), 2, nodes, effects, bias,
        torch.zeros(7, dtype=torch.float64),
    )  # fmt: skip


def test_influence_follows_all_paths_by_shares_of_sizes():
    found = small().influences().tolist()
    wanted = {1: 0.6, 2: 0.2, 3: 0.2, 0: 0.6 * 0.75, 4: 0.6 * 0.25 + 0.2, 5: 0.6 * 0.75}
    for number, share in wanted.items():
        assert found[number] == pytest.approx(0.8 * share)
    assert found[6] == 0.0


def test_influence_is_the_sum_of_the_powers():
    generator = torch.Generator().manual_seed(0)
    effects = torch.randn(9, 9, generator=generator, dtype=torch.float64).tril(-1)
    weights = torch.zeros(9, dtype=torch.float64)
    weights[7:] = torch.tensor([0.3, 0.6])
    shares = effects.abs() / effects.abs().sum(1, keepdim=True).clamp(min=1e-30)
    unit = torch.eye(9, dtype=torch.float64)
    wanted = weights @ (torch.linalg.inv(unit - shares) - unit)
    torch.testing.assert_close(influences(effects, weights), wanted)


def test_scores_by_hand():
    scores = small().scores()
    assert scores.replacement == pytest.approx(0.8 / (0.8 + 0.2))
    # Inputs from errors: 0.2 of the word's; each node counts by its influence, the word by 0.8.
    out = 0.8 * (0.6 + 0.2 + 0.2 + 0.45 + 0.35 + 0.45) + 0.8
    assert scores.completeness == pytest.approx((out - 0.8 * 0.2) / out)


def test_parts_are_those_of_the_nodes_values():
    graph = small()
    assert graph.sums()[[0, 1, 2, 6]].tolist() == [4.5, 4.0, 1.0, 6.5]
    assert graph.closing_error == 0.0


def test_pruning_keeps_sums():
    graph = small()
    # Influences 0.48 0.36 0.36 0.28 0.16 0.16 of 1.8: the first three have 1.2.
    kept = graph.pruned(nodes=0.6, edges=1.0)
    assert [node.number for node in kept.nodes] == [8, 3, 11, 12, 20]
    assert kept.left_out == 1
    assert kept.sums()[[0, 1, 4]].tolist() == [4.5, 4.0, 6.5]
    assert kept.unlisted.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0]
    assert kept.effects[4].tolist() == [0.0, 6.0, 0.0, 0.0, 0.0]
    assert kept.closing_error == 0.0
    assert kept.influence is not None and kept.cumulative is not None
    assert kept.influence[1].item() == pytest.approx(0.48)
    assert kept.cumulative[1].item() == pytest.approx(0.48 / 1.8)


def test_edges_are_pruned_by_their_share_and_loose_ends_go():
    # Edges by share times influence: 6-1 0.48, 0-5 and 1-0 0.36, 6-2 6-3 2-4 0.16, 1-4 0.12.
    graph = small().pruned(nodes=1.0, edges=0.6)
    assert [node.kind for node in graph.nodes] == [
        "feature",
        "feature",
        *["embedding"] * 2,
        "logit",
    ]
    assert graph.edges == 3
    assert graph.unlisted.tolist() == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert graph.closing_error == 0.0
    whole = small().pruned(nodes=1.0, edges=1.0)
    assert (len(whole.nodes), whole.edges) == (7, 7)
    with pytest.raises(ConfigError, match=r"The share of edges is 1.5, expected 0 to 1"):
        small().pruned(edges=1.5)


def test_ids_and_fields_are_those_of_the_schema():
    graph = small().pruned(1.0, 1.0)
    told = graph_json(graph, "The mole!", settings={"nodes": 0.8, "edges": 0.98})
    assert told["metadata"]["slug"] == "the-mole"
    assert told["metadata"]["prompt_tokens"] == ["the", " mole"]
    assert told["metadata"]["node_threshold"] == 0.8
    ids = [one["node_id"] for one in told["nodes"]]
    assert ids == ["0_8_1", "1_3_1", "1_5_0", "1_-1_1", "E_11_0", "E_12_1", "3_20_1"]
    assert ids == [node_id(node, 2) for node in graph.nodes]
    assert told["nodes"][1]["feature"] == 4 * 5 // 2 + 3  # Cantor's pair of 1 and 3
    assert told["nodes"][6]["clerp"] == 'Output " mole" (p=0.800)'
    required = {"node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp"}
    assert all(required <= set(one) for one in told["nodes"])
    assert {"source": "1_3_1", "target": "3_20_1", "weight": 6.0} in told["links"]
    assert {one["source"] for one in told["links"]} <= set(ids)


@pytest.mark.parametrize("pruned", [False, True])
def test_a_file_gives_back_the_graph(tmp_path, pruned):
    graph = small().pruned(0.9, 0.9) if pruned else small()
    write_graph(graph, tmp_path / "graph.json")
    found = read_graph(tmp_path / "graph.json")
    assert found.nodes == graph.nodes
    for name in ("effects", "bias", "unlisted", "influence", "cumulative"):
        mine, theirs = getattr(graph, name), getattr(found, name)
        assert (mine is None) == (theirs is None)
        if mine is not None and name in ("influence", "cumulative"):
            mine = torch.where(graph.of_kind("logit"), 0.0, mine)  # the schema has none for words
        assert mine is None or torch.equal(mine, theirs)
    names = ("model", "fingerprint", "transcoders", "prompt", "pieces", "n_layers", "left_out")
    assert all(getattr(found, name) == getattr(graph, name) for name in names)
    assert found.closing_error == 0.0


def test_a_graph_of_another_tool_is_read_without_biases(tmp_path):
    told = graph_json(small())
    for key in ("molehill", "pruning_settings", "info", "schema_version"):
        del told["metadata"][key]
    required = ("node_id", "feature", "layer", "ctx_idx", "feature_type", "jsNodeId", "clerp")
    keys = (*required, "activation", "influence", "token_prob")
    told["nodes"] = [{key: one[key] for key in keys} for one in reversed(told["nodes"])]
    path = tmp_path / "theirs.json"
    path.write_text(json.dumps(told))
    found = read_graph(path)
    assert torch.equal(found.effects.sort(0).values.sum(0).sort().values,
                       small().effects.sort(0).values.sum(0).sort().values)  # fmt: skip
    assert found.n_layers == 2
    assert math.isnan(found.closing_error)
    assert sum(node.kind == "feature" for node in found.nodes) == 3
    assert torch.equal(found.influences().sort().values, small().influences().sort().values)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "is no JSON"),
        ("[]", "is no graph of the schema"),
        ('{"metadata": {}, "nodes": [], "links": []}', "is no graph of the schema: KeyError"),
        (None, "cannot be read"),
    ],
)
def test_other_files_are_named(tmp_path, content, match):
    path = tmp_path / "one.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(CheckpointError, match=match):
        read_graph(path)


def test_links_to_nowhere_and_double_ids_are_refused(tmp_path):
    path = tmp_path / "one.json"
    for change in ("link", "node"):
        told = graph_json(small())
        if change == "link":
            told["links"].append({"source": "9_9_9", "target": "3_20_1", "weight": 1.0})
        else:
            told["nodes"].append(told["nodes"][0])
        path.write_text(json.dumps(told))
        with pytest.raises(CheckpointError, match="is no graph of the schema"):
            read_graph(path)


def test_labels_go_with_features_into_the_file_and_back(tmp_path):
    labels = {1: [f"“word {number}”" for number in range(9)]}
    graph = small().labelled(labels)
    assert [node.label for node in graph.nodes] == ["", "“word 3”", "“word 5”", "", "", "", ""]
    clerps = {one["node_id"]: one["clerp"] for one in graph_json(graph)["nodes"]}
    assert clerps["1_3_1"] == "“word 3”" and clerps["0_8_1"] == ""
    assert clerps["3_20_1"].startswith("Output")
    write_graph(graph, tmp_path / "graph.json")
    assert read_graph(tmp_path / "graph.json").nodes == graph.nodes
