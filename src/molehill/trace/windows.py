"""A stream of texts becomes windows: pieces no longer than the model reads at a time.

A long text is cut into several windows, and each begins and ends as a text of its own would, with
the tokenizer's special tokens around it. The stream can be taken up again in the middle: it keeps a
running hash of the texts that it has passed, so that other texts are noticed. This module knows
nothing of models.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from molehill.errors import CheckpointError, ConfigError
from molehill.text.tokenizer import Tokenizer

__all__ = ["Cursor", "Window", "WindowStream"]

_TOGETHER = 64  # texts that are encoded at a time


@dataclass(frozen=True)
class Window:
    """A piece of a text, as the model reads it."""

    text: int
    """The text's number in the stream."""
    number: int
    """Which of the text's windows."""
    ids: tuple[int, ...]
    """The special tokens around it included."""


@dataclass(frozen=True)
class Cursor:
    """A place in the stream: the next window, and the hash of the texts up to its own."""

    text: int = 0
    window: int = 0
    texts_hashed: int = 0
    sha256: str = hashlib.sha256().hexdigest()


class WindowStream:
    """Windows of at most `context` tokens, in the order of the texts.

    Args:
        tokenizer: encodes the texts.
        texts: the stream, from its beginning.
        context: the most tokens in a window, special ones included.
        start: where to begin; the texts before it are read and hashed, not encoded.

    Raises:
        ConfigError: a context with no room for a token.
        CheckpointError: while the stream is read: the texts before `start` are not those that its
            hash was made of.
    """

    def __init__(
        self, tokenizer: Tokenizer, texts: Iterable[str], context: int, start: Cursor | None = None
    ) -> None:
        self._tokenizer = tokenizer
        self._texts = enumerate(texts)
        self._start = Cursor() if start is None else start
        self._before, self._after = _frame(tokenizer)
        self._room = context - len(self._before) - len(self._after)
        if self._room < 1:
            raise ConfigError(
                f"context is {context} and {len(self._before) + len(self._after)} tokens of it are "
                "the tokenizer's special ones: make it larger."
            )
        self._digest = hashlib.sha256()
        self._hashed = 0

    def cursor(self, window: Window | None) -> Cursor:
        """The place of a window that the stream has just given; None: its end."""
        text, number = (self._hashed, 0) if window is None else (window.text, window.number)
        return Cursor(text, number, self._hashed, self._digest.hexdigest())

    def __iter__(self) -> Iterator[Window]:
        for number, text in islice(self._texts, self._start.text):
            self._pass(number, text)
        while group := list(islice(self._texts, _TOGETHER)):
            encoded = self._tokenizer.ids([text for _, text in group], add_special=False)
            for (number, text), ids in zip(group, encoded, strict=True):
                self._pass(number, text)
                yield from self._windows(number, ids)
        if self._hashed < self._start.texts_hashed:
            raise CheckpointError(
                f"The texts have changed: there were at least {self._start.texts_hashed} and now "
                f"there are {self._hashed}."
            )

    def _pass(self, number: int, text: str) -> None:
        assert number == self._hashed, "texts are passed in their order"
        content = text.encode("utf-8", "surrogatepass")
        self._digest.update(len(content).to_bytes(8, "little") + content)
        self._hashed += 1
        start = self._start
        if self._hashed == start.texts_hashed and self._digest.hexdigest() != start.sha256:
            raise CheckpointError(
                f"The texts have changed: the first {start.texts_hashed} are not those that were "
                "recorded. Give the same texts, or another folder."
            )

    def _windows(self, number: int, ids: Sequence[int]) -> Iterator[Window]:
        for window, at in enumerate(range(0, len(ids), self._room)):
            if (number, window) < (self._start.text, self._start.window):
                continue
            own = ids[at : at + self._room]
            yield Window(number, window, (*self._before, *own, *self._after))


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a text."""
    (framed,) = tokenizer.ids(["a"])
    (bare,) = tokenizer.ids(["a"], add_special=False)
    at = next(at for at in range(len(framed)) if framed[at : at + len(bare)] == bare)
    return framed[:at], framed[at + len(bare) :]
