"""A model of each family, and three texts of unequal lengths."""

from __future__ import annotations

import pytest
from tests.trace.small_families import FAMILIES, build

from molehill.model import Transformer
from molehill.text import Tokens


@pytest.fixture(params=FAMILIES)
def family(request) -> str:
    return request.param


@pytest.fixture
def model(family) -> Transformer:
    return build(family)


@pytest.fixture
def tokens() -> Tokens:
    return Tokens.of_ids([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3], [5, 8, 9, 7, 9]])
