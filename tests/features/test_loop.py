"""A run of autoencoders: it learns, and goes on to the bit where it stopped."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from tests.trace.small_families import build
from tests.trace.test_store import corpus, word_tokenizer

from molehill.errors import CheckpointError, ConfigError, SiteError, TextError, TrainingError
from molehill.features.activations import Live, Place, Stored
from molehill.features.loop import FeaturesStepped, source_of, train_features
from molehill.features.recipe import FeaturesRecipe, default_penalty, read_features_recipe
from molehill.features.trained import load_features
from molehill.language_model import LanguageModel
from molehill.trace import Store

RECIPE = """
[model]
name = "tiny"
[data]
texts = "texts.txt"
context = 12
chunk = 60
together = 4
[training]
rows = 480
batch = 16
products = "float32"
[checkpoints]
every = 7
[[autoencoder]]
name = "one"
reads = "0.resid_post"
features = 24
k = 3
dead_after = 100
[[autoencoder]]
name = "two"
architecture = "batchtopk"
reads = "0.mlp.in"
writes = "0.mlp.out"
features = 20
k = 2
skip = true
"""


@pytest.fixture(scope="module")
def lm(tmp_path_factory) -> LanguageModel:
    tokenizer = word_tokenizer(tmp_path_factory.mktemp("tokenizer"))
    return LanguageModel(build("llama", torch.float32), tokenizer, "tiny")


@pytest.fixture
def recipe(tmp_path) -> FeaturesRecipe:
    (tmp_path / "texts.txt").write_text("\n\n".join(text or "mole" for text in corpus(40)))
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return read_features_recipe(tmp_path / "recipe.toml")


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {
        f"{path.stem}.{name}": value
        for path in sorted(folder.glob("*.safetensors"))
        for name, value in load_features(path).autoencoder.state_dict().items()
    }


def test_it_learns_and_says_how(tmp_path, lm, recipe):
    told = []
    outcome = train_features(recipe, tmp_path / "run", listeners=[told.append], lm=lm)
    assert outcome.finished and outcome.steps == 30
    assert [path.name for path in outcome.files] == ["one.safetensors", "two.safetensors"]
    steps = [event for event in told if isinstance(event, FeaturesStepped)]
    assert [event.step for event in steps] == list(range(1, 31))
    for name in ("one", "two"):
        errors = [event.learnt[name].terms["error"] for event in steps]
        assert sum(errors[-5:]) < 0.8 * sum(errors[:5])
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines if line["event"] == "featuresstepped"] == [10, 20, 30]
    found = load_features(outcome.files[1])
    assert found.transcodes and found.writes == ("0.mlp.out",)
    assert found.fingerprint == lm.fingerprint
    assert found.provenance["data"]["skip_first"] == 1


def test_what_came_out_reads_the_models_own_vectors(tmp_path, lm, recipe):
    outcome = train_features(recipe, tmp_path / "run", lm=lm)
    found = load_features(outcome.files[0])
    source = source_of(recipe, lm)
    batch, _ = next(iter(source.batches(48, Place())))
    x = batch["0.resid_post"]
    with torch.no_grad():
        rest = (x - found.autoencoder(x)).square().sum()
    assert rest < 0.7 * (x - x.mean(0)).square().sum()


def test_a_crosscoder_learns_several_sites_each_with_a_scale_of_its_own(tmp_path, lm, recipe):
    sites = ("0.resid_pre", "1.resid_post")
    part = recipe.autoencoder[0].model_copy(update={"reads": sites, "name": "across"})
    outcome = train_features(
        recipe.model_copy(update={"autoencoder": (part,)}), tmp_path / "run", lm=lm
    )
    found = load_features(outcome.files[0])
    assert found.reads == found.writes == sites
    assert len(found.provenance["scales"]) == 2
    batch, _ = next(
        iter(source_of(recipe.model_copy(update={"autoencoder": (part,)}), lm).batches(48, Place()))
    )
    x = found.rows(batch, sites)
    with torch.no_grad():
        near = found.autoencoder(x)
    width = lm.config.d_model
    for columns in (slice(0, width), slice(width, None)):  # no site is drowned by the other
        rest = (x - near)[:, columns].square().sum()
        assert rest < 0.85 * (x - x.mean(0))[:, columns].square().sum()


@pytest.mark.parametrize("stop", [3, 7, 20])
def test_a_stopped_run_goes_on_to_the_bit(tmp_path, lm, recipe, stop):
    train_features(recipe, tmp_path / "whole", lm=lm)

    def interrupt(event):
        if isinstance(event, FeaturesStepped) and event.step == stop:
            os.kill(os.getpid(), signal.SIGINT)

    first = train_features(recipe, tmp_path / "broken", listeners=[interrupt], lm=lm)
    assert (first.step, first.stopped_by) == (stop, signal.SIGINT)
    assert not first.files
    told = []
    second = train_features(
        recipe, tmp_path / "broken", listeners=[told.append], lm=lm, must_resume=True
    )
    assert told[0].notices == (f"Going on from step {stop} of 30.",)
    assert second.finished
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert torch.equal(ours[name], value), name


def test_a_store_gives_the_same_rows_and_goes_on_as_well(tmp_path, lm, recipe):
    texts = [text or "mole" for text in corpus(40)]
    sites = list(recipe.sites)
    Store.create(tmp_path / "store", lm, sites, texts, context=12, shard_tokens=60, skip_first=1)
    data = recipe.data.model_copy(update={"texts": (), "store": str(tmp_path / "store")})
    stored = recipe.model_copy(update={"data": data})
    train_features(stored, tmp_path / "whole")

    def interrupt(event):
        if isinstance(event, FeaturesStepped) and event.step == 11:
            os.kill(os.getpid(), signal.SIGTERM)

    first = train_features(stored, tmp_path / "broken", listeners=[interrupt])
    assert first.stopped_by == signal.SIGTERM
    train_features(stored, tmp_path / "broken")
    for name, value in weights(tmp_path / "whole").items():
        assert torch.equal(weights(tmp_path / "broken")[name], value), name


@pytest.mark.parametrize("kind", ["live", "store"])
def test_every_row_of_an_epoch_comes_once_but_for_the_left_out(tmp_path, lm, kind):
    texts = [text for text in corpus(25) if text]
    site = "0.resid_post"
    Store.create(tmp_path / "s", lm, [site], texts, context=12, shard_tokens=60, skip_first=1)
    store = Store.open(tmp_path / "s")
    all_rows = next(store.batches(10_000)).values[site]
    if kind == "live":
        source = Live(lm, [site], lambda: texts, context=12, chunk=60, together=32, skip_first=1)
    else:
        source = Stored(store)
    seen, place = [], Place()
    for batch, place in source.batches(8, Place()):
        if place.epoch == 1:
            break
        seen.append(batch[site])
    together = torch.cat(seen)
    assert len(together) + place.left_out == len(all_rows)
    distances = torch.cdist(together.double(), all_rows.double())
    nearest, which = distances.min(1)
    assert nearest.max() < 1e-4, "a row that the texts do not have"
    spread = torch.bincount(which, minlength=len(all_rows))
    twins = (torch.cdist(all_rows.double(), all_rows.double()) < 1e-4).sum(1)
    assert bool((spread <= twins).all()), "a row came twice"


def test_what_may_not_be_done_is_said_in_a_line(tmp_path, lm, recipe):
    folder = tmp_path / "run"
    with pytest.raises(TrainingError, match=r"no checkpoint in .* to go on from"):
        train_features(recipe, folder, lm=lm, must_resume=True)
    train_features(recipe, folder, lm=lm)
    part = recipe.training.model_copy(update={"rows": 640})
    with pytest.raises(TrainingError, match=r"training\.rows is 640 now and was 480"):
        train_features(recipe.model_copy(update={"training": part}), folder, lm=lm)
    other = LanguageModel(build("llama", torch.float32), lm.tokenizer, "other")
    with torch.no_grad():
        other.model.w_token[0, 0] += 1
    with pytest.raises(TrainingError, match="read a model of fingerprint"):
        train_features(recipe, folder, lm=other)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(TrainingError, match=r"holds 'letter\.txt' and no recipe\.toml"):
        train_features(recipe, tmp_path / "full", lm=lm)
    data = recipe.data.model_copy(update={"skip_first": 11, "chunk": 12})
    with pytest.raises(TextError, match="no 16 rows to make a batch of"):
        train_features(recipe.model_copy(update={"data": data}), tmp_path / "few", lm=lm)


def test_other_texts_are_noticed(tmp_path, lm, recipe):
    def interrupt(event):
        if isinstance(event, FeaturesStepped) and event.step == 20:
            os.kill(os.getpid(), signal.SIGINT)

    train_features(recipe, tmp_path / "run", listeners=[interrupt], lm=lm)
    path = tmp_path / "texts.txt"
    path.write_text("spy " + path.read_text())
    with pytest.raises(CheckpointError, match="texts have changed"):
        train_features(recipe, tmp_path / "run", lm=lm)


def test_sites_that_are_no_rows_of_numbers_are_refused(lm):
    with pytest.raises(ConfigError, match=r"0\.attn\.q has \d+ by \d+ numbers"):
        Live(lm, ["0.attn.q"], lambda: [], context=12).widths  # noqa: B018
    with pytest.raises(SiteError):
        Live(lm, ["9.resid_post"], lambda: [], context=12).widths  # noqa: B018


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["training.rowz=3"], r"training\.rowz is unknown: did you mean rows\?"),
        (["autoencoder.architecture=topkk"], r"did you mean topk\?"),
        (["autoencoder.name=same"], "two autoencoders are called 'same'"),
        (["data.store=here"], "give one of the two"),
        (["training.batch=0"], r"training\.batch is 0"),
        (["training.warm_up=29", "training.decay=20"], "longer than the run's 30 steps"),
        (["colour.red=1"], r"\[colour\] is unknown"),
    ],
)
def test_a_recipes_mistakes_are_told_with_what_would_be_right(tmp_path, recipe, changes, message):
    with pytest.raises(ConfigError, match=message):
        read_features_recipe(tmp_path / "recipe.toml", changes)


def test_a_recipe_written_out_reads_as_itself(tmp_path, recipe):
    (tmp_path / "again.toml").write_text(recipe.to_toml())
    again = read_features_recipe(tmp_path / "again.toml")
    assert again == recipe and not again.differences(recipe)
    assert recipe.autoencoder[0].reads == ("0.resid_post",)
    assert Path(recipe.data.texts[0]).is_absolute()


def test_the_rate_falls_with_roots_of_features_and_steps(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    part = read_features_recipe(tmp_path / "recipe.toml").autoencoder[0]
    part = part.model_copy(update={"rate": None, "features": 2048})
    widths = dict.fromkeys((*part.reads, *part.writes), 12)
    rates = [part.job(widths, steps).rate for steps in (1, 128, 1024, 16_000, 10**6)]
    assert rates == pytest.approx([3e-3, 3e-3, 1.5e-3, 6e-4, 6e-4])
    wide = part.model_copy(update={"features": 4 * 2048})
    assert wide.job(widths, 1024).rate == pytest.approx(7.5e-4)
    assert part.model_copy(update={"rate": 0.1}).job(widths, 512).rate == 0.1


def test_a_penalty_that_nobody_gave_is_the_architectures(tmp_path):
    (tmp_path / "recipe.toml").write_text(RECIPE)
    changes = ["autoencoder.architecture=jumprelu"]
    free = read_features_recipe(tmp_path / "recipe.toml", changes).autoencoder[0]
    widths = dict.fromkeys((*free.reads, *free.writes), 12)
    assert free.job(widths, 9).settings.penalty == default_penalty("jumprelu")
    assert default_penalty("gated") > default_penalty("jumprelu")
    given = read_features_recipe(tmp_path / "recipe.toml", [*changes, "autoencoder.penalty=0"])
    assert given.autoencoder[0].job(widths, 9).settings.penalty == 0
