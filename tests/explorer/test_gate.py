"""Who may come in. Each case is one of the attacks that servers on loopback have suffered."""

from __future__ import annotations

import json
import re

import pytest
from tests.explorer.asgi import request

from molehill.explorer.gate import Gate

HOST = "127.0.0.1:8350"
TOKEN = "t" * 43
JSON = ("content-type", "application/json")


async def behind(scope, receive, send):
    """What lies behind the gate: says which path was reached and what body came."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    reached = json.dumps({"reached": scope["path"], "bytes": len(body)}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": reached})


@pytest.fixture
def gate():
    hosts = {HOST, "localhost:8350", "[::1]:8350"}
    return Gate(behind, hosts=hosts, token=TOKEN, largest_body=1000, patience=0.05)


@pytest.fixture
def cookie(gate):
    """The cookie of somebody who opened the printed address."""
    reply = request(gate, query=f"token={TOKEN}", headers=[("host", HOST)])
    return reply.header("set-cookie").partition(";")[0]


def ask(gate, *headers, method="GET", path="/api/catalogue", **more):
    return request(gate, method, path, headers=[("host", HOST), *headers], **more)


# --- the token and the cookie ---------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/static/kit.js", "/api/catalogue", "/nothing"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "X-ODD"])
def test_without_token_nothing_is_reached(gate, path, method):
    reply = ask(gate, JSON, ("origin", f"http://{HOST}"), method=method, path=path)
    assert reply.status == 401 and b"reached" not in reply.body


@pytest.mark.parametrize(
    "header",
    [
        ("authorization", "Bearer wrong"),
        ("authorization", f"Basic {TOKEN}"),
        ("authorization", f"Bearer {TOKEN}x"),
        ("cookie", "molehill_8350=wrong"),
        ("cookie", f"molehill_8351={TOKEN}"),
        ("cookie", f"molehill_8350={TOKEN}"),
        ("cookie", "molehill_8350"),
        ("cookie", "=;=;\x01"),
    ],
)
def test_a_wrong_token_or_another_ports_cookie_is_refused(gate, header):
    assert ask(gate, header).status == 401


def test_a_person_without_the_token_is_told_so_in_a_page(gate):
    reply = ask(gate, ("accept", "text/html,application/xhtml+xml"), path="/")
    assert reply.status == 401 and reply.header("content-type").startswith("text/html")
    assert b"molehill explore" in reply.body and b"<script" not in reply.body


def test_two_tokens_at_once_are_none(gate):
    both = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer wrong")]
    assert ask(gate, *both).status == 401


def test_the_token_is_swapped_for_a_cookie_and_dropped_from_the_address(gate):
    reply = request(gate, query=f"token={TOKEN}&x=1", headers=[("host", HOST)])
    assert reply.status == 200 and TOKEN not in reply.body.decode()
    made = reply.header("set-cookie")
    assert all(part in made.lower() for part in ("httponly", "samesite=strict", "path=/"))
    assert TOKEN not in made
    assert 'data-to="/?x=1"' in reply.body.decode()
    # The only script is the one that goes on, and the policy names its hash.
    assert re.search(r"script-src 'sha256-[\w+/=]+'", reply.header("content-security-policy"))


@pytest.mark.parametrize("query", ["token=wrong", f"token={TOKEN}&token={TOKEN}", "token="])
def test_a_wrong_token_in_the_address_gets_no_cookie(gate, query):
    reply = request(gate, query=query, headers=[("host", HOST)])
    assert reply.status == 401 and not reply.header("set-cookie")


def test_a_page_elsewhere_cannot_be_led_to(gate):
    reply = request(gate, query=f'token={TOKEN}&"><script>alert(1)', headers=[("host", HOST)])
    assert "<script>alert" not in reply.body.decode()


def test_the_cookie_and_the_bearer_reach_what_lies_behind(gate, cookie):
    for header in (("cookie", cookie), ("authorization", f"Bearer {TOKEN}")):
        reply = ask(gate, header)
        assert reply.status == 200 and reply.json["reached"] == "/api/catalogue"


def test_a_gate_without_a_given_token_has_a_long_one_of_its_own():
    first, second = (Gate(behind, hosts=[HOST]) for _ in range(2))
    assert len(first.token) >= 43 and first.token != second.token


# --- the host -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["127.0.0.1.evil"],
        ["127.0.0.1.evil:8350"],
        ["127.0.0.1:8351"],
        ["127.0.0.1"],
        ["a/b?c"],
        [""],
        [],
        [HOST, "evil.example"],
        ["127.0.0.1:8350@evil.example"],
    ],
)
def test_another_name_for_this_address_is_refused_before_anything_else(gate, hosts, cookie):
    headers = [*[("host", host) for host in hosts], ("cookie", cookie)]
    reply = request(gate, "GET", "/api/catalogue", headers=headers)
    assert reply.status == 400 and b"reached" not in reply.body


@pytest.mark.parametrize("host", [HOST, "localhost:8350", "[::1]:8350", "LOCALHOST:8350"])
def test_its_own_names_are_taken(gate, host, cookie):
    reply = request(gate, "GET", "/x", headers=[("host", host), ("cookie", cookie)])
    assert reply.status == 200


# --- other sites ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("origin", "http://127.0.0.1:8351")],
        [("origin", f"https://{HOST}")],
        [("origin", f"http://{HOST}"), ("sec-fetch-site", "cross-site")],
        [("origin", f"http://{HOST}"), ("sec-fetch-site", "same-site")],
        [("origin", f"http://{HOST}"), ("origin", "http://evil.example")],
        [("sec-fetch-site", "none")],
        [],
    ],
)
def test_what_another_page_sends_is_refused(gate, cookie, headers):
    reply = ask(gate, ("cookie", cookie), JSON, *headers, method="POST", body=b"{}")
    assert reply.status == 403 and b"reached" not in reply.body


def test_its_own_page_and_programs_with_the_token_are_heard(gate, cookie):
    own = [("cookie", cookie), ("origin", f"http://{HOST}"), ("sec-fetch-site", "same-origin")]
    program = [("authorization", f"Bearer {TOKEN}")]
    for headers in (own, program):
        reply = ask(gate, JSON, *headers, method="POST", body=b"{}")
        assert reply.status == 200


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_another_page_cannot_load_what_is_here(gate, cookie, site, mode, status):
    headers = [("cookie", cookie), ("sec-fetch-site", site), ("sec-fetch-mode", mode)]
    assert ask(gate, *headers).status == status


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_forms_of_other_pages_are_no_json(gate, kind):
    headers = [("authorization", f"Bearer {TOKEN}"), ("content-type", kind)]
    assert ask(gate, *headers, method="POST", body=b"{}").status == 415


# --- paths ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("/static/../secret", b"/static/..%2fsecret"),
        ("/static/..\\secret", b"/static/..%5csecret"),
        ("/static/../secret", b"/static/../secret"),
        ("/static//etc/passwd", b"/static//etc/passwd"),
        ("/static/a\0b", b"/static/a%00b"),
        ("/static/%2e%2e/x", b"/static/%252e%252e%2fx"),
        ("/..", b"/.."),
    ],
)
def test_odd_paths_are_nowhere(gate, cookie, path, raw):
    reply = ask(gate, ("cookie", cookie), path=path, raw_path=raw)
    assert reply.status == 404 and b"reached" not in reply.body


# --- bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["1001", "99999999999999999999", "-1", "1e3", "0x10"])
def test_a_body_that_says_it_is_too_long_is_not_read(gate, length):
    headers = [("authorization", f"Bearer {TOKEN}"), JSON, ("content-length", length)]
    assert ask(gate, *headers, method="POST").status == 413


def test_a_body_that_turns_out_too_long_is_not_read_to_its_end(gate):
    parts = [b"x" * 400] * 50
    headers = [("authorization", f"Bearer {TOKEN}"), JSON]
    assert ask(gate, *headers, method="POST", body=parts).status == 413


def test_a_body_that_does_not_come_is_not_waited_for(gate):
    headers = [("authorization", f"Bearer {TOKEN}"), JSON]
    assert ask(gate, *headers, method="POST", body=b"{", stalls=True).status == 408


# --- what leaves ----------------------------------------------------------------------------------


def test_every_answer_is_kept_to_this_page(gate, cookie):
    for headers in ([], [("cookie", cookie)]):
        reply = ask(gate, *headers)
        policy = reply.header("content-security-policy")
        assert "default-src 'none'" in policy and "script-src 'self'" in policy
        assert "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert reply.header("x-content-type-options") == "nosniff"
        assert reply.header("referrer-policy") == "no-referrer"
        assert reply.header("cross-origin-resource-policy") == "same-origin"
        assert "access-control-allow-origin" not in reply.headers


def test_sockets_that_stay_open_are_not_spoken(gate, cookie):
    reply = request(gate, kind="websocket", headers=[("host", HOST), ("cookie", cookie)])
    assert reply.json == {
        "type": "websocket.close",
        "code": 1008,
        "reason": "not spoken here",
    }
