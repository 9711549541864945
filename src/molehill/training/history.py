"""A run as it lies on the disk: its recipe, what it told, what can be gone on from or looked into.

    told = run_history("runs/first")
    told.state, told.step, told.steps        # 'at work', 400, 1500
    for step, lm in snapshot_models(told.folder, chosen_steps(told.models, 8)): ...

A run of autoencoders (see the room of features) lies in the same files, and is read alike. This
module reads, writes nothing, and knows nothing of how a run is shown.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from molehill.checkpoints.steps import steps_in
from molehill.errors import ConfigError, TrainingError
from molehill.language_model import LanguageModel, load
from molehill.training.metrics import read_metrics
from molehill.training.run import Run

__all__ = ["RunHistory", "chosen_steps", "find_runs", "run_history", "snapshot_models"]

_DECIDING = ("model", "training", "optimizer", "schedule", "data", "autoencoder")
_FREE = {"training.skip_bad", "training.device", "data.texts", "data.store"}
_KINDS = {
    "stepped": "stepped",
    "featuresstepped": "stepped",
    "began": "began",
    "featuresbegan": "began",
    "evaluated": "evaluated",
    "sampled": "sampled",
    "notice": "notices",
}


@dataclass(frozen=True)
class RunHistory:
    """What a run's folder says.

    Attributes:
        name: what it is called here; its folder's, if nothing else was given.
        kind: `model`, or `features`: autoencoders.
        recipe: keys such as `training.batch` to values; of autoencoders `autoencoder.NAME.k`.
        began: lines of `metrics.jsonl`, one for each part of the run,
        stepped, evaluated, sampled, notices: and those of what happened, in order.
        checkpoints: steps from which it can go on.
        models: steps of the models that are kept: snapshots, and the last step if it is finished.
        files: what came out, by name: `final`, or `NAME.safetensors`.
        at_work: whether a process on this machine is training into the folder.
    """

    name: str
    folder: Path
    kind: Literal["model", "features"]
    recipe: Mapping[str, Any] = field(repr=False)
    began: tuple[Mapping[str, Any], ...] = field(repr=False)
    stepped: tuple[Mapping[str, Any], ...] = field(repr=False)
    evaluated: tuple[Mapping[str, Any], ...] = field(repr=False)
    sampled: tuple[Mapping[str, Any], ...] = field(repr=False)
    notices: tuple[Mapping[str, Any], ...] = field(repr=False)
    checkpoints: tuple[int, ...]
    models: tuple[int, ...]
    files: tuple[str, ...]
    at_work: bool

    @property
    def step(self) -> int:
        """Steps that were taken, as far as the disk says."""
        told = [line["step"] for line in self.stepped[-1:]]
        return max([0, *told, *self.checkpoints, *self.models])

    @property
    def steps(self) -> int | None:
        """Steps of the whole run; None where neither recipe nor file says."""
        if self.began:
            last = self.began[-1]
            return last.get("steps") or (last.get("plan") or {}).get("steps")
        given, size = self.recipe.get("training.steps"), self.step_size
        asked = self.recipe.get("training.tokens", self.recipe.get("training.rows"))
        return given if given is not None or not asked or not size else -(-asked // size)

    @property
    def step_size(self) -> int | None:
        """Tokens of a step; of autoencoders vectors."""
        batch = self.recipe.get("training.batch")
        if self.kind == "features" or batch is None:
            return batch
        context = self.recipe.get("training.context")
        return None if context is None else batch * context

    @property
    def state(self) -> Literal["at work", "finished", "stopped", "not begun"]:
        """How it stands. `stopped` is by a signal, an error, or a machine that went down."""
        if self.at_work:
            return "at work"
        if self.files:
            return "finished"
        return "stopped" if self.stepped or self.checkpoints else "not begun"

    def decides(self, key: str) -> bool:
        """Whether a key of the recipe decides what the weights become; others say how often is
        looked, told and saved, and where things lie."""
        return key.partition(".")[0] in _DECIDING and key not in _FREE


def run_history(folder: str | os.PathLike[str], *, name: str | None = None) -> RunHistory:
    """Read a run's folder, while it is trained or after.

    Args:
        folder: the run's.
        name: what to call it; None: as the folder was given.

    Raises:
        ConfigError: the folder holds no run, or its recipe is damaged.
    """
    run = Run(Path(folder))
    if not _is_run(run):
        raise ConfigError(
            f"{run.folder} holds no run: expected recipe.toml and metrics.jsonl, which "
            "`molehill train RECIPE --out RUN` writes."
        )
    recipe = _flat_recipe(run.recipe)
    kind = "features" if any(key.startswith("autoencoder.") for key in recipe) else "model"
    lines: dict[str, list[Mapping[str, Any]]] = {one: [] for one in _KINDS.values()}
    for line in read_metrics(run.metrics):
        if line["event"] in _KINDS:
            lines[_KINDS[line["event"]]].append(line)
    files, models = _came_out(run, kind), tuple(steps_in(run.snapshots))
    told = RunHistory(
        str(folder) if name is None else name,
        run.folder,
        kind,
        recipe,
        tuple(lines["began"]),
        tuple(lines["stepped"]),
        tuple(lines["evaluated"]),
        tuple(lines["sampled"]),
        tuple(lines["notices"]),
        checkpoints=tuple(steps_in(run.checkpoints)),
        models=models,
        files=files,
        at_work=run.at_work,
    )
    return _with_last(told) if kind == "model" and files else told


def _with_last(told: RunHistory) -> RunHistory:
    """The finished model stands at the last step, unless a snapshot does."""
    models = tuple(sorted({*told.models, told.steps or told.step}))
    return replace(told, models=models)


def find_runs(folders: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Runs among folders: each itself, or the runs that lie in it, in the order of their names.

    Raises:
        ConfigError: a folder that is not there, or none of them holds a run.
    """
    found: list[Path] = []
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise ConfigError(f"There is no folder {folder}: name runs, or a folder with runs.")
        own = [folder] if _is_run(Run(folder)) else sorted(folder.iterdir())
        found += [one for one in own if one not in found and _is_run(Run(one))]
    if not found:
        named = ", ".join(map(str, folders))
        raise ConfigError(f"There is no run in {named}: name a folder that `molehill train` made.")
    return found


