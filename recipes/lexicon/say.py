"""The little English grammar that sentences made from relations need."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

__all__ = ["a", "listing", "lower_first", "plural"]

VOWEL_SOUND = re.compile(
    r"(?:[aeio]|u(?!ni([^nm]|$)|s[aeiu]|r[aeiou]|t[ei]|bi)|hour|honest|honou?r|heir)", re.I
)
NO_VOWEL = re.compile(r"(?:eu|ewe|one\b|once|uk)", re.I)
LETTER = re.compile(r"[AEFHILMNORSX](?:[A-Z0-9]|\b|-)")
# A phrase that begins with one of these needs no article.
DETERMINED = re.compile(
    r"(?:an?|the|any|some|one|each|every|all|several|many|that|those|this|two|three|four|"
    r"some(?:one|body|thing)|any(?:one|body|thing)|whoever|whatever|most|either|both)(?=\s)",
    re.I,
)


def a(phrase: str) -> str:
    """A noun phrase with its article, where it has none: `a mole`, `an owl`, `the sea`."""
    if DETERMINED.match(phrase):
        return phrase
    if phrase[:2].isupper():
        vowel = LETTER.match(phrase) is not None
    else:
        vowel = VOWEL_SOUND.match(phrase) is not None and not NO_VOWEL.match(phrase)
    return ("an " if vowel else "a ") + phrase


def plural(noun: str, irregular: Mapping[str, str]) -> str:
    """The plural of a noun phrase, by its last word (or the first, in `master of arts`)."""
    head, sep, rest = noun.partition(" of ")
    if sep:
        return plural(head, irregular) + sep + rest
    *before, last = noun.split(" ")
    return " ".join([*before, plural_of_word(last, irregular)])


def plural_of_word(word: str, irregular: Mapping[str, str]) -> str:
    """Irregular forms are given; the rest follow the spelling."""
    if word in irregular:
        return irregular[word]
    if re.search(r"(?<!hu)(?<!ger)(?<!ro)(?<!sha)man$", word.lower()):
        return word[:-2] + "en"
    if re.search(r"(?:s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word) and word.islower():
        return word[:-1] + "ies"
    return word + "s"


def listing(names: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def lower_first(text: str) -> str:
    """A sentence's first letter made small, unless the word is a name, `I` or all capitals."""
    first = text.split(" ", 1)[0]
    plain = re.fullmatch(r"[A-Z][a-z]*[,;]?", first) is not None and first != "I"
    return text[:1].lower() + text[1:] if plain else text
