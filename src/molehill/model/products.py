"""The matrix product behind every linear map of the model, by the fastest route that gives the
same answer.

On one processor torch's own product wins, on another oneDNN's, and for many rows oneDNN's after the
weight was laid out anew for this one product. For few rows, where all the time
goes into reading the weight, it is often the product written the other way round, `weight @ x.T`,
cut into one part per thread, or the product with a packed copy of the weight (for the passes that
add one token, since the copies cost as much memory as the weights). And where the processor has no
bfloat16 units a bfloat16 product is fastest in float32 with one rounding at the end. Which, depends
on the processor, the library and the shape; so it is measured: the first products of each kind of
shape go the possible routes in turn, and the rest go the fastest. That costs no extra product, and
it sees what a repeated measurement would not: weights that come from memory, not from the cache.
The choice is kept in an object that belongs to one model. While gradients are recorded, and on
devices other than the CPU, it is always torch's own. This file knows nothing of transformers.
"""

from __future__ import annotations

import math
import os
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.errors import ConfigError
from molehill.model.packed import Packs

__all__ = ["Kind", "Product", "Products", "Route"]

Route = Literal["torch", "onednn", "repacked", "weight_first", "widened", "packed"]
Kind = tuple[torch.dtype, int, int, int]
"""What products share a route: dtype, outputs, inputs, and the least number of rows."""
Product = Callable[[Tensor, Tensor, Tensor | None], Tensor]

_ROW_CLASSES = (1, 4, 16, 64, 256)
# Smaller products take microseconds by any route.
_WORTH_MEASURING = 2**18
# A route must be this much faster than torch's own to be taken: what is nearly equal stays put.
_CLEAR_WIN = 0.93
# How often each route is tried. The first time warms up; what else runs on the machine only ever
# adds, so that the least of the others counts.
_TRIES = 8
# A route that took so many times as long as the best, in each of so many tries, is not tried again.
_HOPELESS = 3.0
_FAIR_TRIES = 4
# Numbers of a bfloat16 weight that are widened at a time.
_WIDE_PART = 2**21


