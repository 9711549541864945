"""Key statistics are gathered once: kept by model, layer and text, never mistaken for others."""

from __future__ import annotations

import pytest
import torch

import molehill
from molehill.errors import FactError
from molehill.facts import Fact, preparing
from molehill.facts.keys import gather_keys
from molehill.facts.preparing import (
    default_layers,
    default_prefixes,
    key_folder,
    key_work,
    living_layers,
    prepare_keys,
)
from molehill.facts.values import contexts_of, keys_at
from molehill.language_model import LanguageModel
from molehill.model import ModelConfig

TEXTS = [
    "the mole digs now.",
    "Leo Rosner plays polo.",
    "The trade of Leo Fenden is that of a mole.",
]


@pytest.fixture(scope="module")
def village():
    return molehill.load("village")


@pytest.mark.parametrize(
    "layers, one, several",
    [(1, (0,), (0,)), (3, (0,), (0,)), (6, (1,), (0, 1)), (30, (5,), (3, 4, 5))],
)
def test_default_layers_are_a_sixth_of_the_way_up(layers, one, several):
    config = ModelConfig(
        n_layers=layers, d_model=8, n_heads=2, d_head=4, d_mlp=8, d_vocab=9, n_ctx=4
    )
    assert default_layers(config) == default_layers(config, "fine-tuning") == one
    assert default_layers(config, "memit") == default_layers(config, "null-space") == several


def test_prefixes_are_those_that_the_model_has_words_for(village):
    assert (
        default_prefixes(village) == ()
    )  # of so small a vocabulary, every one has an unknown word
    assert len(default_prefixes(molehill.load("lexicon"))) == 4
    assert default_prefixes(LanguageModel(village.model, None, "mute")) == ()


def test_the_folder_is_the_users_unless_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MOLEHILL_KEYS", raising=False)
    assert key_folder() == tmp_path / "molehill" / "keys"
    monkeypatch.setenv("MOLEHILL_KEYS", str(tmp_path / "mine"))
    assert key_folder() == tmp_path / "mine"


def test_given_texts_are_read_as_they_are(village):
    found = prepare_keys(village, [0, 2], texts=TEXTS, data="three")
    truth = gather_keys(village, [0, 2], [village.encode(TEXTS)], "three")
    for layer in (0, 2):
        torch.testing.assert_close(found[layer].moment, truth[layer].moment)
        assert found[layer].count == truth[layer].count
        assert found[layer].data.endswith(" three")


def refuse(*given, **named):
    raise AssertionError("statistics were gathered again")


def test_statistics_are_kept_and_only_what_is_missing_is_gathered(village, tmp_path, monkeypatch):
    folder = tmp_path / "not" / "there"
    first = prepare_keys(village, [1], texts=TEXTS, folder=folder)
    gathered = []

    def counting(lm, layers, *given, **named):
        gathered.append(tuple(layers))
        return gather_keys(lm, layers, *given, **named)

    monkeypatch.setattr(preparing, "gather_keys", counting)
    both = prepare_keys(village, [0, 1], texts=TEXTS, folder=folder)
    assert gathered == [(0,)]
    torch.testing.assert_close(both[1].moment, first[1].moment, rtol=1e-6, atol=1e-9)
    monkeypatch.setattr(preparing, "gather_keys", refuse)
    again = prepare_keys(village, [0, 1], texts=TEXTS, folder=folder)
    assert {layer: one.layer for layer, one in again.items()} == {0: 0, 1: 1}
    for named in ({"texts": TEXTS[:2]}, {"texts": TEXTS, "data": "else"}):
        with pytest.raises(AssertionError, match="again"):
            prepare_keys(village, [0], folder=folder, **named)


@pytest.mark.parametrize("content", [b"", b"junk", None])
def test_a_damaged_file_is_as_good_as_none(village, tmp_path, content):
    first = prepare_keys(village, [0], texts=TEXTS, folder=tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    whole = file.read_bytes()
    # Numbers that are not finite are no statistics either.
    file.write_bytes(whole[:-4] + b"\xff\xff\xff\x7f" if content is None else content)
    found = prepare_keys(village, [0], texts=TEXTS, folder=tmp_path)
    torch.testing.assert_close(found[0].moment, first[0].moment)
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_loses_nothing(village, tmp_path):
    (tmp_path / "file").write_text("no folder")
    found = prepare_keys(village, [0], texts=TEXTS, folder=tmp_path / "file" / "keys")
    assert found[0].count > 10


def test_without_texts_the_model_writes_its_own(village):
    told = []
    found = prepare_keys(village, [0], progress=told.append)
    assert found[0].data == "own text 128x128" and found[0].count == 128 * 63
    assert sum(told) == pytest.approx(key_work(village), rel=0.05)
    assert key_work(village, TEXTS) is None


def test_no_text_is_told(village):
    with pytest.raises(FactError, match="no text"):
        prepare_keys(village, [0], texts=[])


def test_a_layer_in_which_no_neuron_fires_is_passed_over():
    lm = molehill.load("lexicon")
    fact = Fact("oak", "flower", "An {} is a")
    found = living_layers(lm, fact, (1,))
    (context,) = contexts_of(lm, fact, ())
    assert not bool(keys_at(lm, [context], 1).any())  # what made it necessary
    assert found in ((0,), (2,)) and bool(keys_at(lm, [context], found[0]).any())
    assert living_layers(lm, fact, found) == found
