"""What the tests of this room share: the built-in sentences through real weights, and a browser."""

from __future__ import annotations

import os
import shutil
from typing import Any

import pytest
from tests.views.browsing import absent

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="session")
def smollm2_shift_data(smollm2_gguf) -> dict[str, Any]:
    """The six built-in sentences through SmolLM2, as a page holds them."""
    from molehill.journey.shift import shift
    from molehill.language_model import load
    from molehill.views.shift import shift_data

    return shift_data(shift(load(smollm2_gguf), "mole"), version="0.0.0", digits=5)


@pytest.fixture(scope="session")
def browser():
    """Chromium, started once."""
    found = os.environ.get("MOLEHILL_CHROMIUM") or next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
    )
    if found is None:
        absent("there is no Chromium on this machine: install it, or set MOLEHILL_CHROMIUM")
    try:
        from playwright import sync_api as api
    except ImportError:
        absent("playwright, which drives the browser, is not installed")
    with api.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found, args=list(FLAGS))
        yield chromium
        chromium.close()
