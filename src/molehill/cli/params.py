"""`molehill params`: where a model's parameters are, and the MLPs' share of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from molehill.cli.common import DEFAULT_MODEL, JsonOption, ModelArgument, print_json, print_table
from molehill.errors import MolehillError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("params")(_params)


def _params(
    model: ModelArgument = DEFAULT_MODEL,
    as_json: JsonOption = False,
    by_layer: Annotated[bool, typer.Option("--layers", help="Show each layer too.")] = False,
    svg: Annotated[
        Path | None, typer.Option("--svg", metavar="FILE", help="Write the picture.")
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write picture and tables as one page."),
    ] = None,
) -> None:
    """Count a model's parameters by part. Reads headers only, no weights.

    Example: molehill params lexicon
    """
    from molehill.checkpoints import model_path, open_checkpoint
    from molehill.files import write_atomically
    from molehill.model.account import count_parameters
    from molehill.views.account import account_data, account_html, account_summary, account_svg

    opened = open_checkpoint(model_path(model))
    opened.source.close()
    account = count_parameters(opened.config)
    for file, draw in ((svg, account_svg), (html, account_html)):
        if file is not None:
            picture = draw(account, model).encode()
            try:
                write_atomically(file, lambda out, picture=picture: out.write(picture))
            except OSError as error:
                raise MolehillError(f"{file} cannot be written: {error.strerror}.") from error
            typer.echo(f"Written: {file}", err=True)
    if as_json:
        print_json(account_data(account, model))
        return
    print_table(
        ["part", "weights", "biases", "all", "share"],
        [
            (entry.part, entry.weights, entry.biases, entry.total, _share(entry.total, account))
            for entry in account.by_part()
        ],
        title=f"{model}: {account.total:,} parameters",
    )
    if by_layer:
        typer.echo("")
        print_table(
            ["layer", "attention", "MLP", "norms"],
            [
                (str(number), layer["attention"], layer["mlp"], layer["norm"])
                for number, layer in enumerate(account.by_layer())
            ],
        )
    typer.echo(f"\n{account_summary(account)}")


def _share(count: int, account) -> str:
    return f"{count / account.total:.2%}"
