"""Three small dictionaries of dictd: FOLDOC, the Jargon File and the Devil's Dictionary."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from lexicon.clean import line_up, prose, sentence, tidy
from lexicon.debian import read_text
from lexicon.records import Text
from lexicon.say import lower_first

__all__ = ["devil", "devil_entries", "foldoc", "foldoc_entries", "jargon", "jargon_entries"]


def headed(text: str, head: str) -> Iterator[tuple[str, str]]:
    """(headword, body) for each line that begins at the margin."""
    found = list(re.finditer(head, text, re.MULTILINE))
    for this, after in zip(found, [*found[1:], None], strict=True):
        yield this.group(1), text[this.end() : after.start() if after else len(text)]


def unbraced(text: str) -> str:
    """Cross-references are words in braces; an address in braces goes."""
    text = re.sub(r"\{[^{}]*://[^{}]*\}\.?", "", text)
    return re.sub(r"\{\s*([^{}]*?)\s*\}", r"\1", text)


def kept(body: str, first: str) -> str:
    """The paragraphs of a body that are prose, the first led by `first`."""
    paragraphs = [
        re.sub(r"^\d+\.\s+", "", line_up(one)) for one in re.split(r"\n\s*\n", tidy_blocks(body))
    ]
    good = [sentence(one) for one in paragraphs if prose(sentence(one))]
    if good and first:
        good[0] = sentence(first + lower_first(good[0]))
    return "\n\n".join(good)


def tidy_blocks(text: str) -> str:
    """Tidied paragraph by paragraph, so that blank lines stay."""
    return "\n\n".join(tidy(one) for one in re.split(r"\n\s*\n", text))


def foldoc_entries(text: str) -> Iterator[Text]:
    """`<networking> (ADT) A kind of {data abstraction} ...` -> plain sentences."""
    for word, body in headed(text, r"^(\S.*)\n(?=\S|\s*\n|   )"):
        body = re.sub(r"^\s*\(\d{4}-\d\d(?:-\d\d)?\)\s*$", "", unbraced(body), flags=re.MULTILINE)
        domain = re.search(r"<([a-z ,/-]+)>", body)
        body = re.sub(r"(?:\d+\.\s*)?<[a-z ,/-]+>\s*", "", body)
        body = re.sub(r"^\s*/[^/\n]+/\s*|\(Or [^()]*\)|^\s*\([A-Z0-9/ ]{2,12}\)\s*", "", body)
        body = re.sub(r"(?:See also|See|Compare|Contrast)\b[^.]*\.", "", body)
        place = f", in {domain[1].split(',')[0]}: " if domain else ": "
        told = kept(body, word + place)
        if told:
            yield Text(word, told)


def jargon_entries(text: str) -> Iterator[Text]:
    """The same for hackers' words: the line of pronunciation goes, notes in brackets go."""
    for word, body in headed(text, r"^(\S.*)\n(?= )"):
        body = re.sub(
            r"\A\s.*(?:\bn|\bv|vt|vi|adj|adv|excl|interj|prov|prep|abbrev|quant)\b\..*\n", "", body
        )
        body = re.sub(r"\[[^\[\]]*\]\s*|/[^/\n]{3,40}/,?", "", unbraced(body))
        body = re.sub(r"(?:See also|See|Compare|Oppose|Contrast)\b[^.]*\.", "", body)
        told = kept(body, f"{word}: ")
        if told:
            yield Text(word, told)


def devil_entries(text: str) -> Iterator[Text]:
    """`ADDER, n.  A species of snake.` -> `An adder is ...`; the verses are left out."""
    for word, body in headed(
        text, r"^([A-Z][A-Z' -]+), (?:n|adj|v\.t|v\.i|v|adv|pp|interj|n\.pl)\.(?=\s)"
    ):
        plain = re.sub(r"\[[^\[\]]*\]", "", unbraced(body))
        blocks = [one for one in re.split(r"\n\s*\n", plain.strip()) if not one.startswith("    ")]
        told = kept("\n\n".join(blocks), f"{word.lower()}: ")
        if told:
            yield Text(word.lower(), told)


def foldoc(root: Path) -> Iterator[Text]:
    yield from foldoc_entries(read_text(root / "usr/share/dictd/foldoc.dict.dz"))


def jargon(root: Path) -> Iterator[Text]:
    yield from jargon_entries(read_text(root / "usr/share/dictd/jargon.dict.dz"))


def devil(root: Path) -> Iterator[Text]:
    yield from devil_entries(read_text(root / "usr/share/dictd/devil.dict.dz"))
