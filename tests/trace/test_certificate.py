"""Certificates: healthy models of every family pass, and each kind of fault fails its own check."""

from __future__ import annotations

import json

import pytest
import torch
from tests.trace.small_families import FAMILIES, build

from molehill.language_model import LanguageModel
from molehill.model import ModelConfig, Transformer, transformer
from molehill.model.cache import KVCache
from molehill.text import Tokenizer, Tokens
from molehill.trace import Certificate, certify, record

NAMES = [
    "parts = whole",
    "heads = attention",
    "neurons = MLP",
    "batched",
    "padded",
    "cached",
    "plain attention",
    "float64",
    "transformers",
]


def found(certificate):
    return {check.name: check for check in certificate.checks}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_healthy_models_of_every_family_pass(family, dtype):
    certificate = certify(build(family, dtype), peer=False)
    checks = found(certificate)
    assert certificate.passed and list(checks) == NAMES
    bidirectional = not FAMILIES[family].get("causal", True)
    assert (checks["cached"].passed is None) == bidirectional
    assert (checks["float64"].passed is None) == (dtype == torch.float64)
    assert checks["transformers"].passed is None
    assert all(check.passed for check in certificate.checks if check.worst is not None)
    assert certificate.tokens == 48 and certificate.dtype == str(dtype).removeprefix("torch.")


def test_a_model_that_transformers_knows_is_compared_with_it():
    pytest.importorskip("transformers")
    certificate = certify(build("llama", torch.float32))
    check = found(certificate)["transformers"]
    assert check.passed and check.worst < 1e-5
    assert "the best word at 48 of 48 positions" in check.what
    other = build("llama", torch.float32)
    odd = certify(LanguageModel(other, None, "odd"), Tokens.of_ids([[1, 2, 3]]))
    assert odd.tokens == 3 and odd.model == "odd"


def test_a_model_that_transformers_does_not_know_says_why():
    check = found(certify(build("notes", torch.float32)))["transformers"]
    assert check.passed is None and check.what.startswith("not checked: ")


def failing(model, **more):
    certificate = certify(model, peer=False, **more)
    assert not certificate.passed
    return [check.name for check in certificate.checks if check.passed is False]


def test_something_that_is_added_unseen_breaks_the_sum(monkeypatch):
    forward = transformer.Block.forward
    monkeypatch.setattr(transformer.Block, "forward", lambda *a: forward(*a) + 0.01)
    assert failing(build("llama", torch.float32)) == ["parts = whole"]


def test_a_head_that_is_not_shown_breaks_the_heads(monkeypatch):
    whole = transformer.Attention.forward
    monkeypatch.setattr(transformer.Attention, "forward", lambda *a: whole(*a) * 1.01)
    assert failing(build("llama", torch.float32)) == ["heads = attention"]


def test_a_neuron_that_is_not_shown_breaks_the_neurons(monkeypatch):
    whole = transformer.MLP.forward
    monkeypatch.setattr(transformer.MLP, "forward", lambda *a: whole(*a) * 1.01)
    assert failing(build("llama", torch.float32)) == ["neurons = MLP"]


def test_a_cache_that_forgets_breaks_the_cached_run(monkeypatch):
    whole = KVCache.extend

    def forgets(self, layer, slots, keys, values):
        keys, values = whole(self, layer, slots, keys, values)
        if slots.start:
            values = values * 0.9
        return keys, values

    monkeypatch.setattr(KVCache, "extend", forgets)
    assert failing(build("llama", torch.float32)) == ["cached"]


def test_padding_that_is_seen_breaks_the_padded_run():
    model = build("llama", torch.float32)
    whole = model.forward

    def sees_padding(ids, *, mask=None, **how):
        return whole(ids, mask=None, **how)

    model.forward = sees_padding
    assert "padded" in failing(model)


def test_weights_that_are_no_numbers_pass_nothing():
    model = build("llama", torch.float32)
    with torch.no_grad():
        model.blocks[0].mlp.w_in[0, 0] = torch.nan
    assert len(failing(model)) == 8


def test_texts_are_read_with_the_models_own_tokenizer():
    tokenizer = Tokenizer.train(["the mole dug a tunnel"] * 3, d_vocab=270)
    config = {"d_vocab": 270, "n_ctx": 40}
    model = build("gpt2", torch.float32, **config)
    lm = LanguageModel(model, tokenizer, "tiny")
    certificate = certify(lm, peer=False)
    # Six texts, of which the long ones are cut to the model's 40 tokens.
    assert certificate.passed and 100 < certificate.tokens <= 240
    one = certify(lm, ["the mole"], peer=False)
    assert one.passed and one.tokens < 10


def test_a_certificate_goes_along_as_plain_values(tokens):
    model = build("llama", torch.float32)
    certificate = certify(model, tokens, peer=False)
    values = json.loads(json.dumps(certificate.to_dict()))
    assert values["passed"] is True
    assert Certificate.from_dict(values) == certificate
    trace = record(model, tokens, ["final"], certificate=certificate.to_dict())
    assert trace.provenance.certificate["fingerprint"] == trace.provenance.fingerprint


def test_a_certificate_can_be_read_by_people(tokens):
    certificate = certify(build("llama", torch.float32), tokens, peer=False)
    lines = certificate.to_text().splitlines()
    assert lines[0] == "a transformer in float32 on cpu: passed"
    assert lines[1].startswith("  parts = whole      ok      ")
    assert lines[9] == f"  {'transformers':17}  {'-':6}  {'':16}  not checked: not asked for"
    assert lines[10].startswith("15 tokens, ")
    broken = Certificate.from_dict(
        {
            **certificate.to_dict(),
            "checks": [{**certificate.to_dict()["checks"][0], "passed": False, "worst": 0.5}],
        }
    )
    assert broken.to_text().splitlines()[0].endswith("FAILED")
    assert "5.0e-01 of 1e-04" in broken.to_text().splitlines()[1]


def test_progress_is_told_after_every_check(tokens):
    told = []
    certify(build("minilm", torch.float32), tokens, peer=False, progress=told.append)
    assert told == [1] * 9


def test_a_model_with_a_single_position_is_checked_too():
    config = ModelConfig(1, 4, 1, 4, 4, 5, 1)
    model = Transformer(config).initialise(0)
    assert certify(model, peer=False).passed


def test_real_models_pass(smollm2_gguf, minilm_folder):
    import molehill

    for path, words in ((smollm2_gguf, True), (minilm_folder, False)):
        certificate = certify(molehill.load(path), ["The mole dug.", "mole"], peer=False)
        assert certificate.passed, certificate.to_text()
        assert ("the best word" in found(certificate)["float64"].what) == words
