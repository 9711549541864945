"""Sparse probes, against scikit-learn and labels that one feature tells."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import ConfigError
from molehill.features.codes import Codes
from molehill.features.probing import fit_logistic, probe_label, probe_labels


def rows(count: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    values = 0.5 + torch.rand(count, 40, generator=generator)
    values *= torch.rand(count, 40, generator=generator) < 0.15
    x = values @ torch.randn(40, 12, generator=torch.Generator().manual_seed(99))
    return Codes.of_dense(values), x, values


def test_newton_finds_what_scikit_learn_finds():
    linear = pytest.importorskip("sklearn.linear_model")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 5, generator=generator, dtype=torch.float64)
    label = x[:, 0] - 0.5 * x[:, 1] + torch.randn(200, generator=generator) > 0.3
    x = (x - x.mean(0)) / x.std(0, correction=0)
    theirs = linear.LogisticRegression(C=0.5, tol=1e-10, max_iter=1000).fit(
        x.numpy(), label.numpy()
    )
    ours = fit_logistic(x, label, ridge=2.0)
    assert ours.weights.tolist() == pytest.approx(theirs.coef_[0].tolist(), abs=1e-6)
    assert ours.bias == pytest.approx(theirs.intercept_[0], abs=1e-6)


def test_it_converges_where_classes_are_apart():
    x = torch.cat((torch.zeros(20, 1), torch.ones(20, 1)))
    label = x[:, 0] > 0
    probe = fit_logistic(x, label, ridge=1e-4)
    assert torch.equal(probe.says(x), label)
    assert torch.isfinite(probe.weights).all()


def test_a_label_that_one_feature_tells_needs_one():
    codes, x, values = rows(1200, 1)
    more, other, others = rows(600, 2)
    found = probe_label("seven", (codes, x, values[:, 7] > 0), (more, other, others[:, 7] > 0))
    assert found.chosen[0] == 7
    assert found.by_features[1] == 1.0
    assert found.larger_class == pytest.approx((others[:, 7] == 0).float().mean().item())
    assert found.larger_class < 0.9
    # Shuffled, nothing is better than always saying the larger class.
    assert max(found.shuffled.values()) <= found.larger_class + 0.02
    assert found.to_dict()["sae_top_1_test_accuracy"] == 1.0


def test_two_features_together_need_two():
    codes, x, values = rows(2000, 3)
    more, other, others = rows(1000, 4)
    either = (values[:, 3] > 0) | (values[:, 5] > 0)
    found = probe_label(
        "either", (codes, x, either), (more, other, (others[:, 3] > 0) | (others[:, 5] > 0))
    )
    assert set(found.chosen[:2]) == {3, 5}
    assert found.by_features[2] == 1.0
    assert found.by_features[1] < 0.9


def test_labels_are_each_told_from_all_others():
    codes, x, values = rows(900, 5)
    names = ["one" if one else "two" for one in (values[:, 1] > 0).tolist()]
    found = probe_labels((codes, x, names), (codes, x, names))
    assert [score.label for score in found] == ["one", "two"]
    assert found[0].by_features[1] == found[1].by_features[1] == 1.0
    with pytest.raises(ConfigError, match="one label"):
        probe_labels((codes, x, ["a"] * 900), (codes, x, ["a"] * 900))
