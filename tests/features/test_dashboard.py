"""Dashboards as SAEDashboard's JSON."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from tests.features.test_saelens import features_of

from molehill.errors import CheckpointError
from molehill.features.dashboard import (
    DashboardRun,
    Example,
    ExampleGroup,
    FeatureExamples,
    Histogram,
    Relatives,
    dashboard_batch,
    write_dashboards,
)

# SAEDashboard's NeuronpediaDashboardFeature, `to_dict`, and `vector`, which the importer reads.
FIELDS = {
    "feature_index",
    "neg_str",
    "neg_values",
    "pos_str",
    "pos_values",
    "frac_nonzero",
    "n_prompts_total",
    "n_tokens_in_prompt",
    "dataset",
    "decoder_weights_dist",
    "activations",
    "vector",
    *(f"neuron_alignment_{each}" for each in ("indices", "values", "l1")),
    *(f"correlated_neurons_{each}" for each in ("indices", "l1", "pearson")),
    *(f"correlated_features_{each}" for each in ("indices", "l1", "pearson")),
    *(f"freq_hist_data_bar_{each}" for each in ("values", "heights")),
    *(f"logits_hist_data_bar_{each}" for each in ("values", "heights")),
}
ABOUT = DashboardRun("gpt2-small", "mine", "texts", 12, 64, "-a")


def shown(feature: int = 3) -> FeatureExamples:
    best = Example(("The", " mole", " dug"), (0.0, 4.5, 0.25), 1)
    weak = Example((" sp\u00e9cial", "</script>"), (0.5, 0.0), 0)
    return FeatureExamples(
        feature,
        (
            ExampleGroup((best,), 4.0, 4.5, 0.125, top=True),
            ExampleGroup((weak, weak), 0.25, 1.0, 0.75),
        ),
        density=0.01,
        promoted=((" tunnel", 2.5), (" spy", 1.0)),
        suppressed=((" sauce", -3.0),),
        activity=Histogram((0.5, 1.5), (7.0, 2.0)),
        scores=Histogram((-1.0, 1.0), (40.0, 60.0)),
        neurons=Relatives((5,), (0.5,), (math.nan,)),
        features=Relatives((1, 2), (0.1, math.inf), (0.2, -0.3)),
    )


def test_a_batch_has_the_fields_of_saedashboard():
    features = features_of("topk")
    batch = dashboard_batch(features, [shown()], ABOUT)
    assert set(batch) == {"model_id", "layer", "sae_set", "sae_id_suffix", "features"}
    assert (batch["model_id"], batch["layer"], batch["sae_set"]) == ("gpt2-small", 3, "mine")
    (found,) = batch["features"]
    assert set(found) == FIELDS
    assert found["pos_str"] == [" tunnel", " spy"] and found["neg_values"] == [-3.0]
    assert (found["n_prompts_total"], found["n_tokens_in_prompt"]) == (12, 64)
    top, first, second = found["activations"]
    assert (top["bin_min"], top["bin_max"], top["bin_contains"]) == (-1, 4.5, -1)
    assert (top["tokens"], top["values"]) == (["The", " mole", " dug"], [0.0, 4.5, 0.25])
    assert (top["qualifying_token_index"], first) == (1, second)
    assert (first["bin_min"], first["bin_max"], first["bin_contains"]) == (0.25, 1.0, 0.75)


def test_what_follows_from_the_weights():
    features = features_of("topk")
    with torch.no_grad():
        features.autoencoder.w_dec[3] = 0
        features.autoencoder.w_dec[3, [2, 7, 4, 9]] = torch.tensor([0.25, 3.0, 1.0, -4.0])
    (found,) = dashboard_batch(features, [shown()], ABOUT)["features"]
    assert found["neuron_alignment_indices"] == [7, 4, 2]
    assert found["neuron_alignment_values"] == [3.0, 1.0, 0.25]
    assert found["neuron_alignment_l1"] == pytest.approx(
        [3 / 8.25, 1 / 8.25, 0.25 / 8.25], rel=1e-5
    )
    assert found["vector"][9] == -4.0 and len(found["vector"]) == 12


def test_files_are_json_without_nan(tmp_path):
    features = features_of("topk")
    paths = write_dashboards(
        tmp_path / "new", features, (shown(each) for each in range(5)), ABOUT, batch=2
    )
    assert [path.name for path in paths] == ["batch-0.json", "batch-1.json", "batch-2.json"]

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    read = [json.loads(path.read_text("utf-8"), parse_constant=refuse) for path in paths]
    indices = [each["feature_index"] for batch in read for each in batch["features"]]
    assert indices == [0, 1, 2, 3, 4]
    found = read[0]["features"][0]
    assert found["correlated_neurons_pearson"] == [0.0]
    assert found["correlated_features_l1"] == [0.1, 0.0]
    assert found["activations"][1]["tokens"] == [" sp\u00e9cial", "</script>"]


def test_what_does_not_belong_together_is_refused():
    features = features_of("topk")
    with pytest.raises(CheckpointError, match="There is no feature 40: one has 40"):
        dashboard_batch(features, [shown(40)], ABOUT)
    odd = Example(("a", "b"), (1.0,), 0)
    wrong = replace(shown(), groups=(ExampleGroup((odd,), 0.0, 1.0, 1.0),))
    with pytest.raises(CheckpointError, match="2 tokens, 1 values"):
        dashboard_batch(features, [wrong], ABOUT)
