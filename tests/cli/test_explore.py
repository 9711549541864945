"""`molehill explore` as a person would start and end it: a process, its words and its exit."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from tests.cli.test_main import COMMAND, environment

from molehill.cli import main as run_main

SECONDS = 90
TOKEN = "t" * 20 + "-0123456789-" + "u" * 20


class Started:
    """A server in a process, and what it said."""

    def __init__(self, process: subprocess.Popen[bytes], line: str) -> None:
        self.process, self.line = process, line
        found = re.search(r"http://(\[[^]]+\]|[^:/]+):(\d+)/(?:\?token=(\S+))?", line)
        assert found is not None, line
        self.host, self.port, self.token = found[1], int(found[2]), found[3]

    def ask(self, method: str, path: str, body: object = None, token: str | None = None):
        line = http.client.HTTPConnection(self.host.strip("[]"), self.port, timeout=SECONDS)
        headers = {
            "authorization": f"Bearer {token or self.token}",
            "content-type": "application/json",
        }
        with closing(line):
            line.request(method, path, None if body is None else json.dumps(body), headers)
            reply = line.getresponse()
            return reply.status, reply.read()

    def end(self) -> tuple[str, str, int]:
        """What it said after its first line, and on the other stream, and its exit."""
        self.process.send_signal(signal.SIGINT)
        said, told = self.process.communicate(timeout=SECONDS)
        return said.decode(), told.decode(), self.process.returncode


@contextmanager
def started(*arguments: str, cwd: Path | None = None, **more: str):
    process = subprocess.Popen(
        [*COMMAND, "explore", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**more),
        cwd=cwd,
    )
    assert process.stdout is not None and process.stderr is not None, "both are pipes"
    try:
        line = process.stdout.readline().decode()
        assert line, process.stderr.read().decode()
        yield Started(process, line)
    finally:
        process.kill()
        process.communicate()


def catalogue(server: Started, token: str | None = None) -> dict:
    status, body = server.ask("GET", "/api/catalogue", token=token)
    assert status == 200, body
    return json.loads(body)


# --- what is refused before anything starts -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["no-such-model"], "no-such-model"),
        (["lexicon", "--host", "0.0.0.0"], "--token-file"),
        (["lexicon", "--host", "0.0.0.0", "--token-file", "absent"], "cannot be read"),
        (["lexicon", "--port", "0"], "--port"),
        (["lexicon", "--port", "65536"], "--port"),
        (["lexicon", "--deadline", "0"], "--deadline"),
        (["lexicon", "--host", "192.0.2.1", "--token-file", "token"], "192.0.2.1"),
    ],
)
def test_what_cannot_be_served_is_one_line_and_exit_2(
    arguments, part, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    assert run_main(["explore", "--no-browser", *arguments]) == 2
    shown = capsys.readouterr()
    last = shown.err.splitlines()[-1]
    assert shown.out == "" and part in last and last.startswith("molehill: ")
    assert TOKEN not in shown.err


def test_a_token_file_that_others_may_read_is_refused(capsys, tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    assert run_main(["explore", "--host", "0.0.0.0", "--token-file", str(file)]) == 2
    told = capsys.readouterr().err
    assert told == f"molehill: Others may read {file}: chmod 600 {file}.\n" and TOKEN not in told


def test_a_port_that_is_taken_is_one_line_and_exit_2(capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert run_main(["explore", "village", "--no-browser", "--port", str(port)]) == 2
    assert capsys.readouterr().err == (
        f"molehill: Port {port} of 127.0.0.1 is taken: leave --port out, or give another.\n"
    )


def test_the_help_ends_with_an_example_that_is_the_verb_alone(capsys):
    assert run_main(["explore", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "Example: molehill explore" in shown and "Ctrl-C" in shown


# --- a process ------------------------------------------------------------------------------------


def test_without_terminal_colour_or_browser_it_says_its_address_once_and_ends_in_one_line(
    tmp_path, small_run
):
    """A folder with spaces and an emoji, and a locale that has no letters for it."""
    folder = tmp_path / "my runs 🐀 é"
    folder.mkdir()
    (folder / "one run 🐀").symlink_to(small_run, target_is_directory=True)
    features = folder / "mole 🐀.safetensors"
    from molehill.features.trained import features_path

    features.symlink_to(features_path("village-1"))
    more = {"NO_COLOR": "1", "LC_ALL": "C", "PYTHONUTF8": "0", "PATH": "", "DISPLAY": ""}
    options = ("village", "--features", features.name, "--runs", ".")
    with started(*options, cwd=folder, **more) as server:
        found = catalogue(server)
        assert [one["name"] for one in found["models"]] == ["village", "lexicon"], (
            "the tour needs it"
        )
        assert "mole 🐀" in [one["name"] for one in found["features"]]
        assert found["runs"] == ["one run 🐀"]
        asked = {"model": "village", "text": "Leo Rosner plays", "features": "mole 🐀"}
        status, body = server.ask("POST", "/api/ask/features.here", asked)
        assert status == 200, body
        said, told, code = server.end()
    assert code in (0, 130)
    whole = server.line + said + told
    assert whole.count(server.token) == 1 and "\x1b" not in whole and "Traceback" not in whole
    assert said == "" and len(told.splitlines()) <= 2


def test_others_are_served_with_a_warning_and_a_token_that_is_never_said(tmp_path):
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    file.chmod(0o600)
    with started("village", "--host", "0.0.0.0", "--token-file", str(file)) as server:
        assert server.token is None
        server.host = "127.0.0.1"
        status, _ = server.ask("GET", "/", token=TOKEN)
        assert status == 400, "this name was not given to it"
        said, told, code = server.end()
    assert "Whoever reaches 0.0.0.0 and knows the token" in told and code in (0, 130)
    assert TOKEN not in server.line + said + told


def test_ctrl_c_ends_it_while_an_answer_is_computed(tmp_path):
    """Examples of features that are made from texts: seconds of work, with threads of its own."""
    with started("lexicon", MOLEHILL_EXAMPLES=str(tmp_path / "made")) as server:
        body = json.dumps({"features": "lexicon-4"}).encode()
        head = (
            f"POST /api/ask/features.search HTTP/1.1\r\nHost: {server.host}:{server.port}\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Type: application/json\r\n"
            f"Accept: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
        ).encode()
        with closing(socket.create_connection(("127.0.0.1", server.port), SECONDS)) as line:
            line.sendall(head + body)
            got = b""
            while b'"progress"' not in got:
                got += line.recv(4096)
                assert b'"answer"' not in got and b'"error"' not in got, got
            begun = time.monotonic()
            said, told, code = server.end()
    assert time.monotonic() - begun < 30
    assert code in (0, 130) and said == "" and "Traceback" not in told
    assert len(told.splitlines()) <= 2
    assert list(tmp_path.glob("made/*.db")) == [], "half of a file passes for a whole one"
