"""Key statistics against all keys laid out at once."""

from __future__ import annotations

import pytest
import torch
from tests.facts.wordy import wordy

from molehill.errors import CheckpointError, FactError
from molehill.facts.keys import KeyStatistics, gather_keys, keys_file
from molehill.facts.own_text import own_text
from molehill.text import Tokens
from molehill.trace import record

TEXTS = [[3, 4, 5, 6, 7], [8, 9], [10, 11, 12, 13], [4]]


def batches():
    return [Tokens.of_ids(TEXTS[:2]), Tokens.of_ids(TEXTS[2:])]


@pytest.mark.parametrize("family", ["notes", "llama", "gemma2", "neox", "bert"])
def test_the_moment_is_that_of_all_keys_but_each_texts_first(family):
    lm = wordy(family)
    found = gather_keys(lm, [0, 1], batches(), "a few")
    for layer in (0, 1):
        keys = torch.cat(
            [
                record(lm, torch.tensor([text]), [f"{layer}.mlp.act"], logits="none")[
                    f"{layer}.mlp.act"
                ][0, 1:]
                for text in TEXTS
            ]
        )
        assert found[layer].count == len(keys) == 8
        torch.testing.assert_close(
            found[layer].moment, keys.T @ keys / len(keys), rtol=1e-5, atol=1e-6
        )


def test_the_curve_ends_at_nothing_and_counts_upwards():
    lm = wordy("opt")
    texts = (Tokens.of_ids(own_text(lm, 4, 16, seed=seed).tolist()) for seed in range(8))
    found = gather_keys(lm, [1], texts, "own")[1]
    counts = [count for count, _ in found.curve]
    assert counts == sorted(counts) and counts[-1] == found.count == 8 * 4 * 15
    assert found.curve[-1][1] == 0.0 and found.curve[0][1] > 0.0


def test_no_more_keys_than_asked_for_and_steps_are_told():
    told = []
    found = gather_keys(wordy("opt"), [0], batches(), "a few", most=3, progress=told.append)
    assert found[0].count == 5 == sum(told)


def test_the_inverse_is_damped_as_said():
    found = gather_keys(wordy("opt"), [0], batches(), "a few")[0]
    keys = torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ridge = 1e-3 * found.moment.diagonal().mean()
    expected = torch.linalg.inv(found.moment + ridge * torch.eye(20, dtype=torch.float64)) @ keys
    torch.testing.assert_close(found.inverse_times(keys, 1e-3), expected)


def test_statistics_come_back_from_disk_and_know_their_model(tmp_path):
    lm = wordy("opt")
    found = gather_keys(lm, [1], batches(), "a few")[1]
    path = keys_file(tmp_path, lm, 1, found.data)
    found.save(path)
    back = KeyStatistics.load(path)
    assert lm.fingerprint[:16] in path.name and "layer1" in path.name and "a-few" in path.name
    assert (back.layer, back.count, back.data, back.curve) == (1, found.count, "a few", found.curve)
    torch.testing.assert_close(back.moment, found.moment, rtol=1e-6, atol=1e-8)
    back.check(lm)
    with pytest.raises(FactError, match="gather them anew"):
        back.check(wordy("gpt2"))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError):
        KeyStatistics.load(path)


def test_what_has_no_keys_is_refused():
    with pytest.raises(FactError, match="no text"):
        gather_keys(wordy("opt"), [0], [Tokens.of_ids([[3]])], "one word")
    with pytest.raises(FactError, match="no layer 2"):
        gather_keys(wordy("opt"), [2], batches(), "a few")


def test_a_model_writes_the_same_text_for_a_seed():
    lm = wordy("gpt2")
    ids = own_text(lm, 3, 10, seed=1)
    assert ids.shape == (3, 10) and torch.equal(ids, own_text(lm, 3, 10, seed=1))
    assert not torch.equal(ids, own_text(lm, 3, 10, seed=2))
    assert set(ids[:, 0].tolist()) == {0}
    with pytest.raises(FactError, match="does not write"):
        own_text(wordy("bert"), 1, 4)
