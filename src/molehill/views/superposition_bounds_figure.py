"""Bounds on nearly orthogonal directions as a figure for print: growth, and the closest pair.

From the data of `views/superposition_bounds.py`, as PNG or SVG. This module knows no file.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, inks, printed
from molehill.views.superposition_bounds import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["bounds_figure"]

_TOP = 15
"""The largest number of lines that is drawn, as a power of ten."""
_SHADES = (1.0, 0.62, 0.34)


def bounds_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure as a file's content.

    Args:
        data: from `bounds_data`; without a count, growth alone is drawn.
        kind: `png`, 1,960 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    used = inks(dark=dark)

    def draw(figure: Figure) -> None:
        two = data["bounds"] is not None
        left = figure.add_axes((0.075, 0.15, 0.47 if two else 0.88, 0.66))
        _growth(left, data, used)
        if two:
            _pairs(figure.add_axes((0.7, 0.15, 0.26, 0.66)), data, used)
        figure.text(0.02, 0.95, _title(data), fontsize=11, va="top", color=used.ink)
        figure.text(
            0.02, 0.02, f"Molehill {data['provenance']['version']}", fontsize=7, color=used.soft
        )

    return printed(draw, (9.8, 4.4), kind=kind, dark=dark)


def _title(data: dict[str, Any]) -> str:
    first = data["summary"][0].split(": ")[0].rstrip(".")
    return f"{first}."


def _growth(axes: Axes, data: dict[str, Any], used: Inks) -> None:
    for one, shade in zip(data["growth"], _SHADES, strict=False):
        sizes = [point["dimensions"] for point in one["points"]]
        upper = [point["upper"] * math.log10(2) for point in one["points"]]
        lower = [max(p["explicit"], p["exists"]) * math.log10(2) for p in one["points"]]
        axes.fill_between(sizes, lower, upper, color=used.soft, alpha=0.13 * shade, linewidth=0)
        axes.plot(sizes, upper, color=used.less, alpha=shade, linewidth=1.5)
        axes.plot(sizes, lower, color=used.more, alpha=shade, linewidth=1.5)
        place = next((i for i, value in enumerate(upper) if value > _TOP), len(upper) - 1)
        axes.text(
            sizes[place] * 0.93,
            min(_TOP, upper[place]) + 0.25,
            f"{one['degrees']:g}°",
            fontsize=8,
            ha="center",
            color=used.ink,
        )
    if data["count"] is not None:
        axes.plot(data["dimensions"], math.log10(data["count"]), "x", color=used.ink, mew=1.8)
        axes.annotate(
            f"{counted(data['count'])} in {counted(data['dimensions'])}",
            (data["dimensions"], math.log10(data["count"])),
            (-7, 5),
            textcoords="offset points",
            ha="right",
            fontsize=8,
        )
    axes.set_xscale("log")
    axes.set_xlim(2, max(one["points"][-1]["dimensions"] for one in data["growth"]))
    axes.set_ylim(0, _TOP)
    marks = range(0, _TOP + 1, 3)
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    axes.set_yticks(list(marks), [f"10{str(m).translate(raised)}" if m else "1" for m in marks])
    ticks = [10**power for power in range(1, 7) if 10**power <= axes.get_xlim()[1]]
    axes.set_xticks(ticks, [counted(tick) for tick in ticks])
    axes.set_xlabel("dimensions")
    axes.set_title(
        "Lines that keep an angle: at most (orange), at least (blue)",
        fontsize=9,
        loc="left",
        pad=14,
    )
    _plain(axes)


def _pairs(axes: Axes, data: dict[str, Any], used: Inks) -> None:
    found = data["bounds"]
    rows = sorted(found["lines"], key=lambda one: one["cosine"]) or [found["best"]]
    random = found["random"]
    names = [one["name"] for one in rows] + ["random, on average"]
    angles = [one["degrees"] for one in rows] + [random["degrees"]]
    places = list(range(len(names)))[::-1]
    least = max(0.0, min(angles) - 8)
    axes.barh(places[:-1], [90 - angle for angle in angles[:-1]], 0.6, left=angles[:-1],
              color=used.less, alpha=0.18)  # fmt: skip
    axes.plot(angles[:-1], places[:-1], "o", color=used.less, markersize=5)
    axes.plot(angles[-1:], places[-1:], "o", color=used.more, markersize=5)
    for angle, place in zip(angles, places, strict=True):
        axes.annotate(
            f"{angle:.2f}°",
            (angle, place),
            (-6 if angle - least > 9 else 6, 0),
            textcoords="offset points",
            ha="right" if angle - least > 9 else "left",
            va="center",
            fontsize=8,
        )
    axes.axvline(data["degrees"], color=used.ink, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_yticks(places, names)
    axes.set_xlim(least, 90)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlabel("degrees of the closest pair")
    axes.set_title("At most so far apart", fontsize=9, loc="left", pad=14)
    _plain(axes)
    axes.tick_params(axis="y", length=0)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.5)
    axes.tick_params(width=0.5, length=2.5, labelsize=8)
    axes.minorticks_off()
