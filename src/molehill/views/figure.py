"""A shift as a figure for print: the paths, and how far apart each pair is, as PNG or SVG.

This module knows no file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import drawable, inks, printed
from molehill.views.words import clipped, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["shift_figure"]

# Okabe and Ito's hues, darkened for paper and lightened for dark ground: each has a contrast of at
# least 3:1 to its ground. Shape and dashes tell paths apart where colour does not.
_LIGHT = ("#0064b5", "#c4470a", "#007a57", "#a34b90", "#836300", "#107291", "#5d51b8", "#5b5b5b")
_DARK = ("#63b1f5", "#f58a52", "#3fc596", "#dc92cb", "#d6b044", "#5fd0ea", "#a79df2", "#b5b5b5")
_SHAPES = ("o", "s", "^", "D", "P", "v", "h", "*")
_DASHES = (
    "-",
    (0, (7, 2)),
    (0, (3, 1.5)),
    (0, (9, 2, 3, 2)),
    (0, (5, 1)),
    (0, (10, 2, 2, 2)),
    (0, (2, 1)),
    (0, (8, 4)),
)
_MOST_NAMED = 12


def shift_figure(data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False) -> bytes:
    """The figure of a shift's data, as a file's content.

    Args:
        data: from `shift_data`.
        kind: `png`, 2,000 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    used = inks(dark=dark)
    named = min(len(data["sentences"]), _MOST_NAMED)
    foot = 0.55 + 0.185 * (named + 1)
    height = 4.1 + foot
    colours = _DARK if dark else _LIGHT

    def draw(figure: Any) -> None:
        _Drawing(data, figure, used.ink, used.soft, used.ground, colours).draw(foot / height)

    return printed(draw, (10.0, height), kind=kind, dark=dark)


