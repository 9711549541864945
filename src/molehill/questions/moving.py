"""The question that moves a vector by hand. This module knows no form."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from molehill.journey.directions import read_direction, sentence_vectors, vector_of
from molehill.journey.moving import half_way, move
from molehill.questions.asking import Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.directions import FEATURE_ARGUMENT, feature_source, features_imports
from molehill.questions.journey import OfText
from molehill.questions.python import call, loading, written
from molehill.version import __version__
from molehill.views.moving import moving_data
from molehill.views.moving_text import moving_text

__all__ = ["QUESTIONS", "AskMoving"]

_OAK = "The oak is a large"


class AskMoving(OfText):
    """A token of a text, a point of its journey, a direction."""

    text: str = Field(
        _OAK,
        min_length=1,
        title="Text",
        json_schema_extra=asked_as("text", begins={"village": "Leo Rosner plays"}),
    )
    position: int = Field(
        1,
        ge=-100_000,
        le=100_000,
        title="Token",
        description="Whose vector is moved; -1 is the last.",
        json_schema_extra=asked_as("token", begins={"village": 2}),
    )
    direction: str = Field(
        "animal - tree",
        min_length=1,
        max_length=200,
        title="Along",
        description="A word, animal - spy, 2 - 1 (sentences), feature:lexicon-4/17.",
        json_schema_extra=asked_as("next", begins={"village": "golf - polo"}),
    )
    at: str | None = Field(
        None,
        max_length=40,
        title="Where",
        description="A point of the journey: embed, 3.resid_mid; without one, half way.",
        json_schema_extra=asked_as("point", optional=True),
    )
    tokens: int = Field(
        12,
        ge=0,
        le=60,
        title="Words",
        description="Tokens of each continuation.",
        json_schema_extra=asked_as("slider", step=1),
    )
    track: tuple[str, ...] = Field(
        (),
        max_length=8,
        title="Follow",
        description="Words whose probability is followed in any case.",
        json_schema_extra=asked_as("words", optional=True),
    )
    word: str | None = Field(None, max_length=200, json_schema_extra=asked_as("hidden"))
    sentences: tuple[str, ...] = Field((), max_length=64, json_schema_extra=asked_as("hidden"))


def _moving(asked: AskMoving, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    at = asked.at or half_way(lm.config)
    direction = read_direction(asked.direction)
    vectors = None
    if direction.kind == "sentence" and asked.word and asked.sentences:
        vectors = sentence_vectors(lm, asked.word, asked.sentences, at)
    vector = vector_of(lm, direction, sentences=vectors, feature=feature_source(lm, desk))
    found = move(
        lm,
        asked.text,
        vector,
        position=asked.position,
        at=at,
        new_tokens=asked.tokens,
        track=[lm.next_token(word) for word in asked.track],
        progress=lambda done, whole: desk.tell(done, whole, "Writing on"),
    )
    more = {"word": asked.word, "sentences": asked.sentences}
    return moving_data(lm, found, direction, version=__version__, digits=4, **more)


def _moving_python(asked: AskMoving) -> str:
    direction = read_direction(asked.direction)
    imports = ["from molehill.journey.directions import read_direction, vector_of"]
    given = [f"read_direction({asked.direction!r})"]
    if direction.kind == "feature":
        imports += features_imports()
        given.append(FEATURE_ARGUMENT)
    lines = []
    at = f"at = {asked.at!r}"
    if asked.at is None:
        at = "at = half_way(lm.config)"
    if direction.kind == "sentence":
        imports[0] = "from molehill.journey.directions import read_direction"
        imports.append("from molehill.journey.directions import sentence_vectors, vector_of")
        made = call("sentence_vectors", "lm", repr(asked.word), repr(list(asked.sentences)), "at")
        lines.append(f"vectors = {made}")
        given.append("sentences=vectors")
    names = "move" if asked.at else "half_way, move"
    imports.append(f"from molehill.journey.moving import {names}")
    lines.append(f"direction = {call('vector_of', 'lm', *given)}")
    tracked = ", ".join(f"lm.next_token({word!r})" for word in asked.track)
    more = [f"position={asked.position}", "at=at", f"new_tokens={asked.tokens}"]
    more += [f"track=[{tracked}]"] if tracked else []
    lines.append(f"found = {call('move', 'lm', repr(asked.text), 'direction', *more)}")
    lines.append("print(found)")
    return written([*loading(asked, *imports), at, *lines])


QUESTIONS = (
    Question(
        "moving",
        "Moved by hand",
        "One vector pushed along a direction: what the model says next, attention free and frozen.",
        "moving",
        AskMoving,
        _moving,
        moving_text,
        _moving_python,
    ),
)
