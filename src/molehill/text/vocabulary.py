"""Vocabulary: a backend of the `tokenizers` library and what it does not know of itself.

The border between the readers (`folder`, `gguf_vocab`), which make one, and `Tokenizer`, which
uses it. This module knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import tokenizers
from tokenizers import processors

from molehill.errors import TextError
from molehill.text.pieces import Spelling

__all__ = [
    "LARGEST_VOCABULARY",
    "ROLES",
    "Vocabulary",
    "add_specials",
    "guarded",
    "patterns_in",
    "spelling_of",
    "wrap_in",
]

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
"""What a special token can be for."""

LARGEST_VOCABULARY = 2**24
"""Far above any vocabulary in use, and far below what a hostile file could ask for."""


@dataclass(frozen=True)
class Vocabulary:
    """What a reader hands to `Tokenizer`."""

    backend: tokenizers.Tokenizer
    roles: Mapping[str, int]
    """Ids of the special tokens by role; roles that no token has are absent."""
    spelling: Spelling
    config: Mapping[str, Any] = field(default_factory=dict)
    """What to write into `tokenizer_config.json` beside the roles."""
    chat_template: str | None = None
    bounded: bool = True
    """Whether the time that a text takes is known to be proportional to its length."""
    trimmed: tuple[bool, ...] = ()
    """The `trim_offsets` of the file, in its order; here they are off, and on again when saved."""


_Result = TypeVar("_Result")


def guarded(what: str, work: Callable[[], _Result]) -> _Result:
    """Run `work` in the `tokenizers` library, with its failures as ours.

    Raises:
        TextError: the library refused or gave up; its own message is passed on.
    """
    try:
        return work()
    except Exception as error:
        raise TextError(f"{what}: {_first_line(error)}.") from None
    except BaseException as error:
        # A failure inside the library that it did not foresee; not derived from Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise TextError(f"{what}: the tokenizer gave up ({_first_line(error)}).") from None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")


def add_specials(
    backend: tokenizers.Tokenizer, tokens: Iterable[str], *, special: bool = True
) -> None:
    """Have these tokens of the vocabulary recognised whole, wherever they stand in a text."""
    added = [tokenizers.AddedToken(token, normalized=False, special=special) for token in tokens]
    before = backend.get_vocab_size()
    (backend.add_special_tokens if special else backend.add_tokens)(added)
    assert backend.get_vocab_size() == before, "only tokens of the vocabulary are made special"


def wrap_in(
    backend: tokenizers.Tokenizer, before: Iterable[str] = (), after: Iterable[str] = ()
) -> None:
    """Put these tokens around every text that is encoded with `add_special`."""
    before, after = list(before), list(after)
    numbered = [(token, backend.token_to_id(token)) for token in sorted({*before, *after})]
    # A list of parts, because a string would be split at the spaces that a token may hold.
    single = [f"{part}:0" for part in (*before, "$A", *after)]
    backend.post_processor = processors.TemplateProcessing(
        single=single,
        pair=[*single, *[f"{part}:1" for part in ("$B", *after)]],
        special_tokens=numbered,
    )


def spelling_of(decoder: Mapping[str, Any] | None) -> Spelling:
    """How a vocabulary spells, told from the decoder in its `tokenizer.json`."""
    kinds = [part.get("type") for part in _parts(decoder)]
    if "ByteLevel" in kinds:
        return "bytes"
    replaced = any(part.get("pattern") == {"String": "▁"} for part in _parts(decoder))
    return "spaces" if replaced or "Metaspace" in kinds or "ByteFallback" in kinds else "plain"


def patterns_in(settings: Any) -> Iterator[str]:
    """Every regular expression in a part of a `tokenizer.json`."""
    if isinstance(settings, dict):
        if isinstance(settings.get("Regex"), str):
            yield settings["Regex"]
        for value in settings.values():
            yield from patterns_in(value)
    elif isinstance(settings, list):
        for value in settings:
            yield from patterns_in(value)


def _parts(settings: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """A component of a `tokenizer.json` and those that it is made of."""
    if not settings:
        return []
    inner = settings.get("decoders") or []
    return [settings, *[part for each in inner for part in _parts(each)]]
