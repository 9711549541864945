"""A recipe for autoencoders: what is read, by which model, what is to come out; one TOML file.

    [model]       name = "lexicon"
    [data]        texts = ["texts"]           # files and folders; or store = "folder"
    [training]    rows = 5_000_000, batch = 4096
    [[autoencoder]]                           # one or more, from one pass
    name = "mole", architecture = "topk", reads = "3.resid_post", features = 2048, k = 32

Every key has its default and its meaning below. This module reads no texts and loads no model.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, Field, ValidationError, field_validator

from molehill.errors import ConfigError
from molehill.features.learner import Job, settings_for
from molehill.features.making import ARCHITECTURES
from molehill.training.recipe_file import Part, pairs, parse_toml, told
from molehill.training.schedule import Schedule, steps_of

__all__ = [
    "AutoencoderPart",
    "CheckpointsPart",
    "DataPart",
    "FeaturesRecipe",
    "MetricsPart",
    "ModelPart",
    "ParallelPart",
    "TrainingPart",
    "default_penalty",
    "default_rate",
    "read_features_recipe",
]


class ModelPart(Part):
    """Whose vectors are read."""

    name: str = "lexicon"
    """A name, a folder or a .gguf file."""
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    """What the model runs in. A store has its own."""


class DataPart(Part):
    """What is read. Either texts, run through the model as they are needed, or a store."""

    texts: tuple[str, ...] = ()
    """Files and folders, from the recipe's own folder."""
    column: str = "text"
    """Of JSON lines and Parquet."""
    store: str | None = None
    """A folder that `molehill record` made, with the sites that are read."""
    context: int | None = Field(None, ge=2)
    """Tokens read together; none: the model's context, at most 512."""
    chunk: int = Field(65_536, ge=1)
    """Rows that are run and shuffled together; of a store, twice as many as its shards have."""
    together: int = Field(16, ge=1)
    """Windows in a pass of the model."""
    skip_special: bool = True
    """Whether the tokenizer's special tokens are left out."""
    skip_first: int = Field(1, ge=0)
    """Tokens left out at the beginning of each window."""
    seed: int = Field(0, ge=0)
    """Of the order of rows."""


class TrainingPart(Part):
    """How long, how much at a time, in which numbers."""

    rows: int = Field(2_000_000, ge=1)
    """Vectors to learn from; read again from the beginning where there are fewer."""
    batch: int = Field(4096, ge=1)
    """Vectors of a step, over all processes."""
    products: Literal["float32", "bfloat16"] = "bfloat16"
    """What is multiplied in. Weights that learn and Adam's moments are float32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    warm_up: int | float = Field(0.05, ge=0)
    """Steps in which the rate rises; below 1 a share of all."""
    decay: int | float = Field(0.2, ge=0)
    """Steps in which it falls to nothing at the end."""
    penalty_warm_up: int | float = Field(0.1, ge=0)
    """Steps in which a penalty rises to its weight."""


class CheckpointsPart(Part):
    """From which points the run can go on."""

    every: int = Field(500, ge=0)
    """Steps between them; 0: only where it is stopped, and at the end."""
    keep: int = Field(2, ge=1)


class MetricsPart(Part):
    """`metrics.jsonl`."""

    every: int = Field(10, ge=1)
    """Steps between lines."""


class ParallelPart(Part):
    """Several processes under torchrun."""

    kind: Literal["rows", "features"] = "rows"
    """`rows`: each process learns from its part of every batch. `features`: each holds its part of
    the features, and all read the same rows."""
    timeout: float = Field(600.0, gt=0)


class AutoencoderPart(Part):
    """One autoencoder."""

    name: str = Field("features", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Of its file."""
    architecture: str = "topk"
    reads: tuple[str, ...]
    """A site, or several for a crosscoder."""
    writes: tuple[str, ...] = ()
    """Another site for a transcoder: reads = "3.mlp.in", writes = "3.mlp.out"."""
    features: int = Field(2048, ge=1)
    k: int = Field(32, ge=1)
    penalty: float | None = Field(None, ge=0)
    """What sparsity weighs; none: by the architecture."""
    bandwidth: float = Field(0.1, gt=0)
    prefixes: tuple[int, ...] = ()
    auxiliary: float = Field(1 / 32, ge=0)
    dead_after: int = Field(500_000, ge=1)
    skip: bool = False
    rate: float | None = Field(None, gt=0)
    """Adam's; none: by the number of features and of steps."""
    seed: int = Field(0, ge=0)

    @field_validator("reads", "writes", mode="before")
    @classmethod
    def _one(cls, sites: Any) -> Any:
        """One site may stand alone."""
        if isinstance(sites, str):
            return (sites,)
        return tuple(sites) if isinstance(sites, list) else sites

    @field_validator("architecture")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ARCHITECTURES:
            near = difflib.get_close_matches(name, ARCHITECTURES, 1, 0.4)
            hint = f": did you mean {near[0]}?" if near else ""
            raise ValueError(f"expected one of {', '.join(ARCHITECTURES)}{hint}")
        return name

    def job(self, widths: Mapping[str, int], steps: int) -> Job:
        """What it is to become, given the widths of the sites and the steps of the run.

        Raises:
            ConfigError: sizes that cannot be.
        """
        settings = settings_for(
            widths,
            self.architecture,
            self.reads,
            self.writes,
            self.features,
            k=self.k,
            penalty=default_penalty(self.architecture) if self.penalty is None else self.penalty,
            bandwidth=self.bandwidth,
            prefixes=self.prefixes,
            auxiliary=self.auxiliary,
            dead_after=self.dead_after,
            skip=self.skip,
        )
        rate = default_rate(self.features, steps) if self.rate is None else self.rate
        return Job(self.name, settings, self.reads, self.writes, rate, self.seed)


