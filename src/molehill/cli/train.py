"""`molehill train`: a recipe becomes a model, and what happens is told while it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from molehill.cli.common import console, print_error

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from molehill.training import Event, Listener, Outcome, Stepped
    from molehill.training.plan import Plan

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
            "--set", metavar="KEY=VALUE", help="Replace a key: training.steps=100; repeatable."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Fail if there is no checkpoint to go on from.")
    ] = False,
    every: Annotated[
        int,
        typer.Option("--every", min=1, metavar="N", help="Steps between lines, without a bar."),
    ] = 10,
) -> None:
    """Train a model by a recipe. Given again, the same command goes on where it stopped.

    Ctrl-C and SIGTERM finish the step, save, and say how to go on. More processes:
    torchrun --nproc-per-node 2 -m molehill train recipe.toml

    Example: molehill train recipe.toml --out runs/first --set training.steps=100
    """
    from molehill.training import read_recipe, train

    folder = out or (recipe if recipe.is_dir() else Path("runs") / recipe.stem)
    file = recipe / "recipe.toml" if recipe.is_dir() else recipe
    read = read_recipe(file, changes or ())
    first = int(os.environ.get("RANK", "0")) == 0
    with _told(read.steps, every) if first else _silent() as listener:
        outcome = train(read, folder, listeners=[listener], must_resume=resume)
    if first:
        _tell_end(outcome)
    if outcome.stopped_by is not None:
        # Not typer's Exit, which cannot be told from an interruption: the line above is all.
        raise SystemExit(_SIGNALLED + outcome.stopped_by)


def _tell_end(outcome: Outcome) -> None:
    if outcome.stopped_by is None:
        typer.echo(f"Done: {outcome.steps:,} steps. The model: {outcome.folder / 'final'}")
        return
    print_error(
        f"stopped by {outcome.stopped_by.name} after step {outcome.step:,} of {outcome.steps:,}, "
        f"which is saved; go on with: molehill train {outcome.folder}"
    )


@contextmanager
def _silent() -> Iterator[Listener]:
    yield lambda event: None


@contextmanager
def _told(steps: int, every: int) -> Iterator[Listener]:
    """A bar and lines for a person; only lines where nobody looks."""
    out = console()
    if not out.is_terminal:
        yield _Lines(out, steps, every)
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

    def __init__(self, out: Console, steps: int, every: int) -> None:
        self.out, self.steps, self.every = out, steps, every

    def __call__(self, event: Event) -> None:
        from molehill.training import Stepped

        if not isinstance(event, Stepped):
            for line in _lines(event):
                self._say(line)
        elif event.step % self.every == 0 or event.step == self.steps or not event.applied:
            self._say(f"step {event.step:,} of {self.steps:,}  {_figures(event)}")

    def _say(self, line: str) -> None:
        # Not the console's: a log is not wrapped, and no text is markup.
        typer.echo(line)


class _Bar:
    """A bar that moves on, with lines above it."""

    def __init__(self, bar: Progress, steps: int) -> None:
        self.bar = bar
        self.task = bar.add_task("", total=steps, told="", start=True)

    def __call__(self, event: Event) -> None:
        from molehill.training import Began, Stepped

        if isinstance(event, Stepped):
            self.bar.update(self.task, completed=event.step, told=_figures(event))
            return
        if isinstance(event, Began):
            self.bar.update(self.task, completed=event.step)
        for line in _lines(event):
            self.bar.console.print(line, markup=False, highlight=False)


def _figures(event: Stepped) -> str:
    return f"loss {event.loss:.3f}  {event.tokens_per_second:,.0f} tokens/s"


def _lines(event: Event) -> Iterator[str]:
    """An event that is no step, in words."""
    from molehill.training import Began, Evaluated, Notice, Sampled, Saved

    match event:
        case Began(plan=plan):
            yield from _plan_lines(plan)
        case Evaluated():
            kinds = ", ".join(f"{kind} {bits:.3f}" for kind, bits in event.bits_per_byte.items())
            yield f"step {event.step:,}  bits per byte: {kinds}  (loss {event.loss:.3f})"
        case Sampled():
            text = " ".join(event.text.split())
            yield f"step {event.step:,}  {event.prompt} … {text}"
        case Saved():
            yield f"step {event.step:,}  {event.what}: {event.path}"
        case Notice():
            yield f"step {event.step:,}  {event.text}"


def _plan_lines(plan: Plan) -> Iterator[str]:
    yield (
        f"{plan.parameters:,} parameters, {plan.non_embedding:,} of them not in tables of words "
        "and positions"
    )
    yield (
        f"{plan.steps:,} steps of {plan.step_tokens:,} tokens: {plan.tokens:,} tokens, "
        f"{plan.epochs:.1f} times the corpus of {plan.corpus_tokens:,}"
    )
    processes = "" if plan.processes == 1 else f" in each of {plan.processes} processes"
    yield f"about {plan.memory / 2**30:.1f} GiB of memory{processes}"
