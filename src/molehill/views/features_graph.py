"""A graph of direct effects as data: its nodes with what they are made of, its edges, its words.

The schema is described in docs/rooms/features.md; the graph itself, in the schema that other tools
read, is written by `features/graph_files.py`. This module knows nothing of terminals, pages or
files.
"""

from __future__ import annotations

from typing import Any

from molehill.features.graph import Graph, Node, Scores
from molehill.features.graph_files import node_id
from molehill.language_model import LanguageModel
from molehill.views.provenance import provenance
from molehill.views.words import bare, clipped, enumerated, percent, significant

__all__ = ["SCHEMA", "graph_data"]

SCHEMA = "molehill.features-graph/1"

_LABEL = 40
_UNCLEAR = "unclear"


def graph_data(
    lm: LanguageModel, whole: Graph, pruned: Graph, *, version: str, digits: int = 5
) -> dict[str, Any]:
    """Everything that the views of a graph show, as plain values.

    Args:
        whole: the graph as it was found; scores and the closing error are its own.
        pruned: what is shown of it.
    """
    scores = whole.scores()
    edges = [
        [source, target, significant(float(pruned.effects[target, source]), digits)]
        for target, source in pruned.effects.nonzero().tolist()
    ]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "prompt": pruned.prompt,
        "pieces": list(pruned.pieces),
        "n_layers": pruned.n_layers,
        "transcoders": list(pruned.transcoders),
        "counts": {"whole": _counts(whole), "shown": _counts(pruned)},
        "left_out": pruned.left_out,
        "scores": {name: significant(value, 4) for name, value in vars(scores).items()},
        "closing_error": significant(whole.closing_error, 3),
        "nodes": [_node(pruned, number, digits) for number in range(len(pruned.nodes))],
        "edges": edges,
        "notes": _notes(pruned),
        "provenance": provenance(lm, version),
    }
    return data | {"summary": _summary(data, scores)}


def _counts(graph: Graph) -> dict[str, int]:
    kinds = ("feature", "error", "embedding", "logit")
    counts = {kind: sum(node.kind == kind for node in graph.nodes) for kind in kinds}
    return counts | {"edges": graph.edges}


def _node(graph: Graph, number: int, digits: int) -> dict[str, Any]:
    node = graph.nodes[number]
    influence = graph.influence if graph.influence is not None else graph.influences()
    told = {
        "id": node_id(node, graph.n_layers),
        "kind": node.kind,
        "name": _name(graph, node),
        "layer": node.layer,
        "position": node.position,
        "number": node.number,
        "value": significant(node.value, digits),
        "influence": significant(float(influence[number]), digits),
    }
    if node.kind in ("feature", "logit"):
        told["bias"] = significant(float(graph.bias[number]), digits)
        told["unlisted"] = significant(float(graph.unlisted[number]), digits)
    if node.kind == "feature":
        told["label"] = node.label
    if node.kind == "logit":
        told["probability"] = significant(node.weight, digits)
    return told


def _name(graph: Graph, node: Node) -> str:
    where = f"at {bare(graph.pieces[node.position])} ({node.position})"
    if node.kind == "feature":
        label = f" ({_short(node.label)})" if node.label not in ("", _UNCLEAR) else ""
        return f"feature {node.layer}.{node.number}{label} {where}"
    if node.kind == "error":
        return f"error of layer {node.layer} {where}"
    if node.kind == "embedding":
        return f"{bare(graph.pieces[node.position])} ({node.position})"
    return f"says {bare(node.piece)}"


def _short(label: str) -> str:
    """As many whole words of a label as there is room for."""
    words = label.split(", ")
    kept = [words[0]]
    for word in words[1:]:
        if len(", ".join((*kept, word))) > _LABEL:
            return ", ".join((*kept, "..."))
        kept.append(word)
    return clipped(", ".join(kept), 2 * _LABEL)


def _notes(graph: Graph) -> list[str]:
    missing = graph.n_layers - len(graph.transcoders)
    notes = [
        "Attention patterns and norms' divisors are held at their values in this run: why a token "
        "attended where it did is not in the graph.",
        "An effect is what was added, exactly; without it, later patterns would have changed too.",
        "Words are explained against the mean of all words, which moves no probability.",
    ]
    if missing:
        has = (
            "has no transcoder: its MLP is an error"
            if missing == 1
            else ("have no transcoder: their MLPs are errors")
        )
        notes.append(f"{missing} of {graph.n_layers} layers {has}.")
    return notes


def _summary(data: dict[str, Any], scores: Scores) -> list[str]:
    words = [node for node in data["nodes"] if node["kind"] == "logit"]
    said = [
        f"{node['name'].removeprefix('says ')} ({percent(node['probability'])})" for node in words
    ]
    shown, whole = data["counts"]["shown"], data["counts"]["whole"]
    features = sorted(
        (node for node in data["nodes"] if node["kind"] == "feature"),
        key=lambda node: -(node["influence"] or 0.0),
    )
    lines = [
        f"After “{clipped(data['prompt'], 60)}” the model says {enumerated(said[:5], last='or')}.",
        f"{shown['feature']} of {whole['feature']} active features and {shown['edges']:,} of "
        f"{whole['edges']:,} effects carry most of the influence on these words.",
        f"Followed down to where it begins, {percent(scores.replacement)} of that influence comes "
        "from words of the prompt and the rest from errors; of what nodes are made of, "
        f"{percent(scores.completeness)} is no error.",
    ]
    if features:
        named = [node["name"] for node in features[:3]]
        lines.append(f"The features that matter most are {enumerated(named)}.")
    error = data["closing_error"]
    lines.append(
        "Biases are unknown, so that sums cannot be checked."
        if error is None
        else f"Every node's parts add up to its value, to within {error:.1e}."
    )
    return lines
