"""Help and books: HTML, DocBook, Mallard and Info become the paragraphs that are prose."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

from lexicon.clean import line_up, prose, sentence, tidy
from lexicon.debian import read_text, under
from lexicon.records import Text

__all__ = [
    "MONEY",
    "MUSIC",
    "PICTURES",
    "SKY",
    "SYSTEM",
    "info_paragraphs",
    "manual",
    "page_paragraphs",
]

Place = tuple[str, str]  # (folder, pattern of file names)
MUSIC: Sequence[Place] = (
    ("usr/share/info", "music-glossary*.gz"),
    ("usr/share/info", "lilypond-learning*.gz"),
    ("usr/share/info", "lilypond-essay*.gz"),
    ("usr/share/doc/solfege/help/C", "*.html"),
)
MONEY: Sequence[Place] = (
    ("usr/share/doc/gnucash-docs/gnucash-guide-en", "*.html"),
    ("usr/share/doc/gnucash-docs/gnucash-guide", "*.html"),
    ("usr/share/doc/gnucash-docs/gnucash-help-en", "*.html"),
    ("usr/share/doc/homebank-data/help", "*.html"),
    ("usr/share/homebank/help", "*.html"),
    ("usr/share/doc/HTML/en/kmymoney", "*.docbook"),
)
SKY: Sequence[Place] = (
    ("usr/share/stellarium", "landscapes/*/description.en.utf8"),
    ("usr/share/stellarium", "skycultures/*/description.en.utf8"),
    ("usr/share/doc/HTML/en/kstars", "*.docbook"),
    ("usr/share/doc/HTML/en/kalzium", "*.docbook"),
    ("usr/share/doc/HTML/en/marble", "*.docbook"),
)
PICTURES: Sequence[Place] = (("usr/share/gimp/2.0/help/en", "*.html"),)
SYSTEM: Sequence[Place] = (
    ("usr/share/help/C", "*/*.page"),
    ("usr/share/doc/debian-handbook/html/en-US", "*.html"),
    ("usr/share/debian-reference", "*.en.html"),
    ("usr/share/doc/installation-guide-amd64/en", "*.html"),
    ("usr/share/doc/cfi", "**/*.htm"),
    ("usr/share/doc/cfi-en", "**/*.htm*"),
    ("usr/share/developers-reference", "*.html"),
    ("usr/share/doc/debian/FAQ", "*.en.html"),
    ("usr/share/libreoffice/help/en-US/text", "*/guide/*.html"),
)
_PARAGRAPH = "p para simpara title h1 h2 h3 dd li td th dt item term desc blockquote"
_SKIPPED = """
script style head pre programlisting screen table informaltable nav footer header info
literallayout note-footer bookinfo legalnotice revhistory synopsis figure math
"""
PARAGRAPH = frozenset(_PARAGRAPH.split())
SKIPPED = frozenset(_SKIPPED.split())
VOID = frozenset({"br", "hr", "img", "meta", "link", "input", "col", "area", "base", "wbr"})


class Paragraphs(HTMLParser):
    """Collects the text of paragraphs; what stands within a skipped element is not read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.held: list[str] = []
        self.skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        tag = tag.split(":")[-1]
        if tag in VOID:
            self.held.append(" ")
        elif tag in SKIPPED:
            self.skipped.append(tag)
        elif tag in PARAGRAPH:
            self.end()

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.held.append(" ")

    def handle_endtag(self, tag: str) -> None:
        tag = tag.split(":")[-1]
        if self.skipped and tag == self.skipped[-1]:
            self.skipped.pop()
        elif tag in PARAGRAPH or tag in ("div", "body", "section"):
            self.end()

    def handle_data(self, data: str) -> None:
        if not self.skipped:
            self.held.append(data)

    def end(self) -> None:
        text = line_up(tidy("".join(self.held)).replace("\n", " "))
        self.held = []
        if text:
            self.found.append(text)


def page_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a page of HTML, DocBook or Mallard that are prose."""
    text = re.sub(r"<\?.*?\?>|<!DOCTYPE[^>\[]*(?:\[.*?\]\s*)?>", "", text, flags=re.DOTALL)
    text = re.sub(
        r"&(?!amp;|lt;|gt;|quot;|apos;|#|nbsp;|[a-z]dquo;|[a-z]squo;|mdash;|ndash;)([\w.-]+);",
        named,
        text,
    )
    reader = Paragraphs()
    reader.feed(text)
    reader.end()
    yield from (one for one in reader.found if prose(one, words=8))


def named(entity: re.Match[str]) -> str:
    """A manual's own abbreviations: `&kstars;` is KStars, more or less."""
    known = {
        "kde": "KDE",
        "kstars": "KStars",
        "kmymoney": "KMyMoney",
        "kalzium": "Kalzium",
        "marble": "Marble",
    }
    return known.get(entity[1], entity[0] if entity[1].isalpha() and len(entity[1]) > 4 else "<?>")


def info_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of an Info file that are prose; menus, notes and indices are not."""
    text = re.sub(r"\x1f.*?\n.*?\n|\*[Nn]ote ([^:]*)(?:::|:[^.]*\.)", r"\1", text)
    for block in re.split(r"\n[ \t]*\n", text):
        plain = line_up(tidy(block).replace("\n", " ").replace("'", "'"))
        plain = re.sub(r"^(?:EN|ES|FR|I|D|NL|DK|S|FI): .*", "", plain)
        if prose(plain, words=8) and "::" not in plain:
            yield sentence(plain)


def manual(root: Path, places: Sequence[Place]) -> Iterator[Text]:
    """Every page of some places, its paragraphs in their order."""
    for folder, pattern in places:
        for path in under(root, folder, pattern):
            read = info_paragraphs if path.suffix == ".gz" else page_paragraphs
            told = "\n\n".join(read(read_text(path)))
            if told:
                yield Text(path.name, told, folder)
