"""Edits of features in files: what comes back does the same, and other features are refused."""

from __future__ import annotations

import json

import pytest
import torch
from tests.features.test_architectures import made
from tests.features.test_edits import CLOSE, TOKENS, autoencoder_at
from tests.trace.small_families import build

from molehill.errors import CheckpointError, ConfigError
from molehill.features.edit_files import (
    FeatureEdits,
    holds_feature_edits,
    load_feature_edits,
    save_feature_edits,
)
from molehill.features.edits import AddFeature, ScaleFeature
from molehill.features.steering import Change
from molehill.features.trained import Features
from molehill.trace import record


def kept(features) -> FeatureEdits:
    edits = FeatureEdits.of(features, "somewhere.safetensors")
    edits = edits.with_edit([Change(3, "add", 2.5), Change(7, "scale", 0.0)], "all")
    return edits.with_edit([Change(3, "clamp", 1 / 3)], "prompt")


def test_what_comes_back_does_the_same(tmp_path):
    features, path = autoencoder_at(), tmp_path / "edits.json"
    save_feature_edits(path, kept(features))
    back = load_feature_edits(path)
    assert back == kept(features) and holds_feature_edits(path)
    assert back.edits(features) == kept(features).edits(features)
    model = build("llama")
    hand = [AddFeature(features, 3, 2.5), ScaleFeature(features, 7, 0.0)]
    wanted = record(model, TOKENS, ["final"], edits=hand)["final"]
    found = record(model, TOKENS, ["final"], edits=back.without(2).edits(features))["final"]
    torch.testing.assert_close(found, wanted, **CLOSE)


def test_the_same_numbers_are_the_same_features_and_others_are_not():
    features = autoencoder_at()
    renamed = Features(made("topk"), features.reads, features.writes, "renamed", "other")
    assert kept(features).edits(renamed)
    moved = Features(made("topk"), ("1.resid_post",), ("1.resid_post",), "made")
    other = Features(made("topk", seed=5), features.reads, features.writes, "made")
    for wrong in (moved, other):
        with pytest.raises(ConfigError, match="name the file that they belong to"):
            kept(features).edits(wrong)


@pytest.mark.parametrize(
    "change",
    [
        {"edits": [{"during": "never", "changes": [{"feature": 1, "how": "add", "number": 1}]}]},
        {"edits": [{"during": "all", "changes": [{"feature": "1", "how": "add", "number": 1}]}]},
        {"edits": [{"during": "all", "changes": [{"feature": 1, "how": "turn", "number": 1}]}]},
        {"edits": [{"during": "all", "changes": [{"feature": 1, "how": "add", "number": None}]}]},
        {"edits": [{"during": "all", "changes": []}]},
        {"edits": 3},
        {"features": {"path": 1}},
    ],
)
def test_a_damaged_file_is_refused(tmp_path, change):
    path = tmp_path / "edits.json"
    save_feature_edits(path, kept(autoencoder_at()))
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(CheckpointError, match=r"edits.json is damaged"):
        load_feature_edits(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "edits.json"
    with pytest.raises(CheckpointError, match="no such file"):
        load_feature_edits(path)
    for content in (b"{", b"[]", b'{"kind": "other"}', b"\x00" * 9):
        path.write_bytes(content)
        assert not holds_feature_edits(path)
        with pytest.raises(CheckpointError, match=r"no molehill.feature-edits/1"):
            load_feature_edits(path)
    with pytest.raises(ConfigError, match="There is no edit 3: there are 1 to 2"):
        kept(autoencoder_at()).without(3)
