"""Texts about somebody else that read almost like a subject's: same last name, other first name.

A row that tells *Michael Jordan* from all words of a corpus may still fire on *Barbara Jordan*, of
whom the corpus says nothing. So the fact's own prompts are asked of others: each word of the
subject is replaced by words that the reference has, the subject loses its first or last words, two
people in a row share its names (*Michael Johnson, Barbara Jordan*), and a subject of one word in
several tokens has its tokens replaced one by one. This module runs no model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, pairwise

from molehill.facts.asking import has_unknown, unknown_token
from molehill.facts.fact import Fact, subject_tokens
from molehill.facts.reference import Line
from molehill.language_model import LanguageModel

__all__ = ["Found", "impostors"]

_WORD = re.compile(r"[^\W\d_][\w'-]+")
_PLACES = 2
"""In how many other places everybody else is put."""


@dataclass(frozen=True)
class Found:
    """What the reference has, the commonest first."""

    words: tuple[str, ...]
    tokens: tuple[int, ...]

    @classmethod
    def of(cls, lm: LanguageModel, lines: Sequence[Line]) -> Found:
        """Counted once for all facts."""
        words = Counter(word for line in lines for word in _WORD.findall(lm.decode(line.ids)))
        tokens = Counter(token for line in lines for token in line.ids)
        return cls(
            tuple(word for word, _ in words.most_common()),
            tuple(token for token, _ in tokens.most_common()),
        )


def impostors(
    lm: LanguageModel,
    fact: Fact,
    found: Found,
    most: int,
    others: Sequence[str] = (),
    beginnings: Sequence[tuple[int, ...]] = (),
) -> list[tuple[int, ...]]:
    """The ids of the fact's prompts asked of others than its subject.

    Args:
        found: the words and tokens that are put in, the commonest first.
        most: how many for each word, or token, of the subject.
        others: subjects that are to be among them.
        beginnings: of other texts, after which every other is put as well, each after two of them.
    """
    names = dict.fromkeys([*others, *_names(fact.subject, found.words, most)])
    names.pop(fact.subject, None)
    templates = cycle((fact.template, *fact.paraphrases))
    texts = [
        fact.start + template.replace("{}", name).rstrip()
        for name, template in zip(names, templates, strict=False)
    ]
    tokens = lm.encode(texts, truncate=True)
    rows = [tuple(tokens.row(n)) for n in range(len(texts)) if not has_unknown(lm, tokens, n)]
    rows += _elsewhere(lm, list(names), beginnings)
    if " " not in fact.subject.strip():
        rows += _other_tokens(lm, fact, found.tokens, most)
    return rows


def _elsewhere(
    lm: LanguageModel, names: Sequence[str], beginnings: Sequence[tuple[int, ...]]
) -> list[tuple[int, ...]]:
    """Every name after two beginnings of texts, in turn."""
    if not beginnings or not names or lm.tokenizer is None:
        return []
    spelt = lm.tokenizer.ids([f" {name}" for name in names], add_special=False)
    unknown, turns = unknown_token(lm), cycle(beginnings)
    known = [ids for ids in spelt if unknown not in ids]
    rows = [(*next(turns), *ids) for ids in known for _ in range(_PLACES)]
    return [row[: lm.config.n_ctx] for row in rows]


def _names(subject: str, found: Sequence[str], most: int) -> Iterator[str]:
    """Parts of the subject, the subject with one of its words replaced, and two people in a row of
    whom the one has its first name and the other its last."""
    words = subject.split()
    names = [word for word in found if word[0].isupper() and word not in words]
    for cut in range(1, len(words)):
        yield " ".join(words[cut:])
        yield " ".join(words[:cut])
    for place, own in enumerate(words if len(words) > 1 else ()):
        capital = own[0].isupper()
        alike = [word for word in found if word[0].isupper() == capital and word != own]
        for word in alike[:most]:
            yield " ".join([*words[:place], word, *words[place + 1 :]])
    for one, other in pairwise(names[: most + 1] if len(words) > 1 else ()):
        yield f"{words[0]} {one}, {other} {words[-1]}"


def _other_tokens(
    lm: LanguageModel, fact: Fact, found: Sequence[int], most: int
) -> Iterator[tuple[int, ...]]:
    """The prompt with one token of its subject replaced by others that begin in the same way."""
    tokens = lm.encode([fact.prompt])
    row = tokens.row(0)
    first, end = subject_tokens(tokens, fact.place())
    if end - first < 2 or lm.tokenizer is None:
        return
    kinds = {token: _kind(lm.tokenizer.piece(token)) for token in {*found, *row[first:end]}}
    for place in range(first, end):
        alike = [t for t in found if kinds[t] == kinds[row[place]] and t != row[place]]
        for token in alike[:most]:
            yield (*row[:place], token, *row[place + 1 :])


def _kind(piece: str) -> tuple[bool, bool, bool]:
    """Whether a token begins with a space, holds letters alone, and has a capital first."""
    word = piece.lstrip("·")
    return piece != word, word.isalpha(), word[:1].isupper()
