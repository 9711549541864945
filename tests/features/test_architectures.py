"""Every architecture's choice, loss and gradients, against the same written densely."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.making import ARCHITECTURES, make_autoencoder

ROWS, D, F, K = 24, 12, 40, 4
PREFIXES = (5, 16, 40)


def made(name: str, seed: int = 0, **changes) -> Autoencoder:
    """Small, in float64, with weights that are nowhere special."""
    wanted = {"k": K, "penalty": 0.7, "bandwidth": 0.3, "prefixes": PREFIXES, **changes}
    model = make_autoencoder(Settings(name, D, wanted.pop("d_out", D), F, **wanted)).double()
    model.products = torch.float64
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.add_(0.1 * noise)
    model.tidy()
    return model


def rows(width: int = D, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(ROWS, width, generator=generator, dtype=torch.float64)


def kept(pre: Tensor, k: int, *, over_all: bool) -> Tensor:
    """A mask of the k largest above zero, of each row or k a row of all."""
    flat = pre.clamp(min=0)
    mask = torch.zeros_like(flat, dtype=torch.bool)
    if over_all:
        mask.view(-1)[flat.flatten().topk(k * len(pre)).indices] = True
    else:
        mask.scatter_(1, flat.topk(k, dim=1).indices, True)
    return mask & (pre > 0)


class Step(torch.autograd.Function):
    """[z > theta] with the rectangle's slope in theta."""

    @staticmethod
    def forward(ctx, pre, theta, width):
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return (pre > theta).double()

    @staticmethod
    def backward(ctx, grad):
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.width / 2).double()
        return None, (-grad * near / ctx.width).sum(0), None


class Jump(torch.autograd.Function):
    """z [z > theta], likewise."""

    @staticmethod
    def forward(ctx, pre, theta, width):
        ctx.save_for_backward(pre, theta)
        ctx.width = width
        return pre * (pre > theta)

    @staticmethod
    def backward(ctx, grad):
        pre, theta = ctx.saved_tensors
        near = ((pre - theta).abs() < ctx.width / 2).double()
        return grad * (pre > theta), (-grad * theta * near / ctx.width).sum(0), None


