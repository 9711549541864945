"""The question that a shift asks while it is looked at: what parts two sentences at any point.

This module knows no form.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from molehill.journey.shift import MOLE_SENTENCES, part_at
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.python import call, loading, written
from molehill.version import __version__
from molehill.views.shift import parted_data

__all__ = ["QUESTIONS", "AskParted"]


class AskParted(OfModel):
    """A word, two sentences, a point."""

    word: str = Field("mole", min_length=1, title="Word", json_schema_extra=asked_as("word"))
    sentences: tuple[str, str] = Field(
        (MOLE_SENTENCES[0], MOLE_SENTENCES[1]),
        title="Sentences",
        description="Two, a line each; the word must be in both.",
        json_schema_extra=asked_as("sentences"),
    )
    at: str = Field(
        "3.resid_post", max_length=40, title="Where", json_schema_extra=asked_as("point")
    )
    twice: bool = Field(False, title="Read twice")
    numbers: tuple[int, int] = Field((1, 2), json_schema_extra=asked_as("hidden"))
    rows: int = Field(12, ge=1, le=200, title="Rows", json_schema_extra=asked_as("slider", step=1))


def _parted(asked: AskParted, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    found = part_at(lm, asked.word, asked.sentences, asked.at, twice=asked.twice, rows=asked.rows)
    return parted_data(lm, found, numbers=asked.numbers, version=__version__, digits=5)


def _text(data: dict[str, Any]) -> str:
    rows = "\n".join(
        f"  {row['name']}{' from ' + row['word'] if 'word' in row else ''}: {row['share']}"
        for row in data["rows"]
    )
    return f"{data['summary'][0]}\n{rows}\n"


def _python(asked: AskParted) -> str:
    made = call(
        "part_at",
        "lm",
        repr(asked.word),
        repr(tuple(asked.sentences)),
        repr(asked.at),
        twice=asked.twice or None,
        rows=asked.rows,
    )
    imports = ["from molehill.journey.shift import part_at"]
    return written([*loading(asked, *imports), f"found = {made}", "print(found.parting)"])


QUESTIONS = (
    Question(
        "shift.parted",
        "What parts two",
        "What makes the difference between a word's vectors in two sentences, at any point.",
        "shift",
        AskParted,
        _parted,
        _text,
        _python,
    ),
)
