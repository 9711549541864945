"""Spectra, hubs and what chance gives, against closed forms and whole matrices."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import beta

from molehill.errors import GeometryError
from molehill.superposition.chance import chance, expected_histogram, matched
from molehill.superposition.cosines import largest_cosine, pair_cosines, unit_rows
from molehill.superposition.hubs import hubs, nearest_rows
from molehill.superposition.spectrum import Moments, matched_draw


def drawn(count: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def test_orthonormal_rows_use_every_dimension_and_one_line_uses_one():
    turned = torch.linalg.qr(drawn(12, 12).double()).Q
    spectrum = Moments.of(turned).spectrum(centred=False)
    for measure in ("effective_rank", "participation_ratio", "stable_rank"):
        assert getattr(spectrum, measure) == pytest.approx(12)
    assert spectrum.dimensions_for(0.5) == 6
    assert spectrum.total == pytest.approx(1)
    line = torch.outer(torch.tensor([1.0, -2.0, 3.0, 0.5]).double(), drawn(1, 7)[0].double())
    spectrum = Moments.of(line).spectrum(centred=False)
    for measure in ("effective_rank", "participation_ratio", "stable_rank", "top_share"):
        assert getattr(spectrum, measure) == pytest.approx(1, abs=1e-5)
    assert spectrum.dimensions_for(0.9) == 1


@pytest.mark.parametrize("count", [5, 200])
def test_a_spectrum_is_that_of_the_singular_values(count):
    vectors = drawn(count, 20).double() @ torch.diag(torch.linspace(0.1, 2, 20).double()) + 0.7
    moments = Moments.of(vectors)
    for centred in (False, True):
        given = vectors - vectors.mean(0) if centred else vectors
        sizes = torch.linalg.svdvals(given)
        spectrum = moments.spectrum(centred=centred)
        squares = torch.zeros(20).double()
        squares[: len(sizes)] = sizes**2 / count
        assert torch.allclose(spectrum.eigenvalues, squares, atol=1e-10)
        shares = sizes[sizes > 1e-9] / sizes.sum()
        entropy = float(-(shares * shares.log()).sum())
        assert spectrum.effective_rank == pytest.approx(math.exp(entropy), rel=1e-5)
        assert moments.participation_ratio(centred=centred) == pytest.approx(
            spectrum.participation_ratio
        )
        assert spectrum.stable_rank == pytest.approx(float((sizes**2).sum() / sizes[0] ** 2))
    share = float((vectors.mean(0) ** 2).sum() / (vectors**2).sum(1).mean())
    assert moments.common_share == pytest.approx(share)


def test_drawn_vectors_have_the_mean_and_the_covariance():
    vectors = drawn(50, 6) @ drawn(6, 6, seed=1) + torch.arange(6.0)
    moments = Moments.of(vectors)
    again = Moments.of(matched_draw(moments, 200_000, seed=3))
    assert torch.allclose(again.mean, moments.mean, atol=0.05)
    assert torch.allclose(again.covariance, moments.covariance, atol=0.2)
    flat = Moments.of(drawn(40, 2) @ drawn(2, 6, seed=1))
    again = Moments.of(matched_draw(flat, 200_000, seed=3))
    assert torch.allclose(again.covariance, flat.covariance, atol=0.1)
    assert again.spectrum(centred=True).dimensions_for(0.999) == 2
    same = matched(unit_rows(vectors), seed=1)
    assert same.largest == pair_cosines(same.vectors).largest


def test_what_is_no_number_is_refused():
    with pytest.raises(GeometryError, match="not finite"):
        Moments.of(torch.tensor([[1.0, torch.nan]]))
    with pytest.raises(GeometryError, match="rows of a matrix"):
        Moments.of(torch.empty(0, 3))


# --- chance -----------------------------------------------------------------------------------


def test_in_three_dimensions_cosines_are_uniform_and_in_two_angles_are():
    angles = torch.linspace(math.pi, 0, 9).double()
    assert torch.allclose(expected_histogram(angles.cos(), 2), torch.full((8,), 1 / 8).double())
    edges = torch.linspace(-1, 1, 9).double()
    assert torch.allclose(expected_histogram(edges, 3), torch.full((8,), 1 / 8).double())
    assert float(expected_histogram(edges, 50).sum()) == pytest.approx(1)
    found = chance(4, 9)
    assert found.rms == pytest.approx(1 / 3)
    assert found.welch == 0


def test_random_vectors_have_the_cosines_that_chance_says():
    pairs = pair_cosines(drawn(2000, 24))
    for share in (0.01, 0.2, 0.5, 0.999):
        # (1 + cosine) / 2 of random directions in d dimensions is a beta of (d - 1) / 2 twice.
        wanted = 2 * beta.ppf(share, 11.5, 11.5) - 1
        assert pairs.quantile(share) == pytest.approx(wanted, abs=0.006)
    assert pairs.rms == pytest.approx(chance(2000, 24).rms, rel=0.01)
    assert pairs.largest == pytest.approx(chance(2000, 24).largest, abs=0.05)


# --- neighbours -------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [64, 5000])
def test_the_largest_cosine_is_the_same_however_it_is_looked_for(block):
    for seed in range(3):
        vectors = drawn(300, 7, seed)
        assert largest_cosine(vectors, block=block) == pytest.approx(
            pair_cosines(vectors).largest, abs=1e-6
        )


@pytest.mark.parametrize("screened", [False, True])
@pytest.mark.parametrize("count", [40, 137, 1500])
def test_the_nearest_are_those_of_the_whole_matrix(count, screened):
    vectors = drawn(count, 30)
    vectors[3] = vectors[5]
    unit = unit_rows(vectors).double()
    cosines = (unit @ unit.T).fill_diagonal_(-2)
    # Float32 may take either of two that are closer than it can tell apart.
    least = cosines.topk(6, dim=1).values[:, -1:]
    found = nearest_rows(vectors, 6, screened=screened)
    assert (cosines.gather(1, found) >= least - 1e-6).all()
    assert all(len(set(row)) == 6 for row in found.tolist())
    assert 5 in found[3].tolist()


def test_rows_so_close_that_rounding_hides_them_are_still_found():
    vectors = drawn(1, 64) + 1e-2 * drawn(600, 64, seed=1)
    unit = unit_rows(vectors).double()
    cosines = (unit @ unit.T).fill_diagonal_(-2)
    least = cosines.topk(3, dim=1).values[:, -1:]
    found = nearest_rows(vectors, 3, screened=True)
    assert (cosines.gather(1, found) > least - 1e-6).all()


def test_one_in_the_middle_of_all_is_a_hub():
    around = torch.eye(60)
    middle = torch.ones(1, 60) + torch.arange(60) / 1e3
    found = hubs(torch.cat([around, middle]), 1)
    assert found.largest(1) == [(60, 60)]
    assert int(found.occurrences.sum()) == 61
    assert found.skewness > 7
    assert found.orphans == pytest.approx(59 / 61)  # the middle has one nearest of its own
    even = hubs(torch.eye(4).repeat_interleave(2, 0), 1)
    assert even.skewness == 0
    assert even.orphans == 0
    assert even.held_by(0.25) == pytest.approx(0.25)
    with pytest.raises(GeometryError, match="none has 4 others"):
        hubs(torch.eye(4), 4)
