"""Points from which a run can go on: folders that are whole or not there.

    checkpoints/step-00000100/
      state.safetensors   every number that the step needs
      manifest.json       the step, what the run knows beside the numbers, each file's size and hash

A checkpoint is written under a hidden name, synced, and takes its own name last. What is found is
believed only if every file has the size and hash of the manifest; otherwise it is named, and the
one before it is taken. No pickles. This module knows nothing of what the numbers mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from molehill.checkpoints.steps import step_name, steps_in
from molehill.checkpoints.tensorfile import open_tensors, write_tensors
from molehill.errors import CheckpointError, TrainingError
from molehill.files import write_atomically
from molehill.version import __version__

__all__ = [
    "Checkpoint",
    "clean_up",
    "find_checkpoint",
    "forget_old",
    "holds_state",
    "read_state",
    "write_checkpoint",
    "write_state",
]

_KIND = "molehill.run/1"
_MANIFEST = "manifest.json"
_STATE = "state.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was found whole."""

    folder: Path
    step: int
    """Steps that were taken."""
    facts: Mapping[str, Any]
    """What the run knows beside the numbers; JSON-able."""


# --- writing ----------------------------------------------------------------------------------


def write_checkpoint(
    parent: Path,
    step: int,
    facts: Mapping[str, Any],
    write: Callable[[Path], object],
    *,
    first: bool = True,
    meet: Callable[[], object] = lambda: None,
) -> Path:
    """Write one checkpoint, whole or not at all.

    Args:
        parent: the folder of the checkpoints; made if it is not there.
        step: steps that were taken.
        facts: JSON-able; come back from `find_checkpoint`.
        write: called with the folder in which to put the files.
        first: of several processes that write one checkpoint, the one that makes its folder, seals
            it and gives it its name.
        meet: waits until all of these processes have called it.

    Raises:
        TrainingError: it could not be written; the checkpoints before it are untouched.
    """
    target = parent / step_name(step)
    staged = parent / f".{target.name}.tmp"
    try:
        if first:
            parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(staged, ignore_errors=True)
            staged.mkdir()
        meet()
        write(staged)
        meet()
        if first:
            _seal(staged, step, facts)
            _take_name(staged, target)
        meet()
    except (OSError, CheckpointError) as error:
        raise TrainingError(_not_written(parent, step, error)) from error
    finally:
        if first:
            shutil.rmtree(staged, ignore_errors=True)
    return target


def write_state(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Put tensors into a checkpoint's folder, as `read_state` finds them."""
    write_tensors(folder / _STATE, tensors, {"kind": _KIND})


def _seal(folder: Path, step: int, facts: Mapping[str, Any]) -> None:
    """Write the manifest: from now on the folder can be believed."""
    for path in folder.iterdir():
        _sync(path)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": _digest(path)}
        for path in sorted(folder.iterdir())
    }
    manifest = {
        "kind": _KIND,
        "version": __version__,
        "step": step,
        "facts": dict(facts),
        "files": files,
    }
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    write_atomically(folder / _MANIFEST, lambda file: file.write(text.encode()))


def _take_name(staged: Path, target: Path) -> None:
    """The last step: a folder takes its name, and the disk knows it."""
    old = target.with_name(f".{target.name}.old.tmp")
    if target.exists():  # a damaged one of the same step, or the same once more
        os.replace(target, old)
    os.replace(staged, target)
    _sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    """Make what was written survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _not_written(parent: Path, step: int, error: BaseException) -> str:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
    before = list(steps_in(parent))
    kept = f"that of step {before[-1]:,} is whole" if before else "there is none before it"
    return (
        f"The checkpoint of step {step:,} could not be written to {parent}: {reason}; {kept}. "
        "Make room or mend the folder, and give the same command again to go on."
    )


def forget_old(parent: Path, keep: int) -> list[Path]:
    """Remove all but the last `keep` checkpoints; returns those that could not be removed."""
    failed = []
    for path in list(steps_in(parent).values())[:-keep]:
        doomed = path.with_name(f".{path.name}.old.tmp")
        try:
            os.replace(path, doomed)  # in one step, so that no half of it is ever found
            shutil.rmtree(doomed)
        except OSError:
            failed.append(path)
    return failed


def clean_up(parent: Path) -> None:
    """Remove what a killed process left behind."""
    if not parent.is_dir():
        return
    for path in parent.iterdir():
        if path.name.startswith(".step-") and path.name.endswith(".tmp"):
            shutil.rmtree(path, ignore_errors=True)


# --- reading ----------------------------------------------------------------------------------


def find_checkpoint(parent: Path, notice: Callable[[str], object]) -> Checkpoint | None:
    """The last checkpoint that is whole; None if there is none at all.

    Args:
        parent: the folder of the checkpoints.
        notice: told of each one that is damaged, in a sentence.

    Raises:
        TrainingError: there are some, and all of them are damaged.
    """
    damaged = []
    for step, folder in reversed(steps_in(parent).items()):
        try:
            found = _verified(folder, step)
        except CheckpointError as error:
            damaged.append(str(error))
            continue
        for reason in damaged:
            notice(f"{reason} Going on from step {step:,} instead.")
        return found
    if damaged:
        raise TrainingError(
            f"No checkpoint in {parent} is whole: {' '.join(damaged)} Start anew in another folder."
        )
    return None


def holds_state(checkpoint: Checkpoint) -> bool:
    """Whether it holds what `write_state` wrote."""
    return (checkpoint.folder / _STATE).exists()


def read_state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """The tensors that `write_state` wrote."""
    with open_tensors(checkpoint.folder / _STATE) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def _verified(folder: Path, step: int) -> Checkpoint:
    """Raises CheckpointError, which says in a sentence what is wrong."""
    path = folder / _MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
        files, facts = manifest["files"], manifest["facts"]
        right = manifest["kind"] == _KIND and manifest["step"] == step
        expected = [(str(name), one["bytes"], one["sha256"]) for name, one in files.items()]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise CheckpointError(f"{folder} is damaged: {path.name} cannot be read.") from None
    if not right:
        raise CheckpointError(f"{folder} is damaged: {path.name} is of another step or kind.")
    for name, size, digest in expected:
        for problem in _problems(folder / Path(name).name, size, digest):
            raise CheckpointError(f"{folder} is damaged: {name} {problem}.")
    return Checkpoint(folder, step, facts)


def _problems(path: Path, size: int, digest: str) -> Iterator[str]:
    with contextlib.suppress(FileNotFoundError):
        found = path.stat().st_size
        if found != size:
            yield f"has {found:,} bytes, expected {size:,}"
        elif _digest(path) != digest:
            yield "has other content than when it was written (sha256)"
        return
    yield "is missing"


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
