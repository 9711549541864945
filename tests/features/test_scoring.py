"""The core metrics, against each written out by numpy over all rows at once."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.features.test_architectures import made

from molehill.errors import ConfigError
from molehill.features.scoring import score_rows
from molehill.features.trained import Features


@pytest.fixture
def features() -> Features:
    autoencoder = made("topk").float()
    autoencoder.products = torch.float32
    return Features(autoencoder, ("a",), ("a",))


def test_every_metric_is_its_definition(features):
    rows = torch.randn(70, 12, generator=torch.Generator().manual_seed(4)) + 0.5
    batches = [{"a": rows[:40]}, {"a": rows[40:]}]
    found = score_rows(features, batches)
    with torch.no_grad():
        codes = features.autoencoder.encode(rows).dense().double().numpy()
        near = features.autoencoder(rows).double().numpy()
    y = rows.double().numpy()
    error = ((y - near) ** 2).sum(1)
    assert found.rows == 70
    assert found.l0 == pytest.approx((codes > 0).sum(1).mean())
    assert found.l1 == pytest.approx(codes.sum(1).mean(), rel=1e-6)
    assert found.explained_variance == pytest.approx(1 - error.sum() / (70 * y.var(0).sum()))
    legacy = [
        1 - error[part] / ((y[part] - y[part].mean(0)) ** 2).sum(1)
        for part in (slice(0, 40), slice(40, 70))
    ]
    assert found.explained_variance_legacy == pytest.approx(np.concatenate(legacy).mean())
    assert found.mse == pytest.approx(error.mean() / 12)
    lengths, own = np.linalg.norm(y, axis=1), np.linalg.norm(near, axis=1)
    assert found.cossim == pytest.approx(((y * near).sum(1) / lengths / own).mean())
    assert found.l2_ratio == pytest.approx((own / lengths).mean())
    bias = (near**2).sum(1).mean() / (y * near).sum(1).mean()
    assert found.relative_reconstruction_bias == pytest.approx(bias)
    density = (codes > 0).mean(0)
    np.testing.assert_allclose(found.density.numpy(), density, rtol=1e-6)
    assert found.frac_alive == pytest.approx((density > 0).mean())
    assert found.over(0.1) == pytest.approx((density > 0.1).mean())
    for name in ("encoder", "decoder"):
        table = getattr(features.autoencoder, f"w_{name[:3]}").detach().double().numpy()
        table = table / np.linalg.norm(table, axis=1, keepdims=True)
        cosines = table @ table.T - 3 * np.eye(len(table))
        expected = cosines.max(1).mean()
        value = getattr(found, f"average_max_{name}_cosine_sim")
        assert value == pytest.approx(expected, rel=1e-5)
    edges, counts = found.histogram(12)
    assert (len(edges), sum(counts)) == (13, int((density > 0).sum()))


def test_sums_do_not_depend_on_the_batches(features):
    rows = torch.randn(60, 12)
    one = score_rows(features, [{"a": rows}]).to_dict()
    many = score_rows(features, [{"a": part} for part in rows.split(7)]).to_dict()
    for name, value in one.items():
        if name != "explained_variance_legacy":
            assert many[name] == pytest.approx(value, rel=1e-9), name


def test_no_rows_are_refused(features):
    with pytest.raises(ConfigError, match="no rows to score"):
        score_rows(features, [])


def test_equal_rows_have_no_variance_to_explain(features):
    assert math.isnan(score_rows(features, [{"a": torch.zeros(4, 12)}]).explained_variance)
