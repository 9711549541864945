"""A ledger with other rows for what stands at a site: the same vector, the same later rows."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import BLOCKS, random_ids, tiny

from molehill.errors import SiteError
from molehill.journey.capture import capture
from molehill.journey.ledger import Ledger, between
from molehill.journey.parts import OtherRows, parts_until
from molehill.journey.paths import points_of

WORDS = [(0, (11,)), (1, (2, 3, 4))]
PIECES = tuple("abcdefghijkl")
N = 9


def captured(name, dtype=torch.float64):
    model = tiny(name, dtype=dtype)
    texts = random_ids((12, 7))
    held = capture(model, texts.ids, texts.mask, WORDS, also=("mlp.out", "attn.out"))
    return model, held


def rows_for(held, site, seed=0) -> OtherRows:
    """Random directions by random values, a bias, and what is left."""
    generator = torch.Generator().manual_seed(seed)
    there = held.values[site]
    directions = torch.randn(N, 32, generator=generator, dtype=there.dtype)
    values = torch.rand(held.carriers, N, generator=generator, dtype=there.dtype)
    bias = torch.randn(32, generator=generator, dtype=there.dtype).expand_as(there)
    error = there - values @ directions - bias
    numbers = torch.arange(N) * 7 + seed
    return OtherRows(site, "made", numbers, values, directions, {"bias": bias, "error": error})


def ledger_of(model, held, at, rows=None):
    parts = parts_until(model, held, at, rows)
    return Ledger(at, held.at(at), parts, PIECES[: held.length], model)


def sites_of(model):
    points = [point for point in points_of(model.config) if point not in ("embed", "final")]
    return [*points, "1.resid_pre", "1.mlp.out", "1.attn.out"]


@pytest.mark.parametrize("name", BLOCKS)
def test_the_total_stays_whatever_is_shown_otherwise(name):
    model, helds = captured(name)
    at = points_of(model.config)[-1]
    for held in helds:
        plain = ledger_of(model, held, at)
        for site in sites_of(model):
            shown = ledger_of(model, held, at, rows_for(held, site))
            assert shown.closing_error.relative < 1e-12, site
            assert {part.kind for part in shown.parts} >= {"feature", "error"}
            heads = sum(part.kind == "head" for part in shown.parts)
            layers = model.config.n_layers
            later = {"1.attn.out": layers - 1, "1.mlp.out": layers}.get(site)
            assert later is None or heads == later
        assert plain.closing_error.relative < 1e-12


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma", "notes"])
def test_rows_of_a_layers_mlp_are_all_that_is_replaced(name):
    model, (held, _) = captured(name)
    at = points_of(model.config)[-1]
    plain, shown = (
        ledger_of(model, held, at, rows) for rows in (None, rows_for(held, "1.mlp.out"))
    )
    before, after = plain.by("component"), shown.by("component")
    for label, vector in zip(before.labels, before.vectors, strict=True):
        if label not in ("1 MLP", "1 MLP bias", "1 bias of the norm after MLP"):
            same = after.vectors[after.labels.index(label)]
            torch.testing.assert_close(same, vector, rtol=0, atol=1e-12)
    mine = [label for label in after.labels if "made" in label]
    assert mine == ["features of made", "1 MLP bias of made", "error of made"]


def test_features_are_named_ranked_and_added_up():
    model, (held, _) = captured("llama")
    rows = rows_for(held, "1.resid_post")
    ledger = ledger_of(model, held, "1.resid_post", rows)
    by = ledger.by("feature")
    assert by.labels[:N] == tuple(f"feature {number}" for number in rows.numbers.tolist())
    torch.testing.assert_close(by.vectors[:N], rows.values.T * rows.directions)
    top = ledger.top(3, kind="feature")
    lengths = rows.values[0] * rows.directions.norm(dim=1)
    assert [row.feature for row in top] == rows.numbers[lengths.topk(3).indices].tolist()
    assert top[0].label == f"feature {top[0].feature}"
    unit = ledger.vector / ledger.vector.norm()
    reading = ledger.toward(unit)
    assert reading.total == pytest.approx(float(ledger.vector.norm()))
    assert set(reading.by("kind")) == {"features", "biases", "reconstruction error"}
    assert set(reading.by("source")) == {"features", "biases", "reconstruction error"}


@pytest.mark.parametrize("name", ["gpt2", "gemma"])
def test_a_words_score_is_shared_out_among_features(name):
    model, (held, _) = captured(name)
    ledger = ledger_of(model, held, "final", rows_for(held, "1.resid_post"))
    assert ledger.logit(5).closing_error < 1e-10


def test_a_difference_has_the_features_of_either_side():
    model, _ = captured("gpt2")
    texts = random_ids((12, 12))
    first, second = capture(model, texts.ids, texts.mask, [(0, (11,)), (1, (9,))])
    at = "1.resid_post"
    a, b = rows_for(first, at), rows_for(second, at)
    numbers = torch.tensor([0, 7, 14, 21, 28, 100, 101, 102, 103])  # four shared, five not
    shared = torch.randn(200, 32, dtype=torch.float64)
    made = []
    for rows, held, own in ((a, first, a.numbers), (b, second, numbers)):
        directions = shared[own]
        error = held.values[at] - rows.values @ directions - rows.rest["bias"]
        rest = {"bias": rows.rest["bias"], "error": error}
        made.append(OtherRows(at, "made", own, rows.values, directions, rest))
    ledgers = [ledger_of(model, h, at, r) for h, r in zip((first, second), made, strict=True)]
    difference = between(*ledgers)
    assert difference.closing_error.relative < 1e-12
    sums = difference.by("feature")
    found = dict(zip(sums.labels, sums.vectors, strict=True))
    for number in {*a.numbers.tolist(), *numbers.tolist()}:
        wanted = torch.zeros(32, dtype=torch.float64)
        for sign, rows in ((-1, made[0]), (1, made[1])):
            place = (rows.numbers == number).nonzero().flatten()
            wanted += sign * (rows.values[0, place, None] * rows.directions[place]).sum(0)
        torch.testing.assert_close(found[f"feature {number}"], wanted)


def test_rows_that_come_too_late_or_stand_nowhere_are_refused():
    model, (held, _) = captured("gpt2")
    rows = rows_for(held, "2.resid_post")
    with pytest.raises(SiteError, match=r"no rows at '2.resid_post' to be shown as made"):
        ledger_of(model, held, "1.resid_post", rows)
    with pytest.raises(SiteError, match=r"no rows at '2.mlp.out'"):
        ledger_of(model, held, "1.resid_post", rows_for(held, "2.mlp.out"))
    elsewhere = OtherRows("1.mlp.act", "made", rows.numbers, rows.values, rows.directions, {})
    with pytest.raises(SiteError, match=r"is no point of the journey"):
        ledger_of(model, held, "final", elsewhere)
