"""Questions about journeys: a word in motion, the ledger, the lens, why a head attended.

Each is what the verb of its name does, with its inputs from a form. This module knows no form.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from molehill.journey.axes import MOST_AXES, axes_of
from molehill.journey.lens import lens
from molehill.journey.paths import follow, place_of, points_of
from molehill.journey.shift import MOLE_SENTENCES, shift
from molehill.journey.why import attending_heads, why_attended
from molehill.questions.asking import OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.directions import FEATURE_ARGUMENT, feature_source, features_imports
from molehill.questions.python import call, loading, written
from molehill.questions.telling import telling
from molehill.version import __version__
from molehill.views.feature_rows import parting_features, parts_of, site_for
from molehill.views.ledger import ledger_data
from molehill.views.ledger_text import ledger_text
from molehill.views.lens import every_layers, lens_data
from molehill.views.lens_text import lens_text
from molehill.views.shift import shift_data
from molehill.views.shift_text import shift_text
from molehill.views.why import why_data
from molehill.views.why_text import why_text

__all__ = ["QUESTIONS", "AskLedger", "AskLens", "AskShift", "AskWhy", "OfText", "again"]

_DIGITS = 5
"""A screen shows no more, and an answer is half as large."""

_FRANCE = "The capital of France is"

_BATS = (
    "Near the helmet the plain bat splinters.",
    "On Tuesday the bat strikes by the arena.",
    "The old bat flutters near the acorn.",
    "The ranger put down the fern because the bat hangs often.",
)
"""Sentences of the village, which has no moles."""


class AskShift(OfModel):
    """A word and sentences that hold it."""

    word: str = Field(
        "mole",
        min_length=1,
        title="Word",
        json_schema_extra=asked_as("word", begins={"village": "bat"}),
    )
    sentences: tuple[str, ...] = Field(
        tuple(MOLE_SENTENCES),
        min_length=1,
        max_length=64,
        title="Sentences",
        description="One a line; the word must be in each.",
        json_schema_extra=asked_as("sentences", begins={"village": list(_BATS)}),
    )
    twice: bool = Field(
        False,
        title="Read twice",
        description="The model reads each text twice, so that the word has seen all of it.",
    )
    axes: tuple[str, ...] = Field(
        (),
        max_length=MOST_AXES,
        title="Axes",
        description="Named axes for the picture: a word, animal - spy, 1 - 2 (two sentences), "
        "feature:lexicon-4/17.",
        json_schema_extra=asked_as("words", optional=True),
    )
    features: str | None = Field(
        None, title="Features", json_schema_extra=asked_as("features", optional=True)
    )


def _shift(asked: AskShift, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    texts, twice = list(asked.sentences), asked.twice
    # Of six sentences one is changed as a rule: ten of fifteen pairs are what they were.
    found = desk.renewed(
        ("shift", asked.model), lambda last: shift(lm, asked.word, texts, twice=twice, before=last)
    )
    axes = None
    if asked.axes:
        axes = axes_of(lm, found, asked.axes, feature=feature_source(lm, desk))
    by_feature = None
    if asked.features is not None:
        by_feature = parting_features(
            lm,
            desk.features_of(asked.features),
            asked.word,
            list(asked.sentences),
            twice=asked.twice,
        )
    return shift_data(found, version=__version__, digits=_DIGITS, features=by_feature, axes=axes)


def _shift_python(asked: AskShift) -> str:
    made = call(
        "molehill.shift",
        "lm",
        repr(asked.word),
        repr(list(asked.sentences)),
        twice=asked.twice or None,
    )
    lines = [f"found = {made}", "print(found)"]
    if not asked.axes:
        return written([*loading(asked), *lines])
    imports, features = ["from molehill.journey.axes import axes_of"], []
    if any(name.strip().startswith("feature:") for name in asked.axes):
        imports += features_imports()
        features = [FEATURE_ARGUMENT]
    lines.append(f"axes = {call('axes_of', 'lm', 'found', repr(list(asked.axes)), *features)}")
    lines.append("print(axes.names, axes.turned, axes.basis.explained)")
    return written([*loading(asked, *imports), *lines])


def again(question: str, asked: OfModel) -> dict[str, Any]:
    """What was asked, as a view asks it again with one thing changed; the host knows the model."""
    return {"question": question, "inputs": asked.model_dump(mode="json", exclude=_OF_HOST)}


_OF_HOST = {"model", "edits"}


class OfText(OfModel):
    """Inputs of a question about one text."""

    text: str = Field(
        _FRANCE,
        min_length=1,
        title="Text",
        json_schema_extra=asked_as("text", begins={"village": "Leo Rosner plays"}),
    )


class AskLedger(OfText):
    """A text, a token of it, and what its vector is asked for; the view itself asks for all but the
    text."""

    position: int = Field(
        -1,
        ge=-100_000,
        le=100_000,
        title="Token",
        description="Whose vector is taken apart; -1 is the last.",
        json_schema_extra=asked_as("hidden"),
    )
    toward: str | None = Field(
        None,
        max_length=100,
        title="Toward",
        description="Take apart the score of this next word, instead of the vector's length.",
        json_schema_extra=asked_as("hidden"),
    )
    at: str = Field(
        "final",
        max_length=40,
        title="Where",
        description="A point of the journey: final, embed, 3.resid_mid.",
        json_schema_extra=asked_as("hidden"),
    )
    between: str | None = Field(
        None,
        max_length=40,
        title="Gathered up to",
        description="All that was added up to this earlier point is one row.",
        json_schema_extra=asked_as("hidden"),
    )
    features: str | None = Field(None, title="Features", json_schema_extra=asked_as("hidden"))


def _ledger(asked: AskLedger, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    token = None if asked.toward is None else lm.next_token(asked.toward)
    journey = follow(lm, asked.text, asked.position)
    parts = None
    if asked.features is not None:
        features = desk.features_of(asked.features)
        parts = parts_of(lm, features, journey, site_for(lm, features, asked.at))
    data = ledger_data(
        lm,
        journey,
        at=asked.at,
        between=asked.between,
        toward=token,
        top=40,
        version=__version__,
        digits=_DIGITS,
        parts=parts,
    )
    return data | {"asked": again("ledger", asked)}


def _ledger_python(asked: AskLedger) -> str:
    made = call(
        "molehill.ledger",
        "lm",
        repr(asked.text),
        repr(asked.position),
        at=None if asked.at == "final" else asked.at,
    )
    lines = [*loading(asked), f"found = {made}"]
    if asked.between is not None:
        lines.append(f"found = found.between({asked.between!r})")
    if asked.toward is not None:
        lines.append(f"reading = found.logit(lm.next_token({asked.toward!r}))")
    return written([*lines, "print(found)"])


class AskLens(OfText):
    """A text, and words whose rank is followed."""

    track: tuple[str, ...] = Field(
        (),
        max_length=8,
        title="Track",
        description="Words whose rank is followed through the layers.",
        json_schema_extra=asked_as("hidden"),
    )
    every: int | None = Field(
        None,
        ge=1,
        le=1000,
        title="Every so many layers",
        description="Read only the ends of these layers; for long texts. None: every point.",
    )


def _lens(asked: AskLens, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    points = points_of(lm.config)
    if asked.every is not None:
        points = tuple(points[place] for place in every_layers(points, asked.every))
    whole = len(points) * len(lm.encode([asked.text]).pieces[0])
    grid = lens(
        lm,
        asked.text,
        k=5,
        track=[lm.next_token(word) for word in asked.track],
        only=points,
        progress=telling(desk, "Reading words", whole),
    )
    data = lens_data(lm, asked.text, grid, version=__version__, digits=4)
    return data | {"asked": again("lens", asked)}


def _lens_python(asked: AskLens) -> str:
    tracked = ", ".join(f"lm.next_token({word!r})" for word in asked.track)
    more = [f"track=[{tracked}]"] if tracked else []
    made = call("molehill.lens", "lm", repr(asked.text), *more)
    return written([*loading(asked), f"grid = {made}", "print(grid)"])


class AskWhy(OfText):
    """Two tokens of a text, and a head that looks from one to the other."""

    query: int = Field(
        -1,
        ge=-100_000,
        le=100_000,
        title="From",
        description="The token that looks.",
        json_schema_extra=asked_as("token"),
    )
    key: int = Field(
        0,
        ge=-100_000,
        le=100_000,
        title="To",
        description="The token that is looked at.",
        json_schema_extra=asked_as("token"),
    )
    layer: int | None = Field(
        None, ge=0, le=10_000, title="Layer", json_schema_extra=asked_as("layer", optional=True)
    )
    head: int | None = Field(
        None, ge=0, le=10_000, title="Head", json_schema_extra=asked_as("head", optional=True)
    )


def _why(asked: AskWhy, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    tokens = lm.encode([asked.text])
    query, key = (place_of(tokens, place).positions[-1] for place in (asked.query, asked.key))
    heads = attending_heads(lm, asked.text, query=query, key=key)
    layer, head = asked.layer, asked.head
    if layer is None or head is None:
        # The head that attends most says more than a list to choose from.
        layer, head = heads[0].layer, heads[0].head
    found = why_attended(lm, asked.text, layer=layer, head=head, query=query, key=key)
    return why_data(
        lm, asked.text, query, key, heads, found, top=30, version=__version__, digits=_DIGITS
    )


def _why_python(asked: AskWhy) -> str:
    tokens = {"query": asked.query, "key": asked.key}
    lines, where = [*loading(asked)], {"layer": asked.layer, "head": asked.head}
    if None in where.values():
        lines.append(f"head = {call('attending_heads', 'lm', repr(asked.text), **tokens)}[0]")
        lines.insert(1, "from molehill.journey import attending_heads")
        more = ["layer=head.layer", "head=head.head"]
        made = call("molehill.why_attended", "lm", repr(asked.text), *more, **tokens)
    else:
        made = call("molehill.why_attended", "lm", repr(asked.text), **where, **tokens)
    return written([*lines, f"why = {made}", "print(why)"])


QUESTIONS = (
    Question(
        "shift",
        "A word in motion",
        "How one word's vector moves through several sentences, where its paths part, and why.",
        "shift",
        AskShift,
        _shift,
        shift_text,
        _shift_python,
    ),
    Question(
        "ledger",
        "The ledger",
        "One token's vector as a sum: which heads, words and neurons it is made of.",
        "ledger",
        AskLedger,
        _ledger,
        ledger_text,
        _ledger_python,
    ),
    Question(
        "lens",
        "The lens",
        "Every token at every layer: the nearest words, how sure, and a word's rank.",
        "lens",
        AskLens,
        _lens,
        lens_text,
        _lens_python,
    ),
    Question(
        "why",
        "Why a head attended",
        "Which parts of two tokens made a head look from one to the other.",
        "why",
        AskWhy,
        _why,
        why_text,
        _why_python,
    ),
)
