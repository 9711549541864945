"""A recipe: everything that decides a run of training, as one TOML file.

    [corpus]    folder = "corpus"
    [model]     preset = "notes", size = "10m"
    [training]  context = 256, batch = 16, steps = 10_000
    [optimizer] [schedule] [evaluation] [samples] [checkpoints] [snapshots] [metrics] [trackers]
    [parallel]

Every key has its default and its meaning below; a key that is not there is refused with the nearest
one that is. A recipe is frozen, and is kept beside what it made. This module knows no corpus and no
model: whether a vocabulary fits is found out when the run starts.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from molehill.errors import ConfigError
from molehill.model import ModelConfig
from molehill.training.optimizers import OptimizerChoice
from molehill.training.presets import Preset, Size, preset_config
from molehill.training.recipe_file import Part, pairs, parse_toml, told
from molehill.training.schedule import Schedule, ScheduleKind, steps_of

__all__ = [
    "CheckpointsPart",
    "CorpusPart",
    "EvaluationPart",
    "MetricsPart",
    "ModelPart",
    "ParallelPart",
    "Recipe",
    "SamplesPart",
    "SchedulePart",
    "SnapshotsPart",
    "TrackersPart",
    "TrainingPart",
    "read_recipe",
]


class CorpusPart(Part):
    """What is read."""

    folder: str
    """A folder that `build_corpus` made. Relative paths count from the recipe's own folder."""


class ModelPart(Part):
    """What is trained. Beside these two keys every field of `ModelConfig` may be given, but for
    `d_vocab`, which is the corpus's."""

    model_config = ConfigDict(extra="allow")

    preset: Preset = "notes"
    size: Size = "10m"


class TrainingPart(Part):
    """How much is read at a time, for how long, and in which numbers."""

    context: int = Field(256, ge=1)
    """Tokens of a row."""
    batch: int = Field(16, ge=1)
    """Rows of a step, over all processes."""
    micro_batch: int | None = Field(None, ge=1)
    """Rows that one process reads at once; their gradients are added up. None: all of its share."""
    steps: int | None = Field(None, ge=1)
    """How long: in steps,"""
    tokens: int | None = Field(None, ge=1)
    """or in tokens."""
    dtype: Literal["bfloat16", "float32"] = "bfloat16"
    """What products are made in. The weights that learn are float32 always."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where. auto: on a GPU where there is one for each process of the machine. A run may go on on
    another device, and its sums differ in their last digits then."""
    compile: Literal["auto", "never"] = "auto"
    """Whether the step is compiled. auto: where there is a compiler."""
    seed: int = Field(0, ge=0)
    """Of the first weights and of the order of the rows."""
    skip_bad: int = Field(0, ge=0)
    """Steps with a loss or gradient that is no number, which are left out, before the run stops."""


class SchedulePart(Part):
    """The rate's course. Lengths: a whole number is steps, a number below 1 a share of all."""

    kind: ScheduleKind = "wsd"
    warm_up: int | float = Field(0.02, ge=0)
    decay: int | float = Field(0.4, ge=0)
    """Of `wsd`: how long the rate goes down at the end."""
    final: float = Field(0.0, ge=0, le=1)
    """The share of the rate that is left at the end."""


class EvaluationPart(Part):
    """Bits per byte of the held-out text, kind by kind."""

    every: int = Field(500, ge=0)
    """Steps between evaluations; 0: only at the end."""
    tokens: int = Field(65_536, ge=1)
    """Tokens of each kind that are read at most: whole documents, the same each time."""


class SamplesPart(Part):
    """What the model writes while it learns."""

    every: int = Field(0, ge=0)
    """Steps between samples; 0: only at the end."""
    prompts: tuple[str, ...] = ()
    tokens: int = Field(40, ge=1)
    temperature: float = Field(0.8, ge=0)


class CheckpointsPart(Part):
    """From which points the run can go on."""

    every: int = Field(500, ge=0)
    """Steps between checkpoints; 0: only when it stops. There is always one at the end."""
    keep: int = Field(2, ge=1)
    """The last so many stay."""


