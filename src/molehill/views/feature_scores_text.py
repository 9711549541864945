"""Scores of autoencoders as text for a terminal or a pipe.

From the data of `views/feature_scores.py`. This module computes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, closing, heading, legend, plain
from molehill.views.words import clipped, percent

__all__ = ["feature_scores_renderable", "feature_scores_text"]

_WIDE = 100
_HIGH = 9


def feature_scores_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    made = feature_scores_renderable(data, width=width, ascii_only=ascii_only)
    return as_text(made, width, ascii_only=ascii_only)


def feature_scores_renderable(
    data: dict[str, Any], *, width: int = 80, ascii_only: bool = False
) -> RenderableType:
    """The whole view for rich's console, laid out for `width` columns."""
    return Group(*_parts(data, width, ascii_only))


def _parts(data: dict[str, Any], width: int, ascii_only: bool) -> Iterator[RenderableType]:
    dot = " - " if ascii_only else " · "
    title = Text("features", style="bold")
    yield title.append(f"{dot}{data['provenance']['model']}{dot}{data['texts']}")
    for line in data["summary"]:
        yield plain(line)
    entries = data["autoencoders"]
    yield heading("Scores")
    yield Padding(_table(entries, width), (0, 0, 0, 2))
    if len(entries) > 1:
        for name, told in (
            ("explained_variance", "Explained variance against L0"),
            ("ce_loss_score", "Loss recovered against L0"),
        ):
            points = [(one["l0"], one[name], one["mark"]) for one in entries]
            if all(value is not None for _, value, _ in points):
                yield heading(told)
                drawn = (Text(line) for line in _plot(points, min(width, 90) - 4))
                yield Padding(Group(*drawn), (0, 0, 0, 2))
    if any(one["truth"] for one in entries):
        yield from _truth(entries)
    if any(one["senses"] for one in entries):
        yield from _senses(entries)
    yield from closing(data["notes"], data["provenance"], ascii_only=ascii_only)


def _table(entries: Sequence[dict[str, Any]], width: int) -> Table:
    table = Table.grid(padding=(0, 2))
    names = ["", "name", "L0", "explained", "recovered", "alive"]
    if width >= _WIDE:
        names += ["from mean", "KL", "over 1%", "cos", "copies"]
    for name in names:
        left = name in ("", "name")
        table.add_column(justify="left" if left else "right", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in names))
    for one in entries:
        bench = one["saebench"]
        cells = [
            one["mark"],
            clipped(one["name"], 24),
            f"{one['l0']:.1f}",
            _share(one["explained_variance"]),
            _share(one["ce_loss_score"]),
            percent(one["frac_alive"]),
        ]
        if width >= _WIDE:
            misc = bench["misc_metrics"]
            cells += [
                _share(one["recovered_from_mean"]),
                _share(bench.get("model_behavior_preservation", {}).get("kl_div_score")),
                percent(misc["freq_over_1_percent"]),
                _share(bench["reconstruction_quality"]["cossim"]),
                _share(misc["average_max_decoder_cosine_sim"]),
            ]
        table.add_row(*map(Text, cells))
    return table


