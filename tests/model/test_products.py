"""Products by every route against torch's own, and the choice between them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from molehill.errors import ConfigError
from molehill.model import products
from molehill.model.products import Products

ROUTES = ["torch", "onednn", "repacked", "weight_first", "widened", "packed"]


@pytest.fixture
def no_grad():
    with torch.no_grad():
        yield


pytestmark = pytest.mark.usefixtures("no_grad")


def by(route):
    return Products(route, packs=route == "packed")


def operands(dtype=torch.float32, rows=(2, 5), width=96, out=80, bias=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(*rows, width, generator=generator)
    weight = torch.randn(out, width, generator=generator)
    b = torch.randn(out, generator=generator) if bias else None
    return [None if part is None else part.to(dtype) for part in (x, weight, b)]


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [(1,), (1, 1), (3, 7), (2, 3, 4)])
def test_every_route_gives_torchs_own_product(route, bias, rows):
    x, weight, b = operands(rows=rows, bias=bias)
    truth = F.linear(x.double(), weight.double(), None if b is None else b.double())
    made = by(route)(x, weight, b)
    assert made.shape == truth.shape
    assert made.dtype == torch.float32
    assert made.is_contiguous()
    assert (made - truth).abs().max() < 2e-4


@pytest.mark.parametrize("route", ROUTES)
def test_a_bfloat16_product_is_at_least_as_near_the_truth_as_torchs_own(route):
    x, weight, b = operands(torch.bfloat16, rows=(4, 32), width=576)
    truth = F.linear(x.double(), weight.double(), b.double())
    worst = (F.linear(x, weight, b) - truth).abs().max()
    made = by(route)(x, weight, b)
    assert made.dtype == torch.bfloat16
    assert (made - truth).abs().max() <= worst * 1.01


def test_a_large_weight_is_widened_part_by_part(monkeypatch):
    x, weight, b = operands(torch.bfloat16, out=80)
    whole = Products("widened")(x, weight, b)
    monkeypatch.setattr(products, "_WIDE_PART", 96 * 30)
    assert torch.allclose(Products("widened")(x, weight, b).float(), whole.float(), rtol=1e-2)


@pytest.mark.parametrize("route", [*ROUTES, "auto"])
def test_non_contiguous_operands(route):
    x, weight, b = operands()
    x, weight = x.transpose(0, 1), weight.t().contiguous().t()
    assert torch.allclose(Products(route)(x, weight, b), F.linear(x, weight, b), atol=2e-4)


def test_a_weight_that_cannot_be_cut_into_one_part_per_thread(monkeypatch):
    x, weight, b = operands(out=81)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert torch.equal(Products("weight_first")(x, weight, b), F.linear(x, weight, b))
    assert Products("weight_first")(x, weight[:80], b[:80]).shape == (2, 5, 80)


@pytest.mark.parametrize("route", [*ROUTES, "auto"])
def test_gradients_are_torchs_own(route):
    def gradients(product):
        x, weight, b = (part.requires_grad_() for part in operands())
        with torch.enable_grad():
            product(x, weight, b).square().sum().backward()
        return x.grad, weight.grad, b.grad

    for ours, theirs in zip(gradients(Products(route)), gradients(F.linear), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("wanted", [0, 1, 2])
def test_a_gradient_of_any_one_operand_is_enough(wanted):
    parts = operands()
    parts[wanted].requires_grad_()
    with torch.enable_grad():
        assert Products("onednn")(*parts).requires_grad


@pytest.mark.parametrize("route", ROUTES)
def test_dtypes_that_a_route_does_not_have_go_torchs_way(route):
    x, weight, b = operands(torch.float64)
    assert torch.equal(Products(route)(x, weight, b), F.linear(x, weight, b))


class Clock:
    """Time passes only while a product is made, as long as its route is said to take."""

    def __init__(self, monkeypatch, **seconds):
        self.now = 0.0
        self.taken = []
        monkeypatch.setattr(products.time, "perf_counter", lambda: self.now)
        monkeypatch.setattr(Products, "_by", lambda _, route: self._timed(route, seconds))

    def _timed(self, route, seconds):
        def timed(x, weight, bias):
            self.taken.append(route)
            # The first time takes longer, as it does in earnest.
            self.now += seconds[route] * (50 if self.taken.count(route) == 1 else 1)
            return F.linear(x, weight, bias)

        return timed


LARGE = {"rows": (2, 40), "width": 96, "out": 96}
KIND = {"dtype": "float32", "out": 96, "in": 96, "rows": 64}


def test_the_first_products_go_every_route_in_turn_and_the_rest_the_fastest(monkeypatch):
    clock = Clock(monkeypatch, torch=1.0, onednn=0.8, repacked=0.9, weight_first=0.9, widened=0.1)
    multiply = Products("auto")
    x, weight, b = operands(**LARGE)
    for _ in range(35):
        multiply(x, weight, b)
    in_turn = ["torch", "onednn", "repacked", "weight_first"] * 8
    assert clock.taken == in_turn + ["onednn"] * 3, "float32 is not widened"
    assert multiply.report() == [KIND | {"route": "onednn"}]
    multiply(x[:, :33], weight, b)  # 66 rows: the same kind as 80
    assert len(multiply.routes) == 1
    for _ in range(32):
        multiply(x[:, :20], weight, b)  # 40 rows: another kind
    assert multiply.report() == [KIND | {"rows": 16, "route": "onednn"}, KIND | {"route": "onednn"}]


def test_a_tie_stays_with_torch(monkeypatch):
    Clock(monkeypatch, torch=1.0, onednn=0.97, repacked=0.96, weight_first=0.94, widened=0.1)
    multiply = Products("auto")
    for _ in range(32):
        multiply(*operands(**LARGE))
    assert multiply.report() == [KIND | {"route": "torch"}]


def test_a_hopeless_route_is_given_up_early(monkeypatch):
    monkeypatch.setattr(products, "_possible", lambda route, _: route in ("torch", "widened"))
    clock = Clock(monkeypatch, torch=1.0, widened=10.0)
    multiply = Products("auto")
    for _ in range(12):
        multiply(*operands(torch.bfloat16, **LARGE))
    assert clock.taken == ["torch", "widened"] * 4 + ["torch"] * 4
    assert [row["route"] for row in multiply.report()] == ["torch"]


def test_one_slow_try_gives_no_route_up(monkeypatch):
    """What else runs on the machine may make any single product slow."""
    monkeypatch.setattr(products, "_possible", lambda route, _: route in ("torch", "onednn"))
    clock = Clock(monkeypatch, torch=1.0, onednn=0.5)
    multiply = Products("auto")
    for call in range(20):
        now = clock.now
        multiply(*operands(**LARGE))
        if call == 3:  # the first of oneDNN's that counts
            multiply._trials[next(iter(multiply._trials))]["onednn"][-1] = clock.now - now + 40.0
    assert [row["route"] for row in multiply.report()] == ["onednn"]


def test_small_products_are_not_worth_a_try(monkeypatch):
    clock = Clock(monkeypatch, torch=1.0, onednn=0.1, widened=0.1)
    multiply = Products("auto")
    multiply(*operands())
    assert (clock.taken, multiply.routes, multiply._trials) == ([], {}, {})


def test_a_fixed_route_measures_nothing(monkeypatch):
    clock = Clock(monkeypatch, torch=1.0, onednn=1.0, widened=0.1)
    multiply = Products("onednn")
    for _ in range(9):
        multiply(*operands())
    assert clock.taken == ["onednn"] * 9
    assert [row["route"] for row in multiply.report()] == ["onednn"]


def test_the_environment_chooses_where_the_caller_does_not(monkeypatch):
    monkeypatch.setenv("MOLEHILL_LINEAR", "torch")
    assert Products().choice == "torch"
    assert Products("auto").choice == "auto"
    monkeypatch.setenv("MOLEHILL_LINEAR", "fastest")
    with pytest.raises(
        ConfigError,
        match=r"'fastest', expected auto, torch, onednn, repacked, weight_first, widened, packed",
    ):
        Products()


def test_no_onednn_is_said_and_done_without(monkeypatch):
    monkeypatch.setattr(products, "_has_onednn", lambda: False)
    with pytest.raises(ConfigError, match="without oneDNN"):
        Products("onednn")
    x, weight, b = operands(rows=(2, 64), width=96, out=96)
    assert torch.allclose(Products("auto")(x, weight, b), F.linear(x, weight, b), atol=2e-4)