def chosen_steps(steps: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many of some steps, spread evenly over their order, first and last among them."""
    if len(steps) <= most:
        return tuple(steps)
    if most < 2:
        return tuple(steps[-most:]) if most else ()
    places = [round(number * (len(steps) - 1) / (most - 1)) for number in range(most)]
    return tuple(steps[place] for place in places)


def snapshot_models(
    folder: str | os.PathLike[str], steps: Sequence[int]
) -> Iterator[tuple[int, LanguageModel]]:
    """The run's models at some steps, one after another: only one is held at a time.

    Raises:
        TrainingError: the run keeps no model of a step.
        CheckpointError: one is damaged.
    """
    run = Run(Path(folder))
    kept = steps_in(run.snapshots)
    if (run.final / "config.json").is_file():
        kept.setdefault(run_history(folder).models[-1], run.final)
    for step in steps:
        path = kept.get(step)
        if path is None:
            raise TrainingError(
                f"The run {run.folder} keeps no model of step {step:,}; there are: "
                f"{', '.join(map(str, kept)) or 'none'}. The recipe's [snapshots] says which."
            )
        yield step, load(path)


# --- what is in a folder ------------------------------------------------------------------------


def _is_run(run: Run) -> bool:
    """A recipe of one's own lies beside a corpus, not beside these."""
    signs = (run.metrics, run.checkpoints, run.final)
    return run.recipe.is_file() and any(sign.exists() for sign in signs)


def _flat_recipe(path: Path) -> dict[str, Any]:
    """The recipe's keys, whatever version wrote them."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The recipe {path} cannot be read: {error}.") from None
    flat: dict[str, Any] = {}
    for part, place in values.items():
        for table in place if isinstance(place, list) else [place]:
            if isinstance(table, dict):
                start = f"{part}.{table.get('name', '')}" if isinstance(place, list) else part
                flat |= {f"{start}.{key}": value for key, value in table.items()}
    return flat


def _came_out(run: Run, kind: str) -> tuple[str, ...]:
    if kind == "features":
        return tuple(sorted(path.name for path in run.folder.glob("*.safetensors")))
    return (run.final.name,) if (run.final / "config.json").is_file() else ()