def _share(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _plot(points: Sequence[tuple[float, float, str]], width: int) -> list[str]:
    """Letters at their places; L0 in powers of two, the other axis as wide as the points."""
    left, room = 9, width - 10
    xs = [math.log2(max(x, 0.01)) for x, _, _ in points]
    ys = [y for _, y, _ in points]
    low, high = min(ys), max(ys)
    first, last = min(xs), max(xs)
    grid = [[" "] * (room + 1) for _ in range(_HIGH)]
    for x, (_, y, mark) in zip(xs, points, strict=True):
        column = round((x - first) / (last - first) * room) if last > first else room // 2
        row = round((high - y) / (high - low) * (_HIGH - 1)) if high > low else _HIGH // 2
        while column < room and grid[row][column] != " ":
            column += 1
        grid[row][column] = mark[0]
    lines = []
    for row, cells in enumerate(grid):
        value = high - (high - low) * row / (_HIGH - 1)
        shown = f"{value:.4f}" if row in (0, _HIGH // 2, _HIGH - 1) else ""
        lines.append(f"{shown:>{left - 2}} |{''.join(cells).rstrip()}")
    lowest, highest = (
        f"{value:.1f}" for value in (min(p[0] for p in points), max(p[0] for p in points))
    )
    lines.append(f"{'L0':>{left - 2}}  {lowest}{highest:>{max(1, room - len(lowest) + 1)}}")
    return lines


def _truth(entries: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    yield heading("Against the truth: features found with F1 over 0.9 where they are used")
    kinds = list(entries[0]["truth"]["used"]["by_kind"])
    table = Table.grid(padding=(0, 2))
    names = ["", "all", *kinds, "control"]
    for number, _ in enumerate(names):
        table.add_column(justify="right" if number else "left", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in names))
    for one in entries:
        used = one["truth"]["used"]
        found = [f"{used['by_kind'][kind]['found']:.2f}" for kind in kinds]
        table.add_row(one["mark"], f"{used['found']:.2f}", *found, f"{used['control']:.2f}")
        if "ceiling" in used:
            there = [f"{used['by_kind'][kind]['ceiling']:.2f}" for kind in kinds]
            cells = ["  by a probe", f"{used['ceiling']:.2f}", *there, ""]
            table.add_row(*(Text(cell, style="dim") for cell in cells))
    yield Padding(table, (0, 0, 0, 2))
    yield legend("Control: the mean F1 where the truth is shuffled.")
    yield heading("Directions, splitting, probes")
    table = Table.grid(padding=(0, 2))
    names = ["", "recall", "MMCS", "back", "split", "absorbed", "top 1", "top 5", "raw", "shuffled"]
    for number, _ in enumerate(names):
        table.add_column(justify="right" if number else "left", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in names))
    for one in entries:
        table.add_row(one["mark"], *_deep(one["truth"]))
    yield Padding(table, (0, 0, 0, 2))
    yield legend(
        "Recall: directions with cosine over 0.9 to an estimated one. Split: learnt features for a "
        "true one. Absorbed: the share of rows where another one carries it. Top k: senses told "
        "from the k best features at their word; raw: from all numbers."
    )


def _senses(entries: Sequence[dict[str, Any]]) -> Iterator[RenderableType]:
    yield heading("Senses told by the best features at the word")
    table = Table.grid(padding=(0, 2))
    names = ["", "word", "top 1", "top 2", "top 5", "raw", "shuffled", "larger class"]
    for number, _ in enumerate(names):
        table.add_column(justify="right" if number > 1 else "left", no_wrap=True)
    table.add_row(*(Text(name, style="dim") for name in names))
    for one in entries:
        for word in one["senses"]:
            values = [word[f"sae_top_{k}_test_accuracy"] for k in (1, 2, 5)]
            values += [word["llm_test_accuracy"], word["shuffled_top_5"], word["larger_class"]]
            cells = [one["mark"], clipped(word["word"], 16), *(f"{v:.3f}" for v in values)]
            table.add_row(*map(Text, cells))
    yield Padding(table, (0, 0, 0, 2))
    yield legend("Accuracy on test uses, each sense against the others, mean over senses.")


def _deep(truth: dict[str, Any]) -> list[str]:
    effects = truth.get("directions", {}).get("effects", {})
    probes = truth.get("probes", {})
    values = [
        effects.get("recall"),
        effects.get("mmcs"),
        effects.get("mmcs_back"),
        truth.get("mean_num_split_features"),
        truth.get("mean_full_absorption_score"),
        probes.get("sae_top_1_test_accuracy"),
        probes.get("sae_top_5_test_accuracy"),
        probes.get("llm_test_accuracy"),
        probes.get("shuffled_top_5"),
    ]
    return ["none" if value is None else f"{value:.3f}" for value in values]
