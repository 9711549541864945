"""Two English Bibles: King James's, as its program prints it, and the World English Bible."""

from __future__ import annotations

import re
import struct
import subprocess
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from lexicon.clean import line_up
from lexicon.records import Text

__all__ = ["king_james", "plain_verse", "sword_verses", "world_english"]

VERSES = 6  # in a paragraph


def paragraphs(book: str, verses: Iterable[str]) -> Iterator[Text]:
    """Verses in their order, some to a paragraph."""
    held: list[str] = []
    for verse in verses:
        held.append(verse)
        if len(held) == VERSES:
            yield Text(book, " ".join(held), book)
            held = []
    if held:
        yield Text(book, " ".join(held), book)


def king_james(root: Path) -> Iterator[Text]:
    """The text is packed in a format of its own, so the program of its package unpacks it."""
    command = [str(root / "usr/bin/bible"), "-f", "gen1:1-rev22:21"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    books: dict[str, list[str]] = {}
    for line in told.split("\n"):
        found = re.match(r"(\w+?)\d+:\d+\s+(.+)$", line)
        if found:
            books.setdefault(found[1], []).append(found[2])
    for book, verses in books.items():
        yield from paragraphs(book, verses)


def sword_verses(folder: Path, testament: str) -> Iterator[str]:
    """A compressed SWORD text: blocks of zlib, and for each verse its block, start and size."""
    packed = (folder / f"{testament}.bzz").read_bytes()
    places = struct.iter_unpack("<III", (folder / f"{testament}.bzs").read_bytes())
    blocks = [zlib.decompress(packed[start : start + size]) for start, size, _ in places]
    for block, start, size in struct.iter_unpack(
        "<IIH", (folder / f"{testament}.bzv").read_bytes()
    ):
        if size:
            yield blocks[block][start : start + size].decode("utf-8", errors="replace")


def plain_verse(verse: str) -> str:
    """A verse without notes, titles and the mark-up of OSIS."""
    verse = re.sub(r"<(note|title)\b.*?</\1>", "", verse, flags=re.DOTALL)
    return line_up(re.sub(r"<[^<>]*>", " ", verse).replace("¶", ""))


def world_english(root: Path) -> Iterator[Text]:
    folder = root / "usr/share/sword/modules/texts/ztext/engWEB2015eb"
    for testament in ("ot", "nt"):
        verses = (plain_verse(verse) for verse in sword_verses(folder, testament))
        yield from paragraphs(testament, (verse for verse in verses if len(verse.split()) > 2))
