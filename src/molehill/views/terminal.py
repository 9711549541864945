"""What the views for a terminal share: plain text from a layout, headings, signed bars, the foot.

Every part reads the same without colour. This module knows rich and no result.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.words import visible

__all__ = [
    "Bar",
    "as_text",
    "closing",
    "facts",
    "heading",
    "in_ascii",
    "legend",
    "marked_tokens",
    "plain",
    "scientific",
    "signed",
    "signed_bars",
]

FOR, AGAINST = "#2f86d1", "#d9622b"

Bar = tuple[str, float | None, str]
"""A name, a number and how the number is written."""


_ASCII = str.maketrans("“”„‘’−–…·→×█▒▏│‖ᵀ²⁴₁₂°", "\"\"\"''--~_>x#-.||'2412 ")
"""One character for one, so that a layout keeps its columns: `~` is where something was cut, `_` is
the space before a word."""


def in_ascii(text: str) -> str:
    """What views write, in ASCII; the letters of a person's own text stay as they are."""
    return text.replace(" · ", " - ").translate(_ASCII)


def as_text(renderable: RenderableType, width: int, *, ascii_only: bool = False) -> str:
    """A layout as plain text, without colour or spaces at the ends of lines."""
    sink = StringIO()
    console = Console(file=sink, width=width, no_color=True, highlight=False, legacy_windows=False)
    console.print(renderable)
    text = "\n".join(line.rstrip() for line in sink.getvalue().splitlines()) + "\n"
    return in_ascii(text) if ascii_only else text


def heading(text: str) -> Padding:
    return Padding(Text(text.upper(), style="bold"), (1, 0, 0, 0))


def legend(text: str) -> Padding:
    return Padding(Text(visible(text), style="dim"), (0, 0, 0, 3))


def plain(text: str) -> Text:
    return Text(visible(text), overflow="fold")


def signed(value: float | None, digits: int = 2, *, plus: bool = False) -> str:
    """A number with a proper minus; with `plus`, its sign in any case."""
    if value is None:
        return "not finite"
    if abs(value) >= 100:
        digits = 0
    shown = f"{abs(value):.{digits}f}"
    nought = not float(shown)
    return f"{'−' if value < 0 and not nought else '+' if plus and not nought else ''}{shown}"


def scientific(error: float | None) -> str:
    return "not finite" if error is None else "0" if error == 0 else f"{error:.1e}"


def signed_bars(
    bars: Sequence[Bar], width: int, *, ascii_only: bool = False, names: int = 34
) -> RenderableType:
    """Numbers as bars to the right of a common line, negative ones to its left and of other ink.

    Args:
        names: the most columns that names may take.
    """
    values = [value or 0.0 for _, value, _ in bars]
    longest = max((len(name) for name, _, _ in bars), default=0)
    numbers = max((len(told) for _, _, told in bars), default=0)
    names = min(names, longest, max(8, width - numbers - 20))
    room = max(6, min(60, width - names - numbers - 7))
    least, most = min([0.0, *values]), max([0.0, *values])
    span = (most - least) or 1.0
    left = round(room * -least / span)
    table = Table.grid(padding=(0, 2))
    table.add_column(width=names, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right", no_wrap=True, min_width=numbers)
    table.add_column(no_wrap=True)
    for (name, _, told), value in zip(bars, values, strict=True):
        table.add_row(plain(name), told, _bar(value, room / span, left, ascii_only))
    return Padding(table, (0, 0, 0, 2))


def _bar(value: float, scale: float, left: int, ascii_only: bool) -> Text:
    forward, back, line = ("#", "-", "|") if ascii_only else ("█", "▒", "│")
    length = round(abs(value) * scale)
    # Too short to draw is still not nothing.
    least = ("." if ascii_only else "▏") if value > 0 else ""
    if value < 0:
        length = min(length, left)
        drawn = Text(" " * (left - length)) + Text(back * length, style=AGAINST)
        return drawn + Text(line, style="dim")
    drawn = Text(" " * left) + Text(line, style="dim")
    return drawn + Text(forward * length or least, style=FOR)


def facts(entries: Iterable[tuple[str, str | Text]]) -> RenderableType:
    """Names with what is told of them, in two columns."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim", min_width=10)
    table.add_column(overflow="fold")
    for name, told in entries:
        table.add_row(name, told if isinstance(told, Text) else plain(told))
    return Padding(table, (0, 0, 0, 2))


def marked_tokens(pieces: Sequence[str], marks: dict[int, str], *, most: int = 60) -> Text:
    """A text as its tokens, the marked positions in brackets and in a colour; of a long text, what
    stands around the marks."""
    places = sorted(marks) or [len(pieces) - 1]
    first = max(0, min(places) - most // 2)
    last = min(len(pieces), max(places) + most // 2)
    shown = Text(f"… ({first} tokens before) " if first else "", style="dim")
    spaced = any(piece.startswith("·") for piece in pieces)
    for place in range(first, last):
        piece = visible(pieces[place])
        begins = piece.startswith("·") and len(piece) > 1
        # Vocabularies without a mark for a space mark what continues a word instead.
        space = " " if (begins if spaced else place > first and not piece.startswith("##")) else ""
        word = piece[1:] if begins else piece.removeprefix("##")
        if place in marks:
            shown.append(space).append(f"[{word}]", style=f"bold {marks[place]}")
        else:
            shown.append(f"{space}{word}", style="default")
    if last < len(pieces):
        shown.append(f" … ({len(pieces) - last} tokens after)", style="dim")
    return shown


def closing(lines: Iterable[str], made: dict[str, Any], *, ascii_only: bool) -> Iterator[Any]:
    """The foot of a view: what to believe of it, and where it comes from."""
    yield heading("To be sure")
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    told = (
        f"Model {made['model']}, fingerprint {made['fingerprint'][:12]}, {made['dtype']}, "
        f"Molehill {made['version']}, {made['checked']['told']}."
    )
    for line in [*lines, told]:
        table.add_row("  -" if ascii_only else "  ·", plain(line))
    yield table