class Products:
    """The products of one model, each by the route that was chosen or measured for its shape.

    Args:
        choice: a route for all products, or `auto` to measure. None: what the environment variable
        MOLEHILL_LINEAR says, else `auto`. With a fixed route a run gives the same bits every time;
        under `auto` two runs may differ in the last bits, since they may choose differently.

    Attributes:
        routes: what was chosen so far, by kind of product: dtype, outputs, inputs, least rows.

    Raises:
        ConfigError: an unknown route, or one that this machine does not have.
    """

    def __init__(self, choice: str | None = None, *, packs: bool = False) -> None:
        choice = choice or os.environ.get("MOLEHILL_LINEAR") or "auto"
        if choice not in ("auto", *get_args(Route)):
            raise ConfigError(
                f"The route of products is {choice!r}, expected auto, {', '.join(get_args(Route))}."
            )
        if choice in ("onednn", "repacked", "packed") and not _has_onednn():
            raise ConfigError(
                "This torch was built without oneDNN: choose another route of products "
                "(MOLEHILL_LINEAR=torch)."
            )
        self.choice = cast("Route | Literal['auto']", choice)
        self.packs = Packs() if packs else None
        # Wide copies live for one product: none of them is worth packing.
        self._wide = Products(choice) if packs else self
        self.routes: dict[Kind, Route] = {}
        self._chosen: dict[Kind, Product] = {}
        self._trials: dict[Kind, dict[Route, list[float]]] = {}
        self._least = _WORTH_MEASURING if choice == "auto" else 1

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`x @ weight.T + bias` for x [..., in], weight [out, in], bias [out]."""
        # Few checks and cheap ones: a one-token pass makes a hundred products.
        if torch.is_grad_enabled() or not x.is_cpu or torch.compiler.is_compiling():
            return F.linear(x, weight, bias)
        out, width = weight.shape
        rows = x.numel() // width
        if rows * out * width < self._least or x.dtype is not weight.dtype:
            return F.linear(x, weight, bias)
        kind = (weight.dtype, out, width, _ROW_CLASSES[bisect_right(_ROW_CLASSES, rows) - 1])
        product = self._chosen.get(kind)
        return self._try(kind, x, weight, bias) if product is None else product(x, weight, bias)

    def report(self) -> list[dict[str, object]]:
        """The choices so far, as JSON-able rows."""
        return [
            {
                "dtype": str(dtype).removeprefix("torch."),
                "out": out,
                "in": width,
                "rows": rows,
                "route": route,
            }
            for (dtype, out, width, rows), route in sorted(self.routes.items(), key=str)
        ]

    def _try(self, kind: Kind, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """A product by the route that was tried least, timed; with enough tries made, the choice
        falls."""
        if self.choice != "auto":
            self._choose(kind, self.choice if self._can(self.choice, weight.dtype) else "torch")
            return self._chosen[kind](x, weight, bias)
        possible = [route for route in get_args(Route) if self._can(route, weight.dtype)]
        trials = self._trials.setdefault(kind, {route: [] for route in possible})
        route = min(trials, key=lambda route: len(trials[route]))
        if route == "packed" and self.packs is not None and weight not in self.packs:
            # Not timed: packing is done once, and leaves the weight in the cache.
            return self._packed(x, weight, bias)
        start = time.perf_counter()
        product = self._by(route)(x, weight, bias)
        # By row, since the products of one kind need not have equally many.
        trials[route].append((time.perf_counter() - start) / (x.numel() // x.shape[-1]))
        best = min(min(seconds[1:], default=math.inf) for seconds in trials.values())
        for other in [other for other in trials if other != "torch"]:
            fair = len(trials[other]) >= _FAIR_TRIES
            if fair and min(trials[other][1:]) > _HOPELESS * best:
                del trials[other]
        if all(len(seconds) >= _TRIES for seconds in trials.values()):
            self._choose(kind, _fastest(self._trials.pop(kind)))
        return product

    def _choose(self, kind: Kind, route: Route) -> None:
        self.routes[kind] = route
        self._chosen[kind] = self._by(route)
        if self.packs is not None and route != "packed":
            packed = [one for one, chosen in self.routes.items() if chosen == "packed"]
            tried = [one for one, trials in self._trials.items() if "packed" in trials]
            in_use = {(out, width) for _, out, width, _ in (*packed, *tried)}
            self.packs.forget_other_shapes(in_use)

    def _can(self, route: str, dtype: torch.dtype) -> bool:
        # Who may keep packed copies has no use for those that live for one product.
        needless = "packed" if self.packs is None else "repacked"
        return route != needless and _possible(route, dtype)

    def _by(self, route: Route) -> Product:
        return {
            "torch": F.linear,
            "onednn": _by_onednn,
            "repacked": _repacked,
            "weight_first": _weight_first,
            "widened": self._widened,
            "packed": self._packed,
        }[route]

    def _packed(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        assert self.packs is not None, "a route that cannot be taken is not chosen"
        packed = self.packs.of(weight)
        return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")

    def _widened(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """In float32 by the route that is fastest there, rounded once at the end. The wide copies
        are of parts that fit the cache, and live for one product."""
        x32 = x.float()
        parts = weight.split(max(1, _WIDE_PART // weight.shape[1]))
        products = [self._wide(x32, part.float()) for part in parts]
        product = products[0] if len(parts) == 1 else torch.cat(products, dim=-1)
        return (product if bias is None else product.add_(bias)).to(x.dtype)


def _has_onednn() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _possible(route: str, dtype: torch.dtype) -> bool:
    if route == "onednn":
        fits = dtype == torch.float32 or (
            dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()
        )
        return fits and _has_onednn()
    if route in ("packed", "repacked"):
        return _possible("onednn", dtype)
    if route == "weight_first":
        return dtype == torch.float32
    return route == "torch" or dtype in (torch.bfloat16, torch.float16)


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")


def _repacked(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """With a copy in the library's own layout that lives for this product: one more reading and
    writing of the weight, little beside a product with hundreds of rows."""
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), x.numel() // x.shape[-1])
    return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")


def _weight_first(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`weight @ x.T`, one part of the weight per thread, turned back."""
    out, width = weight.shape
    threads = torch.get_num_threads()
    if out % threads or not weight.is_contiguous():
        return F.linear(x, weight, bias)
    parts = weight.view(threads, out // threads, width)
    if x.numel() == width:  # one row needs no turning back: fewer small steps
        # A row that is turned, not a column: for strides (1, 1) the library takes a slow way.
        column = x.reshape(1, 1, width).mT.expand(threads, -1, -1)
        product = torch.bmm(parts, column).view(*x.shape[:-1], out)
    else:
        columns = x.reshape(-1, width).T.expand(threads, -1, -1)
        # In memory too: fused attention refuses numbers that lie the other way.
        product = torch.bmm(parts, columns).view(out, -1).T.contiguous().view(*x.shape[:-1], out)
    return product if bias is None else product + bias


def _fastest(trials: dict[Route, list[float]]) -> Route:
    """The route with the least time after its first try; torch's own unless another is clearly
    faster."""
    least = {route: min(seconds[1:]) for route, seconds in trials.items()}
    best = min(least, key=least.__getitem__)
    return best if least[best] < _CLEAR_WIN * least["torch"] else "torch"
