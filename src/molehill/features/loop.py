"""The run: batches go by, autoencoders learn, and what is there is kept so that it can go on.

    outcome = train_features(read_features_recipe("recipe.toml"), "runs/mole")

The run's folder holds the recipe, metrics.jsonl, checkpoints/, and at the end NAME.safetensors for
each autoencoder. A run that was stopped, or killed, goes on from its last checkpoint with the
batches and numbers it would have had. This module knows no architecture.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.tensorfile import open_tensors, write_tensors
from molehill.errors import ConfigError, TrainingError
from molehill.features.activations import Live, Place, Source, Stored
from molehill.features.learner import Learner, Learnt
from molehill.features.memory import keep_freed_memory
from molehill.features.recipe import FeaturesRecipe, read_features_recipe
from molehill.features.sharing import Sharing
from molehill.features.trained import Features, save_features
from molehill.files import write_atomically
from molehill.language_model import LanguageModel, load
from molehill.text.documents import documents
from molehill.trace.store import Store
from molehill.training.checkpoints import (
    Checkpoint,
    clean_up,
    find_checkpoint,
    forget_old,
    read_state,
    write_checkpoint,
    write_state,
)
from molehill.training.interrupts import Interrupts
from molehill.training.metrics import MetricsFile
from molehill.training.parallel import World, chosen_device, joined
from molehill.training.run import Run
from molehill.version import __version__

__all__ = [
    "FeaturesBegan",
    "FeaturesEvent",
    "FeaturesListener",
    "FeaturesOutcome",
    "FeaturesSaved",
    "FeaturesStepped",
    "source_of",
    "train_features",
]

_FLOAT = 4
_PART = "molehill.run/1/part"


@dataclass(frozen=True)
class FeaturesBegan:
    """The run begins, or goes on."""

    step: int
    """Steps that were taken before."""
    steps: int
    rows: int
    """Vectors of the whole run."""
    memory: int
    """Bytes that the autoencoders, their moments, a chunk of rows and a step will take, about; the
    model not counted."""
    notices: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class FeaturesStepped:
    """One step was taken by every autoencoder."""

    step: int
    rate: float
    """The share of each one's rate."""
    learnt: Mapping[str, Learnt]
    """By autoencoder."""
    rows_per_second: float
    """Of this step, the making of the rows included."""
    learning_share: float
    """How much of the time so far went into learning; the rest made rows."""
    seconds: float
    """That were spent since the run began, over all its parts."""


@dataclass(frozen=True)
class FeaturesSaved:
    """Something stands on the disk."""

    step: int
    what: str
    path: str


@dataclass(frozen=True)
class FeaturesOutcome:
    """How it ended."""

    folder: Path
    step: int
    steps: int
    stopped_by: signal.Signals | None
    files: tuple[Path, ...]
    """The finished autoencoders."""

    @property
    def finished(self) -> bool:
        """Whether all steps were taken."""
        return self.step == self.steps


FeaturesEvent = FeaturesBegan | FeaturesStepped | FeaturesSaved
FeaturesListener = Callable[[FeaturesEvent], object]


def train_features(
    recipe: FeaturesRecipe,
    folder: str | os.PathLike[str],
    *,
    listeners: Sequence[FeaturesListener] = (),
    must_resume: bool = False,
    lm: LanguageModel | None = None,
) -> FeaturesOutcome:
    """Train a recipe's autoencoders, or go on where a run of the same recipe stopped.

    Ctrl-C and SIGTERM end the step, save, and return. Under `torchrun` every process calls this;
    the first one writes and tells.

    Args:
        recipe: what to do.
        folder: the run's folder: a new one, or one in which this recipe was begun.
        listeners: told of every event.
        must_resume: whether it is an error if there is nothing to go on from.
        lm: the recipe's model, if it is loaded already.

    Raises:
        TrainingError: the folder is another run's, the model or the texts are others than before, a
            loss that is no number, a file that cannot be written.
        ConfigError, SiteError, TextError, CheckpointError: what is asked for is not there.
    """
    run = Run(Path(folder))
    keep_freed_memory()
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        world = stack.enter_context(joined("ddp", recipe.parallel.timeout))
        if world.first:
            stack.enter_context(run.locked())
            _claim(run, recipe)
            clean_up(run.checkpoints)
        world.meet()
        source = source_of(recipe, lm, world)
        session = _Session(recipe, run, source, world)
        session.restore(must_resume=must_resume)
        if world.first:
            file = stack.enter_context(MetricsFile(run.metrics, step=session.step))
            session.listeners = [_some(file, recipe.metrics.every), *listeners]
        session.begin()
        stopped_by = session.go(interrupts)
        files = session.finish() if stopped_by is None else ()
    return FeaturesOutcome(run.folder, session.step, recipe.steps, stopped_by, files)


