"""A server at work, on a free port, for the tests that need a real one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn

from molehill.explorer.app import make_app
from molehill.explorer.gate import Gate
from molehill.explorer.line import Line
from molehill.explorer.serving import Served, _Prompt
from molehill.questions import Desk, ModelEntry
from molehill.questions.offers import shipped_features


@contextmanager
def serving(desk: Desk, *, deadline: float = 120.0, most: int = 32) -> Iterator[Served]:
    """A server in a thread, as `serve` makes it, until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    app = make_app(desk, line=Line(deadline=deadline, most=most))
    gate = Gate(app, hosts=[f"127.0.0.1:{port}", f"localhost:{port}"])
    config = uvicorn.Config(
        gate,
        http=_Prompt,
        ws="none",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        yield Served("127.0.0.1", port, gate.token)
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
        assert not thread.is_alive(), "the server did not end"


@pytest.fixture(scope="session")
def desk() -> Desk:
    models = {name: ModelEntry(name) for name in ("lexicon", "village")}
    return Desk(models, features=shipped_features())


@pytest.fixture(scope="session")
def served(desk) -> Iterator[Served]:
    with serving(desk) as found:
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An end that arrives while Python forgets an object is dropped there, with a warning, and
    given again."""
    dropped = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    for item in items:
        if "explorer" in item.path.parts:
            item.add_marker(dropped)
