"""Losses with features in the vectors' place, against the same counted by hand, token by token."""

from __future__ import annotations

import math

import pytest
import torch
from tests.features.test_architectures import made
from tests.trace.small_families import build

import molehill
from molehill.errors import ConfigError, TextError
from molehill.features.autoencoder import Settings
from molehill.features.making import make_autoencoder
from molehill.features.splicing import (
    LeftOut,
    left_out_of,
    spliced_losses,
    spliced_losses_of_each,
)
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.text import Tokens
from molehill.trace import Replace, record

ROWS = [[3, 1, 4, 1, 5, 9, 2], [6, 5, 3], [5, 8, 9, 7, 9]]
SKIP = LeftOut(1, False)


def by_hand(model, features, rows, first):
    """Text by text and token by token: sums of the four losses and three divergences."""
    reads, writes = features.reads, features.writes
    taken = [
        record(model, torch.tensor([row]), list({*reads, *writes}), logits="none") for row in rows
    ]
    vectors = {s: torch.cat([trace[s][0, first:] for trace in taken]) for s in writes}
    sums, count = torch.zeros(7, dtype=torch.float64), 0
    for row, trace in zip(rows, taken, strict=True):
        with torch.no_grad():
            read = torch.cat([trace[site][0, first:] for site in reads], dim=1)
            rebuilt = features.autoencoder(read).split([12] * len(writes), dim=1)
        places = list(range(first, len(row)))
        puts = [
            None,
            dict(zip(writes, rebuilt, strict=True)),
            {site: torch.zeros(12, dtype=torch.float64) for site in writes},
            {site: vectors[site].mean(0) for site in writes},
        ]
        logs = []
        for put in puts:
            edits = [Replace(site, value, positions=places) for site, value in (put or {}).items()]
            trace = record(model, torch.tensor([row]), [], edits=edits, logits="all")
            logs.append(trace["logits"][0].log_softmax(-1))
        for place in places[:-1]:
            for run, log in enumerate(logs):
                sums[run] -= log[place, row[place + 1]]
                if run:
                    p = logs[0][place]
                    sums[3 + run] += (p.exp() * (p - log[place])).sum()
            count += 1
    return sums / count, count


FEATURES = {
    "sae": (("0.resid_post",), ("0.resid_post",)),
    "transcoder": (("1.mlp.in",), ("1.mlp.out",)),
    "crosscoder": (("0.resid_post", "1.resid_post"), ("0.resid_post", "1.resid_post")),
}


@pytest.mark.parametrize("kind", FEATURES)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_losses_are_those_counted_by_hand(kind, family):
    reads, writes = FEATURES[kind]
    if kind == "crosscoder":
        autoencoder = make_autoencoder(Settings("topk", 24, 24, 40, k=5)).double()
        autoencoder.products = torch.float64
    else:
        autoencoder = made("topk", centred=reads == writes)
    model = build(family)
    lm = LanguageModel(model, None, "tiny")
    features = Features(autoencoder, reads, writes)
    found = spliced_losses(lm, features, Tokens.of_ids(ROWS), left_out=SKIP, batch_size=2)
    wanted, count = by_hand(model, features, ROWS, 1)
    told = [found.original, found.spliced, found.zero, found.mean]
    told += [found.kl_spliced, found.kl_zero, found.kl_mean]
    torch.testing.assert_close(torch.tensor(told, dtype=torch.float64), wanted, rtol=0, atol=1e-9)
    assert (found.tokens, found.exchanged) == (count, sum(len(row) - 1 for row in ROWS))
    share = (found.zero - found.spliced) / (found.zero - found.original)
    assert found.recovered == pytest.approx(share)
    assert found.kl_recovered == pytest.approx(1 - found.kl_spliced / found.kl_zero)


def test_a_perfect_reconstruction_loses_nothing():
    """Of a ReLU autoencoder whose features are plus and minus each coordinate."""
    autoencoder = make_autoencoder(Settings("relu", 12, 12, 24, k=1)).double()
    autoencoder.products = torch.float64
    with torch.no_grad():
        both = torch.cat([torch.eye(12), -torch.eye(12)]).double()
        autoencoder.w_enc.copy_(both)
        autoencoder.w_dec.copy_(both)
    lm = LanguageModel(build("llama"), None, "tiny")
    features = Features(autoencoder, ("0.resid_post",), ("0.resid_post",))
    found = spliced_losses(lm, features, Tokens.of_ids(ROWS), left_out=SKIP)
    assert found.spliced == pytest.approx(found.original, abs=1e-12)
    assert found.kl_spliced == pytest.approx(0.0, abs=1e-12)
    assert found.recovered == pytest.approx(1.0)


