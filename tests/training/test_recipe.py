"""Recipes: what is accepted, what is refused and in which words, and the way to disk and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from molehill.errors import ConfigError
from molehill.training.recipe import Recipe, read_recipe

PLAIN = """
[corpus]
folder = "texts/corpus"

[model]
preset = "notes"
size = "tiny"
n_layers = 3

[training]
context = 32
batch = 4
steps = 100
"""


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    path = tmp_path / "plain.toml"
    path.write_text(PLAIN)
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_recipe(path, overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_a_recipe_has_what_the_file_says_and_defaults_for_the_rest(plain, tmp_path):
    recipe = read_recipe(plain)
    assert (recipe.training.batch, recipe.steps, recipe.step_tokens) == (4, 100, 128)
    assert recipe.checkpoints.keep == 2
    # Paths count from the recipe, wherever the program was started.
    assert recipe.corpus.folder == str(tmp_path / "texts" / "corpus")


def test_it_comes_back_the_same_from_what_is_kept_beside_a_run(plain, tmp_path):
    recipe = read_recipe(
        plain, ["optimizer.betas=[0.9, 0.99]", "samples.prompts=['A \"mole\"\\u00e9']"]
    )
    kept = tmp_path / "elsewhere" / "recipe.toml"
    kept.parent.mkdir()
    kept.write_text(recipe.to_toml())
    assert read_recipe(kept) == recipe


def test_the_model_is_the_presets_with_the_keys_that_change_it(plain):
    config = read_recipe(plain).config(300)
    assert (config.n_layers, config.d_model, config.n_heads, config.d_mlp) == (3, 64, 2, 256)
    assert (config.d_vocab, config.n_ctx, config.norm_place) == (300, 32, "block_end")
    wide = read_recipe(plain, ["model.d_model=96", "model.preset=llama", "model.n_ctx=64"])
    config = wide.config(300)
    # Two thirds of four times 96 is 256.
    assert (config.d_head, config.d_mlp, config.n_ctx, config.norm) == (48, 256, 64, "rms")


@pytest.mark.parametrize(
    ("size", "preset", "d_vocab", "millions"),
    [("125m", "gpt2", 50257, 124.4), ("350m", "gpt2", 50257, 354.8), ("10m", "notes", 8192, 13.9)],
)
def test_sizes_are_what_they_are_called(plain, size, preset, d_vocab, millions):
    """GPT-2's sizes against the counts of its own checkpoints (context 1,024)."""
    from molehill.model.account import count_parameters

    context = 1024 if preset == "gpt2" else 256
    recipe = read_recipe(
        plain, [f"model.size={size}", f"model.preset={preset}", f"training.context={context}"]
    )
    config = recipe.model_copy(update={"model": type(recipe.model)(preset=preset, size=size)})
    total = count_parameters(config.config(d_vocab)).total
    assert total / 1e6 == pytest.approx(millions, abs=0.05)


def test_tokens_become_steps(plain):
    plain.write_text(PLAIN.replace("steps = 100", "tokens = 1000"))
    assert read_recipe(plain).steps == 8  # 128 tokens a step


def test_overrides_are_toml_values_or_words(plain):
    recipe = read_recipe(
        plain, ["optimizer.muon_rate=0.01", "model.size=1m", 'schedule.kind="cosine"']
    )
    assert recipe.optimizer.muon_rate == 0.01
    assert (recipe.model.size, recipe.schedule.kind) == ("1m", "cosine")
    assert read_recipe(plain, {"training.steps": 7}).steps == 7


def test_trackers_are_given_alone_or_as_a_list(plain):
    def use(*overrides: str) -> tuple[str, ...]:
        return read_recipe(plain, overrides).trackers.use

    assert use() == () and use("trackers.use=wandb") == ("wandb",)
    assert use("trackers.use=['wandb', 'trackio']") == ("wandb", "trackio")


