"""Who may come in: every request passes here before any route is looked up, and is turned away
unless it shows that it comes from this machine's own page or holds the token.

A server on loopback is reached by every page that the browser has open, by names that resolve to
127.0.0.1 (DNS rebinding) and by every user of the machine. So: the Host must be ours, the token is
asked for at first and a cookie afterwards, whatever changes or costs something must come from our
own page, and what is not allowed is denied. This module knows no route and no model.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
from collections.abc import Iterable
from html import escape
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlencode

from starlette.responses import HTMLResponse, JSONResponse, Response

__all__ = ["Gate", "page_policy"]

_SWAP = "location.replace(document.documentElement.dataset.to + location.hash);"
"""A redirect would keep the cookie out where the link was opened from another site's page: to a
browser that journey began elsewhere, and a strict cookie stays at home."""


def _hashed(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def page_policy(script: str = "'self'") -> str:
    """What a page of this server may load: its own files, pictures made on the spot, no more."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {script}",
            "style-src 'self'",
            "img-src 'self' data: blob:",
            "connect-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "x-frame-options": "DENY",
}


class Gate:
    """An ASGI application around another one.

    Args:
        app: what lies behind.
        token: the secret of this start; a fresh one if none is given.
        hosts: every value of `Host` that is ours, as in `127.0.0.1:8350`.
        largest_body: bytes of a request that are read; a larger one is refused.
        patience: seconds that a request's body may take to arrive.
    """

    def __init__(
        self,
        app: Any,
        *,
        hosts: Iterable[str],
        token: str | None = None,
        largest_body: int = 1_000_000,
        patience: float = 15.0,
    ) -> None:
        self.app = app
        self.token = token or secrets.token_urlsafe(32)
        self.hosts = frozenset(host.lower() for host in hosts)
        self.largest_body, self.patience = largest_body, patience
        self._session = secrets.token_urlsafe(32)
        port = next(iter(sorted(self.hosts)), "").rpartition(":")[2]
        self.cookie = f"molehill_{port}"

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            # Nothing here speaks over a socket that stays open.
            await send({"type": "websocket.close", "code": 1008, "reason": "not spoken here"})
        else:
            await self._http(scope, receive, _sealed(send))

    async def _http(self, scope: Any, receive: Any, send: Any) -> None:
        headers = _Headers(scope)
        refused = (
            self._wrong_host(headers)
            or self._odd_path(scope)
            or self._swap(scope, headers)
            or self._stranger(scope, headers)
            or self._foreign(scope, headers)
            or self._unfit(scope, headers)
        )
        if refused is not None:
            await refused(scope, receive, send)
            return
        try:
            await self.app(scope, _Body(receive, self.largest_body, self.patience), send)
        except _TooMuch as error:
            await _no(error.status, error.message)(scope, receive, send)

    def _wrong_host(self, headers: _Headers) -> Response | None:
        """Another name for this address, or none."""
        given = headers.all("host")
        if len(given) == 1 and given[0].lower() in self.hosts:
            return None
        return _no(400, "This server answers to its own address only.")

    def _odd_path(self, scope: Any) -> Response | None:
        """A path that says one thing and means another."""
        raw = scope.get("raw_path") or scope["path"].encode()
        odd = any(part in raw.lower() for part in (b"%2f", b"%5c", b"%00", b"\\", b"\0", b"//"))
        if odd or ".." in scope["path"].split("/"):
            return _no(404, "There is nothing here.")
        return None

    def _swap(self, scope: Any, headers: _Headers) -> Response | None:
        """The first visit brings the token in its address and leaves with a cookie instead."""
        if scope["method"] != "GET" or scope["path"] != "/":
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = query.pop("token", None)
        if given is None:
            return None
        if len(given) != 1 or not _same(given[0], self.token):
            return _no(401, "The token is of another start: open the address printed last.")
        rest = urlencode(query, doseq=True)
        to = "/" + (f"?{rest}" if rest else "")
        made = HTMLResponse(
            f'<!doctype html><html lang="en" data-to="{to}"><meta charset="utf-8">'
            f"<title>Molehill</title><script>{_SWAP}</script>"
            f'<noscript><a href="{to}">Go on</a></noscript></html>',
            headers={
                "content-security-policy": page_policy(f"'sha256-{_hashed(_SWAP)}'"),
                "cache-control": "no-store",
            },
        )
        made.set_cookie(
            self.cookie, self._session, httponly=True, samesite="strict", path="/", secure=False
        )
        return made

    def _stranger(self, scope: Any, headers: _Headers) -> Response | None:
        """Neither the cookie nor the token."""
        if self._bears_token(headers) or self._has_cookie(headers):
            return None
        told = "Open the address that `molehill explore` printed: it holds this start's token."
        if scope["method"] == "GET" and "text/html" in headers.one("accept"):
            return _page(401, told)
        return _no(401, told)

    def _bears_token(self, headers: _Headers) -> bool:
        given = headers.all("authorization")
        return (
            len(given) == 1
            and given[0][:7].lower() == "bearer "
            and _same(given[0][7:].strip(), self.token)
        )

    def _has_cookie(self, headers: _Headers) -> bool:
        found = SimpleCookie()
        try:
            for line in headers.all("cookie"):
                found.load(line)
        except CookieError:
            return False
        return self.cookie in found and _same(found[self.cookie].value, self._session)

    def _foreign(self, scope: Any, headers: _Headers) -> Response | None:
        """A request that another page made this browser send."""
        site = headers.one("sec-fetch-site")
        if scope["method"] in ("GET", "HEAD"):
            fine = (
                site in ("", "same-origin", "none") or headers.one("sec-fetch-mode") == "navigate"
            )
            return None if fine else _no(403, "Another site's page asked for this.")
        origin = headers.one("origin")
        ours = origin.lower() in {f"http://{host}" for host in self.hosts}
        told = ours or (not origin and (site == "same-origin" or self._bears_token(headers)))
        if told and site in ("", "same-origin"):
            return None
        return _no(403, "Only the page of this server may ask this.")

    def _unfit(self, scope: Any, headers: _Headers) -> Response | None:
        """A body of another kind or size. Methods that no route has are told so by the routes."""
        if scope["method"] != "POST":
            return None
        if headers.one("content-type").partition(";")[0].strip().lower() != "application/json":
            return _no(415, "Send JSON: content-type application/json.")
        length = headers.one("content-length")
        if length and (not length.isdigit() or int(length) > self.largest_body):
            return _no(413, f"A request may have {self.largest_body:,} bytes.")
        return None


