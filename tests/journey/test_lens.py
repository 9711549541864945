"""The lens against the model's own last layer, and by hand."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import tiny_language

from molehill.errors import SiteError
from molehill.journey.lens import lens, nearest

TEXT = "abcabdabe"


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma", "notes"])
def test_at_the_last_point_the_lens_is_the_models_own_prediction(name):
    lm = tiny_language(name)
    model = lm.model
    grid = lens(lm, TEXT, k=3, track=[7])
    logits = model(lm.encode([TEXT]).ids).logits[0]
    assert len(grid.readings) == len(grid.points)
    for position, reading in enumerate(grid.readings[-1]):
        best = logits[position].topk(3)
        assert [near.token for near in reading.near] == best.indices.tolist()
        assert [near.score for near in reading.near] == pytest.approx(
            best.values.tolist(), rel=1e-5
        )
        share = logits[position].softmax(-1)
        assert reading.near[0].probability == pytest.approx(float(share.max()), rel=1e-4)
        assert reading.ranks == (int((logits[position] > logits[position, 7]).sum()),)
        assert reading.entropy == pytest.approx(float(-(share * share.log2()).sum()), rel=1e-4)


def test_a_tokens_own_embedding_is_nearest_to_itself():
    lm = tiny_language("bert")
    grid = lens(lm, TEXT, k=1)
    assert grid.ruler == "embedding"
    ids = lm.encode([TEXT]).ids[0].tolist()
    assert [reading.near[0].token for reading in grid.readings[0]] == ids
    assert grid.readings[0][0].near[0].score == pytest.approx(1.0, abs=1e-6)


def test_some_points_alone_are_read_as_among_all_and_the_reader_is_told_how_far_it_is():
    lm = tiny_language("llama")
    told: list[int] = []
    whole = lens(lm, TEXT, k=3, track=[7], progress=told.append)
    assert sum(told) == len(whole.points) * len(whole.pieces)
    some = lens(lm, TEXT, k=3, track=[7], only=["final", "1.resid_post"])
    assert some.points == ("1.resid_post", "final")
    for point, row in zip(some.points, some.readings, strict=True):
        for one, other in zip(row, whole.readings[whole.points.index(point)], strict=True):
            assert [near.token for near in one.near] == [near.token for near in other.near]
            assert one.ranks == other.ranks
            assert one.entropy == pytest.approx(other.entropy, rel=1e-5)
    with pytest.raises(SiteError, match="is a point of the journey"):
        lens(lm, TEXT, only=["nowhere"])


def test_a_model_without_a_head_has_no_logit_ruler():
    with pytest.raises(SiteError, match="embedding"):
        nearest(tiny_language("bert"), torch.zeros(1, 32), ruler="logit")
