"""`molehill shift`: how a word's vector moves through several sentences, where its paths part, why.

The main job of the program: text on the terminal, and on request one JSON document, one
self-contained page, and figures for print.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    FeaturesOption,
    JsonOption,
    ModelOption,
    check_writable,
    load_model,
    loads_models,
    print_view,
    read_lines,
    write_files,
)
from molehill.errors import TextError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("shift")(loads_models(_shift))


def _shift(
    word: Annotated[str, typer.Argument(metavar="WORD", help="The word to follow.")],
    sentences: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SENTENCE]...",
            help="Sentences that hold it; without any, six built-in ones with `mole`.",
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    twice: Annotated[
        bool,
        typer.Option(
            "--twice", help="Let the model read each text twice, so that the word has seen it all."
        ),
    ] = False,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Read sentences from its lines; - is stdin."),
    ] = None,
    as_json: JsonOption = False,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page to explore.")
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write the figure as SVG.")
    ] = None,
    png: Annotated[
        Path | None, typer.Option("--png", metavar="FILE", help="Write the figure as PNG.")
    ] = None,
    dark: Annotated[bool, typer.Option("--dark", help="Draw SVG and PNG on dark ground.")] = False,
    features: FeaturesOption = None,
    axes: Annotated[
        list[str] | None,
        typer.Option(
            "--axes",
            metavar="NAME",
            help="An axis for the picture: a word, `animal - spy`, `1 - 2` (two sentences), "
            "feature:lexicon-4/17; repeatable, up to three.",
        ),
    ] = None,
    rows: Annotated[
        int, typer.Option("--rows", min=1, max=200, help="Rows kept in every list of movers.")
    ] = 8,
    dtype: DtypeOption = Dtype.float32,
    threads: Annotated[
        int | None, typer.Option("--threads", min=1, help="Processor threads to use.")
    ] = None,
) -> None:
    """Follow a word through sentences: where its paths part, and what parted them.

    Example: molehill shift mole "The mole dug a tunnel." "The spy was a mole." --html mole.html
    """
    texts = _sentences(word, [*(sentences or []), *(read_lines(source) if source else [])])
    check_writable([file for file in (html, svg, png) if file is not None])

    from molehill.journey.shift import MOLE_SENTENCES, shift
    from molehill.version import __version__
    from molehill.views.shift import shift_data

    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    lm = load_model(model, dtype)
    found = shift(lm, word, texts or MOLE_SENTENCES, twice=twice, rows=rows)
    by_feature = None
    if features is not None:
        from molehill.features.trained import load_features
        from molehill.views.feature_rows import parting_features

        by_feature = parting_features(
            lm, load_features(features), word, texts or MOLE_SENTENCES, twice=twice
        )
    named = None
    if axes:
        from molehill.journey.axes import axes_of

        named = axes_of(lm, found, axes, feature=_feature_source(lm))
    more = {"features": by_feature, "axes": named}
    data = shift_data(found, version=__version__, **more)
    write_files(_pictures(found, html, svg, png, dark, __version__, more))
    if as_json:
        from molehill.views.documents import readable_json

        encoding = (sys.stdout.encoding or "").lower()
        sys.stdout.write(readable_json(data, ascii_only=not encoding.startswith("utf")))
        return
    from molehill.views.shift_text import shift_renderable

    print_view(lambda width, ascii_only: shift_renderable(data, width=width, ascii_only=ascii_only))


def _feature_source(lm):
    """Features of named axes, read when one is named."""
    from molehill.features.trained import load_features
    from molehill.views.feature_rows import feature_vector

    return lambda name, number: feature_vector(lm, load_features(name), number)


def _sentences(word: str, given: list[str]) -> list[str]:
    """The caller's sentences; none at all asks for the built-in ones, which hold `mole` only."""
    if given:
        return given
    if word.casefold() not in ("mole", "moles"):
        raise TextError(
            f"There are no built-in sentences with {word!r}: give some that hold it, "
            f'as in `molehill shift {word} "..." "..."`.'
        )
    return []


def _pictures(
    found,
    html: Path | None,
    svg: Path | None,
    png: Path | None,
    dark: bool,
    version: str,
    more: dict[str, Any],
):
    """Every file that was asked for, with its content; libraries for what was not stay unloaded."""
    if html is not None:
        from molehill.views.html import page
        from molehill.views.shift import shift_data
        from molehill.views.shift_text import shift_text

        # A screen shows no more than five digits, and the page is half as large.
        data = shift_data(found, version=version, digits=5, **more)
        title = f"{found.word} in {len(found.sentences)} sentences"
        yield html, page("shift", data, title=title, text=shift_text(data)).encode("utf-8")
    if svg is not None or png is not None:
        from molehill.views.figure import shift_figure
        from molehill.views.shift import shift_data

        data = shift_data(found, version=version)
        for file, kind in ((svg, "svg"), (png, "png")):
            if file is not None:
                yield file, shift_figure(data, kind=kind, dark=dark)
