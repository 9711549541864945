"""Questions about attention: all heads over a text, and one of them large.

Both are answered from one pass, which is kept for the next head that is chosen. This module knows
no form.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from molehill.journey.attention import Attention, attention
from molehill.language_model import LanguageModel
from molehill.questions.asking import Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.journey import OfText
from molehill.questions.python import call, loading, written
from molehill.version import __version__
from molehill.views.attention import attention_data, direction_of, head_data
from molehill.views.attention_text import attention_text

__all__ = ["QUESTIONS", "AskAttention", "AskHead"]

_DIGITS = 5

_TEXT = "The mole dug a tunnel under the lawn. The mole dug a tunnel again."


class AskAttention(OfText):
    """A text, and what heads are read along."""

    text: str = Field(_TEXT, min_length=1, title="Text", json_schema_extra=asked_as("text"))
    toward: str | None = Field(
        None,
        max_length=100,
        title="Toward",
        description="Read what heads add toward this next word; else along each token's own move.",
        json_schema_extra=asked_as("next", optional=True),
    )
    position: int = Field(
        -1,
        ge=-100_000,
        le=100_000,
        title="Token",
        description="At which token heads are compared along that direction; -1 is the last.",
        json_schema_extra=asked_as("token"),
    )
    layer: int | None = Field(
        None,
        ge=0,
        le=10_000,
        title="Layer",
        description="Show this head; else the one that adds most along the direction.",
        json_schema_extra=asked_as("layer", optional=True),
    )
    head: int | None = Field(
        None, ge=0, le=10_000, title="Head", json_schema_extra=asked_as("head", optional=True)
    )


class AskHead(AskAttention):
    """One head of it."""

    layer: int = Field(0, ge=0, le=10_000, title="Layer", json_schema_extra=asked_as("layer"))
    head: int = Field(0, ge=0, le=10_000, title="Head", json_schema_extra=asked_as("head"))


def _run(asked: AskAttention, desk: Desk) -> tuple[LanguageModel, Attention]:
    """The pass over a text, kept for the head that is chosen next."""
    lm = desk.model(asked.model, asked.edits)
    key = ("attention", asked.model, asked.edits, asked.text)
    return lm, desk.kept(key, lambda: attention(lm, asked.text))


def _attention(asked: AskAttention, desk: Desk) -> dict[str, Any]:
    lm, run = _run(asked, desk)
    return attention_data(
        lm,
        run,
        direction_of(lm, run, asked.toward),
        asked.position,
        layer=asked.layer,
        head=asked.head,
        word=asked.toward,
        version=__version__,
        digits=_DIGITS,
        tell=lambda done, whole: desk.tell(done, whole, "Heads, layer by layer"),
    )


def _head(asked: AskHead, desk: Desk) -> dict[str, Any]:
    lm, run = _run(asked, desk)
    return head_data(
        lm,
        run,
        direction_of(lm, run, asked.toward),
        asked.layer,
        asked.head,
        asked.position,
        word=asked.toward,
        version=__version__,
    )


def _python(asked: AskAttention) -> str:
    along = "found.toward_move()"
    if asked.toward is not None:
        along = f"found.toward_word(lm.next_token({asked.toward!r}))"
    lines = [
        *loading(asked, "from molehill.journey import measure_heads"),
        f"found = {call('molehill.attention', 'lm', repr(asked.text))}",
        f"toward = {along}",
        f"measures = measure_heads(found, toward, {asked.position})  # by name, [layer][head]",
    ]
    if asked.layer is not None and asked.head is not None:
        lines += _head_lines(asked.layer, asked.head)
    return written([*lines, "print(found)"])


def _head_python(asked: AskHead) -> str:
    along = "found.toward_move()"
    if asked.toward is not None:
        along = f"found.toward_word(lm.next_token({asked.toward!r}))"
    lines = [
        *loading(asked),
        f"found = {call('molehill.attention', 'lm', repr(asked.text))}",
        f"toward = {along}",
        *_head_lines(asked.layer, asked.head),
    ]
    return written([*lines, "print(head)"])


def _head_lines(layer: int, head: int) -> list[str]:
    return [
        f"head = found.head({layer}, {head}, toward)",
        "# [query, key]: head.pattern, head.added, head.toward",
    ]


QUESTIONS = (
    Question(
        "attention",
        "Attention",
        "Who looks at whom: every head of the model over a text, one of them large.",
        "attention",
        AskAttention,
        _attention,
        attention_text,
        _python,
    ),
    Question(
        "attention.head",
        "One head",
        "One head over a text: every token with every other.",
        "attention",
        AskHead,
        _head,
        attention_text,
        _head_python,
    ),
)
