"""A neuron's card, a search for neurons and what a vector holds, as text for a terminal or a pipe,
from the data of `views/neuron.py`.

Words below what chance reaches are dim, and the line between them and the others is drawn as a bar
(`|`), so that it is there without colour too. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.strips import strip
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
    signed,
)
from molehill.views.words import bare, percent

__all__ = [
    "holds_renderable",
    "holds_text",
    "neuron_renderable",
    "neuron_text",
    "search_renderable",
    "search_text",
]

_WORDS, _SOURCES, _EXAMPLES = 8, 6, 5


def neuron_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole card as plain text."""
    made = neuron_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def neuron_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole card for rich's console, laid out for `width` columns."""
    return Group(*_card(data, min(width, 120), ascii_only))


def _card(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made, dot = data["provenance"], " - " if ascii_only else " · "
    title = Text(data["neuron"]["label"], style="bold")
    yield title.append(f"{dot}{data['neuron']['activation']}{dot}{made['model']}, {made['dtype']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    for row in data["rows"]:
        yield heading(f"What its {row['name']} asks")
        yield _row(row, data["chance"])
    if data["firing"] is not None:
        yield heading("When it fires")
        yield from _firing(data["firing"], width, ascii_only)
    yield heading("What its column adds")
    yield facts(
        [
            ("promotes", _words(data["column"]["promoted"], data["chance"])),
            ("demotes", _words(data["column"]["demoted"], data["chance"])),
            ("length", signed(data["column"]["length"])),
        ]
    )
    yield legend(
        "Scores in standard deviations over the vocabulary; behind the bar, what chance reaches."
    )
    more = [] if data["firing"] else ["Give texts (--texts FILE) to see when it fires."]
    yield from closing([*more, *data["notes"]], made, ascii_only=ascii_only)


def _row(row: dict[str, Any], chance: float) -> RenderableType:
    heads = ", ".join(
        f"{one['label'].removeprefix('head ')} {signed(one['cosine'])}"
        for one in row["heads"][:_SOURCES]
    )
    entries: list[tuple[str, str | Text]] = [
        ("matches", _words(row["matched"], chance)),
        ("opposes", _words(row["opposed"], chance)),
    ]
    if row["neurons"]:
        entries.append(("neurons", _neurons(row)))
    if heads:
        entries.append(("heads", f"{heads} (chance {signed(row['head_chance'])})"))
    bias = f", bias {signed(row['bias'])}" if row["bias"] else ""
    own = f"cosine with its own column {signed(row['own_cosine'])}"
    entries.append(("length", f"{signed(row['length'])}{bias}; {own}"))
    return facts(entries)


def _neurons(row: dict[str, Any]) -> Text:
    told = [
        (f"{one['label'].removeprefix('neuron ')} {signed(one['cosine'], plus=True)}", one["z"])
        for one in row["neurons"][:_SOURCES]
    ]
    return _barred(told, row["neurons_chance"]).append(
        f"  (cosine, of {row['neurons_before']:,} earlier)", style="dim"
    )


def _words(words: Sequence[dict[str, Any]], chance: float) -> Text:
    told = [(f"{bare(one['piece'])} {signed(one['z'], 1)}", one["z"]) for one in words[:_WORDS]]
    return _barred(told, chance)


def _barred(entries: Sequence[tuple[str, float | None]], chance: float) -> Text:
    """Entries one after the other; a bar where chance begins."""
    line = Text(overflow="fold")
    beyond = True
    for name, z in entries:
        inside = z is None or abs(z) < chance
        if inside and beyond:
            line.append("| " if not line else " | ", style="dim")
            beyond = False
        elif line:
            line.append(", ", style="dim" if inside else "")
        line.append_text(plain(name) if not inside else Text(plain(name).plain, style="dim"))
    return line


def _firing(firing: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    counts = firing["counts"]
    held = [place for place, count in enumerate(counts) if count]
    middle = len(counts) // 2
    first, last = min([*held, middle - 1]), max([*held, middle]) + 1
    bins = counts[first:last]
    drawn = strip(
        [count**0.5 for count in bins],
        largest=max(bins) ** 0.5,
        mark=middle - first,
        ascii_only=ascii_only,
    )
    step = 2 * firing["reach"] / len(counts)
    edges = f"{signed(first * step - firing['reach'], 1)}"
    ends = f"{signed(last * step - firing['reach'], 1)}"
    yield facts(
        [
            ("share", f"{percent(firing['fires'])} of {firing['tokens']:,} tokens"),
            ("match", f"{edges} {drawn} {ends}"),
        ]
    )
    yield legend(
        "How many tokens match by how much, bias included, heights by their square root; the bar "
        "is the threshold."
    )
    for title, examples in (
        ("Where its coefficient is largest", firing["examples"]),
        ("Where its coefficient is most negative", firing["lowest"]),
    ):
        if examples:
            yield heading(title)
            yield _examples(examples[:_EXAMPLES])


def _examples(examples: Sequence[dict[str, Any]]) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    for one in examples:
        ink = FOR if (one["coefficient"] or 0.0) > 0 else AGAINST
        # What stands right before the token tells most.
        first = max(0, one["at"] - 14)
        pieces = one["pieces"][first : one["at"] + 5]
        shown = marked_tokens(pieces, {one["at"] - first: ink})
        table.add_row(signed(one["coefficient"], plus=True), shown)
    return Padding(table, (0, 0, 0, 2))


# --- a search -------------------------------------------------------------------------------------


def search_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """What a search found as plain text."""
    made = search_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def search_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """What a search found for rich's console, laid out for `width` columns."""
    return Group(*_search(data, ascii_only))


def _search(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    made, dot = data["provenance"], " - " if ascii_only else " · "
    title = Text(f"find {data['kind']} {bare(data['piece'])}", style="bold")
    yield title.append(f"{dot}{made['model']}, {made['dtype']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    yield from _by_layer(data, ascii_only)
    yield Text()
    row = "row" if data["row"] is None else f"{data['row']} row"
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold", ratio=1)
    table.add_column(overflow="fold", ratio=1)
    table.add_row(*(Text(name, style="dim") for name in ("neuron", "z", f"{row} asks", "column")))
    for hit in data["hits"]:
        table.add_row(*_hit(hit, data))
    yield Padding(table, (0, 0, 0, 2))
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _by_layer(data: dict[str, Any], ascii_only: bool) -> Iterator[RenderableType]:
    """How many neurons of each layer lie beyond chance."""
    counts = [one["beyond"] for one in data["layers"]]
    if len(counts) < 2 or not any(counts):
        return
    heights = [float(one) for one in counts]
    drawn = strip(heights, largest=max(heights), ascii_only=ascii_only)
    yield Text()
    yield facts(
        [
            (
                "by layer",
                f"0 {drawn} {len(counts) - 1}  (most in one: {max(counts):,}; beyond chance)",
            )
        ]
    )


def _hit(hit: dict[str, Any], data: dict[str, Any]) -> tuple[Text, ...]:
    """One line: the neuron, its score, the words of its row, and those of the side of its column
    that stands out."""
    low = (hit["z"] or 0.0) < 0
    beyond = abs(hit["z"] or 0.0) > data["chance"]
    style = "" if beyond else "dim"
    asks = hit["opposed"] if data["kind"] == "asks" and low else hit["matched"]
    if data["kind"] == "writes":
        writes = hit["demoted"] if low else hit["promoted"]
    else:
        ends = hit["promoted"][0]["z"], hit["demoted"][0]["z"]
        writes = hit["promoted"] if (ends[0] or 0.0) >= -(ends[1] or 0.0) else hit["demoted"]
    sign = "demotes " if writes is hit["demoted"] else ""
    label = hit["label"].removeprefix("neuron ")
    return (
        Text(label, style="bold" if beyond else "dim"),
        Text(signed(hit["z"], 1, plus=True), style=style),
        Text(plain(_few(asks)).plain, style=style),
        Text(plain(f"{sign}{_few(writes)}").plain, style=style),
    )


def _few(words: Sequence[dict[str, Any]]) -> str:
    return ", ".join(bare(one["piece"]) for one in words)


# --- what a vector holds --------------------------------------------------------------------------


def holds_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """What a vector holds as plain text."""
    return as_text(holds_renderable(data), width, ascii_only=ascii_only)


def holds_renderable(data: dict[str, Any]) -> RenderableType:
    """What a vector holds for rich's console: a line for each direction."""
    table = Table.grid(padding=(0, 2))
    heads = ["direction", "product", "cosine", "z", "above random"]
    heads += ["above others"] if data["background"] else []
    for number in range(len(heads)):
        table.add_column(justify="right" if number else "left", no_wrap=number > 0)
    table.add_row(*(Text(name, style="dim") for name in heads))
    for one in data["rows"]:
        row = [plain(one["name"])]
        row += [Text(signed(one[name], plus=True)) for name in ("product", "cosine", "z")]
        row.append(Text(_share(one["quantile"])))
        row += [Text(_share(one["among"]))] if data["background"] else []
        table.add_row(*row)
    told = f"{data['draws']:,} random directions of the same length"
    if data["background"]:
        told += f", drawn from the covariance of {data['background']:,} other vectors"
        others = "; above others: the share of these that hold less"
    else:
        others = ""
    return Group(
        Padding(table, (0, 0, 0, 2)),
        legend(f"Beside {told} (seed {data['seed']}): z, and the share below{others}."),
    )


def _share(share: float | None) -> str:
    """With a digit after the point: what is nearly all is not all."""
    return "not finite" if share is None else f"{100 * share:.1f}%"
