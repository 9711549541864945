"""`molehill runs` and `molehill snapshots`: how training went, and a word's journey meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    HtmlOption,
    JsonOption,
    check_writable,
    print_view,
    print_view_json,
    progress,
    read_lines,
    write_files,
)

if TYPE_CHECKING:
    from molehill.language_model import LanguageModel

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("runs")(_runs)
    app.command("snapshots")(_snapshots)


def _runs(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Runs, or folders with runs in them; default: runs.",
            show_default=False,
        ),
    ] = None,
    curves: Annotated[
        bool,
        typer.Option("--curves", help="Show curves, samples and recipes side by side, not a list."),
    ] = False,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """List runs of training; of a single one, or with --curves, show how they went.

    --html and --json hold the curves of up to 8 runs, and of more the list.

    Example: molehill runs runs/first runs/wider --curves
    """
    check_writable([] if html is None else [html])

    from molehill.training.history import find_runs, run_history
    from molehill.version import __version__
    from molehill.views.run import MOST_RUNS, run_data, runs_data

    found = [run_history(folder) for folder in find_runs(folders or [Path("runs")])]
    side_by_side = curves or len(found) == 1
    whole = side_by_side or len(found) <= MOST_RUNS
    files = html is not None or as_json
    data = (
        run_data(found, version=__version__)
        if side_by_side or (files and whole)
        else runs_data(found, version=__version__)
    )
    if html is not None:
        from molehill.views.run_text import run_text

        names = ", ".join(one.name for one in found)
        view = "run" if data["schema"].startswith("molehill.run/") else "runs"
        _write_page(html, view, data, f"Training: {names[:60]}", run_text(data))
    if as_json:
        print_view_json(data)
        return
    from molehill.views.run_text import run_renderable

    told = data if side_by_side else runs_data(found, version=__version__)
    print_view(lambda width, ascii_only: run_renderable(told, width=width, ascii_only=ascii_only))


def _snapshots(
    word: Annotated[str, typer.Argument(metavar="WORD", help="The word to follow.")],
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run that keeps snapshots.")],
    sentences: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SENTENCE]...",
            help="Sentences that hold it; without any, six built-in ones with `mole`.",
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Read sentences from its lines; - is stdin."),
    ] = None,
    most: Annotated[
        int,
        typer.Option("--most", min=2, max=1000, help="Snapshots at most, spread evenly."),
    ] = 12,
    html: HtmlOption = None,
    as_json: JsonOption = False,
) -> None:
    """Replay a word's journey over a run's snapshots: when its senses come apart, and where.

    Example: molehill snapshots mole runs/first "The mole dug." "The spy was a mole."
    """
    check_writable([] if html is None else [html])

    from molehill.journey.shift import MOLE_SENTENCES
    from molehill.journey.snapshots import replay
    from molehill.training.history import chosen_steps, run_history
    from molehill.version import __version__
    from molehill.views.snapshots import snapshots_data
    from molehill.views.snapshots_text import snapshots_renderable, snapshots_text

    texts = [*(sentences or []), *(read_lines(source) if source else [])] or list(MOLE_SENTENCES)
    history = run_history(run)
    steps = chosen_steps(history.models, most)
    found = replay(_models(run, steps), word, texts)
    data = snapshots_data(found, version=__version__, run=str(run), kept=len(history.models))
    if html is not None:
        title = f"{word} over training"
        _write_page(html, "snapshots", data, title, snapshots_text(data))
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: snapshots_renderable(data, width=width, ascii_only=ascii_only)
    )


def _models(run: Path, steps: tuple[int, ...]) -> Iterator[tuple[int, LanguageModel]]:
    """The models one by one, with a bar for who looks."""
    from molehill.training.history import snapshot_models

    with progress("Snapshots", len(steps)) as advance:
        for step, lm in snapshot_models(run, steps):
            yield step, lm
            advance(1)


def _write_page(html: Path, view: str, data: dict[str, Any], title: str, text: str) -> None:
    from molehill.views.html import page

    content = page(view, data, title=title, text=text)
    write_files([(html, content.encode("utf-8"))])
