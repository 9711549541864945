"""Causal traces as a figure for print: a map per kind side by side, as PNG or SVG.

Tokens down, the subject's with a star, layers across, one scale for all. This module knows no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from molehill.views.fact_trace import RELATION_SCHEMA, amount, first_row
from molehill.views.printing import Inks, drawable, inks, printed
from molehill.views.words import bare, clipped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

__all__ = ["fact_trace_figure"]

_WIDTH = 10.0
_ROW = 0.23
_HEAD, _FOOT = 1.12, 1.08
_LETTER, _MOST_LETTERS = 0.082, 22
_TOLD = 0.05
"""Of the scale: a smaller effect below nothing has no mark."""


def fact_trace_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure of a fact's or a relation's trace, as a file's content.

    Args:
        data: from `fact_trace_data` or `relation_trace_data`; its kinds are drawn.
        kind: `png`, 2,000 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    made = _Drawing(data, inks(dark=dark))
    return printed(made.draw, (_WIDTH, made.height), kind=kind, dark=dark)


class _Drawing:
    """One figure on its way: its rows, their names, and the scale of its colours."""

    def __init__(self, data: dict[str, Any], used: Inks) -> None:
        self.data, self.used = data, used
        self.relation = data["schema"] == RELATION_SCHEMA
        self.first = first_row(data)
        self.names = [self._name(row) for row in data["rows"][self.first :]]
        self.tall = len(self.names) * min(_ROW, 40 / len(self.names))
        self.height = _HEAD + self.tall + _FOOT
        cells = [
            cell
            for one in data["kinds"].values()
            for line in one["effects"]
            for cell in line
            if cell is not None
        ]
        self.low, self.high = min([0.0, *cells]), max([0.0, *cells])
        self.largest = max(self.high, -self.low) or 1.0
        if self.high == self.low:
            self.high = 1.0

    def _name(self, row: dict[str, Any]) -> str:
        name = row["name"] if self.relation else bare(row["name"])
        if self.relation:
            name = name.removesuffix("s").removesuffix(" token")
        return drawable(clipped(name, _MOST_LETTERS)) + (" *" if row["subject"] else "")

    def draw(self, figure: Figure) -> None:
        """Maps from the left to the right, the scale after the last; title above, source below."""
        kinds = list(self.data["kinds"].values())
        left = 0.2 + _LETTER * max(map(len, self.names))
        gap, scale = 0.16, 0.95
        wide = (_WIDTH - left - scale - gap * (len(kinds) - 1)) / len(kinds)
        shown = None
        for number, one in enumerate(kinds):
            place = (left + number * (wide + gap), _FOOT, wide, self.tall)
            axes = figure.add_axes(self._share(place))
            shown = self._map(axes, one)
            self._rows(axes, named=number == 0)
        self._scale(figure, shown)
        self._words(figure)

    def _share(self, place: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Inches as shares of the figure."""
        x, y, width, height = place
        return x / _WIDTH, y / self.height, width / _WIDTH, height / self.height

    def _map(self, axes: Axes, one: dict[str, Any]) -> Any:
        columns = [
            [float("nan") if line[row] is None else line[row] for line in one["effects"]]
            for row in range(self.first, len(self.data["rows"]))
        ]
        shown = axes.pcolormesh(
            columns,
            cmap=self._colours(),
            vmin=self.low,
            vmax=self.high,
            edgecolors=self.used.ground,
            linewidth=0.25,
        )
        axes.set_facecolor(self.used.ground)
        axes.invert_yaxis()
        self._marks(axes, one)
        layers = self.data["layers"]
        every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000) if layers / step <= 10)
        numbers = range(0, layers, every)
        axes.set_xticks([layer + 0.5 for layer in numbers], [str(layer) for layer in numbers])
        axes.tick_params(width=0.5, length=2.5, labelsize=8)
        for spine in axes.spines.values():
            spine.set_linewidth(0.5)
        axes.set_xlabel("layer", fontsize=8)
        axes.set_title(self._title(one), loc="left", fontsize=9, color=self.used.ink)
        return shown

    def _colours(self) -> ListedColormap:
        """From less through the ground to more, each as strong as its size on the whole scale."""
        from matplotlib.colors import ListedColormap, to_rgb

        ground, steps = to_rgb(self.used.ground), 512
        found = []
        for step in range(steps):
            value = self.low + (step + 0.5) / steps * (self.high - self.low)
            end = to_rgb(self.used.less if value < 0 else self.used.more)
            share = min(1.0, abs(value) / self.largest)
            found.append(tuple(a + (b - a) * share for a, b in zip(ground, end, strict=True)))
        return ListedColormap(found)

    def _marks(self, axes: Axes, one: dict[str, Any]) -> None:
        """A ring at the largest effect, a bar in cells that are less than nothing, a cross in those
        that are no number."""
        lost = []
        for layer, line in enumerate(one["effects"]):
            for row, cell in enumerate(line[self.first :]):
                if cell is None:
                    lost.append((layer + 0.5, row + 0.5))
                elif cell < -_TOLD * self.largest:
                    ends = (layer + 0.28, layer + 0.72)
                    axes.plot(ends, (row + 0.5, row + 0.5), color=self.used.ink, linewidth=0.7)
        if lost:
            x, y = zip(*lost, strict=True)
            axes.plot(x, y, "x", color=self.used.less, markersize=3.0, markeredgewidth=0.7)
        peak = one["peak"]
        if peak is not None and peak["effect"] > 0:
            axes.plot(
                [peak["layer"] + 0.5],
                [peak["row"] - self.first + 0.5],
                "o",
                markersize=3.4,
                markerfacecolor="none",
                markeredgecolor=self.used.ground,
                markeredgewidth=1.0,
            )

    def _rows(self, axes: Axes, *, named: bool) -> None:
        places = [row + 0.5 for row in range(len(self.names))]
        axes.set_yticks(places, self.names if named else [""] * len(places))
        axes.tick_params(axis="y", length=0)
        if not named:
            return
        for label, row in zip(axes.get_yticklabels(), self.data["rows"][self.first :], strict=True):
            label.set_color(self.used.ink if row["subject"] else self.used.soft)
            label.set_fontweight("bold" if row["subject"] else "normal")

    def _title(self, one: dict[str, Any]) -> str:
        name = {"state": "State after a layer", "attention": "Attention"}.get(
            one["title"], one["title"]
        )
        name = f"{name}, {one['window']} layers together" if one["window"] > 1 else name
        peak = one["peak"]
        most = (
            "not finite"
            if peak is None
            else f"most {amount(peak['effect'])}, layer {peak['layer']}"
        )
        return f"{name}\n{most}"

    def _scale(self, figure: Figure, shown: Any) -> None:
        place = (_WIDTH - 0.75, _FOOT, 0.11, self.tall)
        bar = figure.colorbar(shown, cax=figure.add_axes(self._share(place)))
        close = 0.08 * (self.high - self.low)
        ticks = [0.0, self.high / 2, self.high]
        ticks += [self.low] if -self.low > close else []
        bar.set_ticks(ticks, labels=[amount(tick) for tick in ticks])
        bar.outline.set_linewidth(0.5)
        bar.ax.tick_params(width=0.5, length=2.5, labelsize=8)
        bar.ax.set_title("effect", fontsize=8, color=self.used.soft, loc="left")

    def _words(self, figure: Figure) -> None:
        top = 1 - 0.28 / self.height
        figure.text(0.02, top, drawable(self._heading()), fontsize=12, fontweight="bold")
        figure.text(
            0.02,
            top - 0.22 / self.height,
            drawable(self._lost()),
            color=self.used.soft,
            fontsize=8.5,
        )
        made = self.data["provenance"]
        source = (
            f"{made['model']} ({made['fingerprint'][:12]}) · {made['dtype']} · "
            f"Molehill {made['version']} · {made['checked']['told']}"
        )
        told = "* the subject · ring: a map's largest effect" + (
            " · orange with a bar: below zero" if self.low < -_TOLD * self.largest else ""
        )
        if self.first:
            tokens = "1 token" if self.first == 1 else f"{self.first} tokens"
            told += f" · not drawn: {tokens} before the subject, of no effect"
        for line, text in enumerate((told, f"Corruption: {self.data['corruption']}", source)):
            figure.text(
                0.02,
                (0.46 - 0.16 * line) / self.height,
                drawable(clipped(text, 160)),
                color=self.used.soft,
                fontsize=7.5,
            )

    def _heading(self) -> str:
        if self.relation:
            return f"{clipped(self.data['relation'], 60)}, {len(self.data['facts'])} facts"
        target = clipped(self.data["target"], 30)
        return f"{clipped(self.data['prompt'], 70)} → {target}"

    def _lost(self) -> str:
        total = amount(self.data["total_effect"])
        if self.relation:
            low, high = (amount(value) for value in self.data["total_interval"])
            return f"total effect {total} on average, 95% interval {low} to {high}"
        clean, corrupted = amount(self.data["clean"]), amount(self.data["corrupted"])
        return (
            f"total effect {total}: the target's probability is {clean}, and {corrupted} with "
            "the subject corrupted"
        )
