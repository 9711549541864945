"""A report over every family, and what it says of matrices whose truth is known."""

from __future__ import annotations

import pytest
import torch
from tests.trace.small_families import FAMILIES, build

from molehill.errors import GeometryError
from molehill.superposition.matrices import Matrix, matrix_names
from molehill.superposition.report import detail, report, steps, summary


def matrix(vectors: torch.Tensor) -> Matrix:
    return Matrix("made", "tensor", None, vectors, "made by hand")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_report_and_its_work_adds_up(family):
    model = build(family, d_vocab=60)
    done = []
    found = report(model, progress=done.append)
    names = [one.matrix.name for one in found.details] + [one.name for one in found.layers]
    assert sorted(names) == sorted(matrix_names(model))
    assert sum(done) == steps(model, [one.matrix.name for one in found.details], layers=True)
    assert found.tied == (model.config.has_head and model.config.tied)
    for line in found.layers:
        assert 0 < line.rms <= abs(line.largest) <= 1
        assert line.chance.welch <= abs(line.largest) + 1e-6
        assert 1 <= line.participation <= line.effective_rank <= line.dimensions + 1e-6
    table = found.details[0]
    assert table.hubs is not None
    assert table.pairs.pairs == 60 * 59 // 2


def test_orthonormal_rows_are_told_as_such():
    line = summary(matrix(torch.linalg.qr(torch.randn(16, 16)).Q))
    assert line.effective_rank == pytest.approx(16, rel=1e-4)
    assert line.rms < 1e-3
    assert abs(line.largest) < 1e-5
    assert line.chance.welch == 0
    assert line.length_range == pytest.approx((1, 1), abs=1e-5)


def test_a_common_direction_is_seen_and_goes_when_the_mean_is_taken_off():
    torch.manual_seed(0)
    line = summary(matrix(torch.randn(500, 30) + 2.0))
    assert line.common_share == pytest.approx(0.8, abs=0.02)
    assert line.mean_cosine == pytest.approx(0.8, abs=0.02)
    assert abs(line.mean_centred) < 0.01
    assert line.rms_centred == pytest.approx(30**-0.5, abs=0.01)
    assert line.participation < 2 < 25 < line.participation_centred


def test_rows_of_zeros_are_left_out_and_the_others_keep_their_numbers():
    torch.manual_seed(1)
    vectors = torch.randn(30, 6)
    vectors[4] = 0
    vectors[20] = 3 * vectors[9]
    found = detail(matrix(vectors))
    assert found.summary.left_out == 1
    assert found.pairs.count == 29
    assert found.summary.largest_names == ("9", "20")
    assert found.summary.largest_pair == (9, 20)
    first = found.collisions[0]
    assert (found.label(first.first), found.label(first.second)) == ("9", "20")
    lengths = vectors.norm(dim=1)
    assert found.row(found.lengths.longest[0][0]) == int(lengths.argmax())
    with pytest.raises(GeometryError, match="1 rows that are not zero"):
        summary(matrix(torch.eye(3)[:1]))


def test_lengths_that_grow_with_the_number_are_seen_to():
    vectors = torch.nn.functional.normalize(torch.randn(40, 6), dim=1)
    grown = detail(matrix(vectors * torch.arange(1.0, 41).unsqueeze(1)))
    assert grown.lengths.with_number == pytest.approx(1)
    assert grown.lengths.shortest[0] == (0, pytest.approx(1))
    assert grown.lengths.quantiles[-1] == (1.0, pytest.approx(40))
