"""What figures for print share: the ground and its inks, and how a drawing becomes PNG or SVG.

One drawing makes both kinds: matplotlib brings its own fonts, so that a figure looks alike on every
machine, and keeps text as text in SVG. It is imported when a figure is asked for, draws without a
screen, and its settings are as they were afterwards. This module knows no result and no file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from molehill.errors import MissingExtraError
from molehill.views.words import visible

__all__ = ["Inks", "drawable", "inks", "printed"]


@dataclass(frozen=True)
class Inks:
    """The colours of text, of what is less than text, of the ground, of more and of less."""

    ink: str
    soft: str
    ground: str
    more: str
    less: str


def inks(*, dark: bool) -> Inks:
    """Those of light or of dark ground; as on the pages."""
    if dark:
        return Inks("#ebe8e1", "#a8a39a", "#15161a", "#63b1f5", "#f58a52")
    return Inks("#1d1b18", "#615c54", "#ffffff", "#0064b5", "#c4470a")


def printed(
    draw: Callable[[Any], None],
    size: tuple[float, float],
    *,
    kind: Literal["png", "svg"],
    dark: bool,
) -> bytes:
    """A figure as a file's content; the same drawing gives the same bytes.

    Args:
        draw: draws on the empty matplotlib figure that it is given.
        size: width and height in inches of 200 pixels.
        kind: `png`, or `svg` with text as text.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            "Figures need matplotlib: pip install matplotlib, or ask for --html instead."
        ) from error
    used = inks(dark=dark)
    with matplotlib.rc_context(_style(used)):
        figure = Figure(figsize=size, dpi=200, facecolor=used.ground)
        FigureCanvasAgg(figure)
        draw(figure)
        sink = io.BytesIO()
        # The date is left out: the same result gives the same file.
        meta = {"Date": None, "Creator": "Molehill"} if kind == "svg" else {"Software": "Molehill"}
        with warnings.catch_warnings():
            # A script that the fonts lack is drawn as boxes in PNG; SVG keeps the text itself.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            figure.savefig(sink, format=kind, facecolor=used.ground, metadata=meta)
    return sink.getvalue()


def _style(used: Inks) -> dict[str, object]:
    return {
        "font.family": ["DejaVu Sans"],
        "font.size": 8.5,
        "svg.fonttype": "none",
        "svg.hashsalt": "molehill",
        "text.color": used.ink,
        "axes.labelcolor": used.soft,
        "xtick.color": used.soft,
        "ytick.color": used.soft,
        "axes.edgecolor": used.soft,
        # A dollar sign in a sentence is a dollar sign and no formula.
        "text.parse_math": False,
        "text.usetex": False,
    }


def drawable(text: str) -> str:
    """Text that SVG and every font can take: control characters and lone halves are replaced."""
    shown = visible(text)
    return "".join("�" if "\ud800" <= character <= "\udfff" else character for character in shown)
