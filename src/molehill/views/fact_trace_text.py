"""Causal traces as text for a terminal or a pipe, from the data of `views/fact_trace.py`.

One map per kind: a row per token or role, layers across, a shade per effect, and each row's largest
effect in figures. Layers are grouped where there is no room for all, and rows without an effect of
note left out; both are said. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from molehill.views.fact_trace import (
    RELATION_SCHEMA,
    amount,
    first_row,
    interval,
    largest_effect,
    maps_of,
)
from molehill.views.terminal import (
    AGAINST,
    FOR,
    as_text,
    closing,
    facts,
    heading,
    legend,
    marked_tokens,
    plain,
)
from molehill.views.words import bare, clipped, enumerated

__all__ = ["MOST_ROWS", "fact_trace_renderable", "fact_trace_text"]

MOST_ROWS = 24
"""A map shows so many tokens: those with the largest effects, in their order."""

_SHADES, _LESS = "░▒▓█", "−="
_ASCII_SHADES, _ASCII_LESS = ".+#@", "-="
_NAMES = 16
"""The most columns that a row's name takes."""
_ROLES = {
    "first subject token": "first",
    "middle subject tokens": "middle",
    "last subject token": "last",
    "first further token": "next",
    "further tokens": "between",
    "last token": "end",
}


