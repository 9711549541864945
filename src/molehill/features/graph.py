"""Graph: nodes with direct effects between them, how much each matters for the next word, pruning.

Influence follows all paths at once: each node hands what it has to its sources, in the shares that
their effects have in its own, sizes only; a target word begins with its probability. With A the
matrix of these shares, that is w (A + A² + ...), which ends, since effects only lead upwards. What
is pruned is kept as a sum, so that every node's parts still add up. Ameisen et al. 2025, "Circuit
Tracing", appendix on graph pruning; scores as there. This module knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from molehill.errors import ConfigError

__all__ = ["Graph", "Node", "Scores", "influences"]


@dataclass(frozen=True)
class Node:
    """A feature, an error, an embedding or a next word."""

    kind: Literal["feature", "error", "embedding", "logit"]
    layer: int | None
    """Of features and errors."""
    position: int
    number: int | None
    """The feature; the token of an embedding or a next word."""
    value: float
    """A feature's value, an error's or embedding's length, a word's score less the mean score."""
    weight: float = 0.0
    """A next word's probability."""
    piece: str = ""
    """A next word, for people."""
    label: str = ""
    """What a feature answers to, if that is known."""


@dataclass(frozen=True)
class Scores:
    """How much of what led to the target words went through features, from 0 to 1."""

    replacement: float
    """The embeddings' share of the influence that reaches embeddings and errors."""
    completeness: float
    """The share of nodes' inputs, weighted by their influence, that does not come from errors."""


@dataclass(frozen=True, eq=False)
class Graph:
    """Nodes in the order features, errors, embeddings, next words; effects from source to target.

    Every feature's value and every next word's score is the sum of its row of `effects`, its `bias`
    and its `unlisted`.
    """

    model: str
    fingerprint: str
    transcoders: tuple[str, ...]
    prompt: str
    pieces: tuple[str, ...]
    n_layers: int
    nodes: tuple[Node, ...]
    effects: Float[Tensor, "target source"]
    bias: Float[Tensor, " node"]
    """What biases on their way add to each node."""
    unlisted: Float[Tensor, " node"]
    """The sum of effects that are not in the graph."""
    left_out: int = 0
    """Active features that are no nodes."""
    influence: Float[Tensor, " node"] | None = None
    """Each node's before pruning; known of pruned graphs."""
    cumulative: Float[Tensor, " node"] | None = None
    """The share of all influence that this node and all above it have, before pruning."""

    def __repr__(self) -> str:
        return (
            f"Graph of {len(self.nodes)} nodes and {self.edges:,} edges for {self.prompt!r}, "
            f"to within {self.closing_error:.1e}"
        )

    def labelled(self, labels: Mapping[int, Sequence[str]]) -> Graph:
        """The same with labels of features, by layer and number."""

        def with_label(node: Node) -> Node:
            if node.kind != "feature" or node.layer not in labels:
                return node
            assert node.number is not None, "a feature has a number"
            return replace(node, label=labels[node.layer][node.number])

        return replace(self, nodes=tuple(map(with_label, self.nodes)))

    @property
    def edges(self) -> int:
        """How many effects there are."""
        return int((self.effects != 0).sum())

    def of_kind(self, *kinds: str) -> Bool[Tensor, " node"]:
        """Which nodes are of these kinds."""
        return torch.tensor([node.kind in kinds for node in self.nodes])

    @property
    def values(self) -> Float[Tensor, " node"]:
        """The nodes' values."""
        return self.effects.new_tensor([node.value for node in self.nodes])

    def sums(self) -> Float[Tensor, " node"]:
        """Each node's parts added up; 0 for errors and embeddings, which have none."""
        return self.effects.sum(1) + self.bias + self.unlisted

    @property
    def closing_error(self) -> float:
        """The largest distance between a node's value and its parts' sum, over features and next
        words, against the larger of the value and the root mean square of its kind; NaN where
        biases are unknown."""
        worst = 0.0
        for kind in ("feature", "logit"):
            mine = self.of_kind(kind)
            if bool(mine.any()):
                values = self.values[mine].double()
                scale = values.abs().clamp(min=float(values.square().mean().sqrt()))
                off = (self.sums()[mine].double() - values).abs() / scale.clamp(min=1e-30)
                worst = max(worst, float(off.max())) if bool(off.isfinite().all()) else math.nan
        return worst

    @property
    def weights(self) -> Float[Tensor, " node"]:
        """The target words' probabilities; 0 for all else."""
        return self.effects.new_tensor([node.weight for node in self.nodes])

    def influences(self) -> Float[Tensor, " node"]:
        """How much each node matters for the target words."""
        return influences(self.effects, self.weights)

    def scores(self) -> Scores:
        """Replacement and completeness; of a whole graph, before pruning."""
        shares = _shares(self.effects)
        found = influences(self.effects, self.weights)
        errors = self.of_kind("error")
        tokens = float(found[self.of_kind("embedding")].sum())
        lost = float(found[errors].sum())
        out = found + self.weights
        explained = 1 - shares[:, errors].sum(1)
        return Scores(
            tokens / max(tokens + lost, 1e-30),
            float((explained * out).sum() / out.sum().clamp(min=1e-30)),
        )

    def pruned(self, nodes: float = 0.8, edges: float = 0.98) -> Graph:
        """The nodes that together have this share of the influence, then the edges likewise.

        Embeddings and target words stay. Features that nothing reaches or that reach nothing go,
        and so do errors that reach nothing.

        Raises:
            ConfigError: shares that are not from 0 to 1.
        """
        for name, share in (("nodes", nodes), ("edges", edges)):
            if not 0 <= share <= 1:
                raise ConfigError(f"The share of {name} is {share}, expected 0 to 1.")
        found = self.influences()
        always = self.of_kind("embedding", "logit")
        kept = (found >= _threshold(found, nodes)) | always
        inside = torch.where(kept[:, None] & kept[None, :], self.effects, 0.0)
        shares = _shares(inside)
        scores = shares * (influences(inside, self.weights) + self.weights)[:, None]
        there = (scores >= _threshold(scores.flatten(), edges)) & (inside != 0)
        kept = _connected(kept, there, always, self.of_kind("feature"))
        there &= kept[:, None] & kept[None, :]
        effects = torch.where(there, self.effects, 0.0)
        unlisted = self.unlisted + (self.effects - effects).sum(1)
        order = found.argsort(descending=True, stable=True)
        cumulative = torch.empty_like(found)
        cumulative[order] = found[order].cumsum(0) / found.sum().clamp(min=1e-30)
        left = int((~kept & self.of_kind("feature")).sum())
        return replace(
            self,
            nodes=tuple(node for node, stays in zip(self.nodes, kept, strict=True) if stays),
            effects=effects[kept][:, kept],
            bias=self.bias[kept],
            unlisted=unlisted[kept],
            left_out=self.left_out + left,
            influence=found[kept],
            cumulative=cumulative[kept],
        )


