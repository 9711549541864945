"""Runs: what they leave, how they stop and go on, and what they refuse."""

from __future__ import annotations

import math
import os
import resource
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
import torch
from tests.training.small import STEPS, losses, metrics, molehill_process, small_recipe

import molehill
from molehill.checkpoints.steps import step_name, steps_in
from molehill.errors import ConfigError, TextError, TrainingError
from molehill.text import Corpus, build_corpus
from molehill.training import Evaluated, Learner, Notice, Sampled, Stepped, train
from molehill.training.run import Run

pytestmark = pytest.mark.usefixtures("one_thread")
needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="there is no C++ compiler here"
)


def of_kind(events: list, kind: type) -> list:
    return [event for event in events if isinstance(event, kind)]


# --- what a run does --------------------------------------------------------------------------


def test_a_run_learns_and_leaves_what_it_should(recipe_path, tmp_path):
    events: list = []
    recipe = small_recipe(
        recipe_path,
        samples__prompts=["The", "By the"],
        samples__every=20,
        snapshots__at=[0, 5],
        evaluation__every=20,
    )
    outcome = train(recipe, tmp_path / "run", listeners=[events.append])
    run = tmp_path / "run"
    assert (outcome.step, outcome.finished, outcome.stopped_by) == (STEPS, True, None)
    steps = of_kind(events, Stepped)
    assert [event.step for event in steps] == list(range(1, STEPS + 1))
    assert steps[-1].tokens == STEPS * 4 * 16
    assert steps[-1].loss < steps[0].loss - 0.5
    assert [event.step for event in of_kind(events, Evaluated)] == [20, 40]
    assert [event.prompt for event in of_kind(events, Sampled)] == ["The", "By the"] * 2
    assert list(steps_in(run / "checkpoints")) == [30, 40]
    assert list(steps_in(run / "snapshots")) == [0, 5]
    # What was told is what stands in the file.
    assert losses(run) == {event.step: (event.loss, event.grad_norm) for event in steps}
    assert {line["event"] for line in metrics(run)} == {
        "began", "stepped", "evaluated", "sampled", "saved",
    }  # fmt: skip
    lm = molehill.load(run / "final")
    assert lm.config == recipe.config(300)
    assert lm.generate("The", max_new_tokens=3)[0].ids


def test_bits_per_byte_are_what_counting_by_hand_gives(recipe_path, tmp_path):
    """The finished model on the held-out text of a kind, token by token, in float64."""
    events: list = []
    recipe = small_recipe(recipe_path, training__dtype="float32", evaluation__tokens=100_000)
    train(recipe, tmp_path / "run", listeners=[events.append])
    told = of_kind(events, Evaluated)[-1]
    lm = molehill.load(tmp_path / "run" / "final", dtype="float64")
    corpus = Corpus.open(recipe.corpus.folder)
    assert set(told.bits_per_byte) == {"prose", "verse"}
    for kind, bits in told.bits_per_byte.items():
        run = corpus.run("held_out", kind)
        ids = [corpus.tokenizer.eos_id, *run.read(0, len(run)).tolist()]
        nats = 0.0
        for start in range(0, len(run), 16):
            window = torch.tensor([ids[start : start + 17]])
            scores = lm.model(window[:, :-1]).logits.log_softmax(-1)
            nats -= float(scores.gather(-1, window[:, 1:, None]).sum())
        expected = nats / math.log(2) / int(run.document_bytes.sum())
        assert bits == pytest.approx(expected, rel=1e-5)


def test_micro_batches_change_nothing_but_the_last_digits(recipe_path, tmp_path):
    recipe = small_recipe(recipe_path, training__dtype="float32", training__steps=10)
    halves = small_recipe(
        recipe_path, training__dtype="float32", training__steps=10, training__micro_batch=2
    )
    train(recipe, tmp_path / "whole")
    train(halves, tmp_path / "halves")
    whole, parts = losses(tmp_path / "whole"), losses(tmp_path / "halves")
    assert all(parts[step] == pytest.approx(whole[step], rel=1e-4) for step in whole)


def test_metrics_of_every_so_many_steps(recipe_path, tmp_path):
    train(small_recipe(recipe_path, metrics__every=8), tmp_path / "run")
    assert list(losses(tmp_path / "run")) == [8, 16, 24, 32, 40]


