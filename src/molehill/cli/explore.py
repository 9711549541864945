"""`molehill explore`: the local page with every view."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehill.cli.common import DEFAULT_MODEL, Dtype, DtypeOption, print_error

if TYPE_CHECKING:
    from molehill.explorer import Served
    from molehill.questions import Desk

__all__ = ["register"]

_BUILT_IN = (DEFAULT_MODEL, "village")


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("explore")(_explore)


def _explore(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="Names, folders or .gguf files, shown first; without any, those on this machine.",
        ),
    ] = None,
    features: Annotated[
        list[Path] | None,
        typer.Option("--features", metavar="FILE", help="Features to look at; may be repeated."),
    ] = None,
    examples: Annotated[
        list[Path] | None,
        typer.Option(
            "--examples",
            metavar="FILE",
            help="Examples of features (see `molehill features examples`); may be repeated.",
        ),
    ] = None,
    runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--runs", metavar="FOLDER", help="A training run, or a folder of them; repeatable."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option("--port", min=1, max=65535, help="Without it, the first free one from 8350."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host", metavar="ADDRESS", help="Where to listen; others than this machine may come."
        ),
    ] = "127.0.0.1",
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file", metavar="FILE", help="The secret of the address, needed with --host."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Whether to open the page.")
    ] = True,
    memory: Annotated[
        float, typer.Option("--memory", metavar="GB", min=0.1, help="For models held at once.")
    ] = 4.0,
    deadline: Annotated[
        float,
        typer.Option("--deadline", metavar="SECONDS", min=1, help="For one answer, at the most."),
    ] = 300.0,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Open a page on this machine with every view: words in motion, ledgers, facts, features.

    It listens to this machine alone and needs no network. Ctrl-C ends it.

    Example: molehill explore
    """
    # What is wrong with the options is said before torch is there.
    for file in [*(features or []), *(examples or [])]:
        _there(file)
    folders = _run_folders(runs or [])

    from molehill.explorer import make_app, serve
    from molehill.explorer.line import Line
    from molehill.explorer.serving import LOOPBACK, read_token
    from molehill.questions import Desk
    from molehill.questions.offers import shipped_features

    token = None if token_file is None else read_token(token_file)
    desk = Desk(
        _models(models or [], str(dtype)),
        features=_named([*shipped_features(), *(features or [])]),
        examples=_named(examples or []),
        runs=_named(folders),
        budget=int(memory * 1e9),
    )
    if host not in LOOPBACK:
        print_error(
            f"Whoever reaches {host} and knows the token can use the models here, in the clear."
        )
    serve(
        make_app(desk, line=Line(deadline=deadline)),
        host=host,
        port=port,
        token=token,
        started=lambda served: _started(served, desk, browser, hidden=token is not None),
    )


def _started(served: Served, desk: Desk, browser: bool, *, hidden: bool) -> None:
    """Say where the page is, and open it where somebody looks."""
    # The first model is read while the browser comes up; what is wrong with it is said when asked.
    threading.Thread(target=_read_ahead, args=(desk,), daemon=True).start()
    address = served.address if hidden else served.first
    typer.echo(f"Molehill at {address}")
    typer.echo(f"Models: {', '.join(desk.models)}. Ctrl-C ends it.", err=True)
    if browser and sys.stdout.isatty():
        webbrowser.open(served.first)


def _read_ahead(desk: Desk) -> None:
    with contextlib.suppress(Exception):
        desk.model(next(iter(desk.models)))


def _models(given: list[str], dtype: str):
    from molehill.checkpoints.names import KNOWN_MODELS, find_model, model_path
    from molehill.questions import ModelEntry

    if not given:
        known = [known.name for known in KNOWN_MODELS if find_model(known.name)]
        given = [DEFAULT_MODEL, *(name for name in known if name != DEFAULT_MODEL)]
    for source in given:
        model_path(source)  # a model that is not there is said now, not when it is looked at
    named = _named(given)
    # The tour is told by these; none is loaded before it is asked about.
    named |= {name: name for name in _BUILT_IN if name not in named}
    return {name: ModelEntry(source, dtype) for name, source in named.items()}


def _named(sources: list) -> dict:
    """Short names, each once: the last part of a path."""
    found: dict = {}
    for source in sources:
        path = Path(source)
        name = (
            path.stem if path.suffix in (".gguf", ".safetensors", ".db", ".sqlite") else path.name
        )
        # A file's name is bytes, which a terminal of another encoding reads as half characters.
        name = os.fsencode(name).decode("utf-8", "replace")
        base, number = name or "here", 2
        while name in found:
            name, number = f"{base}-{number}", number + 1
        found[name] = source
    return found


def _there(path: Path) -> None:
    from molehill.errors import CheckpointError

    if not path.exists():
        raise CheckpointError(f"There is no file {path}.")


def _run_folders(given: list[Path]) -> list[Path]:
    """Runs, and the runs in folders of runs."""
    from molehill.errors import TrainingError

    found: list[Path] = []
    for folder in given:
        inside = [folder, *sorted(folder.glob("*/"))] if folder.is_dir() else []
        runs = [one for one in inside if (one / "metrics.jsonl").exists()]
        if not runs:
            raise TrainingError(
                f"There is no run in {folder}: give the folder that `molehill train` wrote, or one "
                "with such folders in it."
            )
        found += runs
    return found
