"""The chunked loss against cross-entropy taken whole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from molehill.training.loss import next_token_loss

TOKENS, WIDTH, WORDS = 23, 7, 11


def make(dtype, *, bias=True):
    generator = torch.Generator().manual_seed(0)
    final = torch.randn(TOKENS, WIDTH, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(WORDS, WIDTH, generator=generator, dtype=dtype).requires_grad_()
    offset = torch.randn(WORDS, generator=generator, dtype=dtype).requires_grad_()
    targets = torch.randint(0, WORDS, (TOKENS,), generator=generator)
    targets[[2, 9, 22]] = -1
    return final, weight, offset if bias else None, targets


def whole(final, weight, bias, targets, cap=None):
    """The same by torch, all scores at once."""
    scores = F.linear(final, weight, bias)
    if cap is not None:
        scores = cap * torch.tanh(scores / cap)
    return F.cross_entropy(scores, targets, ignore_index=-1, reduction="sum")


@pytest.mark.parametrize("chunk", [1, 8, 23, 100])
@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("bias", [True, False])
def test_loss_and_gradients_equal_cross_entropy_taken_whole(chunk, cap, bias):
    final, weight, offset, targets = make(torch.float64, bias=bias)
    inputs = [final, weight, *([] if offset is None else [offset])]
    loss = next_token_loss(final, weight, targets, bias=offset, softcap=cap, chunk=chunk)
    truth = whole(final, weight, offset, targets, cap)
    assert loss.item() == pytest.approx(truth.item(), rel=1e-13)
    found = torch.autograd.grad(loss * 0.3, inputs)
    for one, other in zip(found, torch.autograd.grad(truth * 0.3, inputs), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cap", [None, 3.0])
def test_gradients_equal_finite_differences(cap):
    final, weight, offset, targets = make(torch.float64)

    def loss(final, weight, offset):
        return next_token_loss(final, weight, targets, bias=offset, softcap=cap, chunk=8)

    assert torch.autograd.gradcheck(loss, (final, weight, offset))


def test_products_in_bfloat16_stay_near_float64_and_the_wide_table_gets_a_wide_gradient():
    exact = make(torch.float64)
    final, weight, offset = (one.detach().bfloat16() for one in exact[:3])
    targets = exact[3]
    inputs = [final.requires_grad_(), weight.float().requires_grad_(), offset.requires_grad_()]
    loss = next_token_loss(inputs[0], inputs[1], targets, bias=inputs[2], chunk=8)
    wide = [one.detach().double().requires_grad_() for one in inputs]
    truth = whole(*wide, targets)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(truth.item(), rel=2e-3)
    found = torch.autograd.grad(loss, inputs)
    assert [one.dtype for one in found] == [torch.bfloat16, torch.float32, torch.bfloat16]
    for one, other in zip(found, torch.autograd.grad(truth, wide), strict=True):
        assert (one.double() - other).norm() < 0.01 * other.norm()


def test_without_gradients_the_loss_is_the_same_and_only_what_is_asked_for_is_made():
    final, weight, offset, targets = make(torch.float64)
    loss = next_token_loss(final, weight, targets, bias=offset, chunk=8)
    with torch.no_grad():
        bare = next_token_loss(final, weight, targets, bias=offset, chunk=8)
    assert not bare.requires_grad
    assert torch.equal(bare, loss.detach())
    alone = next_token_loss(final.detach(), weight, targets, chunk=8)
    (gradient,) = torch.autograd.grad(alone, [weight])
    truth = torch.autograd.grad(whole(final, weight, None, targets), [weight])[0]
    torch.testing.assert_close(gradient, truth, rtol=1e-12, atol=1e-13)


def test_with_nothing_counted_loss_and_gradients_are_zero():
    final, weight, _, targets = make(torch.float64)
    loss = next_token_loss(final, weight, torch.full_like(targets, -1), chunk=8)
    assert loss.item() == 0.0
    assert not any(one.any() for one in torch.autograd.grad(loss, [final, weight]))


def test_a_second_derivative_is_refused():
    final, weight, _, targets = make(torch.float64)
    loss = next_token_loss(final, weight, targets).square()
    (gradient,) = torch.autograd.grad(loss, [final], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
