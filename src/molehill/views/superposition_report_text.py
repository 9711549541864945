"""A model's geometry on one page of text, from the data of `views/superposition_report.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.strips import binned, strip
from molehill.views.superposition_report_words import figure_of, kind_name, quoted
from molehill.views.terminal import as_text, closing, facts, heading, legend, plain
from molehill.views.words import bare, clipped, percent

__all__ = ["report_renderable", "report_text"]

_PAIRS = 12
_RULES = ("mlp.gate", "mlp.up", "mlp.columns", "attn.out")


def report_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole report as plain text."""
    made = report_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def report_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole report for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, min(width, 120), ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    made, dot = data["provenance"], " - " if ascii_only else " · "
    title = Text("geometry", style="bold")
    yield title.append(f"{dot}{made['model']}, {made['dtype']}")
    yield Text()
    for line in data["summary"]:
        yield Padding(plain(line), (0, 0, 0, 2))
    for number, table in enumerate(data["tables"]):
        short = number > 0 and table["kind"] == "positions"
        yield from _table(table, width, ascii_only, short=short)
    if data["layers"]:
        yield from _layers(data["layers"], width, ascii_only)
    for one in data["together"]:
        yield from _together(one)
    yield from closing(data["notes"], made, ascii_only=ascii_only)


def _table(
    table: dict[str, Any], width: int, ascii_only: bool, *, short: bool
) -> Iterator[RenderableType]:
    if short:
        yield heading(table["name"])
        yield Padding(plain(_in_a_line(table)), (0, 0, 0, 2))
        return
    yield heading(f"{table['name']}: {table['count']:,} rows in {table['dimensions']} dimensions")
    yield Padding(_measures(table), (0, 0, 0, 2))
    yield facts(_told(table, width, ascii_only))
    yield from _collisions(table, width)


def _in_a_line(table: dict[str, Any]) -> str:
    return (
        f"{table['count']:,} rows; typical |cosine| {figure_of(table['rms'])}, largest "
        f"{figure_of(table['largest'])} (same spectrum {figure_of(table['matched_largest'])}, "
        f"random {figure_of(table['random_largest'])}); effective rank "
        f"{table['effective_rank']:.0f} (random {table['random_rank']:.0f}), participation ratio "
        f"{table['participation']:.1f}"
    )


def _measures(table: dict[str, Any]) -> Table:
    """Each measure as it is, of vectors with the same spectrum, and of random ones."""
    shown = Table.grid(padding=(0, 2))
    for side in ("left", "right", "right", "right"):
        shown.add_column(justify=side, no_wrap=True)
    shown.add_row("", *(Text(name, style="dim") for name in ("rows", "same spectrum", "random")))
    rows = [
        ("typical |cosine|", table["rms"], None, table["random_rms"]),
        ("  mean taken off", table["rms_centred"], None, table["random_rms"]),
        ("mean cosine", table["mean_cosine"], None, 0.0),
        ("one pair in 1,000 above", table["tail"], table["matched_tail"], None),
        ("largest |cosine|", table["largest"], table["matched_largest"], table["random_largest"]),
    ]
    for name, *values in rows:
        shown.add_row(name, *("" if one is None else figure_of(one) for one in values))
    for name, key in (("effective rank", "effective_rank"), ("participation", "participation")):
        random = f"{table['random_rank']:.0f}" if key == "effective_rank" else ""
        shown.add_row(name, f"{table[key]:.1f}", "", random)
    shown.add_row("  mean taken off", f"{table['participation_centred']:.1f}", "", "")
    return shown


def _told(table: dict[str, Any], width: int, ascii_only: bool) -> Iterator[tuple[str, str | Text]]:
    room = max(20, width - 18)
    histogram = table["histogram"]
    for name in ("real", "matched", "random"):
        values, _ = binned([value**0.5 for value in histogram[name]], room)
        told = {"real": "cosines", "matched": "drawn", "random": "random"}[name]
        largest = max(value or 0.0 for value in values)
        yield told, strip(values, largest=largest, ascii_only=ascii_only)
    yield "", f"from {figure_of(histogram['from'])} to {figure_of(histogram['to'])}; square roots"
    spectrum = table["spectrum"]
    yield (
        "spectrum",
        f"first axis {percent(table['top_share'])}; half in {spectrum['for_half']} axes, 90% in "
        f"{spectrum['for_most']} (random {spectrum['random_for_most']}); mean taken off, half in "
        f"{spectrum['centred_for_half']}, 90% in {spectrum['centred_for_most']}",
    )
    told = table["lengths_told"]
    ends = dict((share, value) for share, value in told["quantiles"])
    yield (
        "lengths",
        f"{figure_of(ends[0.0])} to {figure_of(ends[1.0])}, half below {figure_of(ends[0.5])}; "
        f"longest {_named(told['longest'][:4])}; shortest {_named(told['shortest'][:4])}; "
        f"correlation with the row's number {figure_of(told['with_number'])}",
    )
    if table["hubs"]:
        yield "hubs", f"{_hub_names(table['hubs'])}"
    for one in table["bundles"]:
        names = ", ".join(bare(name) for name in one["rows"][:8])
        yield "bundle", f"{one['size']:,} rows: {names}{', ...' if one['size'] > 8 else ''}"


