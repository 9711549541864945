"""The senses verbs, run in this process on real MiniLM and small folders of uses."""

from __future__ import annotations

import json

import pytest

from molehill.cli import main

ANIMAL = "the small blind mole dug a tunnel in the garden number {}"
SPY = "the agency found the spy who was a mole in its office number {}"


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "mole"
    place.mkdir()
    (place / "classes_map.txt").write_text('{"0": "mole_mole_(animal)", "1": "mole_mole_(spy)"}')
    for split, count in (("train", 6), ("test", 3)):
        uses = [
            (text.format(n), label)
            for n in range(count)
            for label, text in enumerate((ANIMAL, SPY))
        ]
        data = "".join(f"{text.split().index('mole')}\t{text}\n" for text, _ in uses)
        (place / f"{split}.data.txt").write_text(data)
        (place / f"{split}.gold.txt").write_text("".join(f"{label}\n" for _, label in uses))
    return place


def test_evaluate_scores_and_goes_on_from_its_file(folder, tmp_path, minilm_folder, capsys):
    out = tmp_path / "scores.jsonl"
    command = ["senses", "evaluate", str(folder), "-m", str(minilm_folder), "--out", str(out)]
    assert main([*command, "--json"]) == 0
    (first,) = json.loads(capsys.readouterr().out)
    assert first["word"] == "mole" and first["uses"]["mole (spy)"] == [6, 3]
    assert first["combined"]["macro_f1"] == 1.0
    assert first["layers"][0]["point"] == "embed"
    # The second run reads the file: were the word scored anew, the mark would be gone.
    marked = json.loads(out.read_text()) | {"most_frequent": 0.123}
    out.write_text(json.dumps(marked) + "\n")
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["most_frequent"] == 0.123
    assert main(command) == 0
    assert "Macro-F1" in capsys.readouterr().out


def test_group_tells_groups_in_their_words(tmp_path, minilm_folder, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(t.format(n) for n in range(4) for t in (ANIMAL, SPY)))
    assert main(["senses", "group", "mole", str(texts), "-k", "2", "-m", str(minilm_folder)]) == 0
    shown = capsys.readouterr().out
    assert "8 uses of 'mole' in 2 groups" in shown
    assert "tunnel" in shown and "agency" in shown


def test_part_adds_up(folder, minilm_folder, capsys):
    assert main(["senses", "part", str(folder), "0", "1", "-m", str(minilm_folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(told["by_head"].values()) == pytest.approx(told["distance"], rel=1e-4)
    assert told["closing_error"] < 1e-4


def test_mistakes_are_one_line_and_exit_2(tmp_path, folder, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert main(["senses", "evaluate", str(empty)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    broken = tmp_path / "broken.jsonl"
    broken.write_text("not json")
    assert main(["senses", "evaluate", str(folder), "--out", str(broken)]) == 2
    assert "not a file of earlier results" in capsys.readouterr().err
