"""Causal tracing against whole runs, one for each place; approximations where they are exact."""

from __future__ import annotations

import math

import pytest
import torch
from tests.facts.wordy import gap_filling, wordy
from tests.trace.small_families import FAMILIES

from molehill.errors import FactError
from molehill.facts.fact import Fact
from molehill.facts.locate import average, noise_scale, trace_fact, trace_relation
from molehill.text import Tokens
from molehill.trace import Add, Patch, record

FACT = Fact("Anna Bell", "golf rowing", "we say {} plays the sport of")
SITES = {"state": "resid_post", "mlp": "mlp.out", "attention": "attn.out"}
HEADED = [name for name, one in FAMILIES.items() if one.get("causal", True)]


def brute(lm, kind, layer, place, window, draws=3, seed=5, noise=3.0):
    """The mean probability of the object with one place restored, by whole runs."""
    ids = lm.encode(f"{FACT.prompt} golf").row(0)
    wanted = lm.tokenizer.ids(["golf rowing"], add_special=False)[0]
    clean = record(lm, torch.tensor([ids]), [f"*.{SITES[kind]}"], logits="none")
    shape = (draws, 2, lm.config.d_model)
    scale = noise * noise_scale(lm)
    drawn = scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    edits = [Add("embed", drawn.double(), positions=[2, 3])]
    if layer is not None:
        low, high = max(0, layer - window // 2), min(2, layer - (-window // 2))
        edits += [Patch(f"{at}.{SITES[kind]}", clean, positions=[place]) for at in range(low, high)]
    tokens = Tokens.of_ids([ids] * draws)
    scores = record(lm, tokens, [], edits=edits, logits="all").logits.log_softmax(-1)
    end = len(ids) - 1
    return (scores[:, end - 1, wanted[0]] + scores[:, end, wanted[1]]).exp()


@pytest.mark.parametrize("family", HEADED)
@pytest.mark.parametrize("window", [1, 2])
def test_every_effect_is_that_of_a_run_of_its_own(family, window):
    lm = wordy(family)
    found = trace_fact(lm, FACT, draws=3, seed=5, window=window)
    assert found.pieces == tuple(lm.encode(FACT.prompt).pieces[0])
    assert found.subject_span == (2, 4)
    corrupted = brute(lm, "state", None, 0, 1)
    assert found.corrupted == pytest.approx(float(corrupted.mean()), rel=1e-6)
    for kind in SITES:
        for layer in range(2):
            for place in range(len(found.pieces)):
                own = 1 if kind == "state" else window
                gained = brute(lm, kind, layer, place, own) - corrupted
                effect, error = found.effects[kind][layer, place], found.errors[kind][layer, place]
                assert float(effect) == pytest.approx(float(gained.mean()), abs=1e-9)
                assert float(error) == pytest.approx(float(gained.std()) / math.sqrt(3), abs=1e-9)


def filled(lm, kind=None, low=0, high=0, place=0, draws=3, seed=5):
    """The probability of the object in its two gaps, of a model that reads both ways, with some
    layers' parts put back at one place, by whole runs [draw]."""
    ids = lm.encode(f"{FACT.prompt} [MASK] [MASK].").row(0)
    wanted = lm.tokenizer.ids(["golf rowing"], add_special=False)[0]
    clean = record(lm, torch.tensor([ids]), [f"*.{site}" for site in SITES.values()])
    noise = torch.randn(
        (draws, 2, lm.config.d_model), generator=torch.Generator().manual_seed(seed)
    )
    edits = [Add("embed", (3.0 * noise_scale(lm) * noise).double(), positions=[3, 4])]
    edits += [Patch(f"{at}.{SITES[kind]}", clean, positions=[place]) for at in range(low, high)]
    tokens = Tokens.of_ids([ids] * draws)
    scores = record(lm, tokens, [], edits=edits, logits="all").logits.log_softmax(-1)
    return (scores[:, 9, wanted[0]] + scores[:, 10, wanted[1]]).exp()


def test_every_effect_of_a_model_that_fills_gaps_is_that_of_a_run_of_its_own():
    lm, window = gap_filling(), 2
    found = trace_fact(
        lm, FACT, draws=3, seed=5, window=window, approximate=["integrated gradients"]
    )
    assert found.pieces[0] == "[CLS]" and found.pieces[-4:] == ("[MASK]", "[MASK]", ".", "[SEP]")
    assert found.subject_span == (3, 5) and found.gaps == (9, 10)
    corrupted = filled(lm)
    assert found.corrupted == pytest.approx(float(corrupted.mean()), rel=1e-6)
    for kind in SITES:
        for layer in range(2):
            for place in range(13):
                own = 1 if kind == "state" else window
                low, high = max(0, layer - own // 2), min(2, layer - (-own // 2))
                gained = filled(lm, kind, low, high, place) - corrupted
                effect, error = found.effects[kind][layer, place], found.errors[kind][layer, place]
                assert float(effect) == pytest.approx(float(gained.mean()), rel=1e-6, abs=1e-11)
                assert float(error) == pytest.approx(
                    float(gained.std()) / math.sqrt(3), rel=1e-6, abs=1e-11
                )
    # What stands before the subject reads it here, and matters.
    assert float(found.effects["state"][0, :3].abs().min()) > 0
    assert found.approximations["integrated gradients"].correlation > 0.99


def test_a_gap_counts_as_the_last_token_and_what_closes_the_sentence_as_none():
    found = trace_fact(gap_filling(), FACT, draws=1, kinds=["state"])
    assert found.roles()[3:] == (
        "first subject token",
        "last subject token",
        "first further token",
        *["further tokens"] * 3,
        *["last token"] * 2,
        None,
        None,
    )
    both = trace_relation(gap_filling(), [FACT, FACT], draws=1, kinds=["state"], resamples=10)
    ends = found.effects["state"][:, [9, 10]].mean(1)
    torch.testing.assert_close(both.effects["state"][:, both.roles.index("last token")], ends)


def test_another_subject_in_a_model_that_fills_gaps():
    lm = gap_filling()
    found = trace_fact(lm, FACT, against="Carl Dorn", kinds=["state"])
    theirs = record(lm, ["we say Carl Dorn plays the sport of [MASK] [MASK]."], [], logits="all")
    wanted = lm.tokenizer.ids(["golf rowing"], add_special=False)[0]
    scores = theirs.logits[0].log_softmax(-1)
    expected = float((scores[9, wanted[0]] + scores[10, wanted[1]]).exp())
    assert found.corrupted == pytest.approx(expected)


def test_the_last_token_at_the_end_brings_everything_back():
    lm = wordy("llama")
    one = Fact("Anna Bell", "golf", FACT.template)
    found = trace_fact(lm, one, draws=2, kinds=["state"])
    assert float(found.effects["state"][-1, -1]) == pytest.approx(found.total_effect, abs=1e-9)


def test_another_subject_in_its_place():
    lm = wordy("gpt2")
    found = trace_fact(lm, FACT, against="Carl Dorn", kinds=["state"])
    theirs = record(lm, ["we say Carl Dorn plays the sport of golf"], [], logits="all").logits
    wanted = lm.tokenizer.ids(["golf rowing"], add_special=False)[0]
    scores = theirs[0].log_softmax(-1)
    expected = float((scores[-2, wanted[0]] + scores[-1, wanted[1]]).exp())
    assert found.corrupted == pytest.approx(expected)
    assert found.corruption == "Carl Dorn in place of Anna Bell"
    with pytest.raises(FactError, match="as many tokens"):
        trace_fact(lm, FACT, against="Carl")


def test_attribution_is_exact_for_small_corruption_and_gradients_agree_with_differences():
    lm = wordy("gpt2")
    small = trace_fact(
        lm,
        FACT,
        noise=1e-4,
        draws=2,
        kinds=["state"],
        approximate=["attribution patching", "integrated gradients"],
    )
    for name in ("attribution patching", "integrated gradients"):
        found = small.approximations[name]
        torch.testing.assert_close(found.effects, small.effects["state"], rtol=1e-2, atol=1e-9)
        assert found.correlation > 0.9999


def test_many_facts_are_averaged_by_role_with_intervals_that_hold_the_mean():
    lm = wordy("opt")
    facts = [
        FACT,
        Fact("Carl", "chess", "{} plays the sport of"),
        Fact("Ruth Hale", "golf", "it was {}"),
    ]
    traces = [trace_fact(lm, fact, draws=2) for fact in facts]
    found = average(traces, relation="sport", resamples=200)
    again = trace_relation(lm, facts, relation="sport", draws=2, resamples=200)
    column = found.roles.index("last subject token")
    by_hand = (
        torch.stack(
            [
                traces[0].effects["mlp"][:, 3],
                traces[1].effects["mlp"][:, 0],
                traces[2].effects["mlp"][:, 3],
            ]
        )
        .double()
        .mean(0)
    )
    torch.testing.assert_close(found.effects["mlp"][:, column], by_hand)
    torch.testing.assert_close(found.effects["mlp"], again.effects["mlp"])
    assert found.counts[column] == 3
    assert found.counts[found.roles.index("first subject token")] == 2
    assert bool((found.low["mlp"] <= found.effects["mlp"] + 1e-12).all())
    assert bool((found.high["mlp"] >= found.effects["mlp"] - 1e-12).all())
    low, high = found.total_effect[1:]
    assert low <= found.total_effect[0] <= high


def test_what_cannot_be_traced_is_refused():
    lm = wordy("gpt2")
    with pytest.raises(FactError, match="above zero"):
        trace_fact(lm, FACT, noise=0.0)
    with pytest.raises(FactError, match="predicts no words"):
        trace_fact(wordy("minilm"), FACT)
    with pytest.raises(FactError, match="give some"):
        average([])