class _Drawing:
    """One figure on its way: what is drawn, and in which colours."""

    def __init__(
        self,
        data: dict[str, Any],
        figure: Figure,
        ink: str,
        soft: str,
        ground: str,
        colours: Sequence[str],
    ) -> None:
        self.data, self.figure = data, figure
        self.ink, self.soft, self.ground, self.colours = ink, soft, ground, colours

    def draw(self, foot: float) -> None:
        """Paths on the left, distances on the right, sentences and provenance below."""
        top = 1 - 0.42 / self.figure.get_figheight()
        if self.data["pairs"]:
            paths = self.figure.add_axes((0.035, foot + 0.02, 0.46, top - foot - 0.04))
            self._paths(paths)
            self._distances(self.figure.add_axes((0.555, foot + 0.02, 0.375, top - foot - 0.04)))
        else:
            self._paths(self.figure.add_axes((0.035, foot + 0.02, 0.93, top - foot - 0.04)))
        self._words(foot)

    def _colour(self, number: int) -> str:
        return self.colours[(number - 1) % len(self.colours)]

    def _paths(self, axes: Axes) -> None:
        name, basis = next(iter(self.data["bases"].items()))
        ends = [[_finite(path[-1][axis]) for path in basis["paths"]] for axis in (0, 1)]
        for number, path in enumerate(basis["paths"], start=1):
            x, y = ([_finite(point[axis]) for point in path] for axis in (0, 1))
            index = (number - 1) % len(_SHAPES)
            colour = self._colour(number)
            axes.plot(
                x,
                y,
                color=colour,
                linestyle=_DASHES[index],
                linewidth=1.3 if len(basis["paths"]) <= 8 else 0.7,
                solid_joinstyle="round",
            )
            axes.plot(x, y, ".", color=colour, markersize=2.4, alpha=0.6)
            axes.plot(
                x[-1:],
                y[-1:],
                _SHAPES[index],
                color=colour,
                markersize=7,
                markeredgecolor=self.ground,
            )
            self._number(axes, number, x[-1], y[-1], ends)
        x, y = basis["paths"][0][0][:2]
        axes.plot(
            [_finite(x)],
            [_finite(y)],
            "o",
            color=self.ground,
            markeredgecolor=self.ink,
            markersize=6,
            zorder=5,
        )
        axes.annotate(
            "start",
            (_finite(x), _finite(y)),
            (0, 7),
            textcoords="offset points",
            ha="center",
            zorder=6,
            path_effects=[self._halo()],
        )
        axes.set_aspect("equal", adjustable="datalim")
        axes.margins(0.08)
        axes.set_facecolor(self.ground)
        axes.set_xticks([])
        axes.set_yticks([])
        shares = basis["explained"]
        axes.set_xlabel(f"axis 1: {percent(shares[0])} of the variance", fontsize=8)
        axes.set_ylabel(f"axis 2: {percent(shares[1])}", fontsize=8)
        for spine in axes.spines.values():
            spine.set_linewidth(0.5)
        title = {
            "differences": "What the paths do not share (directions, one joint basis)",
            "directions": "Paths (directions, one joint basis)",
        }.get(name, "Paths (one joint basis)")
        axes.set_title(title, loc="left", fontsize=9, color=self.ink)

    def _number(
        self, axes: Axes, number: int, x: float, y: float, ends: Sequence[Sequence[float]]
    ) -> None:
        """A path's number at its end, on the side that faces away from the other ends."""
        across, up = (
            end - sum(others) / len(others) for end, others in zip((x, y), ends, strict=True)
        )
        length = (across**2 + up**2) ** 0.5 or 1.0
        offset = (11 * across / length, 11 * up / length) if len(ends[0]) > 1 else (9, 0)
        axes.annotate(
            str(number),
            (x, y),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            color=self._colour(number),
            fontweight="bold",
            fontsize=10,
            zorder=6,
            path_effects=[self._halo()],
        )

    def _halo(self) -> Any:
        from matplotlib.patheffects import withStroke

        return withStroke(linewidth=2.5, foreground=self.ground)

    def _distances(self, axes: Axes) -> None:
        points = range(len(self.data["points"]))
        few = len(self.data["pairs"]) <= 6
        for pair in self.data["pairs"]:
            distances = [_finite(value) for value in pair["distances"]]
            axes.plot(
                points,
                distances,
                color=self.ink if few else self.soft,
                linewidth=0.9 if few else 0.6,
                alpha=0.9 if few else 0.45,
            )
            if pair["parts_at_index"] is not None:
                place = pair["parts_at_index"]
                axes.plot(
                    [place],
                    distances[place : place + 1],
                    "D",
                    color=self.ink,
                    markersize=3.4,
                    zorder=4,
                )
            if few:
                axes.annotate(
                    f"{pair['a']} and {pair['b']}",
                    (points[-1], distances[-1]),
                    (4, -3),
                    textcoords="offset points",
                    fontsize=8,
                    annotation_clip=False,
                )
        axes.set_xlim(0, len(points) - 1)
        axes.set_ylim(bottom=0)
        layers = [
            (place, point["layer"])
            for place, point in enumerate(self.data["points"])
            if point["name"].endswith("resid_post") and point["layer"] % 5 == 0
        ]
        axes.set_xticks([place for place, _ in layers], [str(layer) for _, layer in layers])
        axes.set_xlabel(
            "layer (0 is one place, 1.41 a right angle; ◆ where a pair parts)", fontsize=8
        )
        axes.set_facecolor(self.ground)
        axes.grid(axis="y", linewidth=0.4, color=self.soft, alpha=0.4)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        for side in ("left", "bottom"):
            axes.spines[side].set_linewidth(0.5)
        axes.tick_params(width=0.5, length=3)
        axes.set_title("How far apart each pair is", loc="left", fontsize=9, color=self.ink)

    def _words(self, foot: float) -> None:
        from matplotlib.lines import Line2D

        height = self.figure.get_figheight()
        made = self.data["provenance"]
        count = len(self.data["sentences"])
        title = f"{clipped(self.data['word'], 60)} in {count} sentence{'s' if count > 1 else ''}"
        self.figure.text(0.035, 1 - 0.24 / height, drawable(title), fontsize=12, fontweight="bold")
        line = foot - 0.42 / height
        named = min(count, _MOST_NAMED)
        for sentence in self.data["sentences"][:named]:
            number = sentence["number"]
            mark = Line2D(
                [0.041],
                [line + 0.045 / height],
                marker=_SHAPES[(number - 1) % len(_SHAPES)],
                markersize=5,
                color=self._colour(number),
                linestyle="none",
            )
            self.figure.add_artist(mark)
            self.figure.text(0.05, line, str(number), color=self._colour(number), fontweight="bold")
            self.figure.text(
                0.066 if named < 10 else 0.074, line, drawable(clipped(sentence["text"], 140))
            )
            line -= 0.185 / height
        more = len(self.data["sentences"]) - _MOST_NAMED
        error = self.data["closing_error"]
        told = [f"and {more} more sentences"] if more > 0 else []
        told += [
            f"{made['model']} ({made['fingerprint'][:12]})",
            made["dtype"] + (", read twice" if made["twice"] else ""),
            f"Molehill {made['version']}",
            made["checked"]["told"],
            "closing error not finite" if error is None else f"closing error {error:.0e}",
        ]
        self.figure.text(0.035, line, drawable(" · ".join(told)), color=self.soft, fontsize=7.5)


def _finite(value: float | None) -> float:
    """Matplotlib leaves a gap where a number is NaN."""
    return float("nan") if value is None else value