def source_of(
    recipe: FeaturesRecipe, lm: LanguageModel | None = None, world: World | None = None
) -> Source:
    """Where a recipe's rows come from."""
    data = recipe.data
    if data.store is not None:
        return Stored(Store.open(data.store, verify=False), recipe.sites, data.seed)
    model = load(recipe.model.name, dtype=recipe.model.dtype) if lm is None else lm

    def texts() -> Iterable[str]:
        return (one.text for one in documents(list(data.texts), column=data.column))

    return Live(
        model,
        recipe.sites,
        texts,
        context=data.context,
        chunk=data.chunk,
        together=data.together,
        skip_special=data.skip_special,
        skip_first=data.skip_first,
        seed=data.seed,
        rank=0 if world is None else world.rank,
        processes=1 if world is None else world.size,
    )


def _claim(run: Run, recipe: FeaturesRecipe) -> None:
    """Keep the recipe in the folder, or find that it is this recipe's."""
    try:
        if run.recipe.exists():
            if found := recipe.differences(read_features_recipe(run.recipe)):
                raise TrainingError(
                    f"{run.folder} holds a run of another recipe: {'; '.join(found)}. Choose "
                    "another folder, or give these keys as they were."
                )
        elif others := sorted(p.name for p in run.folder.iterdir() if not p.name.startswith(".")):
            raise TrainingError(
                f"{run.folder} holds {others[0]!r} and no recipe.toml, so it is no run: choose "
                "another folder."
            )
        text = recipe.to_toml().encode()
        write_atomically(run.recipe, lambda file: file.write(text))
    except OSError as error:
        raise TrainingError(
            f"The run's folder {run.folder} cannot be written: {error.strerror}."
        ) from error


def _some(file: MetricsFile, every: int) -> FeaturesListener:
    def tell(event: Any) -> None:
        if not isinstance(event, FeaturesStepped) or event.step % every == 0:
            file.add(event)

    return tell


def _check_shared(recipe: FeaturesRecipe, sharing: Sharing) -> None:
    """Raises ConfigError where the processes cannot share the work."""
    batch, size = recipe.training.batch, sharing.size
    if sharing.by_rows and batch % size:
        raise ConfigError(
            f"training.batch {batch} cannot be shared by {size} processes: make it a multiple."
        )
    for part in recipe.autoencoder:
        if sharing.by_features and part.architecture == "matryoshka":
            raise ConfigError(
                f"{part.name} is a matryoshka, whose prefixes no process holds alone: set "
                "parallel.kind = 'rows'."
            )
        by_k = part.architecture in ("topk", "batchtopk")
        if sharing.by_features and by_k and part.features < size * part.k:
            raise ConfigError(
                f"{part.name} has {part.features} features, too few to share among {size} "
                f"processes with k = {part.k}: set parallel.kind = 'rows'."
            )


def _part_name(rank: int) -> str:
    return f"state-{rank:04}.safetensors"


