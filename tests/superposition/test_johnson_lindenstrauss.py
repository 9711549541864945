"""The lemma's constant by hand, and that what it promises holds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from molehill.errors import GeometryError
from molehill.superposition.johnson_lindenstrauss import (
    direction_dimensions,
    distance_dimensions,
)


def test_the_constant():
    # 4 ln 1000 / (0.02 - 0.008 / 3) by hand
    assert distance_dimensions(1000, 0.2) == math.ceil(27.631021 / 0.017333333)
    with pytest.raises(GeometryError, match="an error between 0 and 1"):
        distance_dimensions(1000, 1.0)


def test_random_directions_keep_what_it_promises():
    cosine = 0.5
    dimensions = direction_dimensions(60, cosine)
    rows = np.random.default_rng(0).standard_normal((60, dimensions))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.abs(rows @ rows.T - np.eye(60)).max() < cosine


def test_it_does_not_explain_a_model_of_768_dimensions():
    assert direction_dimensions(50257, math.cos(math.radians(60))) > 768
    assert direction_dimensions(50257, math.cos(math.radians(80))) > 4000
