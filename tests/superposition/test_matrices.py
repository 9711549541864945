"""A model's matrices in every family, held against what the model does with them."""

from __future__ import annotations

import pytest
import torch
from tests.trace.small_families import FAMILIES, build

from molehill.errors import GeometryError
from molehill.superposition.matrices import matrices, matrix_names

each_family = pytest.mark.parametrize("family", FAMILIES)


def named(model, *, gains: bool = True):
    return {matrix.name: matrix for matrix in matrices(model, gains=gains)}


@each_family
def test_every_family_has_its_matrices_once(family):
    model = build(family)
    found, config = named(model), model.config
    assert list(found) == matrix_names(model)
    assert ("unembedding" in found) == (config.has_head and not config.tied)
    assert ("positions" in found) == (config.positions == "learned")
    assert ("1.mlp.gate" in found) == config.gated
    assert ("the same table" in found["embedding"].note) == (config.has_head and config.tied)
    if "positions" in found:
        assert found["positions"].vectors.shape == (config.n_ctx, config.d_model)
    for name, matrix in found.items():
        assert torch.isfinite(matrix.vectors).all(), name
        if ".mlp." in name:
            assert matrix.vectors.shape == (config.d_mlp, config.d_model)
            assert matrix.label(5) == f"{matrix.layer}.5"


@each_family
def test_a_row_read_with_its_gain_gives_what_the_neuron_is_asked(family):
    model = build(family)
    block, x = model.blocks[1], torch.randn(3, 12, dtype=torch.float64) * 2 + 1
    matrix = named(model)["1.mlp.up"]
    stored = block.mlp.w_in.chunk(2)[1] if model.config.gated else block.mlp.w_in
    if block.place not in ("pre", "sandwich"):
        assert torch.equal(matrix.vectors, stored)
        return
    normed = block.norm2(x, None, "")
    if block.norm2.bias is not None:
        normed = normed - block.norm2.bias
    centred = x if block.norm2.rms else x - x.mean(-1, keepdim=True)
    divisor = (centred.square().mean(-1, keepdim=True) + block.norm2.eps).sqrt()
    # Uncentred: the row itself takes the mean off.
    assert torch.allclose(x / divisor @ matrix.vectors.T, normed @ stored.T)
    assert torch.equal(named(model, gains=False)["1.mlp.up"].vectors, stored)


@each_family
def test_a_column_is_what_reaches_the_stream(family):
    model = build(family)
    block = model.blocks[0]
    columns = named(model)["0.mlp.columns"].vectors
    if block.norm2_post is None:
        assert torch.equal(columns, block.mlp.w_out.T)
    else:
        assert torch.allclose(columns, block.mlp.w_out.T * block.norm2_post.multiplier)


@each_family
def test_a_heads_directions_are_those_of_what_it_reads_and_writes(family):
    model = build(family)
    config, block = model.config, model.blocks[1]
    found = named(model, gains=False)["1.attn.out"]
    assert found.label(config.d_head) == "head 1.1 direction 0"
    start = (config.n_heads + config.kv_heads) * config.d_head
    values = block.attn.w_qkv[start:].unflatten(0, (config.kv_heads, config.d_head))
    writes = block.attn.w_out.unflatten(1, (config.n_heads, config.d_head))
    directions = found.vectors.unflatten(0, (config.n_heads, config.d_head))
    for head in range(config.n_heads):
        through = writes[:, head] @ values[head * config.kv_heads // config.n_heads]
        if block.norm1_post is not None:
            continue
        sizes = torch.linalg.svdvals(through)[: config.d_head]
        assert torch.allclose(directions[head].norm(dim=1), sizes)
        # Left singular vectors at their lengths: their outer products add up to A A^T.
        assert torch.allclose(directions[head].T @ directions[head], through @ through.T)


def test_patterns_choose_and_what_is_not_there_is_named():
    model = build("llama")
    chosen = [matrix.name for matrix in matrices(model, ["*.mlp.columns", "embedding"])]
    assert chosen == ["embedding", "0.mlp.columns", "1.mlp.columns"]
    with pytest.raises(GeometryError, match=r"no matrix 'positions'; it has embedding"):
        list(matrices(model, "positions"))
