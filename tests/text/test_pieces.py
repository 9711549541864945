from __future__ import annotations

import pytest
from tests.text.plain_tokenizers import glyphs

from molehill.text.pieces import GLYPH_OF_BYTE, bytes_behind, shown


def test_the_byte_alphabet_is_gpt2s():
    assert dict(enumerate(GLYPH_OF_BYTE)) == glyphs()


@pytest.mark.parametrize(
    ("token", "spelling", "expected"),
    [
        ("Ġmole", "bytes", b" mole"),
        ("ðŁĺ", "bytes", b"\xf0\x9f\x98"),
        ("<｜end｜>", "bytes", "<｜end｜>".encode()),
        ("▁mole", "spaces", b" mole"),
        ("<0xE2>", "spaces", b"\xe2"),
        ("<0xE2>", "bytes", b"<0xE2>"),
        ("##hill", "plain", b"##hill"),
    ],
)
def test_the_bytes_behind_a_token(token, spelling, expected):
    assert bytes_behind(token, spelling) == expected


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (b" mole", "·mole"),
        (b"    ", "····"),
        (b"a b ", "a b "),
        (b"\xe2\x80", "<0xE2><0x80>"),
        (b" \xf0\x9f", "·<0xF0><0x9F>"),
        (b".\n\n", ".⏎⏎"),
        (b"\t\r", "⇥␍"),
        (b"\x00\x1b[2J", "<U+0000><U+001B>[2J"),
        ("\u202e\u200d".encode(), "<U+202E><U+200D>"),
        ("é漢😀".encode(), "é漢😀"),
        (b"", ""),
    ],
)
def test_the_form_for_people(behind, expected):
    assert shown(behind) == expected
