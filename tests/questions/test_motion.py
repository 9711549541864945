"""Questions about words in motion: named axes, a vector moved by hand, many sentences; each with
the lines of Python beside it."""

from __future__ import annotations

import json

import pytest

import molehill
from molehill.errors import ConfigError
from molehill.questions import Desk, ModelEntry, answer

SENTENCES = ["The farmer saw a mole.", "The spy was called a mole.", "The cook made a dark mole."]


@pytest.fixture(scope="module")
def desk() -> Desk:
    lm = molehill.load("lexicon")
    return Desk({"lexicon": ModelEntry(lm)}, features={"lexicon-4": "lexicon-4"})


def asked(desk, name, inputs):
    found = answer(desk, name, inputs)
    data = json.loads(json.dumps(dict(found.data), allow_nan=False))
    assert found.question.text(data).isprintable() is False  # several lines
    exec(compile(data["python"], name, "exec"), {})
    return data


def test_a_shift_takes_axes_by_their_names(desk, capsys):
    axes = ["animal - agency", "1 - 2", "feature:lexicon-4/17"]
    data = asked(desk, "shift", {"sentences": SENTENCES, "axes": axes})
    basis = data["bases"]["axes"]
    assert basis["names"] == ["animal − agency", "1 − 2", "feature:lexicon-4/17"]
    assert next(iter(data["bases"])) == "axes" and basis["turned"][0] == 0
    ends = [path[-1] for path in basis["paths"]]
    assert ends[0][1] > ends[1][1], "an axis from 2 to 1 has 1 further along"
    assert "animal − agency" in data["summary"][-1]
    printed = capsys.readouterr().out
    assert "('animal − agency', '1 − 2', 'feature:lexicon-4/17')" in printed
    with pytest.raises(ConfigError, match="no features 'other'"):
        answer(desk, "shift", {"sentences": SENTENCES, "axes": ["feature:other/1"]})


def test_two_sentences_are_parted_at_any_point(desk, capsys):
    inputs = {"sentences": SENTENCES[:2], "at": "1.resid_mid", "numbers": [4, 7]}
    data = asked(desk, "shift.parted", inputs)
    assert data["point"] == "1.resid_mid" and "4 and 7 lie" in data["summary"][0]
    assert sum(kind["share"] for kind in data["kinds"]) == pytest.approx(1, abs=1e-3)
    assert {row["sentence"] for row in data["rows"] if "sentence" in row} <= {4, 7}
    assert "Parting at 1.resid_mid" in capsys.readouterr().out


def test_a_vector_moved_by_hand_is_what_the_library_says(desk, capsys):
    data = asked(desk, "moving", {"tokens": 4})
    assert data["at"] == "2.resid_post" and data["strengths"][data["unmoved"]] == 0
    assert len(data["free"]) == len(data["frozen"]) == len(data["strengths"]) == 21
    printed = capsys.readouterr().out
    assert f"+2: {data['free'][-1]['text']!r}" in printed
    assert data["free"][data["unmoved"]]["text"] == data["frozen"][data["unmoved"]]["text"]
    assert data["free"][data["unmoved"]]["divergence"] < 1e-6 < data["free"][-1]["divergence"]


def test_moves_along_sentences_and_features(desk, capsys):
    inputs = {"word": "mole", "sentences": SENTENCES, "text": SENTENCES[0], "position": 4}
    between = {**inputs, "direction": "2 - 1", "at": "3.resid_mid", "tokens": 0}
    data = asked(desk, "moving", between)
    assert data["direction"]["name"] == "2 − 1" and data["free"][0]["pieces"] == []
    found = asked(desk, "moving", {"direction": "feature:lexicon-4/3", "tokens": 0})
    assert found["direction"]["kind"] == "feature"
    with pytest.raises(ConfigError, match="there are none"):
        answer(desk, "moving", {"direction": "1 - 2"})


def test_many_sentences_tell_how_far_they_are(desk, capsys):
    told = []
    telling = desk.telling(lambda done, whole, what: told.append((done, whole)))
    data = answer(telling, "crowd", {"sentences": SENTENCES, "axes": ["animal"]}).data
    assert told[-1] == (3, 3)
    assert list(data["bases"]) == ["axes", "differences", "directions"]
    per = len(data["points"])
    assert [len(axis) for axis in data["bases"]["axes"]["coordinates"]] == [3 * per] * 3
    assert data["sentences"][1]["shown"] == ["The spy was called a ", "mole", "."]
    asked(desk, "crowd", {"sentences": SENTENCES, "groups": 1})
    assert "3 sentences" in capsys.readouterr().out
