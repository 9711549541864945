"""Finding a word in a text: which stretches of characters are the word, and by which rule.

    exact        the letters as they were asked for
    case         the same letters in another case
    form         a spelling that the caller listed (`mice` for `mouse`)
    plural       an English regular plural (`moles`, `boxes`, `ladies`)
    possessive   the word before 's, which is not part of the match: it is a token of its own
    contraction  the word before 'll, 'd, 've, 're or 'm; likewise
    inside       part of a longer word, and only when asked for

How much counts is the caller's strictness: `exact` < `case` < `word` (all but the last) < `inside`.
A word ends where no letter, digit, underscore or combining mark follows. Scripts written without
spaces (Chinese, Japanese, Thai and their like) have no such edges: there every place counts. This
module knows nothing of tokens.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal, get_args

from molehill.errors import TextError

__all__ = ["Match", "Rule", "Strictness", "find_word", "nearest_words"]

Rule = Literal[
    "exact", "case", "form", "plural", "possessive", "plural possessive", "contraction", "inside"
]
Strictness = Literal["exact", "case", "word", "inside"]


@dataclass(frozen=True, slots=True)
class Match:
    """One stretch `start:end` of a text, in characters, and the rule that accepted it."""

    start: int
    end: int
    rule: Rule


def find_word(
    text: str, word: str, *, strictness: str = "word", forms: Sequence[str] = ()
) -> list[Match]:
    """Every occurrence of `word` in `text`, from left to right, none overlapping.

    Accents written as one character or as two are the same, and so are straight and curly
    apostrophes; a space in a phrase stands for any run of white space.

    Args:
        text: Where to look.
        word: A word, or a phrase of several.
        strictness: How far a spelling may be from `word`: `exact`, `case`, `word` or `inside`.
        forms: Further spellings that are the word, in any case: irregular plurals, other names.
            Under `exact` and `case` they are not looked at.

    Raises:
        TextError: an empty word or form, or an unknown strictness.
    """
    if strictness not in get_args(Strictness):
        known = ", ".join(get_args(Strictness))
        raise TextError(f"The rule is {strictness!r}; expected one of {known}.")
    folded = _Folded.of(text)
    found = [
        match
        for spelling, rule in _spellings(word, forms, strictness)
        for match in _search(folded, spelling, rule, strictness)
    ]
    found = [_sharpened(text, word, match) for match in found]
    if strictness == "exact":
        found = [match for match in found if match.rule == "exact"]
    return list(_leftmost_longest(found))


# A message about a missing word must not take longer than the search for it.
_WORDS_COMPARED = 3_000
_CHARACTERS_READ = 200_000


def nearest_words(word: str, texts: Iterable[str], count: int = 3) -> list[str]:
    """Words of `texts` spelled most like `word`, nearest first: what a failed search offers."""
    words: dict[str, str] = {}
    unread = _CHARACTERS_READ
    for text in texts:
        for token in _WORD.findall(text[:unread]):
            words.setdefault(token.casefold(), token)
        unread -= len(text)
        if unread <= 0 or len(words) >= _WORDS_COMPARED:
            break
    near = get_close_matches(word.casefold(), list(words)[:_WORDS_COMPARED], n=count, cutoff=0.5)
    return [words[token] for token in near]


_APOSTROPHES = "'\u2019\u02bc"
_WORD = re.compile(rf"\w(?:[\w\u0300-\u036f]|[{_APOSTROPHES}](?=\w))*")
_CLITIC = re.compile(rf"[{_APOSTROPHES}](s|ll|d|ve|re|m)(?![\w{_APOSTROPHES}])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Folded:
    """A text without case and with accents taken apart; `origin` leads back to its characters."""

    text: str
    folded: str
    origin: Sequence[int]

    @classmethod
    def of(cls, text: str) -> _Folded:
        if text.isascii():  # the usual case, and fifty times faster
            return cls(text, text.lower(), range(len(text) + 1))
        parts = [_fold(character) for character in text]
        origin = [index for index, part in enumerate(parts) for _ in part]
        return cls(text, "".join(parts), [*origin, len(text)])


def _fold(text: str) -> str:
    return unicodedata.normalize("NFD", text.casefold()).translate(_STRAIGHT)


_STRAIGHT = {ord(mark): "'" for mark in _APOSTROPHES}


def _spellings(word: str, forms: Sequence[str], strictness: str) -> Iterator[tuple[str, Rule]]:
    """What to search for, each with the rule that a hit would follow."""
    if not all(spelling.strip() for spelling in (word, *forms)):
        raise TextError("A word to find is empty: give one such as 'mole', or forms=('mice',).")
    yield word, "case"
    if strictness in ("exact", "case"):
        return
    for form in forms:
        yield form, "form"
    if word.rstrip()[-1].isalpha():
        for plural in _plurals(word.rstrip()):
            yield plural, "plural"


def _plurals(word: str) -> list[str]:
    """English regular plurals of `word` (of its last word, in a phrase)."""
    low = word.lower()
    if low.endswith(("s", "x", "z", "ch", "sh")):
        return [word + "es"]
    if low.endswith("y") and low[-2:-1] not in ("", *"aeiou"):
        return [word[:-1] + "ies"]
    return [word + "s", word + "es"] if low.endswith("o") else [word + "s"]


def _search(folded: _Folded, spelling: str, rule: Rule, strictness: str) -> Iterator[Match]:
    pattern = r"\s+".join(re.escape(_fold(part)) for part in spelling.split())
    origin = folded.origin
    for hit in re.finditer(pattern, folded.folded):
        start, end = origin[hit.start()], origin[hit.end()]
        # "ss" is found in the folded "ß", yet half of that is no stretch of the text.
        begins_within = hit.start() and origin[hit.start() - 1] == start
        if begins_within or origin[hit.end() - 1] == end:
            continue
        if accepted := _rule_at(folded.text, start, end, rule, strictness):
            yield Match(start, end, accepted)


def _rule_at(text: str, start: int, end: int, rule: Rule, strictness: str) -> Rule | None:
    """The rule that `start:end` follows once its surroundings are seen; None: it is no match."""
    inside: Rule | None = "inside" if strictness == "inside" else None
    if _goes_on(text, start) or _goes_on(text, end):
        return inside
    if not (text[end : end + 1] in set(_APOSTROPHES) and text[end + 1 : end + 2].isalnum()):
        return rule
    clitic = _CLITIC.match(text, end)
    if clitic is None or strictness in ("exact", "case"):
        return inside
    if clitic[1].lower() != "s":
        return "contraction"
    return "plural possessive" if rule == "plural" else "possessive"


def _goes_on(text: str, edge: int) -> bool:
    """Whether the characters before and after `edge` belong to one word."""
    if not 0 < edge < len(text):
        return False
    before, after = text[edge - 1], text[edge]
    if unicodedata.category(after).startswith("M"):
        return True
    return _in_words(before) and _in_words(after) and not (_spaceless(before) or _spaceless(after))


def _in_words(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character)[0] == "M"


# First and last code points of the scripts whose words stand side by side.
_SPACELESS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x109F),  # Tibetan, Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3040, 0x30FF),  # kana
    (0x3400, 0x9FFF),  # Chinese characters
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),  # half-width kana
    (0x20000, 0x3FFFF),
)


def _spaceless(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _SPACELESS)


def _sharpened(text: str, word: str, match: Match) -> Match:
    """`case` becomes `exact` where the letters are the very ones asked for."""
    if match.rule == "case" and _plain(text[match.start : match.end]) == _plain(word):
        return replace(match, rule="exact")
    return match


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", " ".join(text.split())).translate(_STRAIGHT)


def _leftmost_longest(matches: list[Match]) -> Iterator[Match]:
    """Without overlaps: `moles` is one plural, not a `mole` and a rest."""
    end = 0
    for match in sorted(matches, key=lambda match: (match.start, -match.end)):
        if match.start >= end:
            yield match
            end = match.end
