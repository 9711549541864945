"""Edits of a crosscoder's features, against forward passes that were changed by hand at every site:
codes from a run without the edit, then each site's own part of the directions."""

from __future__ import annotations

import pytest
import torch
from tests.features.test_architectures import made
from tests.features.test_edits import CLOSE, TOKENS, added, put, scaled
from tests.trace.small_families import build

from molehill.errors import ConfigError, SiteError
from molehill.features.autoencoder import Settings
from molehill.features.edits import AblateFeature, AddFeature, ClampFeature, ScaleFeature, Splice
from molehill.features.making import make_autoencoder
from molehill.features.trained import Features
from molehill.model import generate
from molehill.trace import Add, AheadEditing, Editing, Replace, record, sweep

SITES = ("0.resid_post", "1.resid_post")


def crosscoder(reads=SITES, writes=SITES, width=12) -> Features:
    settings = Settings("topk", width * len(reads), width * len(writes), 40, k=6)
    autoencoder = make_autoencoder(settings, seed=3).double()
    autoencoder.products = torch.float64
    with torch.no_grad():
        generator = torch.Generator().manual_seed(4)
        autoencoder.b_enc.copy_(torch.rand(40, generator=generator))
        autoencoder.w_dec.copy_(torch.randn(40, width * len(writes), generator=generator))
    return Features(autoencoder, tuple(reads), tuple(writes), "cross")


def deltas(features, model, tokens, new, before=()):
    """What is to be added at each written site, from a run with the edits before."""
    sites = list(dict.fromkeys((*features.reads, *features.writes)))
    trace = record(model, tokens, sites, edits=before, logits="none")
    with torch.no_grad():
        read = torch.cat([trace[site] for site in features.reads], -1)
        old = features.autoencoder.encode(read.flatten(0, 1)).dense().view(*read.shape[:2], -1)
        whole = (new(old.clone()) - old) @ features.autoencoder.w_dec
    return dict(zip(features.writes, whole.split(12, dim=-1), strict=True))


def by_hand(features, model, tokens, new, before=()) -> list:
    return [Add(site, each) for site, each in deltas(features, model, tokens, new, before).items()]


def strongest(features, model) -> list[int]:
    trace = record(model, TOKENS, list(features.reads), logits="none")
    codes = features.encode({site: trace[site][TOKENS.mask] for site in features.reads})
    return codes.counts().topk(2).indices.tolist()


def cases(features, chosen):
    return [
        (ClampFeature(features, chosen, [3.0, 0.5]), put(chosen, [3.0, 0.5])),
        (ScaleFeature(features, chosen, -2.0), scaled(chosen, -2.0)),
        (AblateFeature(features, chosen), put(chosen, 0.0)),
        (AddFeature(features, chosen, 1.5), added(chosen, 1.5)),
    ]


@pytest.mark.parametrize("family", ["gpt2", "llama", "neox"])
@pytest.mark.parametrize(
    "features",
    [crosscoder(), crosscoder(("0.mlp.in", "1.mlp.in"), ("0.mlp.out", "1.mlp.out"))],
    ids=["streams", "mlps"],
)
def test_each_edit_changes_every_site_by_its_own_part(family, features):
    model = build(family)
    plain = record(model, TOKENS, ["final"])["final"]
    for edit, new in cases(features, strongest(features, model)):
        sites = [*features.writes, "final"]
        found = record(model, TOKENS, sites, edits=[edit])
        wanted = record(model, TOKENS, sites, edits=by_hand(features, model, TOKENS, new))
        for site in sites:
            torch.testing.assert_close(found[site][TOKENS.mask], wanted[site][TOKENS.mask], **CLOSE)
        assert not torch.allclose(found["final"], plain, atol=1e-4)
        halves = record(model, TOKENS, ["final"], edits=[edit], batch_size=1)["final"]
        torch.testing.assert_close(halves[TOKENS.mask], found["final"][TOKENS.mask], **CLOSE)


def test_places_and_texts_are_chosen_as_in_other_edits():
    model, features = build("llama"), crosscoder()
    chosen = strongest(features, model)
    edit = ClampFeature(features, chosen, 4.0, positions=[-1], texts=[0, 2])
    added_at = deltas(features, model, TOKENS, put(chosen, 4.0))
    kept = torch.zeros(TOKENS.ids.shape, dtype=torch.bool)
    kept[0, 6] = kept[2, 4] = True
    hand = [Add(site, each * kept[..., None]) for site, each in added_at.items()]
    found = record(model, TOKENS, ["final"], edits=[edit])["final"]
    wanted = record(model, TOKENS, ["final"], edits=hand)["final"]
    torch.testing.assert_close(found[TOKENS.mask], wanted[TOKENS.mask], **CLOSE)


