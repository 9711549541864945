"""Thousands of toy models trained at once, as one batch, on a processor.

Models of one density see the same inputs, so that what they compute stands side by side in one
matrix product; between the two products of a step there are two passes over the errors, in pieces
that stay in a core's cache. The gradient is written out:

    z = [WᵀW | b] [x; 1],   e = (z - x) where z > 0,   g = 2 I ∘ mean(e [x; 1]ᵀ),   dW = W (g + gᵀ)

where features are few; where they are many more than dimensions, W and Wᵀ are applied one after the
other. A model's course depends on its own seed, density and importance and on the seed of the
inputs, not on what it is trained with. This module knows no picture and no shape.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from math import cos, pi

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.toy_models import ToyGrid, ToyInputs, ToyModels, toy_loss

__all__ = ["ToyLearner", "check_training", "train_toys"]

_CACHED = 2**18
"""Numbers in a piece: 1 MB, half of a core's second cache."""
_REPORTS = 50
"""Steps between two words about how far training is."""


def train_toys(
    grid: ToyGrid,
    *,
    steps: int = 2000,
    rows: int = 256,
    rate: float = 1e-2,
    data_seed: int = 0,
    start: Float[Tensor, "copies m_plus_1 n"] | None = None,
    workers: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> ToyModels:
    """Train every model of a grid.

    Adam, with a learning rate that falls to nothing along half a cosine.

    Args:
        steps, rows: steps, and fresh inputs in each.
        rate: the first learning rate, above 0 and up to 1.
        start: where copies begin, W above b; None: drawn from their seeds.
        workers: threads, each with densities of its own; None: as many as torch uses.
        progress: is told of steps times densities as they are done.

    Raises:
        GeometryError: no step or no row, or a learning rate that leads nowhere.
    """
    check_training(steps, rows, rate)
    begun = time.perf_counter()
    count = min(len(grid.densities), workers or torch.get_num_threads())
    parts = [list(range(first, len(grid.densities), count)) for first in range(count)]
    made = torch.empty(len(grid.densities), len(grid.seeds), grid.dimensions + 1, grid.features)
    stop = threading.Event()

    def work(part: list[int]) -> None:
        densities = [grid.densities[place] for place in part]
        learner = ToyLearner(grid, densities, rows, data_seed, start=start)
        for step in range(steps):
            learner.step(rate * _cosine(step / steps))
            done = (step % _REPORTS) + 1
            if done == _REPORTS or step == steps - 1:
                if stop.is_set():
                    return
                if progress is not None:
                    progress(done * len(part))
        made[part] = learner.values

    _run(work, parts, stop)
    weights, bias = made[:, :, :-1], made[:, :, -1]
    loss = toy_loss(weights, bias, grid)
    seconds = time.perf_counter() - begun
    return ToyModels(grid, weights, bias, loss, steps, rows, rate, data_seed, seconds)


def check_training(steps: int, rows: int, rate: float) -> None:
    """Refuse settings with which nothing can be learned.

    Raises:
        GeometryError: no step or no row, or a learning rate that is not above 0 and up to 1.
    """
    if steps < 1 or rows < 1:
        raise GeometryError(f"Training takes 1 step and 1 row or more, found {steps} and {rows}.")
    if not 0 < rate <= 1:
        raise GeometryError(f"A learning rate is above 0 and up to 1, found {rate:g}.")


def _cosine(share: float) -> float:
    return 0.5 * (1 + cos(pi * share))


def _run(
    work: Callable[[list[int]], None], parts: Sequence[list[int]], stop: threading.Event
) -> None:
    """Every part in a thread of its own, or here if there is one; an interruption ends them all."""
    if len(parts) == 1:
        return work(parts[0])
    with (
        _one_thread_each(),
        ThreadPoolExecutor(len(parts), initializer=lambda: torch.set_num_threads(1)) as pool,
    ):
        waiting = [pool.submit(work, part) for part in parts]
        try:
            for one in waiting:
                one.result()
        finally:
            stop.set()
            wait(waiting)
    return None


@contextmanager
def _one_thread_each() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class ToyLearner:
    """Models of some densities, step by step.

    Attributes:
        values: [densities, copies, m + 1, n] W in the first m rows, b in the last.
    """

    def __init__(
        self,
        grid: ToyGrid,
        densities: Sequence[float],
        rows: int,
        data_seed: int,
        dtype: torch.dtype = torch.float32,
        start: Tensor | None = None,
    ) -> None:
        self.grid, self.rows = grid, rows
        self.inputs = ToyInputs(grid.features, densities, data_seed, dtype)
        begun = grid.begin() if start is None else start
        self.values = begun.to(dtype).repeat(len(densities), 1, 1, 1)
        share = self.inputs.share[:, None, None].to(dtype)
        importance = grid.importance.to(dtype)
        self._drawn = 2 * share * importance
        self._empty = 2 * (1 - share) * importance
        self._first = torch.zeros_like(self.values)
        self._second = torch.zeros_like(self.values)
        self._taken = 0
        # Few products of long rows where features are few, less arithmetic where they are many.
        self._direct = 5 * grid.dimensions > 2 * grid.features or grid.features < 16
        self._few = max(1, _CACHED // (grid.features * rows))
        self._z = torch.empty(min(self._few, len(grid.seeds)), grid.features, rows, dtype=dtype)
        self._e = torch.empty_like(self._z)

    def step(self, rate: float) -> None:
        """One step of Adam (Kingma and Ba, 2015; decays 0.9 and 0.999) on fresh inputs."""
        gradient = self.gradient(self.inputs.draw(self.rows))
        self._taken += 1
        self._first.lerp_(gradient, 0.1)
        self._second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
        scale = (self._second / (1 - 0.999**self._taken)).sqrt_().add_(1e-8)
        self.values.addcdiv_(self._first, scale, value=-rate / (1 - 0.9**self._taken))

    def gradient(self, x: Tensor) -> Tensor:
        """[densities, copies, m + 1, n] of the loss by W and b, for inputs x [densities, n, rows].

        The inputs stand for the share of all that is not empty; the rest is added exactly.
        """
        found = torch.empty_like(self.values)
        for place, given in enumerate(x):
            self._one_density(self.values[place], given, self._drawn[place], found[place])
        bias = self.values[:, :, -1]
        found[:, :, -1] += self._empty * (bias.relu() if self.grid.relu else bias)
        return found

    def _one_density(self, values: Tensor, x: Tensor, weight: Tensor, into: Tensor) -> None:
        ones = torch.cat([x, x.new_ones(1, x.shape[1])])
        work = self._by_products if self._direct else self._by_turns
        for begin in range(0, len(values), self._few):
            part = slice(begin, begin + self._few)
            work(values[part], x, ones, weight[part] / x.shape[1], into[part])

    def _by_products(
        self, values: Tensor, x: Tensor, ones: Tensor, weight: Tensor, into: Tensor
    ) -> None:
        """With WᵀW written out: all copies in one product forward and one backward."""
        copies, _, n = values.shape
        w = values[:, :-1]
        read = torch.cat([w.mT @ w, values[:, -1:].mT], 2)
        z = self._z[:copies]
        torch.mm(read.flatten(0, 1), ones, out=z.view(copies * n, -1))
        e = self._error(z, x)
        g = torch.mm(e.view(copies * n, -1), ones.T).view(copies, n, n + 1) * weight[:, :, None]
        into[:, -1] = g[:, :, n]
        torch.bmm(w, g[:, :, :n] + g[:, :, :n].mT, out=into[:, :-1])

    def _by_turns(
        self, values: Tensor, x: Tensor, ones: Tensor, weight: Tensor, into: Tensor
    ) -> None:
        """W first and Wᵀ after it, forward and backward."""
        copies = len(values)
        w, b = values[:, :-1], values[:, -1]
        hidden = w @ x
        z = torch.baddbmm(b[:, :, None], w.mT, hidden, out=self._z[:copies])
        e = self._error(z, x).mul_(weight[:, :, None])
        into[:, -1] = e.sum(2)
        torch.bmm(hidden, e.mT, out=into[:, :-1])
        into[:, :-1] += (w @ e) @ x.T

    def _error(self, z: Tensor, x: Tensor) -> Tensor:
        e = torch.sub(z, x, out=self._e[: len(z)])
        if self.grid.relu:
            # What the ReLU holds back has no slope: one pass, in place.
            torch.ops.aten.threshold_backward.grad_input(e, z, 0, grad_input=e)
        return e