class _Headers:
    """A request's headers by their names."""

    def __init__(self, scope: Any) -> None:
        self._pairs = scope["headers"]

    def all(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._pairs if key.lower() == wanted]

    def one(self, name: str) -> str:
        """The value; nothing where there is none, and what no rule accepts where there are two."""
        found = self.all(name)
        return found[0] if len(found) == 1 else "\0" if found else ""


class _TooMuch(Exception):
    """A body that is too long, or takes too long."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class _Body:
    """A request's body with a limit on its size, and on how long it may be in coming."""

    def __init__(self, receive: Any, largest: int, patience: float) -> None:
        self._receive, self._left, self._patience = receive, largest, patience
        self._whole = False

    async def __call__(self) -> Any:
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._patience)
        except TimeoutError:
            raise _TooMuch(408, "The request did not arrive in time.") from None
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise _TooMuch(413, "The request is too long.")
        self._whole = message["type"] != "http.request" or not message.get("more_body", False)
        return message


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())


def _no(status: int, message: str) -> Response:
    return JSONResponse(
        {"error": message}, status_code=status, headers={"cache-control": "no-store"}
    )


def _page(status: int, message: str) -> Response:
    """The same for a person whose browser came by."""
    return HTMLResponse(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Molehill</title>'
        f"<h1>Molehill</h1><p>{escape(message)}</p></html>",
        status_code=status,
        headers={"cache-control": "no-store"},
    )


def _sealed(send: Any) -> Any:
    """Every answer leaves with the headers that keep it to itself."""

    async def sealed(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", []))
            there = {name.lower() for name, _ in headers}
            more = {**_HEADERS, "content-security-policy": page_policy()}
            headers += [
                (name.encode(), value.encode())
                for name, value in more.items()
                if name.encode() not in there
            ]
            message = {**message, "headers": headers}
        await send(message)

    return sealed
