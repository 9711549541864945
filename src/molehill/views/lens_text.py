"""A lens as text for a terminal or a pipe, from the data of `lens_data`.

One line per point, one column per token: the nearest word, and a block that is as tall as it is
probable. Which tokens and layers have room is worked out from the width; what is left out is said.
This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from molehill.views.lens import every_layers
from molehill.views.strips import colour_of, ramp
from molehill.views.terminal import (
    FOR,
    as_text,
    closing,
    facts,
    heading,
    legend,
    marked_tokens,
    plain,
    signed,
)
from molehill.views.words import bare, enumerated, percent

__all__ = ["MOST_LINES", "lens_renderable", "lens_text"]

MOST_LINES = 18
"""Where nobody says how many layers to show, so many lines are enough for one look."""

_MARK, _BITS, _RANK = 8, 7, 8
_NARROW, _WIDE = 9, 13
"""The least and the most columns of a word."""


def lens_text(
    data: dict[str, Any],
    *,
    width: int = 80,
    tokens: tuple[int, int] | None = None,
    ascii_only: bool = False,
) -> str:
    """The whole view as plain text."""
    made = lens_renderable(data, width=width, tokens=tokens, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def lens_renderable(
    data: dict[str, Any],
    *,
    width: int = 80,
    tokens: tuple[int, int] | None = None,
    ascii_only: bool = False,
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns.

    Args:
        tokens: the first column and the one after the last; None takes the last that have room.
    """
    return Group(*_Grid(data, width, tokens, ascii_only).parts())


