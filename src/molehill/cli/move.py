"""`molehill move`: one token's vector pushed along a direction, and what the model says next."""

from __future__ import annotations

import re
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

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("move")(loads_models(_move))


def _move(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model reads.")],
    along: Annotated[
        str,
        typer.Option(
            "--along",
            metavar="NAME",
            help="The direction: a word, `animal - tree`, feature:lexicon-4/17.",
        ),
    ],
    word: Annotated[
        str,
        typer.Option(
            "--word", "-w", metavar="WORD|N", help="Whose vector: a word, or a token's position."
        ),
    ] = "-1",
    at: Annotated[
        str | None,
        typer.Option(
            "--at", metavar="POINT", help="Where on its journey, as 3.resid_mid; default: half way."
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    new_tokens: Annotated[
        int, typer.Option("--tokens", "-n", min=0, max=500, help="Tokens that are written on.")
    ] = 12,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Move a vector by hand: what is said next, with attention recomputed and frozen.

    Example: molehill move "The oak is a large" --word oak --along "animal - tree"
    """
    check_writable([] if html is None else [html])

    from molehill.features.trained import load_features
    from molehill.journey.directions import read_direction, vector_of
    from molehill.journey.moving import half_way, move
    from molehill.journey.paths import place_of
    from molehill.version import __version__
    from molehill.views.feature_rows import feature_vector
    from molehill.views.moving import moving_data
    from molehill.views.moving_text import moving_renderable, moving_text

    lm = load_model(model, dtype)
    direction = read_direction(along)
    vector = vector_of(
        lm, direction, feature=lambda name, one: feature_vector(lm, load_features(name), one)
    )
    number = re.fullmatch(r"-?\d{1,6}", word)
    place = place_of(lm.encode([text]), int(word) if number else word)
    found = move(
        lm,
        text,
        vector,
        position=place.positions[-1],
        at=at or half_way(lm.config),
        new_tokens=new_tokens,
    )
    data = moving_data(lm, found, direction, version=__version__)
    if html is not None:
        from molehill.views.html import page

        content = page("moving", data, title=f"Moved: {text[:60]}", text=moving_text(data))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: moving_renderable(data, width=width, ascii_only=ascii_only)
    )
