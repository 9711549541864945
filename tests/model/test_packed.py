"""Packed copies of weights: the same products, and never those of a weight that was."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from tests.trace.small_families import build

from molehill.model import generate, products
from molehill.model.packed import Packs
from molehill.model.products import Products

pytestmark = pytest.mark.skipif(
    not products._possible("packed", torch.bfloat16),
    reason="this processor has no bfloat16 products of oneDNN's",
)


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def operands(out=160, width=96, rows=3):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 1, width, generator=generator).bfloat16()
    return x, torch.nn.Parameter(torch.randn(out, width, generator=generator).bfloat16())


@pytest.mark.parametrize("width", [96, 90, 91])
@pytest.mark.parametrize("rows", [1, 8, 40])
def test_a_packed_product_is_onednns_own_to_the_bit(rows, width):
    x, weight = operands(rows=rows, width=width)
    multiply = Products("packed", packs=True)
    for _ in range(2):
        assert torch.equal(multiply(x, weight), Products("onednn")(x, weight))
    assert len(multiply.packs) == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda weight: weight.mul_(2),
        lambda weight: weight[3].zero_(),
        lambda weight: setattr(weight, "data", weight.data * 2),
    ],
    ids=["in place", "a row", "replaced"],
)
def test_a_changed_weight_is_packed_anew(write):
    x, weight = operands()
    multiply = Products("packed", packs=True)
    before = multiply(x, weight)
    assert weight in multiply.packs
    write(weight)
    assert weight not in multiply.packs
    assert torch.equal(multiply(x, weight), F.linear(x, weight))
    assert not torch.equal(multiply(x, weight), before)


@pytest.mark.parametrize("width", [96, 90, 91])
def test_what_torch_does_not_count_is_seen_by_a_refresh(width):
    _, weight = operands(width=width)
    packs = Packs()
    packs.of(weight)
    packs.refresh()
    assert weight in packs
    weight.data[5, 7] += 1
    packs.refresh()
    assert weight not in packs
    packs.of(weight)
    weight.data[[0, 1]] = weight.data[[1, 0]].clone()
    packs.refresh()
    assert len(packs) == 0


def test_weights_of_an_inference_mode_are_packed_too():
    with torch.inference_mode():
        x, weight = operands()
        assert torch.equal(Products("packed", packs=True)(x, weight), F.linear(x, weight))


def test_copies_are_neither_copied_nor_kept_where_another_route_won(monkeypatch):
    x, weight = operands(out=576, width=576, rows=1)
    assert len(copy.deepcopy(Products("packed", packs=True)).packs) == 0
    monkeypatch.setattr(products, "_possible", lambda route, _: route in seconds)
    seconds = {"torch": 1.0, "onednn": 0.5, "packed": 0.9}
    clock = [0.0]
    monkeypatch.setattr(products.time, "perf_counter", lambda: clock[0])
    by = Products._by

    def timed(self, route):
        def work(*parts):
            clock[0] += seconds[route]
            return by(self, route)(*parts)

        return work

    monkeypatch.setattr(Products, "_by", timed)
    multiply = Products("auto", packs=True)
    for _ in range(40):
        multiply(x, weight)
    assert [row["route"] for row in multiply.report()] == ["onednn"]
    assert len(multiply.packs) == 0


def test_wide_copies_of_a_weight_are_never_packed():
    x, weight = operands(out=576, width=576, rows=1)
    multiply = Products("auto", packs=True)
    multiply._choose((torch.bfloat16, 576, 576, 1), "widened")
    for _ in range(40):
        multiply(x, weight)
    assert len(multiply.packs) == 0


def test_without_leave_nothing_is_packed():
    x, weight = operands(out=576, width=576, rows=1)
    multiply = Products("auto")
    for _ in range(40):
        multiply(x, weight)
    assert multiply.packs is None
    assert multiply.report()[0]["route"] != "packed"


@pytest.mark.parametrize("batch", [1, 3])
def test_a_model_goes_on_as_it_is_now(batch):
    """Packed or not the same tokens, before and after its weights were changed behind torch."""
    model = build("llama", torch.bfloat16)
    ids = torch.arange(5 * batch).reshape(batch, 5) % model.config.d_vocab

    def told(route):
        model.step_products = Products(route, packs=True) if route != "kept" else kept
        return torch.stack([step.ids for step in generate(model, ids, max_new_tokens=9)])

    first = told("packed")
    kept = model.step_products
    assert len(kept.packs) > 0
    assert torch.equal(first, told("onednn"))
    model.w_token.data.copy_(model.w_token.data.flip(0))
    changed = told("kept")
    assert torch.equal(changed, told("onednn"))
    assert not torch.equal(changed, first)
