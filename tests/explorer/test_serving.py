"""The server as it is started: ports, addresses, tokens, connections that say nothing."""

from __future__ import annotations

import errno
import logging
import queue
import socket
import threading
import time
from contextlib import closing

import pytest
import uvicorn
from fastapi import FastAPI

from molehill.errors import ConfigError
from molehill.explorer import serving
from molehill.explorer.serving import Served, bound, read_token, serve

LONG = "a" * 43


def has_ipv6() -> bool:
    try:
        with closing(socket.create_server(("::1", 0), family=socket.AF_INET6)):
            return True
    except OSError:
        return False


def port_of(listening: socket.socket) -> int:
    return listening.getsockname()[1]


# --- ports and addresses --------------------------------------------------------------------------


def test_a_port_that_is_taken_is_passed_over(monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        monkeypatch.setattr(serving, "FIRST_PORT", port_of(taken))
        with closing(bound("127.0.0.1", None)) as found:
            assert port_of(taken) < port_of(found) < port_of(taken) + 50


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_with_a_remedy():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = port_of(taken)
        with pytest.raises(ConfigError, match=rf"Port {port} .* is taken: leave --port out"):
            bound("127.0.0.1", port)


def test_a_port_that_only_others_may_use_is_told_as_that(monkeypatch):
    def forbidden(*given):
        raise OSError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(serving, "_listening", forbidden)
    with pytest.raises(ConfigError, match=r"Port 80 of 127\.0\.0\.1 is not for you to use"):
        bound("127.0.0.1", 80)


def test_where_no_port_is_free_all_that_were_tried_are_named(monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        monkeypatch.setattr(serving, "FIRST_PORT", port_of(taken))
        monkeypatch.setattr(serving, "_TRIED", 1)
        with pytest.raises(ConfigError, match=rf"{port_of(taken)} to {port_of(taken)}.*--port"):
            bound("127.0.0.1", None)


def test_two_at_once_never_share_a_port():
    """With SO_REUSEPORT two would, and each would see half of the requests."""
    with closing(bound("127.0.0.1", None)) as one, closing(bound("127.0.0.1", None)) as other:
        assert port_of(one) != port_of(other)


def test_an_address_that_is_not_of_this_machine_is_an_error():
    with pytest.raises(ConfigError, match=r"Nothing can listen at 192\.0\.2\.1"):
        bound("192.0.2.1", 8399)


def test_a_name_that_nobody_has_is_an_error():
    with pytest.raises(ConfigError, match=r"Nothing can listen at no\.such\.invalid"):
        bound("no.such.invalid", 8399)


def test_without_ipv6_its_address_is_an_error(monkeypatch):
    def absent(family, kind):
        raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr(serving.socket, "socket", absent)
    with pytest.raises(ConfigError, match=r"Nothing can listen at ::1: .*not supported"):
        bound("::1", None)


def test_elsewhere_than_on_loopback_nothing_listens_without_a_token():
    for host in ("0.0.0.0", "::", "192.168.0.7", "example.org"):
        with pytest.raises(ConfigError, match="--token-file"):
            serve(FastAPI(), host=host, port=8399)


# --- tokens ---------------------------------------------------------------------------------------


def test_a_token_is_read_from_a_file_of_ones_own(tmp_path):
    file = tmp_path / "to ken 🐀"
    file.write_text(LONG + "\n")
    file.chmod(0o600)
    assert read_token(file) == LONG


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777])
def test_a_token_that_others_may_read_is_refused(tmp_path, mode):
    file = tmp_path / "token"
    file.write_text(LONG)
    file.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600") as told:
        read_token(file)
    assert LONG not in str(told.value)


@pytest.mark.parametrize("text", ["", "b" * 5, "a" * 31, "a" * 40 + "\u00e9", "a" * 40 + "\x07b"])
def test_a_token_that_is_short_or_odd_is_refused_and_not_told(tmp_path, text):
    file = tmp_path / "token"
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    with pytest.raises(ConfigError, match="at least 32 plain") as told:
        read_token(file)
    assert not text or text not in str(told.value)


def test_a_token_that_is_no_text_or_not_there_is_refused(tmp_path):
    file = tmp_path / "token"
    file.write_bytes(b"\xff" * 40)
    file.chmod(0o600)
    for one in (file, tmp_path / "absent", tmp_path):
        with pytest.raises(ConfigError):
            read_token(one)


