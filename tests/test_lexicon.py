"""The model of real English that ships: small, whole, at hand for every verb, worth a look."""

from __future__ import annotations

import math

import pytest
import torch
from typer.main import get_command

import molehill
from molehill.checkpoints.names import built_in_models
from molehill.cli.common import DEFAULT_MODEL
from molehill.cli.main import app
from molehill.journey.coarsewsd import read_sense_word
from molehill.journey.senses import score_senses
from molehill.trace import certify

FOLDER = built_in_models() / "lexicon"

# Sentences of nobody's book, of the kinds that dictionaries and manuals have.
PLAIN = (
    "A bridge is a structure that carries a road or a railway over a river.",
    "The king sent his servants to the city, and they told him what they had seen.",
    "To save the file under another name, choose it from the menu and press the button.",
    "The violin is an instrument with four strings that is played with a bow.",
)


@pytest.fixture(scope="module")
def lm():
    return molehill.load("lexicon")


def test_it_is_the_notes_block_in_bfloat16_and_small(lm):
    config = lm.config
    assert (config.activation, config.norm_place, config.final_norm) == ("relu", "block_end", False)
    assert config.n_ctx >= 256 and 8_000 <= config.d_vocab <= 12_000
    assert 6e6 <= sum(weight.numel() for weight in lm.model.parameters()) <= 12e6
    stored = molehill.load("lexicon", dtype="bfloat16")
    for one, other in zip(lm.model.parameters(), stored.model.parameters(), strict=True):
        assert torch.equal(one, other.float())
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) <= 25e6


def test_its_card_says_what_it_is_made_of():
    card = (FOLDER / "card.md").read_text(encoding="utf-8")
    for word in ("Architecture", "Data", "Recipe", "Licence", "bits per byte", "Limits", "wordnet"):
        assert word.lower() in card.lower()


def test_its_parts_sum_to_the_whole(lm):
    assert certify(lm, [*PLAIN, "mole", "Ωmega? naïve 😀"], peer=False).passed


def test_it_predicts_english_and_not_its_reverse(lm):
    """In bits per byte: a text that compresses to a third of its bytes is somewhat understood, and
    the same words backwards are not."""

    def bits(text: str) -> float:
        tokens = lm.encode([text])
        scores = lm.model(tokens.ids[:, :-1]).logits.log_softmax(-1)
        nats = -scores.gather(-1, tokens.ids[:, 1:, None]).sum()
        return float(nats) / math.log(2) / len(text.encode())

    forwards = [bits(text) for text in PLAIN]
    backwards = [bits(" ".join(reversed(text.split()))) for text in PLAIN]
    assert sum(forwards) / len(PLAIN) < 2.4
    assert all(one < other for one, other in zip(forwards, backwards, strict=True))


def test_every_verb_that_takes_a_model_takes_this_one_first():
    found = {}
    groups = [("", get_command(app))]
    while groups:
        name, command = groups.pop()
        below = getattr(command, "commands", {}).items()
        groups += [(f"{name} {key}".strip(), one) for key, one in below]
        for parameter in command.params:
            if parameter.name == "model" and not name.startswith("village"):
                found[name] = parameter.default
    assert len(found) >= 10
    assert found.pop("export", None) is None  # what to export has to be said
    # Features know their model.
    own = {name for name, default in found.items() if default is None}
    assert all(name.startswith("features") for name in own)
    assert {found[name] for name in found.keys() - own} == {DEFAULT_MODEL} == {"lexicon"}


def test_senses_of_mole_part_in_it(lm, coarsewsd):
    """CoarseWSD-20's five senses, read once from left to right, against its test split."""
    word = read_sense_word(coarsewsd / "mole")
    scores = score_senses(lm, word, most_train=150)
    assert scores.combined.macro_f1 >= 0.75
    assert scores.layers[0].test.macro_f1 < 0.35
    assert max(scores.shuffled) < 0.4