def test_edits_after_one_another_read_what_the_last_one_left():
    model, features = build("llama"), crosscoder()
    chosen = strongest(features, model)
    earlier = [Replace("0.resid_mid", 0.25, index=[3]), ScaleFeature(features, chosen, 2.0)]
    edits = [*earlier, ClampFeature(features, chosen, 1.0)]
    first = [earlier[0], *by_hand(features, model, TOKENS, scaled(chosen, 2.0), earlier[:1])]
    hand = [*first, *by_hand(features, model, TOKENS, put(chosen, 1.0), first)]
    found = record(model, TOKENS, ["final"], edits=edits)["final"]
    wanted = record(model, TOKENS, ["final"], edits=hand)["final"]
    torch.testing.assert_close(found[TOKENS.mask], wanted[TOKENS.mask], **CLOSE)


def test_a_splice_puts_every_reconstruction_in():
    model, features = build("gpt2"), crosscoder()
    trace = record(model, TOKENS, list(SITES), logits="none")
    read = torch.cat([trace[site] for site in SITES], -1)
    with torch.no_grad():
        rebuilt = features.autoencoder(read.flatten(0, 1)).view(*read.shape).split(12, dim=-1)
    # The second site's vector is replaced whole, whatever the first one has made of it.
    found = record(model, TOKENS, list(SITES), edits=[Splice(features)], logits="none")
    torch.testing.assert_close(found[SITES[0]][TOKENS.mask], rebuilt[0][TOKENS.mask], **CLOSE)
    torch.testing.assert_close(found[SITES[1]][TOKENS.mask], rebuilt[1][TOKENS.mask], **CLOSE)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_sweep_equals_runs_of_their_own(family):
    model, features = build(family), crosscoder()
    variants = [
        [kind(features, number, *more, **where)]
        for number in strongest(features, model)
        for kind, more in ((AblateFeature, ()), (AddFeature, (2.0,)), (ClampFeature, (5.0,)))
        for where in ({}, {"positions": [1]}, {"positions": [-1], "texts": [0, 2]})
    ]
    chosen = strongest(features, model)
    variants.append([ScaleFeature(features, chosen, 2.0), ClampFeature(features, chosen, 1.0)])
    base = [Add("0.resid_mid", 0.1)]
    swept = sweep(model, TOKENS, variants, base=base)
    for number, edits in enumerate(variants):
        alone = record(
            model, TOKENS, ["final"], positions="last", edits=[*base, *edits], logits="none"
        )
        torch.testing.assert_close(swept.final[number], alone["final"], **CLOSE)


def test_what_is_generated_is_that_of_whole_passes():
    model, features = build("llama"), crosscoder()
    chosen = strongest(features, model)
    edits = [ScaleFeature(features, chosen, 3.0), ClampFeature(features, chosen[:1], 6.0)]
    prompts = TOKENS.ids[:2], TOKENS.mask[:2]
    steps = generate(model, *prompts, max_new_tokens=5, watch=AheadEditing(edits, model))
    written = torch.stack([step.ids for step in steps], dim=1)
    plain = generate(model, *prompts, max_new_tokens=5)
    assert not torch.equal(written, torch.stack([step.ids for step in plain], dim=1))
    for text in range(2):
        ids = TOKENS.ids[text][TOKENS.mask[text]].tolist()
        for token in written[text].tolist():
            whole = torch.tensor([ids])
            first = by_hand(features, model, whole, scaled(chosen, 3.0))
            hand = [*first, *by_hand(features, model, whole, put(chosen[:1], 6.0), first)]
            out = record(model, whole, [], edits=hand, logits="last")
            assert int(out["logits"][0, -1].argmax()) == token
            ids.append(token)


def test_only_what_is_written_is_changed_where_that_is_asked():
    model, features = build("llama"), crosscoder()
    late = ClampFeature(features, strongest(features, model), 6.0, during="generated")
    ids = TOKENS.ids[:1]
    steps = generate(model, ids, max_new_tokens=3, watch=AheadEditing([late], model))
    written = [int(step.ids) for step in steps]
    said = ids[0].tolist()
    for token in written:
        whole = torch.tensor([said])
        found = deltas(features, model, whole, put(list(late.numbers), 6.0))
        since = (torch.arange(len(said)) >= ids.shape[1])[None, :, None]
        hand = [Add(site, each * since) for site, each in found.items()]
        out = record(model, whole, [], edits=hand, logits="last")
        assert int(out["logits"][0, -1].argmax()) == token
        said.append(token)


def test_what_cannot_be_is_refused():
    model, features = build("llama"), crosscoder()
    edit = ClampFeature(features, 3, 1.0)
    assert str(edit) == "clamp 0.resid_post + 1.resid_post: feature 3 of cross at 1"
    with pytest.raises(SiteError, match=r"in generation watch=AheadEditing\(edits, lm.model\)"):
        Editing([edit], model.config)
    Editing([AddFeature(features, 3, 1.0)], model.config)
    wide = Features(made("topk"), SITES, ("0.mlp.act", "0.resid_post", "1.resid_post"), "wide")
    with pytest.raises(ConfigError, match="only crosscoders of sites of one width"):
        record(model, TOKENS, ["final"], edits=[AddFeature(wide, 3, 1.0)])
