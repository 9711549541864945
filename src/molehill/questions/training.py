"""Questions about training: which runs there are, how they went, a word's journey over snapshots.

A run that is being trained is read as far as it is; a view asks again. This module knows no form.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from molehill.errors import ConfigError
from molehill.journey.shift import MOLE_SENTENCES
from molehill.journey.snapshots import replay
from molehill.language_model import LanguageModel
from molehill.questions.asking import Inputs, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.python import call, written
from molehill.training.history import (
    RunHistory,
    chosen_steps,
    run_history,
    snapshot_models,
)
from molehill.version import __version__
from molehill.views.run import MOST_RUNS, RUNS, run_data, runs_data
from molehill.views.run_text import run_text
from molehill.views.snapshots import snapshots_data
from molehill.views.snapshots_text import snapshots_text

__all__ = ["QUESTIONS", "AskRun", "AskRuns", "AskSnapshots"]


class AskRuns(Inputs):
    """Nothing: all runs that are at the desk."""


class AskRun(Inputs):
    """A run, and others to hold it against."""

    run: str = Field(
        "",
        max_length=500,
        title="Run",
        description="Nothing: the first that there is.",
        json_schema_extra=asked_as("run"),
    )
    against: tuple[str, ...] = Field(
        (),
        max_length=MOST_RUNS - 1,
        title="Compare with",
        description="Names of other runs.",
        json_schema_extra=asked_as("words", optional=True),
    )
    first: int | None = Field(
        None, ge=0, title="From step", json_schema_extra=asked_as("hidden", optional=True)
    )
    last: int | None = Field(
        None, ge=0, title="To step", json_schema_extra=asked_as("hidden", optional=True)
    )


class AskSnapshots(Inputs):
    """A run that keeps models, a word, and sentences that hold it."""

    run: str = Field("", max_length=500, title="Run", json_schema_extra=asked_as("run"))
    word: str = Field("mole", min_length=1, title="Word", json_schema_extra=asked_as("word"))
    sentences: tuple[str, ...] = Field(
        tuple(MOLE_SENTENCES),
        min_length=1,
        max_length=12,
        title="Sentences",
        description="One a line; the word must be in each.",
        json_schema_extra=asked_as("sentences"),
    )
    most: int = Field(
        12,
        ge=2,
        le=60,
        title="Snapshots",
        description="At most so many, spread evenly over those that are kept.",
        json_schema_extra=asked_as("number"),
    )


def _chosen(name: str, desk: Desk) -> str:
    if name:
        return name
    if not desk.runs:
        raise ConfigError(
            "There is no run here: give some, as in `molehill explore --runs runs/first`; "
            "`molehill train` makes them."
        )
    return next(iter(desk.runs))


def _history(name: str, desk: Desk) -> RunHistory:
    return run_history(desk.run(name), name=name)


def _runs(asked: AskRuns, desk: Desk) -> dict[str, Any]:
    names = list(desk.runs)
    found = []
    for number, name in enumerate(names[:RUNS]):
        desk.tell(number, len(names), f"Reading {name}")
        found.append(_history(name, desk))
    return runs_data(found, version=__version__, there=len(names))


def _runs_python(asked: AskRuns) -> str:
    return written(
        [
            "from molehill.training.history import find_runs, run_history",
            "",
            'found = [run_history(folder) for folder in find_runs(["runs"])]',
            "for run in found:",
            "    print(run.name, run.state, run.step)",
        ]
    )


def _run(asked: AskRun, desk: Desk) -> dict[str, Any]:
    names = dict.fromkeys([_chosen(asked.run, desk), *asked.against])
    found = [_history(name, desk) for name in names]
    return run_data(found, version=__version__, first=asked.first, last=asked.last)


def _run_python(asked: AskRun) -> str:
    names = list(dict.fromkeys([asked.run or "runs/first", *asked.against]))
    return written(
        [
            "from molehill.training.history import run_history",
            "from molehill.views.run import run_data",
            "from molehill.views.run_text import run_text",
            "",
            "# The runs' folders, as seen from where this runs.",
            f"found = [run_history(folder) for folder in {names!r}]",
            call(
                "data = run_data", "found", version=__version__, first=asked.first, last=asked.last
            ),
            "print(run_text(data))",
        ]
    )


def _snapshots(asked: AskSnapshots, desk: Desk) -> dict[str, Any]:
    name = _chosen(asked.run, desk)
    folder = desk.run(name)
    kept = run_history(folder, name=name).models
    steps = chosen_steps(kept, asked.most)

    def models() -> Iterator[tuple[int, LanguageModel]]:
        for done, (step, lm) in enumerate(snapshot_models(folder, steps)):
            desk.tell(done, len(steps), f"Step {step:,}")
            yield step, lm

    found = replay(models(), asked.word, list(asked.sentences))
    return snapshots_data(found, version=__version__, run=name, kept=len(kept))


def _snapshots_python(asked: AskSnapshots) -> str:
    made = call("replay", "models", repr(asked.word), repr(list(asked.sentences)))
    return written(
        [
            "from molehill.journey.snapshots import replay",
            "from molehill.training.history import chosen_steps, run_history, snapshot_models",
            "",
            f"run = run_history({asked.run or 'runs/first'!r})",
            f"steps = chosen_steps(run.models, {asked.most})",
            "models = snapshot_models(run.folder, steps)",
            f"found = {made}",
            "print(found)",
        ]
    )


QUESTIONS = (
    Question(
        "runs",
        "Runs",
        "All runs of training, a line each: how they stand, and their last figures.",
        "runs",
        AskRuns,
        _runs,
        run_text,
        _runs_python,
        ("run",),
    ),
    Question(
        "run",
        "Curves",
        "How a run went, or several side by side: losses, rates, samples, recipes.",
        "run",
        AskRun,
        _run,
        run_text,
        _run_python,
        ("run",),
    ),
    Question(
        "snapshots",
        "Journey over training",
        "A word's paths at one snapshot after another, in one basis: when its senses part.",
        "snapshots",
        AskSnapshots,
        _snapshots,
        snapshots_text,
        _snapshots_python,
        ("run",),
    ),
)
