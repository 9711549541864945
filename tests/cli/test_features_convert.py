"""`molehill features convert`: there and back, what it says, and what it refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tests.features.layouts import F, cfg, parts, write_folder
from tests.features.test_saelens import features_of

from molehill.cli import main
from molehill.features.saelens import read_saelens
from molehill.features.trained import load_features, save_features


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "theirs", cfg("topk", k=4), parts())


def test_a_missing_folder_is_not_made(tmp_path, capsys):
    for out in ("no/a.safetensors", "no/folder"):
        given = ["features", "convert", "lexicon-4", "--out", str(tmp_path / out)]
        assert main(given) == 2
        told = capsys.readouterr().err
        assert "cannot be written: there is no folder" in told and told.count("\n") == 1


def test_a_folder_becomes_a_file_and_a_folder_again(tmp_path, folder, capsys):
    ours, again = tmp_path / "one.safetensors", tmp_path / "again"
    assert main(["features", "convert", str(folder), "--out", str(ours)]) == 0
    said = capsys.readouterr().out
    assert f"Read as SAELens: {F} features by topk (k = 4), 10 numbers to 10" in said
    assert "3.resid_post of gpt2-small" in said and "long, and stay so" in said
    assert "Written as Molehill's own" in said and "values differ by at most 0," in said
    assert main(["features", "convert", str(ours), "--out", str(again), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["layout"], facts["written_as"], facts["k"]) == ("Molehill", "saelens", 4)
    assert facts["check"]["relative"] == 0 and facts["check"]["active"] > 1
    before, after = read_saelens(folder).features, read_saelens(again).features
    for name, value in before.autoencoder.state_dict().items():
        assert torch.equal(after.autoencoder.state_dict()[name], value)


def test_what_is_folded_is_said(tmp_path, capsys):
    described = cfg("standard", normalize_activations="expected_average_only_in")
    folder = write_folder(tmp_path / "theirs", described, parts())
    ours = ["--out", str(tmp_path / "one.safetensors")]
    assert main(["features", "convert", str(folder), *ours]) == 2
    assert "give the factor" in capsys.readouterr().err
    assert main(["features", "convert", str(folder), *ours, "--scale", "0.25"]) == 0
    assert "Put in: inputs were multiplied with 0.25" in capsys.readouterr().out


def test_the_model_is_held_against_it_and_stamped(tmp_path, folder, capsys):
    ours = tmp_path / "one.safetensors"
    command = ["features", "convert", str(folder), "--out", str(ours), "-m", "village"]
    assert main(command) == 2
    assert "has no site 'blocks.3.hook_resid_post'" in capsys.readouterr().err
    assert main([*command, "--reads", "2.resid_post"]) == 2
    assert "The features read 10 numbers, and 2.resid_post" in capsys.readouterr().err
    assert not ours.exists()
    features = replace(features_of("relu"), fingerprint="abc")
    save_features(features, tmp_path / "two.safetensors")
    command[2] = str(tmp_path / "two.safetensors")
    assert main(command) == 2
    assert "was trained on tiny" in capsys.readouterr().err


def test_what_is_there_stays_unless_asked(tmp_path, folder, capsys):
    ours = tmp_path / "one.safetensors"
    ours.write_text("mine")
    command = ["features", "convert", str(folder), "--out", str(ours)]
    assert main(command) == 2
    assert "is there: name another file, or give --overwrite" in capsys.readouterr().err
    assert ours.read_text() == "mine"
    assert main([*command, "--to", "saelens"]) == 2
    assert "is a file: name a folder" in capsys.readouterr().err
    assert main([*command, "--overwrite"]) == 0
    assert load_features(ours).settings.architecture == "topk"
    assert main(["features", "convert", str(ours), "--out", str(folder)]) == 2
    assert "has files in it" in capsys.readouterr().err
    assert main(["features", "convert", str(ours), "--out", str(folder), "--to", "molehill"]) == 2
    assert "is a folder: name a file" in capsys.readouterr().err
