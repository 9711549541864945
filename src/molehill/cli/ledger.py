"""`molehill ledger`: what one token's vector is made of, or one next word's score."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    FeaturesOption,
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

__all__ = ["By", "register"]


class By(StrEnum):
    """The axes by which rows can be added up."""

    kind = "kind"
    component = "component"
    layer = "layer"
    head = "head"
    source = "source"
    neuron = "neuron"
    feature = "feature"


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("ledger")(loads_models(_ledger))


def _ledger(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What the model reads.")],
    model: ModelOption = DEFAULT_MODEL,
    word: Annotated[
        str | None,
        typer.Option("--word", metavar="WORD", help="The word looked at; its last occurrence."),
    ] = None,
    position: Annotated[
        int | None,
        typer.Option("--position", metavar="N", help="The token looked at; default: the last."),
    ] = None,
    at: Annotated[
        str, typer.Option("--at", metavar="POINT", help="Where: `final`, `embed`, `5.resid_mid`...")
    ] = "final",
    between: Annotated[
        str | None,
        typer.Option(
            "--between", metavar="POINT", help="Gather all that came before this point in one row."
        ),
    ] = None,
    toward: Annotated[
        str | None,
        typer.Option(
            "--toward",
            metavar="WORD",
            help="Take apart the score of this next word, instead of the vector's length.",
        ),
    ] = None,
    by: Annotated[By, typer.Option("--by", help="What the rows are added up by.")] = By.component,
    top: Annotated[
        int, typer.Option("--top", min=1, max=2000, help="Single rows to show; of each kind.")
    ] = 12,
    features: FeaturesOption = None,
    html: HtmlOption = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Write one token's vector out as a sum: which heads, words and neurons it is made of.

    Example: molehill ledger "The capital of France is" --toward Paris --by source
    """
    if word is not None and position is not None:
        raise TextError("Give --word or --position, not both: each names the token looked at.")
    if by is By.feature and features is None:
        raise TextError("--by feature needs --features FILE: whose features they are.")

    check_writable([] if html is None else [html])

    from molehill.journey import follow
    from molehill.version import __version__
    from molehill.views.ledger import ledger_data
    from molehill.views.ledger_text import ledger_renderable

    lm = load_model(model, dtype)
    token = None if toward is None else lm.next_token(toward)
    place = word if word is not None else -1 if position is None else position
    journey = follow(lm, text, place)
    parts = None
    if features is not None:
        from molehill.features.trained import load_features
        from molehill.views.feature_rows import parts_of, site_for

        found = load_features(features)
        parts = parts_of(lm, found, journey, site_for(lm, found, at))

    def told(rows: int, digits: int | None = None):
        return ledger_data(
            lm,
            journey,
            at=at,
            between=between,
            toward=token,
            top=rows,
            version=__version__,
            digits=digits,
            parts=parts,
        )

    data = told(top)
    if html is not None:
        from molehill.views.html import page
        from molehill.views.ledger_text import ledger_text

        # A screen shows no more than five digits, and has room for more rows.
        drawn = told(max(top, 40), digits=5)
        title = f"What {journey.surface.strip('·')} is made of"
        content = page("ledger", drawn, title=title, text=ledger_text(drawn, by=by.value))
        write_files([(html, content.encode("utf-8"))])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: ledger_renderable(
            data, width=width, by=by, top=top, ascii_only=ascii_only
        )
    )