class _Session:
    """A run while it runs."""

    def __init__(self, recipe: FeaturesRecipe, run: Run, source: Source, world: World) -> None:
        self.recipe, self.run, self.source, self.world = recipe, run, source, world
        self.sharing = Sharing(world.rank, world.size, recipe.parallel.kind)
        _check_shared(recipe, self.sharing)
        self.listeners: list[FeaturesListener] = []
        self.notices: list[str] = []
        self.step, self.place = 0, Place()
        self.learning = self.seconds = 0.0
        self.course = recipe.course()
        self.device = chosen_device(recipe.training.device)
        self.jobs = [part.job(source.widths, recipe.steps) for part in recipe.autoencoder]
        self.learners: list[Learner] = []
        self.fingerprint = str(source.description["fingerprint"])

    def tell(self, event: FeaturesEvent) -> None:
        for listener in self.listeners:
            listener(event)

    def begin(self) -> None:
        steps, rows = self.recipe.steps, self.recipe.steps * self.recipe.training.batch
        notices = tuple(self.notices)
        self.tell(FeaturesBegan(self.step, steps, rows, self.memory(), notices, __version__))

    def memory(self) -> int:
        """Bytes of the learners and what a step holds, about."""
        batch = self.recipe.training.batch
        numbers = self.recipe.data.chunk * sum(self.source.widths.values())
        for job in self.jobs:
            own = job.settings
            weights = own.n_features * (own.d_in + own.d_out)
            # Weights, gradients, two moments, and the copy that is multiplied with.
            numbers += 5 * weights + batch * (own.n_features + 4 * (own.d_in + own.d_out))
        return _FLOAT * numbers

    # --- learning ---------------------------------------------------------------------------------

    def go(self, interrupts: Interrupts) -> signal.Signals | None:
        """All steps that are left, or as many as are wished."""
        recipe, start = self.recipe, time.perf_counter()
        for batch, after in self._batches():
            self._learn(batch, start)
            self.place = after
            stop = self.world.most(interrupts.wanted or 0)
            last = self.step == recipe.steps
            every = recipe.checkpoints.every
            if stop or last or (every and self.step % every == 0):
                self.save()
            if stop and not last:
                return signal.Signals(stop)
            if last:
                break
            start = time.perf_counter()
        return None

    def _batches(self) -> Iterator[tuple[Mapping[str, Tensor], Place]]:
        if self.step >= self.recipe.steps:
            return
        size = self.recipe.training.batch
        for batch, after in self.source.batches(size, self.place):
            if not self.learners:
                self._make(batch)
            yield batch, after

    def _make(self, first: Mapping[str, Tensor]) -> None:
        products = self.recipe.training.products
        self.learners = [
            Learner(job, first, products=products, device=self.device, sharing=self.sharing)
            for job in self.jobs
        ]

    def _learn(self, batch: Mapping[str, Tensor], start: float) -> None:
        begin = time.perf_counter()
        rate, penalty = self.course.at(self.step), self.recipe.penalty_at(self.step)
        learnt: dict[str, Learnt] = {}
        for learner in self.learners:
            try:
                learnt[learner.job.name] = learner.learn(batch, rate, penalty)
            except FloatingPointError as error:
                raise TrainingError(
                    f"At step {self.step + 1:,} {error}: lower its rate, or look at the batch; "
                    "the last checkpoint is whole."
                ) from error
        self.step += 1
        end = time.perf_counter()
        self.learning += end - begin
        self.seconds += end - start
        speed = self.recipe.training.batch / (end - start)
        share = self.learning / self.seconds
        self.tell(FeaturesStepped(self.step, rate, learnt, speed, share, self.seconds))

    # --- keeping ----------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint, and forget the oldest ones."""
        state = {
            f"{number}.{name}": value
            for number, learner in enumerate(self.learners)
            for name, value in learner.state().items()
        }
        facts = {
            "place": self.place.to_dict(),
            "fingerprint": self.fingerprint,
            "learning": self.learning,
            "seconds": self.seconds,
            "parts": self._parts,
        }

        def write(folder: Path) -> None:
            if self.sharing.by_features:
                write_tensors(folder / _part_name(self.world.rank), state, {"kind": _PART})
            elif self.world.first:
                write_state(folder, state)

        path = write_checkpoint(
            self.run.checkpoints,
            self.step,
            facts,
            write,
            first=self.world.first,
            meet=self.world.meet,
        )
        if self.world.first:
            forget_old(self.run.checkpoints, self.recipe.checkpoints.keep)
        self.tell(FeaturesSaved(self.step, "checkpoint", str(path)))

    @property
    def _parts(self) -> int:
        """In how many files a checkpoint is."""
        return self.sharing.size if self.sharing.by_features else 1

    def _read(self, found: Checkpoint) -> dict[str, Tensor]:
        if found.facts["parts"] != self._parts:
            raise TrainingError(
                f"{found.folder} was written by {found.facts['parts']} processes that shared "
                f"features, and now there are {self._parts}: start as many."
            )
        if not self.sharing.by_features:
            return read_state(found)
        with open_tensors(found.folder / _part_name(self.world.rank)) as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def restore(self, *, must_resume: bool) -> None:
        """Go on from the last checkpoint that is whole, if there is one."""
        found = find_checkpoint(self.run.checkpoints, self.notices.append)
        if found is None:
            if must_resume:
                raise TrainingError(
                    f"There is no checkpoint in {self.run.folder} to go on from: leave --resume "
                    "out to begin."
                )
            return
        facts = found.facts
        if facts["fingerprint"] != self.fingerprint:
            raise TrainingError(
                f"This run read a model of fingerprint {facts['fingerprint']:.12}, and now it is "
                f"{self.fingerprint:.12}: give the same model, or begin another run."
            )
        state = self._read(found)
        # Scales and first biases come with the state; a batch of ones gives the shapes.
        self._make({site: torch.ones(2, width) for site, width in self.source.widths.items()})
        for number, learner in enumerate(self.learners):
            start = f"{number}."
            mine = {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}
            learner.restore(mine)
        self.step, self.place = found.step, Place.from_dict(facts["place"])
        self.learning, self.seconds = facts["learning"], facts["seconds"]
        self.notices.append(f"Going on from step {self.step:,} of {self.recipe.steps:,}.")

    def finish(self) -> tuple[Path, ...]:
        """Write what came out."""
        files = []
        for learner in self.learners:
            job, about = learner.job, self.source.description
            features = Features(
                learner.finished().cpu(),
                job.reads,
                job.targets,
                job.name,
                str(about["model"]),
                self.fingerprint,
                {
                    "rows": self.step * self.recipe.training.batch,
                    "rows_left_out": self.place.left_out,
                    "epochs": self.place.epoch,
                    "data": dict(about),
                    "rate": job.rate,
                    "seed": job.seed,
                    "scales": sorted(set(learner.scale_in.tolist())),
                    "molehill": __version__,
                },
            )
            path = self.run.folder / f"{job.name}.safetensors"
            if self.world.first:
                save_features(features, path)
            files.append(path)
            self.tell(FeaturesSaved(self.step, "features", str(path)))
        return tuple(files)