def test_paths_given_on_the_command_line_count_from_there(plain, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path.parent)
    assert read_recipe(plain, ["corpus.folder=other"]).corpus.folder == str(
        tmp_path.parent / "other"
    )


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.stesp=3", "training.stesp is unknown: did you mean training.steps?"),
        ("optimizer.muonrate=1", "optimizer.muonrate is unknown: did you mean optimizer.muon_rate"),
        ("model.n_layer=3", "model.n_layer is unknown: did you mean model.n_layers?"),
        ("training.muon_rate=1", "did you mean optimizer.muon_rate?"),
        ("modle.size='1m'", "[modle] is unknown: did you mean model?"),
        ("model.d_vocab=300", "model.d_vocab is unknown: the vocabulary is the corpus's"),
        ("training.steps='x'", "training.steps is 'x': input should be a valid integer"),
        ("training.batch=0", "training.batch is 0: input should be greater than or equal to 1"),
        ("training.batch=true", "training.batch is True: input should be a valid integer"),
        ("model.size=99m", "model.size is '99m': input should be 'tiny'"),
        ("optimizer.muon_rate=-1", "muon_rate is -1.0, expected a number from 0"),
        ("training.tokens=9", "training.steps 100 and training.tokens 9: give one of the two"),
        ("training.micro_batch=3", "training.batch 4 is not a multiple of training.micro_batch 3"),
        ("schedule.warm_up=80", "schedule.warm_up 80 and schedule.decay 40 are together longer"),
        ("model.n_ctx=16", "model.n_ctx 16 is below training.context 32"),
        ("snapshots.at=[10, 101]", "snapshots.at [101] lie outside the run's 100 steps"),
        ("samples.every=10", "samples.prompts has none to go on from"),
        (
            "trackers.use=tensorbord",
            "trackers.use.0 is 'tensorbord': input should be 'tensorboard', 'trackio' or 'wandb': "
            "did you mean tensorboard?",
        ),
        ("trackers.project=''", "trackers.project is '': string should have at least 1 character"),
        ("trackers.used=wandb", "trackers.used is unknown: did you mean trackers.use?"),
        ("nonsense", "'nonsense' changes nothing: expected PART.KEY=VALUE"),
    ],
)
def test_what_is_wrong_is_named_with_its_remedy(plain, override, said):
    assert said in refused(plain, override)


def test_all_that_is_wrong_is_told_at_once(plain):
    message = refused(plain, "training.stesp=3", "model.n_layer=2")
    assert "training.steps?" in message and "model.n_layers?" in message


def test_a_model_that_cannot_be_is_refused_with_both_sizes(plain):
    with pytest.raises(ConfigError, match="d_model 64 is not a multiple of n_heads 5"):
        read_recipe(plain, ["model.n_heads=5"]).config(300)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[corpus\n", "is not TOML"),
        (b"\xff\xfe", "cannot be read"),
        (b"", "corpus is missing"),
        (b"corpus = 3", "corpus is 3, expected a table"),
        (b"[corpus]\nfolder = 2020-01-01\n[training]\nsteps = nan\n", "training.steps is"),
    ],
)
def test_files_that_are_no_recipe(tmp_path, content, said):
    path = tmp_path / "odd.toml"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_file_that_is_not_there(tmp_path):
    assert "There is no recipe" in refused(tmp_path / "none.toml")


def test_differences_are_those_that_would_make_other_weights(plain):
    def against(*overrides: str) -> list[str]:
        return read_recipe(plain, overrides).differences(read_recipe(plain))

    assert against("training.batch=8", "model.n_layers=4") == ["model.n_layers", "training.batch"]
    assert against("model.n_heads=4") == ["model.n_heads"]  # a key that only one of them gives
    looks = ("evaluation.every=7", "checkpoints.keep=9", "training.skip_bad=3", "metrics.every=2")
    looks += ("trackers.use=wandb", "trackers.name=other")
    assert against(*looks, "samples.prompts=['A']", "corpus.folder=other") == []


def test_a_recipe_cannot_be_changed(plain):
    recipe = read_recipe(plain)
    with pytest.raises(ValueError, match="frozen"):
        recipe.training.batch = 5
    assert isinstance(recipe, Recipe)
