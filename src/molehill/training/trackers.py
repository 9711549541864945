"""A run's events, sent to the trackers that its recipe names.

    [trackers]  use = ["tensorboard"], project = "molehill", name = "first"

They are told what `metrics.jsonl` is told, at the same pace. A run that goes on continues the same
run in each of them, and no step stands there twice: TensorBoard's readers forget what comes after
the checkpoint, the others are not told again what they were told before the run stopped. What that
was stands in `trackers.json`; after a run that was killed, in `metrics.jsonl`.

A tracker that fails is told of in a notice and left out: training goes on. This module knows no
tracker's library.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any

from molehill.errors import MolehillError, TrainingError
from molehill.files import write_atomically
from molehill.training.events import Event, Listener, Notice, Saved
from molehill.training.metrics import has_line, read_metrics
from molehill.training.recipe import Recipe
from molehill.training.rows import Row, row_of
from molehill.training.run import Run
from molehill.training.sinks import SINKS, Place, Sink

__all__ = ["Trackers"]


@dataclass(frozen=True)
class _Known:
    """What is remembered of a run in a tracker."""

    id: str
    project: str
    name: str
    sent: dict[str, int]
    """The last step of each kind of event that it was told."""
    closed: bool
    """Whether that is all of it. Not so while a run goes on, nor after it was killed."""


class Trackers:
    """A listener that tells trackers: `with Trackers(recipe, run, step=0, tell=tell) as trackers`.

    It is to be made before the run's metrics are opened, since it reads what they say of steps that
    will be taken again; and to be the last of the listeners, so that a notice of a failure comes to
    all the others after the event in which it happened.

    Args:
        recipe: what is asked for, and what the trackers get to know of it.
        run: the run's folder.
        step: steps that were taken before.
        tell: where a notice goes.

    Raises:
        TrainingError: on entering: a tracker cannot begin.
    """

    def __init__(self, recipe: Recipe, run: Run, *, step: int, tell: Listener) -> None:
        self.recipe, self.run, self.step, self.tell = recipe, run, step, tell
        self._open: dict[str, Sink] = {}
        self._ours: set[str] = set()
        self._before: dict[str, dict[str, int]] = {}
        self._known = _read_known(run.trackers)
        self._last = step
        for name, known in self._known.items():
            if not known.closed:
                told = {**known.sent, **_last_steps(run.metrics)}
                sent = {kind: max(last, known.sent.get(kind, -1)) for kind, last in told.items()}
                self._known[name] = replace(known, sent=sent, closed=True)

    def __enter__(self) -> Trackers:
        try:
            for name in dict.fromkeys(self.recipe.trackers.use):
                self._begin(name)
            if self._known:
                _write_known(self.run.trackers, self._known)
        except BaseException:
            self._close(failed=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close(failed=kind is not None)

    def __call__(self, event: Event) -> None:
        """Send an event to each tracker that was not told of it before."""
        self._last = event.step
        if isinstance(event, Saved):
            if event.what == "checkpoint":
                # What comes before a checkpoint is never told again.
                self._each(lambda name, sink: sink.flush())
            return
        if not has_line(event, self.recipe.metrics.every):
            return
        row = row_of(
            event, step_tokens=self.recipe.step_tokens, prompts=self.recipe.samples.prompts
        )
        if row is not None:
            kind = type(event).__name__.lower()
            self._each(lambda name, sink: self._send(name, sink, kind, row))

    def _send(self, name: str, sink: Sink, kind: str, row: Row) -> None:
        # By what came before this part: one step may have several samples.
        if self.step < row.step <= self._before.get(name, {}).get(kind, -1):
            return
        sink.send(row)
        if name in self._ours:
            sent = self._known[name].sent
            sent[kind] = max(row.step, sent.get(kind, -1))

    def _begin(self, name: str) -> None:
        part = self.recipe.trackers
        called = part.name or self.run.folder.resolve().name
        known = self._known.get(name)
        if known is not None and (known.project, known.name) != (part.project, called):
            known = None  # another run there, which was told nothing yet
        place = Place(
            self.run.folder,
            part.project,
            called,
            self.recipe.to_dict(),
            self.step,
            self.step * self.recipe.step_tokens,
            id=known.id if known else None,
            sent=max(known.sent.values(), default=-1) if known else -1,
        )
        try:
            sink = SINKS[name](place)
        except MolehillError:
            raise
        except Exception as error:
            raise TrainingError(
                f"The tracker {name} cannot begin: {_told(error)}. Mend it, or leave it out of "
                "trackers.use."
            ) from error
        self._open[name] = sink
        if sink.id is not None:
            sent = known.sent if known else {}
            self._known[name] = _Known(sink.id, part.project, called, sent, closed=False)
            self._before[name] = dict(sent)
            self._ours.add(name)

    def _close(self, *, failed: bool) -> None:
        closing, self._open = self._open, {}
        for problem in _failures(closing, lambda name, sink: sink.close(failed=failed)):
            self.tell(Notice(self._last, problem))
        for name in self._ours:
            self._known[name] = replace(self._known[name], closed=True)
        if self._ours:
            # Where there is no room for it, metrics.jsonl is asked the next time.
            with contextlib.suppress(TrainingError):
                _write_known(self.run.trackers, self._known)

    def _each(self, act: Callable[[str, Sink], object]) -> None:
        """Do something with every tracker; one that fails is left out from here on."""
        for problem in _failures(self._open, act):
            self.tell(Notice(self._last, problem))


def _failures(sinks: dict[str, Sink], act: Callable[[str, Sink], object]) -> list[str]:
    """Do something with each; those in which it fails are taken out, and told of."""
    problems = []
    for name, sink in list(sinks.items()):
        try:
            act(name, sink)
        except Exception as error:
            del sinks[name]
            problems.append(f"The tracker {name} failed and is left out: {_told(error)}.")
    return problems


def _told(error: Exception) -> str:
    """A library's error, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")


def _last_steps(metrics: Path) -> dict[str, int]:
    """The last step of each kind of event in a file of metrics."""
    last: dict[str, int] = {}
    for line in read_metrics(metrics):
        last[line["event"]] = max(line["step"], last.get(line["event"], 0))
    return last


def _read_known(path: Path) -> dict[str, _Known]:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return {name: _Known(**known) for name, known in values.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(
            f"{path} cannot be read ({error}): remove it, and the trackers begin a new run."
        ) from None


def _write_known(path: Path, known: dict[str, _Known]) -> None:
    text = json.dumps({name: vars(one) for name, one in known.items()}, indent=2) + "\n"
    try:
        write_atomically(path, lambda file: file.write(text.encode()))
    except OSError as error:
        raise TrainingError(f"{path} cannot be written: {error.strerror}.") from error