class _Grid:
    """One lens on its way to the terminal: which of its points and tokens are drawn."""

    def __init__(
        self,
        data: dict[str, Any],
        width: int,
        tokens: tuple[int, int] | None,
        ascii_only: bool,
    ) -> None:
        self.data, self.width, self.ascii = data, width, ascii_only
        self.entropy = data["ruler"] == "logit"
        self.tracked = list(enumerate(data["tracked"]))[: max(0, (width - 40) // _RANK)]
        right = (_BITS if self.entropy else 0) + _RANK * len(self.tracked)
        free = max(_NARROW, width - _MARK - right)
        self.asked = tokens or (0, data["focus"] + 1)
        first, last = self.asked
        # Of what was asked for, the last tokens: they have read the most.
        shown = min(last - first, free // _NARROW)
        self.columns = range(last - shown, last)
        self.cell = min(_WIDE, free // shown)
        self.rows, self.every = self._lines()

    def _lines(self) -> tuple[list[int], int | None]:
        """Which points have a line, and every how many layers that is, where it was chosen here."""
        names = [point["name"] for point in self.data["points"]]
        if self.data["every"] is not None:
            return list(range(len(names))), None
        every = 1
        while len(every_layers(names, every)) > MOST_LINES:
            every += 1
        return every_layers(names, every), every

    def parts(self) -> Iterator[RenderableType]:
        data, dot = self.data, " - " if self.ascii else " · "
        made = data["provenance"]
        title = Text("lens", style="bold")
        yield title.append(f"{dot}ruler {data['ruler']}{dot}{made['model']}, {made['dtype']}")
        last = self.columns[-1]
        yield Padding(marked_tokens(data["pieces"], {last: FOR}), (0, 0, 0, 2))
        yield Text()
        for line in data["summary"]:
            yield Padding(plain(line), (0, 0, 0, 2))
        yield heading("The nearest word at every point")
        yield self._head()
        for row in self.rows:
            yield self._line(row)
        yield legend(self._explained())
        left = self._left_out()
        if left:
            yield legend(left)
        yield heading("The nearest words of the last column")
        yield self._nearest(last)
        yield from closing(data["notes"], made, ascii_only=self.ascii)

    def _head(self) -> Text:
        line = Text(" " * _MARK)
        for place in self.columns:
            line.append(_cell(f" {bare(self.data['pieces'][place])}", self.cell), style="bold")
        if self.entropy:
            line.append(f"{'bits':>{_BITS}}", style="dim")
        for number, word in self.tracked:
            name = _cell(bare(word["piece"]), _RANK).rstrip()
            space = " " * (_RANK - cell_len(name))
            line.append(f"{space}{name}", style=f"bold {colour_of(number + 1)}")
        return line

    def _line(self, row: int) -> Text:
        data = self.data
        line = Text("  ")
        line.append(f"{self._mark(row):<{_MARK - 2}}", style="dim")
        for place in self.columns:
            line.append_text(self._word(data["readings"][row][place]))
        last = data["readings"][row][self.columns[-1]]
        if self.entropy:
            line.append(f"{signed(last['entropy'], 1):>{_BITS}}")
        for number, _ in self.tracked:
            rank = last["ranks"][number]
            told = "-" if rank is None else f"{rank + 1:,}"
            line.append(f"{told:>{_RANK}}", style=colour_of(number + 1))
        return line

    def _mark(self, row: int) -> str:
        """A layer's end by the layer's number alone: no line is anything else."""
        return self.data["points"][row]["mark"].removesuffix(" MLP")

    def _word(self, reading: dict[str, Any]) -> Text:
        if not reading["words"]:
            return Text(" " * self.cell)
        value = reading["probabilities"][0] if self.entropy else reading["scores"][0]
        block = ramp(value, 1.0, ascii_only=self.ascii)
        word = _cell(bare(reading["words"][0]), self.cell - 1).rstrip()
        known = value is not None and value >= 0.5
        style = "bold" if known else "" if value is not None and value >= 0.1 else "dim"
        made = Text(block, style=FOR).append(word, style=style)
        return made.append(" " * (self.cell - cell_len(word) - 1))

    def _explained(self) -> str:
        value = "probability" if self.entropy else "cosine"
        told = f"The block before a word is its {value}, full at 1."
        if self.entropy:
            told += " Bits: the entropy of the last column's next word."
        if self.tracked:
            told += " On the right: the rank of the tracked words there, 1 for the nearest."
        return told

    def _left_out(self) -> str:
        """Every token, layer and word that has no room, and how to see it."""
        told = []
        length = len(self.data["pieces"])
        hidden = [_range(0, self.columns[0])] if self.columns[0] else []
        if self.columns[-1] < length - 1:
            hidden.append(_range(self.columns[-1] + 1, length))
        if hidden:
            told.append(
                f"Of {length} tokens, {enumerated(hidden)} are left out: --tokens A:B shows others."
            )
        if self.every is not None and self.every > 1:
            told.append(f"Every {_ordinal(self.every)} layer is shown; --every 1 shows each.")
        elif self.data["every"] is not None and self.data["every"] > 1:
            told.append(f"Every {_ordinal(self.data['every'])} layer is shown, as asked.")
        if any(point["name"].endswith("resid_mid") for point in self.data["points"]) or any(
            name.endswith("resid_mid") for name in self.data["points_left_out"]
        ):
            told.append("A number is a layer's end; --json holds the points after attention too.")
        if len(self.tracked) < len(self.data["tracked"]):
            told.append(
                f"{len(self.data['tracked']) - len(self.tracked)} tracked words have no room."
            )
        return " ".join(told)

    def _nearest(self, place: int) -> RenderableType:
        """More of the nearest words, at a few points."""
        rows = self.rows
        entries = []
        for row in sorted({rows[0], rows[len(rows) // 2], rows[3 * len(rows) // 4], rows[-1]}):
            reading = self.data["readings"][row][place]
            values = reading.get("probabilities")
            told = [
                f"{bare(word)} {percent(values[n]) if values else signed(reading['scores'][n])}"
                for n, word in enumerate(reading["words"])
            ]
            entries.append((self.data["points"][row]["mark"], ", ".join(told)))
        return facts(entries)


def _cell(text: str, width: int) -> str:
    """Text in so many columns, with an ellipsis where it is cut and a space at its end."""
    if cell_len(text) < width:
        return set_cell_size(text, width)
    return set_cell_size(text, width - 2) + "… "


def _ordinal(number: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _range(first: int, end: int) -> str:
    return str(first) if end - first == 1 else f"{first} to {end - 1}"
