"""Unfinished: what a pass over texts leaves on the disk when it is stopped, and goes on from.

    FILE.unfinished/
      pass.json            what is read with what, and the settings
      windows.db           windows with an example, by their number in the stream
      checkpoints/step-N/  the tables after N windows, and the place in the texts

A checkpoint is whole or not there (`training/checkpoints.py`); windows are committed before it, and
those that came after it are forgotten when the pass goes on. So the same command makes the file
that it would have made without a stop, to the last bit, wherever it was stopped or killed. The
folder goes when the file is there. This module knows no model.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from molehill.errors import CheckpointError, ConfigError
from molehill.features.gathering import Gathered, Reached
from molehill.files import write_atomically
from molehill.trace.windows import Cursor, Window
from molehill.training.checkpoints import (
    clean_up,
    find_checkpoint,
    forget_old,
    read_state,
    write_checkpoint,
    write_state,
)
from molehill.training.run import Run

__all__ = ["Unfinished", "Windows", "unfinished_folder"]

_Array = np.ndarray

_KIND = "molehill.unfinished-examples/1"
_COUNTERS = ("rows", "read", "windows", "texts")
_ARRAYS = ("counts", "sums", "largest", "bins", "tokens", "before", "positions", "spelled")


def unfinished_folder(path: Path) -> Path:
    """Where a pass that makes this file keeps what it has."""
    return path.with_name(f"{path.name}.unfinished")


class Windows:
    """Windows on disk, by their number in the stream; those from `first` on are forgotten."""

    def __init__(self, path: Path, first: int) -> None:
        try:
            self.base = sqlite3.connect(path)
            self.base.execute(
                "CREATE TABLE IF NOT EXISTS windows (number INTEGER PRIMARY KEY, text INTEGER, "
                "part INTEGER, ids BLOB)"
            )
            self.base.execute("DELETE FROM windows WHERE number >= ?", (first,))
            self.base.commit()
        except sqlite3.Error as error:
            raise CheckpointError(
                f"{path} cannot be written or is damaged: {error}; remove {path.parent} to begin "
                "anew."
            ) from error
        self.held: list[tuple[int, int, int, bytes]] = []

    def __call__(self, number: int, window: Window) -> None:
        """Keep a window."""
        ids = np.array(window.ids, np.int32).tobytes()
        self.held.append((number, window.text, window.number, ids))
        if len(self.held) >= 1000:
            self.flush()

    def flush(self) -> None:
        """What is held, to the file; it stays there from `commit` on."""
        self.base.executemany("INSERT INTO windows VALUES (?, ?, ?, ?)", self.held)
        self.held.clear()

    def commit(self) -> None:
        """What was kept so far stays, whatever happens."""
        self.flush()
        self.base.commit()

    def ids(self, number: int) -> _Array:
        """The tokens of a window."""
        ((raw,),) = self.base.execute("SELECT ids FROM windows WHERE number = ?", (number,))
        return np.frombuffer(raw, np.int32)


class Unfinished:
    """A pass's folder while it is at work; made by `entered`."""

    def __init__(
        self, folder: Path, empty: Gathered, every: float, notice: Callable[[str], object]
    ) -> None:
        self.folder, self.every = folder, every
        self.checkpoints = folder / "checkpoints"
        self.start = self._found(empty, notice)
        self.windows = Windows(folder / "windows.db", empty.windows)
        self._unsaved: Reached | None = None
        self._saved_at = time.monotonic()

    @classmethod
    @contextmanager
    def entered(
        cls,
        path: Path,
        identity: Mapping[str, Any],
        empty: Gathered,
        *,
        every: float,
        must_resume: bool,
        notice: Callable[[str], object],
    ) -> Iterator[Unfinished]:
        """The folder of the pass that makes the file `path`, for one process.

        Args:
            identity: JSON-able; what has to be the same for a pass to go on.
            empty: tables of the pass; filled with what was found before.
            every: seconds between checkpoints.
            must_resume: whether it is an error if there is nothing to go on from.
            notice: told in a sentence if the pass goes on, and of checkpoints that are damaged.

        Raises:
            ConfigError: another pass was left there, or none to go on from.
            CheckpointError, TrainingError: the folder cannot be written or is damaged, or another
                process is at work in it.
        """
        folder = unfinished_folder(path)
        if not path.parent.is_dir():
            raise CheckpointError(f"{path} cannot be written: there is no folder {path.parent}.")
        if must_resume and not (folder / "checkpoints").is_dir():
            raise ConfigError(
                f"There is nothing in {folder} to go on from: leave --resume out to begin."
            )
        with Run(folder).locked():
            _claim(folder, identity)
            clean_up(folder / "checkpoints")
            try:
                made = cls(folder, empty, every, notice)
                try:
                    yield made
                finally:
                    made.windows.base.close()
            finally:
                # A folder without a checkpoint is of no use to anybody.
                if not (folder / "checkpoints").is_dir():
                    shutil.rmtree(folder, ignore_errors=True)

    def reached(self, reached: Reached) -> None:
        """A chunk was put away: keep it if it is time."""
        self._unsaved = reached
        if time.monotonic() - self._saved_at >= self.every:
            self.save()

    def save(self) -> None:
        """Keep what there is, if it is not kept already."""
        if self._unsaved is None:
            return
        self.windows.commit()
        found = self._unsaved.found
        facts = {
            "cursor": asdict(self._unsaved.cursor),
            "counters": {name: getattr(found, name) for name in _COUNTERS},
            "together": {"rows": found.together.rows, "every": found.together.every},
            "seconds": found.seconds,
        }
        state = {name: torch.from_numpy(table) for name, table in _tables(found).items()}
        write_checkpoint(
            self.checkpoints, found.windows, facts, lambda folder: write_state(folder, state)
        )
        forget_old(self.checkpoints, 1)
        self._unsaved, self._saved_at = None, time.monotonic()

    def done(self) -> None:
        """The file is there: nothing of this is needed any more."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _found(self, empty: Gathered, notice: Callable[[str], object]) -> Reached:
        """What the last checkpoint holds, put into the empty tables; the beginning without one."""
        found = find_checkpoint(self.checkpoints, notice)
        if found is None:
            return Reached(empty, Cursor())
        _fill(empty, read_state(found), found.folder)
        for name, number in found.facts["counters"].items():
            setattr(empty, name, number)
        empty.together.rows = found.facts["together"]["rows"]
        empty.together.every = found.facts["together"]["every"]
        empty.seconds = dict(found.facts["seconds"])
        notice(f"Going on after {empty.rows:,} tokens of {empty.texts:,} texts.")
        return Reached(empty, Cursor(**found.facts["cursor"]))


def _tables(found: Gathered) -> dict[str, _Array]:
    """Every table of a pass, by name; the tables themselves and no copies."""
    tables = {name: getattr(found, name) for name in _ARRAYS}
    for name, kept in (("top", found.top), ("sample", found.sample)):
        tables |= {f"{name}.{each}": table for each, table in vars(kept).items()}
    tables["together.counts"] = found.together.counts
    tables |= {f"together.{number}": each for number, each in enumerate(found.together.tables)}
    return tables


def _fill(empty: Gathered, state: Mapping[str, Tensor], folder: Path) -> None:
    tables = _tables(empty)
    for name, table in tables.items():
        given = state.get(name)
        if given is None or tuple(given.shape) != table.shape:
            raise CheckpointError(
                f"{folder} is of another version ({name}): remove {folder.parent.parent} to begin "
                "anew."
            )
        table[...] = given.numpy()


def _claim(folder: Path, identity: Mapping[str, Any]) -> None:
    """Keep what the pass is in the folder, or find that it is this one."""
    path = folder / "pass.json"
    wanted = json.loads(json.dumps({"kind": _KIND, **identity}))
    if (folder / "checkpoints").is_dir():
        found = _read(path)
        named = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
        if named:
            told = "; ".join(
                f"{name} was {_brief(found.get(name))} and is {_brief(wanted.get(name))}"
                for name in named
            )
            raise ConfigError(
                f"{folder} holds another pass that was stopped: {told}. Give these as they were, "
                "or remove the folder to begin anew."
            )
        return
    if not path.exists():
        others = sorted(one.name for one in folder.iterdir() if not one.name.startswith("."))
        if others:
            raise ConfigError(f"{folder} holds {others[0]!r} and is no pass of ours: remove it.")
    text = json.dumps(wanted, indent=2) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, dict):
            return found
    raise CheckpointError(f"{path} is damaged: remove {path.parent} to begin anew.")


def _brief(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
