"""`molehill check`: what can be relied on in a model, measured on this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    JsonOption,
    ModelArgument,
    load_model,
    loads_models,
    print_json,
    progress,
)

__all__ = ["register"]

_CHECKS = 9


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("check")(loads_models(_check))


def _check(
    model: ModelArgument = DEFAULT_MODEL,
    texts: Annotated[
        list[str] | None,
        typer.Argument(metavar="TEXT", help="What to read; default: texts of odd kinds."),
    ] = None,
    dtype: DtypeOption = Dtype.float32,
    peer: Annotated[
        bool, typer.Option("--peer/--no-peer", help="Compare with transformers, if installed.")
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """Check that a model's parts sum to the whole, and that every way of running it agrees.

    Exits with 1 if a check fails.

    Example: molehill check lexicon
    """
    from molehill.trace import certify

    lm = load_model(model, dtype)
    with progress("Checking", _CHECKS) as advance:
        certificate = certify(lm, texts or None, peer=peer, progress=advance)
    if as_json:
        print_json(certificate.to_dict())
    else:
        typer.echo(certificate.to_text())
    if not certificate.passed:
        raise typer.Exit(1)
