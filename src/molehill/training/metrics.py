"""`metrics.jsonl`: how a run went, one JSON object a line, in the order of its steps.

    {"event": "stepped", "step": 100, "loss": 3.21, ...}
    {"event": "evaluated", "step": 100, "bits_per_byte": {"prose": 1.31}, ...}

Lines are added as things happen. A run that goes on from step 100 first drops what the file says of
later steps, so that no step stands in it twice. This module knows records, and nothing of what they
mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from molehill.errors import TrainingError
from molehill.files import write_atomically
from molehill.training.events import Event, Stepped

__all__ = ["MetricsFile", "has_line", "read_metrics"]


class MetricsFile:
    """The file of a run, open for adding: `with MetricsFile(path, step=100) as told`.

    Args:
        path: where; made if it is not there.
        step: what the file says of later steps is dropped.
        every: which steps have a line, counted from 0. All other events have one always.

    Raises:
        TrainingError: it cannot be written.
    """

    def __init__(self, path: Path, *, step: int, every: int = 1) -> None:
        self.path = path
        self.every = every
        try:
            if path.exists():
                _drop_after(path, step)
            self._file: TextIO = open(path, "a", encoding="utf-8")  # noqa: SIM115
        except OSError as error:
            raise _not_written(path, error) from error

    def __enter__(self) -> MetricsFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __call__(self, event: Event) -> None:
        """Add an event's line.

        Raises:
            TrainingError: the disk is full, or the file cannot be written.
        """
        if has_line(event, self.every):
            self.add(event)

    def add(self, event: Any) -> None:
        """Add the line of any record that has a `step`.

        Raises:
            TrainingError: the disk is full, or the file cannot be written.
        """
        try:
            self._file.write(_line(event))
            self._file.flush()
        except OSError as error:
            raise _not_written(self.path, error) from error


def has_line(event: Event, every: int) -> bool:
    """Whether an event has a line: an applied step only at each `every`, all else always."""
    return not (isinstance(event, Stepped) and event.applied and event.step % every)


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a metrics file, if there is one; torn ones, of a run that was killed, are
    left out."""
    if path.exists():
        with open(path, encoding="utf-8", errors="replace") as file:
            yield from filter(None, map(_whole, file))


def _line(event: Any) -> str:
    """JSON has no NaN: a number that is none becomes null."""
    values = {"event": type(event).__name__.lower(), **asdict(event)}
    plain = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }
    return json.dumps(plain, ensure_ascii=False) + "\n"


def _drop_after(path: Path, step: int) -> None:
    """Keep the lines of steps up to `step`; what is torn goes too."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = ((line, _whole(line)) for line in file)
        kept = "".join(line for line, values in lines if values and values["step"] <= step)
    write_atomically(path, lambda file: file.write(kept.encode()))


def _whole(line: str) -> dict[str, Any] | None:
    """What a line says; None if it is torn."""
    try:
        values = json.loads(line)
    except ValueError:
        return None
    known = line.endswith("\n") and isinstance(values, dict) and {"event", "step"} <= values.keys()
    return values if known else None


def _not_written(path: Path, error: OSError) -> TrainingError:
    return TrainingError(
        f"{path} cannot be written: {error.strerror}. Make room or mend the folder, and give the "
        "same command again to go on from the last checkpoint."
    )
