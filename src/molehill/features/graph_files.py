"""Graphs in the JSON that Neuronpedia and its peers draw, written and read back.

Nodes have ids of their kind and place: `layer_feature_position`, `layer_-1_position` for an error,
`E_token_position`, and a next word one layer above the last but one; a feature's number is paired
with its layer's into one (Cantor). What the schema has no field for (biases, values of nodes that
are no features, sums of what was pruned) stands in fields of our own, which other readers pass
over; other writers' graphs are read without them. Schema: Neuronpedia's `graph-schema.json`,
version 1.0.0; ids as circuit-tracer writes them.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from molehill.errors import CheckpointError
from molehill.features.graph import Graph, Node
from molehill.files import write_atomically
from molehill.version import __version__

__all__ = ["graph_json", "node_id", "read_graph", "write_graph"]

_TYPES = {
    "feature": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "embedding": "embedding",
    "logit": "logit",
}
_KINDS = {words: kind for kind, words in _TYPES.items()}
_ORDER = tuple(_TYPES)


def node_id(node: Node, n_layers: int) -> str:
    """A node's id, by its kind and place."""
    if node.kind == "feature":
        return f"{node.layer}_{node.number}_{node.position}"
    if node.kind == "error":
        return f"{node.layer}_-1_{node.position}"
    first = "E" if node.kind == "embedding" else str(n_layers + 1)
    return f"{first}_{node.number}_{node.position}"


