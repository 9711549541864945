"""Edits of features, against the same done by hand: encode, exchange, put back."""

from __future__ import annotations

import pytest
import torch
from tests.features.test_architectures import made
from tests.trace.small_families import build

from molehill.errors import ConfigError, SiteError
from molehill.features.edits import AblateFeature, AddFeature, ClampFeature, ScaleFeature, Splice
from molehill.features.trained import Features
from molehill.model import generate
from molehill.text import Tokens
from molehill.trace import Editing, Replace, record, save_edits, sweep

CLOSE = {"rtol": 0, "atol": 1e-10}
TOKENS = Tokens.of_ids([[3, 1, 4, 1, 5, 9, 2], [6, 5, 3], [5, 8, 9, 7, 9]])


def autoencoder_at(site="0.resid_post", architecture="topk") -> Features:
    return Features(made(architecture), (site,), (site,), "made")


def transcoder_at(layer=1) -> Features:
    return Features(
        made("topk", centred=False), (f"{layer}.mlp.in",), (f"{layer}.mlp.out",), "trans"
    )


def by_hand(features, new, positions=None, model=None):
    """The value that the edit should leave at the written site, from a run without it."""
    sites = list(dict.fromkeys((*features.reads, *features.writes)))
    trace = record(model, TOKENS, sites, logits="none")
    with torch.no_grad():
        read = trace[features.reads[0]]
        written = trace[features.writes[0]]
        old = features.autoencoder.encode(read.flatten(0, 1)).dense().view(*read.shape[:2], -1)
        changed = new(old.clone())
        made_new = written + (changed - old) @ features.autoencoder.w_dec
    if positions is not None:
        kept = torch.zeros(written.shape[:2], dtype=torch.bool)
        kept[:, positions] = True
        made_new = torch.where(kept[..., None], made_new, written)
    return Replace(features.writes[0], made_new)


def strongest(features, model) -> list[int]:
    """Two features that are active somewhere, and one that may be not."""
    read = record(model, TOKENS, list(features.reads), logits="none")[features.reads[0]]
    codes = features.encode({features.reads[0]: read[TOKENS.mask]})
    first, second = codes.counts().topk(2).indices.tolist()
    return [first, second, int(codes.counts().argmin())]


def put(chosen, values):
    def new(old):
        old[..., chosen] = torch.as_tensor(values, dtype=old.dtype)
        return old

    return new


def scaled(chosen, factor):
    def new(old):
        old[..., chosen] *= factor
        return old

    return new


def added(chosen, value):
    def new(old):
        old[..., chosen] += value
        return old

    return new


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox", "notes"])
@pytest.mark.parametrize("features", [autoencoder_at(), transcoder_at()], ids=["sae", "trans"])
def test_each_edit_equals_the_exchange_by_hand(family, features):
    model = build(family)
    chosen = strongest(features, model)
    cases = [
        (ClampFeature(features, chosen, [3.0, 0.5, 2.0]), put(chosen, [3.0, 0.5, 2.0])),
        (ScaleFeature(features, chosen, -2.0), scaled(chosen, -2.0)),
        (AblateFeature(features, chosen[0]), put(chosen[:1], 0.0)),
        (AddFeature(features, chosen, 1.5), added(chosen, 1.5)),
    ]
    plain = record(model, TOKENS, ["final"])
    for edit, new in cases:
        found = record(model, TOKENS, ["final"], edits=[edit])
        wanted = record(model, TOKENS, ["final"], edits=[by_hand(features, new, model=model)])
        torch.testing.assert_close(found["final"], wanted["final"], **CLOSE)
        assert not torch.allclose(found["final"], plain["final"], atol=1e-4)


def test_positions_and_texts_of_a_batch_are_left_alone():
    model, features = build("llama"), transcoder_at()
    chosen = strongest(features, model)[0]
    edit = ClampFeature(features, chosen, 4.0, positions=[1])
    found = record(model, TOKENS, ["final"], edits=[edit])
    hand = by_hand(features, put([chosen], 4.0), [1], model)
    wanted = record(model, TOKENS, ["final"], edits=[hand])
    torch.testing.assert_close(found["final"], wanted["final"], **CLOSE)
    in_batches = record(model, TOKENS, ["final"], edits=[edit], batch_size=1)
    torch.testing.assert_close(
        in_batches["final"][TOKENS.mask], found["final"][TOKENS.mask], **CLOSE
    )
    only = record(model, TOKENS, ["final"], edits=[ClampFeature(features, chosen, 4.0, texts=[1])])
    plain = record(model, TOKENS, ["final"])
    torch.testing.assert_close(only["final"][0], plain["final"][0], **CLOSE)
    assert not torch.allclose(only["final"][1, :3], plain["final"][1, :3], atol=1e-4)


def test_the_error_stays_and_a_splice_takes_it_away():
    model, features = build("gpt2"), autoencoder_at()
    site = features.reads[0]
    x = record(model, TOKENS, [site], logits="none")[site].flatten(0, 1)
    spliced = record(model, TOKENS, [site], edits=[Splice(features)], logits="none")[site]
    ablated = record(
        model, TOKENS, [site], edits=[AblateFeature(features, range(40))], logits="none"
    )[site]
    real = TOKENS.mask.flatten()
    with torch.no_grad():
        rebuilt = features.autoencoder(x)
        rest = x - rebuilt + features.autoencoder.b_dec
    torch.testing.assert_close(spliced.flatten(0, 1)[real], rebuilt[real], **CLOSE)
    torch.testing.assert_close(ablated.flatten(0, 1)[real], rest[real], **CLOSE)


