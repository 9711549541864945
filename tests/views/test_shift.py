"""A shift's data: what its shares add up to, what its words say, that JSON can hold all of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from tests.journey.tiny import BLOCKS, tiny_language
from tests.views.made import HOSTILE, SIX, data, found, word_model

from molehill.errors import TextError
from molehill.journey.shift import shift
from molehill.views.shift import SAME_PLACE, _summary, far_apart, first_to_part, shift_data


def whole(shares: dict) -> float:
    return sum(entry["share"] for entry in shares["entries"]) + shares["rest"]


@pytest.mark.parametrize("name", BLOCKS)
def test_every_list_of_shares_adds_up_to_one_with_its_rest(name):
    made = data(name, SIX[:3])
    accounts = [sentence["moved"] for sentence in made["sentences"]]
    accounts += [pair[at] for pair in made["pairs"] for at in ("parting", "end") if pair[at]]
    assert len(accounts) >= 3
    for told in accounts:
        assert sum(kind["share"] for kind in told["kinds"]) == pytest.approx(1, abs=2e-3)
        assert whole(told["components"]) == pytest.approx(1, abs=2e-2)
        words = next(kind["share"] for kind in told["kinds"] if kind["name"] == "words")
        assert whole(told["words"]) == pytest.approx(words, abs=2e-2)


def test_no_list_hides_how_much_it_leaves_out():
    long = tuple(f"{'a b c d e ' * 3}{end} mole" for end in "xy")
    for sentence in data("llama", long)["sentences"]:
        words = sentence["moved"]["words"]
        assert len(words["entries"]) + words["rest_count"] == len(sentence["pieces"])
        assert words["rest_count"] > 0


@pytest.mark.parametrize("name", BLOCKS)
def test_json_holds_it_all(name):
    made = data(name, SIX[:3])
    assert json.loads(json.dumps(made, allow_nan=False)) == made


def test_numbers_carry_the_asked_digits():
    made = shift_data(found(), version="0", digits=3)
    for value in made["pairs"][0]["distances"]:
        assert value == float(f"{value:.2e}")
    exact = found().pairs[0].distances
    assert made["pairs"][0]["distances"] == pytest.approx(list(exact), rel=1e-2)


def test_pairs_are_named_by_the_sentences_numbers():
    made, record = data(), found()
    assert [sentence["number"] for sentence in made["sentences"]] == [1, 2, 3, 4, 5, 6]
    for told, pair in zip(made["pairs"], record.pairs, strict=True):
        assert (told["a"], told["b"]) == (pair.a + 1, pair.b + 1)
        if pair.parts_at is not None:
            assert made["points"][told["parts_at_index"]]["name"] == pair.parts_at


def test_rows_and_words_name_the_sentence_that_their_token_stands_in():
    made = data("llama")
    for pair in made["pairs"]:
        told = pair["end"]
        entries = [(e["sentence"], e["position"], e["word"]) for e in told["words"]["entries"]]
        entries += [
            (row["sentence"], row["source"], row["word"])
            for row in told["rows"]
            if row["kind"] == "head"
        ]
        assert {number for number, *_ in entries} <= {pair["a"], pair["b"]}
        for number, position, word in entries:
            assert made["sentences"][number - 1]["words"][position] == word


def test_without_what_they_share_the_paths_start_in_one_point():
    made = data("llama")
    paths = torch.tensor(made["bases"]["differences"]["paths"])
    assert float((paths[:, 0] - paths[:1, 0]).abs().max()) < 1e-6
    # What is left at a point has no mean of its own; the basis takes off the same for all points.
    assert float((paths.mean(0) - paths.mean((0, 1))).abs().max()) < 1e-6


def test_a_basis_tells_how_much_of_the_variance_it_shows():
    record = found("llama")
    made = data("llama")
    vectors = torch.stack([sentence.vectors for sentence in record.sentences])
    unit = vectors / vectors.norm(dim=-1, keepdim=True)
    for name, points in (
        ("raw", vectors),
        ("directions", unit),
        ("differences", unit - unit.mean(0)),
    ):
        flat = points.flatten(0, 1)
        variance = (flat - flat.mean(0)).square().sum()
        shown = torch.tensor(made["bases"][name]["paths"]).flatten(0, 1).double().square().sum(0)
        assert made["bases"][name]["explained"] == pytest.approx(
            (shown / variance).tolist(), rel=1e-3
        )


def test_one_sentence_has_no_pairs_and_no_differences():
    made = data("gpt2", SIX[:1])
    assert made["pairs"] == [] and set(made["bases"]) == {"directions", "raw"}
    assert "starts at a vector of length" in made["summary"][0]
    assert any("Of that move" in line for line in made["summary"])


def test_the_summary_says_that_one_start_became_several_places():
    made = data("llama")
    assert made["summary"][0].startswith(
        "“mole” starts at one and the same vector in all 6 sentences"
    )
    ends = {pair["end_distance"] > SAME_PLACE for pair in made["pairs"]}
    assert ends == {True} and "ends in 6 places" in made["summary"][0]
    assert made["summary"][-1].startswith("Nothing is left out")


def test_two_equal_sentences_count_as_one_place_and_never_part():
    made = data("llama", (SIX[0], SIX[0]))
    assert "ends in 1 place." in made["summary"][0]
    assert "The paths do not part." in made["summary"]
    assert made["pairs"][0]["parts_after"] is None


def test_the_pair_that_is_told_first_ends_far_apart():
    def pair(a, b, place, end):
        return {"a": a, "b": b, "parts_at_index": place, "end_distance": end}

    near, early, late = pair(1, 2, 1, 0.1), pair(1, 3, 4, 0.9), pair(2, 3, 7, 1.0)
    assert far_apart([near, early, late]) == [early, late]
    assert first_to_part([late, near, early]) == early


def test_read_twice_marks_the_word_in_the_text_as_it_was_given():
    made = data("llama", ("a mole ran", "it is a mole"), twice=True)
    for sentence in made["sentences"]:
        start, end = sentence["word_at"]
        assert sentence["text"][start:end] == "mole"
        assert sentence["read"] == f"{sentence['text']} {sentence['text']}"


def test_what_is_not_finite_is_told_and_does_not_reach_json():
    record = found()
    sentence = record.sentences[0]
    broken = replace(sentence.steps[3], norm=float("nan"), closing_error=float("inf"))
    steps = (*sentence.steps[:3], broken, *sentence.steps[4:])
    sentences = (replace(sentence, steps=steps), *record.sentences[1:])
    made = shift_data(replace(record, sentences=sentences, closing_error=float("nan")), version="0")
    json.dumps(made, allow_nan=False)
    assert made["sentences"][0]["steps"][3]["norm"] is None
    assert made["closing_error"] is None
    assert made["summary"][-1].startswith("Some numbers here are not finite")


def test_provenance_and_notes_travel_with_the_data():
    made = data("llama")
    assert made["provenance"] == {
        "model": "tiny llama",
        "fingerprint": found("llama").fingerprint,
        "dtype": "float64",
        "version": "0.0.0",
        "checked": {
            "passed": None,
            "date": None,
            "failed": [],
            "told": "not checked: molehill check 'tiny llama' --dtype float64",
        },
        "twice": False,
    }
    assert any("left to right" in note for note in made["notes"])


def test_hostile_sentences_come_through_unchanged():
    made = data("llama", HOSTILE)
    assert [sentence["text"] for sentence in made["sentences"]] == list(HOSTILE)


def test_paths_of_different_tokens_are_said_to_be_of_different_tokens():
    made = data("llama", ("a mole dug", "two moles"))
    # The tiny model reads letters: the word's last one is `e` here and `s` there.
    made["pairs"][0] |= {
        "parts_at": "embed",
        "parts_at_index": 0,
        "parts_after": "at the start",
        "parting": {"kinds": [{"name": "embedding", "share": 1.0}]},
    }
    told = _summary(made)
    [line] = [line for line in told if line.startswith("What parts")]
    assert "different tokens from the start" in line
    assert "“e” in 1 and “s” in 2" in line
    assert "The largest parts" not in line


def test_words_that_the_model_does_not_know_are_a_note_and_never_followed():
    lm = word_model()
    made = shift_data(shift(lm, "mole", ["the zebra mole", "the mole"]), version="0")
    [note] = [note for note in made["notes"] if "does not know" in note]
    assert note.startswith("The model does not know “zebra” in sentence 1:")
    for word in ("zebra", "🦄"):
        with pytest.raises(TextError, match=f"does not know '{word}' in text 1"):
            shift(lm, word, [f"the {word}", f"mole {word}"])


def test_a_sentence_without_the_word_is_shown_with_what_is_near_and_what_to_do():
    lm = tiny_language("llama")
    with pytest.raises(TextError) as found:
        shift(lm, "mole", ["a mole", "a moose dug", "no"], twice=True)
    message = str(found.value)
    assert "not in sentence 2, 3, the first of which reads 'a moose dug'." in message
    assert "nearest words are moose" in message and "leave these out" in message
