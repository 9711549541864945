"""Readings, scores and controls of word senses, against scikit-learn and worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from molehill.errors import SenseError
from molehill.journey.sense_scores import (
    centroids,
    macro_f1,
    most_frequent_sense,
    per_sense_recall,
    silhouette,
    variance_ratio,
)
from molehill.journey.separate import (
    cross_validate,
    fit_reading,
    folds,
    ledoit_wolf,
    nearest_centroid,
    shuffled_control,
)


def two_senses_in_noise(n: int, seed: int, layers: int = 3, d: int = 12):
    """Senses apart along the quietest dimension, beside one loud dimension that tells nothing, and
    all far from zero on the same side, as a residual stream's vectors are.

    Layer 0 has the same vector everywhere, as an embedding has.
    """
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    x = torch.randn(n, layers, d, generator=generator)
    x[..., 0] *= 8
    x[..., 1] = 0.25 * x[..., 1] + labels[:, None]
    x[..., 2] += 40
    x[:, 0] = torch.randn(d, generator=generator)
    return x, labels


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def test_centroids_are_the_means_of_senses():
    x = torch.tensor([[0.0, 0.0], [2.0, 4.0], [10.0, 0.0]])
    assert centroids(x, [0, 0, 1]).tolist() == [[1.0, 2.0], [10.0, 0.0]]
    with pytest.raises(SenseError, match="No vector has sense 1"):
        centroids(x, [0, 0, 2])
    with pytest.raises(SenseError, match="no vectors"):
        centroids(torch.zeros(0, 2), [])


def test_the_nearest_centroid_depends_on_the_metric():
    centres = torch.tensor([[1.0, 0.0], [4.0, 4.0]])
    x = torch.tensor([[10.0, 1.0], [1.0, 0.9]])
    assert nearest_centroid(x, centres).tolist() == [0, 1]
    assert nearest_centroid(x, centres, metric="euclidean").tolist() == [1, 0]


@pytest.mark.parametrize(("n", "d"), [(40, 15), (12, 30), (2, 3)])
def test_shrinkage_is_that_of_scikit_learn(n, d):
    covariance = pytest.importorskip("sklearn.covariance")
    rows = np.random.default_rng(n).normal(size=(n, d)) * np.linspace(0.1, 3, d)
    _, expected = covariance.ledoit_wolf(rows, assume_centered=True)
    assert ledoit_wolf(torch.tensor(rows)) == pytest.approx(expected, abs=1e-10)


def test_shrinkage_worked_by_hand():
    # Rows (2, 0), (-2, 0), (0, 1), (0, -1): S = diag(2, 1/2), m = 5/4, distance = (9/16 + 9/16) / 2
    # = 9/16. r r' - S is diag(2, -1/2) twice and diag(-2, 1/2) twice, so ||.||^2 / 2 is 17/8 each,
    # error = 17/8 / 4 = 17/32, lambda = 17/18.
    rows = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]]).double()
    assert ledoit_wolf(rows) == pytest.approx(17 / 18)
    assert ledoit_wolf(torch.eye(2).double()) == 1.0  # S is the target already


def test_the_whitened_distance_is_that_of_linear_discriminant_analysis():
    analysis = pytest.importorskip("sklearn.discriminant_analysis")
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(60, 1, 8)) * np.linspace(0.2, 4, 8), np.arange(60) % 3
    x[:, 0, 2] += y
    x = unit(x)
    theirs = analysis.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.3).fit(x[:, 0], y)
    reading = fit_reading(torch.tensor(x), y.tolist(), layers=[0], shrinkage=0.3)
    new = unit(rng.normal(size=(20, 1, 8)))
    # Equal priors: log-odds are half the difference of squared distances (ours are per dimension).
    ours = -0.5 * 8 * reading.distances(torch.tensor(new)).numpy()
    scores = theirs.decision_function(new[:, 0])
    assert np.allclose(ours - ours[:, :1], scores - scores[:, :1], atol=1e-6)
    assert reading.predict(torch.tensor(new)).tolist() == theirs.predict(new[:, 0]).tolist()


def test_distances_are_averaged_over_layers_as_a_loop_would():
    x, y = two_senses_in_noise(40, 0)
    x, new = x.double(), two_senses_in_noise(7, 1)[0].double()
    reading = fit_reading(x, y)
    assert reading.layers == (1, 2)
    expected = np.zeros((7, 2))
    for layer, lam in zip(reading.layers, reading.shrinkage, strict=True):
        a, b = (unit(rows[:, layer].numpy()) for rows in (x, new))
        middle = np.stack([a[y.numpy() == k].mean(0) for k in (0, 1)])
        within = a - middle[y.numpy()]
        s = within.T @ within / 40
        inverse = np.linalg.inv((1 - lam) * s + lam * np.trace(s) / 12 * np.eye(12))
        for k in (0, 1):
            apart = b - middle[k]
            expected[:, k] += np.einsum("ni,ij,nj->n", apart, inverse, apart) / 12 / 2
    assert np.allclose(reading.distances(new).numpy(), expected, rtol=1e-6)


def test_training_vectors_have_unit_spread_within_senses_in_the_space():
    x, y = two_senses_in_noise(200, 2)
    reading = fit_reading(x.double(), y, layers=[1], shrinkage=1e-9)
    mapped = reading.map(x.double())[:, 0]
    within = mapped - centroids(mapped, y)[y]
    assert torch.allclose(within.T @ within / 200, torch.eye(12).double(), atol=1e-4)


def test_whitening_hears_a_quiet_dimension_beside_a_loud_one():
    x, y = two_senses_in_noise(100, 4)
    new, gold = two_senses_in_noise(100, 5)
    new[:, 0] = x[0, 0]
    plain = nearest_centroid(new[:, 1] - x[:, 1].mean(0), centroids(x[:, 1] - x[:, 1].mean(0), y))
    assert macro_f1(gold, plain) < 0.7
    assert macro_f1(gold, fit_reading(x, y, shrinkage=0.001).predict(new)) > 0.97
    unwhitened = fit_reading(x, y, layers=[1], shrinkage=1.0).predict(new)
    train, test = (torch.nn.functional.normalize(rows[:, 1], dim=-1) for rows in (x, new))
    by_distance = nearest_centroid(test, centroids(train, y), metric="euclidean")
    assert unwhitened.tolist() == by_distance.tolist()


def test_the_length_of_a_vector_does_not_matter():
    x, y = two_senses_in_noise(60, 13)
    new, _ = two_senses_in_noise(20, 14)
    longer = x.clone()
    longer[7] *= 5000  # as a causal model's first token is
    expected = fit_reading(x, y).distances(new)
    torch.testing.assert_close(fit_reading(longer, y).distances(3 * new), expected)


def test_a_layer_where_all_uses_stand_together_tells_nothing():
    x, y = two_senses_in_noise(20, 6)
    reading = fit_reading(x, y, layers=[0])
    assert torch.equal(reading.distances(x), torch.zeros(20, 2))
    both = fit_reading(x, y, layers=[0, 1]).predict(x)
    assert torch.equal(both, fit_reading(x, y, layers=[1]).predict(x))


def test_senses_that_are_single_points_are_told_apart():
    x = torch.tensor([[[0.0, 1.0]], [[0.0, 1.0]], [[3.0, 1.0]], [[3.0, 1.0]]])
    reading = fit_reading(x, [0, 0, 1, 1], layers=[0])
    assert torch.isfinite(reading.distances(x)).all()
    assert reading.predict(x).tolist() == [0, 0, 1, 1]


def test_half_precision_vectors_are_read_in_float32():
    x, y = two_senses_in_noise(40, 7)
    reading = fit_reading(x.half(), y)
    assert reading.whiten.dtype == torch.float32
    assert reading.predict(x.half()).shape == (40,)


def test_a_reading_refuses_what_does_not_fit():
    x, y = two_senses_in_noise(10, 8)
    reading = fit_reading(x, y)
    with pytest.raises(SenseError, match=r"3 layers of width 5.*width 12"):
        reading.predict(torch.zeros(2, 3, 5))
    with pytest.raises(SenseError, match="2 layers of width 12"):
        reading.predict(torch.zeros(2, 2, 12))
    with pytest.raises(SenseError, match="10 vectors and 3 senses"):
        fit_reading(x, [0, 1, 0])
    with pytest.raises(SenseError, match="whole number"):
        fit_reading(x, (y - 1).tolist())
    with pytest.raises(SenseError, match=r"layers \[3\].*0 to 2"):
        fit_reading(x, y, layers=[3])
    with pytest.raises(SenseError, match=r"layers \[\]"):
        fit_reading(x[:, :1], y)
    with pytest.raises(SenseError, match="shrinkage is 0"):
        fit_reading(x, y, shrinkage=0.0)


def test_f1_and_recall_worked_by_hand():
    gold, told = [0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 2, 2]
    # sense 0: 2 hits, F1 4/5; sense 1: 1 hit, 1 false, 1 missed, F1 1/2; sense 2: F1 2/3
    assert macro_f1(gold, told) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    assert per_sense_recall(gold, told) == pytest.approx({0: 2 / 3, 1: 1 / 2, 2: 1.0})
    assert macro_f1([0, 0], [0, 2]) == pytest.approx((2 / 3 + 0) / 2)
    with pytest.raises(SenseError, match="2 true senses and 1 predicted"):
        macro_f1([0, 1], [0])
    with pytest.raises(SenseError, match="at least one use"):
        macro_f1([], [])


def test_scores_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(9)
    x, y, told = rng.normal(size=(80, 5)), rng.integers(4, size=80), rng.integers(5, size=80)
    assert macro_f1(y.tolist(), told.tolist()) == pytest.approx(
        metrics.f1_score(y, told, average="macro", zero_division=0)
    )
    recall = metrics.recall_score(y, told, average=None, labels=range(4))
    assert list(per_sense_recall(y.tolist(), told.tolist()).values()) == pytest.approx(list(recall))
    y[0] = 4  # a sense with one use
    tensor = torch.tensor(x)
    assert silhouette(tensor, y.tolist()) == pytest.approx(metrics.silhouette_score(x, y))
    ratio = variance_ratio(tensor, y.tolist())
    assert ratio * (80 - 5) / (5 - 1) == pytest.approx(metrics.calinski_harabasz_score(x, y))


def test_silhouette_and_variance_ratio_worked_by_hand():
    x = torch.tensor([[0.0], [1.0], [4.0]])
    # uses of sense 0: (4-1)/4 and (3-1)/3; the lone use of sense 1 counts 0
    assert silhouette(x, [0, 0, 1]) == pytest.approx((3 / 4 + 2 / 3) / 3)
    # means 1/2, 4, together 5/3: between 2 (7/6)^2 + (7/3)^2 = 49/6, within 1/2
    assert variance_ratio(x, [0, 0, 1]) == pytest.approx(49 / 3)
    same = torch.ones(4, 2)
    assert silhouette(same, [0, 0, 1, 1]) == 0.0
    assert variance_ratio(same, [0, 0, 1, 1]) == 0.0
    assert variance_ratio(torch.tensor([[0.0], [0.0], [1.0]]), [0, 0, 1]) == float("inf")
    with pytest.raises(SenseError, match="1 sense"):
        silhouette(x, [0, 0, 0])


def test_the_most_frequent_sense():
    assert most_frequent_sense([2, 1, 1, 2, 0]) == 1
    with pytest.raises(SenseError, match="at least one"):
        most_frequent_sense([])


def test_folds_spread_every_sense_evenly_and_come_back_with_the_seed():
    labels = torch.tensor([0] * 23 + [1] * 5)
    fold = folds(labels, 5, seed=1)
    assert torch.equal(fold, folds(labels, 5, seed=1))
    assert not torch.equal(fold, folds(labels, 5, seed=2))
    assert sorted(torch.bincount(fold[:23]).tolist()) == [4, 4, 5, 5, 5]
    assert torch.bincount(fold[23:]).tolist() == [1] * 5
    with pytest.raises(SenseError, match="two uses or more"):
        folds([0, 0, 1], 5)


def test_no_use_is_told_by_a_reading_that_saw_it():
    class Memory:
        """Knows by heart what it was shown, and says 9 to anything else."""

        def __init__(self, vectors, labels):
            self.known = {float(v): int(k) for v, k in zip(vectors[:, 0, 0], labels, strict=True)}

        def predict(self, vectors):
            return torch.tensor([self.known.get(float(v), 9) for v in vectors[:, 0, 0]])

    x, y = torch.arange(20.0).reshape(20, 1, 1), torch.arange(20) % 2
    assert cross_validate(x, y, Memory).tolist() == [9] * 20
    vectors, labels = two_senses_in_noise(60, 10)
    told = cross_validate(vectors, labels, lambda v, k: fit_reading(v, k, shrinkage=0.01))
    assert macro_f1(labels, told) > 0.9


def test_shuffled_labels_bring_the_score_to_chance():
    x, y = two_senses_in_noise(100, 11)
    new, gold = two_senses_in_noise(100, 12)

    def fit(vectors, labels):
        return fit_reading(vectors, labels, shrinkage=0.01)

    scores = shuffled_control(x, y, new, gold, fit, draws=8)
    assert len(scores) == 8
    assert 0.3 < sum(scores) / 8 < 0.7 < macro_f1(gold, fit(x, y).predict(new))
    assert scores == shuffled_control(x, y, new, gold, fit, draws=8)
