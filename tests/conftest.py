"""What many tests share: where real weights and data are found, a browser, the device mark.

Real weights and data are not in the repository. They are looked for in $MOLEHILL_MODELS and
$MOLEHILL_DATA, then in `.models/` of the checkout (filled by `scripts/models`) and `shared/data`
beside the checkout. A test that asks for what is absent is skipped, with the reason.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# The other side of an equality test comes from a package, never from a hub.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# What a test checks is nobody's certificate; tests of that choose a folder of their own.
os.environ["MOLEHILL_CERTIFICATES"] = "off"
# Examples that a page makes are kept for the next time; a test is to make its own.
os.environ["MOLEHILL_EXAMPLES"] = tempfile.mkdtemp(prefix="molehill-examples-")
atexit.register(shutil.rmtree, os.environ["MOLEHILL_EXAMPLES"], ignore_errors=True)
# Those who run tests side by side tell them the width of their own terminal.
os.environ.pop("COLUMNS", None)
# A shell's background job ignores Ctrl-C, and so would every program that a test starts to stop.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("requires_cuda")]
    if not marked:
        return
    import torch

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture(scope="session")
def smollm2_gguf() -> Path:
    """SmolLM2-135M-Instruct as a Q4_1 GGUF file."""
    return _model("smollm2")


@pytest.fixture(scope="session")
def minilm_folder() -> Path:
    """all-MiniLM-L6-v2, a BERT, as a folder of safetensors."""
    return _model("minilm")


@pytest.fixture(scope="session")
def coarsewsd() -> Path:
    """CoarseWSD-20: a folder per word with its sentences and senses."""
    return _data("coarsewsd20")


@pytest.fixture(scope="session")
def relations() -> Path:
    """Relations between subjects and objects, as JSON files by kind."""
    return _data("relations")


def _model(name: str) -> Path:
    from molehill.checkpoints.names import find_model

    path = find_model(name)
    if path is None:
        pytest.skip(f"the model {name!r} is not here: run scripts/models, or set MOLEHILL_MODELS")
    return path


def _data(name: str) -> Path:
    places = [Path(part) for part in [os.environ.get("MOLEHILL_DATA", "")] if part]
    places += [ROOT.parent / "shared" / "data"]
    for place in places:
        if (place / name).is_dir():
            return place / name
    pytest.skip(f"the data {name!r} are not in {places[-1]}: set MOLEHILL_DATA to their folder")


@pytest.fixture(scope="session")
def browser():
    """Chromium, started once."""
    from tests.views.browsing import absent

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
        chromium = driver.chromium.launch(executable_path=found, args=list(CHROMIUM_FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def few_examples():
    """Examples of features that pages make by themselves come from a tenth of the sentences."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("molehill.questions.made_examples._TOLD", 150)
        yield


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 6 steps with models of steps 0, 3 and 6. It is not to be changed."""
    from tests.training.small import make_corpus, small_recipe

    from molehill.training import train

    folder = tmp_path_factory.mktemp("runs")
    recipe = small_recipe(
        make_corpus(folder),
        training__steps=6,
        training__context=32,
        evaluation__every=2,
        snapshots__at=[0, 3],
        samples__prompts=["The mole"],
        samples__every=3,
        samples__tokens=4,
    )
    train(recipe, folder / "small")
    return folder / "small"
