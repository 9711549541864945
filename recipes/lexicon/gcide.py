"""The GNU Collaborative International Dictionary of English: entries become sentences.

An entry is a header (spelling, pronunciation, part of speech, origin) and a body of numbered
senses, quotations, notes, synonyms and compounds, told apart by their indentation. Origins and
pronunciations are left out, and so are obsolete senses and what old poets wrote.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lexicon.clean import line_up, sentence
from lexicon.debian import read_text
from lexicon.gcide_words import ACCENTS, DOMAINS, OLD_AUTHORS, SHORT
from lexicon.records import Text, draw, pick
from lexicon.say import a, lower_first

__all__ = ["Entry", "entries", "gcide", "tell"]

HEADER = re.compile(r"^\S[^\\]*\\[^\\]*\\")
TAG = re.compile(
    r"\[(?:\d{4} Webster|Webster|PJC|WordNet|AS|RDH|RHUD|RH|Century|HDM|JC|Stormonth|CID|MW)"
    r"[^\]]*\].*",
    re.DOTALL,
)
PART = re.compile(
    r"(?<![A-Za-z])(prop\. n|n|a|adj|adv|v\. t|v\. i|v|prep|conj|interj|p\. a)\.(?=[\s,;&\[(]|$)"
)
PARTS = {"n": "noun", "prop. n": "name", "a": "adjective", "adj": "adjective", "p. a": "adjective"}
PARTS |= {"v. t": "verb", "v. i": "verb", "v": "verb", "adv": "adverb", "prep": "preposition"}
PARTS |= {"conj": "conjunction", "interj": "exclamation"}
GONE = re.compile(
    r"\[(?:[^\]]*\b(?:Obs|Obsoles|Archaic|archaic|R|Rare|Poetic|Scot|Prov|Low|Cant)\b[^\]]*)\]"
)
POINTER = re.compile(
    r"(?:See|Same as|Cf|Vide|See also|See under|A variant of|Alt\. of|Alternate)\b", re.I
)
# Forms of verbs and lost letters are told in signs; what is cut off has such a word at its end.
GRAMMAR = re.compile(r"\b(?:imp|pret|compar|superl)\.|\bp\. ?p\b|\bv\. ?[ti]\b|\w\?\w|\s\?")
OPEN = re.compile(
    r"(?:\b(?:the|and|or|as|of|a|an|in|to|called|see)|[,;(])[.\s]*$|^.{900}", re.IGNORECASE
)
SCRAP = re.compile(r"(?<![^.?!]\s)(?<!\w)(?:Specifically|See|Hence|Also|Cf|Syn|[A-Z])\.(?=\s|$)\s*")
DOMAIN = re.compile(r"^\(([A-Z][^()]{1,30}?)\)[,.:]?\s*")
ABSTRACT = re.compile(
    r"(?:ness|ity|ism|[tsx]ion|ence|ance|ment|hood|ship|cy|logy|graphy|ics|ine|ing|ia|sis|itis|tude)$|^[A-Z]"
)
AUTHOR = re.compile(r"\s*--\s?(?=[A-Z\[(\"'])(?P<who>[^;]{2,60}?)$")


@dataclass(frozen=True)
class Entry:
    """One headword with one origin; a word with several origins has several."""

    word: str
    part: str
    domain: str
    blocks: tuple[tuple[int, str], ...]  # (indentation, text on one line)


def entries(text: str) -> Iterator[Entry]:
    """The dictionary's entries in their order. A line that begins at the margin with a
    pronunciation between backslashes begins one."""
    held: list[str] = []
    for line in text.split("\n"):
        if HEADER.match(line) and not line.startswith("\\"):
            if held:
                yield from parsed(held)
            held = [line]
        elif held:
            held.append(line)
    if held:
        yield from parsed(held)


def parsed(lines: list[str]) -> Iterator[Entry]:
    """One entry from its lines, where it is a single word or phrase that has a body."""
    end = header_end(lines)
    header = " ".join(lines[:end])
    word = accents(header.split("\\")[0]).strip(" ,")
    outside = re.sub(r"\[.*", "", re.sub(r"\\[^\\]*\\|\([^()]*\)", " ", header))
    part = PART.search(outside)
    domain = re.search(r"\(([A-Z][A-Za-z. &]{1,24}\.)\)\s*$", header)
    if re.fullmatch(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ' -]*(?<!-)", word):
        yield Entry(
            word,
            PARTS.get(part.group(1), "") if part else "",
            DOMAINS.get(domain.group(1), "") if domain else "",
            tuple(blocks(lines[end:])),
        )


def header_end(lines: list[str]) -> int:
    """How many lines the header takes: until its brackets close and the part of speech was told."""
    header = ""
    for number, line in enumerate(lines):
        header += " " + line
        after = lines[number + 1].strip() if number + 1 < len(lines) else ""
        closed = all(header.count(one) <= header.count(other) for one, other in ("[]", "()"))
        outside = re.sub(r"\([^()]*\)", " ", header)
        if (
            closed
            and header.count("\\") % 2 == 0
            and (PART.search(outside) or not re.match(r"[\\(\[,]|n\.|a\.|v\.", after))
        ):
            return number + 1
        if not after:
            return number + 1
    return len(lines)


def blocks(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Paragraphs between blank lines, each with its indentation, without the editors' tags."""
    for block in re.split(r"\n[ \t]*\n", "\n".join(lines)):
        text = TAG.sub("", block)
        if text.strip() and not verse(text):
            first = next(line for line in text.split("\n") if line.strip())
            indent = len(first) - len(first.lstrip())
            yield indent, re.sub(r"(?<=[a-z])-\s+(?=[a-z])", "-", line_up(text))


