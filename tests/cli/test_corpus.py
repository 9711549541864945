"""`molehill corpus`, run as a person would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from molehill.cli import main
from molehill.text import Corpus, Tokenizer

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
TEXTS = [f"mole number {n} dug {n % 9} tunnels" for n in range(120)]


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


@pytest.fixture
def files(tmp_path) -> Path:
    """A text file with a document on each line, and a folder with two files of JSON lines."""
    (tmp_path / "moles.txt").write_text("\n".join(TEXTS), "utf-8")
    (tmp_path / "notes").mkdir()
    for name, texts in {"a": TEXTS[:50], "b": ["", "other text"]}.items():
        rows = [json.dumps({"body": text}) + "\n" for text in texts]
        (tmp_path / "notes" / f"{name}.jsonl").write_text("".join(rows), "utf-8")
    return tmp_path


def build(capsys, files: Path, *more) -> tuple[int, str, str]:
    sources = [files / "moles.txt", f"notes={files / 'notes'}"]
    how = ["--split", "line", "--column", "body", "--held-out", 0.2, "--d-vocab", 290]
    return run(capsys, "corpus", "build", *sources, "--out", files / "made", *how, *more)


def test_a_corpus_is_made_shown_and_verified(files, capsys):
    code, out, _ = build(capsys, files, "--json")
    made = json.loads(out)
    corpus = Corpus.open(files / "made")
    assert code == 0
    assert made["digest"] == corpus.digest and made["empty_documents"] == 1
    assert corpus.kinds == ("notes", "text")
    for split, kinds in made["counts"].items():
        for kind, counts in kinds.items():
            found = corpus.count(split, kind)
            assert counts == vars(found)
    documents = {kind: corpus.count(kind=kind).documents for kind in corpus.kinds}
    assert documents == {"text": 120, "notes": 51}

    code, shown, _ = run(capsys, "corpus", "show", files / "made", "--json")
    assert (code, json.loads(shown)) == (0, made)
    code, shown, _ = run(capsys, "corpus", "show", files / "made")
    rows = [line.split() for line in shown.splitlines()]
    counts = corpus.count("train", "text")
    assert ["train", "text", str(counts.documents), f"{counts.tokens:,}"] in [r[:4] for r in rows]
    assert "1 documents without text were passed over." in shown and corpus.digest in shown

    code, out, _ = run(capsys, "corpus", "verify", files / "made")
    assert code == 0 and out.startswith("All 2 files are as they were made")
    code, out, _ = run(capsys, "corpus", "verify", files / "made", "--json")
    assert json.loads(out)["bytes"] == sum(p.stat().st_size for p in files.glob("made/*/*.npy"))


def test_a_changed_shard_is_one_line_and_exit_2(files, capsys):
    assert build(capsys, files)[0] == 0
    path = files / "made" / "shards" / "00000.tokens.npy"
    whole = bytearray(path.read_bytes())
    whole[-1] ^= 1
    path.write_bytes(whole)
    code, out, err = run(capsys, "corpus", "verify", files / "made")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "00000.tokens.npy has changed since it was made" in err


def test_given_again_it_is_the_same_and_nothing_is_written(files, capsys):
    first = build(capsys, files, "--json")[1]
    stamps = {path: path.stat().st_mtime_ns for path in files.glob("made/shards/*")}
    code, again, _ = build(capsys, files, "--json", "--workers", 1)
    assert (code, json.loads(again)) == (0, json.loads(first))
    assert {path: path.stat().st_mtime_ns for path in files.glob("made/shards/*")} == stamps


def test_a_tokenizer_can_be_given(files, capsys):
    tokenizer = Tokenizer.train(TEXTS, d_vocab=280)
    tokenizer.save(files / "tokenizer")
    code, out, _ = build(capsys, files, "--tokenizer", files / "tokenizer", "--json")
    assert code == 0 and json.loads(out)["tokenizer"] == tokenizer.digest


def test_what_has_nothing_held_out_is_said(files, capsys):
    (files / "one.txt").write_text("\n".join(TEXTS), "utf-8")
    code, out, _ = run(
        capsys,
        "corpus",
        "build",
        f"one={files / 'one.txt'}",
        "--out",
        files / "c",
        "--d-vocab",
        260,
    )
    assert code == 0 and "Nothing is held out of one" in out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--split", "word"], "split is 'word'"),
        (["--column", "text"], "a.jsonl, line 1 has no field 'text'; it has 'body'"),
        (["--held-out", 2], "held_out is 2.0"),
        (["--d-vocab", 10], "d_vocab is 10"),
        (["--tokenizer", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2(files, capsys, more, message):
    code, out, err = build(capsys, files, *more)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("molehill: ") and message in err


def test_a_name_with_an_equals_sign_is_a_path_where_there_is_one(files, capsys, monkeypatch):
    monkeypatch.chdir(files)
    Path("a=b.txt").write_text("\n".join(TEXTS), "utf-8")
    code, out, _ = run(
        capsys, "corpus", "build", "a=b.txt", "--out", "c", "--split", "line", "--json"
    )
    assert code == 0 and list(json.loads(out)["counts"]["train"]) == ["text"]


def test_ctrl_c_says_how_to_go_on_and_the_same_command_does(files):
    path = files / "long.txt"
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{n} {TEXTS[n % 120]}\n" for n in range(400_000))
    Tokenizer.train(TEXTS, d_vocab=280).save(files / "tokenizer")
    command = [sys.executable, "-m", "molehill", "corpus", "build", str(path), "--split", "line"]
    command += ["--tokenizer", str(files / "tokenizer"), "--shard-tokens", "50000"]
    command += ["--out", str(files / "made")]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    first = files / "made" / "shards" / "00000.json"
    while not first.exists():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "give the same command to go on" in err and err.count("\n") == 1
    assert not (files / "made" / "manifest.json").exists()
    assert not list((files / "made").rglob("*.tmp"))
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert "shards in" in done.stdout
    assert Corpus.open(files / "made").count().documents == 400_000
