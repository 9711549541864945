"""The matrices of a model as sets of vectors: what is written and what is read, one row each.

    embedding        a row per token: where it starts (unembedding too, if the model ties them)
    positions        a row per position: what is added for it
    unembedding      a row per token: what is read out, if it is a matrix of its own
    3.mlp.gate       a row per neuron of layer 3: what makes it fire (gated MLPs)
    3.mlp.up         a row per neuron: what it asks (of a gated MLP, what decides how much)
    3.mlp.columns    a row per neuron: what it adds
    3.attn.out       rows per head: the directions that it writes, at the lengths it writes them

Rows that read are told as the stream meets them: times the gain of the norm before them, and
without their mean where that norm takes the mean off, since nothing of it can be read. Rows that
write are told as they reach the stream. The columns of a head's output matrix depend on a choice
of basis that the model never sees; its product with the value matrix does not, and what is taken
is that product's left singular vectors times its singular values: at right angles within a head by
construction. This file reads weights and measures nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from molehill.errors import GeometryError
from molehill.model.norm import Norm
from molehill.model.transformer import Block, Transformer

__all__ = ["Matrix", "matrices", "matrix_names"]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A set of vectors of a model."""

    name: str
    kind: str
    """embedding, positions, unembedding, mlp.gate, mlp.up, mlp.columns, attn.out."""
    layer: int | None
    vectors: Tensor
    """[count, d], float32 or float64."""
    note: str
    """How they are told, in words."""
    labels: tuple[str, ...] = ()
    """Names of rows that are not their numbers."""

    def label(self, row: int) -> str:
        """A row's name: of neuron 41 in layer 3 `3.41`, of a head `head 3.2 direction 5`, else what
        `labels` says, else its number."""
        if self.labels:
            return self.labels[row]
        return f"{self.layer}.{row}" if self.kind.startswith("mlp.") else str(row)


def matrix_names(model: Transformer) -> list[str]:
    """The names of all matrices of a model, in the order of the forward pass."""
    config = model.config
    names = ["embedding"]
    if model.w_pos is not None:
        names.append("positions")
    rows = ["mlp.gate", "mlp.up"] if config.gated else ["mlp.up"]
    for layer in range(config.n_layers):
        names += [f"{layer}.{kind}" for kind in ("attn.out", *rows, "mlp.columns")]
    if model.w_unembed is not None:
        names.append("unembedding")
    return names


@torch.no_grad()
def matrices(
    model: Transformer, names: str | list[str] | None = None, *, gains: bool = True
) -> Iterator[Matrix]:
    """The matrices of these names or patterns (`*.mlp.columns`), one at a time; None: all.

    Args:
        gains: whether rows that read are told with the gain of the norm before them; else as they
            are stored.

    Raises:
        GeometryError: a name or pattern that no matrix of the model has.
    """
    known = matrix_names(model)
    wanted = ["*"] if names is None else [names] if isinstance(names, str) else names
    for one in wanted:
        if not any(fnmatchcase(name, one) for name in known):
            raise GeometryError(
                f"The model has no matrix {one!r}; it has {', '.join(known[:6])}, ... "
                f"({len(known)} in all)."
            )
    for name in known:
        if any(fnmatchcase(name, one) for one in wanted):
            yield _matrix(model, name, gains)


def _matrix(model: Transformer, name: str, gains: bool) -> Matrix:
    layer, dot, kind = name.partition(".")
    if dot and layer.isdecimal():
        return _of_block(model, int(layer), kind, gains)
    if name == "positions":
        assert model.w_pos is not None, "asked for only where it is"
        table = _wide(model.w_pos)[model.config.position_offset :]
        return Matrix(name, name, None, table, "as they are added")
    if name == "unembedding":
        rows = _wide(model.unembedding)
        return Matrix(name, name, None, *_through_final(model, rows, gains))
    note = "as they are stored"
    if model.config.has_head and model.w_unembed is None:
        note += "; the unembedding is the same table"
    return Matrix(name, name, None, _wide(model.w_token), note)


def _through_final(model: Transformer, rows: Tensor, gains: bool) -> tuple[Tensor, str]:
    if model.w_embed_out is not None or model.w_head is not None:
        return rows, "as they are stored; the head turns the stream before it meets them"
    return _as_read(rows, model.final_norm, gains)


def _of_block(model: Transformer, layer: int, kind: str, gains: bool) -> Matrix:
    block = model.blocks[layer]
    assert isinstance(block, Block), "a transformer's blocks are blocks"
    name = f"{layer}.{kind}"
    before = block.place in ("pre", "sandwich")
    if kind == "attn.out":
        norm = block.norm1 if before and gains else None
        vectors, labels = _head_directions(model, block, layer, norm)
        post = block.norm1_post
        note = "left singular vectors of what a head reads and writes, at their lengths"
        return Matrix(name, kind, layer, *_as_added(vectors, post, note), labels)
    if kind == "mlp.columns":
        columns = _wide(block.mlp.w_out).T.contiguous()
        return Matrix(name, kind, layer, *_as_added(columns, block.norm2_post, "as they are added"))
    rows = _wide(block.mlp.w_in)
    if block.mlp.gated:
        rows = rows.chunk(2)[0 if kind == "mlp.gate" else 1]
    return Matrix(name, kind, layer, *_as_read(rows, block.norm2 if before else None, gains))


def _as_read(rows: Tensor, norm: Norm | None, gains: bool) -> tuple[Tensor, str]:
    """Rows as the stream meets them: the norm's gain, and its centring, moved into them."""
    if norm is None or not gains:
        return rows, "as they are stored"
    read = rows * _wide(norm.multiplier)
    if norm.rms:
        return read, "times the gain of the norm before them"
    read = read - read.mean(-1, keepdim=True)
    return read, "times the gain of the norm before them, and centred as it centres"


def _as_added(vectors: Tensor, post: Norm | None, note: str) -> tuple[Tensor, str]:
    """Vectors as they reach the stream: a sandwich norm on the way multiplies them."""
    if post is None:
        return vectors, note
    if not post.rms:
        vectors = vectors - vectors.mean(-1, keepdim=True)
    return vectors * _wide(post.multiplier), f"{note}, times the gain of the norm after them"


def _head_directions(
    model: Transformer, block: Block, layer: int, norm: Norm | None
) -> tuple[Tensor, tuple[str, ...]]:
    """The directions that each head writes [head * direction, d_model], and their names."""
    config = model.config
    values = _wide(block.attn.w_qkv)[(config.n_heads + config.kv_heads) * config.d_head :]
    values = _as_read(values, norm, True)[0].unflatten(0, (config.kv_heads, config.d_head))
    share = config.n_heads // config.kv_heads
    writes = _wide(block.attn.w_out).unflatten(1, (config.n_heads, config.d_head))
    writes = writes.transpose(0, 1)  # [head, d_model, d_head]
    # W_O W_V = (W_O R^T) Q^T with W_V^T = Q R: the small factor has the same left side.
    small = torch.linalg.qr(values.transpose(1, 2)).R.repeat_interleave(share, dim=0)
    left, sizes, _ = torch.linalg.svd(writes @ small.transpose(1, 2), full_matrices=False)
    directions = (left * sizes.unsqueeze(1)).transpose(1, 2)  # [head, direction, d_model]
    names = tuple(
        f"head {layer}.{head} direction {place}"
        for head in range(config.n_heads)
        for place in range(directions.shape[1])
    )
    return directions.flatten(0, 1), names


def _wide(weight: Tensor) -> Tensor:
    return weight.detach().to(torch.promote_types(weight.dtype, torch.float32))
