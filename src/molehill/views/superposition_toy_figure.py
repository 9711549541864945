"""Toy models of superposition as a figure for print, as PNG or SVG.

A sweep: the vectors at some densities above, dimensionalities with the plateaus below; a map of
phases beside theory; or what neurons that compute are used for. This module knows no file.
"""

from __future__ import annotations

from itertools import combinations
from math import cos, dist, log, sin
from typing import TYPE_CHECKING, Any, Literal

from molehill.views.printing import Inks, drawable, inks, printed
from molehill.views.strips import colour_of
from molehill.views.superposition_toy import arrangement

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

__all__ = ["toy_figure"]

_WIDTH = 10.0
_ACROSS = 5
"""Densities whose vectors are drawn."""
_FRACTIONS = {"tetrahedron": "3/4", "triangle": "2/3", "digon": "1/2", "pentagon": "2/5"}
_COLOURS = {"digon": 1, "pentagon": 2, "triangle": 3, "tetrahedron": 4, "square antiprism": 5}
_TURN, _TILT = 0.5, 0.45
"""From where a figure in three dimensions is seen."""


def toy_figure(data: dict[str, Any], *, kind: Literal["png", "svg"], dark: bool = False) -> bytes:
    """The figure of any of the three kinds of toy data, as a file's content.

    Args:
        data: of `toy_sweep_data`, `toy_phases_data` or `toy_computing_data`.
        kind: `png`, 2,000 pixels wide, or `svg`, with text as text.
        dark: draw on dark ground.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    made = {"sweep": _Sweep, "phases": _Phases, "computing": _Computing}[data["kind"]](
        data, inks(dark=dark)
    )
    return printed(made.draw, (_WIDTH, made.height), kind=kind, dark=dark)


class _Drawing:
    """One figure on its way."""

    height = 5.0

    def __init__(self, data: dict[str, Any], used: Inks) -> None:
        self.data, self.used = data, used

    def axes(self, figure: Figure, left: float, low: float, wide: float, tall: float) -> Axes:
        """A place in inches."""
        share = (left / _WIDTH, low / self.height, wide / _WIDTH, tall / self.height)
        made = figure.add_axes(share)
        made.set_facecolor(self.used.ground)
        made.tick_params(width=0.5, length=2.5, labelsize=8)
        for spine in made.spines.values():
            spine.set_linewidth(0.5)
        return made

    def words(self, figure: Figure, title: str) -> None:
        made = self.data["provenance"]
        training = self.data["training"]
        first, last = made["seeds"]
        source = (
            f"{training['models']:,} models, seeds {first} to {last} · {training['steps']:,} steps "
            f"of {training['rows']:,} inputs · Molehill {made['version']}"
        )
        figure.text(0.02, 1 - 0.28 / self.height, drawable(title), fontsize=12, fontweight="bold")
        figure.text(0.02, 0.12 / self.height, drawable(source), color=self.used.soft, fontsize=7.5)

    def density_ticks(self, axes: Axes, points: list[float], places: list[float]) -> None:
        step = max(1, -(-len(points) // 9))
        kept = range(0, len(points), step)
        axes.set_xticks([places[place] for place in kept], [f"{points[p]:.2g}" for p in kept])
        axes.set_xlabel("density (sparser to the right)", fontsize=8)


class _Sweep(_Drawing):
    def __init__(self, data: dict[str, Any], used: Inks) -> None:
        super().__init__(data, used)
        self.small = data["dimensions"] <= 3
        self.row = 2.1 if self.small else 0.0
        self.height = 4.9 + self.row

    def draw(self, figure: Figure) -> None:
        data = self.data
        reading = "" if data["relu"] else ", without a ReLU"
        self.words(
            figure, f"{data['features']} features in {data['dimensions']} dimensions{reading}"
        )
        points = data["points"]
        if self.small:
            count = min(_ACROSS, len(points))
            chosen = [round(k * (len(points) - 1) / max(1, count - 1)) for k in range(count)]
            wide = (_WIDTH - 0.4) / count
            for place, point in enumerate(chosen):
                low = self.height - 0.6 - self.row
                axes = self.axes(figure, 0.2 + place * wide, low, wide - 0.1, self.row)
                self._vectors(axes, points[point])
        self._sizes(self.axes(figure, 0.6, 2.05, 7.9, 2.2))
        self._shares(self.axes(figure, 0.6, 0.72, 7.9, 0.95))

    def _vectors(self, axes: Axes, point: dict[str, Any]) -> None:
        model = next(one for one in point["models"] if one["copy"] == point["best"])
        tips = [_seen(vector) for vector in model["vectors"]]
        names = {at: shape["name"] for shape in model["shapes"] for at in shape["features"]}
        for shape in model["shapes"]:
            for one, other in _edges(shape["features"], model):
                x, y = zip(tips[one], tips[other], strict=True)
                axes.plot(x, y, color=self._ink(shape["name"]), linewidth=0.9, alpha=0.6)
        for feature, (x, y) in enumerate(tips):
            ink = self._ink(names.get(feature, ""))
            if feature in names:
                axes.plot((0, x), (0, y), color=ink, linewidth=1.6)
            axes.plot(x, y, "o", color=ink, markersize=3.5)
        reach = 1.3 * max(1.0, *(abs(value) for tip in tips for value in tip))
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        axes.set_axis_off()
        told = arrangement(shape["name"] for shape in model["shapes"])
        axes.set_title(f"density {point['density']:.2g}\n{told}", fontsize=8.5)

    def _ink(self, name: str) -> str:
        return colour_of(_COLOURS[name]) if name in _COLOURS else self.used.soft

    def _sizes(self, axes: Axes) -> None:
        points = self.data["points"]
        places = list(range(len(points)))
        bins = len(points[0]["histogram"])
        sides = [place - 0.5 for place in range(len(points) + 1)]
        ends = [bin_ / bins for bin_ in range(bins + 1)]
        columns = [_depths(point["histogram"]) for point in points]
        depths = [list(row) for row in zip(*columns, strict=True)]
        axes.pcolormesh(sides, ends, depths, cmap=self._blues(), vmin=0, vmax=1)
        for one in self.data["plateaus"]:
            ink = self._ink(one["name"])
            axes.axhline(one["size"], color=ink, linewidth=0.8, linestyle=(0, (4, 3)))
            lift = {"pentagon": 0.02, "square antiprism": -0.03}.get(one["name"], 0)
            told = f" {_FRACTIONS.get(one['name'], '3/8')} {one['name']}"
            axes.text(len(points) - 0.4, one["size"] + lift, told, va="center", fontsize=8)
        median = [point["per_feature"][2] for point in points]
        low = [point["per_feature"][1] for point in points]
        high = [point["per_feature"][3] for point in points]
        axes.fill_between(places, low, high, color=self.used.ink, alpha=0.15, linewidth=0)
        axes.plot(places, median, color=self.used.ink, linewidth=1.4)
        axes.set(xlim=(-0.6, len(points) - 0.4), ylim=(0, 1.02))
        axes.set_xticks([])
        axes.set_title(
            "Dimensionality of each feature; line: dimensions per feature, median and quartiles",
            loc="left",
            fontsize=9,
        )

    def _blues(self) -> ListedColormap:
        from matplotlib.colors import ListedColormap, to_rgb

        ground, more = to_rgb(self.used.ground), to_rgb(self.used.more)
        steps = [step / 63 for step in range(64)]
        return ListedColormap(
            [[a + (b - a) * step for a, b in zip(ground, more, strict=True)] for step in steps]
        )

    def _shares(self, axes: Axes) -> None:
        points = self.data["points"]
        places, bases = range(len(points)), [0.0] * len(points)
        for name in [*_COLOURS, ""]:
            shares = [
                point["shares"].get(name, 0.0) if name else 1 - base
                for point, base in zip(points, bases, strict=True)
            ]
            alpha = 1.0 if name else 0.4
            axes.bar(places, shares, 0.94, bases, color=self._ink(name), alpha=alpha, linewidth=0)
            bases = [base + share for base, share in zip(bases, shares, strict=True)]
        axes.set(xlim=(-0.6, len(points) - 0.4), ylim=(0, 1))
        axes.set_yticks([0, 1], ["0%", "100%"])
        axes.set_title(
            "Share of features that are corners of a figure (grey: no regular figure, or alone)",
            loc="left",
            fontsize=9,
        )
        self.density_ticks(
            axes, [point["density"] for point in points], [float(k) for k in range(len(points))]
        )


def _depths(histogram: list[int]) -> list[float]:
    """How dark each bin is; what holds something is never white."""
    most = max(1, *histogram)
    return [0.12 + 0.88 * (count / most) ** 0.5 if count else 0.0 for count in histogram]


def _seen(vector: list[float]) -> tuple[float, float]:
    if len(vector) == 1:
        return vector[0], 0.0
    if len(vector) == 2:
        return vector[0], vector[1]
    a, b, c = vector
    x, depth = cos(_TURN) * a + sin(_TURN) * c, cos(_TURN) * c - sin(_TURN) * a
    return x, cos(_TILT) * b - sin(_TILT) * depth


def _edges(features: list[int], model: dict[str, Any]) -> list[tuple[int, int]]:
    """Corners are joined with those nearest to them."""
    units = {
        one: [value / model["norms"][one] for value in model["vectors"][one]] for one in features
    }
    far = {pair: dist(units[pair[0]], units[pair[1]]) for pair in combinations(features, 2)}
    least = min(far.values(), default=0.0)
    return [pair for pair, length in far.items() if length <= 1.2 * least + 1e-6]


class _Phases(_Drawing):
    height = 4.9

    def draw(self, figure: Figure) -> None:
        data = self.data
        self.words(
            figure,
            f"One feature of another importance, {data['features']} features in "
            f"{data['dimensions']} dimension{'s' if data['dimensions'] > 1 else ''}",
        )
        for place, (name, cells) in enumerate(
            (("trained, the best seed", data["found"]), ("theory", data["expected"]))
        ):
            axes = self.axes(figure, 0.75 + 4.6 * place, 1.05, 4.1, 3.2)
            self._map(axes, cells, name)
            if place == 0:
                axes.set_ylabel("importance of the extra feature", fontsize=8)
        for place, (name, ink) in enumerate(zip(data["phases"], self._inks(), strict=True)):
            y = 0.38 / self.height
            figure.text(0.08 + 0.2 * place, y, "■", color=ink, fontsize=11)
            figure.text(0.1 + 0.2 * place, y, name, fontsize=8.5)
        figure.text(0.68, 0.38 / self.height, "line: theory's boundary", fontsize=8.5)

    def _inks(self) -> list[str]:
        return [f"{self.used.soft}55", self.used.more, self.used.less]

    def _map(self, axes: Axes, cells: list[list[int]], name: str) -> None:
        from matplotlib.colors import ListedColormap

        data = self.data
        colours = ListedColormap(self._inks())
        axes.pcolormesh(
            cells, cmap=colours, vmin=0, vmax=2, edgecolors=self.used.ground, linewidth=0.4
        )
        self._boundary(axes)
        columns = data["densities"]
        self.density_ticks(axes, columns, [place + 0.5 for place in range(len(columns))])
        step = max(1, len(data["relative"]) // 7)
        kept = range(0, len(data["relative"]), step)
        axes.set_yticks([k + 0.5 for k in kept], [f"{data['relative'][k]:.2g}" for k in kept])
        axes.set_title(name, loc="left", fontsize=9)

    def _boundary(self, axes: Axes) -> None:
        expected = self.data["expected"]
        for row, line in enumerate(expected):
            for column, phase in enumerate(line):
                if column + 1 < len(line) and line[column + 1] != phase:
                    axes.plot((column + 1,) * 2, (row, row + 1), color=self.used.ink, linewidth=1.4)
                if row + 1 < len(expected) and expected[row + 1][column] != phase:
                    axes.plot(
                        (column, column + 1), (row + 1,) * 2, color=self.used.ink, linewidth=1.4
                    )


class _Computing(_Drawing):
    height = 5.6

    def draw(self, figure: Figure) -> None:
        data = self.data
        self.words(
            figure, f"Absolute values of {data['features']} features by {data['neurons']} neurons"
        )
        points = data["points"]
        for place, point in enumerate((points[0], points[-1])):
            self._neurons(self.axes(figure, 0.6 + 4.75 * place, 2.9, 4.3, 1.95), point)
        self._lines(self.axes(figure, 0.6, 0.75, 8.4, 1.5))

    def _neurons(self, axes: Axes, point: dict[str, Any]) -> None:
        best = point["best"]
        for neuron, (row, column) in enumerate(zip(best["into"], best["out"], strict=True)):
            bases = {True: 0.0, False: 0.0}
            values = sorted(
                (
                    (abs(a) * b, feature)
                    for feature, (a, b) in enumerate(zip(row, column, strict=True))
                ),
                key=lambda one: -abs(one[0]),
            )
            for value, feature in values:
                up = value >= 0
                axes.bar(
                    neuron,
                    value,
                    bottom=bases[up],
                    width=0.86,
                    color=colour_of(feature + 1),
                    alpha=1.0 if up else 0.45,
                    edgecolor=self.used.ground,
                    linewidth=0.5,
                )
                if abs(value) > 0.2:
                    middle = bases[up] + value / 2
                    axes.text(neuron, middle, str(feature), ha="center", va="center", fontsize=7)
                bases[up] += value
        axes.axhline(0, color=self.used.ink, linewidth=0.6)
        axes.set_xticks(range(len(best["into"])))
        axes.set_xlabel("neuron", fontsize=8)
        axes.set_title(
            f"density {point['density']:.2g}, seed {best['seed']}: features of each neuron",
            loc="left",
            fontsize=9,
        )

    def _lines(self, axes: Axes) -> None:
        points = self.data["points"]
        places = [-log(point["density"]) for point in points]
        for name, ink, told in (("one", 3, "one feature"), ("several", 2, "several features")):
            shares = [point[name] for point in points]
            axes.plot(places, shares, "o-", color=colour_of(ink), linewidth=1.5, markersize=4)
            axes.text(places[-1], shares[-1], f"  {told}", va="center", fontsize=8.5)
        axes.set_ylim(-0.05, 1.05)
        axes.set_yticks([0, 0.5, 1], ["0%", "50%", "100%"])
        axes.set_title("Share of working neurons that serve", loc="left", fontsize=9)
        self.density_ticks(axes, [point["density"] for point in points], places)
        for spine in ("top", "right"):
            axes.spines[spine].set_visible(False)
