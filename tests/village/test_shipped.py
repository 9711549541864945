"""The village model that the package ships: what its card promises, and the rest of Molehill at
work on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import molehill
from molehill.checkpoints import find_model
from molehill.cli import main
from molehill.journey.coarsewsd import SenseWord, Use
from molehill.journey.senses import score_senses as score_by_centroids
from molehill.trace import certify
from molehill.village import (
    make_world,
    read_world,
    score_facts,
    score_senses,
    sense_sentences,
    tell,
    village_tokenizer,
)


@pytest.fixture(scope="module")
def lm():
    return molehill.load("village")


@pytest.fixture(scope="module")
def world():
    return read_world(find_model("village"))


def test_it_is_found_in_the_package_and_belongs_to_the_default_world(lm, world):
    folder = find_model("village")
    assert folder.is_relative_to(Path(molehill.__file__).parent)
    assert world == make_world()
    texts = [one.text for one in tell(world, 50)]
    assert lm.tokenizer.ids(texts) == village_tokenizer(world).ids(texts)
    assert (lm.config.norm_place, lm.config.activation) == ("block_end", "relu")
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 2 * 10**6


def test_it_knows_the_facts_in_all_forms(lm, world):
    score = score_facts(world, lm.model, lm.tokenizer)
    assert score.told >= 0.99
    assert score.withheld >= 0.99


def test_it_separates_senses_at_its_last_layer_from_chance_at_the_embedding(lm, world):
    score = score_senses(world, lm.model, lm.tokenizer, seed=7)
    assert score.last.accuracy >= 0.99
    assert abs(score.first.accuracy - score.chance) < 0.03
    blind = score_senses(world, lm.model, lm.tokenizer, seed=7, cues="after")
    assert all(point.accuracy < blind.chance + 0.03 for point in blind.points)


def test_the_journeys_own_score_agrees(lm, world):
    """By centroids and through the ledger's way of reading vectors, not the room's own."""
    senses = world.words[0].senses
    numbers = {sense.name: number for number, sense in enumerate(senses)}

    def uses(each: int, held_out: bool) -> tuple[Use, ...]:
        some = sense_sentences(world, each, held_out=held_out)
        return tuple(
            Use(one.text, one.position, *one.place, numbers[one.sense])
            for one in some
            if one.sense in numbers
        )

    word = SenseWord("mole", tuple(numbers), uses(20, False), uses(8, True))
    scores = score_by_centroids(lm, word, draws=1)
    assert scores.layers[-1].test.macro_f1 >= 0.99
    assert scores.layers[0].test.macro_f1 < 0.35


def test_nothing_is_left_over_in_a_ledger_and_the_certificate_holds(lm, world):
    for one in (*tell(world, 4), *sense_sentences(world, 1)[:4]):
        assert molehill.ledger(lm, one.text).closing_error.relative < 1e-5
    assert certify(lm, [one.text for one in tell(world, 6)], peer=False).passed


def test_shift_parts_the_senses_of_a_word_by_their_cues(lm, world):
    sentences = [
        "By the lawn the mole digs slowly.",
        "By the embassy the mole betrays slowly.",
        "By the larder the mole simmers slowly.",
    ]
    found = molehill.shift(lm, "mole", sentences)
    assert float(found.closing_error) < 1e-5
    for pair in found.pairs:
        assert pair.distances[0] == 0.0
        assert pair.parts_at is not None
        # What parts two sentences that differ in one cue before the word is brought from that cue.
        brought = pair.parting.sources[:2]
        assert {source.position for source in brought} == {2}, brought


def test_greedy_text_is_of_the_world(lm, world):
    told = lm.generate("Every Monday", max_new_tokens=12, stop=["."])[0].text
    assert told and set(told.split()) <= set(world.vocabulary)


def test_the_verbs_show_what_the_room_knows(capsys):
    assert main(["village", "tell", "-n", "3", "--noise", "0.5", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["world"]["grammar"]["noise"] == 0.5
    assert len(told["sentences"]) == 3
    assert {"sense", "facts", "features", "noisy"} <= set(told["sentences"][0]["tokens"][0])
    assert main(["village", "facts", "--people", "2", "--towns", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    assert len(facts) == 3 * 2 + 2 * 2
    assert {len(fact["prompts"]) for fact in facts} == {4}
    assert main(["village", "score", "--json"]) == 0
    score = json.loads(capsys.readouterr().out)
    assert score["facts"]["told"] >= 0.99
    assert score["senses"]["before"]["points"][-1]["accuracy"] >= 0.99


def test_the_verbs_have_a_text_form_and_refuse_a_model_without_a_world(capsys, tmp_path):
    assert main(["village", "tell", "-n", "2"]) == 0
    first = tell(make_world(), 1)[0]
    assert first.text in capsys.readouterr().out
    assert main(["village", "facts"]) == 0
    assert make_world().facts[0].object in capsys.readouterr().out
    assert main(["village", "score", str(tmp_path)]) == 2
    assert "was trained on a village" in capsys.readouterr().err


def test_the_help_does_not_wait_for_torch():
    code = (
        "import sys; from molehill.cli import main; main(['village', '--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_weights_are_stored_in_bfloat16_and_are_finite(lm):
    assert set(lm.report.stored) == {"BF16"}
    assert all(torch.isfinite(weight).all() for weight in lm.model.parameters())