def test_a_transcoder_is_spliced_where_it_writes():
    model, features = build("llama"), transcoder_at()
    read, write = features.reads[0], features.writes[0]
    x = record(model, TOKENS, [read], logits="none")[read].flatten(0, 1)
    spliced = record(model, TOKENS, [write], edits=[Splice(features)], logits="none")[write]
    real = TOKENS.mask.flatten()
    with torch.no_grad():
        torch.testing.assert_close(
            spliced.flatten(0, 1)[real], features.autoencoder(x)[real], **CLOSE
        )


@pytest.mark.parametrize("family", ["gpt2", "llama", "notes"])
def test_a_sweep_of_features_equals_runs_of_their_own(family):
    model = build(family)
    variants = [
        [AblateFeature(features, number, **where)]
        for features in (autoencoder_at(), transcoder_at(0), transcoder_at(1))
        for number in strongest(features, model)
        for where in ({}, {"positions": [1]}, {"positions": [-1], "texts": [0, 2]})
    ]
    both = [AddFeature(autoencoder_at("0.resid_mid"), 3, 2.0), Splice(transcoder_at(1))]
    variants.append(both)
    swept = sweep(model, TOKENS, variants)
    for number, edits in enumerate(variants):
        alone = record(model, TOKENS, ["final"], positions="last", edits=edits, logits="none")
        torch.testing.assert_close(swept.final[number], alone["final"], **CLOSE)


@pytest.mark.parametrize("features", [autoencoder_at(), transcoder_at()], ids=["sae", "trans"])
def test_what_is_generated_is_that_of_whole_passes(features):
    model = build("llama")
    prompt = TOKENS.ids[:1]
    edit = ClampFeature(features, strongest(features, model)[:2], 6.0)
    editing = Editing([edit], model.config)
    steps = generate(model, prompt, max_new_tokens=5, watch=editing)
    written = [int(step.ids) for step in steps]
    ids = prompt[0].tolist()
    for token in written:
        whole = record(model, torch.tensor([ids]), [], edits=[edit], logits="last")
        assert int(whole["logits"][0, -1].argmax()) == token
        ids.append(token)
    late = ClampFeature(features, strongest(features, model)[:2], 6.0, during="generated")
    after = generate(model, prompt, max_new_tokens=2, watch=Editing([late], model.config))
    plain = generate(model, prompt, max_new_tokens=1)
    assert int(next(after).ids) == int(next(plain).ids)


def test_edits_print_compare_and_are_not_kept_in_files(tmp_path):
    features = autoencoder_at()
    edit = ClampFeature(features, [3, 1], [2.0, 0.5], positions=[-1])
    said = "clamp 0.resid_post: features 3, 1 of made at 2, 0.5, position -1"
    assert str(edit) == said
    assert str(AddFeature(features, 3, 2.0)) == "add 0.resid_post: feature 3 of made plus 2"
    assert str(Splice(features)) == "splice 0.resid_post: made"
    assert repr(edit).startswith("ClampFeature(Features 'made'")
    assert edit == ClampFeature(autoencoder_at(), (3, 1), (2.0, 0.5), positions=[-1])
    other = Features(made("topk", seed=5), features.reads, features.writes, "made")
    assert edit != ClampFeature(other, (3, 1), (2.0, 0.5), positions=[-1])
    assert edit != ClampFeature(features, (3, 1), (2.0, 0.6), positions=[-1])
    with pytest.raises(SiteError, match="ClampFeature cannot be kept in a file of edits"):
        save_edits(tmp_path / "edits.safetensors", [edit])


def test_what_cannot_be_is_refused():
    features = autoencoder_at()
    with pytest.raises(ConfigError, match="There is no feature 40: made has features 0 to 39"):
        AblateFeature(features, 40)
    with pytest.raises(
        ConfigError, match=r"There is no features? -1, 41: made has features 0 to 39"
    ):
        AblateFeature(features, [-1, 3, 41])
    with pytest.raises(ConfigError, match="Feature 3 is named twice"):
        AblateFeature(features, [3, 1, 3])
    with pytest.raises(ConfigError, match="An edit names no feature: made has"):
        AblateFeature(features, [])
    with pytest.raises(ConfigError, match="has 2 features and value has 3 numbers"):
        ClampFeature(features, [1, 2], [1.0, 2.0, 3.0])
    with pytest.raises(ConfigError, match="leave heads and index away"):
        AblateFeature(features, 1, index=[2])
    backwards = Features(made("topk", centred=False), ("1.mlp.out",), ("0.mlp.out",), "back")
    with pytest.raises(SiteError, match=r"needs the value at '1.mlp.out', which is no site before"):
        record(build("llama"), TOKENS, ["final"], edits=[AblateFeature(backwards, 1)])
    far = Features(made("topk", centred=False), ("0.mlp.in",), ("1.mlp.out",), "far")
    record(build("llama"), TOKENS, ["final"], edits=[AblateFeature(far, 1)])
    with pytest.raises(SiteError, match=r"in a sweep '0.mlp.in' must be in the layer of"):
        sweep(build("llama"), TOKENS, [[AblateFeature(far, 1)]])
