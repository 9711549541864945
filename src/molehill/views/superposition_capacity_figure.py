"""Capacity of directions as a figure for print: wrong bits, and errors of values.

From the data of `views/superposition_capacity.py`, as PNG or SVG. This module knows no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, inks, printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["capacity_figure"]

_MARKS = {"random": "o", "packed": "s", "learned": "^"}


def capacity_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure as a file's content.

    Args:
        data: from `capacity_data`.
        kind: `png`, 1,960 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    used = inks(dark=dark)

    def draw(figure: Figure) -> None:
        _bits(figure.add_axes((0.065, 0.15, 0.41, 0.67)), data, used)
        _values(figure.add_axes((0.56, 0.15, 0.41, 0.67)), data, used)
        how = "" if data["fixed"] else " on average"
        title = f"{data['dimensions']:,} dimensions, {data['active']:g} features active{how}"
        figure.text(0.02, 0.95, title, fontsize=11, va="top", color=used.ink)
        made = data["provenance"]
        foot = f"Molehill {made['version']}, seed {made['seed']}, {data['inputs']:,} inputs a point"
        figure.text(0.02, 0.02, foot, fontsize=7, color=used.soft)

    return printed(draw, (9.8, 4.4), kind=kind, dark=dark)


def _colours(used: Inks) -> dict[str, str]:
    return {"random": used.more, "packed": "#2f9e78", "learned": "#b05fa0"}


def _bits(axes: Axes, data: dict[str, Any], used: Inks) -> None:
    sizes = [point["features"] for point in data["theory"]]
    bits = [point["wrong_bits"] for point in data["theory"]]
    axes.plot(sizes, bits, color=used.more, linewidth=1.4, label="random, by theory")
    floor = 0.5 / data["inputs"]
    _marks(axes, data, used, "wrong_bits", floor)
    axes.axhline(1, color=used.ink, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_ylim(floor * 0.7, max(10, 1.5 * max(bits)))
    axes.set_title("Wrong bits in an input (open: none counted)", fontsize=9, loc="left", pad=10)
    _dress(axes, data, used)


def _values(axes: Axes, data: dict[str, Any], used: Inks) -> None:
    sizes = [point["features"] for point in data["theory"]]
    for name, ink, style, label in (
        ("linear", used.less, "-", "dot products alone"),
        ("least_squares", used.less, "--", "best linear map"),
        ("gated", used.more, "-", "gate, random, by theory"),
    ):
        values = [point[name] if point[name] > 0 else float("nan") for point in data["theory"]]
        axes.plot(sizes, values, color=ink, linewidth=1.4, linestyle=style, label=label)
    _marks(axes, data, used, "gated", 1e-3)
    axes.axhline(0.5, color=used.ink, linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_ylim(0.7e-3, 100)
    axes.set_title("Squared error of values; 1: always saying 0", fontsize=9, loc="left", pad=10)
    _dress(axes, data, used)


def _marks(axes: Axes, data: dict[str, Any], used: Inks, name: str, floor: float) -> None:
    colours = _colours(used)
    for one in data["series"]:
        ink = colours.get(one["name"], used.soft)
        mark = _MARKS.get(one["name"], "D")
        label: str | None = one["title"]
        for none in (False, True):
            points = [p for p in one["points"] if (p["measured"][name] <= floor) is none]
            axes.plot(
                [point["features"] for point in points],
                [max(point["measured"][name], floor) for point in points],
                mark,
                color=ink,
                markersize=4.5,
                markerfacecolor=used.ground if none else ink,
                label=label if points else None,
            )
            label = None if points else label


def _dress(axes: Axes, data: dict[str, Any], used: Inks) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.axvline(data["dimensions"], color=used.soft, linewidth=0.6, linestyle=":")
    axes.set_xlabel("features (dotted: as many as dimensions)")
    # Labels are text and no formula, as everywhere in figures.
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.minorticks_off()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.5)
    axes.tick_params(width=0.5, length=2.5, labelsize=8)
    axes.legend(fontsize=7, frameon=False, loc="best")
