"""The libraries of trackers, each behind the same three calls: send a row, flush, close.

    tensorboard  event files in RUN/tensorboard, by torch's own writer
    trackio      the user's local store, where `trackio show` looks
    wandb        RUN/wandb, offline unless the user's own settings say online

A library is imported when a recipe asks for it. This module knows rows and libraries, and nothing
of how a run goes; whatever a library raises is passed on.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from molehill.errors import MissingExtraError, TrainingError
from molehill.training.rows import Row

__all__ = ["SINKS", "Place", "Sink", "TensorBoard", "Trackio", "Wandb", "check_installed"]


@dataclass(frozen=True)
class Place:
    """Where a tracker keeps a run, and from where it goes on."""

    folder: Path
    """The run's folder."""
    project: str
    name: str
    """What the run is called there."""
    config: Mapping[str, Any]
    """The recipe."""
    step: int
    """Steps that were taken before,"""
    tokens: int
    """and the tokens that were read in them."""
    id: str | None = None
    """What the tracker called the run before; None: it has not seen it."""
    sent: int = -1
    """The last step that it was told of before."""


@runtime_checkable
class Sink(Protocol):
    """A tracker's run that is open."""

    id: str | None
    """By which the tracker finds it again; None: by its folder."""

    def send(self, row: Row) -> None:
        """Tell it."""

    def flush(self) -> None:
        """Have all that was told on the disk, as far as the library lets one ask for it."""

    def close(self, *, failed: bool) -> None:
        """End it; `failed`: by an error."""


class TensorBoard:
    """Event files: by steps in `RUN/tensorboard`, by tokens in `by_tokens` below it.

    Its x axis is one whole number, so what is to be seen over tokens is written again, with tokens
    in the place of steps and under names of its own. A run that goes on writes a mark by which
    readers forget what comes after (`purge_step`).
    """

    def __init__(self, place: Place) -> None:
        writer = importlib.import_module("torch.utils.tensorboard").SummaryWriter
        folder, begun = place.folder / "tensorboard", (place.folder / "tensorboard").exists()
        by_steps = place.step + 1 if place.step else 0
        by_tokens = place.tokens + 1 if place.tokens else 0
        self.id = None
        self._steps = writer(str(folder), purge_step=by_steps if begun else None)
        self._tokens = writer(str(folder / "by_tokens"), purge_step=by_tokens if begun else None)
        self._steps.add_text("recipe", _as_table(place.config), place.step)

    def send(self, row: Row) -> None:
        for name, value in row.numbers.items():
            self._steps.add_scalar(name, value, row.step)
            self._tokens.add_scalar(f"by_tokens/{name}", value, row.tokens)
        for name, text in row.texts.items():
            self._steps.add_text(name, text, row.step)

    def flush(self) -> None:
        self._steps.flush()
        self._tokens.flush()

    def close(self, *, failed: bool) -> None:
        self._steps.close()
        self._tokens.close()


class Trackio:
    """A run in trackio's local store (or where TRACKIO_SPACE_ID or TRACKIO_SERVER_URL say).

    trackio takes up the latest run of a name, so one that is another's is refused.
    """

    def __init__(self, place: Place) -> None:
        trackio = importlib.import_module("trackio")
        with _quiet():
            self._run = trackio.init(
                project=place.project,
                name=place.name,
                config=dict(place.config),
                resume="allow" if place.id else "never",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self._markdown, self._finish = trackio.Markdown, trackio.finish
        self.id: str | None = self._run.id
        if place.id not in (None, self.id):
            self.close(failed=True)
            raise TrainingError(
                f"trackio's project {place.project!r} has the run {place.id} of {place.folder} no "
                f"more, or a later one that is called {place.name!r} too ({self.id}): choose "
                "another name with trackers.name."
            )

    def send(self, row: Row) -> None:
        texts = {name: self._markdown(text) for name, text in row.texts.items()}
        self._run.log({**row.numbers, **texts, "tokens": row.tokens}, step=row.step)

    def flush(self) -> None:
        # It writes twice a second by itself, and cannot be asked to.
        pass

    def close(self, *, failed: bool) -> None:
        with _quiet():
            self._finish()


class Wandb:
    """A run of wandb in `RUN/wandb`: nothing of the machine, the code or the terminal, only rows.

    wandb takes steps in rising order only and keeps one row for each. So what is still to be said
    of a step that it was told of before stands in the row of the next one.
    """

    def __init__(self, place: Place) -> None:
        wandb = importlib.import_module("wandb")
        self.id: str | None = place.id or uuid.uuid4().hex[:12]
        self._sent, self._step = place.sent, -1
        self._values: dict[str, float | str] = {}
        self._run = wandb.init(
            project=place.project,
            name=place.name,
            id=self.id,
            resume="allow",
            dir=str(place.folder),
            config=dict(place.config),
            mode=_wandb_mode(wandb),
            settings=wandb.Settings(
                console="off",
                disable_code=True,
                disable_git=True,
                host="",
                silent=True,
                x_disable_machine_info=True,
                x_disable_stats=True,
                x_save_requirements=False,
                # Its own is 15 s, and all of that is lost when a run is killed.
                x_transaction_log_flush_interval=0.5,
            ),
        )

    def send(self, row: Row) -> None:
        if row.step > self._step > self._sent:
            self._values = {}  # those of a row that is complete
        self._step = row.step
        texts = {
            name: f"{self._values[name]}\n{text}" if name in self._values else text
            for name, text in row.texts.items()
        }
        self._values |= {**row.numbers, **texts}
        if row.step > self._sent:
            self._run.log({**self._values, "tokens": row.tokens}, step=row.step)

    def flush(self) -> None:
        # It writes twice a second, and cannot be asked to.
        pass

    def close(self, *, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


SINKS: Mapping[str, Callable[[Place], Sink]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
    "wandb": Wandb,
}
_MODULES = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb"}


def check_installed(names: Iterable[str]) -> None:
    """Import the libraries of trackers.

    Raises:
        MissingExtraError: one is not there, or is broken.
    """
    for name in names:
        if name == "wandb":
            # Asked for a local record, it would still send its makers word of its own errors.
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        try:
            module = importlib.import_module(_MODULES[name])
            if module.__file__ is None:  # a folder `wandb`, left by a run, passes for a package
                raise ImportError(f"only a folder of its name is at {next(iter(module.__path__))}")
        except ImportError as error:
            raise MissingExtraError(
                f"The tracker {name} is not installed ({error}): pip install 'molehill[{name}]', "
                "or leave it out of trackers.use."
            ) from None


def _wandb_mode(wandb: Any) -> str:
    """What the user set, by WANDB_MODE or in a file of settings; wandb's own default, to send, is
    no such wish."""
    settings = wandb.setup().settings
    return settings.mode if "mode" in settings.model_fields_set else "offline"


def _as_table(config: Mapping[str, Any]) -> str:
    """A recipe in Markdown, which TensorBoard lays out."""
    rows = [
        f"| {part}.{key} | `{value}` |"
        for part, keys in config.items()
        for key, value in keys.items()
    ]
    return "\n".join(["| key | value |", "|---|---|", *rows])


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """What a library tells the terminal is not for who watches a run."""
    return contextlib.redirect_stdout(io.StringIO())
