"""Folders named after steps of a run of training, and the model that a run has at one of them.

    runs/mole/snapshots/step-00000400    is meant by    runs/mole@400
    runs/mole/final                      is meant by    runs/mole

This module knows names of folders, and nothing of what is in them.
"""

from __future__ import annotations

import re
from pathlib import Path

from molehill.errors import CheckpointError

__all__ = ["model_of_run", "step_name", "steps_in"]

_NAME = re.compile(r"step-(\d{8,})")
_AT_STEP = re.compile(r"(.+)@(\d+)")


def step_name(step: int) -> str:
    """The folder's name of what belongs to a step; sorts as the steps do."""
    return f"step-{step:08}"


def steps_in(folder: Path) -> dict[int, Path]:
    """The folders named after steps in `folder`, in order."""
    if not folder.is_dir():
        return {}
    found = ((_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return dict(sorted((int(name[1]), path) for name, path in found if name))


def model_of_run(name: str) -> Path | None:
    """The folder of the model that `RUN@STEP` or `RUN` names; None if it names no run.

    Raises:
        CheckpointError: a run that has no model of that step, or none at its end yet; says of
            which steps there are some.
    """
    at_step = _AT_STEP.fullmatch(name)
    run = Path(at_step[1] if at_step else name).expanduser()
    if not (run / "recipe.toml").is_file():
        return None
    snapshots = steps_in(run / "snapshots")
    last = run / "final"
    if at_step is None and (last / "config.json").is_file():
        return last
    if at_step is not None and int(at_step[2]) in snapshots:
        return snapshots[int(at_step[2])]
    wanted = "at its end yet" if at_step is None else f"of step {int(at_step[2]):,}"
    there = ", ".join(map(str, snapshots)) or "none"
    raise CheckpointError(
        f"The run {run} has no model {wanted}; steps with a snapshot: {there}. Name one as "
        f"{run}@STEP; which ones are kept is in the recipe's [snapshots]."
    )
