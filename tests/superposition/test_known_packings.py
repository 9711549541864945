"""Famous packings: built exactly, met by their bounds, and found again by the search."""

from __future__ import annotations

import pytest
import torch

from molehill.errors import GeometryError
from molehill.superposition.alternating_projection import alternating_projection
from molehill.superposition.bounds import bounds
from molehill.superposition.known_packings import KNOWN_PACKINGS, compare_known
from molehill.superposition.worst_pairs import worst_pair


def name_of(known) -> str:
    return f"{known.name}-{known.count}-{known.dimensions}"


@pytest.mark.parametrize("known", KNOWN_PACKINGS, ids=name_of)
def test_each_is_what_it_is_said_to_be_and_no_packing_is_better(known):
    vectors = known.build()
    assert vectors.shape == (known.count, known.dimensions)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(known.count, dtype=torch.float64))
    assert worst_pair(vectors, lines=known.lines)[0] == pytest.approx(known.cosine, abs=1e-12)
    told = bounds(known.count, known.dimensions)
    limit = told.best if known.lines else told.vectors.best
    # Petersen's code is the best by a finer argument than these bounds.
    exact = known.name != "Petersen code"
    assert limit == pytest.approx(known.cosine, abs=1e-9) if exact else limit < known.cosine


SMALL = [known for known in KNOWN_PACKINGS if known.count <= 28]


@pytest.mark.parametrize("known", SMALL, ids=name_of)
def test_the_search_finds_the_small_ones(known):
    (found,) = compare_known([known])
    assert abs(found.gap) < 1e-6
    assert found.reached >= 1
    assert found.random > known.cosine + 0.1
    # The classical method, which is told the answer, finds the lines too.
    assert (found.alternating is not None) == known.lines
    if found.alternating is not None:
        assert found.alternating == pytest.approx(known.cosine, abs=1e-6)


def test_alternating_projection_gives_unit_lines_and_refuses_what_cannot_be():
    lines = alternating_projection(9, 4, 0.3, steps=5, starts=2)
    assert lines.shape == (9, 4)
    assert torch.allclose(lines.norm(dim=1), torch.ones(9, dtype=torch.float64))
    with pytest.raises(GeometryError, match="3 lines in 4 dimensions"):
        alternating_projection(3, 4, 0.1)
