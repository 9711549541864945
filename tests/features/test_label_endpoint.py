"""Labels from an endpoint: a server of our own says what was asked of it."""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.features.made_examples import features, texts, village

from molehill.errors import ConfigError, TextError
from molehill.features.examples_file import open_examples
from molehill.features.examples_writing import write_examples
from molehill.features.gathering import Gathering
from molehill.features.label_endpoint import KEY, Endpoint, _marked, endpoint_label


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("endpoint") / "made.db"
    write_examples(path, village(), features(), texts(), Gathering(top=8, sample=12, context=20))
    return path


class Fake:
    """An endpoint that answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.headers: list[dict] = []
        self.paths: list[str] = []
        self.answers: list = []
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                fake.asked.append(json.loads(body))
                fake.headers.append(dict(self.headers))
                fake.paths.append(self.path)
                answer = fake.answers.pop(0)
                status, raw = answer if isinstance(answer, tuple) else (200, fake.chat(answer))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", raw.decode())
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    @staticmethod
    def chat(text: str) -> bytes:
        return json.dumps({"choices": [{"message": {"content": text}}]}).encode()


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.delenv(KEY, raising=False)
    made = Fake()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def examples(file):
    with open_examples(file) as opened:
        yield opened


def most_active(examples) -> int:
    return int(examples.densities().argmax())


def test_a_label_is_asked_for_with_some_examples_and_scored_with_others(fake, examples):
    number = most_active(examples)
    fake.answers = ['  "the ends\nof \x1b[31msentences" ', "none"]
    label = endpoint_label(examples, number, Endpoint(fake.url, "small"))
    assert label.kind == "endpoint" and label.text == "the ends of [31msentences"
    # Half of the excerpts are its own, and it said of none that they are.
    assert label.score == pytest.approx(0.5) and "12 excerpts" in label.evidence[0]
    first, second = fake.asked
    assert fake.paths == ["/v1/chat/completions"] * 2 and first["model"] == "small"
    shown, asked = (each["messages"][1]["content"] for each in (first, second))
    assert label.text in second["messages"][0]["content"]
    own = examples.examples(number)
    assert shown.count("«") == 10 and asked.count("«") == 12
    marked = {re.sub(r"[«»]", "", line[2:]) for line in shown.splitlines() if "«" in line}
    text = " ".join("".join(p.replace("·", " ") for p in own[0].pieces).split())
    assert text in {" ".join(line.split()) for line in marked}
    assert all("Authorization" not in each for each in fake.headers)


def test_a_perfect_answer_has_a_perfect_score(fake, examples):
    number = most_active(examples)
    endpoint = Endpoint(fake.url, "small")
    fake.answers = ["label", "none"]
    endpoint_label(examples, number, endpoint)
    lines = fake.asked[1]["messages"][1]["content"].splitlines()
    own = {_marked(one) for one in examples.examples(number)[1::2]}
    right = [line.split(".")[0] for line in lines if line.split(". ", 1)[1] in own]
    fake.answers = ["label", ", ".join(right)]
    assert endpoint_label(examples, number, endpoint).score == 1.0


def test_a_key_goes_to_this_machine_or_over_https_alone(fake, examples, monkeypatch):
    monkeypatch.setenv(KEY, "secret")
    with pytest.raises(ConfigError, match="not encrypted"):
        Endpoint("http://example.com/v1", "small")
    Endpoint("https://example.com/v1", "small")
    fake.answers = ["label", "1, 2"]
    endpoint_label(examples, most_active(examples), Endpoint(fake.url, "small"))
    assert fake.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((500, b"down"), "answered 500"),
        ((200, b"<html>"), "something else than a chat completion"),
        ((200, b'{"choices": []}'), "something else"),
        ((302, b"http://127.0.0.1:9/elsewhere"), "answered 302"),
        ("  ", "empty label"),
    ],
)
def test_no_usable_answer_is_said_in_a_line(fake, examples, answer, told):
    fake.answers = [answer]
    with pytest.raises(ConfigError, match=told):
        endpoint_label(examples, most_active(examples), Endpoint(fake.url, "small"))
    assert len(fake.asked) == 1


def test_what_cannot_be_asked(fake, examples):
    with pytest.raises(ConfigError, match="is no address"):
        Endpoint("file:///etc/passwd", "small")
    silent = int(examples.densities().argmin())
    with pytest.raises(TextError, match="too few to ask"):
        endpoint_label(examples, silent, Endpoint(fake.url, "small"))
    with pytest.raises(ConfigError, match="gives no answer"):
        endpoint_label(examples, most_active(examples), Endpoint("http://127.0.0.1:9", "x", 2.0))
    assert fake.asked == []
