"""From text as it was typed to plain sentences, and from short texts to documents.

Knows no source: what is done here is done to all of them.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

from lexicon.records import Text

__all__ = ["documents", "is_english", "leftovers", "line_up", "prose", "sentence", "tidy"]

FEW, MANY = 60, 320  # words in a document: from a paragraph to what a window of 256 tokens holds
NOT_PROSE = re.compile(r"[<>{}\[\]|\\_=~^*@#]|://")
_COMMON = """
a an and any are as at be been but by can for from had has have he her his if in into is it its may
more no not of on one or other our out she so some that the their them then there they this to up
was we were when which who will with you your
"""
COMMON = frozenset(_COMMON.split())
# Licences stand in every manual, and are not what it is about.
LEGAL = re.compile(
    r"this License|(?:Documentation|General Public|Commons) Licen[sc]e|Cover Texts?|"
    r"[Cc]opyright (?:\(C\)|©)|WARRANT|All rights reserved"
)
PLAIN = re.compile(r"[^\W\d_]|[ ,.'-]")
WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?")
QUOTES = {"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "`": "'", "´": "'"}
DASHES = {
    "—": " - ",
    "–": "-",
    "‐": "-",
    "‑": "-",
    "−": "-",
    "…": "...",
    "\u00ad": "",
    "\ufeff": "",
}
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ue000-\uf8ff\ufff0-\uffff]"
)
TYPED = str.maketrans(QUOTES | DASHES | {"\u200b": "", "\xa0": " ", "•": " ", "★": " "})


def tidy(text: str) -> str:
    """One spelling for one thing: NFKC, straight quotes, plain hyphens, single spaces.

    Blank lines, which end a paragraph, stay; other line breaks become spaces.
    """
    text = unicodedata.normalize("NFKC", text.translate(TYPED))
    text = UNSEEN.sub("", text)
    paragraphs = re.split(r"\n\s*\n", text)
    return "\n".join(line for line in (line_up(one) for one in paragraphs) if line)


def line_up(text: str) -> str:
    """A text on one line, with no space before a stop and none doubled."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r" +([,;:.?!)])(?=\s|$|[\"'])", r"\1", text)
    text = re.sub(r"\( +", "(", text)
    text = re.sub(r"\(\s*\)", "", text)
    text = re.sub(r"([,;:])(?:\s*[,;:])+", r"\1", text)
    text = re.sub(r"[,;:]\s*\.(?!\.)", ".", text)
    text = re.sub(r"(?<!\.)\.\s*\.(?!\.)", ".", text)
    text = re.sub(r"(^|\s)([\"]) +(?=[A-Z])", r"\1\2", text)
    return re.sub(r"  +", " ", text).strip()


def sentence(text: str) -> str:
    """A text that begins with a capital and ends with a stop; '' stays ''."""
    text = line_up(text).strip(" ,;:-")
    if not text:
        return ""
    first = re.search(r"[^\W_]", text)
    if first:
        text = text[: first.start()] + first.group().upper() + text[first.end() :]
    return text if re.search(r"[.?!][\"')]*$", text) else text + "."


def is_english(text: str) -> bool:
    """Whether enough of the words are those that English sentences are held together by."""
    words = [word.lower() for word in WORD.findall(text)]
    return bool(words) and sum(word in COMMON for word in words) >= 0.18 * len(words)


def prose(paragraph: str, *, words: int = 6) -> bool:
    """Whether a paragraph is made of sentences, rather than a table, a list of names or code."""
    found = WORD.findall(paragraph)
    plain = len(PLAIN.findall(paragraph))
    return (
        len(found) >= words
        and plain >= 0.9 * len(paragraph)
        and not leftovers(paragraph)
        and re.search(r"[.?!][\"')]*$", paragraph) is not None
        and is_english(paragraph)
    )


def leftovers(text: str) -> list[str]:
    """The signs of mark-up or code that a text still has."""
    return NOT_PROSE.findall(text)


def documents(texts: Iterable[Text]) -> Iterator[Text]:
    """Join short texts, and cut long ones at paragraphs, into documents of some 60 to 320 words.

    Neighbours join only within one group. A paragraph that was seen before, in any document of
    these texts, is left out; so is what is not clean, and a document of too few words.
    """
    seen: set[bytes] = set()
    held: list[str] = []
    name = group = ""
    size = 0
    for text in texts:
        for paragraph in tidy(text.text).split("\n"):
            count = len(paragraph.split())
            key = letters(paragraph)
            if leftovers(paragraph) or not count or key in seen or LEGAL.search(paragraph):
                continue
            seen.add(key)
            if held and (text.group != group or size + count > MANY):
                yield from finished(name, held, size)
                held, size = [], 0
            if not held:
                name, group = text.name, text.group
            held.append(paragraph)
            size += count
    yield from finished(name, held, size)


def finished(name: str, held: list[str], size: int) -> Iterator[Text]:
    """A document, unless there is too little of it or it is no English."""
    text = "\n".join(held)
    if size >= FEW // 3 and is_english(text):
        yield Text(name, text)


def letters(paragraph: str) -> bytes:
    """The same for paragraphs that differ in signs, digits and case alone."""
    plain = re.sub(r"[^a-z]+", " ", paragraph.lower())
    return hashlib.blake2b(plain.encode(), digest_size=8).digest()
