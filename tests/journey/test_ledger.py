"""The ledger against the model itself: what the rows add up to, and what each row is."""

from __future__ import annotations

import pytest
import torch
from tests.journey.tiny import BLOCKS, random_ids, tiny

from molehill.errors import SiteError
from molehill.journey.capture import capture
from molehill.journey.ledger import Ledger, between
from molehill.journey.parts import parts_until
from molehill.journey.paths import points_of

WORDS = [(0, (11,)), (1, (6,)), (1, (2, 3, 4))]


def _ledgers(name, at, dtype=torch.float64):
    model = tiny(name, dtype=dtype)
    texts = random_ids((12, 7))
    held = capture(model, texts.ids, texts.mask, WORDS)
    return [
        Ledger(
            at, one.at(at), parts_until(model, one, at), tuple("abcdefghijkl"[: one.length]), model
        )
        for one in held
    ]


def _last_point(name):
    return points_of(tiny(name).config)[-1]


class _Keep:
    """The plainest watch there is: it keeps every value."""

    def __init__(self):
        self.values = {}

    def begin(self, positions, real):
        pass

    def wants(self, site):
        return True

    def __call__(self, site, x):
        self.values[site] = x
        return x


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_add_up_to_the_models_own_vector_at_every_point(name):
    for at in points_of(tiny(name).config):
        for ledger in _ledgers(name, at):
            assert ledger.closing_error.relative < 1e-12, (at, ledger.closing_error)


@pytest.mark.parametrize("name", BLOCKS)
def test_rows_add_up_in_float32(name):
    for ledger in _ledgers(name, _last_point(name), torch.float32):
        assert ledger.closing_error.relative < 1e-5


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("axis", ["kind", "component", "layer", "head", "source", "neuron"])
def test_sums_by_any_axis_still_add_up(name, axis):
    for ledger in _ledgers(name, _last_point(name)):
        sums = ledger.by(axis)
        assert len(set(sums.labels)) == len(sums.labels) == len(sums.vectors)
        torch.testing.assert_close(sums.vectors.sum(0), ledger.vector, atol=1e-10, rtol=0)


def test_the_last_vector_is_what_the_model_computes_without_anybody_watching():
    model = tiny("llama")
    texts = random_ids((12, 7))
    held = capture(model, texts.ids, texts.mask, [(0, (11,)), (1, (6,))])
    final = model(texts.ids, mask=texts.mask, logits="last").final
    for row, one in enumerate(held):
        torch.testing.assert_close(one.at("final"), final[row, 0])


@pytest.mark.parametrize("name", ["gpt2", "llama", "neox"])
def test_rows_before_any_norm_are_columns_and_weighted_values(name):
    """In pre-norm models a row at resid_post is just what the weights and the pattern say."""
    model = tiny(name)
    ids = random_ids((12,)).ids
    watch = _Keep()
    model(ids, watch=watch)
    held = capture(model, ids, None, [(0, (9,))])[0]
    parts = parts_until(model, held, "2.resid_post")
    config, block = model.config, model.blocks[1]
    heads = next(part for part in parts if part.kind == "head" and part.layer == 1)
    neurons = next(part for part in parts if part.kind == "neuron" and part.layer == 1)
    for head, source in [(0, 0), (3, 5), (2, 9)]:
        group = head // (config.n_heads // config.kv_heads)
        value = watch.values["1.attn.v"][0, source, group]
        columns = block.attn.w_out[:, head * config.d_head : (head + 1) * config.d_head]
        expected = watch.values["1.attn.pattern"][0, head, 9, source] * (columns @ value)
        torch.testing.assert_close(heads.row((head, source)), expected)
    for neuron in (0, 17):
        expected = watch.values["1.mlp.act"][0, 9, neuron] * block.mlp.w_out[:, neuron]
        torch.testing.assert_close(neurons.row((neuron,)), expected)
    torch.testing.assert_close(heads.by_head(), watch.values["1.attn.result"][0, 9])


