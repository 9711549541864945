"""Text from tokens that arrive one by one, as a model writes them.

A character can need several tokens, and some vocabularies settle a token's spaces by its
neighbours: the first word of a text has none before it. So text comes out when it can no longer
change, and a stream that goes on from a prompt knows the prompt's last tokens. This module knows of
a vocabulary only the functions that it is given.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence

__all__ = ["TextStream"]

_NEIGHBOURS = 8


class TextStream:
    """Push tokens, get text. The pieces and what `close` gives join to the text of all tokens."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        bytes_of: Callable[[int], bytes] | None = None,
        skipped: frozenset[int] = frozenset(),
        after: Sequence[int] = (),
    ) -> None:
        """Made by `Tokenizer.stream`.

        Args:
            decode: The text of several tokens.
            bytes_of: The UTF-8 of one token, in vocabularies where a text is the sum of those.
            skipped: Tokens that add nothing.
            after: The tokens that stand before the first one, whose text was given already.
        """
        self._decode = decode
        self._bytes_of = bytes_of
        self._skipped = skipped
        self._partial = codecs.getincrementaldecoder("utf-8")("replace")
        # Neighbours settle a space, and a character has at most four bytes: no more is needed.
        self._ids = [token for token in after if token not in skipped][-_NEIGHBOURS:]
        if bytes_of is not None:
            self._partial.decode(b"".join(map(bytes_of, self._ids)))
        self._given = "" if bytes_of is not None else decode(self._ids)

    def push(self, token: int) -> str:
        """The text that this token completes; empty within a character."""
        if token in self._skipped:
            return ""
        if self._bytes_of is not None:
            return self._partial.decode(self._bytes_of(token))
        self._ids.append(token)
        text = self._decode(self._ids)
        # U+FFFD stands for half a character; what was given out before cannot be taken back.
        if text.endswith("\ufffd") or not text.startswith(self._given):
            return ""
        new, self._given = text[len(self._given) :], text
        return new

    def close(self) -> str:
        """What is left at the end: half a character as U+FFFD."""
        if self._bytes_of is not None:
            return self._partial.decode(b"", final=True)
        return self._decode(self._ids)[len(self._given) :]
