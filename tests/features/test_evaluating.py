"""Scores over texts: both parts see the same tokens, and SAEBench's names hold what they say."""

from __future__ import annotations

import pytest
import torch

import molehill
from molehill.errors import ConfigError
from molehill.features.autoencoder import Settings
from molehill.features.evaluating import evaluate, held_out_rows
from molehill.features.making import make_autoencoder
from molehill.features.scoring import score_rows
from molehill.features.splicing import LeftOut, spliced_losses
from molehill.features.trained import Features
from molehill.trace import record
from molehill.village import make_world, tell

SITE = "1.resid_post"


@pytest.fixture(scope="module")
def village():
    return molehill.load("village")


@pytest.fixture(scope="module")
def sentences():
    return [told.text for told in tell(make_world(), 60, 5)]


def made(k: int) -> Features:
    autoencoder = make_autoencoder(Settings("topk", 96, 96, 64, k=k)).eval()
    return Features(autoencoder, (SITE,), (SITE,), f"random-{k}", "village")


def test_rows_are_the_models_own_without_what_is_left_out(village, sentences):
    rows = list(held_out_rows(village, made(4), sentences, LeftOut(1, True)))
    found = torch.cat([batch[SITE] for batch in rows])
    wanted = []
    for text in sentences:
        wanted.append(record(village, text, [SITE])[SITE][0, 1:])
    assert torch.allclose(found, torch.cat(wanted), atol=1e-5)


def test_both_parts_are_what_their_own_functions_say(village, sentences):
    features = made(8)
    found = evaluate(village, features, lambda: sentences, left_out=LeftOut(1, True))
    rows = held_out_rows(village, features, sentences, LeftOut(1, True))
    losses = spliced_losses(village, features, sentences, left_out=LeftOut(1, True))
    assert found.score.to_dict() == score_rows(features, rows).to_dict()
    assert found.losses is not None
    assert found.losses.recovered == pytest.approx(losses.recovered)
    assert found.score.rows == losses.exchanged
    bench = found.to_saebench()
    kept = bench["model_performance_preservation"]
    share = (kept["ce_loss_with_ablation"] - kept["ce_loss_with_sae"]) / (
        kept["ce_loss_with_ablation"] - kept["ce_loss_without_sae"]
    )
    assert kept["ce_loss_score"] == pytest.approx(share)
    assert bench["sparsity"]["l0"] == found.score.l0 <= 8
    assert bench["token_stats"]["total_tokens_eval_sparsity_variance"] == found.score.rows


def test_so_many_tokens_and_no_losses(village, sentences):
    found = evaluate(village, made(4), lambda: sentences, most_tokens=100, losses=False)
    assert found.score.rows == 100
    assert found.losses is None
    assert "model_performance_preservation" not in found.to_saebench()


def test_features_of_another_model_are_refused(village, sentences):
    other = Features(made(4).autoencoder, (SITE,), (SITE,), "x", "other", "0" * 64)
    with pytest.raises(ConfigError, match="was trained on other"):
        evaluate(village, other, lambda: sentences)
