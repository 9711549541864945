"""The folder of a run: what is where, whose it is, and that only one process trains into it.

    recipe.toml          the recipe, with every default written out
    metrics.jsonl        how it went, a JSON object a line
    trackers.json        what trackers call the run, and what they were told
    checkpoints/step-N/  points from which it can go on
    snapshots/step-N/    models on the way, and
    final/               the model at the end: folders that `molehill.load` takes

This module knows names and recipes, and nothing of what is in the files.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from molehill.errors import TrainingError
from molehill.files import write_atomically
from molehill.training.recipe import Recipe, read_recipe

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """The places in a run's folder."""

    folder: Path

    @property
    def recipe(self) -> Path:
        """The recipe's file."""
        return self.folder / "recipe.toml"

    @property
    def metrics(self) -> Path:
        """The file of metrics."""
        return self.folder / "metrics.jsonl"

    @property
    def trackers(self) -> Path:
        """The file of what trackers know."""
        return self.folder / "trackers.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.folder / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """The folder of the snapshots."""
        return self.folder / "snapshots"

    @property
    def final(self) -> Path:
        """The folder of the finished model."""
        return self.folder / "final"

    @property
    def at_work(self) -> bool:
        """Whether a process of this machine is training into the folder."""
        try:
            descriptor = os.open(self.folder / _LOCK, os.O_RDONLY)
        except OSError:
            return False
        try:
            # Shared, so that several may ask at once; given back with the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
        finally:
            os.close(descriptor)
        return False

    def claim(self, recipe: Recipe) -> None:
        """Make the folder, or find that it is this recipe's, and keep the recipe in it.

        Raises:
            TrainingError: it holds another recipe's run (names the keys that differ, with both
                values) or something else, or it cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.recipe.exists():
                self._compare(recipe)
            elif others := sorted(p.name for p in self.folder.iterdir() if p.name != _LOCK):
                raise TrainingError(
                    f"{self.folder} holds {others[0]!r} and no recipe.toml, so it is no run: "
                    "choose another folder."
                )
            text = recipe.to_toml().encode()
            write_atomically(self.recipe, lambda file: file.write(text))
        except OSError as error:
            raise TrainingError(
                f"The run's folder {self.folder} cannot be written: {error.strerror}."
            ) from error

    def _compare(self, recipe: Recipe) -> None:
        before = read_recipe(self.recipe)
        if keys := recipe.differences(before):
            ours, theirs = recipe.flat(), before.flat()
            told = "; ".join(
                f"{key} is {ours.get(key, 'not given')!r} now and was "
                f"{theirs.get(key, 'not given')!r}"
                for key in keys
            )
            raise TrainingError(
                f"{self.folder} holds a run of another recipe: {told}. Choose another folder, or "
                "give these keys as they were."
            )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process from working in the folder.

        Raises:
            TrainingError: one does already.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise TrainingError(
                f"The run's folder {self.folder} cannot be written: {error.strerror}."
            ) from error
        try:
            # The lock goes with the process, however it ends.
            _lock(descriptor)
            yield
        except BlockingIOError:
            raise TrainingError(
                f"Another process is at work in {self.folder}: wait for it, or choose another "
                "folder."
            ) from None
        finally:
            os.close(descriptor)


_LOCK = ".lock"
_TRIES, _PAUSE = 5, 0.05


def _lock(descriptor: int) -> None:
    """Take the lock. Who only asks whether a run is at work holds it for a moment: that passes.

    Raises:
        BlockingIOError: somebody keeps it.
    """
    for left in reversed(range(_TRIES)):
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not left:
                raise
            time.sleep(_PAUSE)