def default_rate(n_features: int, steps: int) -> float:
    """Adam's rate: it falls with the root of the number of features (Gao et al. 2024, section A.3),
    and with the cube root of the number of steps, because a short run has to go as far: at 2,048
    features from 3e-3 for 128 steps and fewer to 6e-4 for 16,000 and more."""
    share = min(1.0, max(0.2, (128 / max(1, steps)) ** (1 / 3)))
    return 3e-3 * share * (2048 / n_features) ** 0.5


def default_penalty(architecture: str) -> float:
    """What sparsity weighs against the squared error of vectors whose mean squared length is their
    width. Each number then has a variance near 1, whatever the width, and so a penalty leaves about
    the same share of the width active: some 5 to 10% of 96 numbers (a village) and of 576
    (SmolLM2)."""
    return {"jumprelu": 0.4, "gated": 3.0, "relu": 2.0}.get(architecture, 1.0)


class FeaturesRecipe(Part):
    """A whole recipe."""

    model: ModelPart = ModelPart()
    data: DataPart = DataPart()
    training: TrainingPart = TrainingPart()
    checkpoints: CheckpointsPart = CheckpointsPart()
    metrics: MetricsPart = MetricsPart()
    parallel: ParallelPart = ParallelPart()
    autoencoder: tuple[AutoencoderPart, ...]

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return -(-self.training.rows // self.training.batch)

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites that some autoencoder reads or writes."""
        named = [site for part in self.autoencoder for site in (*part.reads, *part.writes)]
        return tuple(dict.fromkeys(named))

    def course(self) -> Schedule:
        """The rate's course."""
        part, steps = self.training, self.steps
        warm_up, decay = steps_of(part.warm_up, steps), steps_of(part.decay, steps)
        return Schedule(steps, "wsd", warm_up, decay)

    def penalty_at(self, step: int) -> float:
        """The share of the penalty at a step, counted from 0."""
        rising = steps_of(self.training.penalty_warm_up, self.steps)
        return min(1.0, (step + 1) / rising) if rising else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Every key with its value, as TOML has them: what is None is left out."""
        return _without_none(self.model_dump(mode="json"))

    def to_toml(self) -> str:
        """The recipe with every default written out; `read_features_recipe` reads it."""
        return tomli_w.dumps(self.to_dict())

    def differences(self, other: FeaturesRecipe) -> list[str]:
        """Keys, with both values, in which two recipes would make different weights."""
        ours, theirs = _flat(self.to_dict()), _flat(other.to_dict())
        free = ("checkpoints.", "metrics.", "training.device", "data.texts", "data.store")
        keys = [key for key in sorted({*ours, *theirs}) if not key.startswith(free)]
        return [
            f"{key} is {ours.get(key, 'not given')!r} now and was {theirs.get(key, 'not given')!r}"
            for key in keys
            if ours.get(key) != theirs.get(key)
        ]


def read_features_recipe(
    path: str | os.PathLike[str], overrides: Sequence[str] | Mapping[str, Any] = ()
) -> FeaturesRecipe:
    """A recipe from its file.

    Args:
        path: a TOML file.
        overrides: what replaces keys of the file: `training.rows=100000`; `autoencoder.k=16`
            replaces it in every autoencoder.

    Raises:
        ConfigError: no such file, no TOML, unknown keys (with the nearest that are known), values
            of a wrong kind, or keys that contradict one another; all of them at once.
    """
    path = Path(path)
    values = parse_toml(path)
    _make_absolute(values, path.parent)
    for key, value in pairs(overrides):
        part, _, name = key.partition(".")
        places = values.get(part, [] if part == "autoencoder" else {})
        values[part] = places
        for place in places if isinstance(places, list) else [places]:
            place[name] = value
        if part == "data":
            _make_absolute(values, Path.cwd())
    problems = list(_unknown(values))
    if not problems:
        try:
            recipe = FeaturesRecipe.model_validate_json(json.dumps(values, default=str))
        except ValidationError as error:
            problems = [told(one) for one in error.errors()]
        else:
            problems = list(_contradictions(recipe))
            if not problems:
                return recipe
    raise ConfigError(f"{path}: {'; '.join(problems)}.")


def _make_absolute(values: dict[str, Any], base: Path) -> None:
    """Paths of a recipe, as seen from a folder."""
    data = values.get("data")
    if not isinstance(data, dict):
        return

    def absolute(path: str) -> str:
        return os.path.abspath(base / Path(path).expanduser())

    if isinstance(data.get("store"), str):
        data["store"] = absolute(data["store"])
    if isinstance(data.get("texts"), str):
        data["texts"] = [data["texts"]]
    if isinstance(data.get("texts"), list):
        data["texts"] = [absolute(one) if isinstance(one, str) else one for one in data["texts"]]


def _unknown(values: Mapping[str, Any]) -> Iterator[str]:
    parts: dict[str, type[BaseModel]] = {
        "model": ModelPart,
        "data": DataPart,
        "training": TrainingPart,
        "checkpoints": CheckpointsPart,
        "metrics": MetricsPart,
        "parallel": ParallelPart,
        "autoencoder": AutoencoderPart,
    }
    for name, place in values.items():
        if name not in parts:
            yield f"[{name}] is unknown{_near(name, parts)}"
            continue
        tables = place if isinstance(place, list) else [place]
        if not all(isinstance(table, dict) for table in tables):
            yield f"{name} is {place!r:.40}, expected a table [{name}]"
            continue
        if (name == "autoencoder") != isinstance(place, list):
            yield (
                f"{name} is written [[{name}]]"
                if name == "autoencoder"
                else f"[{name}] stands once"
            )
            continue
        known = parts[name].model_fields
        for key in {key for table in tables for key in table if key not in known}:
            yield f"{name}.{key} is unknown{_near(key, known)}"


def _near(name: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, 1, 0.5)
    return f": did you mean {near[0]}?" if near else f": known are {', '.join(known)}"


def _contradictions(recipe: FeaturesRecipe) -> Iterator[str]:
    if not recipe.autoencoder:
        yield "there is no [[autoencoder]]"
    names = [part.name for part in recipe.autoencoder]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"two autoencoders are called {name!r}"
    if bool(recipe.data.texts) == (recipe.data.store is not None):
        yield "data.texts and data.store: give one of the two"
    course = recipe.course()
    if course.warm_up + course.decay > recipe.steps:
        yield (
            f"training.warm_up {course.warm_up} and training.decay {course.decay} are together "
            f"longer than the run's {recipe.steps} steps"
        )


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(one) for key, one in value.items() if one is not None}
    return [_without_none(one) for one in value] if isinstance(value, list) else value


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Keys such as `training.batch` and `autoencoder.name.k`."""
    found: dict[str, Any] = {}
    for part, place in values.items():
        for table in place if isinstance(place, list) else [place]:
            start = f"{part}.{table['name']}" if isinstance(place, list) else part
            found |= {f"{start}.{key}": value for key, value in table.items()}
    return found
