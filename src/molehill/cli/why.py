"""`molehill why`: one attention score, split by the journeys of its two words."""

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
from molehill.errors import TextError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("why")(loads_models(_why))


def _why(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model reads.")],
    query: Annotated[
        str,
        typer.Option(
            "--query", "-q", metavar="WORD|N", help="The token that looks: a word, or its position."
        ),
    ],
    key: Annotated[
        str, typer.Option("--key", metavar="WORD|N", help="The token that is looked at.")
    ],
    model: ModelOption = DEFAULT_MODEL,
    layer: Annotated[
        int | None, typer.Option("--layer", metavar="L", help="The head's layer, from 0.")
    ] = None,
    head: Annotated[
        int | None,
        typer.Option("--head", metavar="H", help="The head; without one, all are listed."),
    ] = None,
    top: Annotated[
        int, typer.Option("--top", min=1, max=2000, help="Rows of each kind in --json.")
    ] = 20,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Say why a head attends from one token to another: which parts of both made the score.

    Without --layer and --head it lists the heads that attend most, to choose from.

    Example: molehill why "The capital of France is" --query is --key France --layer 23 --head 4
    """
    if (layer is None) != (head is None):
        raise TextError("Give both --layer and --head, or neither to have all heads listed.")

    check_writable([] if html is None else [html])

    from molehill.journey import attending_heads, why_attended
    from molehill.journey.paths import place_of
    from molehill.version import __version__
    from molehill.views.why import why_data
    from molehill.views.why_text import why_renderable

    lm = load_model(model, dtype)
    tokens = lm.encode([text])
    # A score has one query and one key: of several tokens, the last has read the word.
    asks, answers = (place_of(tokens, _word(given)).positions[-1] for given in (query, key))
    found = None
    if layer is not None and head is not None:
        found = why_attended(lm, text, layer=layer, head=head, query=asks, key=answers)
    heads = attending_heads(lm, text, query=asks, key=answers)

    def told(rows: int, digits: int | None = None):
        return why_data(
            lm, text, asks, answers, heads, found, top=rows, version=__version__, digits=digits
        )

    data = told(top)
    if html is not None:
        from molehill.views.html import page
        from molehill.views.why_text import why_text

        # A screen shows no more than five digits, and has room for more rows.
        drawn = told(max(top, 30), digits=5)
        content = page(
            "why", drawn, title=f"Why a head attended: {text[:60]}", text=why_text(drawn)
        )
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(lambda width, ascii_only: why_renderable(data, width=width, ascii_only=ascii_only))


def _word(given: str) -> str | int:
    """A number is a position, everything else a word."""
    return int(given) if re.fullmatch(r"-?\d{1,9}", given) else given
