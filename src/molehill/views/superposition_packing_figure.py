"""A packing as a figure for print: the cosines of all pairs beside chance, and the search.

Known optima are drawn as how far the search ends above each. This module knows no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, drawable, inks, printed
from molehill.views.superposition_packing import cosine_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["packing_figure"]

_SIZE = (10.0, 3.7)
_LEAST_GAP = 1e-9


def packing_figure(
    data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False
) -> bytes:
    """The figure of a packing or of known optima, as a file's content.

    Args:
        data: from `packing_data` or `known_packings_data`.
        kind: `png`, 2,000 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    made = _Drawing(data, inks(dark=dark))
    size = _SIZE if data["kind"] == "packing" else (10.0, 1.4 + 0.2 * len(data["rows"]))
    return printed(made.draw, size, kind=kind, dark=dark)


class _Drawing:
    def __init__(self, data: dict[str, Any], used: Inks) -> None:
        self.data, self.used = data, used

    def draw(self, figure: Figure) -> None:
        """Title above, panels side by side, source below."""
        if self.data["kind"] == "packing":
            self._cosines(self._axes(figure, (0.065, 0.2, 0.52, 0.58)))
            self._search(self._axes(figure, (0.66, 0.2, 0.3, 0.58)))
        else:
            tall = _inches(figure)
            self._known(self._axes(figure, (0.25, 0.62 / tall, 0.68, 1 - 1.15 / tall)))
        tall = _inches(figure)
        for line, text in enumerate(self._words()):
            figure.text(
                0.02,
                1 - (0.27 + 0.2 * line) / tall,
                drawable(text),
                fontsize=8.5 if line else 11.5,
                fontweight="normal" if line else "bold",
                color=self.used.soft if line else self.used.ink,
            )
        made = self.data["provenance"]
        foot = f"Molehill {made['version']}, seed {made['seed']}"
        figure.text(0.02, 0.08 / tall, foot, fontsize=7, color=self.used.soft)

    def _words(self) -> list[str]:
        if self.data["kind"] == "known":
            return self.data["summary"][:1]
        return [line.split(": ", 1)[0] if not at else line for at, line in enumerate(self._lines())]

    def _lines(self) -> list[str]:
        return [self.data["summary"][0], self.data["summary"][1]]

    def _axes(self, figure: Figure, place: tuple[float, float, float, float]) -> Axes:
        axes = figure.add_axes(place)
        axes.set_facecolor(self.used.ground)
        axes.tick_params(width=0.5, length=2.5, labelsize=8)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for spine in axes.spines.values():
            spine.set_linewidth(0.5)
        return axes

    def _cosines(self, axes: Axes) -> None:
        found = self.data["histogram"]
        count = len(found["ours"])
        wide = (found["to"] - found["from"]) / count
        edges = [found["from"] + at * wide for at in range(count + 1)]
        axes.stairs(found["random"], edges, color=self.used.soft, linewidth=1.0, label="random")
        axes.stairs(found["ours"], edges, fill=True, color=self.used.more, alpha=0.25, linewidth=0)
        axes.stairs(found["ours"], edges, color=self.used.more, linewidth=1.4, label="packing")
        both = self.data["lines"]
        bound = self.data["bound"]["cosine"]
        for sign in (1, -1) if both else (1,):
            axes.axvline(
                sign * bound,
                color=self.used.less,
                linewidth=1.0,
                linestyle=":",
                label=f"bound {cosine_of(bound)}" if sign == 1 else None,
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("cosine of a pair", fontsize=8)
        axes.set_title(f"Share of pairs, bins of {wide:.3g}", loc="left", fontsize=9)
        axes.legend(fontsize=7.5, frameon=False, handlelength=1.4)

    def _search(self, axes: Axes) -> None:
        history = self.data["history"]
        axes.plot(
            [one["step"] for one in history],
            [one["largest"] for one in history],
            color=self.used.more,
            linewidth=1.5,
        )
        bound = self.data["bound"]["cosine"]
        axes.axhline(bound, color=self.used.less, linewidth=1.0, linestyle=":")
        axes.set_xlabel("step", fontsize=8)
        axes.locator_params(nbins=5)
        told = cosine_of(self.data["largest"])
        axes.set_title(f"Largest cosine, ends at {told}", loc="left", fontsize=9)

    def _known(self, axes: Axes) -> None:
        rows = self.data["rows"]
        places = range(len(rows))
        axes.set_xscale("log")
        series: list[tuple[str, str, str, list[float | None]]] = [
            ("random", ".", self.used.soft, [row["random"] - row["optimum"] for row in rows]),
            (
                "alternating projection",
                "x",
                self.used.less,
                [
                    None if row["alternating"] is None else row["alternating"] - row["optimum"]
                    for row in rows
                ],
            ),
            ("ours", "o", self.used.more, [row["gap"] for row in rows]),
        ]
        for name, mark, ink, gaps in series:
            there = [(max(gap, _LEAST_GAP), at) for at, gap in enumerate(gaps) if gap is not None]
            x, y = zip(*there, strict=True) if there else ((), ())
            axes.plot(x, y, mark, color=ink, markersize=5, label=name, markeredgewidth=1.2)
        axes.axvline(1e-3, color=self.used.soft, linewidth=0.6, linestyle=":")
        names = [
            drawable(
                f"{row['name']}: {row['count']} {'lines' if row['lines'] else 'vectors'} in "
                f"{row['dimensions']}"
            )
            for row in rows
        ]
        axes.set_yticks(list(places), names)
        axes.invert_yaxis()
        powers = range(-9, 1)
        axes.set_xticks(
            [10.0**power for power in powers],
            ["≤1e−9" if power == -9 else f"1e−{-power}" if power else "1" for power in powers],
        )
        axes.minorticks_off()
        axes.set_xlabel("largest cosine above the optimum", fontsize=8)
        axes.legend(
            fontsize=7.5, frameon=False, loc="upper right", bbox_to_anchor=(1.0, 1.06), ncols=3
        )


def _inches(figure: Figure) -> float:
    return float(figure.get_size_inches()[1])
