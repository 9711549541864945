"""What a token stands for: the bytes behind its spelling, and a form that people can read.

Vocabularies spell tokens in one of three ways:

    bytes    every byte of UTF-8 as one printable character (`Ġmole` is ` mole`): GPT-2 and after
    spaces   a space as `▁`, and a byte that no token holds as `<0xE2>`: SentencePiece
    plain    as it reads; `##` marks a piece that continues a word: BERT

This module knows spellings, and nothing of ids or of how texts are cut.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

__all__ = ["GLYPH_OF_BYTE", "Spelling", "bytes_behind", "shown"]

Spelling = Literal["bytes", "spaces", "plain"]


def _glyphs() -> tuple[str, ...]:
    """What stands for each byte: its own character where that prints, else one from U+0100."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    unprintable = [byte for byte in range(256) if byte not in printable]
    moved = {byte: 0x100 + index for index, byte in enumerate(unprintable)}
    return tuple(chr(moved.get(byte, byte)) for byte in range(256))


GLYPH_OF_BYTE = _glyphs()
"""How a byte-level vocabulary writes each byte (Radford et al. 2019, the GPT-2 code)."""

_BYTE_OF_GLYPH = {glyph: byte for byte, glyph in enumerate(GLYPH_OF_BYTE)}
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def bytes_behind(token: str, spelling: Spelling) -> bytes:
    """The UTF-8 that a token of the vocabulary adds to a text; it may be part of a character."""
    if spelling == "bytes" and all(glyph in _BYTE_OF_GLYPH for glyph in token):
        return bytes(_BYTE_OF_GLYPH[glyph] for glyph in token)
    if spelling == "spaces":
        if match := _BYTE_TOKEN.fullmatch(token):
            return bytes([int(match[1], 16)])
        token = token.replace("▁", " ")
    return token.encode("utf-8", "surrogatepass")


def shown(behind: bytes) -> str:
    """The form for people: `·mole` for a leading space, `⏎`, `<0xE2>` for a byte of a character.

    Nothing that steers a terminal or turns the reading direction passes unnamed.
    """
    text = behind.decode("utf-8", "surrogateescape")
    words = text.lstrip(" ")
    return "·" * (len(text) - len(words)) + "".join(map(_shown_character, words))


def _shown_character(character: str) -> str:
    if character.isprintable() or character == " ":
        return character
    if "\udc80" <= character <= "\udcff":  # how Python writes a byte that is no UTF-8
        return f"<0x{ord(character) - 0xDC00:02X}>"
    if character in _NAMED:
        return _NAMED[character]
    # Unassigned and private characters are harmless, and common in other scripts' fonts.
    if unicodedata.category(character) in ("Cn", "Co", "Zs"):
        return character
    return f"<U+{ord(character):04X}>"


_NAMED = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