class SnapshotsPart(Part):
    """Models on the way, to be looked into: `RUN@STEP`. They stay."""

    every: int = Field(0, ge=0)
    """Steps between snapshots; 0: none but those of `at`."""
    at: tuple[int, ...] = ()
    """Steps after which there is one; 0 is the model before it learned anything."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """What snapshots and the final model are stored in."""


class MetricsPart(Part):
    """The lines of `metrics.jsonl`."""

    every: int = Field(1, ge=1)
    """Steps between lines."""


class TrackersPart(Part):
    """Who is told how it goes, beside `metrics.jsonl`."""

    use: tuple[Literal["tensorboard", "trackio", "wandb"], ...] = ()
    """Each needs the extra of its name. One name alone may stand without brackets."""
    project: str = Field("molehill", min_length=1)
    """To which the run belongs, in trackers that have such."""
    name: str | None = Field(None, min_length=1)
    """What the run is called there. None: as its folder."""

    @field_validator("use", mode="before")
    @classmethod
    def _one(cls, use: Any) -> Any:
        one = (use,) if isinstance(use, str) else use
        return tuple(one) if isinstance(one, list) else one


class ParallelPart(Part):
    """How processes of one `torchrun` share the work."""

    kind: Literal["ddp", "fsdp"] = "ddp"
    """ddp: each holds the whole model. fsdp: each holds a part of every matrix (FSDP2)."""
    timeout: float = Field(600.0, gt=0)
    """Seconds after which a process that does not answer is given up."""


class Recipe(Part):
    """A whole recipe."""

    corpus: CorpusPart
    model: ModelPart = ModelPart()
    training: TrainingPart = TrainingPart()
    optimizer: OptimizerChoice = OptimizerChoice()
    schedule: SchedulePart = SchedulePart()
    evaluation: EvaluationPart = EvaluationPart()
    samples: SamplesPart = SamplesPart()
    checkpoints: CheckpointsPart = CheckpointsPart()
    snapshots: SnapshotsPart = SnapshotsPart()
    metrics: MetricsPart = MetricsPart()
    trackers: TrackersPart = TrackersPart()
    parallel: ParallelPart = ParallelPart()

    @property
    def step_tokens(self) -> int:
        """Tokens of a step, over all processes."""
        return self.training.batch * self.training.context

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        if self.training.steps is not None:
            return self.training.steps
        return -(-(self.training.tokens or 0) // self.step_tokens)

    def course(self) -> Schedule:
        """The learning rate's course, in steps."""
        part, steps = self.schedule, self.steps
        warm_up, decay = steps_of(part.warm_up, steps), steps_of(part.decay, steps)
        return Schedule(
            steps, part.kind, warm_up, decay if part.kind == "wsd" else 0, final=part.final
        )

    def config(self, d_vocab: int) -> ModelConfig:
        """The model's configuration for a vocabulary.

        Raises:
            ConfigError: sizes that contradict one another.
        """
        changes = dict(self.model.model_extra or {})
        n_ctx = changes.pop("n_ctx", self.training.context)
        return preset_config(
            self.model.preset, self.model.size, d_vocab=d_vocab, n_ctx=n_ctx, changes=changes
        )

    def to_dict(self) -> dict[str, Any]:
        """Every key with its value, as TOML has them: what is None is left out."""
        parts = self.model_dump(mode="json")
        return {
            name: {key: value for key, value in part.items() if value is not None}
            for name, part in parts.items()
        }

    def flat(self) -> dict[str, Any]:
        """The same under keys such as `training.batch`."""
        parts = self.to_dict().items()
        return {f"{part}.{key}": value for part, keys in parts for key, value in keys.items()}

    def to_toml(self) -> str:
        """The recipe with every default written out; `read_recipe` reads it."""
        return tomli_w.dumps(self.to_dict())

    def differences(self, other: Recipe) -> list[str]:
        """Keys, as `training.batch`, in which two recipes would make different weights.

        How often is looked, told and saved is no such difference, nor where the corpus lies and
        what it is trained on.
        """
        ours, theirs = self.flat(), other.flat()
        keys = sorted({*ours, *theirs} - {"training.skip_bad", "training.device"})
        keys = [key for key in keys if key.partition(".")[0] in _DECIDING]
        return [key for key in keys if ours.get(key) != theirs.get(key)]


# Which parts decide what the weights become. The corpus does too: by its digest, not by its path.
_DECIDING = ("model", "training", "optimizer", "schedule")


