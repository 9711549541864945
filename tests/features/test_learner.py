"""A learner's own part: what a batch with one very long vector may do."""

from __future__ import annotations

import torch
from torch import Tensor

from molehill.features.autoencoder import Settings
from molehill.features.learner import Job, Learner

SITE = "0.resid_post"


def rows(seed: int) -> Tensor:
    return torch.randn(64, 16, generator=torch.Generator().manual_seed(seed))


def learner() -> Learner:
    settings = Settings("topk", 16, 16, 48, k=4)
    made = Learner(Job("one", settings, (SITE,), rate=1e-3), {SITE: rows(0)}, products="float32")
    for seed in range(5):
        made.learn({SITE: rows(seed)})
    return made


def gradient(made: Learner) -> Tensor:
    return torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None])


def raw(made: Learner, batch: Tensor) -> Tensor:
    """What the batch asks for, by the model alone."""
    made.model.zero_grad()
    made.model.learn(made._input({SITE: batch})).total.backward()
    made.model.tidy_gradients()
    return gradient(made)


def test_a_long_vector_turns_the_step_and_does_not_lengthen_it():
    long = rows(9)
    long[3] *= 200
    made, usual = learner(), learner().usual.item()
    wanted = raw(learner(), long)
    assert wanted.norm() > 100 * usual
    made.learn({SITE: long})
    found = gradient(made)
    torch.testing.assert_close(found.norm().item(), 2 * usual, rtol=1e-5, atol=0)
    torch.testing.assert_close(found, wanted * (2 * usual / wanted.norm()), rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(made.usual.item(), 1.1 * usual, rtol=1e-6, atol=0)


def test_an_ordinary_batch_is_not_touched():
    made = learner()
    wanted, usual = raw(learner(), rows(9)), made.usual.item()
    made.learn({SITE: rows(9)})
    torch.testing.assert_close(gradient(made), wanted)
    mean = 0.9 * usual + 0.1 * wanted.norm().item()
    torch.testing.assert_close(made.usual.item(), mean, rtol=1e-6, atol=0)


def test_the_usual_length_is_kept_and_restored():
    made, other = learner(), learner()
    made.learn({SITE: 1.5 * rows(7)})
    other.restore({name: value.clone() for name, value in made.state().items()})
    assert other.usual.item() == made.usual.item() > 0
    for seed in (20, 21):
        made.learn({SITE: rows(seed)})
        other.learn({SITE: rows(seed)})
    assert torch.equal(made.model.w_enc, other.model.w_enc)


def test_a_long_vector_does_not_set_the_scale():
    settings = Settings("topk", 16, 16, 48, k=4)
    batch = torch.randn(3000, 16, generator=torch.Generator().manual_seed(1))
    lengths = batch.square().sum(1).sort().values
    long = batch.clone()
    long[lengths.argmin()] *= 1e4
    for each in (batch, long):
        made = Learner(Job("one", settings, (SITE,)), {SITE: each})
        wanted = (16 / lengths[:-3].mean()).sqrt().item()
        assert abs(made.scale_in[0].item() / wanted - 1) < 2e-3
        assert made.model.b_dec.norm() < 0.2
