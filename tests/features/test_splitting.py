"""Splitting and absorption, in cases made by hand."""

from __future__ import annotations

import pytest
import torch

from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.codes import Codes
from molehill.features.making import make_autoencoder
from molehill.features.splitting import Split, absorption, splits
from molehill.features.truth import Truth


def test_a_feature_in_two_parts_is_split_and_one_with_a_shadow_is_not():
    generator = torch.Generator().manual_seed(0)
    active = torch.rand(2000, 2, generator=generator) < 0.2
    half = torch.rand(2000, generator=generator) < 0.5
    values = torch.zeros(2000, 4)
    values[:, 0] = (active[:, 0] & half).float()
    values[:, 1] = (active[:, 0] & ~half).float()
    values[:, 2] = active[:, 1].float()
    values[:, 3] = (active[:, 1] & half).float()  # adds nothing to feature 2
    found = splits(Codes.of_dense(values), Truth(("parts", "whole"), active))
    assert sorted(found[0].learnt) == [0, 1]
    assert found[1].learnt == (2,)
    assert found[0].f1 == found[1].f1 == 1.0


def test_a_feature_that_is_never_active_has_none():
    found = splits(Codes.of_dense(torch.ones(5, 2)), Truth(("no",), torch.zeros(5, 1) > 0))
    assert found == (Split((), 0.0),)


def absorbing() -> Autoencoder:
    """Latent 0 stands for the parent (axis 0) and is silent where the child (axis 1) is; latent 1
    stands for both."""
    autoencoder = make_autoencoder(Settings("relu", 3, 3, 2, centred=False))
    both = torch.tensor([1.0, 1.0, 0.0]) / 2**0.5
    with torch.no_grad():
        autoencoder.w_dec.copy_(torch.stack((torch.tensor([1.0, 0.0, 0.0]), both)))
        autoencoder.w_enc.copy_(torch.tensor([[1.0, -1.0, 0.0], [0.0, 2**0.5, 0.0]]))
        autoencoder.b_enc.zero_()
    return autoencoder.eval()


def test_absorption_is_seen_in_the_rows_where_the_child_is():
    x = torch.tensor([[1.0, 0.0, 0.0]] * 6 + [[1.0, 1.0, 0.0]] * 4 + [[0.0, 0.0, 1.0]] * 5)
    truth = Truth(("parent",), (x[:, :1] > 0))
    direction = torch.tensor([[1.0, 0.0, 0.0]])
    found = absorption(absorbing(), x, truth, direction, [Split((0,), 0.75)])
    assert found.rows.tolist() == [10]
    assert found.full.tolist() == pytest.approx([0.4])
    assert found.part.tolist() == pytest.approx([0.4])
    # With both latents counted as the feature's own there is none.
    none = absorption(absorbing(), x, truth, direction, [Split((0, 1), 1.0)])
    assert none.mean_full == none.mean_part == 0.0


def test_what_carries_too_little_absorbs_nothing():
    # Along this direction the other latent carries 1.0 of 4.0, less than 0.4.
    x = torch.tensor([[4.0, 1.0, 0.0]])
    autoencoder = absorbing()
    with torch.no_grad():
        autoencoder.w_enc[0].zero_()
    truth = Truth(("parent",), torch.tensor([[True]]))
    found = absorption(autoencoder, x, truth, torch.tensor([[1.0, 0.0, 0.0]]), [Split((0,), 0.0)])
    assert found.full.tolist() == [0.0]
