"""The server at work: an address on loopback, a port that is free, a page in the browser.

Elsewhere than on loopback it listens only where a host and a file with a token are given, and says
so. This module knows no route.
"""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from molehill.errors import ConfigError
from molehill.explorer.gate import Gate

__all__ = ["FIRST_PORT", "LOOPBACK", "Served", "bound", "read_token", "serve"]

LOOPBACK = ("127.0.0.1", "::1", "localhost")

FIRST_PORT = 8350
_TRIED = 50

_HEAD_SECONDS = 10.0
"""How long a connection may take to say what it wants."""

_CONNECTIONS = 200
_SHORTEST_TOKEN = 32


@dataclass(frozen=True)
class Served:
    """Where the page is."""

    host: str
    port: int
    token: str

    @property
    def address(self) -> str:
        """Without the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    @property
    def first(self) -> str:
        """With the token: to be opened once."""
        return f"{self.address}?token={self.token}"


class _Prompt(H11Protocol):
    """A connection that is closed where it does not say in time what it wants."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._waited = self.loop.call_later(_HEAD_SECONDS, self._close_if_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._waited.cancel()
        super().connection_lost(exc)

    def _close_if_silent(self) -> None:
        if self.cycle is None:
            self.transport.close()


def read_token(path: Path) -> str:
    """The token that a file holds, for a server that others may reach.

    Raises:
        ConfigError: the file is not there, others may read it, or the token is short.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"Others may read {path}: chmod 600 {path}.")
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(f"The token's file cannot be read: {error}.") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is no text: a token is a line of plain characters.") from None
    if len(token) < _SHORTEST_TOKEN or not token.isascii() or not token.isprintable():
        raise ConfigError(
            f"The token in {path} has {len(token)} characters, at least {_SHORTEST_TOKEN} plain "
            "ones are needed: python -c 'import secrets; print(secrets.token_urlsafe(32))'."
        )
    return token


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens: at the port asked for, or at the first free one from 8350 on.

    Raises:
        ConfigError: the port is taken, none of fifty is free, or there is no such address here.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    tried = [port] if port is not None else range(FIRST_PORT, FIRST_PORT + _TRIED)
    why = "taken"
    for one in tried:
        try:
            return _listening(family, host, one)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise ConfigError(f"Nothing can listen at {host}: {error}.") from None
            why = "taken" if error.errno == errno.EADDRINUSE else "not for you to use"
    if port is not None:
        raise ConfigError(f"Port {port} of {host} is {why}: leave --port out, or give another.")
    raise ConfigError(
        f"The ports {FIRST_PORT} to {FIRST_PORT + _TRIED - 1} of {host} are taken: give --port."
    )


def _listening(family: int, host: str, port: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(128)
    except OSError:
        made.close()
        raise
    return made


def serve(
    app: FastAPI,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    token: str | None = None,
    started: Callable[[Served], None] = lambda served: None,
) -> None:
    """Serve until Ctrl-C.

    Args:
        app: see `make_app`.
        host: an address of this machine; anything but loopback needs a token.
        port: None: the first free one from 8350 on.
        token: of this start; None makes one.
        started: is called once connections are taken.

    Raises:
        ConfigError: the address cannot be listened at, or is open to others without a token.
    """
    if host not in LOOPBACK and token is None:
        raise ConfigError(f"{host} is reached from other machines: give --token-file too.")
    address = "127.0.0.1" if host == "localhost" else host
    listening = bound(address, port)
    where = listening.getsockname()[1]
    gate = Gate(app, hosts=_names(address, where), token=token)
    config = uvicorn.Config(
        gate,
        http=_Prompt,
        ws="none",
        lifespan="on",
        # Addresses hold the token once; nothing is written that could hold it.
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=16 * 1024,
    )
    server = _Telling(
        config,
        lambda: started(Served(address, where, gate.token)),
        getattr(app.state, "close", lambda: None),
    )
    logging.getLogger("uvicorn.error").addFilter(_Redacting(gate.token))
    server.run(sockets=[listening])


def _names(address: str, port: int) -> set[str]:
    if address in LOOPBACK:
        names = {"127.0.0.1", "localhost", "[::1]"}
    else:
        names = {address, socket.gethostname(), socket.getfqdn()}
    return {f"{name}:{port}" for name in names} | (names if port == 80 else set())


class _Telling(uvicorn.Server):
    """Says when it takes connections, and ends what is computed before it waits for them to end."""

    def __init__(
        self, config: uvicorn.Config, started: Callable[[], None], ending: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._tell, self._end = started, ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end()
        await super().shutdown(sockets)


class _Redacting(logging.Filter):
    """Keeps the token out of the log."""

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        told = record.getMessage()
        if self._token in told:
            record.msg, record.args = told.replace(self._token, "***"), None
        return True