def test_the_token_stays_out_of_the_log():
    hidden = serving._Redacting(LONG)
    record = logging.LogRecord(
        "x", 30, "", 0, "bad request %s of %s", (f"?token={LONG}", "me"), None
    )
    assert hidden.filter(record) and record.getMessage() == "bad request ?token=*** of me"
    plain = logging.LogRecord("x", 30, "", 0, "nothing %d", (3,), None)
    assert hidden.filter(plain) and plain.getMessage() == "nothing 3"


def test_addresses_are_such_as_a_browser_takes():
    assert Served("::1", 8350, "t").first == "http://[::1]:8350/?token=t"
    assert Served("127.0.0.1", 8350, "t").address == "http://127.0.0.1:8350/"


# --- at work --------------------------------------------------------------------------------------


@pytest.fixture
def at_work(monkeypatch):
    """`serve` in threads, until the test is over."""
    servers: list[uvicorn.Server] = []
    threads: list[threading.Thread] = []

    class Kept(serving._Telling):
        def __init__(self, *given) -> None:
            super().__init__(*given)
            servers.append(self)

    monkeypatch.setattr(serving, "_Telling", Kept)

    def start(app, **options) -> Served:
        told: queue.Queue[Served] = queue.Queue()
        given = {**options, "started": told.put}
        threads.append(threading.Thread(target=serve, args=(app,), kwargs=given, daemon=True))
        threads[-1].start()
        return told.get(timeout=20)

    yield start
    for server in servers:
        server.should_exit = True
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive(), "the server did not end"


def empty() -> FastAPI:
    app = FastAPI()

    @app.get("/here")
    def here() -> dict[str, bool]:
        return {"here": True}

    return app


def first_line(served: Served, request: bytes, family: int = socket.AF_INET) -> bytes:
    with closing(socket.socket(family)) as line:
        line.settimeout(10)
        line.connect((served.host, served.port))
        line.sendall(request)
        return line.recv(1000).split(b"\r\n")[0]


def asking(served: Served, host: str, token: str) -> bytes:
    return (
        f"GET /here HTTP/1.1\r\nHost: {host}:{served.port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    ).encode()


def test_a_server_on_ipv6_answers_there(at_work):
    if not has_ipv6():
        pytest.skip("there is no IPv6 on this machine")
    served = at_work(empty(), host="::1")
    assert first_line(served, asking(served, "[::1]", served.token), socket.AF_INET6).endswith(
        b"200 OK"
    )
    refused = first_line(served, asking(served, "evil.example", served.token), socket.AF_INET6)
    assert b" 400 " in refused


def test_every_start_has_a_token_of_its_own_and_a_given_one_is_kept(at_work):
    one = at_work(empty())
    other = at_work(empty())
    given = at_work(empty(), token=LONG)
    assert one.token != other.token and len(one.token) >= 43 and given.token == LONG
    assert b" 401 " in first_line(one, asking(one, "127.0.0.1", other.token))
    assert b" 200 " in first_line(given, asking(given, "localhost", LONG))


def test_a_server_for_others_knows_its_own_names_only(at_work):
    served = at_work(empty(), host="0.0.0.0", token=LONG)
    reached = Served("127.0.0.1", served.port, LONG)
    assert b" 200 " in first_line(reached, asking(served, "0.0.0.0", LONG))
    assert b" 200 " in first_line(reached, asking(served, socket.gethostname(), LONG))
    assert b" 400 " in first_line(reached, asking(served, "evil.example", LONG))


@pytest.mark.parametrize(
    "said",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: a"],
    ids=["silence", "a word", "a head"],
)
def test_a_connection_that_does_not_say_what_it_wants_is_closed(at_work, monkeypatch, said):
    monkeypatch.setattr(serving, "_HEAD_SECONDS", 0.3)
    served = at_work(empty())
    with closing(socket.create_connection((served.host, served.port), timeout=10)) as line:
        line.sendall(said)
        begun = time.monotonic()
        assert line.recv(100) == b"", "it was answered"
        assert time.monotonic() - begun < 8
    assert b" 200 " in first_line(served, asking(served, "127.0.0.1", served.token))


def test_a_head_that_never_ends_is_refused_early(at_work):
    served = at_work(empty())
    with closing(socket.create_connection((served.host, served.port), timeout=10)) as line:
        line.sendall(b"GET / HTTP/1.1\r\n")
        reply = b""
        try:
            for number in range(2000):
                line.sendall(b"X-%d: " % number + b"a" * 100 + b"\r\n")
            reply = line.recv(100)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert reply[:13] in (b"", b"HTTP/1.1 400 ", b"HTTP/1.1 431 ")
    assert b" 200 " in first_line(served, asking(served, "127.0.0.1", served.token))
