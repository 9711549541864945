"""A model's geometry as a figure for print: cosines beside chance, the spectrum, and the layers.

This module knows no file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, drawable, inks, printed
from molehill.views.superposition_report_words import figure_of, kind_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["report_figure"]

_SIZE = (10.0, 3.6)
_LINES = ("mlp.gate", "mlp.up", "mlp.columns", "attn.out")


def report_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure of a report's first table and its layers, as a file's content.

    Args:
        data: from `report_data`.
        kind: `png`, 2,000 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    made = _Drawing(data, inks(dark=dark))
    return printed(made.draw, _SIZE, kind=kind, dark=dark)


class _Drawing:
    """Up to three panels side by side."""

    def __init__(self, data: dict[str, Any], used: Inks) -> None:
        self.data, self.used = data, used
        panels = [self._cosines, self._spectrum] if data["tables"] else []
        self.panels = [*panels, *([self._layers] if data["layers"] else [])]

    def draw(self, figure: Figure) -> None:
        """Panels from the left to the right; title above, source below."""
        count = len(self.panels)
        wide = (0.95 - 0.075 * count) / count
        for number, panel in enumerate(self.panels):
            axes = figure.add_axes((0.065 + number * (wide + 0.085), 0.25, wide, 0.55))
            axes.set_facecolor(self.used.ground)
            axes.tick_params(width=0.5, length=2.5, labelsize=8)
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
            panel(axes)
        made = self.data["provenance"]
        figure.text(0.065, 0.92, drawable(f"Geometry of {made['model']}"), fontsize=11)
        foot = (
            f"{made['model']} ({made['fingerprint'][:12]}), {made['dtype']}, Molehill "
            f"{made['version']}, {made['checked']['told']}"
        )
        figure.text(0.065, 0.03, drawable(foot), fontsize=7, color=self.used.soft)

    def _cosines(self, axes: Axes) -> None:
        table = self.data["tables"][0]
        found = table["histogram"]
        count = len(found["real"])
        wide = (found["to"] - found["from"]) / count
        middles = [found["from"] + (at + 0.5) * wide for at in range(count)]
        lines = (
            ("random", "random", self.used.soft, 1.0, "-"),
            ("matched", "same spectrum", self.used.less, 1.2, "-"),
            ("real", "rows", self.used.more, 1.8, "-"),
        )
        least = min((value for value in found["real"] if value), default=1e-9)
        for name, told, ink, width, style in lines:
            values = [value or float("nan") for value in found[name]]
            axes.plot(middles, values, color=ink, linewidth=width, linestyle=style, label=told)
        _logarithmic(axes, "y", _share)
        axes.set_ylim(bottom=least / 2)
        self._titled(axes, f"{table['name']}: cosines of all pairs", "cosine")
        _keyed(axes, 3)

    def _spectrum(self, axes: Axes) -> None:
        found = self.data["tables"][0]["spectrum"]
        lines = (
            ("random", "random", self.used.soft, 1.0),
            ("centred", "mean taken off", self.used.less, 1.2),
            ("real", "rows", self.used.more, 1.8),
        )
        for name, told, ink, width in lines:
            values = [value or float("nan") for value in found[name]]
            axes.plot(found["axis"], values, color=ink, linewidth=width, label=told)
        _logarithmic(axes, "x", lambda value: f"{value:,.0f}")
        _logarithmic(axes, "y", _share)
        self._titled(axes, "share of squared length", "axis")
        _keyed(axes, 3)

    def _layers(self, axes: Axes) -> None:
        lines = self.data["layers"]
        gated = any(line["kind"] == "mlp.gate" for line in lines)
        colours = (self.used.more, self.used.less, self.used.ink, self.used.soft)
        for kind, ink in zip(_LINES, colours, strict=True):
            of = [line for line in lines if line["kind"] == kind]
            if of:
                ratios = [line["rms"] / line["random_rms"] for line in of]
                name = kind_name(kind, gated=gated)
                layers = [line["layer"] for line in of]
                axes.plot(layers, ratios, color=ink, linewidth=1.5, label=name, marker=".")
        axes.locator_params(axis="x", integer=True)
        axes.axhline(1.0, color=self.used.soft, linewidth=0.8, linestyle=":")
        largest = max(lines, key=lambda line: abs(line["largest"]))
        told = f"largest {figure_of(largest['largest'])} in {largest['name']}"
        self._titled(axes, "typical |cosine|, times chance", f"layer; {told}")
        _keyed(axes, 2)

    def _titled(self, axes: Axes, title: str, below: str) -> None:
        axes.set_title(drawable(title), loc="left", fontsize=9, color=self.used.ink)
        axes.set_xlabel(drawable(below), fontsize=8)


def _logarithmic(axes: Axes, side: Literal["x", "y"], told: Callable[[float], str]) -> None:
    """A logarithmic axis whose numbers are plain text: formulas are not drawn."""
    axis = axes.xaxis if side == "x" else axes.yaxis
    (axes.set_xscale if side == "x" else axes.set_yscale)("log")
    axis.set_major_formatter(lambda value, _: told(value))
    axis.set_minor_formatter(lambda value, _: "")


def _keyed(axes: Axes, columns: int) -> None:
    """Names of the lines, below the panel: within it they would hide one."""
    axes.legend(
        fontsize=7,
        frameon=False,
        handlelength=1.4,
        ncol=columns,
        loc="upper left",
        bbox_to_anchor=(-0.04, -0.2),
    )


def _share(value: float) -> str:
    if value < 0.9e-5:
        return f"{value:.0e}".replace("e-0", "e-").replace("-", "−")
    return f"{100 * value:.3f}".rstrip("0").rstrip(".") + "%"