def verse(block: str) -> bool:
    """Whether a quotation is set in lines that each begin with a capital."""
    lines = [line for line in block.split("\n") if line.strip()]
    deep = len(lines) > 1 and all(line.startswith(" " * 8) for line in lines)
    return deep and all(re.match(r"[\"'A-Z]", line.strip()) for line in lines[:3])


def accents(text: str) -> str:
    """`lamin[ae]` -> `laminae`, `caf['e]` -> `café`; marks of pronunciation alone are dropped."""
    return re.sub(r"\[([^\]\s]{1,5})\]", lambda found: ACCENTS.get(found[1], found[0]), text)


def plain(text: str) -> str:
    """Braces, brackets, Latin names in parentheses and abbreviations made into plain words."""
    text = accents(text)
    text = re.sub(r"\s*\((?:[A-Z][a-z]+\. )?\{[A-Z][^()]*\)", "", text)  # a species' Latin name
    text = re.sub(r"\s*\((?:[Ss]ee|[Ff]ig|Illust)\b[^()]*\)", "", text)
    text = re.sub(r"\s*\[[^\[\]]*\]", "", re.sub(r"\[[^\[\]]*\]", "", text))
    text = re.sub(r"\s*(?:See|Cf\.|Compare) (?:\w+ ){0,3}\{[^{}]*\}[^.]*\.?", "", text)
    text = re.sub(r"\s*See (?:Illust|Note|Syn|under|Citation)\b[^.]*\.(?: of [^.]*\.)?", "", text)
    text = re.sub(
        r"\(+[A-Z][A-Za-z. &]{1,22}\.\)[,.]?\s*", "", text
    )  # a field, where none is expected
    text = re.sub(r"\s*\b(?:See|Cf|Compare)\.?$", "", text.replace("{", "").replace("}", ""))
    for short, full in SHORT:
        text = short.sub(full, text)
    text = re.sub(r"[;,.]?\s+--\s*(?=[a-z])", ", ", text).replace("--", " - ")
    return line_up(text)


