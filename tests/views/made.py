"""Results of tiny models, for the tests of this room."""

from __future__ import annotations

from functools import cache
from typing import Any

from tests.journey.tiny import tiny, tiny_language

from molehill.journey import attending_heads, follow, lens, why_attended
from molehill.journey.shift import Shift, shift
from molehill.language_model import LanguageModel
from molehill.text.tokenizer import Tokenizer
from molehill.views.ledger import ledger_data
from molehill.views.lens import lens_data
from molehill.views.shift import shift_data
from molehill.views.why import why_data

SIX = (
    "in the garden it dug a mole",
    "the spy who sold it was a mole",
    "a gram of it is not a mole",
    "he ate the hot sauce mole",
    "on her arm she had a mole",
    "the harbour is shut by a mole",
)

HOSTILE = (
    '</script><img src=x onerror="alert(1)"> <!-- & \u2028 a mole',
    "=cmd|' /C calc'!A0 \u202eelom\u202c \u05e9\u05dc\u05d5\u05dd mole",
    "javascript:alert(1) $x^2$ \U0001f400\u200d\U0001f400 mole",
)


@cache
def found(name: str = "gpt2", sentences: tuple[str, ...] = SIX, *, twice: bool = False) -> Shift:
    """One shift per kind of model and sentences: records are frozen, tests may share them."""
    return shift(tiny_language(name), "mole", sentences, twice=twice, near=3)


def data(name: str = "gpt2", sentences: tuple[str, ...] = SIX, **options: Any) -> dict[str, Any]:
    """Its data; made anew, since a test may change them."""
    return shift_data(found(name, sentences, **options), version="0.0.0")


def ledger_of(name: str = "llama", text: str = SIX[0], **options: Any) -> dict[str, Any]:
    """The ledger of a text's last token, as data."""
    lm = tiny_language(name)
    return ledger_data(lm, follow(lm, text), version="0.0.0", **options)


def lens_of(
    name: str = "llama", text: str = SIX[0], *, track: tuple[int, ...] = (3, 5), **options: Any
) -> dict[str, Any]:
    """The lens of a text, as data."""
    lm = tiny_language(name)
    return lens_data(lm, text, lens(lm, text, k=3, track=track), version="0.0.0", **options)


def why_of(
    name: str = "llama",
    text: str = SIX[0],
    *,
    head: tuple[int, int] | None = (2, 1),
    key: int = -4,
    **options: Any,
) -> dict[str, Any]:
    """Why a head attended from a text's last token to another; without a head, all heads."""
    lm = tiny_language(name)
    last = len(lm.encode([text]).pieces[0]) - 1
    key = key % (last + 1)
    heads = attending_heads(lm, text, query=last, key=key)
    found = None
    if head is not None:
        found = why_attended(lm, text, layer=head[0], head=head[1], query=last, key=key)
    return why_data(lm, text, last, key, heads, found, version="0.0.0", **options)


def word_model(name: str = "llama") -> LanguageModel:
    """A tiny model that reads `the` and `mole`, and an unknown token for every other word."""
    return LanguageModel(tiny(name), Tokenizer.of_words(["the", "mole"]), f"tiny {name}")
