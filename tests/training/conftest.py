"""What tests of runs share: one corpus, and one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.training.small import make_corpus


@pytest.fixture(scope="session")
def recipe_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The path of a recipe that has its corpus beside it. Neither is to be changed."""
    return make_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in the order of one thread: the same bits in every process of the same."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