def without_author(text: str) -> str:
    """A definition without the names after its quotations; an old author's quotation goes along."""
    found = AUTHOR.search(text)
    if not found:
        return text
    before = text[: found.start()]
    if old(found["who"]):
        before = re.sub(r"\s*[\"“][^\"“]*[\"”]$", "", before)
    return before


def old(author: str) -> bool:
    """Whether an author wrote English that nobody writes today."""
    return any(name in author for name in OLD_AUTHORS)


def tell(entry: Entry, counts: Counter[str]) -> list[str]:
    """An entry's paragraphs: senses with their uses, notes, and what is named after it."""
    spelled = entry.word if entry.part == "name" else spell(entry.word, counts)
    told: list[str] = []
    for indent, block in entry.blocks:
        if block.startswith(("Syn:", "Note:")):
            told += note(block, spelled)
        elif re.match(r"\{[^{}]+\}", block) and indent <= 4:
            told += compound(block, counts)
        elif indent >= 8 and not re.match(r"\(?[a-z\d]{1,2}[.)] ", block):
            told += quotation(block)
        else:
            told += sense(block, entry, spelled)
    return [one for one in (SCRAP.sub("", one).strip() for one in told) if one]


def spell(phrase: str, counts: Counter[str]) -> str:
    """A headword, all of which begin with a capital, as it stands in running text."""
    first = phrase.split(" ")[0]
    name = counts[first] > 3 * counts[first.lower()] and counts[first] > 2
    return phrase if name else phrase[:1].lower() + phrase[1:]


def sense(block: str, entry: Entry, word: str) -> list[str]:
    """One sense as a sentence with the word in it, and its uses after it."""
    block = re.sub(r"^\d+\.\s*", "", block)
    if re.search(r"(?:^|\s)\([a-h]\)\s", block):
        parts = [part for part in re.split(r"(?:^|\s)\([a-h]\)\s+", block) if part.strip()]
        return [one for part in parts for one in sense(part, entry, word)]
    block = re.sub(r"\s*--\s*(?:n|a|adj|adv|v\. ?[ti])\.\s.*", "", block)
    found = DOMAIN.match(block)
    domain = entry.domain
    if found:
        block = block[found.end() :]
        domain = DOMAINS.get(found.group(1), domain)
    if GONE.search(block) or GRAMMAR.search(block):
        return []
    block = plain(without_author(block))
    meaning, *uses = re.split(
        r"[;:,.]?\s+\bas(?:,|:| in the phrase)\s+(?!if\b|to\b\s+be)", block, maxsplit=1
    )
    meaning = re.sub(
        r"^(?:Hence|Specifically|Especially|Also|Figuratively)[,:]?\s*", "", meaning
    ).strip(" ;,")
    if len(meaning.split()) < 2 or POINTER.match(meaning) or OPEN.search(meaning):
        return []
    return [defined(word, entry.part, domain, meaning), *used(uses, word)]


def used(uses: list[str], word: str) -> list[str]:
    """The dictionary's own examples of a sense."""
    if not uses or len(uses[0].split()) < 2:
        return []
    lead = pick(["For example, ", "One says: ", "Examples: ", "As in: ", ""], word + uses[0])
    return [sentence(lead + uses[0])]


def defined(word: str, part: str, domain: str, meaning: str) -> str:
    """A definition, said in one of several ways; the word comes last in some of them."""
    chance = draw(word + meaning)
    first, _, rest = meaning.partition(". ")
    after = f" {sentence(rest)}" if rest else ""
    place = f"In {domain}, " if domain else ""
    low = lower_first(first).rstrip(".")
    short = len(first.split()) <= 26 and ";" not in first and " called" not in first
    one = word if ABSTRACT.search(word) else a(word)
    if part == "noun" and re.match(r"(?:an?|the|any|one) ", low):
        if short and chance < 0.4:
            return sentence(f"{place}{low} is called {one}") + after
        if chance < 0.75:
            return sentence(f"{place}{one} is {low}") + after
    if part == "verb" and low.startswith("to "):
        if short and chance < 0.35:
            return sentence(f"{place}{low} is to {word}") + after
        if chance < 0.75:
            return sentence(f"{place}to {word} is {low}") + after
    if part == "adjective" and chance < 0.5:
        return sentence(f"{place}{word} means {low}") + after
    label = ", ".join(told for told in (part, domain) if told)
    return sentence(f"{word} ({label}): {low}" if label else f"{word}: {low}") + after


