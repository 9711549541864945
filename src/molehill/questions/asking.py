"""A question: its name, what it asks for, who answers it, which view draws the answer.

Inputs are pydantic models, so that one description checks what comes in, documents the server's
interface and draws the form. This module knows no question, no server and no notebook.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["LONGEST_TEXT", "Answer", "Inputs", "OfModel", "Question", "asked_as"]

LONGEST_TEXT = 20_000
"""Characters in one text of a question; a model's context is far shorter."""


class Inputs(BaseModel):
    """What a question asks for. What it does not know is refused, not passed over, and so is what
    is of another kind: a number in quotation marks is a text."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        str_max_length=LONGEST_TEXT,
        allow_inf_nan=False,
    )

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, given: Any) -> Any:
        """JSON has lists where a frozen record has tuples."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }


def asked_as(kind: str, **more: Any) -> dict[str, Any]:
    """How a form asks for a field, as `Field(json_schema_extra=asked_as("sentences"))`.

    Kinds: `text` (one text), `sentences` (several, a line each), `word` (one word of the text),
    `token` (a token of the text, by its position), `next` (a word that may come next), `layer`,
    `head`, `slider` (with `step`), `choice`, `features`, `examples`, `run`, `edits`, `hidden` (set
    by the views themselves).
    """
    return {"asked_as": kind, **more}


class OfModel(Inputs):
    """Inputs of a question about one model."""

    model: str = Field("lexicon", title="Model", json_schema_extra=asked_as("hidden"))
    edits: tuple[str, ...] = Field(
        (),
        max_length=64,
        title="Edits",
        description="Digests of edits made here, applied in this order.",
        json_schema_extra=asked_as("hidden"),
    )


@dataclass(frozen=True)
class Question:
    """One thing that can be asked."""

    name: str
    """Its address: `ledger`, `facts.trace`."""
    title: str
    """In a few words, for a list."""
    hint: str
    """What the answer shows, in one sentence."""
    view: str
    """The module `views/static/<view>.js` draws the answer."""
    inputs: type[Inputs]
    answer: Callable[[Any, Any], dict[str, Any]]
    """Inputs and a `Desk` to the view's data."""
    text: Callable[[dict[str, Any]], str]
    """The view's data as text: what a page shows without scripts."""
    python: Callable[[Any], str]
    """The lines of Python that give the same data."""
    needs: tuple[str, ...] = ("model",)
    """What has to be at the desk: `model`, `features`, `examples`, `run`."""
    eager: bool = True
    """Whether a page asks it as soon as it is shown; one that takes long waits for its button."""


@dataclass(frozen=True)
class Answer:
    """A question with its inputs and what came of them."""

    question: Question
    inputs: Inputs
    data: Mapping[str, Any]
