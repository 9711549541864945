"""`molehill lens`: the nearest words at every point of every token's journey."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    write_files,
)
from molehill.errors import TextError

__all__ = ["RulerName", "register"]


class RulerName(StrEnum):
    """What a vector is held against."""

    logit = "logit"
    embedding = "embedding"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("lens")(loads_models(_lens))


def _lens(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model reads.")],
    model: ModelOption = DEFAULT_MODEL,
    k: Annotated[
        int, typer.Option("--k", "-k", min=1, max=100, help="Nearest words kept at every place.")
    ] = 5,
    ruler: Annotated[
        RulerName | None,
        typer.Option(
            "--ruler",
            help="Logit: the model's own head. Embedding: cosine. Default: if there, logit.",
        ),
    ] = None,
    track: Annotated[
        list[str] | None,
        typer.Option("--track", metavar="WORD", help="Show this word's rank; repeatable."),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            "--every",
            min=1,
            metavar="N",
            help="Show every N-th layer's end only; default: all, on a terminal what has room.",
        ),
    ] = None,
    tokens: Annotated[
        str | None,
        typer.Option(
            "--tokens",
            metavar="A:B",
            help="Tokens from A up to B on the terminal; default: the last that have room.",
        ),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Read every token at every layer: the nearest words, how sure, and a word's rank.

    Example: molehill lens "The capital of France is" --track Paris
    """
    check_writable([] if html is None else [html])

    from molehill.journey import lens
    from molehill.version import __version__
    from molehill.views.lens import lens_data
    from molehill.views.lens_text import lens_renderable

    lm = load_model(model, dtype)
    tracked = [lm.next_token(word) for word in track or []]
    grid = lens(lm, text, k=k, ruler=None if ruler is None else ruler.value, track=tracked)
    span = None if tokens is None else _span(tokens, len(grid.pieces))
    data = lens_data(lm, text, grid, every=every, version=__version__)
    if html is not None:
        from molehill.views.html import page
        from molehill.views.lens_text import lens_text

        # A screen shows no more digits, and the page is half as large.
        drawn = lens_data(lm, text, grid, every=every, version=__version__, digits=4)
        content = page("lens", drawn, title=f"Lens: {text[:60]}", text=lens_text(drawn))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: lens_renderable(
            data, width=width, tokens=span, ascii_only=ascii_only
        )
    )


def _span(given: str, length: int) -> tuple[int, int]:
    """`A:B` as positions; either may be left out, and negative ones count from the end."""
    found = re.fullmatch(r"(-?\d{1,9})?:(-?\d{1,9})?", given)
    first, last = (0, length)
    if found:
        first, last, _ = slice(*(int(end) if end else None for end in found.groups())).indices(
            length
        )
    if not found or first >= last:
        raise TextError(
            f"--tokens is {given!r}: give A:B with tokens between 0 and {length}, such as 0:4."
        )
    return first, last
