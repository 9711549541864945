"""A shift as text for a terminal or a pipe, from the data of `shift_data`.

It says the point first, then the sentences, where the paths part, what parted them and what moved
each word. It reads the same without colour and wraps to any width from about 40 columns. This
module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.shift import far_apart, first_to_part
from molehill.views.strips import binned, colour_of, strip
from molehill.views.terminal import as_text
from molehill.views.words import clipped, component, enumerated, percent, visible

__all__ = ["MOST_STRIPS", "shift_renderable", "shift_text"]

MOST_STRIPS = 6
"""Up to so many pairs each has a strip and is told in full; of more, three stand for the rest."""


def shift_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = shift_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def shift_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_Page(data, min(width, 120), ascii_only).parts())


class _Page:
    """One result on its way to the terminal: the data, and how much room there is."""

    def __init__(self, data: dict[str, Any], width: int, ascii_only: bool) -> None:
        self.data, self.width, self.ascii = data, width, ascii_only
        self.pairs = data["pairs"]
        self.dot = " - " if ascii_only else " · "

    def parts(self) -> Iterator[RenderableType]:
        yield self._title()
        yield Text()
        for line in self.data["summary"]:
            yield Padding(_plain(line), (0, 0, 0, 2))
        yield self._heading("The sentences")
        yield self._sentences()
        if self.pairs:
            yield self._heading("Where the paths part")
            yield from self._parting_places()
            told = [pair for pair in self._notable() if pair["parting"]]
            if told:
                yield self._heading("What parted them")
                yield from self._partings(told)
        if self.pairs and "features" in self.data:
            yield self._heading("Features that part them")
            yield from self._features(self.data["features"])
        yield self._heading("What moved each")
        yield from self._moves()
        yield from self._closing()

    # --- head -----------------------------------------------------------------------------------

    def _title(self) -> Text:
        made = self.data["provenance"]
        count = len(self.data["sentences"])
        twice = ", read twice" if made["twice"] else ""
        sentences = f"{count} sentence{'s' if count > 1 else ''}{twice}"
        title = Text()
        title.append(visible(clipped(self.data["word"], 40)), style="bold")
        title.append(visible(f"{self.dot}{sentences}{self.dot}{made['model']}, {made['dtype']}"))
        return title

    def _heading(self, text: str) -> Padding:
        return Padding(Text(text.upper(), style="bold"), (1, 0, 0, 0))

    def _sentences(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        for sentence in self.data["sentences"]:
            table.add_row(self._number(sentence["number"]), _marked(sentence))
        return Group(table, Padding(Text(self._carriers(), style="dim"), (0, 0, 0, 3)))

    def _carriers(self) -> str:
        """Which tokens stand for the word."""
        sentences = self.data["sentences"]
        each = [
            [sentence["pieces"][place] for place in sentence["positions"]] for sentence in sentences
        ]
        if all(len(pieces) == 1 for pieces in each) and len({piece for [piece] in each}) == 1:
            places = enumerated([sentence["positions"][0] for sentence in sentences[:12]])
            where = f", at position {places}" if len(sentences) <= 12 else " in each"
            return f"The word is carried by the token {each[0][0]!r}{where}."
        told = [f"{sentence['number']}: {sentence['carried_by']}" for sentence in sentences]
        return f"The word is carried by, in {'; '.join(told)}."

    def _number(self, number: int) -> Text:
        return Text(f"{number:>2}", style=f"bold {colour_of(number)}")

    # --- where they part ------------------------------------------------------------------------

    def _parting_places(self) -> Iterator[RenderableType]:
        few = len(self.pairs) <= MOST_STRIPS
        if not few:
            yield from self._matrix() if self._matrix_fits() else self._histogram()
            yield Text()
        yield self._strips(self.pairs if few else self._notable())

    def _matrix_fits(self) -> bool:
        return 4 + 5 * len(self.data["sentences"]) <= self.width

    def _matrix(self) -> Iterator[RenderableType]:
        """Above the diagonal where they part, below it how far apart they end."""
        count = len(self.data["sentences"])
        cell = 8 if 4 + 8 * count <= self.width else 5
        marks = {point["name"]: point["mark"] for point in self.data["points"]}
        found = {(pair["a"], pair["b"]): pair for pair in self.pairs}
        head = Text("    ")
        for column in range(1, count + 1):
            head.append(f"{column:>{cell}}", style=f"bold {colour_of(column)}")
        lines = [head]
        for row in range(1, count + 1):
            line = Text("  ")
            line.append(f"{row:>2}", style=f"bold {colour_of(row)}")
            for column in range(1, count + 1):
                pair = found.get((min(row, column), max(row, column)))
                if pair is None:
                    line.append(f"{'.':>{cell}}", style="dim")
                elif column > row:
                    mark = marks.get(pair["parts_at"], "never")
                    mark = mark if cell == 8 else mark.replace(" attn", "a").replace(" MLP", "m")
                    line.append(f"{mark:>{cell}}")
                else:
                    line.append(f"{_number(pair['end_distance']):>{cell}}", style="dim")
            lines.append(line)
        yield from lines
        yield _legend("Above the diagonal: where two paths part. Below it: how far apart they end.")

    def _histogram(self) -> Iterator[RenderableType]:
        """How many of very many pairs part at each point."""
        counts: dict[str | None, int] = {}
        for pair in self.pairs:
            counts[pair["parts_at"]] = counts.get(pair["parts_at"], 0) + 1
        names = [*(point["name"] for point in self.data["points"]), None]
        marks = {point["name"]: point["mark"] for point in self.data["points"]}
        largest = max(counts.values())
        bar = "#" if self.ascii else "█"
        for name in names:
            if name in counts:
                length = max(1, round(counts[name] / largest * (self.width - 24)))
                told = f"{marks.get(name, 'never'):>9} {bar * length} {counts[name]}"
                yield Text(told)
        yield _legend(
            f"Where each of the {len(self.pairs)} pairs parts; --json and --html hold every one."
        )

    def _notable(self) -> list[dict[str, Any]]:
        """All pairs where they are few; else the first and last to part and the furthest apart."""
        if len(self.pairs) <= MOST_STRIPS:
            return self.pairs
        parted = [pair for pair in self.pairs if pair["parting"]]
        if not parted:
            return self.pairs[:3]
        last = max(far_apart(parted), key=lambda pair: pair["parts_at_index"])
        furthest = max(parted, key=lambda pair: pair["end_distance"] or 0.0)
        chosen = {(pair["a"], pair["b"]): pair for pair in (first_to_part(parted), last, furthest)}
        return list(chosen.values())

    def _strips(self, pairs: Sequence[dict[str, Any]]) -> RenderableType:
        """A row of blocks per pair: distance point by point."""
        layers = self._layer_ends()
        largest = max(
            (value for pair in self.pairs for value in pair["distances"] if value), default=0
        )
        room = max(8, self.width - 33)
        table = Table.grid(padding=(0, 2))
        for justify in ("right", "left", "left", "right"):
            table.add_column(justify=justify, no_wrap=True)
        table.add_row(
            "",
            Text(self._axis(len(layers), room), style="dim"),
            Text("part at", "dim"),
            Text("end", "dim"),
        )
        marks = {point["name"]: point["mark"] for point in self.data["points"]}
        step = 1
        for pair in pairs:
            values, step = binned([pair["distances"][place] for place in layers], room)
            parts = pair["parts_at_index"]
            mark = None
            if parts is not None:
                mark = (
                    next((n for n, place in enumerate(layers) if place >= parts), len(layers))
                    // step
                )
            drawn = Text(strip(values, largest=largest, mark=mark, ascii_only=self.ascii))
            name = Text("  ") + self._number(pair["a"]) + Text(" and ") + self._number(pair["b"])
            table.add_row(
                name, drawn, marks.get(pair["parts_at"], "never"), _number(pair["end_distance"])
            )
        each = "one mark a layer" if step == 1 else f"one mark for {step} layers, the largest"
        legend = (
            f"How far apart, {each}; | is where they part: from there on never less than half of "
            f"the largest distance. Tallest: {_number(largest)}."
        )
        return Group(table, _legend(legend))

    def _layer_ends(self) -> list[int]:
        """Which points a strip shows: the start, the end of every layer, the last norm."""
        points = [point["name"] for point in self.data["points"]]
        return [place for place, name in enumerate(points) if not name.endswith("resid_mid")]

    def _axis(self, count: int, room: int) -> str:
        step = max(1, -(-count // room))
        length = -(-count // step) + 1
        return f"start{'end':>{max(4, length - 5)}}"

    # --- what parted them -----------------------------------------------------------------------

    def _partings(self, pairs: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
        for number, pair in enumerate(pairs):
            if number:
                yield Text()
            parting = pair["parting"]
            head = self._number(pair["a"]) + Text(" and ") + self._number(pair["b"])
            distance = _number(pair["distances"][pair["parts_at_index"]])
            head.append(f" part {pair['parts_after']}, {distance} apart:")
            yield head
            entries = [("what", self._list(_kinds(parting["kinds"])))]
            for side in (pair["a"], pair["b"]):
                names = self._words(parting["words"], side)
                if names:
                    entries.append((f"words in {side}", names))
            entries += [
                ("where", self._list(_shares(parting["heads"]["entries"], 5))),
                ("rows", self._list([self._row(row) for row in parting["rows"][:5]])),
            ]
            if pair["end"]:
                last = pair["end"]["components"]["entries"]
                entries.append(("at the end", self._list(_shares(last, 3))))
            yield self._facts(entries)
        if len(pairs) < len(self.pairs):
            yield Text()
            yield _legend(
                f"{len(pairs)} of {len(self.pairs)} pairs are told here: the first and the last to "
                "part, and the furthest apart. --json and --html hold more."
            )

    def _facts(self, entries: Sequence[tuple[str, Text | str]]) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="dim", min_width=10)
        table.add_column(overflow="fold")
        for name, told in entries:
            table.add_row(name, told if isinstance(told, Text) else _plain(told))
        return Padding(table, (0, 0, 0, 3))

    def _list(self, items: Sequence[str]) -> str:
        return self.dot.join(items)

    def _words(self, words: dict[str, Any], side: int) -> str:
        own = [entry for entry in words["entries"] if entry["sentence"] == side][:5]
        return self._list([_word_share(entry) for entry in own])

    def _row(self, row: dict[str, Any]) -> str:
        name = row["name"]
        if "word" in row:
            where = f" in {row['sentence']}" if "sentence" in row else ""
            name += f" from {_shown(row['word'])}{where}"
        return f"{name} {percent(row['share'])}"

    def _features(self, told: dict[str, Any]) -> Iterator[RenderableType]:
        chosen = {(pair["a"], pair["b"]) for pair in self._notable()}
        for number, pair in enumerate(each for each in told["pairs"] if _ends(each) in chosen):
            if number:
                yield Text()
            head = self._number(pair["a"]) + Text(" and ") + self._number(pair["b"])
            head.append(f" at {told['point']}, {_number(pair['distance'])} apart:")
            yield head
            named = [
                f"{one['feature']} {percent(one['share'])} "
                f"({_number(one['values'][0])} and {_number(one['values'][1])})"
                for one in pair["features"][:8]
            ]
            entries = [("what", self._list(_kinds(pair["kinds"]))), ("features", self._list(named))]
            yield self._facts(entries)
        yield _legend(
            f"Features of {told['name']} ({told['count']:,} at {told['site']}): share of the "
            "distance, and how strongly each is active in the two sentences."
        )

    # --- what moved each ------------------------------------------------------------------------

    def _moves(self) -> Iterator[RenderableType]:
        for sentence in self.data["sentences"]:
            steps, moved = sentence["steps"], sentence["moved"]
            head = self._number(sentence["number"]) + Text(" ")
            head.append(visible(clipped(sentence["text"], self.width - 4)), style="italic")
            yield head
            lengths = f"length {_number(steps[0]['norm'])} to {_number(steps[-1]['norm'])}"
            entries = [
                ("moved by", self._list(_kinds(moved["kinds"])) + f" ({lengths})"),
                ("words", self._words(moved["words"], sentence["number"])),
                ("rows", self._list([self._row(row) for row in moved["rows"][:4]])),
                ("next word", self._along(steps, "next", 2)),
            ]
            if steps[-1]["own"]:
                entries.append(("set apart", self._along(steps, "own", 3)))
            yield self._facts(entries)
        yield _legend(self._readings())

    def _readings(self) -> str:
        first = self.data["sentences"][0]["steps"][-1]["next"]
        logit = bool(first) and "probability" in first[0]
        told = (
            "Next word: what the model would say if it stopped there."
            if logit
            else "Next word: the words nearest to the vector, as this model has no head."
        )
        if len(self.data["sentences"]) > 1:
            told += " Set apart: words that this path is nearer to there than the others are."
        return told

    def _along(self, steps: Sequence[dict[str, Any]], kind: str, count: int) -> str:
        """The nearest words at a few points of the way, the last one always among them."""
        points = self.data["points"]
        last = len(points) - 1
        places = sorted({last // 2, last * 3 // 4, last})
        told = []
        for place in places:
            words = [_shown(near["piece"]) for near in steps[place][kind][:count]]
            if kind == "own":
                words = steps[place]["own_words"] or words
            told.append(f"{points[place]['mark']}: {', '.join(words)}")
        return self._list(told)

    # --- foot -----------------------------------------------------------------------------------

    def _closing(self) -> Iterator[RenderableType]:
        error = self.data["closing_error"]
        sums = "not finite" if error is None else f"{error:.1e}"
        yield self._heading("To be sure")
        lines = [
            f"Closing error {sums}: the largest distance between the sum of any ledger's rows here "
            "and the vector itself, against its length.",
            *self.data["notes"],
            f"Model {self.data['provenance']['model']}, "
            f"fingerprint {self.data['provenance']['fingerprint'][:12]}, "
            f"{self.data['provenance']['dtype']}, Molehill {self.data['provenance']['version']}, "
            f"{self.data['provenance']['checked']['told']}.",
        ]
        table = Table.grid(padding=(0, 1))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for line in lines:
            table.add_row("  -" if self.ascii else "  ·", _plain(line))
        yield table


def _ends(pair: dict[str, Any]) -> tuple[int, int]:
    return pair["a"], pair["b"]


def _legend(text: str) -> Padding:
    return Padding(Text(text, style="dim"), (0, 0, 0, 3))


def _plain(text: str) -> Text:
    return Text(visible(text), overflow="fold")


def _marked(sentence: dict[str, Any]) -> Text:
    """The sentence with the followed word in brackets; of a long one, what stands around it."""
    text, (start, end) = sentence["text"], sentence["word_at"]
    room = 200
    before, after = text[:start], text[end:]
    if len(before) > room:
        before = "…" + before[-room:]
    if len(after) > room:
        after = after[:room] + "…"
    marked = Text(visible(before))
    marked.append(f"[{visible(text[start:end])}]", style=f"bold {colour_of(sentence['number'])}")
    return marked.append(visible(after))


def _kinds(kinds: Sequence[dict[str, Any]]) -> list[str]:
    return [
        f"{kind['name']} {percent(kind['share'])}"
        for kind in kinds
        if kind["share"] is None or abs(kind["share"]) >= 0.0005
    ]


def _shares(entries: Sequence[dict[str, Any]], most: int) -> list[str]:
    return [f"{component(entry['name'])} {percent(entry['share'])}" for entry in entries[:most]]


def _word_share(entry: dict[str, Any]) -> str:
    name = "the word itself" if entry["itself"] else _shown(entry["word"])
    return f"{name} {percent(entry['share'])}"


def _shown(piece: str) -> str:
    """A token or word for a list: without its leading space, and quoted where it is punctuation."""
    bare = visible(piece.removeprefix("·")) or piece
    return bare if any(map(str.isalnum, bare)) else f"“{bare}”"


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