def influences(
    effects: Float[Tensor, "target source"], weights: Float[Tensor, " node"]
) -> Float[Tensor, " node"]:
    """w (A + A² + ...), A being each row's sizes by their sum.

    Args:
        effects: with no way from a node back to itself.
        weights: what each node begins with.
    """
    shares = _shares(effects)
    now = weights @ shares
    found = now.clone()
    for _ in range(len(weights)):
        if not bool(now.any()):
            return found
        now = now @ shares
        found += now
    raise AssertionError("effects lead upwards, so that no path is longer than there are nodes")


def _shares(effects: Float[Tensor, "target source"]) -> Float[Tensor, "target source"]:
    sizes = effects.abs()
    return sizes / sizes.sum(1, keepdim=True).clamp(min=1e-10)


def _threshold(scores: Float[Tensor, " n"], share: float) -> float:
    """The least score of those that, from the largest on, have this share of all."""
    ordered = scores.sort(descending=True).values
    reached = ordered.cumsum(0) / ordered.sum().clamp(min=1e-30)
    at = min(int(torch.searchsorted(reached, share)), len(ordered) - 1)
    return float(ordered[at])


def _connected(
    kept: Bool[Tensor, " node"],
    there: Bool[Tensor, "target source"],
    always: Bool[Tensor, " node"],
    feature: Bool[Tensor, " node"],
) -> Bool[Tensor, " node"]:
    """The kept nodes less those that reach nothing, and features that nothing reaches."""
    while True:
        inside = there & kept[:, None] & kept[None, :]
        stays = kept & (always | inside.any(0)) & (~feature | inside.any(1))
        if bool((stays == kept).all()):
            return kept
        kept = stays