def test_texts_become_windows_and_special_tokens_are_left_alone():
    lm = molehill.load("village", dtype="float64")
    autoencoder = make_autoencoder(Settings("topk", 96, 96, 40, k=4)).double()
    autoencoder.products = torch.float64
    features = Features(autoencoder, ("1.resid_post",), ("1.resid_post",))
    texts = ["the mole dug a tunnel .", "the spy was a mole ."]
    rows = [lm.encode([text]).row(0) for text in texts]
    special = lm.tokenizer.special_ids
    found = spliced_losses(lm, features, texts)
    kept = sum(
        place >= 1 and token not in special for row in rows for place, token in enumerate(row)
    )
    assert found.exchanged == kept
    assert str(found.left_out) == "the first 1 of each window and special tokens"
    assert math.isfinite(found.recovered_from_mean)
    some = spliced_losses(lm, features, texts, most_tokens=1)
    assert some.exchanged < found.exchanged


def test_what_training_left_out_is_in_the_provenance():
    autoencoder = made("topk")
    at = (("0.resid_post",), ("0.resid_post",), "one", "", "")
    assert left_out_of(Features(autoencoder, *at)) == LeftOut(1, True)
    about = {"data": {"skip_special": False, "skip_first": 3}}
    assert left_out_of(Features(autoencoder, *at, about)) == LeftOut(3, False)
    assert left_out_of(Features(autoencoder, *at, {"data": {}})) == LeftOut(0, True)


def test_nothing_to_exchange_is_refused():
    lm = LanguageModel(build("llama"), None, "tiny")
    features = Features(made("topk"), ("0.resid_post",), ("0.resid_post",))
    with pytest.raises(TextError, match="no token to exchange: left out are the first 9 of"):
        spliced_losses(lm, features, Tokens.of_ids(ROWS), left_out=LeftOut(9, False))
    with pytest.raises(TextError, match="tiny has no tokenizer"):
        spliced_losses(lm, features, ["a text"])
    bert = LanguageModel(build("bert"), None, "bert")
    with pytest.raises(ConfigError, match="predicts no next word"):
        spliced_losses(bert, features, Tokens.of_ids(ROWS))


def test_several_at_once_are_each_by_itself():
    lm = LanguageModel(build("llama"), None, "tiny")
    site = ("0.resid_post",)
    several = [Features(made("topk", seed), site, site, f"seed {seed}") for seed in (0, 1, 2)]
    together = spliced_losses_of_each(lm, several, Tokens.of_ids(ROWS), left_out=SKIP)
    for features, found in zip(several, together, strict=True):
        alone = spliced_losses(lm, features, Tokens.of_ids(ROWS), left_out=SKIP)
        assert found.left_out == alone.left_out
        ours, theirs = vars(found), vars(alone)
        numbers = [name for name in ours if name != "left_out"]
        assert [ours[n] for n in numbers] == pytest.approx([theirs[n] for n in numbers], abs=1e-12)
    assert together[0].spliced != pytest.approx(together[1].spliced, abs=1e-6)


def test_several_of_different_sites_or_of_none_are_refused():
    lm, tokens = LanguageModel(build("llama"), None, "tiny"), Tokens.of_ids(ROWS)
    one = Features(made("topk"), ("0.resid_post",), ("0.resid_post",))
    with pytest.raises(ConfigError, match="give one file or more"):
        spliced_losses_of_each(lm, [], tokens)
    other = Features(made("topk"), ("1.resid_post",), ("1.resid_post",))
    with pytest.raises(ConfigError, match=r"different sites \(0.resid_post; 1.resid_post\)"):
        spliced_losses_of_each(lm, [one, other], tokens)
    about = {"data": {"skip_special": False, "skip_first": 3}}
    far = Features(one.autoencoder, one.reads, one.writes, "far", "", "", about)
    with pytest.raises(ConfigError, match="without different tokens"):
        spliced_losses_of_each(lm, [one, far], tokens)
