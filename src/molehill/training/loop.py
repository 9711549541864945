"""A recipe and a corpus become a model: the loop.

    outcome = train(read_recipe("recipe.toml"), "runs/mole", listeners=[print])

The stream of rows is a function of the step's number, and samples have seeds of their own; so what
a run has to remember is the step, the learner's tensors and three counts. This page is the order of
things; the step itself is `learner.py`, the files are `run.py` and `checkpoints.py`.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from molehill.checkpoints.save import save_checkpoint
from molehill.checkpoints.steps import step_name, steps_in
from molehill.errors import ConfigError, TrainingError
from molehill.language_model import LanguageModel
from molehill.model import Transformer
from molehill.text import Tokenizer
from molehill.text.batches import HeldOut, TokenStream
from molehill.text.corpus import Corpus, Passage
from molehill.training.checkpoints import (
    Checkpoint,
    clean_up,
    find_checkpoint,
    forget_old,
    holds_state,
    read_state,
    write_checkpoint,
    write_state,
)
from molehill.training.evaluation import add_up, bits_per_byte
from molehill.training.events import (
    Began,
    Evaluated,
    Event,
    Listener,
    Notice,
    Sampled,
    Saved,
    Stepped,
)
from molehill.training.interrupts import Interrupts
from molehill.training.learner import Applied, Learner
from molehill.training.metrics import MetricsFile
from molehill.training.parallel import World, chosen_device, joined, whole
from molehill.training.plan import make_plan
from molehill.training.recipe import Recipe
from molehill.training.run import Run
from molehill.training.shards import read_shards, write_shards
from molehill.training.sinks import check_installed
from molehill.training.trackers import Trackers
from molehill.version import __version__

__all__ = ["Outcome", "Session", "train"]

_TEXTS_SHOWN = 8
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    folder: Path
    step: int
    """Steps that were taken, over all parts of the run."""
    steps: int
    """Steps of the whole run."""
    stopped_by: signal.Signals | None
    """The signal that stopped it; None if it came to its end."""

    @property
    def finished(self) -> bool:
        """Whether all steps were taken."""
        return self.step == self.steps


def train(
    recipe: Recipe,
    folder: str | os.PathLike[str],
    *,
    listeners: Sequence[Listener] = (),
    must_resume: bool = False,
) -> Outcome:
    """Train a model, or go on where a run of the same recipe stopped.

    Ctrl-C and SIGTERM end the step, save, and return. Under `torchrun` every process calls this;
    the first one writes and tells.

    Args:
        recipe: what to do.
        folder: the run's folder: a new one, or one in which this recipe was begun.
        listeners: told of every event, one after another.
        must_resume: whether it is an error if there is nothing to go on from.

    Raises:
        TrainingError: the folder is another run's, the corpus is another than before, a loss that
            is no number, a file that cannot be written, a tracker that cannot begin, a process that
            was lost.
        MissingExtraError: a tracker's library is not installed; nothing was written.
        ConfigError: a model that cannot be.
        TextError: a corpus that is damaged or too short.
    """
    run = Run(Path(folder))
    device = chosen_device(recipe.training.device)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        world = stack.enter_context(joined(recipe.parallel.kind, recipe.parallel.timeout))
        if must_resume and not steps_in(run.checkpoints):
            raise TrainingError(
                f"There is no checkpoint in {run.folder} to go on from: leave --resume out to "
                "begin."
            )
        if world.first:
            check_installed(recipe.trackers.use)
            stack.enter_context(run.locked())
            run.claim(recipe)
            clean_up(run.checkpoints)
        world.meet()
        session = Session(recipe, run, world, device)
        session.restore()
        if world.first:
            # Made before the file, which drops what it says of steps to be taken again.
            trackers = Trackers(recipe, run, step=session.step, tell=session.tell)
            file = MetricsFile(run.metrics, step=session.step, every=recipe.metrics.every)
            session.listeners = [stack.enter_context(file), *listeners]
            session.listeners.append(stack.enter_context(trackers))
        session.begin()
        stopped_by = _steps(session, interrupts)
    return Outcome(run.folder, session.step, recipe.steps, stopped_by)


def _steps(session: Session, interrupts: Interrupts) -> signal.Signals | None:
    """All that is left of the run, or as much as is wished."""
    recipe, steps = session.recipe, session.recipe.steps
    if session.step == 0:
        session.look()
    while session.step < steps:
        session.learn()
        session.look()
        stop = session.world.most(interrupts.wanted or 0)
        last = session.step == steps
        if stop or last or _due(session.step, recipe.checkpoints.every):
            session.save()
        if stop and not last:
            return signal.Signals(stop)
    session.finish()
    return None


def _due(step: int, every: int) -> bool:
    return every > 0 and step > 0 and step % every == 0


class Session:
    """A run while it runs: what it reads, what learns, and how far it has come.

    Attributes:
        step: steps that were taken.
        tokens: tokens that were read in them.
        seconds: how long they took.
        skipped: steps whose gradient was no number.
    """

    def __init__(self, recipe: Recipe, run: Run, world: World, device: torch.device) -> None:
        self.recipe, self.run, self.world = recipe, run, world
        self.listeners: list[Listener] = []
        self._notices: list[str] = []
        self.step, self.tokens, self.seconds, self.skipped = 0, 0, 0.0, 0
        part = recipe.training
        self.course = recipe.course()
        self.corpus = Corpus.open(recipe.corpus.folder)
        self.tokenizer: Tokenizer = self.corpus.tokenizer
        if world.first:
            self.corpus.verify()
        self.stream = TokenStream(
            self.corpus, context=part.context, batch=part.batch, seed=part.seed
        )
        self.held_out = self._find_held_out()
        model = Transformer(recipe.config(self.tokenizer.d_vocab)).initialise(part.seed).to(device)
        _check_prompts(recipe.samples.prompts, self.tokenizer, model.config.n_ctx)
        if part.batch % world.size:
            raise ConfigError(
                f"training.batch {part.batch} cannot be shared by {world.size} processes: make it "
                "a multiple of them."
            )
        self.learner = Learner(
            model,
            recipe.optimizer,
            dtype=_DTYPES[part.dtype],
            compile=part.compile != "never",
            wrap=world.wrap,
            cast=not world.sharded,
        )

    def tell(self, event: Event) -> None:
        """An event, to everybody who listens."""
        for listener in self.listeners:
            listener(event)

    # --- learning -----------------------------------------------------------------------------

    def learn(self) -> None:
        """Take one step, or leave it out if it is no number.

        Raises:
            TrainingError: more such steps than the recipe allows; the run is saved before it.
        """
        begin = time.perf_counter()
        rows = self.stream.rows(self.step, rank=self.world.rank, world=self.world.size)
        parts = rows.split(self.recipe.training.micro_batch or len(rows))
        loss = torch.zeros(())
        for number, part in enumerate(parts, start=1):
            share = len(part) / len(rows)
            with self.world.adding_up(self.learner.objective, last=number == len(parts)):
                loss += self.learner.accumulate(part, share).cpu() * share
        mean = float(self.world.total(loss)) / self.world.size
        rate = self.course.at(self.step)
        if math.isfinite(mean):
            applied = self.learner.apply(rate)
        else:
            self.learner.forget()
            applied = Applied(math.nan, False)
        if not applied.finite:
            self._leave_out(mean, applied)
        seconds = time.perf_counter() - begin
        self.step += 1
        self.tokens += self.recipe.step_tokens
        self.seconds += seconds
        speed = self.recipe.step_tokens / seconds
        told = (mean, rate, applied.grad_norm, self.tokens, self.seconds, speed, applied.finite)
        self.tell(Stepped(self.step, *told))
        if self.learner.notice is not None:
            self.tell(Notice(self.step, self.learner.notice))
            self.learner.notice = None

    def _leave_out(self, loss: float, applied: Applied) -> None:
        texts = "; ".join(_named(self.stream.texts(self.step)))
        what = (
            f"Step {self.step + 1} has the loss {loss:.4g} and a gradient of length "
            f"{applied.grad_norm:.4g}, and none of it was applied. It read {texts}."
        )
        self.skipped += 1
        allowed = self.recipe.training.skip_bad
        if self.skipped <= allowed:
            self.tell(Notice(self.step, f"{what} Left out: {self.skipped} of {allowed}."))
            return
        self.skipped -= 1
        self.save()
        raise TrainingError(
            f"{what} The run is saved before it. Lower the rate, take these texts out, or let "
            f"steps be left out with training.skip_bad = {allowed + 1}, and go on."
        )

    # --- looking ------------------------------------------------------------------------------

    def look(self) -> None:
        """Whatever is due after this step: evaluation, samples, a snapshot."""
        step, recipe, last = self.step, self.recipe, self.step == self.recipe.steps
        if last or _due(step, recipe.evaluation.every):
            self.evaluate()
        if recipe.samples.prompts and (last or _due(step, recipe.samples.every)):
            self.sample()
        if step in recipe.snapshots.at or _due(step, recipe.snapshots.every):
            self._write_model(self.run.snapshots / step_name(step), "snapshot")

    def evaluate(self) -> None:
        """Bits per byte of the held-out text, by kind."""
        if not self.held_out:
            return
        sums = {
            kind: self.world.total(add_up(self._rows(text), self.learner.evaluate))
            for kind, text in self.held_out.items()
        }
        sizes = {kind: text.n_bytes for kind, text in self.held_out.items()}
        self.tell(Evaluated(self.step, *bits_per_byte(sums, sizes)))

    def _rows(self, text: HeldOut) -> Iterator[Tensor]:
        """This process's share of held-out rows, in batches."""
        batch = self.recipe.training.micro_batch or self.recipe.training.batch
        size = self.world.size
        return text.rows(-(-batch // size) * size, rank=self.world.rank, world=size)

    def _find_held_out(self) -> dict[str, HeldOut]:
        tokens = self.recipe.evaluation.tokens
        found = {
            kind: self.stream.held_out(kind, tokens=tokens)
            for kind in self.corpus.kinds
            if self.corpus.count("held_out", kind).documents
        }
        if missing := sorted(set(self.corpus.kinds) - set(found)):
            self._notices.append(f"No text of {', '.join(missing)} was held out to evaluate on.")
        return found

    def sample(self) -> None:
        """What the model writes after each prompt."""
        part, lm = self.recipe.samples, self.language_model()
        if lm is None:
            return
        written = lm.generate(
            part.prompts,
            max_new_tokens=part.tokens,
            temperature=part.temperature,
            seed=[self.step + number for number in range(len(part.prompts))],
        )
        for prompt, one in zip(part.prompts, written, strict=True):
            self.tell(Sampled(self.step, prompt, one.text))

    def language_model(self) -> LanguageModel | None:
        """A copy of the model as it is now, in the first process; None in the others."""
        copy = self._copy()
        return None if copy is None else LanguageModel(copy, self.tokenizer, str(self.run.folder))

    def _copy(self) -> Transformer | None:
        state = {name: whole(value) for name, value in self.learner.model.state_dict().items()}
        if not self.world.first:
            return None
        copy = Transformer(self.learner.model.config)
        copy.load_state_dict(state)
        return copy.eval().requires_grad_(False)

    # --- keeping ------------------------------------------------------------------------------

    def save(self) -> None:
        """Write a checkpoint, and forget the oldest ones."""
        state = self.learner.state()
        path = write_checkpoint(
            self.run.checkpoints,
            self.step,
            self._facts(),
            lambda folder: self._write_state(folder, state),
            first=self.world.first,
            meet=self.world.meet,
        )
        if self.world.first:
            for kept in forget_old(self.run.checkpoints, self.recipe.checkpoints.keep):
                self.tell(Notice(self.step, f"The old checkpoint {kept} could not be removed."))
        self.tell(Saved(self.step, "checkpoint", str(path)))

    def _write_state(self, folder: Path, state: dict[str, Tensor]) -> None:
        if self.world.sharded:
            write_shards(folder, state)
        elif self.world.first:
            write_state(folder, state)

    def _read_state(self, found: Checkpoint) -> dict[str, Tensor]:
        if self.world.sharded or not holds_state(found):
            return read_shards(found.folder, dict(self.learner.model.named_parameters()))
        return read_state(found)

    def _facts(self) -> dict[str, object]:
        return {
            "corpus": self.corpus.digest,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "skipped": self.skipped,
        }

    def restore(self) -> None:
        """Go on from the last checkpoint that is whole, if there is one.

        Raises:
            TrainingError: none is whole, or its corpus was another one.
        """
        found = find_checkpoint(self.run.checkpoints, self._notices.append)
        if found is None:
            return
        if found.facts["corpus"] != self.corpus.digest:
            raise TrainingError(
                f"The corpus {self.recipe.corpus.folder} has the digest {self.corpus.digest:.12}, "
                f"and this run began with {found.facts['corpus']:.12}: put the old one back, or "
                "begin another run."
            )
        self.learner.load_state(self._read_state(found))
        self.step = found.step
        self.tokens = found.facts["tokens"]
        self.seconds = found.facts["seconds"]
        self.skipped = found.facts["skipped"]
        self._notices.append(f"Going on from step {self.step:,} of {self.recipe.steps:,}.")

    def begin(self) -> None:
        """Tell what is about to happen, and what was found while there was nobody to listen."""
        config, size = self.learner.model.config, self.world.size
        plan = make_plan(self.recipe, config, self.corpus.count("train").tokens, size)
        self.tell(Began(self.step, plan, __version__))
        for text in self._notices:
            self.tell(Notice(self.step, text))

    def finish(self) -> None:
        """Write the model that came out."""
        self._write_model(self.run.final, "model")

    def _write_model(self, folder: Path, what: str) -> None:
        copy = self._copy()
        if copy is None:
            return
        model = copy.to(_DTYPES[self.recipe.snapshots.dtype])
        try:
            save_checkpoint(model, self.tokenizer, folder, family="molehill", overwrite=True)
        except OSError as error:
            raise TrainingError(
                f"The {what} {folder} could not be written: {error.strerror}. Make room or mend "
                "the folder, and give the same command again to go on."
            ) from error
        self.tell(Saved(self.step, what, str(folder)))


def _named(rows: Sequence[Sequence[Passage]]) -> list[str]:
    """The documents of a batch, each once, the first ones in words."""
    names = {
        f"{one.kind}: {one.source} {one.number} ({one.opening!r:.40})": None
        for row in rows
        for one in row
    }
    shown = list(names)[:_TEXTS_SHOWN]
    rest = len(names) - len(shown)
    return [*shown, f"and {rest} more texts"] if rest else shown


def _check_prompts(prompts: Sequence[str], tokenizer: Tokenizer, n_ctx: int) -> None:
    """Before hours of work, not after them."""
    for prompt in prompts:
        length = len(tokenizer.ids([prompt])[0])
        if not 0 < length < n_ctx:
            raise ConfigError(
                f"The prompt {prompt!r:.60} in samples.prompts has {length} tokens; expected 1 to "
                f"{n_ctx - 1}."
            )