def graph_json(
    graph: Graph, slug: str = "graph", *, settings: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A graph as plain values.

    Args:
        slug: a name for addresses; other characters than letters, digits and hyphens become these.
        settings: `nodes` and `edges`, the shares it was pruned to.
    """
    ids = [node_id(node, graph.n_layers) for node in graph.nodes]
    pruning = {f"{name[:-1]}_threshold": share for name, share in (settings or {}).items()}
    targets, sources = graph.effects.nonzero(as_tuple=True)
    weights = graph.effects[targets, sources].tolist()
    return {
        "metadata": {
            "slug": re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-") or "graph",
            "scan": graph.model,
            "transcoder_list": list(graph.transcoders),
            "prompt_tokens": [_spaced(piece) for piece in graph.pieces],
            "prompt": graph.prompt,
            "schema_version": 1,
            **({"node_threshold": pruning["node_threshold"]} if pruning else {}),
            "info": {"generator": {"name": "Molehill", "version": __version__}},
            "pruning_settings": pruning,
            "molehill": {
                "fingerprint": graph.fingerprint,
                "pieces": list(graph.pieces),
                "n_layers": graph.n_layers,
                "left_out": graph.left_out,
                "closing_error": _number(graph.closing_error),
            },
        },
        "qParams": {
            "pinnedIds": [],
            "supernodes": [],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": [_node(graph, number, ids[number]) for number in range(len(ids))],
        "links": [
            {"source": ids[source], "target": ids[target], "weight": weight}
            for target, source, weight in zip(
                targets.tolist(), sources.tolist(), weights, strict=True
            )
        ],
    }


def _node(graph: Graph, number: int, name: str) -> dict[str, Any]:
    node = graph.nodes[number]
    first = {"embedding": "E", "logit": str(graph.n_layers + 1)}.get(node.kind, str(node.layer))
    told: dict[str, Any] = {
        "node_id": name,
        "feature": _feature(node),
        "layer": first,
        "ctx_idx": node.position,
        "feature_type": _TYPES[node.kind],
        "jsNodeId": _drawn_id(node, first),
        "clerp": node.label,
        "token_prob": node.weight,
        "is_target_logit": False,
        "run_idx": 0,
        "reverse_ctx_idx": 0,
        "activation": node.value if node.kind == "feature" else None,
        "influence": None,
        "value": node.value,
        "bias": _number(float(graph.bias[number])),
        "unlisted": _number(float(graph.unlisted[number])),
    }
    if graph.cumulative is not None and graph.influence is not None and node.kind != "logit":
        told["influence"] = float(graph.cumulative[number])
        told["own_influence"] = float(graph.influence[number])
    if node.kind == "logit":
        told["clerp"] = f'Output "{_spaced(node.piece)}" (p={node.weight:.3f})'
        told["piece"] = node.piece
        told["is_target_logit"] = number == len(graph.nodes) - int(graph.of_kind("logit").sum())
    return told


def _feature(node: Node) -> int:
    if node.kind == "feature":
        assert node.layer is not None and node.number is not None, "a feature has a place"
        both = node.layer + node.number
        return both * (both + 1) // 2 + node.number
    if node.kind == "error":
        return -1
    return node.position if node.kind == "embedding" else node.number or 0


def _drawn_id(node: Node, first: str) -> str:
    if node.kind == "feature":
        return f"{first}_{node.number}-0"
    if node.kind == "error":
        return f"{first}_-1-{node.position}"
    return f"{'E' if node.kind == 'embedding' else 'L'}_{node.number}-{node.position}"


def _spaced(piece: str) -> str:
    """A token with the space that it begins with."""
    return f" {piece[1:]}" if piece.startswith("·") and len(piece) > 1 else piece


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def write_graph(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    slug: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> None:
    """Write a graph, whole or not at all.

    Raises:
        CheckpointError: it cannot be written.
    """
    path = Path(path)
    told = graph_json(graph, slug or path.stem, settings=settings)
    content = json.dumps(told, ensure_ascii=False, allow_nan=False).encode("utf-8")
    try:
        write_atomically(path, lambda file: file.write(content))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be written: {error.strerror}.") from error


def read_graph(path: str | os.PathLike[str]) -> Graph:
    """A graph from its file, ours or another tool's in the same schema.

    Of another tool's, values of nodes that are no features are 0, and biases are unknown (NaN), so
    that nothing can be said of sums.

    Raises:
        CheckpointError: no such file, no JSON, or nodes and links that do not fit.
    """
    path = Path(path)
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON: {error}.") from None
    try:
        return _graph(told)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise CheckpointError(f"{path} is no graph of the schema: {reason}.") from None


def _graph(told: Mapping[str, Any]) -> Graph:
    about = told["metadata"]
    ours = about.get("molehill", {})
    entries = sorted(told["nodes"], key=lambda one: _ORDER.index(_KINDS[one["feature_type"]]))
    nodes = tuple(map(_read_node, entries))
    place = {one["node_id"]: number for number, one in enumerate(entries)}
    if len(place) < len(nodes):
        raise ValueError("two nodes have the same id")
    effects = torch.zeros(len(nodes), len(nodes), dtype=torch.float64)
    for link in told["links"]:
        effects[place[link["target"]], place[link["source"]]] = float(link["weight"])
    layers = [node.layer + 1 for node in nodes if node.layer is not None]
    known = entries and all(one.get("own_influence") is not None for one in entries[:1])
    return Graph(
        model=str(about["scan"]),
        fingerprint=str(ours.get("fingerprint", "")),
        transcoders=tuple(map(str, about.get("transcoder_list", ()))),
        prompt=str(about["prompt"]),
        pieces=tuple(map(str, ours.get("pieces", about["prompt_tokens"]))),
        n_layers=int(ours.get("n_layers", max(layers, default=0))),
        nodes=nodes,
        effects=effects,
        bias=_column(entries, "bias", math.nan),
        unlisted=_column(entries, "unlisted", math.nan),
        left_out=int(ours.get("left_out", 0)),
        influence=_column(entries, "own_influence", 0.0) if known else None,
        cumulative=_column(entries, "influence", 0.0) if known else None,
    )


def _column(entries: list[Mapping[str, Any]], name: str, missing: float) -> torch.Tensor:
    values = [one.get(name) for one in entries]
    return torch.tensor(
        [missing if value is None else float(value) for value in values], dtype=torch.float64
    )


def _read_node(one: Mapping[str, Any]) -> Node:
    kind = _KINDS[one["feature_type"]]
    layer = int(one["layer"]) if kind in ("feature", "error") else None
    activation = one.get("activation")
    value = one.get("value", 0.0 if activation is None else activation)
    return Node(
        kind,  # pyrefly: ignore[bad-argument-type] (a key of _TYPES)
        layer,
        int(one["ctx_idx"]),
        None if kind == "error" else int(one["node_id"].split("_")[1]),
        float(value),
        float(one.get("token_prob") or 0.0),
        str(one.get("piece", one.get("clerp", ""))) if kind == "logit" else "",
        str(one.get("clerp") or "") if kind == "feature" else "",
    )
