"""What it takes to know a foreign architecture: its config, and one table of tensors.

A table's row says which of our parameters (or which rows of it) is which of their tensors, and how
the numbers are laid out there. The same rows are read when loading and when saving, so the two
cannot drift apart. This file knows no particular architecture and opens no file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from torch import Tensor

from molehill.checkpoints.families.fields import Fields
from molehill.model import ModelConfig, Transformer

__all__ = [
    "Family",
    "Layout",
    "Part",
    "Row",
    "Slot",
    "differences",
    "from_theirs",
    "in_blocks",
    "linear_rows",
    "norm_rows",
    "settle",
    "to_theirs",
]

Part = Literal["q", "k", "v", "gate", "up"]
Layout = Literal["same", "transposed", "by_head", "interleaved"]
"""How their numbers lie, compared with our [out, in]:

same         as ours
transposed   [in, out] (GPT-2's Conv1D)
by_head      query, key and value rows together for each head (GPT-NeoX)
interleaved  within each head, rows of the two rotary halves alternate (GGUF's llama)
"""


@dataclass(frozen=True)
class Row:
    """One line of a family's table. `{i}` in either name stands for the layer."""

    ours: str
    theirs: str
    part: Part | None = None
    """Which rows of our fused matrix; None is all of it."""
    layout: Layout = "same"
    shift: float = 0.0
    """What they have added to our numbers."""
    body: bool = True
    """Whether their name stands under the family's prefix; heads stand outside."""


@dataclass(frozen=True)
class Slot:
    """A row for one layer of one model: everything needed to move one tensor."""

    ours: str
    theirs: str
    rows: slice
    """The rows of our parameter that their tensor fills."""
    layout: Layout
    heads: int
    """Heads that the rows belong to, where the layout goes by head."""
    shift: float
    shape: tuple[int, ...]
    """The shape of their tensor."""


@dataclass(frozen=True)
class Family:
    """A foreign architecture.

    `ignored` are patterns for tensors that are not weights of the words' way through the model:
    constant buffers, and parts such as BERT's pooler. `copies` are tensors that some files hold
    twice: a second name, and whose copy it is.
    """

    name: str
    rows: tuple[Row, ...]
    config_from: Callable[[Fields], ModelConfig] | None = None
    """None where the config stands in the file of weights itself (GGUF)."""
    config_to: Callable[[ModelConfig], dict[str, Any]] | None = None
    with_head: str = ""
    """Their class's name when the model predicts words, as `architectures` holds it."""
    without_head: str = ""
    prefix: str = ""
    """What stands before the body's names in a model that predicts words."""
    headless_prefix: str = ""
    """The same in a model without a head."""
    other_prefixes: tuple[str, ...] = ()
    """Further prefixes that are met in files."""
    ignored: tuple[str, ...] = ()
    copies: tuple[tuple[str, str], ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Endings of names in old files -> today's."""

    def bare(self, name: str) -> str:
        """Their tensor's name without the prefix that depends on who saved it."""
        prefixes = {self.prefix, self.headless_prefix, *self.other_prefixes} - {""}
        for prefix in sorted(prefixes, key=len, reverse=True):
            if name.startswith(prefix):
                name = name.removeprefix(prefix)
                break
        for old, new in self.renamed.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return name

    def is_ignored(self, bare: str) -> bool:
        """Whether a tensor of that name is no part of the model that we run."""
        return any(re.fullmatch(pattern, bare) for pattern in self.ignored)

    def slots(self, model: Transformer) -> Iterator[Slot]:
        """Every tensor of theirs that `model` needs; parameters that it lacks are left out.

        `model` may live on the meta device: only names and shapes are read.
        """
        shapes = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
        for row in self.rows:
            layers = range(model.config.n_layers) if "{i}" in row.ours else range(1)
            for layer in layers:
                ours = row.ours.replace("{i}", str(layer))
                if ours in shapes:
                    theirs = row.theirs.replace("{i}", str(layer))
                    yield _slot(row, ours, theirs, shapes[ours], model.config)

    def saved_name(self, row_name: str, body: bool, config: ModelConfig) -> str:
        """The whole name under which a tensor is written."""
        if not body:
            return row_name
        return (self.prefix if config.has_head else self.headless_prefix) + row_name


def _slot(row: Row, ours: str, theirs: str, shape: tuple[int, ...], config: ModelConfig) -> Slot:
    rows = _rows_of(row.part, config)
    if rows is None:
        rows = slice(0, shape[0])
    shape = (rows.stop - rows.start, *shape[1:])
    if row.layout == "transposed":
        shape = shape[::-1]
    heads = config.kv_heads if row.part == "k" else config.n_heads
    return Slot(ours, theirs, rows, row.layout, heads, row.shift, shape)


def _rows_of(part: Part | None, config: ModelConfig) -> slice | None:
    queries = config.n_heads * config.d_head
    keys = config.kv_heads * config.d_head
    match part:
        case "q":
            return slice(0, queries)
        case "k":
            return slice(queries, queries + keys)
        case "v":
            return slice(queries + keys, queries + 2 * keys)
        case "gate":
            return slice(0, config.d_mlp)
        case "up":
            return slice(config.d_mlp, 2 * config.d_mlp)
    return None


def from_theirs(x: Tensor, slot: Slot) -> Tensor:
    """Their tensor's numbers in our order; a view where that is possible."""
    if slot.shift:
        x = x - slot.shift
    match slot.layout:
        case "transposed":
            return x.T
        case "by_head":  # [head, qkv, d_head, ...] -> [qkv, head, d_head, ...]
            return x.unflatten(0, (slot.heads, 3, -1)).transpose(0, 1).flatten(0, 2)
        case "interleaved":  # [head, pair, half, ...] -> [head, half, pair, ...]
            return x.unflatten(0, (slot.heads, -1, 2)).transpose(1, 2).flatten(0, 2)
    return x


def to_theirs(x: Tensor, slot: Slot) -> Tensor:
    """Our numbers in their order: the inverse of `from_theirs`."""
    if slot.shift:
        x = x + slot.shift
    match slot.layout:
        case "transposed":
            return x.T.contiguous()
        case "by_head":
            return x.unflatten(0, (3, slot.heads, -1)).transpose(0, 1).flatten(0, 2)
        case "interleaved":
            return x.unflatten(0, (slot.heads, 2, -1)).transpose(1, 2).flatten(0, 2)
    return x


# --- how tables are written -------------------------------------------------------------------


def linear_rows(
    ours: str, theirs: str, part: Part | None = None, layout: Layout = "same"
) -> tuple[Row, Row]:
    """A matrix and its bias: `attn.w_out`, `b_out` <- `o_proj.weight`, `o_proj.bias`."""
    bias = "b_".join(ours.rsplit("w_", 1))
    vector: Layout = "same" if layout == "transposed" else layout
    return (
        Row(ours, f"{theirs}.weight", part, layout),
        Row(bias, f"{theirs}.bias", part, vector),
    )


def norm_rows(ours: str, theirs: str, shift: float = 0.0) -> tuple[Row, Row]:
    """A norm's gain and its bias, which an RMS norm lacks."""
    return Row(f"{ours}.gain", f"{theirs}.weight", shift=shift), Row(
        f"{ours}.bias", f"{theirs}.bias"
    )


def in_blocks(prefix: str, *rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows of one block, for every layer: ours under `blocks.{i}.`, theirs under `prefix`."""
    return tuple(
        replace(row, ours=f"blocks.{{i}}.{row.ours}", theirs=prefix + row.theirs)
        for group in rows
        for row in group
    )


# --- when two configurations are the same model -----------------------------------------------


def settle(config: ModelConfig) -> ModelConfig:
    """The same model, with everything that does not matter to it at its default and the rest
    written out, so that equal models have equal configurations."""
    changes: dict[str, Any] = {
        "n_kv_heads": config.kv_heads,
        "attn_scale": config.score_scale,
        "d_embed": None if config.d_embed == config.d_model else config.d_embed,
    }
    if not config.windowed_layers:
        changes |= {"window": None, "rope_theta_windowed": None}
    elif config.rope_theta_windowed is None and config.rope_scaling is None:
        changes["rope_theta_windowed"] = config.rope_theta
    if config.positions == "rotary":
        changes |= {"position_offset": 0, "rotary_dims": config.rotary_dims or config.d_head}
    else:
        changes |= {
            "rotary_dims": None,
            "rope_theta": 10_000.0,
            "rope_theta_windowed": None,
            "rope_scaling": None,
        }
    if not config.has_head:
        changes |= {
            "tied": True,
            "unembed_bias": False,
            "head_transform": False,
            "final_softcap": None,
        }
    return replace(config, **changes)


def differences(one: ModelConfig, other: ModelConfig) -> list[str]:
    """Names of the fields in which two models differ."""
    one, other = settle(one), settle(other)
    return [
        item.name
        for item in fields(ModelConfig)
        if not _equal(getattr(one, item.name), getattr(other, item.name))
    ]


def _equal(one: Any, other: Any) -> bool:
    # A scale that went through a file as its square comes back in another last digit.
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12)
    return one == other