def _named(pairs: list[list[Any]]) -> str:
    return ", ".join(f"{bare(name)} {figure_of(value)}" for name, value in pairs)


def _hub_names(found: dict[str, Any]) -> str:
    names = ", ".join(f"{bare(name)} {times:,}" for name, times in found["largest"][:6])
    return (
        f"{names}; the first hundredth of rows takes {percent(found['held_by_a_hundredth'])} of "
        f"all places"
    )


def _collisions(table: dict[str, Any], width: int) -> Iterator[RenderableType]:
    found = table["collisions"]
    if not found:
        return
    yield heading("Who collides with whom")
    rows, half = found[:_PAIRS], -(-len(found[:_PAIRS]) // 2)
    name = max(8, min(28, width // 2 - 12))
    shown = Table.grid(padding=(0, 2))
    for _ in range(2):
        shown.add_column(no_wrap=True, width=name)
        shown.add_column(no_wrap=True, justify="right")
    for at in range(half):
        cells: list[Any] = []
        for one in rows[at::half]:
            pair = f"{bare(one['first'])} | {bare(one['second'])}"
            cells += [plain(clipped(pair, name)), figure_of(one["cosine"])]
        shown.add_row(*cells)
    yield Padding(shown, (0, 0, 0, 2))
    told = "Pairs of which one is the other's nearest"
    told += ", those inside one bundle left out." if table["bundles"] else "."
    if table["kinds"]:
        told += f" All {table['collisions_in_all']:,} by kind: {_shares(table['kinds']['all'])}."
    yield legend(told)


def _shares(kinds: dict[str, int]) -> str:
    total = sum(kinds.values())
    return ", ".join(f"{kind} {percent(count / total)}" for kind, count in kinds.items())


def _layers(lines: list[dict[str, Any]], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    yield heading("Layers")
    gated = any(line["kind"] == "mlp.gate" for line in lines)
    shown = Table.grid(padding=(0, 2))
    for side in ("left", "right", "left", "right", "right"):
        shown.add_column(justify=side, no_wrap=True)
    names = ("", "times chance", "by layer", "largest", "rank used")
    shown.add_row(*(Text(name, style="dim") for name in names))
    room = max(6, width - 68)
    for kind in _RULES:
        of = [line for line in lines if line["kind"] == kind]
        if not of:
            continue
        ratios = [line["rms"] / line["random_rms"] for line in of]
        values, _ = binned(ratios, room)
        largest = max(of, key=lambda line: abs(line["largest"]))
        ranks = [line["effective_rank"] / line["random_rank"] for line in of]
        shown.add_row(
            kind_name(kind, gated=gated),
            f"{min(ratios):.2f} to {max(ratios):.2f}",
            strip(values, largest=max(ratios), ascii_only=ascii_only),
            f"{figure_of(largest['largest'])} in {largest['layer']}",
            f"{percent(min(ranks))} to {percent(max(ranks))}",
        )
    yield Padding(shown, (0, 0, 0, 2))
    yield legend(
        "Times chance: a typical |cosine| over that of random directions. Rank used: the effective "
        "rank over that of random vectors of the same shape."
    )


def _together(one: dict[str, Any]) -> Iterator[RenderableType]:
    yield heading("What occurs together")
    entries = [
        ("compared", f"{one['linked']:,} pairs that occur together more than chance with "
         f"{one['others']:,} that do not, of {one['rows']:,} rows in {one['events']:,} "
         f"{one['what']}"),
    ]  # fmt: skip
    for name, key in (("|cosine|", "size"), ("cosine", "signed")):
        effect = one[key]
        entries.append(
            (
                name,
                f"{figure_of(effect['linked'], 3)} against {figure_of(effect['others'], 3)}: "
                f"{figure_of(effect['difference'], 3)} ({figure_of(effect['low'], 3)} to "
                f"{figure_of(effect['high'], 3)}), {figure_of(effect['z'], 1)} standard deviations "
                "of the null",
            )
        )
    for name, key in (("most alike", "alike"), ("most apart", "opposed")):
        pairs = "; ".join(
            f"{quoted(first)} {quoted(second)} {figure_of(cosine)}"
            for first, second, cosine, _ in one[key][:5]
        )
        entries.append((name, pairs))
    yield facts(entries)
