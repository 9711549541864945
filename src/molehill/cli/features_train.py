"""`molehill features train`: a recipe becomes sparse autoencoders, and what happens is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehill.cli.common import console, print_error

if TYPE_CHECKING:
    from rich.progress import Progress

    from molehill.features.loop import FeaturesEvent, FeaturesListener, FeaturesStepped

__all__ = ["register"]

# What a shell sees of a program that a signal ended: 128 and the signal's number.
_SIGNALLED = 128


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("train")(_train)


def _train(
    recipe: Annotated[
        Path,
        typer.Argument(
            metavar="RECIPE",
            help="A TOML file; or a run's folder, to go on with it.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="RUN", help="The run's folder; default: runs/NAME."),
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Replace a key: training.rows=100000; repeatable."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Fail if there is no checkpoint to go on from.")
    ] = False,
    every: Annotated[
        int,
        typer.Option("--every", min=1, metavar="N", help="Steps between lines, without a bar."),
    ] = 20,
) -> None:
    """Train sparse autoencoders by a recipe. Given again, the same command goes on where it
    stopped.

    Ctrl-C and SIGTERM finish the step, save, and say how to go on. More processes:
    torchrun --nproc-per-node 2 -m molehill features train recipe.toml

    Example: molehill features train docs/examples/features.toml --set training.rows=20480
    """
    from molehill.features.loop import train_features
    from molehill.features.recipe import read_features_recipe

    folder = out or (recipe if recipe.is_dir() else Path("runs") / recipe.stem)
    file = recipe / "recipe.toml" if recipe.is_dir() else recipe
    read = read_features_recipe(file, changes or ())
    if int(os.environ.get("RANK", "0")):  # of several processes the first one tells
        train_features(read, folder, must_resume=resume)
        return
    with _told(read.steps, every) as listener:
        outcome = train_features(read, folder, listeners=[listener], must_resume=resume)
    if outcome.stopped_by is None:
        for path in outcome.files:
            typer.echo(f"Done: {outcome.steps:,} steps. Features: {path}")
        return
    print_error(
        f"stopped by {outcome.stopped_by.name} after step {outcome.step:,} of {outcome.steps:,}, "
        f"which is saved; go on with: molehill features train {outcome.folder}"
    )
    # Not typer's Exit, which cannot be told from an interruption: the line above is all.
    raise SystemExit(_SIGNALLED + outcome.stopped_by)


@contextmanager
def _told(steps: int, every: int) -> Iterator[FeaturesListener]:
    """A bar and lines for a person; only lines where nobody looks."""
    out = console()
    if not out.is_terminal:
        yield _Lines(steps, every)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("step {task.completed:,.0f} of {task.total:,.0f}"),
        BarColumn(),
        TextColumn("{task.fields[told]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out) as bar:
        yield _Bar(bar, steps)


class _Lines:
    """Plain lines, every so many steps."""

    def __init__(self, steps: int, every: int) -> None:
        self.steps, self.every = steps, every

    def __call__(self, event: FeaturesEvent) -> None:
        from molehill.features.loop import FeaturesStepped

        if not isinstance(event, FeaturesStepped):
            for line in _lines(event):
                typer.echo(line)
        elif event.step % self.every == 0 or event.step == self.steps:
            typer.echo(f"step {event.step:,} of {self.steps:,}  {_figures(event)}")


class _Bar:
    """A bar that moves on, with lines above it."""

    def __init__(self, bar: Progress, steps: int) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=steps, told="", start=True)

    def __call__(self, event: FeaturesEvent) -> None:
        from molehill.features.loop import FeaturesBegan, FeaturesStepped

        if isinstance(event, FeaturesStepped):
            self.bar.update(self.task, completed=event.step, told=_figures(event))
            return
        if isinstance(event, FeaturesBegan):
            self.bar.update(self.task, completed=event.step)
        for line in _lines(event):
            self.bar.console.print(line, markup=False, highlight=False)


def _lines(event: FeaturesEvent) -> Iterator[str]:
    from molehill.features.loop import FeaturesBegan, FeaturesSaved

    if isinstance(event, FeaturesBegan):
        yield (
            f"{event.rows:,} vectors in {event.steps:,} steps; about "
            f"{event.memory / 2**20:,.0f} MiB beside the model"
        )
        yield from event.notices
    elif isinstance(event, FeaturesSaved) and event.what != "checkpoint":
        yield f"Written: {event.path}"


def _figures(event: FeaturesStepped) -> str:
    """How each autoencoder stands, in a line."""
    one = len(event.learnt) == 1
    told = [
        ("" if one else f"{name}: ")
        + f"explained {learnt.explained:.3f}, L0 {learnt.l0:.1f}, dead {learnt.dead:,}"
        for name, learnt in event.learnt.items()
    ]
    speed = f"{event.rows_per_second:,.0f} vectors/s, {event.learning_share:.0%} of it learning"
    return "; ".join([*told, speed])
