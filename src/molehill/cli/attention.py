"""`molehill attention`: who looks at whom, in every head."""

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

__all__ = ["MeasureName", "register"]


class MeasureName(StrEnum):
    """What heads are listed by; the names of `molehill.journey.MEASURES`."""

    previous = "previous"
    following = "following"
    first = "first"
    itself = "itself"
    duplicate = "duplicate"
    induction = "induction"
    entropy = "entropy"
    distance = "distance"
    adds = "adds"
    toward = "toward"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("attention")(loads_models(_attention))


def _attention(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model reads.")],
    model: ModelOption = DEFAULT_MODEL,
    by: Annotated[
        MeasureName, typer.Option("--by", help="List heads by this measure.")
    ] = MeasureName.toward,
    toward: Annotated[
        str | None,
        typer.Option(
            "--toward",
            metavar="WORD",
            help="Read what heads add toward this next word, not along the token's own move.",
        ),
    ] = None,
    query: Annotated[
        str,
        typer.Option(
            "--query", "-q", metavar="WORD|N", help="The token that looks: a word, or its position."
        ),
    ] = "-1",
    layer: Annotated[
        int | None, typer.Option("--layer", metavar="L", help="Show a head of this layer.")
    ] = None,
    head: Annotated[
        int | None,
        typer.Option("--head", metavar="H", help="That head; without one, all are listed."),
    ] = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Show who looks at whom: all heads by what kind of looking they do, and one of them whole.

    Example: molehill attention "The mole dug a tunnel. The mole dug a" --by induction
    """
    if (layer is None) != (head is None):
        raise TextError("Give both --layer and --head, or neither to have all heads listed.")
    check_writable([] if html is None else [html])

    from molehill.journey import attention
    from molehill.journey.paths import place_of
    from molehill.version import __version__
    from molehill.views.attention import attention_data, direction_of
    from molehill.views.attention_text import attention_renderable, attention_text

    lm = load_model(model, dtype)
    at = place_of(lm.encode([text]), _word(query)).positions[-1]
    found = attention(lm, text)
    along = direction_of(lm, found, toward)

    def told(embed: bool, digits: int | None = None):
        return attention_data(
            lm,
            found,
            along,
            at,
            layer=layer,
            head=head,
            word=toward,
            embed=embed,
            version=__version__,
            digits=digits,
        )

    data = told(embed=False)
    if by == MeasureName.following and lm.config.causal:
        raise TextError(
            "In this model no token sees the one after it: list heads by another measure."
        )
    if html is not None:
        from molehill.views.html import page

        drawn = told(embed=True, digits=5)
        content = page(
            "attention", drawn, title=f"Attention: {text[:60]}", text=attention_text(drawn)
        )
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: attention_renderable(
            data, by=by.value, large=layer is not None, width=width, ascii_only=ascii_only
        )
    )


def _word(given: str) -> str | int:
    """A number is a position, everything else a word."""
    return int(given) if re.fullmatch(r"-?\d{1,9}", given) else given
