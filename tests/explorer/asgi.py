"""A request to an ASGI application with exactly the headers that are given, and what came back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass
class Reply:
    status: int
    headers: dict[str, list[str]]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return ", ".join(self.headers.get(name, []))


def request(
    app: Any,
    method: str = "GET",
    path: str = "/",
    *,
    headers: list[tuple[str, str]] | None = None,
    query: str = "",
    body: bytes | list[bytes] = b"",
    raw_path: bytes | None = None,
    kind: str = "http",
    stalls: bool = False,
) -> Reply:
    """One request; `stalls` sends a part of the body and then nothing more."""
    parts = [body] if isinstance(body, bytes) else body
    scope = {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": raw_path if raw_path is not None else path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers or []],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8350),
    }
    return run(_exchange(app, scope, parts, stalls))


def run(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, in a thread of its own: a browser that other tests keep open has an
    event loop at work in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


async def _exchange(app: Any, scope: dict[str, Any], parts: list[bytes], stalls: bool) -> Reply:
    sent: list[dict[str, Any]] = []
    waiting = list(parts)

    async def receive() -> dict[str, Any]:
        if waiting:
            part = waiting.pop(0)
            more = bool(waiting) or stalls
            return {"type": "http.request", "body": part, "more_body": more}
        await asyncio.sleep(3600)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, send)
    if scope["type"] != "http":
        return Reply(0, {}, json.dumps(sent[0]).encode())
    found: dict[str, list[str]] = {}
    for name, value in sent[0]["headers"]:
        found.setdefault(name.decode().lower(), []).append(value.decode())
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return Reply(sent[0]["status"], found, body)
