"""sweep: every variant equals a run of its own, in every family, wherever it is changed."""

from __future__ import annotations

import pytest
import torch
from tests.trace.small_families import build

from molehill.errors import SiteError
from molehill.model import all_sites
from molehill.text import Tokens
from molehill.trace import Add, Patch, Replace, Scale, Zero, record, site_axes, sweep

CLOSE = {"rtol": 0, "atol": 1e-11}


def each_by_itself(model, tokens, variants, at, base=()):
    """Brute force: one whole run for every variant; [variant, text, at, d_model]."""
    return torch.stack(
        [
            record(model, tokens, ["final"], positions=at, edits=[*base, *edits], logits="none")[
                "final"
            ]
            for edits in variants
        ]
    )


def check(model, tokens, variants, at="last", base=(), **how):
    swept = sweep(model, tokens, variants, at=at, base=base, **how)
    brute = each_by_itself(model, tokens, variants, at, base)
    torch.testing.assert_close(swept.final, brute, **CLOSE)
    return swept


@pytest.fixture
def other(model, tokens):
    """A trace of other texts of the same lengths, to patch from."""
    ids = [[(token + 7) % 30 for token in tokens.row(text)] for text in range(len(tokens))]
    sites = [site for site in all_sites(model.config) if "key" not in site_axes(site)]
    sites = [site for site in sites if site != "logits"]
    return record(model, Tokens.of_ids(ids), sites, logits="none")


def test_every_site_patched_at_every_position_equals_a_run_of_its_own(model, tokens, other):
    variants = [
        [Patch(site, other, positions=[place])] for site in other.values for place in (0, 1, -1)
    ]
    check(model, tokens, variants, at=[[0, -1], [0, -1], [2, -1]])


def test_windows_of_layers_heads_and_entries(model, tokens, other):
    check(
        model,
        tokens,
        [
            [Patch("*.mlp.out", other, positions=[1]), Patch("*.attn.out", other, positions=[2])],
            [Zero("1.attn.mix", heads=[1, 3], positions=[0]), Scale("0.mlp.act", 0.5, index=[4])],
            [Add("0.attn.k", 0.7, heads=[0], positions=[1]), Replace("1.mlp.out", 0.1)],
            [Scale("0.attn.out", 2.0, positions=[-1], texts=[1])],
            [],
        ],
    )


def test_edits_of_the_base_belong_to_every_variant(model, tokens, other):
    noise = torch.randn(3, 1, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    base = [Add("embed", noise, positions=[1]), Scale("1.mlp.out", 1.5)]
    variants = [[Patch("0.resid_post", other, positions=[1])], [Zero("1.attn.out")]]
    swept = check(model, tokens, variants, base=base)
    alone = record(model, tokens, ["final"], positions="last", edits=base, logits="none")
    torch.testing.assert_close(swept.base, alone["final"], **CLOSE)


def test_portions_and_padding_on_the_left_change_nothing(model, tokens, other):
    variants = [
        [
            Patch(
                "*.resid_mid" if not model.config.parallel else "*.resid_post",
                other,
                positions=[place],
            )
        ]
        for place in (0, 1, 2)
    ]
    whole = check(model, tokens, variants)
    small = check(model, tokens, variants, rows_at_once=1)
    torch.testing.assert_close(whole.final, small.final, **CLOSE)
    width = tokens.ids.shape[1]
    ids, mask = torch.zeros_like(tokens.ids), torch.zeros_like(tokens.mask)
    for text in range(len(tokens)):
        row = tokens.row(text)
        ids[text, width - len(row) :] = torch.tensor(row)
        mask[text, width - len(row) :] = True
    left = sweep(model, Tokens(ids, mask), variants)
    torch.testing.assert_close(left.final, whole.final, **CLOSE)


def test_scores_are_those_of_the_model(model, tokens, other):
    if not model.config.has_head:
        pytest.skip("a model without a head has no scores")
    swept = sweep(model, tokens, [[Patch("0.mlp.out", other, positions=[0])], []])
    logits = model.unembed(swept.final)
    torch.testing.assert_close(swept.log_probs(7), logits.log_softmax(-1)[..., 7], **CLOSE)
    if model.w_head is None:
        torch.testing.assert_close(swept.logits([3, 9]), logits[..., [3, 9]], **CLOSE)
    each = torch.tensor([[1], [2], [3]])
    if model.w_head is None:
        scores = model.unembed(swept.base)[..., [3, 9]]
        torch.testing.assert_close(swept.base_logits([3, 9]), scores, **CLOSE)
    base = model.unembed(swept.base).log_softmax(-1)
    torch.testing.assert_close(swept.base_log_probs(each), base.gather(-1, each[..., None])[..., 0])


def test_a_value_can_be_learnt(model, tokens):
    value = torch.zeros(12, dtype=torch.float64, requires_grad=True)
    edits = [
        Replace("0.mlp.out", value, positions=[1], texts=[0]),
    ]
    swept = sweep(model, tokens, [edits], grad=True)
    (found,) = torch.autograd.grad(swept.final.pow(2).sum(), value)
    whole = record(
        model, tokens, ["final"], positions="last", edits=edits, logits="none", grad=True
    )
    (brute,) = torch.autograd.grad(
        whole.live["final"][:, :, :]
        .gather(1, (tokens.lengths - 1)[:, None, None].expand(-1, 1, 12))
        .pow(2)
        .sum(),
        value,
    )
    torch.testing.assert_close(found, brute, **CLOSE)


def test_only_what_can_change_is_computed():
    model = build("gpt2")
    tokens = Tokens.of_ids([[3, 1, 4, 1, 5]])
    variants = [[Scale("0.resid_post", 2.0, positions=[place])] for place in range(5)]
    swept = sweep(model, tokens, variants)
    # One token in the layer of the edit, then all from it on in the layer above.
    assert swept.rows == sum(1 + (5 - place) for place in range(5))
    assert swept.rows_of_all == 5 * 5 * 2


def test_what_a_sweep_cannot_do_is_refused(model, tokens):
    for site in ("0.attn.pattern", "1.attn.scores"):
        with pytest.raises(SiteError, match="use record"):
            sweep(model, tokens, [[Zero(site)]])
    with pytest.raises(SiteError, match="no position 9"):
        sweep(model, tokens, [[Zero("0.mlp.out", positions=[9])]])


def test_progress_is_told(model, tokens):
    told = []
    sweep(model, tokens, [[Zero("0.mlp.out")], [Zero("1.mlp.out")]], progress=told.append)
    assert sum(told) == 2
