"""What the tests of this room share: the built-in sentences through real weights."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="session")
def smollm2_shift_data(smollm2_gguf) -> dict[str, Any]:
    """The six built-in sentences through SmolLM2, as a page holds them."""
    from molehill.journey.shift import shift
    from molehill.language_model import load
    from molehill.views.shift import shift_data

    return shift_data(shift(load(smollm2_gguf), "mole"), version="0.0.0", digits=5)