def read_recipe(
    path: str | os.PathLike[str], overrides: Sequence[str] | Mapping[str, Any] = ()
) -> Recipe:
    """A recipe from its file.

    Args:
        path: a TOML file.
        overrides: what replaces keys of the file: `training.steps=100` (a TOML value; what is none
            is a string), or a mapping of such keys to values. Paths in them count from the working
            folder.

    Raises:
        ConfigError: no such file, no TOML, a key that is unknown (with the nearest that is known),
            a value of a wrong kind, or keys that contradict one another; all of them at once.
    """
    path = Path(path)
    values = parse_toml(path)
    _make_absolute(values, path.parent)
    changes: dict[str, Any] = {}
    for key, value in pairs(overrides):
        part, _, name = key.partition(".")
        place = changes.setdefault(part, {})
        place[name] = value
    _make_absolute(changes, Path.cwd())
    for part, place in changes.items():
        values[part] = {**_table(values, part), **place}
    problems = list(_unknown(values))
    if not problems:
        try:
            # As JSON: strict, and yet with lists where Python has tuples.
            recipe = Recipe.model_validate_json(json.dumps(values, default=str))
            problems = list(_contradictions(recipe))
        except ValidationError as error:
            problems = [told(one) for one in error.errors()]
        else:
            if not problems:
                return recipe
    raise ConfigError(f"{path}: {'; '.join(problems)}.")


def _table(values: Mapping[str, Any], part: str) -> Mapping[str, Any]:
    found = values.get(part, {})
    return found if isinstance(found, dict) else {}


def _make_absolute(values: dict[str, Any], base: Path) -> None:
    """Paths of a recipe, as seen from a folder."""
    corpus = values.get("corpus")
    if isinstance(corpus, dict) and isinstance(corpus.get("folder"), str):
        corpus["folder"] = os.path.abspath(base / Path(corpus["folder"]).expanduser())


# --- what can be wrong ------------------------------------------------------------------------


def _known() -> list[str]:
    """Every key that a recipe may have, as `part.key`."""
    names = []
    for part, field in Recipe.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names += [f"{part}.{key}" for key in kind.model_fields]
    names += [f"optimizer.{field.name}" for field in fields(OptimizerChoice)]
    own = (field.name for field in fields(ModelConfig) if field.name != "d_vocab")
    return [*names, *(f"model.{name}" for name in own)]


def _unknown(values: Mapping[str, Any]) -> Iterator[str]:
    known, parts = _known(), list(Recipe.model_fields)
    for part, place in values.items():
        if part not in parts:
            near = difflib.get_close_matches(part, parts, 1, 0.5)
            owners = [name for name in known if name.partition(".")[2] == part]
            hint = near or owners[:1]
            yield f"[{part}] is unknown" + (f": did you mean {hint[0]}?" if hint else "")
        elif not isinstance(place, dict):
            yield f"{part} is {place!r:.40}, expected a table [{part}]"
        else:
            for key in place:
                if f"{part}.{key}" not in known:
                    yield f"{part}.{key} is unknown{_nearest(part, key, known)}"


def _nearest(part: str, key: str, known: Sequence[str]) -> str:
    """`: did you mean ...?`, first of all in the same part."""
    if (part, key) == ("model", "d_vocab"):
        return ": the vocabulary is the corpus's"
    mine = [name for name in known if name.startswith(f"{part}.")]
    near = difflib.get_close_matches(key, [name.partition(".")[2] for name in mine], 1, 0.6)
    if near:
        return f": did you mean {part}.{near[0]}?"
    elsewhere = [name for name in known if name.partition(".")[2] == key]
    elsewhere = elsewhere or difflib.get_close_matches(f"{part}.{key}", known, 1, 0.5)
    return f": did you mean {elsewhere[0]}?" if elsewhere else f": known are {', '.join(mine)}"


def _contradictions(recipe: Recipe) -> Iterator[str]:
    training, course = recipe.training, recipe.course()
    if (training.steps is None) == (training.tokens is None):
        both = f"training.steps {training.steps} and training.tokens {training.tokens}"
        yield f"{both}: give one of the two"
        return
    if training.micro_batch is not None and training.batch % training.micro_batch:
        yield (
            f"training.batch {training.batch} is not a multiple of training.micro_batch "
            f"{training.micro_batch}"
        )
    if course.warm_up + course.decay > recipe.steps:
        yield (
            f"schedule.warm_up {course.warm_up} and schedule.decay {course.decay} are together "
            f"longer than the run's {recipe.steps} steps"
        )
    n_ctx = (recipe.model.model_extra or {}).get("n_ctx", training.context)
    if isinstance(n_ctx, int) and n_ctx < training.context:
        yield f"model.n_ctx {n_ctx} is below training.context {training.context}"
    if late := [step for step in recipe.snapshots.at if not 0 <= step <= recipe.steps]:
        yield f"snapshots.at {late} lie outside the run's {recipe.steps} steps"
    if recipe.samples.every and not recipe.samples.prompts:
        yield f"samples.every is {recipe.samples.every}, and samples.prompts has none to go on from"