@pytest.mark.parametrize("name", BLOCKS)
def test_lengths_and_projections_are_those_of_the_rows_themselves(name):
    direction = torch.randn(32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    for ledger in _ledgers(name, _last_point(name)):
        for part in ledger.parts:
            norms, toward = part.norms(), part.toward(direction)
            places = {"head": [(0, 0), (3, 4)], "neuron": [(0,), (23,)]}.get(part.kind, [()])
            for place in places:
                row = part.row(place)
                torch.testing.assert_close(norms[place], row.norm(), atol=1e-9, rtol=1e-9)
                torch.testing.assert_close(toward[place], row @ direction, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", BLOCKS)
def test_top_rows_are_the_largest_of_all_rows(name):
    ledger = _ledgers(name, _last_point(name))[0]
    direction = torch.nn.functional.normalize(ledger.vector, dim=0)
    everything = torch.cat([part.toward(direction).abs().flatten() for part in ledger.parts])
    best = ledger.top(7, toward=direction)
    expected = everything.sort(descending=True).values[:7].tolist()
    assert [abs(row.toward) for row in best] == pytest.approx(expected)
    by_length = torch.cat([part.norms().flatten() for part in ledger.parts])
    expected = by_length.sort(descending=True).values[:7].tolist()
    assert [row.norm for row in ledger.top(7)] == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name in BLOCKS if name != "bert"])
def test_shares_of_a_score_add_up_to_the_models_logit(name):
    model = tiny(name)
    texts = random_ids((12, 7))
    logits = model(texts.ids, mask=texts.mask, logits="all").logits
    at = _last_point(name)
    for (text, positions), one in zip(
        WORDS[:2], capture(model, texts.ids, texts.mask, WORDS[:2]), strict=True
    ):
        ledger = Ledger(
            "final", one.at(at), parts_until(model, one, at), tuple("abcdefghijkl"), model
        )
        for token in (0, 41):
            reading = ledger.logit(token)
            expected = float(logits[text, positions[0], token])
            assert reading.measured == pytest.approx(expected, abs=1e-10)
            assert reading.total == pytest.approx(expected, abs=1e-10)
            assert sum(reading.by("head").values()) == pytest.approx(expected, abs=1e-10)


def test_rows_since_a_point_leave_the_sum_as_it_is():
    for name in BLOCKS:
        whole = _ledgers(name, _last_point(name))[2]
        for start in ("embed", "0.resid_pre", "1.resid_post"):
            since = whole.between(start)
            assert since.parts[0].kind == "start"
            assert since.closing_error.relative < 1e-12
        assert len(whole.between("1.resid_post")) < len(whole) / 2


@pytest.mark.parametrize("name", BLOCKS)
def test_a_difference_of_two_journeys_adds_up(name):
    a, b, _ = _ledgers(name, _last_point(name))
    difference = between(a, b)
    assert difference.closing_error.relative < 1e-11
    torch.testing.assert_close(difference.vector, b.vector - a.vector)
    direction = torch.nn.functional.normalize(difference.vector, dim=0)
    shares = difference.toward(direction).by("source")
    assert sum(shares.values()) == pytest.approx(float(difference.vector.norm()))


def test_a_journey_minus_itself_is_nothing():
    a = _ledgers("gpt2", "final")[0]
    sums = between(a, a).by("component")
    assert float(sums.vectors.abs().max()) < 1e-12


def test_what_is_held_grows_with_the_weights_not_with_the_rows():
    """Rows share the weights' memory: no part copies a matrix."""
    model = tiny("llama")
    held = capture(model, random_ids((12,)).ids, None, [(0, (11,))])[0]
    for part in parts_until(model, held, "2.resid_post"):
        if part.kind == "neuron":
            assert part.writer.data_ptr() == model.blocks[part.layer].mlp.w_out.data_ptr()
        if part.kind == "head":
            assert part.writer.data_ptr() == model.blocks[part.layer].attn.w_out.data_ptr()


def test_what_does_not_exist_is_named():
    model = tiny("neox")
    held = capture(model, random_ids((12,)).ids, None, [(0, (11,))])[0]
    with pytest.raises(SiteError, match="adds attention and MLP together"):
        parts_until(model, held, "1.resid_mid")
    with pytest.raises(SiteError, match="no point of the journey"):
        parts_until(model, held, "3.resid_post")
    with pytest.raises(SiteError, match="12 tokens and no positions"):
        capture(model, random_ids((12,)).ids, None, [(0, (12,))])
    ledger = _ledgers("gpt2", "2.resid_post")[0]
    with pytest.raises(SiteError, match="read from the vector at 'final'"):
        ledger.logit(3)
    with pytest.raises(SiteError, match="shape"):
        ledger.toward(torch.zeros(5))
