"""Where a model's parameters are: by part, by layer, and the MLPs' share.

The notes say that two thirds of the parameters sit in the MLPs. That is so where an MLP is four
times as wide as the stream and heads are neither shared nor gated: 8 d² of 12 d² in every block.
This module counts; it needs a configuration and no weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from molehill.model.config import ModelConfig
from molehill.model.transformer import Transformer

__all__ = ["PARTS", "Account", "Entry", "Group", "count_parameters"]

Group = str
"""`embedding`, `attention`, `mlp`, `norm` or `head`."""

# Every part that an entry may have, with its group, in the order of the forward pass.
PARTS: dict[str, Group] = {
    "token embedding": "embedding",
    "positions": "embedding",
    "token types": "embedding",
    "embedding projections": "embedding",
    "attention queries": "attention",
    "attention keys": "attention",
    "attention values": "attention",
    "attention output": "attention",
    "MLP gate": "mlp",
    "MLP in": "mlp",
    "MLP out": "mlp",
    "norms": "norm",
    "head transform": "head",
    "unembedding": "head",
}
_OF_BLOCK = ("attention", "mlp", "norm")


@dataclass(frozen=True)
class Entry:
    """The parameters of one part of one layer, or of a part outside the layers."""

    part: str
    layer: int | None
    weights: int
    """Numbers in matrices, and gains of norms."""
    biases: int

    @property
    def group(self) -> Group:
        """What the part belongs to."""
        return PARTS[self.part]

    @property
    def total(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases


@dataclass(frozen=True)
class Account:
    """A model's parameters, each counted once: a tied unembedding is the token embedding."""

    entries: tuple[Entry, ...]
    tied: bool

    @property
    def total(self) -> int:
        """All parameters."""
        return sum(entry.total for entry in self.entries)

    @property
    def in_blocks(self) -> int:
        """Parameters of the layers: without embeddings, last norm and head."""
        return sum(entry.total for entry in self.entries if entry.layer is not None)

    @property
    def non_embedding(self) -> int:
        """All but embeddings, positions and unembedding, as scaling laws count them (Kaplan et al.
        2020, section 2.1)."""
        tables = ("embedding", "head")
        return sum(entry.total for entry in self.entries if entry.group not in tables)

    def of_group(self, group: Group) -> int:
        """Parameters of a group."""
        return sum(entry.total for entry in self.entries if entry.group == group)

    @property
    def mlp_share(self) -> float:
        """The MLPs' share of all parameters."""
        return self.of_group("mlp") / self.total

    @property
    def mlp_share_non_embedding(self) -> float:
        """The MLPs' share of the parameters that are not embeddings: the notes' two thirds."""
        return self.of_group("mlp") / self.non_embedding

    def by_part(self) -> tuple[Entry, ...]:
        """One entry for each part that the model has, summed over layers."""
        weights, biases = Counter(), Counter()
        for entry in self.entries:
            weights[entry.part] += entry.weights
            biases[entry.part] += entry.biases
        return tuple(
            Entry(part, None, weights[part], biases[part]) for part in PARTS if part in weights
        )

    def by_layer(self) -> tuple[dict[Group, int], ...]:
        """Each layer's parameters by group: attention, mlp, norm."""
        layers = {entry.layer for entry in self.entries if entry.layer is not None}
        sums = {layer: dict.fromkeys(_OF_BLOCK, 0) for layer in sorted(layers)}
        for entry in self.entries:
            if entry.layer is not None:
                sums[entry.layer][entry.group] += entry.total
        return tuple(sums.values())


def count_parameters(config: ModelConfig) -> Account:
    """The account of a model of this configuration. No weight is allocated."""
    model = Transformer(config, device="meta")
    weights: Counter[tuple[str, int | None]] = Counter()
    biases: Counter[tuple[str, int | None]] = Counter()
    for name, parameter in model.named_parameters():
        for part, layer, count in _shares(name, parameter, config):
            is_bias = name.rpartition(".")[2].startswith("b")
            (biases if is_bias else weights)[part, layer] += count
    keys = sorted(
        weights.keys() | biases.keys(),
        key=lambda key: (-1 if key[1] is None else key[1], list(PARTS).index(key[0])),
    )
    entries = tuple(Entry(*key, weights[key], biases[key]) for key in keys)
    account = Account(entries, tied=config.tied and config.has_head)
    held = sum(parameter.numel() for parameter in model.parameters())
    assert account.total == held, f"the parts have {account.total} parameters, the model {held}"
    return account


_OUTSIDE = {
    "w_token": "token embedding",
    "w_pos": "positions",
    "w_type": "token types",
    "w_embed_in": "embedding projections",
    "w_embed_out": "embedding projections",
    "w_head": "head transform",
    "b_head": "head transform",
    "head_norm": "head transform",
    "w_unembed": "unembedding",
    "b_unembed": "unembedding",
    "embed_norm": "norms",
    "final_norm": "norms",
}


def _shares(
    name: str, parameter: Tensor, config: ModelConfig
) -> Iterator[tuple[str, int | None, int]]:
    """The parts that a parameter's rows belong to: (part, layer, numbers)."""
    pieces = name.split(".")
    if pieces[0] != "blocks":
        yield _OUTSIDE[pieces[0]], None, parameter.numel()
        return
    layer, of_row = int(pieces[1]), parameter.numel() // parameter.shape[0]
    match pieces[2:]:
        case ["attn", "w_qkv" | "b_qkv"]:
            queries, keys = config.n_heads * config.d_head, config.kv_heads * config.d_head
            yield "attention queries", layer, queries * of_row
            yield "attention keys", layer, keys * of_row
            yield "attention values", layer, keys * of_row
        case ["attn", "w_out" | "b_out"]:
            yield "attention output", layer, parameter.numel()
        case ["mlp", "w_in" | "b_in"] if config.gated:
            yield "MLP gate", layer, config.d_mlp * of_row
            yield "MLP in", layer, config.d_mlp * of_row
        case ["mlp", "w_in" | "b_in"]:
            yield "MLP in", layer, parameter.numel()
        case ["mlp", "w_out" | "b_out"]:
            yield "MLP out", layer, parameter.numel()
        case _:
            assert "norm" in name, f"{name} is in no part of the account"
            yield "norms", layer, parameter.numel()
