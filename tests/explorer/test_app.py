"""The server's routes: what they answer, what they refuse, and that none is outside the gate."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import replace

import pytest
from tests.explorer.asgi import Reply, request
from tests.explorer.conftest import serving

import molehill
from molehill.errors import MolehillError
from molehill.explorer.app import make_app
from molehill.explorer.gate import Gate
from molehill.explorer.line import Line
from molehill.explorer.rooms import ANSWERED_INSIDE, ROOMS
from molehill.questions import QUESTIONS, Desk, ModelEntry
from molehill.questions.tour import TOUR

HOST = "127.0.0.1:8350"
JSON = ("content-type", "application/json")


@pytest.fixture(scope="module")
def app(desk):
    line = Line(deadline=60.0)
    yield make_app(desk, line=line)
    line.close()


def post(app, path, body, *headers):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return request(app, "POST", path, headers=[JSON, *headers], body=data)


class Client:
    """A program that holds the token, with one connection for each request."""

    def __init__(self, served) -> None:
        self.served = served

    def send(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.served.port, timeout=60)
        given = {"authorization": f"Bearer {self.served.token}", "content-type": "application/json"}
        connection.request(
            method,
            path,
            body if body is None or isinstance(body, bytes) else json.dumps(body),
            given | headers,
        )
        with contextlib.closing(connection), connection.getresponse() as reply:
            return Reply(reply.status, {}, reply.read())

    def lines(self, question, inputs):
        reply = self.send("POST", f"/api/ask/{question}", inputs, accept="application/x-ndjson")
        assert reply.status == 200
        return [json.loads(line) for line in reply.body.splitlines()]


# --- the whole of it ------------------------------------------------------------------------------


def test_every_route_stands_behind_the_gate(app):
    gate = Gate(app, hosts=[HOST])
    routes = [(route.path, route.methods or {"GET"}) for route in app.routes]
    assert len(routes) > 2 * len(QUESTIONS)
    for path, methods in routes:
        for method in methods:
            reply = request(gate, method, path, headers=[("host", HOST), JSON], body=b"{}")
            assert reply.status == 401, f"{method} {path} is open"


def test_no_route_that_only_reads_changes_anything_and_none_takes_a_path(app):
    for route in app.routes:
        methods = (route.methods or {"GET"}) - {"HEAD"}
        assert methods in ({"GET"}, {"POST"}), route.path
        assert ":path" not in route.path


def test_every_question_has_one_place_in_the_menu():
    placed = [name for room in ROOMS for name in room.questions]
    assert len(placed) == len(set(placed))
    names = {one.name for one in QUESTIONS}
    assert names <= set(placed) | set(ANSWERED_INSIDE)


def test_the_catalogue_says_what_there_is(app, desk):
    found = request(app, path="/api/catalogue").json
    assert [one["name"] for one in found["models"]] == list(desk.models)
    assert {one["name"] for one in found["features"]} == set(desk.features)
    assert {one["name"] for one in found["questions"]} == {one.name for one in QUESTIONS}
    for one in found["questions"]:
        titles = [field.get("title") for field in one["fields"].values()]
        assert all(titles), one["name"]
    assert len(found["tour"]) == len(TOUR) == 10


def test_static_files_are_those_of_the_package_and_no_others(app):
    assert b"class Page" in request(app, path="/static/kit.js").body
    assert b"class App" in request(app, path="/static/page.js").body
    sheet = request(app, path="/static/ledger.css")
    assert sheet.body.startswith(b".v-ledger {") and sheet.header("content-type").startswith(
        "text/css"
    )
    for name in ("app.py", "__init__.py", "KIT.JS", "kit.js/", "index.html", "..", "kit.js%00.css"):
        assert request(app, path=f"/static/{name}").status == 404, name


def test_no_view_is_heavier_than_its_limit(app):
    for view in {one.view for one in QUESTIONS}:
        size = len(request(app, path=f"/static/{view}.js").body)
        assert 0 < size < 60_000, f"{view}.js has {size} bytes"


# --- questions ------------------------------------------------------------------------------------


def test_an_answer_is_what_the_library_says(app):
    text = "The mole dug."
    reply = post(app, "/api/ask/ledger", {"text": text, "position": 1})
    assert reply.status == 200 and reply.header("cache-control") == "no-store"
    book = molehill.ledger(molehill.load("lexicon"), text, 1)
    length = float(book.vector.double().norm())
    assert reply.json["read"]["measured"] == pytest.approx(length, rel=1e-4)
    assert reply.json["python"].startswith("import molehill\n")


def test_an_answer_comes_as_lines_for_who_asks_so(served):
    told = Client(served).lines("lens", {"text": "A harbour is"})
    assert told[0]["kind"] == "waiting" and told[-1]["kind"] == "answer"
    assert told[-1]["data"]["schema"].startswith("molehill.lens/")


def test_a_page_is_whole_and_safe(app):
    text = "</script><img src=x onerror=alert(1)> mole"
    reply = post(app, "/api/page/lens", {"text": text})
    assert reply.status == 200 and reply.header("content-type").startswith("text/html")
    assert reply.header("content-disposition") == 'attachment; filename="lens.html"'
    page = reply.body.decode()
    assert "<img src=x" not in page and page.count("</script>") == 2


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        (b"", 422, ""),
        (b"{", 422, ""),
        (b"[]", 422, ""),
        (b"null", 422, ""),
        (b"\xff\xfe", 422, ""),
        ({"text": ""}, 422, "text"),
        ({"text": 5}, 422, "text"),
        ({"text": "x" * 20_001}, 422, "text"),
        ({"position": 1e999}, 422, "position"),
        ({"position": "../../etc/passwd"}, 422, "position"),
        ({"nothing": 1}, 422, "nothing"),
        ({"__class__": 1}, 422, "__class__"),
        ({"model": "/etc/passwd"}, 400, "no model"),
        ({"model": "../lexicon"}, 400, "no model"),
        ({"edits": ["0" * 64]}, 400, "not remembered"),
        ({"edits": ["x"] * 65}, 422, "edits"),
        ({"position": 99}, 400, "no token at position 99"),
        ({"toward": "qqqqzzzz qqqq"}, 400, "tokens"),
        ({"at": "99.resid_post"}, 400, "99"),
        ({"features": "/etc/passwd"}, 400, "no features"),
        ({"features": "village-1"}, 400, "village"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(app, body, status, part):
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = post(app, "/api/ask/ledger", data)
    assert reply.status == status, reply.body
    assert part in reply.json["error"] and "\n" not in reply.json["error"]
    assert "Traceback" not in reply.json["error"] and "site-packages" not in reply.json["error"]


def test_json_of_a_thousand_levels_is_refused(app):
    deep = b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert post(app, "/api/ask/ledger", deep).status in (400, 422)


@pytest.mark.parametrize(
    "text", ["\u202eabc\u200d\u200b", "a\0b", "mole 🐀 é", "   ", "\r\n", "</script>"]
)
def test_odd_texts_come_back_as_they_are(app, text):
    reply = post(app, "/api/ask/lens", {"text": text})
    assert reply.status in (200, 400), reply.body
    if reply.status == 200:
        assert reply.json["text"] == text


def test_half_a_character_is_answered_or_refused_and_never_a_fault(app):
    reply = post(app, "/api/ask/lens", rb'{"text":"mole \ud800"}')
    assert reply.status in (200, 400, 422)
    json.loads(reply.body)


def test_a_text_longer_than_the_model_reads_is_refused_with_both_lengths(app):
    reply = post(app, "/api/ask/lens", {"text": "mole " * 2000})
    assert reply.status == 400 and "256" in reply.json["error"]


def test_tokens_are_cut_as_the_model_reads_them(app):
    found = post(app, "/api/tokens", {"model": "lexicon", "text": "The mole"}).json
    tokens = molehill.load("lexicon").encode(["The mole"])
    assert found["ids"] == tokens.row(0) and found["pieces"] == list(tokens.pieces[0])
    assert post(app, "/api/tokens", {"model": "x", "text": ""}).status == 400


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "GET"])
def test_other_methods_are_refused_in_json(app, method):
    reply = request(app, method, "/api/ask/ledger", headers=[JSON], body=b"{}")
    assert reply.status == 405 and reply.json == {"error": "Not in this way."}


# --- faults ---------------------------------------------------------------------------------------


def broken(error):
    def answer(inputs, desk):
        raise error

    return answer


@pytest.mark.parametrize(
    ("error", "status", "part"),
    [
        (MemoryError(), 507, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 507, "memory"),
        (ValueError("secret internals"), 500, "went wrong inside"),
        (MolehillError("Found 3, expected 2."), 400, "Found 3"),
        (SystemExit(1), 500, "went wrong inside"),
    ],
)
def test_a_fault_is_an_answer_and_the_server_goes_on(desk, monkeypatch, error, status, part):
    first, *rest = QUESTIONS
    monkeypatch.setattr(
        "molehill.explorer.app.QUESTIONS", (replace(first, answer=broken(error)), *rest)
    )
    app = make_app(desk, line=Line(deadline=30.0))
    reply = post(app, f"/api/ask/{first.name}", {})
    assert reply.status == status and part in reply.json["error"]
    assert "secret" not in reply.json["error"]
    assert post(app, "/api/ask/lens", {"text": "A mole"}).status == 200


def endless(seen: threading.Event, over: threading.Event):
    def answer(inputs, desk):
        try:
            seen.set()
            while True:
                desk.tell(0, 0, "endlessly")
                time.sleep(0.001)
        except BaseException:
            over.set()
            raise

    return answer


@pytest.fixture
def endless_server(desk, monkeypatch):
    seen, over = threading.Event(), threading.Event()
    first, *rest = QUESTIONS
    odd = (replace(first, answer=endless(seen, over)), *rest)
    monkeypatch.setattr("molehill.explorer.app.QUESTIONS", odd)
    with serving(desk, most=3) as found:
        yield found, first.name, seen, over


@pytest.mark.parametrize("accept", ["application/json", "application/x-ndjson"])
def test_who_hangs_up_ends_the_computation(endless_server, accept):
    served, name, seen, over = endless_server
    body = b"{}"
    head = (
        f"POST /api/ask/{name} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Authorization: Bearer {served.token}\r\nContent-Type: application/json\r\n"
        f"Accept: {accept}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", served.port)) as line:
        line.sendall(head.encode() + body)
        assert seen.wait(10)
    assert over.wait(2), "still computing for nobody"
    assert Client(served).send("POST", "/api/ask/lens", {"text": "A mole"}).status == 200


def test_a_burst_is_held_off_and_the_server_goes_on(endless_server):
    served, name, seen, _ = endless_server
    sockets, statuses = [], []
    body = b"{}"
    head = (
        f"POST /api/ask/{name} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
        f"Authorization: Bearer {served.token}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(12):
        one = socket.create_connection(("127.0.0.1", served.port), timeout=10)
        one.sendall(head.encode() + body)
        sockets.append(one)
        assert seen.wait(10)
        time.sleep(0.02)
    for one in sockets[4:]:
        statuses.append(one.recv(12).split()[1])
    for one in sockets:
        one.close()
    assert set(statuses) == {b"429"}
    assert Client(served).send("GET", "/api/catalogue").status == 200


def test_a_deadline_ends_what_takes_too_long(desk, monkeypatch):
    first, *rest = QUESTIONS
    slow = replace(first, answer=endless(threading.Event(), threading.Event()))
    monkeypatch.setattr("molehill.explorer.app.QUESTIONS", (slow, *rest))
    app = make_app(desk, line=Line(deadline=0.2))
    reply = post(app, f"/api/ask/{first.name}", {})
    assert reply.status == 504 and "0.2 s" in reply.json["error"]


# --- two at once ----------------------------------------------------------------------------------


def test_two_clients_get_what_each_asked(served):
    found: dict[str, list] = {"A harbour is": [], "The mole dug": []}

    def ask(text):
        for _ in range(5):
            reply = Client(served).send("POST", "/api/ask/lens", {"text": text})
            found[text].append(reply.json["text"])

    threads = [threading.Thread(target=ask, args=(text,)) for text in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {text: set(texts) for text, texts in found.items()} == {text: {text} for text in found}


def test_models_are_let_go_beyond_their_budget():
    desk = Desk({name: ModelEntry(name) for name in ("lexicon", "village")}, budget=1)
    desk.model("lexicon")
    assert desk.held("lexicon") is not None
    desk.model("village")
    assert desk.held("lexicon") is None and desk.held("village") is not None
