"""Attention over short rows in training, against torch's own and against finite differences."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from molehill.model import ModelConfig, Transformer
from molehill.model.short_attention import LONGEST, short_causal_attention


def heads(pos: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """q, k and v [batch, head, pos, d_head], laid out as a model has them: positions first."""
    generator = torch.Generator().manual_seed(pos)
    made = torch.randn(3, 2, pos, 3, 4, generator=generator, dtype=torch.float64).to(dtype)
    return [x.transpose(1, 2).requires_grad_() for x in made]


@pytest.mark.parametrize("pos", [1, 2, 7, 128, 129, 300])
def test_values_and_gradients_are_those_of_torchs_attention(pos):
    ours, theirs = heads(pos), heads(pos)
    mixed = short_causal_attention(*ours, 0.3)
    expected = F.scaled_dot_product_attention(*theirs, is_causal=True, scale=0.3)
    torch.testing.assert_close(mixed, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(mixed.shape, dtype=torch.float64)
    (mixed * weights).sum().backward()
    (expected * weights).sum().backward()
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-11, atol=1e-12)


def test_the_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(lambda q, k, v: short_causal_attention(q, k, v, 0.5), heads(5))


def test_bfloat16_is_nearly_as_near_to_the_truth_as_torchs():
    exact = short_causal_attention(*heads(48), 0.5)
    rounded = heads(48, torch.bfloat16)
    theirs = F.scaled_dot_product_attention(*rounded, is_causal=True, scale=0.5)
    ours = short_causal_attention(*rounded, 0.5)
    assert ours.dtype is torch.bfloat16
    error, known = ((x.double() - exact).norm() for x in (ours, theirs))
    # The scores are rounded as well as the pattern: of two roundings as large, the square root.
    assert error < 1.5 * known


@pytest.mark.parametrize("extra", [0, 1])
def test_a_model_learns_the_same_by_either_way(monkeypatch, extra):
    """On both sides of the longest row that is taken, with the limit brought down."""
    monkeypatch.setattr("molehill.model.transformer.LONGEST", 6)
    # As if it were compiled: only then is this way taken.
    monkeypatch.setattr("torch.compiler.is_compiling", lambda: True)
    taken = []

    def spy(*given):
        taken.append(given)
        return short_causal_attention(*given)

    monkeypatch.setattr("molehill.model.transformer.short_causal_attention", spy)
    config = ModelConfig(n_layers=2, d_model=16, n_heads=2, d_head=8, d_mlp=32, d_vocab=20, n_ctx=8)
    ids = torch.arange(2 * (6 + extra)).reshape(2, -1) % 20
    gradients = {}
    for training, dtype in (
        (True, torch.bfloat16),
        (False, torch.bfloat16),
        (False, torch.float32),
    ):
        model = Transformer(config, dtype=torch.float32).initialise(0).to(dtype).train(training)
        model(ids).logits.float().square().sum().backward()
        parts = [weight.grad.float().flatten() for weight in model.parameters()]
        gradients[training, dtype] = torch.cat(parts)
    assert len(taken) == (0 if extra else 2)
    exact = gradients[False, torch.float32]
    ours = (gradients[True, torch.bfloat16] - exact).norm()
    theirs = (gradients[False, torch.bfloat16] - exact).norm()
    assert ours < 1.2 * theirs + 1e-6 and theirs > 0
    assert LONGEST >= 256
