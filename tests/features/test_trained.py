"""Features in a file and back."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.features.test_architectures import made
from tests.trace.small_families import build

import molehill
from molehill.errors import CheckpointError, ConfigError
from molehill.features.autoencoder import Settings
from molehill.features.making import ARCHITECTURES, make_autoencoder
from molehill.features.trained import Features, load_features, save_features
from molehill.language_model import LanguageModel
from molehill.trace import record


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_file_gives_back_the_same_features(tmp_path, name):
    autoencoder = made(name).float()
    autoencoder.products = torch.float32
    features = Features(autoencoder, ("0.resid_post",), ("0.resid_post",), "one", "m", "abc")
    save_features(features, tmp_path / "one.safetensors")
    found = load_features(tmp_path / "one.safetensors")
    assert (found.settings, found.reads, found.name) == (features.settings, features.reads, "one")
    for key, value in autoencoder.state_dict().items():
        assert torch.equal(found.autoencoder.state_dict()[key], value)
    x = torch.randn(5, 12)
    with torch.no_grad():
        assert torch.equal(found.autoencoder(x), autoencoder(x))


def test_codes_of_a_trace_are_those_of_its_rows():
    lm = LanguageModel(build("llama", torch.float32), None, "tiny")
    width = lm.config.d_model
    trace = record(lm, torch.tensor([[1, 2, 3], [3, 2, 1]]), ["0.resid_post", "1.resid_post"])

    sites = ("0.resid_post", "1.resid_post")
    autoencoder = make_autoencoder(Settings("topk", 2 * width, 2 * width, 50, k=3))
    features = Features(autoencoder, sites, sites, fingerprint=lm.fingerprint)
    features.check(lm)
    codes = features.encode(trace)
    rows = torch.cat([trace[site].reshape(6, width) for site in sites], dim=1)
    with torch.no_grad():
        assert torch.equal(codes.dense(), autoencoder.encode(rows).dense())
    assert codes.rows == 6


def test_features_of_another_model_are_refused():
    lm = LanguageModel(build("llama", torch.float32), None, "tiny")
    features = Features(made("topk"), ("a",), ("a",), "one", "other", "0" * 64)
    with pytest.raises(ConfigError, match="one was trained on other in a dtype that is not known"):
        features.check(lm)


def test_features_of_the_rounded_model_are_the_models(lm_pair):
    exact, rounded = lm_pair
    trained = Features(made("topk"), ("a",), ("a",), "one", "m", rounded.fingerprint)
    trained.check(exact)
    trained.check(rounded)
    told = {"data": {"model_dtype": "float32"}}
    plain = Features(made("topk"), ("a",), ("a",), "one", "m", exact.fingerprint, told)
    with pytest.raises(ConfigError) as refused:
        plain.check(rounded)
    assert str(refused.value) == (
        f"one was trained on m in float32 ({exact.fingerprint[:12]}), and tiny in bfloat16 is "
        f"{rounded.fingerprint[:12]}: the same weights in another dtype have another fingerprint; "
        "load the model in float32, of which all are known."
    )


@pytest.fixture
def lm_pair() -> tuple[LanguageModel, LanguageModel]:
    """One model in float32 and in bfloat16."""
    exact = LanguageModel(build("llama", torch.float32), None, "tiny")
    rounded = copy.deepcopy(exact.model).to(torch.bfloat16)
    return exact, LanguageModel(rounded, None, "tiny")


def test_damaged_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "one.safetensors"
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_features(path)
    features = Features(made("topk").float(), ("a",), ("a",))
    with torch.no_grad():
        features.autoencoder.b_dec[0] = torch.nan
    save_features(features, path)
    with pytest.raises(CheckpointError, match="not finite in b_dec"):
        load_features(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="damaged"):
        load_features(path)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("lexicon-4", "lexicon"),
        ("village-1", "village"),
        *((f"village-mlp-{layer}", "village") for layer in range(3)),
    ],
)
def test_what_ships_belongs_to_the_model_that_ships_and_explains_it(name, model):
    features, lm = load_features(name), molehill.load(model)
    features.check(lm)
    text = {"lexicon": "The mole dug a tunnel under the lawn.", "village": "Leo Rosner plays"}
    trace = record(lm, lm.encode(text[model]), sorted({*features.reads, *features.writes}))
    with torch.no_grad():
        x, y = (features.rows(trace, sites)[1:] for sites in (features.reads, features.writes))
        rest = (y - features.autoencoder(x)).square().sum() / (y - y.mean(0)).square().sum()
    assert rest < 0.35
    lengths = features.autoencoder.w_dec.norm(dim=1)
    torch.testing.assert_close(lengths, torch.ones_like(lengths), rtol=0, atol=2e-3)


def test_features_are_kept_in_fewer_bits_and_read_as_float32(tmp_path):
    features = Features(made("jumprelu").float(), ("a",), ("a",))
    save_features(features, tmp_path / "half.safetensors", torch.bfloat16)
    found = load_features(tmp_path / "half.safetensors").autoencoder
    assert found.w_enc.dtype == torch.float32
    assert torch.equal(found.w_enc, features.autoencoder.w_enc.bfloat16().float())


def test_a_file_goes_before_the_features_that_ship_under_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_features(Features(made("topk").float(), ("a",), ("a",), "mine"), "lexicon-4")
    assert load_features("lexicon-4").name == "mine"
    with pytest.raises(CheckpointError, match="there is no such file"):
        load_features("lexicon-5")
