"""A lens's data: every cell is what the model's own head would say there, and JSON can hold it."""

from __future__ import annotations

import json
from math import log2

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language
from tests.views.made import HOSTILE, SIX, lens_of, word_model

from molehill.errors import SiteError
from molehill.journey import follow, lens
from molehill.views.lens import every_layers, lens_data

HEADED = [name for name in BLOCKS if name != "bert"]
TEXT = SIX[0]


def told(position: int) -> torch.Tensor:
    """By hand, for the RMS norm of `llama`: every point's scores at one token [point, d_vocab]."""
    lm = tiny_language("llama")
    path = follow(lm, TEXT, position).path()
    norm, head = lm.model.final_norm, lm.model.w_unembed
    size = (path[:-1].square().mean(-1, keepdim=True) + lm.config.norm_eps).sqrt()
    return torch.cat([path[:-1] / size * norm.multiplier, path[-1:]]) @ head.T


@pytest.mark.parametrize("position", [0, 9, len(TEXT) - 1])
def test_words_probabilities_entropy_and_ranks_are_those_worked_out_by_hand(position):
    made = lens_of("llama", digits=15)
    for row, scores in zip(made["readings"], told(position), strict=True):
        cell, shares = row[position], scores.softmax(-1)
        best = shares.topk(3)
        assert cell["words"] == [f"<{token}>" for token in best.indices.tolist()]
        assert cell["probabilities"] == pytest.approx(best.values.tolist(), rel=1e-3)
        bits = -(shares * shares.log2()).sum()
        assert cell["entropy"] == pytest.approx(float(bits), rel=1e-3)
        assert cell["ranks"] == [int((scores > scores[token]).sum()) for token in (3, 5)]


@pytest.mark.parametrize("name", HEADED)
def test_the_last_row_is_what_the_model_says(name):
    lm, made = tiny_language(name), lens_of(name)
    logits = lm.model(lm.encode([TEXT]).ids).logits[0]
    for cell, scores in zip(made["readings"][-1], logits, strict=True):
        assert cell["words"][0] == f"<{int(scores.argmax())}>"
        assert cell["probabilities"][0] == pytest.approx(float(scores.softmax(-1).max()), rel=1e-3)


def test_a_model_without_a_head_is_read_by_cosine_and_has_no_entropy():
    lm, made = tiny_language("bert"), lens_of("bert")
    assert made["ruler"] == "embedding" and "no head" in " ".join(made["notes"])
    table = lm.model.w_token - lm.model.w_token.mean(0)
    path = follow(lm, TEXT, 4).path()  # BERT's word is the mean of its tokens: here, of one
    for row, vector in zip(made["readings"], path, strict=True):
        cosines = torch.cosine_similarity(vector - lm.model.w_token.mean(0), table)
        assert row[4]["words"][0] == f"<{int(cosines.argmax())}>"
        assert row[4]["scores"][0] == pytest.approx(float(cosines.max()), abs=1e-4)
        assert "entropy" not in row[4] and "probabilities" not in row[4]


@pytest.mark.parametrize("name", BLOCKS)
def test_there_is_a_cell_for_every_point_and_token(name):
    made = lens_of(name)
    assert len(made["readings"]) == len(made["points"])
    assert {len(row) for row in made["readings"]} == {len(made["pieces"])} == {len(TEXT)}


def test_every_other_layer_keeps_the_start_and_the_end_and_names_what_it_leaves_out():
    points = ["embed", "0.resid_mid", "0.resid_post", "1.resid_mid", "1.resid_post"]
    points += ["2.resid_mid", "2.resid_post", "final"]
    assert every_layers(points, 1) == [0, 2, 4, 6, 7]
    assert every_layers(points, 2) == [0, 4, 6, 7]
    assert every_layers(points, 99) == [0, 6, 7]
    made = lens_of("llama", every=2)
    kept = [point["name"] for point in made["points"]]
    assert kept == ["embed", "1.resid_post", "2.resid_post", "final"]
    assert set(kept) | set(made["points_left_out"]) == set(points)
    full = lens_of("llama")
    names = [point["name"] for point in full["points"]]
    assert made["readings"] == [full["readings"][names.index(name)] for name in kept]


@pytest.mark.parametrize("name", HEADED)
def test_the_summary_says_from_where_on_the_last_word_comes_first(name):
    made = lens_of(name)
    column = [row[made["focus"]]["words"][0] for row in made["readings"]]
    since = next(n for n in range(len(column)) if set(column[n:]) == {column[-1]})
    first = made["summary"][0]
    if since == len(column) - 1:
        assert "Nowhere before that" in first
    else:
        assert f"It comes first {made['points'][since]['after']}, and stays." in first


def test_the_summary_follows_every_tracked_word():
    made = lens_of("llama")
    for number, line in enumerate(made["summary"][1:]):
        ranks = [row[made["focus"]]["ranks"][number] + 1 for row in made["readings"]]
        assert f"begins at rank {ranks[0]} of 60" in line and f"ends at {ranks[-1]}." in line
        if min(ranks) < ranks[-1]:
            assert f"comes to {min(ranks)} " in line
    assert len(made["summary"]) == 3


def test_a_blind_guess_is_told_in_bits():
    assert f"{log2(60):.1f} a blind guess among 60 words" in " ".join(lens_of()["notes"])


@pytest.mark.parametrize("text", [*HOSTILE, *SIX[:2]])
def test_json_holds_it_all(text):
    made = lens_of("llama", text)
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_a_text_without_a_token_is_refused_as_by_a_ledger():
    lm = word_model()
    for ask in (lens, follow):
        with pytest.raises(SiteError, match="The text holds no token"):
            ask(lm, "")


def test_words_that_the_model_does_not_know_are_named():
    lm, text = word_model(), "the zebra"
    made = lens_data(lm, text, lens(lm, text), version="0.0.0")
    assert any("does not know “zebra”:" in note for note in made["notes"])
