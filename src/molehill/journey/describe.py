"""A group of sentences in its own words: which words stand in it more than in the other groups.

Words are weighed by the z-score of their log-odds against the other groups, with the whole
collection as the prior (Monroe, Colaresi and Quinn, "Fightin' Words", 2008, section 3.5.1): a word
must be both frequent and telling. It knows nothing of vectors or models.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["describe"]

_WORD = re.compile(r"[^\W\d_]{2,}")


def describe(
    sentences: Sequence[str], groups: Sequence[int], *, k: int = 6, leave_out: Collection[str] = ()
) -> dict[int, tuple[str, ...]]:
    """The k most telling words of every group, the most telling first.

    Args:
        groups: each sentence's group.
        leave_out: words not to be used (the word in question itself), whatever their case.
    """
    ignored = {word.lower() for word in leave_out}
    words: dict[int, Counter[str]] = {group: Counter() for group in sorted(set(groups))}
    for sentence, group in zip(sentences, groups, strict=True):
        # A word counts once per sentence: one text that repeats itself is not a group's voice.
        words[group].update(set(_WORD.findall(sentence.lower())) - ignored)
    everywhere = sum(words.values(), Counter())
    sizes = Counter(groups)
    return {
        group: _telling(count, everywhere, sizes[group], len(sentences), k)
        for group, count in words.items()
    }


def _telling(
    here: Counter[str], everywhere: Counter[str], size: int, sentences: int, k: int
) -> tuple[str, ...]:
    """The words whose share of the group's sentences is most surely above that of the others."""
    if size == sentences:  # one group only: its most frequent words are all there is to say
        return tuple(word for word, _ in here.most_common(k))

    def z(word: str) -> float:
        # The prior is one sentence on each side, spread as in the whole collection.
        prior = everywhere[word] / (sentences + 1)
        a, b = here[word] + prior, everywhere[word] - here[word] + prior
        odds = math.log(a / (size + 1 - a)) - math.log(b / (sentences - size + 1 - b))
        return odds / math.sqrt(1 / a + 1 / b)

    scored = sorted(((z(word), word) for word in here), key=lambda entry: (-entry[0], entry[1]))
    return tuple(word for score, word in scored[:k] if score > 1e-9)
