"""Macro-F1 by layer for every word, a panel for each model and reading, drawn with matplotlib."""

from __future__ import annotations

from pathlib import Path

__all__ = ["by_layer"]

_COLOURS = ("#0064b5", "#c4470a", "#007a57", "#a34b90", "#836300")


def by_layer(scored: dict[str, list], path: Path) -> None:
    """Write the figure as a PNG.

    Args:
        scored: for every panel's title, the `SenseScores` of the words.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.9), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(scored), sharey=True)
    for axes, (title, words) in zip(panels, scored.items(), strict=True):
        for number, one in enumerate(words):
            layers = range(len(one.layers))
            axes.plot(
                [place / (len(one.layers) - 1) for place in layers],
                [layer.test.macro_f1 for layer in one.layers],
                color=_COLOURS[number % len(_COLOURS)],
                linestyle="-" if number < len(_COLOURS) else (0, (4, 1.5)),
                linewidth=2.2 if one.word == "mole" else 1.1,
                label=one.word,
            )
            axes.plot(
                1.06,
                one.combined.macro_f1,
                marker="o" if number < len(_COLOURS) else "D",
                markersize=4.5,
                color=_COLOURS[number % len(_COLOURS)],
                clip_on=False,
            )
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xticks([0, 0.5, 1, 1.06], ["embedding", "half way", "last", "\nall layers"])
        axes.set_xlim(-0.02, 1.1)
        axes.set_ylim(0, 1.0)
        axes.grid(axis="y", linewidth=0.4, color="#cccccc")
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
    panels[0].set_ylabel("macro-F1 on the test uses")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(path)