def fact_trace_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view of a fact's or a relation's trace as plain text."""
    made = fact_trace_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def fact_trace_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_Maps(data, width, ascii_only).parts())


class _Maps:
    """One trace on its way to the terminal: which rows are drawn, and how wide a layer is."""

    def __init__(self, data: dict[str, Any], width: int, ascii_only: bool) -> None:
        self.data, self.ascii = data, ascii_only
        self.relation = data["schema"] == RELATION_SCHEMA
        self.largest = largest_effect(data)
        self.rows = self._kept()
        self.figures = max(
            len("most"),
            *(len(amount(most[1])) for one in maps_of(data).values() for most in self._mosts(one)),
        )
        names = [cell_len(self._name(row)) for row in self.rows]
        self.at = len(str(data["layers"] - 1)) + 1
        right = 1 + self.figures + max(self.at, 3)
        self.names = min(_NAMES, max(names))
        room = width - 3 - self.names - right
        if room < 2 * data["layers"] <= room + self.names - 8:
            # A long token is cut before its map is.
            self.names, room = 8, room + self.names - 8
        self.step = max(1, -(-data["layers"] // max(1, room)))
        self.groups = -(-data["layers"] // self.step)
        self.cell = max(1, min(4, room // self.groups))

    def _kept(self) -> list[int]:
        """From the subject on, where nothing before it has an effect; of many, the largest."""
        largest = [max(abs(cell or 0.0) for cell in column) for column in self._columns()]
        rows = list(range(first_row(self.data), len(largest)))
        chosen = sorted(rows, key=lambda row: -largest[row])[:MOST_ROWS]
        return sorted(chosen)

    def _columns(self) -> list[list[float | None]]:
        """Every row's effects in all maps, one after another."""
        lines = [line for one in maps_of(self.data).values() for line in one["effects"]]
        return [list(column) for column in zip(*lines, strict=True)]

    def _mosts(self, one: dict[str, Any]) -> list[tuple[int, float]]:
        """The layer and the value of each row's largest effect in size."""
        found = []
        for row in self.rows:
            column = [line[row] or 0.0 for line in one["effects"]]
            layer = max(range(len(column)), key=lambda place: abs(column[place]))
            found.append((layer, column[layer]))
        return found

    def parts(self) -> Iterator[RenderableType]:
        data, dot = self.data, " - " if self.ascii else " · "
        made = data["provenance"]
        title = Text("causal trace", style="bold")
        yield title.append(f"{dot}{made['model']}, {made['dtype']}")
        yield Padding(self._asked(), (0, 0, 0, 2))
        yield Text()
        for line in data["summary"]:
            yield Padding(plain(line), (0, 0, 0, 2))
        for number, one in enumerate(maps_of(data).values()):
            yield heading(_title(one))
            yield from self._map(one, axis=number == 0)
        yield legend(self._explained())
        left = self._left_out()
        if left:
            yield legend(left)
        if self.relation:
            yield heading("The facts")
            yield facts(self._counts())
        yield from closing(data["notes"], made, ascii_only=self.ascii)

    def _asked(self) -> Text:
        if self.relation:
            count = len(self.data["facts"])
            return plain(f"{self.data['relation']}: the mean of {count} facts")
        first, end = self.data["subject_span"]
        pieces = [row["name"] for row in self.data["rows"]]
        text = marked_tokens(pieces, dict.fromkeys(range(first, end), FOR))
        arrow = " > " if self.ascii else " → "
        return text.append(arrow).append(plain(self.data["target"].strip()))

    def _map(self, one: dict[str, Any], *, axis: bool) -> Iterator[RenderableType]:
        yield self._head()
        mosts = self._mosts(one)
        for row, most in zip(self.rows, mosts, strict=True):
            yield self._line(one, row, most)
        told = self._told_peak(one)
        if told:
            yield legend(told)

    def _head(self) -> Text:
        """Layers by their numbers, every so many that there is room for."""
        line = [" "] * (self.groups * self.cell)
        every = next(
            number
            for number in (1, 2, 4, 5, 10, 20, 50, 100, 1000)
            if number * self.cell > self.step * (len(str(self.data["layers"])) + 1)
        )
        for layer in range(0, self.data["layers"], every):
            place = layer // self.step * self.cell
            told = str(layer)
            if place + len(told) <= len(line):
                line[place : place + len(told)] = told
        text = Text(" " * (self.names + 3) + "".join(line), style="dim")
        return text.append(f" {'most':>{self.figures}}{'at':>{max(self.at, 3)}}")

    def _line(self, one: dict[str, Any], row: int, most: tuple[int, float]) -> Text:
        name = set_cell_size(self._name(row), self.names)
        subject = self.data["rows"][row]["subject"]
        line = Text("* " if subject else "  ", style=f"bold {FOR}")
        line.append(f"{name} ", style="bold" if subject else "")
        column = [line[row] for line in one["effects"]]
        for start in range(0, len(column), self.step):
            mark, style = self._shade(_furthest(column[start : start + self.step]))
            line.append(mark * self.cell, style=style)
        layer, value = most
        if value:
            strong = self._is_peak(one, row)
            told = f" {amount(value):>{self.figures}}{layer:>{max(self.at, 3)}}"
            line.append(told, style="bold" if strong else "dim")
        return line

    def _is_peak(self, one: dict[str, Any], row: int) -> bool:
        return one["peak"] is not None and one["peak"]["row"] == row

    def _shade(self, value: float | None) -> tuple[str, str]:
        if value is None:
            return "?", f"bold {AGAINST}"
        share = value / self.largest
        if share >= 0.05:
            marks = _ASCII_SHADES if self.ascii else _SHADES
            return marks[min(3, int(share * 4))], FOR
        if share <= -0.05:
            marks = _ASCII_LESS if self.ascii else _LESS
            return marks[share <= -0.25], AGAINST
        return " ", ""

    def _name(self, row: int) -> str:
        told = self.data["rows"][row]
        return _ROLES.get(told["role"], told["role"]) if self.relation else bare(told["name"])

    def _told_peak(self, one: dict[str, Any]) -> str:
        """The largest effect with its error or interval."""
        peak = one["peak"]
        if peak is None:
            return ""
        name = self.data["rows"][peak["row"]]["name"]
        name = f"the {name}" if self.relation else f"“{bare(name).strip('“”')}”"
        line, row = peak["layer"], peak["row"]
        low, high = interval(one, line, row)
        sure = "" if low is None else f" ({amount(low)} to {amount(high)})"
        told = f"Most: {amount(peak['effect'])}{sure} at {name}, layer {line}."
        if "correlation" in one:
            told += f" Correlation with the exact effects: {amount(one['correlation'])}."
        return told

    def _explained(self) -> str:
        shades = _ASCII_SHADES if self.ascii else _SHADES
        steps = [0.05, 0.25, 0.5, 0.75]
        told = ", ".join(
            f"{mark} from {amount(share * self.largest)}"
            for mark, share in zip(shades, steps, strict=True)
        )
        marks = _ASCII_LESS if self.ascii else _LESS
        told = (
            f"Across: layers. * the subject's tokens. {told}; {marks[0]} below "
            f"{amount(-0.05 * self.largest)}, {marks[1]} below {amount(-0.25 * self.largest)}; all "
            "maps have one scale. On the right: each row's largest effect, and its layer."
        )
        if self.relation:
            told += (
                " Next: the first token after the subject; end: the prompt's last; between: those "
                "between the two."
            )
        return told

    def _left_out(self) -> str:
        told = []
        hidden = len(self.data["rows"]) - len(self.rows)
        if hidden:
            tokens = "1 token" if hidden == 1 else f"{hidden} tokens"
            told.append(
                f"Left out: {tokens} before the subject, of effect 0."
                if self.rows[0] == hidden
                else f"Left out: {tokens} with the smallest effects; --json holds all."
            )
        if self.step > 1:
            told.append(
                f"A cell is {self.step} layers, of which the effect furthest from 0 is shown; a "
                "wider terminal shows each."
            )
        return " ".join(told)

    def _counts(self) -> Iterator[tuple[str, str]]:
        told = [f"{row['name']} {row['count']}" for row in self.data["rows"]]
        yield "roles", f"facts that have them: {enumerated(told)}"
        shown = self.data["facts"][:4]
        more = len(self.data["facts"]) - len(shown)
        texts = "; ".join(clipped(fact, 60) for fact in shown)
        yield "facts", f"{texts}{f'; and {more} more' if more else ''}"


def _furthest(cells: Sequence[float | None]) -> float | None:
    """Of neighbours, the number furthest from zero; None where one is no number."""
    if any(cell is None for cell in cells):
        return None
    return max((cell for cell in cells if cell is not None), key=abs)


def _title(one: dict[str, Any]) -> str:
    if one["title"] == "state":
        return "The state after a layer"
    if one["title"] == "MLP":
        return _together("MLP", one["window"])
    if one["title"] == "attention":
        return _together("Attention", one["window"])
    return f"The state, by {one['title']}"


def _together(name: str, window: int) -> str:
    return f"{name} of {window} layers together" if window > 1 else f"{name} of one layer"
