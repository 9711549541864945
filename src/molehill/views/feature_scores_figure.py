"""Scores of autoencoders as a figure for print: explained variance and loss recovered against L0.

From the data of `views/feature_scores.py`, as PNG or SVG. This module knows no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, inks, printed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["feature_scores_figure"]

_MARKS = "os^Dv<>p*"


def feature_scores_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure as a file's content.

    Args:
        data: from `feature_scores_data`.
        kind: `png`, 1,960 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    used = inks(dark=dark)

    def draw(figure: Figure) -> None:
        for left, name, title in (
            (0.07, "explained_variance", "Explained variance"),
            (0.56, "ce_loss_score", "Loss recovered"),
        ):
            axes = figure.add_axes((left, 0.15, 0.41, 0.67))
            _lines(axes, data, used, name)
            axes.set_title(title, fontsize=9, loc="left", pad=10)
        made = data["provenance"]
        figure.text(
            0.02, 0.95, f"Features of {made['model']}", fontsize=11, va="top", color=used.ink
        )
        foot = f"Molehill {made['version']}, {made['model']} {made['fingerprint'][:12]}"
        figure.text(0.02, 0.02, f"{foot}, {data['texts']}", fontsize=7, color=used.soft)

    return printed(draw, (9.8, 4.4), kind=kind, dark=dark)


def _lines(axes: Axes, data: dict[str, Any], used: Inks, name: str) -> None:
    colours = (used.more, used.less, "#2f9e78", "#b05fa0", "#a07a10", used.soft)
    for number, one in enumerate(data["series"]):
        points = [data["autoencoders"][point] for point in one["points"]]
        points = [point for point in points if point[name] is not None]
        axes.plot(
            [point["l0"] for point in points],
            [point[name] for point in points],
            color=colours[number % len(colours)],
            marker=_MARKS[number % len(_MARKS)],
            markersize=4.5,
            linewidth=1.2,
            label=one["name"],
        )
    axes.set_xscale("log", base=2)
    axes.set_xlabel("active features in a row (L0)")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_linewidth(0.5)
    axes.tick_params(width=0.5, length=2.5, labelsize=8)
    axes.legend(fontsize=7, frameon=False, loc="best")
