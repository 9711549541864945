"""The question about hundreds of uses of one word. This module knows no form."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from molehill.journey.axes import MOST_AXES
from molehill.journey.crowd import crowd
from molehill.journey.shift import MOLE_SENTENCES
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.directions import FEATURE_ARGUMENT, feature_source, features_imports
from molehill.questions.python import call, loading, written
from molehill.version import __version__
from molehill.views.crowd import crowd_data
from molehill.views.crowd_text import crowd_text

__all__ = ["QUESTIONS", "AskCrowd"]


class AskCrowd(OfModel):
    """A word and any number of sentences that hold it."""

    word: str = Field("mole", min_length=1, title="Word", json_schema_extra=asked_as("word"))
    sentences: tuple[str, ...] = Field(
        tuple(MOLE_SENTENCES),
        min_length=1,
        max_length=20_000,
        title="Sentences",
        description="One a line, hundreds or thousands; the word must be in each.",
        json_schema_extra=asked_as("sentences"),
    )
    twice: bool = Field(
        False,
        title="Read twice",
        description="The model reads each text twice, so that the word has seen all of it.",
    )
    groups: int | None = Field(
        None,
        ge=1,
        le=50,
        title="Groups",
        description="How many; without a number, as many as part best.",
    )
    axes: tuple[str, ...] = Field(
        (),
        max_length=MOST_AXES,
        title="Axes",
        description="Named axes for the picture: a word, animal - spy, 1 - 2 (two groups), "
        "feature:lexicon-4/17.",
        json_schema_extra=asked_as("words", optional=True),
    )


def _crowd(asked: AskCrowd, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    done, whole = 0, len(asked.sentences)

    def told(more: int) -> None:
        nonlocal done
        done += more
        desk.tell(done, whole, "Reading sentences")

    found = crowd(
        lm,
        asked.word,
        asked.sentences,
        twice=asked.twice,
        groups=asked.groups,
        axes=asked.axes,
        feature=feature_source(lm, desk),
        progress=told,
    )
    return crowd_data(lm, found, version=__version__)


def _crowd_python(asked: AskCrowd) -> str:
    imports = ["from molehill.journey.crowd import crowd"]
    more = []
    if asked.axes:
        more.append(f"axes={list(asked.axes)!r}")
    if any(name.strip().startswith("feature:") for name in asked.axes):
        imports += features_imports()
        more.append(FEATURE_ARGUMENT)
    given = [repr(asked.word), repr(list(asked.sentences)), *more]
    made = call("crowd", "lm", *given, twice=asked.twice or None, groups=asked.groups)
    return written([*loading(asked, *imports), f"found = {made}", "print(found)"])


QUESTIONS = (
    Question(
        "crowd",
        "Many sentences",
        "Where a word's uses stand in hundreds of sentences, layer by layer, and how they group.",
        "crowd",
        AskCrowd,
        _crowd,
        crowd_text,
        _crowd_python,
    ),
)
