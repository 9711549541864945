"""Loading by name, path or hub name; writing text; the fingerprint."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
import torch

import molehill
from molehill.checkpoints import save_checkpoint
from molehill.errors import CheckpointError, ConfigError, MissingExtraError, TextError
from molehill.language_model import Continuation, LanguageModel
from molehill.model import ModelConfig, Transformer
from molehill.text import Tokenizer

TEXT = "The mole dug a tunnel under the garden; the spy was a mole, too."
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train([TEXT] * 5, d_vocab=290)


@pytest.fixture(scope="module")
def lm(tokenizer) -> LanguageModel:
    config = ModelConfig(2, 24, 4, 6, 40, tokenizer.d_vocab, 32, gated=True, positions="rotary")
    model = Transformer(config).initialise(2).requires_grad_(False)
    model.w_token.mul_(40)  # so that random weights prefer some tokens to others
    return LanguageModel(model, tokenizer, "tiny")


@pytest.fixture
def folder(lm, tmp_path) -> Path:
    save_checkpoint(lm.model, lm.tokenizer, tmp_path / "model", family="molehill")
    return tmp_path / "model"


# --- loading ----------------------------------------------------------------------------------


def test_a_saved_model_comes_back_with_its_words_its_numbers_and_its_name(folder, lm):
    again = molehill.load(folder)
    assert again.fingerprint == lm.fingerprint
    assert again.name == str(folder)
    assert again.report.family == "molehill"
    assert again.decode(again.encode(TEXT).ids[0]) == TEXT
    assert again.generate(TEXT[:20]) == lm.generate(TEXT[:20])


def test_a_short_name_is_looked_up(folder, monkeypatch):
    monkeypatch.setenv("MOLEHILL_MODELS", str(folder.parent))
    assert molehill.load("model").name == "model"


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", torch.float16])
def test_the_dtype_is_what_was_asked_for(folder, dtype):
    wanted = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert molehill.load(folder, dtype=dtype).model.dtype == wanted


def test_a_dtype_that_is_none_is_told(folder):
    with pytest.raises(ConfigError, match=r"int8.*float32, bfloat16"):
        molehill.load(folder, dtype="int8")


# --- the hub ----------------------------------------------------------------------------------


class Hub:
    """What stands in for `snapshot_download`: a cache, and a network that may be down."""

    def __init__(self, folder: Path, *, cached: bool = False, up: bool = True) -> None:
        self.folder, self.cached, self.up = folder, cached, up
        self.calls: list[dict] = []

    def __call__(self, name: str, **how) -> str:
        self.calls.append({"name": name, **how})
        if how.get("local_files_only"):
            if self.cached:
                return str(self.folder)
            raise huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
        if not self.up:
            raise ConnectionError("Name or service not known")
        return str(self.folder)

    @property
    def asked_the_network(self) -> int:
        return sum(not call.get("local_files_only") for call in self.calls)


def test_a_hub_name_is_not_fetched_unasked(folder, monkeypatch):
    hub = Hub(folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    with pytest.raises(CheckpointError, match="nothing is downloaded unasked"):
        molehill.load("moles/tiny")
    assert hub.asked_the_network == 0


def test_a_hub_name_with_a_revision_is_fetched_at_that_revision_and_without_code(
    folder, lm, monkeypatch
):
    hub = Hub(folder)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert molehill.load("moles/tiny", revision=COMMIT).fingerprint == lm.fingerprint
    assert hub.asked_the_network == 1
    for call in hub.calls:
        assert (call["name"], call["revision"]) == ("moles/tiny", COMMIT)
        assert not any(pattern.endswith((".py", ".bin", "*")) for pattern in call["allow_patterns"])


def test_what_is_in_the_cache_needs_no_network(folder, monkeypatch):
    hub = Hub(folder, cached=True, up=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    assert molehill.load("moles/tiny").name == "moles/tiny"
    assert hub.asked_the_network == 0


def test_without_a_network_the_message_comes_after_one_try(folder, monkeypatch):
    hub = Hub(folder, up=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    with pytest.raises(CheckpointError, match="only local models can be used"):
        molehill.load("moles/tiny", download=True)
    assert hub.asked_the_network == 1


def test_the_real_library_offline_says_so(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="only local models can be used"):
        molehill.load("moles/no-such-model-here", revision=COMMIT)


def test_without_the_library_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingExtraError, match=r"molehill\[hub\]"):
        molehill.load("moles/tiny", revision=COMMIT)


def test_a_local_model_has_no_revision(folder):
    with pytest.raises(CheckpointError, match="no revision"):
        molehill.load(folder, revision=COMMIT)


@pytest.mark.parametrize("name", ["../moles/tiny", "a/b/c", "moles/", "no-such-name"])
def test_what_is_no_hub_name_is_not_asked_for(name, monkeypatch):
    hub = Hub(Path())
    monkeypatch.setattr(huggingface_hub, "snapshot_download", hub)
    with pytest.raises(CheckpointError, match="no file, folder or model"):
        molehill.load(name, download=True)
    assert hub.calls == []


# --- words ------------------------------------------------------------------------------------


def test_the_stream_is_the_whole_text_in_pieces(lm):
    prompts = ["The mole dug", "the spy", "a"]
    whole = lm.generate(prompts, max_new_tokens=9)
    pieces = list(lm.stream(prompts, max_new_tokens=9))
    for text, said in enumerate(whole):
        assert isinstance(said, Continuation)
        assert "".join(piece[text] for piece in pieces) == said.text
        assert len(said.ids) == len(said.logprobs) <= 9
        # Another shape of product may round otherwise; what is said is the same.
        alone = lm.generate(prompts[text], max_new_tokens=9)[0]
        assert said.logprobs == pytest.approx(alone.logprobs, rel=1e-4)
        assert replace(said, logprobs=()) == replace(alone, logprobs=())


def test_a_stop_string_ends_a_text_and_is_not_part_of_it(lm):
    whole = lm.generate("The mole", max_new_tokens=12)[0].text
    assert len(whole) > 8
    stop = whole[4:7]
    first = whole.find(stop)
    said = lm.generate("The mole", max_new_tokens=12, stop=[stop, "never said"])[0]
    assert (said.text, said.ending) == (whole[:first], "stop")
    # Not one character of it is shown and then taken back.
    assert "".join(p[0] for p in lm.stream("The mole", max_new_tokens=12, stop=stop)) == said.text


def test_the_beginning_of_a_stop_string_that_is_none_is_shown_in_the_end(lm):
    whole = lm.generate("The mole", max_new_tokens=6)[0]
    almost = whole.text[-2:] + "\N{SNOWMAN}"
    said = lm.generate("The mole", max_new_tokens=6, stop=[almost])[0]
    assert said == whole


def test_a_text_that_has_stopped_waits_for_the_others(lm):
    one, two = (lm.generate(prompt, max_new_tokens=10)[0].text for prompt in ("The", "spy mole"))
    stop = next(one[i : i + 2] for i in range(len(one) - 1) if one[i : i + 2] not in two)
    said = lm.generate(["The", "spy mole"], max_new_tokens=10, stop=[stop])
    assert said[0].text == one[: one.find(stop)]
    assert (said[1].text, said[1].ending) == (two, "length")


def test_an_empty_stop_string_and_an_overlong_prompt_are_refused(lm):
    with pytest.raises(TextError, match="stop string is empty"):
        lm.generate("The mole", stop=[""])
    with pytest.raises(TextError, match="limit is 32"):
        lm.encode("mole " * 40)
    assert lm.encode("mole " * 40, truncate=True).ids.shape == (1, 32)


def test_without_a_tokenizer_text_is_refused_and_ids_are_not(lm):
    silent = replace(lm, tokenizer=None)
    for call in (lambda: silent.encode("a"), lambda: silent.generate("a")):
        with pytest.raises(TextError, match="no tokenizer"):
            call()
    assert silent.model(torch.tensor([[1, 2]])).logits is not None


# --- the fingerprint --------------------------------------------------------------------------


def test_the_fingerprint_tells_weights_configurations_and_dtypes_apart(lm):
    def fingerprint(model: Transformer) -> str:
        return LanguageModel(model, None, "x").fingerprint

    def copy(**changes) -> Transformer:
        model = Transformer(replace(lm.config, **changes)).requires_grad_(False)
        model.load_state_dict(lm.model.state_dict())
        return model

    same, other, theta, half = copy(), copy(), copy(rope_theta=99.0), copy().half()
    other.blocks[1].mlp.w_out[3, 4] += 1e-3
    swapped = copy()
    swapped.blocks[0], swapped.blocks[1] = swapped.blocks[1], swapped.blocks[0]
    assert fingerprint(same) == lm.fingerprint
    seen = [lm.fingerprint, *map(fingerprint, (other, theta, half, swapped))]
    assert len(set(seen)) == 5
    assert all(len(mark) == 64 for mark in seen)


def test_the_fingerprint_reads_types_that_numpy_lacks_and_parameters_in_any_layout(lm):
    model = Transformer(lm.config, dtype=torch.bfloat16).initialise().requires_grad_(False)
    before = LanguageModel(model, None, "x").fingerprint
    model.w_token = torch.nn.Parameter(model.w_token.T.contiguous().T, requires_grad=False)
    assert not model.w_token.is_contiguous()
    assert LanguageModel(model, None, "x").fingerprint == before


# --- the real thing ---------------------------------------------------------------------------


def test_smollm2_goes_on_as_it_does_in_transformers(smollm2_gguf):
    """What transformers 5.23 says from the same file, greedily, in float32."""
    said = molehill.load(smollm2_gguf).generate(
        "The mole dug a tunnel under the garden and", max_new_tokens=12
    )[0]
    assert said.text == " it's now a tunnel that's 10 feet long"
    assert said.ending == "length"


def test_what_a_model_of_whole_words_writes_joins_to_its_prompt():
    lm = molehill.load("village")
    prompts = ["the mole", "the mole dissolves now.", "The"]
    for prompt, written in zip(prompts, lm.generate(prompts, max_new_tokens=8), strict=True):
        ids = [*lm.encode(prompt).row(0), *written.ids]
        assert prompt + written.text == lm.tokenizer.decode(ids, skip_special=True)
        assert written.text.startswith(" ")
    stopped = lm.generate("the mole", max_new_tokens=8, stop=" now")[0]
    assert (stopped.text, stopped.ending) == (" dissolves", "stop")
