"""Games tell of people, places, animals and things: the free texts in their data files."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from lexicon.clean import prose, sentence, tidy
from lexicon.debian import read_text, under
from lexicon.records import Text

__all__ = [
    "crawl",
    "json_strings",
    "lua_strings",
    "quoted",
    "space_strings",
    "stories",
    "wml_strings",
]


def wml_strings(text: str) -> Iterator[str]:
    """Wesnoth: what stands in `_ "..."`, where a doubled quotation mark is one."""
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    for found in re.findall(r"_\s*\"((?:[^\"]|\"\")*)\"", text):
        yield re.sub(r"<[^<>]*>|^\*?\s*", "", found.replace('""', '"'))


def space_strings(text: str) -> Iterator[str]:
    """Endless Sky: strings in quotation marks or backticks; the player's name is told."""
    text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
    known = {
        "first": "Morgan",
        "last": "Reed",
        "ship": "Heron",
        "origin": "Earth",
        "planet": "Poisonwood",
    }
    for ticked, marked in re.findall(r"`([^`\n]{20,})`|\"([^\"\n]{40,})\"", text):
        found = re.sub(r"<(\w+)>", lambda name: known.get(name[1], name[0]), ticked or marked)
        yield found


def lua_strings(text: str) -> Iterator[str]:
    """Naev, Widelands, FreedroidRPG: `_("...")`, `_"..."`, `_([[...]])` and long strings."""
    for long, short in re.findall(
        r"\[\[(.*?)\]\]|_\(?\s*\"((?:[^\"\\\n]|\\.)*)\"", text, re.DOTALL
    ):
        yield (long or short).replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'")


def xml_strings(text: str) -> Iterator[str]:
    """Naev's planets: what their descriptions and bars say."""
    for _, found in re.findall(r"<(description|bar|gfx_desc)>([^<>]{40,})</", text):
        yield found.replace("&amp;", "&").replace("&quot;", '"').replace("&apos;", "'")


def json_strings(text: str) -> Iterator[str]:
    """Cataclysm: every string of the data that is long enough to be told to the player."""

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, dict):
            for key, one in value.items():
                if not str(key).startswith("//"):
                    yield from walk(one)
        elif isinstance(value, list):
            for one in value:
                yield from walk(one)
        elif isinstance(value, str) and len(value) > 30:
            yield value

    try:
        yield from walk(json.loads(text))
    except json.JSONDecodeError:
        return


def crawl(text: str) -> Iterator[str]:
    """Dungeon Crawl: `%%%%`, a name, a blank line, and what it is."""
    for part in text.split("%%%%"):
        name, _, told = part.strip().partition("\n\n")
        if told and not told.lstrip().startswith(("{{", ":")) and name[:1].isalpha():
            yield told


def quoted(text: str) -> Iterator[str]:
    """Freeciv: long strings after `_(`, their parts joined."""
    for found in re.findall(r"_\(\s*\"((?:[^\"\\]|\\.)*)\"\s*\)", text, re.DOTALL):
        yield re.sub(r"\\\n", "", found).replace("\\n", "\n").replace('\\"', '"')


# (folder, pattern, reader)
PLACES: tuple[tuple[str, str, Callable[[str], Iterator[str]]], ...] = (
    ("usr/share/games/wesnoth", "*/data/**/*.cfg", wml_strings),
    ("usr/share/games/endless-sky/data", "**/*.txt", space_strings),
    ("usr/share/naev/dat", "**/*.xml", xml_strings),
    ("usr/share/naev/dat", "**/*.lua", lua_strings),
    ("usr/share/games/cataclysm-dda/json", "**/*.json", json_strings),
    ("usr/share/crawl/dat/descript", "[a-pr-z]*.txt", crawl),
    ("usr/share/games/freeciv", "**/*.ruleset", quoted),
    ("usr/share/games/freeciv", "helpdata.txt", quoted),
    ("usr/share/games/widelands/data", "**/*.lua", lua_strings),
    ("usr/share/freedroidrpg/data", "**/*.lua", lua_strings),
)


def paragraphs(strings: Iterator[str]) -> Iterator[str]:
    """Of each string, the paragraphs that are prose."""
    for string in strings:
        for block in re.split(r"\n\s*\n|\\n\\n", string):
            plain = tidy(block).replace("\n", " ")
            if prose(plain) and "%" not in plain:
                yield sentence(plain)


def stories(root: Path) -> Iterator[Text]:
    """All places, a file's paragraphs in their order."""
    for folder, pattern, read in PLACES:
        for path in under(root, folder, pattern):
            told = "\n\n".join(paragraphs(read(read_text(path))))
            if told:
                yield Text(path.stem, told, folder)
