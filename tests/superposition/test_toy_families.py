"""The smallest model of each figure: what is found, what is held, what it costs."""

from __future__ import annotations

import pytest

from molehill.superposition.toy_families import toy_families
from molehill.superposition.toy_shapes import PLATEAUS


def test_pentagons_are_found_and_tetrahedra_only_held():
    families = {one.name: one for one in toy_families(seeds=4, steps=500)}
    assert [*families] == [*PLATEAUS]
    assert [(one.features, one.dimensions) for one in families.values()] == [
        (4, 3),
        (3, 2),
        (2, 1),
        (5, 2),
        (8, 3),
    ]
    pentagon = families["pentagon"]
    assert pentagon.found >= 3 and pentagon.held == 4
    assert pentagon.dimensionalities.flatten().tolist() == pytest.approx(
        [0.4] * 5 * (pentagon.found + pentagon.held), abs=0.02
    )
    assert len(pentagon.arrangements) == 4
    # Per p²: twelve meetings of 0.031 against the two of 1/6 of one antipodal pair.
    tetrahedron = families["tetrahedron"]
    assert tetrahedron.found == 0 and tetrahedron.held >= 3
    assert tetrahedron.figure_loss and tetrahedron.figure_loss > 1.1 * tetrahedron.best_loss