def quotation(block: str) -> list[str]:
    """What a later author wrote; verses of old poets are left out."""
    found = AUTHOR.search(block)
    if not found or old(found["who"]) or GONE.search(block):
        return []
    said = plain(block[: found.start()])
    return [sentence(said)] if 6 <= len(said.split()) <= 80 and "?" not in said[:-1] else []


def note(block: str, word: str) -> list[str]:
    """Notes as they are; a list of synonyms as a sentence."""
    head, _, rest = block.partition(":")
    rest = plain(without_author(rest))
    if POINTER.match(rest) or len(rest.split()) < 2 or len(rest) > 1200:
        return []
    if head == "Note":
        return [sentence(rest)]
    listed, _, essay = rest.partition(". ")
    names = [name.strip(" .") for name in re.split(r"[;,]", listed) if name.strip(" .")]
    if essay and len(essay.split()) > 8:
        return [sentence(re.sub(r"^(?:Usage:|-)\s*", "", essay).lstrip(" -"))]
    if len(names) < 2 or any(len(name.split()) > 3 for name in names):
        return []
    lead = pick(
        ["Words close to {w} are ", "Like {w}: ", "{w} is much the same as ", "Synonyms of {w}: "],
        word + rest,
    )
    return [sentence(lead.format(w=word) + ", ".join(names[:8]))]


def compound(block: str, counts: Counter[str]) -> list[str]:
    """`{Mole cricket} (Zool.), an insect ...` -> `A mole cricket is an insect ...`."""
    found = re.match(
        r"\{(?P<name>[^{}]+)\}(?:,?(?: or)? \{[^{}]+\})*,?\s*(?:\((?P<domain>[A-Z][^()]*)\))?"
        r"\s*[,.:]\s*(?P<rest>.+)$",
        block,
    )
    if not found or GONE.search(block) or GRAMMAR.search(block) or "(a)" in block:
        return []
    name = spell(accents(found["name"]), counts)
    meaning = plain(without_author(found["rest"]))
    if (
        POINTER.match(meaning)
        or len(meaning.split()) < 3
        or OPEN.search(meaning)
        or not re.match(r"[A-Za-z' -]+$", name)
    ):
        return []
    meaning = re.sub(r"^\([a-z]\)\s*", "", meaning)
    domain = DOMAINS.get(found["domain"] or "", "")
    part = "noun" if re.match(r"(?:an?|the|any|one) ", meaning, re.I) else ""
    part = "verb" if meaning.lower().startswith("to ") and name.startswith("to ") else part
    return [defined(name.removeprefix("to ") if part == "verb" else name, part, domain, meaning)]


def spellings(text: str) -> Counter[str]:
    """How often each word stands in the text as it is, capitals kept, but for line beginnings."""
    return Counter(re.findall(r"(?<=[a-z,;] )[A-Za-z][a-z]+|(?<=[a-z,;]\n   )[A-Za-z][a-z]+", text))


def gcide(root: Path) -> Iterator[Text]:
    """Every entry that has something to say, all those of one spelling together."""
    text = read_text(root / "usr/share/dictd/gcide.dict.dz")
    counts = spellings(text)
    last, held = "", []
    for entry in entries(text):
        word = entry.word
        if " " not in word and counts[word] + counts[word.lower()] < 2:
            continue  # a word that the dictionary itself uses nowhere is too rare to spend text on
        if word.lower() != last:
            if held:
                yield Text(last, " ".join(held), last[:1])
            last, held = word.lower(), []
        held += tell(entry, counts)
    if held:
        yield Text(last, " ".join(held), last[:1])
