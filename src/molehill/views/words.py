"""Plain words for what the records name shortly: points, parts, tokens, shares.

Every view says the same thing in the same words, because it asks here. This module knows records'
names and no drawing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = [
    "after",
    "bare",
    "clipped",
    "component",
    "density_told",
    "enumerated",
    "numbered",
    "percent",
    "point_mark",
    "readable",
    "significant",
    "visible",
    "whole_word",
]

_COMPONENT = re.compile(r"(\d+) (attention|MLP)( .*)?")


def after(point: str, points: Sequence[str]) -> str:
    """Where a point lies, as in `they part ...`: `after attention of layer 3`.

    Args:
        point: its name.
        points: all of the journey: where there is no point between attention and MLP, a layer is
            one step.
    """
    if point == "embed":
        return "at the start"
    if point == "final":
        return "after the last norm"
    layer, _, kind = point.partition(".")
    if kind == "resid_pre":
        return "after its position was added"
    if kind == "resid_mid":
        return f"after attention of layer {layer}"
    return f"after {'the MLP of ' if f'{layer}.resid_mid' in points else ''}layer {layer}"


def point_mark(point: str, points: Sequence[str], *, short: bool = False) -> str:
    """A point in a table's cell: `3 attn`, `3 MLP`, `end`; shorter still `3a`, `3m`."""
    if point == "embed":
        return "0" if short else "start"
    if point == "final":
        return "end"
    layer, _, kind = point.partition(".")
    if kind == "resid_pre":
        return "pos"
    if kind == "resid_mid":
        return f"{layer}a" if short else f"{layer} attn"
    if f"{layer}.resid_mid" not in points:
        return layer
    return f"{layer}m" if short else f"{layer} MLP"


def component(label: str) -> str:
    """A part of the model as a ledger labels it, in words: `4 MLP` is `the MLP of layer 4`."""
    found = _COMPONENT.fullmatch(label)
    if found is None:
        return label
    layer, name, rest = found.groups()
    name = "MLP" if name == "MLP" else "attention"
    return f"{name} of layer {layer}{f' ({rest.strip()})' if rest else ''}"


def whole_word(text: str, span: tuple[int, int], piece: str) -> str:
    """The word of `text` in which a token stands: `traitor` for the token `itor`.

    Where there is no word around it (punctuation, a special token, a script without spaces), the
    token itself.
    """
    start, end = span
    if end <= start:
        return piece
    if not any(map(_letter, text[start:end])):
        return text[start:end].strip() or piece
    # Far enough for any word; scripts without spaces would otherwise give whole sentences.
    left, right, most = start, end, 24
    while left > 0 and _letter(text[left - 1]) and end - left < most:
        left -= 1
    while right < len(text) and _letter(text[right]) and right - left < most:
        right += 1
    if right - left >= most:
        return text[start:end].strip() or piece
    return text[left:right].strip()


def _letter(character: str) -> bool:
    return character.isalnum() or character in "'’_-"


def readable(pieces: Iterable[str], count: int, *, spaced: bool) -> list[str]:
    """The first `count` pieces that are words of their own, each once whatever its case.

    Fragments stand in for them where there are too few words.

    Args:
        spaced: whether a piece that begins a word says so by a leading space (`·mole`).
    """
    words: dict[str, str] = {}
    fragments: dict[str, str] = {}
    for piece in pieces:
        bare = piece.lstrip("·").removeprefix("##")
        begins = piece.startswith("·") if spaced else not piece.startswith("##")
        whole = begins and len(bare) > 2 and bare.isalpha()
        (words if whole else fragments).setdefault(bare.casefold(), bare if whole else piece)
    chosen = list(words.values())[:count]
    return chosen + list(fragments.values())[: max(0, min(count, 1) - len(chosen))]


def numbered(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it is one: `1 density`, `1,024 densities`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun[:-1]}ies" if noun.endswith("y") else f"{number:,} {noun}s"


def percent(share: float | None) -> str:
    """A share as people write it: `12%`, `0.4%`, `−3%`; what is not a number says so."""
    if share is None or share != share:
        return "not finite"
    value = 100 * share
    shown = f"{abs(value):.1f}" if abs(value) < 0.95 else f"{abs(value):.0f}"
    return f"{'−' if value < 0 and float(shown) else ''}{shown}%"


def density_told(density: float) -> str:
    """How often a feature is active, as its page says it too: `12%`, `0.3%`, `27 ppm`."""
    rare = 0 < density < 0.0005
    return f"{round(1e6 * density)} ppm" if rare else percent(density)


def significant(value: float | None, digits: int = 7) -> float | None:
    """A number rounded to so many digits; None for what JSON does not have."""
    if value is None or value != value or value in (float("inf"), float("-inf")):
        return None
    return float(f"{value:.{digits - 1}e}")


def enumerated(items: Sequence[object], *, last: str = "and") -> str:
    """`a, b and c`."""
    names = [str(item) for item in items]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def visible(text: str) -> str:
    """Text that cannot steer a terminal: white space becomes a space, and what does not print (or
    would turn the reading direction) its number, `<U+001B>`."""
    return "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() and character < "\x7f" else f"<U+{ord(character):04X}>"


def bare(piece: str) -> str:
    """A token or word for a list: without its leading space, and quoted where it is punctuation."""
    told = visible(piece.removeprefix("·")) or piece
    return told if any(map(str.isalnum, told)) else f"“{told}”"


def clipped(text: str, width: int) -> str:
    """At most `width` characters, the middle left out: both ends of a sentence tell more."""
    text = " ".join(text.split())
    if len(text) <= width:
        return text
    tail = width // 3
    return f"{text[: width - tail - 1].rstrip()}…{text[len(text) - tail :].lstrip()}"