@needs_compiler
def test_compiled_steps_are_the_plain_ones_and_go_on_to_the_bit(recipe_path, tmp_path):
    """By the command line: what checks shapes in tests cannot be compiled. On two threads, where
    gradients of tables have been added up in whichever order."""

    def run(name: str, compiled: str) -> dict[int, tuple[float, float]]:
        keys = ("training.dtype=float32", "training.steps=12", "checkpoints.every=6")
        sets = [f"--set={key}" for key in (*keys, f"training.compile={compiled}")]
        process = molehill_process("train", recipe_path, "--out", tmp_path / name, *sets, threads=2)
        said, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        assert "uncompiled" not in said
        return losses(tmp_path / name)

    expected, found = run("plain", "never"), run("compiled", "auto")
    assert found != expected, "nothing was compiled"
    for step in expected:
        assert found[step] == pytest.approx(expected[step], rel=1e-4)
    # The last six steps once more, from the checkpoint before them.
    shutil.copytree(tmp_path / "compiled", tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "checkpoints" / step_name(12))
    assert run("again", "auto") == found
    weights = [tmp_path / name / "final" / "model.safetensors" for name in ("compiled", "again")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


# --- stopping and going on --------------------------------------------------------------------


def stopped_at(process, step: int, number: signal.Signals) -> tuple[int, str]:
    """Send a signal when a process tells of a step; returns its exit code and last words."""
    for line in process.stdout:
        if line.startswith(f"step {step} of"):
            break
    else:
        pytest.fail(f"it never came to step {step}: {process.stderr.read()}")
    process.send_signal(number)
    _, said = process.communicate(timeout=120)
    return process.returncode, said


def test_interrupted_terminated_and_killed_it_ends_as_if_nothing_had_been(recipe_path, tmp_path):
    """One run in one piece, and one in four processes: the same losses to the bit, step for step,
    and the same weights."""
    steps, run = 240, tmp_path / "run"
    recipe = small_recipe(recipe_path, training__steps=steps)
    train(recipe, tmp_path / "whole")
    command = ("train", recipe_path, "--out", run, "--set", f"training.steps={steps}", "--every", 1)

    code, said = stopped_at(molehill_process(*command), 33, signal.SIGINT)
    assert code == 130
    assert "stopped by SIGINT after step" in said and f"molehill train {run}" in said
    saved = max(steps_in(run / "checkpoints"))
    assert 33 <= saved < steps and f"after step {saved}" in said

    code, said = stopped_at(molehill_process(*command), saved + 12, signal.SIGTERM)
    assert code == 143 and "stopped by SIGTERM" in said
    saved = max(steps_in(run / "checkpoints"))

    code, _ = stopped_at(molehill_process(*command), saved + 15, signal.SIGKILL)
    assert code == -signal.SIGKILL
    saved = max(steps_in(run / "checkpoints"))
    assert saved < steps - 50, "there must be 50 steps left to compare"

    last = molehill_process("train", run)
    said, _ = last.communicate(timeout=120)
    assert last.returncode == 0 and f"Going on from step {saved}" in said
    assert losses(run) == losses(tmp_path / "whole")
    weights = [folder / "final" / "model.safetensors" for folder in (run, tmp_path / "whole")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_finished_run_stays_as_it_is(recipe_path, tmp_path):
    recipe = small_recipe(recipe_path)
    train(recipe, tmp_path / "run")
    before = (tmp_path / "run" / "final" / "model.safetensors").read_bytes()
    assert train(recipe, tmp_path / "run").finished
    assert (tmp_path / "run" / "final" / "model.safetensors").read_bytes() == before
    assert len(losses(tmp_path / "run")) == STEPS


def test_a_damaged_checkpoint_is_told_and_the_one_before_used(recipe_path, tmp_path):
    recipe, run = small_recipe(recipe_path), tmp_path / "run"
    train(recipe, run)
    whole = losses(run)
    with open(run / "checkpoints" / "step-00000040" / "state.safetensors", "r+b") as file:
        file.truncate(1000)
    events: list = []
    train(recipe, run, listeners=[events.append])
    notices = [event.text for event in of_kind(events, Notice)]
    assert "step-00000040 is damaged: state.safetensors has 1,000 bytes" in notices[0]
    assert notices[1] == "Going on from step 30 of 40."
    assert losses(run) == whole


# --- what is refused --------------------------------------------------------------------------


def test_another_recipes_run_is_not_touched(recipe_path, tmp_path):
    train(small_recipe(recipe_path), tmp_path / "run")
    before = (tmp_path / "run" / "recipe.toml").read_bytes()
    with pytest.raises(TrainingError, match=r"training.batch is 8 now and was 4"):
        train(small_recipe(recipe_path, training__batch=8), tmp_path / "run")
    assert (tmp_path / "run" / "recipe.toml").read_bytes() == before


def test_keys_that_only_look_may_change(recipe_path, tmp_path):
    train(small_recipe(recipe_path), tmp_path / "run")
    assert train(small_recipe(recipe_path, checkpoints__keep=1), tmp_path / "run").finished


def test_a_folder_of_something_else_is_not_touched(recipe_path, tmp_path):
    (tmp_path / "thesis.tex").write_text("chapter 1")
    with pytest.raises(TrainingError, match=r"holds 'thesis.tex' and no recipe.toml"):
        train(small_recipe(recipe_path), tmp_path)


def test_two_processes_do_not_train_into_one_folder(recipe_path, tmp_path):
    with (
        Run(tmp_path / "run").locked(),
        pytest.raises(TrainingError, match="Another process is at work in"),
    ):
        train(small_recipe(recipe_path), tmp_path / "run")


def test_nothing_to_go_on_from_can_be_an_error(recipe_path, tmp_path):
    with pytest.raises(TrainingError, match="There is no checkpoint in"):
        train(small_recipe(recipe_path), tmp_path / "run", must_resume=True)
    assert not (tmp_path / "run").exists()


def test_a_changed_shard_is_named_when_going_on(recipe_path, tmp_path):
    shutil.copytree(recipe_path.parent / "corpus", tmp_path / "corpus")
    recipe = small_recipe(recipe_path, corpus__folder=str(tmp_path / "corpus"))
    train(recipe, tmp_path / "run")
    shard = next((tmp_path / "corpus" / "shards").glob("*.tokens.npy"))
    content = bytearray(shard.read_bytes())
    content[-3] ^= 1
    shard.write_bytes(content)
    with pytest.raises(TextError, match=f"The shard {shard} has changed since it was made"):
        train(recipe, tmp_path / "run")
    shard.write_bytes(content[:-2])
    with pytest.raises(TextError, match=f"The shard {shard} has .* bytes and had"):
        train(recipe, tmp_path / "run")


def test_another_corpus_is_refused_when_going_on(recipe_path, tmp_path):
    train(small_recipe(recipe_path), tmp_path / "run")
    (tmp_path / "other.txt").write_text("Other words entirely.\n" * 50)
    tokenizer = Corpus.open(recipe_path.parent / "corpus").tokenizer
    build_corpus(tmp_path / "other.txt", tmp_path / "other", tokenizer=tokenizer, held_out=0.0)
    other = small_recipe(recipe_path, corpus__folder=str(tmp_path / "other"))
    with pytest.raises(TrainingError, match=r"has the digest \w{12}, and this run began with"):
        train(other, tmp_path / "run")


def test_a_prompt_that_cannot_be_read_is_refused_before_anything_runs(recipe_path, tmp_path):
    long = small_recipe(recipe_path, samples__prompts=["The", "the mole " * 16])
    with pytest.raises(ConfigError, match=r"in samples.prompts has \d+ tokens; expected 1 to 15"):
        train(long, tmp_path / "run")


# --- numbers that are none --------------------------------------------------------------------


def break_steps(monkeypatch, *broken: int) -> None:
    """Make the gradient of some steps, counted from 1, something that is no number."""
    taken, honest = [0], Learner.accumulate

    def accumulate(self, rows, scale=1.0):
        taken[0] += 1
        loss = honest(self, rows, scale)
        if taken[0] in broken:
            next(self.model.parameters()).grad[0, 0] = math.nan
        return loss

    monkeypatch.setattr(Learner, "accumulate", accumulate)


def test_a_gradient_that_is_no_number_stops_the_run_and_names_the_texts(
    recipe_path, tmp_path, monkeypatch
):
    break_steps(monkeypatch, 7)
    recipe, run = small_recipe(recipe_path), tmp_path / "run"
    with pytest.raises(TrainingError) as caught:
        train(recipe, run)
    message = str(caught.value)
    assert "Step 7 has the loss" in message and "none of it was applied" in message
    assert "prose.txt" in message and "training.skip_bad = 1" in message
    # It stands saved before the step, and goes on from there once that is allowed.
    assert max(steps_in(run / "checkpoints")) == 6
    monkeypatch.undo()
    train(recipe, run)
    train(recipe, tmp_path / "whole")
    assert losses(run) == losses(tmp_path / "whole")


def test_some_may_be_left_out(recipe_path, tmp_path, monkeypatch):
    break_steps(monkeypatch, 7, 20)
    events: list = []
    recipe = small_recipe(recipe_path, training__skip_bad=2)
    assert train(recipe, tmp_path / "run", listeners=[events.append]).finished
    assert [event.step for event in of_kind(events, Stepped) if not event.applied] == [7, 20]
    told = [event.text for event in of_kind(events, Notice)]
    assert "Left out: 1 of 2." in told[0] and "Left out: 2 of 2." in told[1]


def test_weights_that_ran_away_stop_the_run(recipe_path, tmp_path):
    recipe = small_recipe(recipe_path, optimizer__adamw_rate=1e38, training__skip_bad=3)
    with pytest.raises(TrainingError, match=r"has the loss (nan|inf)"):
        train(recipe, tmp_path / "run")


# --- disks ------------------------------------------------------------------------------------


def test_a_disk_without_room_stops_a_real_run_with_its_checkpoint_intact(recipe_path, tmp_path):
    run = tmp_path / "run"
    first = molehill_process("train", recipe_path, "--out", run, "--set", "checkpoints.every=10")
    code, _ = stopped_at(first, 10, signal.SIGINT)
    assert code == 130
    saved = max(steps_in(run / "checkpoints"))

    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    process = molehill_process("train", run, preexec_fn=no_room)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "could not be written" in said and "File too large" in said
    assert f"that of step {saved} is whole" in said
    assert "Traceback" not in said
    last = molehill_process("train", run)
    last.communicate(timeout=120)
    assert last.returncode == 0
    assert len(losses(run)) == STEPS


def test_a_folder_that_is_read_only(recipe_path):
    recipe = small_recipe(recipe_path)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o555)
        before = os.geteuid()
        if before == 0:  # who may do everything has to be somebody else to be refused
            os.seteuid(65534)
        try:
            with pytest.raises(TrainingError, match=r"run cannot be written: Permission denied"):
                train(recipe, Path(folder) / "run")
        finally:
            os.seteuid(before)
