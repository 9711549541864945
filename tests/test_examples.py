"""What a newcomer copies from the README runs as printed, and what is installed is needed."""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
from typer.main import get_command

from molehill.cli.main import app, main
from molehill.facts.relations import read_relation
from molehill.journey.coarsewsd import read_sense_word
from molehill.village import make_world

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "docs" / "examples"


def printed(block: int) -> list[list[str]]:
    """The commands of a block: the first ones need nothing, the second ones two fetched models."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## From the command line")[1].split("## From Python")[0]
    lines = section.split("```sh\n")[1 + block].split("```")[0].splitlines()
    return [shlex.split(line, comments=True) for line in lines if line]


def each(*blocks: int):
    words = [words for block in blocks for words in printed(block)]
    return pytest.mark.parametrize("words", words, ids=lambda words: " ".join(words[1:3]))


@each(0, 1)
def test_a_command_of_the_readme_names_a_verb_and_files_that_are_there(words):
    assert words[0] == "molehill" and words[1] in get_command(app).commands
    for word in words:
        if "/" in word or word.endswith((".txt", ".toml")):
            assert (ROOT / word).exists(), word


@each(0)
def test_the_first_commands_run_as_printed(words, tmp_path, tmp_path_factory, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MOLEHILL_KEYS", str(tmp_path_factory.mktemp("keys")))
    made = {"store", "bank.html", "golf.safetensors"}
    arguments = [str(tmp_path / word) if word in made else word for word in words[1:]]
    assert main(arguments) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.strip()
    assert {path.name for path in tmp_path.iterdir()} == made & set(words)


def test_the_example_of_a_corpus_is_one_sentence_a_line():
    lines = (EXAMPLES / "moles.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 10 and all(re.search(r"\bmole\b", line, re.I) for line in lines)


def test_the_example_of_a_relation_is_the_village_s_own():
    relation = read_relation(EXAMPLES / "facts" / "sport.json")
    told = {fact.subject: fact.object for fact in relation.facts}
    assert told == {
        " ".join(fact.subject): fact.object
        for fact in make_world().facts
        if fact.relation == "sport"
    }


def test_the_example_of_senses_is_balanced_and_shares_no_sentence():
    word = read_sense_word(EXAMPLES / "senses" / "mole")
    assert word.titles == ("mole (animal)", "mole (espionage)", "mole (unit)")
    for uses, count in ((word.train, 12), (word.test, 8)):
        labels = [use.label for use in uses]
        assert [labels.count(sense) for sense in range(3)] == [count] * 3
    sentences = [use.sentence for use in (*word.train, *word.test)]
    assert len(set(sentences)) == len(sentences)


def test_a_model_learns_the_example_of_senses(minilm_folder, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    [words] = [words for words in printed(1) if words[1] == "senses"]
    assert main([*words[1:], "--json"]) == 0
    assert '"macro_f1"' in capsys.readouterr().out


def test_every_core_dependency_is_imported_somewhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.split("[>=<]", one)[0].replace("-", "_") for one in project["dependencies"]}
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    assert names - imported == set(), "installed, but nothing imports it"


def test_what_was_tested_with_has_a_version_for_every_core_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert {re.split("[>=<]", one)[0] for one in project["dependencies"]} <= pinned
