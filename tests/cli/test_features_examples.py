"""`molehill features examples`, `show` and `search`, on the village."""

from __future__ import annotations

import contextlib
import json
import os
import signal

import pytest
from tests.features.made_examples import features, texts
from tests.features.test_label_endpoint import Fake

from molehill.cli import features_examples
from molehill.cli.main import main
from molehill.features.examples_file import open_examples
from molehill.features.label_endpoint import KEY
from molehill.features.trained import save_features


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Features, texts, and the examples that the command makes of them."""
    made = tmp_path_factory.mktemp("examples")
    save_features(features(), made / "made.safetensors")
    (made / "texts.txt").write_text("\n\n".join(texts()) + "\n", "utf-8")
    given = ["features", "examples", str(made / "texts.txt"), "--split", "paragraph"]
    given += ["--features", str(made / "made.safetensors"), "--out", str(made / "made.db")]
    assert main([*given, "--top", "6", "--sample", "12", "--context", "20"]) == 0
    return made


@pytest.fixture
def run(folder, capsys):
    def go(verb: str, *given: str) -> tuple[int, str, str]:
        code = main(["features", verb, *given, "--examples", str(folder / "made.db")])
        told = capsys.readouterr()
        return code, told.out, told.err

    return go


def test_the_file_says_what_was_read(folder, capsys):
    with open_examples(folder / "made.db") as examples:
        assert examples.about["texts"] == len(texts())
        assert examples.about["texts_named"] == [str(folder / "texts.txt")]
        assert len(examples.about["features_sha256"]) == 64
    given = ["features", "examples", str(folder / "texts.txt"), "--tokens", "40", "--json"]
    given += ["--features", str(folder / "made.safetensors"), "--out", str(folder / "few.db")]
    assert main(given) == 0
    told = json.loads(capsys.readouterr().out)
    assert 40 <= told["tokens"] < 80 and told["features"] == 80 and told["active"] < 80
    assert set(told["seconds"]) == {"model", "encode", "keep"}
    before = (folder / "few.db").read_bytes()
    assert main(given) == 2  # labels that somebody paid for may be in it
    assert "few.db is there already: name another file, or give --overwrite" in (
        capsys.readouterr().err
    )
    assert (folder / "few.db").read_bytes() == before
    assert main([*given, "--overwrite"]) == 0


def test_stopped_the_same_command_goes_on(folder, tmp_path, capsys, monkeypatch):
    given = ["features", "examples", str(folder / "texts.txt"), "--out", str(tmp_path / "made.db")]
    given += ["--features", str(folder / "made.safetensors"), "--json"]
    assert main([*given, "--resume"]) == 2
    assert "leave --resume out to begin" in capsys.readouterr().err

    @contextlib.contextmanager
    def signalling(*named):
        yield lambda tokens: os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(features_examples, "progress", signalling)
        assert main(given) == 130
    told = capsys.readouterr().err
    assert "stopped by SIGINT when no token was put away; the same command goes on" in told
    assert main(given) == 0
    assert json.loads(capsys.readouterr().out)["texts"] == len(texts())


def test_features_are_shown_by_number_and_at_random(run, folder, tmp_path):
    code, out, _ = run("show", "79", "3")
    assert code == 0 and "FEATURE 79" in out and "FEATURE 3" in out and "[" in out
    code, out, _ = run("show", "--random", "4", "--seed", "2", "--json")
    data = json.loads(out)
    assert code == 0 and len(data["cards"]) == 4 and "seed 2" in data["summary"][0]
    page = tmp_path / "page.html"
    code, _, err = run("show", "79", "--html", str(page))
    assert code == 0 and "Written" in err and "Feature 79" in page.read_text("utf-8")
    boards = tmp_path / "boards"
    features_file = ["--features", str(folder / "made.safetensors")]
    code, _, err = run("show", "79", "--dashboard", str(boards), *features_file)
    assert code == 0 and json.loads((boards / "batch-0.json").read_text())["features"]


def test_features_are_found_in_each_way(run, folder):
    with_features = ["--features", str(folder / "made.safetensors")]
    code, out, _ = run("search", "mole")
    assert code == 0 and "FEATURES ACTIVE AT IT" in out
    code, out, _ = run("search", "--text", "The mole was near the lawn .", *with_features, "--json")
    assert code == 0 and json.loads(out)["search"]["pieces"][:2] == ["·The", "·mole"]
    code, out, _ = run("search", "--like", "79", *with_features, "--json")
    rows = [one for each in json.loads(out)["search"]["lists"] for one in each["rows"]]
    assert code == 0 and 79 not in {one["feature"] for one in rows}, "it is itself, and no news"
    code, out, _ = run("search", "--promotes", "mole", *with_features)
    assert code == 0 and "raises the score of “mole”" in out


@pytest.mark.parametrize(
    ("verb", "given", "told"),
    [
        ("show", ["79", "--random", "2"], "either features by number, or --random"),
        ("show", ["99"], "There is no feature 99"),
        ("show", ["-1"], "There is no feature -1"),
        ("show", ["79", "--dashboard", "no/x", "--features", "y"], "there is no folder no"),
        ("show", ["79", "--html", "no/x.html"], "there is no folder no"),
        ("search", ["mole", "--html", "no/x.html"], "there is no folder no"),
        ("show", ["79", "--dashboard", "x"], "give --features FILE"),
        ("show", ["79", "--endpoint", "http://x/v1"], "belong together"),
        ("search", [], "Give one of"),
        ("search", ["mole", "--like", "3"], "Give one of"),
        ("search", ["--text", "mole"], "give --features FILE"),
        ("search", ["mole", "--rows"], "--rows is of"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_line(run, verb, given, told):
    code, _, err = run(verb, *given)
    assert code == 2 and told in err and err.count("\n") == 1


def test_an_endpoint_is_asked_only_where_it_is_named(run, monkeypatch, folder):
    monkeypatch.delenv(KEY, raising=False)
    fake = Fake()
    try:
        run("show", "79")
        assert fake.asked == []
        fake.answers = ["what ends a sentence", "none"]
        code, out, _ = run("show", "79", "--endpoint", fake.url, "--endpoint-model", "small")
        assert code == 0 and "what ends a sentence" in out and len(fake.asked) == 2
        assert "what ends a sentence" in run("show", "79")[1], "it is kept in the file"
    finally:
        fake.server.shutdown()
        fake.server.server_close()
