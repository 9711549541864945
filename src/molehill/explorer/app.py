"""The server's routes: thin ends on the questions, behind the gate.

An answer is one JSON document, or, for who asks for it (`Accept: application/x-ndjson`), lines as
they come: the position in the line, how far it is, the answer or what went wrong. This module knows
HTTP and the questions' names, and no view.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from molehill.errors import MolehillError
from molehill.explorer.line import Ended, Event, Full, Line, TooLate
from molehill.explorer.rooms import ROOMS
from molehill.questions import QUESTIONS, Desk, Inputs, Question
from molehill.questions.catalogue import answered
from molehill.questions.offers import model_offers, place_offers
from molehill.questions.tour import TOUR
from molehill.version import __version__
from molehill.views.html import SHARED, host_class, page, sheet

__all__ = ["AskTokens", "Refusal", "TokensFound", "make_app"]

_LOG = logging.getLogger("molehill.explorer")

_LINES = "application/x-ndjson"

_TYPES = {"js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}

_REFUSAL = {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}}

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"description": told, "content": _REFUSAL, "model": None}
    for status, told in (
        (400, "It cannot be answered as asked; the message says why and what to do."),
        (401, "Neither the cookie nor the token of this start."),
        (403, "Another site's page asked."),
        (404, "There is nothing under this address."),
        (413, "The request is too long."),
        (415, "The request is no JSON."),
        (422, "The inputs are not as they should be; all are named."),
        (429, "Too many questions wait."),
        (504, "It took longer than it may."),
        (507, "There is not enough memory."),
    )
}


class Refusal(BaseModel):
    """Why there is no answer."""

    error: str


class AskTokens(BaseModel):
    """A text to be cut into tokens."""

    model_config = ConfigDict(extra="forbid", str_max_length=20_000)

    model: str
    text: str


class TokensFound(BaseModel):
    """The tokens of a text, in order."""

    ids: list[int] = Field(description="Their numbers in the vocabulary.")
    pieces: list[str] = Field(description="As people read them; a leading space is a middle dot.")
    spans: list[tuple[int, int]] = Field(description="Where each stands in the text.")
    context: int | None = Field(description="The most tokens that the model reads.")


def make_app(desk: Desk, *, line: Line | None = None) -> FastAPI:
    """The server without its gate.

    Args:
        desk: what questions are answered from.
        line: where answers are computed; one of its own if none is given.
    """
    line = line or Line()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        line.close()

    app = FastAPI(
        title="Molehill",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
        redirect_slashes=False,
        responses=_REFUSALS,
    )
    app.state.close = line.close
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(MolehillError, _mistaken)
    app.add_exception_handler(Exception, _broken)
    _add_files(app)
    _add_catalogue(app, desk, line)
    for one in QUESTIONS:
        _add_question(app, one, desk, line)
    return app


# --- files ----------------------------------------------------------------------------------------


def _served() -> dict[str, tuple[bytes, str]]:
    """Every file that the page may ask for, by its name: nothing is looked up on a disk later."""
    found = {}
    for folder in (files("molehill.views") / "static", files("molehill.explorer") / "static"):
        for file in folder.iterdir():
            kind = file.name.rpartition(".")[2]
            if kind in _TYPES:
                found[file.name] = (file.read_bytes(), _TYPES[kind])
    for view in {one.view for one in QUESTIONS}:
        if f"{view}.css" in found:
            found[f"{view}.css"] = (sheet(view).encode(), _TYPES["css"])
    assert f"{SHARED}.css" in found, "the style sheet that all views share"
    return found


def _add_files(app: FastAPI) -> None:
    served = _served()
    index = (files("molehill.explorer") / "static" / "index.html").read_bytes()

    @app.get("/", include_in_schema=False)
    async def home() -> Response:
        return Response(index, media_type="text/html", headers={"cache-control": "no-store"})

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        if name not in served:
            raise HTTPException(404)
        content, kind = served[name]
        # The files change with the version, and the server lies on the same machine.
        return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


# --- what there is --------------------------------------------------------------------------------


def _add_catalogue(app: FastAPI, desk: Desk, line: Line) -> None:
    questions = [_described(one) for one in QUESTIONS]
    tour = [asdict(step) for step in TOUR]

    @app.get("/api/catalogue")
    async def catalogue() -> dict[str, Any]:
        """What can be asked, and about what."""
        return {
            "version": __version__,
            "deadline": line.deadline,
            "models": model_offers(desk),
            **place_offers(desk),
            "rooms": [asdict(room) for room in ROOMS],
            "questions": questions,
            "tour": tour,
        }

    @app.post("/api/tokens", response_model=TokensFound)
    async def tokens(asked: AskTokens) -> dict[str, Any]:
        """The tokens of a text, as a model reads it."""
        return await run_in_threadpool(_tokens, desk, asked)


def _tokens(desk: Desk, asked: AskTokens) -> dict[str, Any]:
    lm = desk.model(asked.model)
    found = lm.encode([asked.text])
    return {
        "ids": found.row(0),
        "pieces": list(found.pieces[0]),
        "spans": [list(span) for span in found.spans[0]],
        "context": lm.config.n_ctx,
    }


def _described(one: Question) -> dict[str, Any]:
    schema = one.inputs.model_json_schema()
    return {
        "name": one.name,
        "title": one.title,
        "hint": one.hint,
        "view": one.view,
        "host_class": host_class(one.view),
        "needs": list(one.needs),
        "eager": one.eager,
        "fields": schema["properties"],
        "kinds": schema.get("$defs", {}),
    }


# --- questions ------------------------------------------------------------------------------------


def _add_question(app: FastAPI, one: Question, desk: Desk, line: Line) -> None:
    async def ask(request: Request, inputs: Any) -> Response:
        events = _answering(one, inputs, desk, line)
        if _LINES in request.headers.get("accept", ""):
            return StreamingResponse(_told(events), media_type=_LINES, headers=_FRESH)
        return await _last(request, events)

    async def whole_page(request: Request, inputs: Any) -> Response:
        answer = await _last(request, _answering(one, inputs, desk, line, _page))
        answer.headers["content-disposition"] = f'attachment; filename="{one.view}.html"'
        return answer

    for path, act, kinds, title in (
        (f"/api/ask/{one.name}", ask, ("application/json", _LINES), one.title),
        (f"/api/page/{one.name}", whole_page, ("text/html",), f"{one.title}, as a page"),
    ):
        act.__signature__ = _signature(one.inputs)  # type: ignore[attr-defined]
        content = {kind: {} for kind in kinds}
        app.post(
            path,
            summary=title,
            description=one.hint,
            responses={200: {"description": title, "content": content}},
            response_class=Response,
            operation_id=path.strip("/").replace("/", "_").replace(".", "_"),
        )(act)


_FRESH = {"cache-control": "no-store"}


def _signature(inputs: type[Inputs]) -> inspect.Signature:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Signature(
        [
            inspect.Parameter("request", kind, annotation=Request),
            inspect.Parameter("inputs", kind, annotation=inputs),
        ]
    )


def _json(one: Question, data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def _page(one: Question, data: Mapping[str, Any]) -> bytes:
    return page(one.view, dict(data), title=one.title, text=one.text(dict(data))).encode("utf-8")


def _answering(
    one: Question,
    inputs: Inputs,
    desk: Desk,
    line: Line,
    write: Callable[[Question, Mapping[str, Any]], bytes] = _json,
) -> AsyncIterator[Event]:
    """Compute an answer and write it out, both in the line: large ones would hold up the server."""

    def work(tell: Callable[[int, int, str], None]) -> bytes:
        return write(one, answered(desk.telling(tell), one, inputs).data)

    return line.ask(work)


async def _told(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    """What happens to an answer, a line each."""
    try:
        async for event in events:
            if event.kind == "waiting":
                yield _line(kind="waiting", position=event.position)
            elif event.kind == "progress":
                yield _line(kind="progress", done=event.done, whole=event.whole, what=event.what)
            elif event.kind == "answer":
                yield b'{"kind":"answer","data":' + event.value + b"}\n"
            else:
                status, message = _why(event.value, event.what)
                yield _line(kind="error", status=status, message=message)
    except (Full, TooLate) as error:
        status, message = _why(error, "")
        yield _line(kind="error", status=status, message=message)


def _line(**told: Any) -> bytes:
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


async def _last(request: Request, events: AsyncIterator[Event]) -> Response:
    """The answer alone, or why there is none; ended where nobody waits for it any more."""
    try:
        async for event in _while_connected(request, events):
            if event.kind == "answer":
                kind = "text/html" if event.value.startswith(b"<!doctype") else "application/json"
                return Response(event.value, media_type=kind, headers=_FRESH)
            if event.kind == "failed":
                return _refusal(*_why(event.value, event.what))
    except (Full, TooLate) as error:
        return _refusal(*_why(error, ""))
    return _refusal(499, "Nobody waits for this any more.")


async def _while_connected(request: Request, events: AsyncIterator[Event]) -> AsyncIterator[Event]:
    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    leaving = asyncio.ensure_future(gone())
    coming: asyncio.Future[Event] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(events))
            await asyncio.wait({leaving, coming}, return_when=asyncio.FIRST_COMPLETED)
            if not coming.done():
                return
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield event
    finally:
        for task in filter(None, (leaving, coming)):
            task.cancel()
        if coming is not None:
            await asyncio.wait({coming})


# --- what went wrong ------------------------------------------------------------------------------


def _why(error: BaseException, where: str) -> tuple[int, str]:
    """A status and words for people; what is our own fault is written to the log."""
    if isinstance(error, MolehillError):
        return 400, str(error)
    if isinstance(error, Full):
        return 429, str(error)
    if isinstance(error, TooLate):
        return 504, str(error)
    if isinstance(error, Ended):
        return 499, "Nobody waits for this any more."
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return (
            507,
            "There is not enough memory for this: a shorter text or a smaller model needs less.",
        )
    _LOG.error("%s", where or error)
    return 500, "This went wrong inside Molehill; the terminal says where."


def _refusal(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status_code=status, headers=_FRESH)


async def _misread(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), "registered for this"
    told = "; ".join(
        f"{'.'.join(map(str, each['loc'][1:])) or 'the request'}: {_in_words(each)}"
        for each in error.errors()[:8]
    )
    return _refusal(422, told)


def _in_words(found: dict[str, Any]) -> str:
    """What is wrong with an input; the commonest case, an empty field, in plain words."""
    empty = found["type"] in ("string_too_short", "too_short") and not found.get("input")
    return "this is empty, write something" if empty else str(found["msg"])


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException), "registered for this"
    told = {404: "There is nothing here.", 405: "Not in this way."}
    made = _refusal(error.status_code, told.get(error.status_code, str(error.detail)))
    made.headers.update(error.headers or {})
    return made


async def _mistaken(_: Request, error: Exception) -> Response:
    return _refusal(400, str(error))


async def _broken(_: Request, error: Exception) -> Response:
    return _refusal(*_why(error, ""))
