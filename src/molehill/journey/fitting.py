"""Sentences that are longer than a model reads, cut to what stands around one word.

A cut runs between tokens, so the text stays as it was written. This module knows tokens and places,
and nothing of models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from molehill.text import Tokenizer

__all__ = ["Fitted", "fit"]

# A cut text may begin with another token than it had in the whole, or be split otherwise there.
_SPARE = 4


@dataclass(frozen=True)
class Fitted:
    """Texts that fit.

    Attributes:
        places: where the word stands in each, in characters.
        cut: how many of them are shorter than they were.
    """

    texts: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    cut: int


def fit(
    tokenizer: Tokenizer,
    texts: Sequence[str],
    places: Sequence[tuple[int, int]],
    limit: int,
    *,
    ahead: bool,
) -> Fitted:
    """Each text as it is, or as many of its tokens around the word as fit.

    Args:
        places: first character of the word and the one after its last.
        limit: the most tokens of a text, special ones included.
        ahead: whether what comes after the word is read: then the word stands in the middle of what
            is kept, else at its end.
    """
    tokens = tokenizer.encode(texts)
    fitted, moved, cut = list(texts), list(places), 0
    for number, (text, (start, end)) in enumerate(zip(texts, places, strict=True)):
        marked = list(zip(tokens.spans[number], tokens.special[number], strict=True))
        if len(marked) <= limit:
            continue
        spans = [span for span, special in marked if not special]
        room = limit - (len(marked) - len(spans)) - _SPARE
        inside = [n for n, (a, b) in enumerate(spans) if a < end and b > start]
        if not inside or len(inside) > room:
            continue  # for the caller's own checks to tell
        rest = room - len(inside)
        # Half of the rest on either side, or more where the other side has less.
        after = max(rest // 2, rest - inside[0]) if ahead else 0
        after = min(after, len(spans) - inside[-1] - 1)
        last = inside[-1] + after
        first = max(0, last + 1 - room)
        begin, stop = spans[first][0], spans[last][1]
        fitted[number] = text[begin:stop]
        moved[number] = (start - begin, end - begin)
        cut += 1
    return Fitted(tuple(fitted), tuple(moved), cut)