def dense(model: Autoencoder, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """The loss and the codes as the equations have them: every feature written out."""
    settings, name = model.settings, model.settings.architecture
    centred = x - model.b_dec if settings.centred else x
    pre = centred @ model.w_enc.T + model.b_enc
    extra = torch.zeros((), dtype=torch.float64)
    if name == "relu":
        codes = pre.relu()
        extra = settings.penalty * codes.sum(1).mean()
    elif name == "topk":
        codes = pre.relu() * kept(pre, K, over_all=False)
    elif name in ("batchtopk", "matryoshka"):
        codes = pre.relu() * kept(pre, K, over_all=True)
    elif name == "jumprelu":
        theta = model.log_threshold.exp()
        codes = Jump.apply(pre, theta, settings.bandwidth)
        extra = settings.penalty * Step.apply(pre, theta, settings.bandwidth).sum(1).mean()
    else:
        shared = centred @ model.w_enc.T
        codes = (model.log_ratio.exp() * shared + model.b_mag).relu() * (pre > 0)
        near = pre.relu() @ model.w_dec.detach() + model.b_dec.detach()
        extra = settings.penalty * pre.relu().sum(1).mean()
        extra = extra + (y - near).square().sum(1).mean()
    skipped = 0 if model.w_skip is None else x @ model.w_skip.T
    loss = (y - codes @ model.w_dec - model.b_dec - skipped).square().sum(1).mean() + extra
    if name == "matryoshka":
        for bound in PREFIXES[:-1]:
            near = codes[:, :bound] @ model.w_dec[:bound] + model.b_dec
            loss = loss + (y - near).square().sum(1).mean()
    return loss, codes


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_loss_and_gradients_are_those_of_the_dense_equations(name):
    model, x = made(name), rows()
    losses = model.learn(x)
    losses.total.backward()
    ours = {each: p.grad.clone() for each, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    loss, codes = dense(model, x, x)
    loss.backward()
    assert losses.total.item() == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(losses.codes.dense(), codes)
    assert set(ours) == {name for name, p in model.named_parameters() if p.grad is not None}
    for each, parameter in model.named_parameters():
        torch.testing.assert_close(ours[each], parameter.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["topk", "relu", "jumprelu"])
def test_a_skip_transcoder_learns_another_target_and_is_not_centred(name):
    model = made(name, d_out=7, centred=False, skip=True)
    x, y = rows(), rows(7, seed=2)
    losses = model.learn(x, y)
    losses.total.backward()
    ours = {each: p.grad.clone() for each, p in model.named_parameters()}
    model.zero_grad()
    loss, _ = dense(model, x, y)
    loss.backward()
    for each, parameter in model.named_parameters():
        torch.testing.assert_close(ours[each], parameter.grad, rtol=1e-9, atol=1e-12)
    assert bool(ours["w_skip"].any())


@pytest.mark.parametrize("name", ["relu", "topk", "jumprelu", "gated"])
def test_encode_and_decode_are_the_dense_equations_without_a_graph(name):
    model, x = made(name), rows()
    with torch.no_grad():
        codes = model.encode(x)
        near = model(x)
    _, expected = dense(model, x, x)
    torch.testing.assert_close(codes.dense(), expected)
    torch.testing.assert_close(near, expected @ model.w_dec + model.b_dec)


@pytest.mark.parametrize("name", ["batchtopk", "matryoshka"])
def test_after_training_a_row_does_not_depend_on_its_neighbours(name):
    model, x = made(name), rows()
    for _ in range(3):
        model.learn(x)
    theta = model.threshold.item()
    assert theta > 0
    with torch.no_grad():
        together = model.encode(x).dense()
        alone = torch.cat([model.encode(row[None]).dense() for row in x])
    torch.testing.assert_close(together, alone)
    pre = (x - model.b_dec) @ model.w_enc.T + model.b_enc
    torch.testing.assert_close(together, pre * (pre >= theta))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_weights_for_the_models_own_vectors_say_the_same(name):
    model, x = made(name), rows()
    model.learn(x)  # BatchTopK finds its threshold
    scale = torch.full((D,), 2.5, dtype=torch.float64)
    plain = model.unscaled(scale, scale)
    with torch.no_grad():
        torch.testing.assert_close(plain(x / scale), model(x) / scale)
        codes, before = plain.encode(x / scale), model.encode(x)
    torch.testing.assert_close(codes.dense(), before.dense() / 2.5)
    torch.testing.assert_close(plain.w_dec.norm(dim=1), torch.ones(F, dtype=torch.float64))


def test_with_several_factors_values_stay_and_rows_take_them():
    model, x = made("topk"), rows()
    scale = torch.tensor([2.0] * 6 + [0.5] * 6, dtype=torch.float64)
    plain = model.unscaled(scale, scale)
    with torch.no_grad():
        torch.testing.assert_close(plain(x / scale), model(x) / scale)
        torch.testing.assert_close(plain.encode(x / scale).dense(), model.encode(x).dense())


@pytest.mark.parametrize("name", ["topk", "batchtopk", "matryoshka"])
def test_the_first_scale_is_the_best_one(name):
    """No other factor of the encoder explains the first batch better, and the threshold fits."""
    model = make_autoencoder(Settings(name, D, D, 200, k=40)).double()
    model.products = torch.float64
    x = 2 + rows()
    model.begin(x, x)
    assert torch.allclose(model.b_dec, x.mean(0))

    def error(factor: float) -> float:
        pre = factor * (x - model.b_dec) @ model.w_enc.T
        codes = pre.relu() * kept(pre, 40, over_all=name != "topk")
        return (x - codes @ model.w_dec - model.b_dec).square().sum().item()

    best = error(1.0)
    assert best < min(error(0.99), error(1.01)) < error(1 / model.w_enc.norm(dim=1)[0].item())
    if name != "topk":
        pre = (x - model.b_dec) @ model.w_enc.T
        assert math.isclose(
            model.threshold.item(), pre.flatten().topk(40 * ROWS).values[-1].item(), rel_tol=1e-6
        )


def test_the_threshold_follows_values_that_change():
    model = make_autoencoder(Settings("batchtopk", D, D, F, k=K))
    x = rows().float()
    model.learn(x)
    first = model.threshold.item()
    for _ in range(100):
        model.learn(0.5 * x)
    assert model.threshold.item() == pytest.approx(0.5 * first, rel=0.01)


@pytest.mark.parametrize("changes", [{"centred": False}, {"d_out": 7, "centred": False}])
def test_no_first_scale_where_the_encoder_sees_something_else(changes):
    model = make_autoencoder(Settings("topk", D, changes.pop("d_out", D), F, k=K, **changes))
    before = model.w_enc.clone()
    model.begin(rows().float(), rows(model.settings.d_out, seed=4).float())
    assert torch.equal(model.w_enc, before)


@pytest.mark.parametrize("name", ["topk", "batchtopk"])
def test_dead_features_learn_the_error(name):
    model, x = made(name, dead_after=10, auxiliary=0.5), rows()
    model.idle[:30] = 11
    error = rows(seed=3)
    centred = model.centre(x)
    term = model.revived(model.pre(centred), centred, error)
    pre = (centred @ model.w_enc.T + model.b_enc)[::8, :30]
    mask = kept(pre, D // 2, over_all=False)
    near = (pre.relu() * mask) @ model.w_dec[:30]
    expected = 0.5 * (error[::8] - near).square().sum(1).mean()
    assert term.item() == pytest.approx(expected.item(), rel=1e-12)
    ours = torch.autograd.grad(term, [model.w_enc, model.w_dec])
    theirs = torch.autograd.grad(expected, [model.w_enc, model.w_dec])
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)
    model.idle.zero_()
    assert model.revived(model.pre(centred), centred, error) is None


def test_silence_is_counted_in_rows_and_ends_with_being_active():
    model, x = made("topk", dead_after=2 * ROWS), rows()
    for _ in range(3):
        losses = model.learn(x)
    active = losses.codes.counts() > 0
    assert bool((model.idle[active] == 0).all())
    assert bool((model.idle[~active] == 3 * ROWS).all())
    assert torch.equal(model.dead, ~active)


def test_the_decoders_rows_keep_their_length_and_their_gradient_does_not_change_it():
    model, x = made("relu"), rows()
    model.learn(x).total.backward()
    model.tidy_gradients()
    along = (model.w_dec.grad * model.w_dec).sum(1)
    torch.testing.assert_close(along, torch.zeros(F, dtype=torch.float64), atol=1e-12, rtol=0)
    with torch.no_grad():
        model.w_dec.mul_(3)
    model.tidy()
    torch.testing.assert_close(model.w_dec.norm(dim=1), torch.ones(F, dtype=torch.float64))


def test_thresholds_stay_above_zero_and_scale_with_values():
    model = made("jumprelu")
    before = model.threshold.clone()
    model.scale_values(4.0)
    torch.testing.assert_close(model.threshold, 4 * before)
    assert math.isfinite(model.log_threshold.sum().item())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k is 0, expected 1 to the number of features, 40"),
        ({"k": 41}, "k is 41"),
        ({"d_out": 7}, "from 12 to 7 numbers cannot be centred"),
        ({"prefixes": (5, 5, 40)}, "prefixes are 5, 5, 40"),
        ({"prefixes": (5, 16)}, "end with all 40 features"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        made("matryoshka", **changes)


def test_an_unknown_architecture_is_named_with_those_that_are_there():
    with pytest.raises(ConfigError, match="no architecture 'sparse'; there are relu, topk"):
        make_autoencoder(Settings("sparse", D, D, F, k=2))
