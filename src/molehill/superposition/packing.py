"""N nearly orthogonal directions in d dimensions, by an optimiser that looks at the worst pair.

What is minimised is the sum over pairs of the fourth power of the excess over a threshold that
always lies a *width* below the worst pair of the moment. The width begins as wide as the worst pair
itself (the frame potential, in which every pair counts) and shrinks until only pairs that are as
good as worst are pushed; a loss that sums over all pairs to the end would trade the worst for the
many. What is told of the result is never the surrogate: the largest |cosine| is computed again,
exactly, over all pairs. This module knows bounds and chance to set beside it, and no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.errors import GeometryError
from molehill.superposition.bounds import Bounds, bounds
from molehill.superposition.cosines import PairCosines, pair_cosines, unit_rows
from molehill.superposition.pushing import orbits, push, shifted_places
from molehill.superposition.worst_pairs import count_above, worst_pair

__all__ = ["MOST_STARTS", "Moment", "Packing", "PackingSettings", "ProductsIn", "pack"]

ProductsIn = Literal["float32", "float64", "bfloat16"]
MOST_STARTS = 4096
_MOST_NUMBERS = 2**30
"""Of all starts together: 8 GB, of which a search holds several."""

# Up to so many pairs, of all starts together, double precision costs nothing worth saving.
_FEW_PAIRS = 2_000_000
_FEW_VECTORS = 400
# A step moves a vector's coordinates by this share of the width: what is a width below the worst
# pair is then not carried past it in one step.
_RATE = 0.06
# The width begins at this share of the largest cosine of random directions, and ends at these.
_WIDE = 0.85
_NARROW = 2e-3
_NARROW_EXACT = 1e-5
_NARROW_CONTINUED = 0.1
# Products in bfloat16 err by some thousandths: they are left for float32 before the width is so.
_COARSE = 0.02
_AS_WORST = 1e-3
_BINS = 400


@dataclass(frozen=True)
class PackingSettings:
    """Everything that decides a packing, beside the vectors it was started from."""

    lines: bool
    steps: int
    starts: int
    seed: int
    shifts: int
    products: ProductsIn
    block: int
    continued: bool
    """Whether it was started from given vectors."""


@dataclass(frozen=True)
class Moment:
    """The best start at one step: the largest cosine (lines: |cosine|), and the width."""

    step: int
    largest: float
    width: float


@dataclass(frozen=True, eq=False)
class Packing:
    """The best packing that was found, with what theory and chance have to say beside it."""

    vectors: Tensor
    """Of length 1 [count, d], in the precision they were found in."""
    largest: float
    """The largest |cosine| of lines, or the largest signed cosine of vectors; over all pairs, in
    float64."""
    pair: tuple[int, int]
    as_worst: int
    """How many pairs are within 0.001 of the worst."""
    bound: float
    """No packing can have a largest cosine below it."""
    bound_name: str
    bounds: Bounds
    cosines: PairCosines
    random: PairCosines
    """As many directions drawn from the same seed and left as they were."""
    random_largest: float
    reached: tuple[float, ...]
    """The largest cosine of every start, as the steps saw it, best first."""
    history: tuple[Moment, ...]
    steps_done: int
    settings: PackingSettings

    @property
    def ratio(self) -> float | None:
        """The largest cosine as a multiple of the bound; None where the bound is not above 0."""
        return self.largest / self.bound if self.bound > 1e-12 else None

    @property
    def degrees(self) -> float:
        """The angle of the closest pair."""
        return math.degrees(math.acos(max(-1.0, min(1.0, self.largest))))


def pack(
    count: int,
    dimensions: int,
    *,
    lines: bool = True,
    steps: int = 1000,
    starts: int | None = None,
    seed: int = 0,
    shifts: int = 1,
    products: ProductsIn | None = None,
    block: int = 512,
    device: torch.device | str | None = None,
    start: Tensor | None = None,
    progress: Callable[[int, float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Packing:
    """Find `count` nearly orthogonal unit vectors: make the largest cosine of any pair small.

    A descent on the sphere (the gradient of `pushing.push` without its radial part, Adam's means
    with one scale per vector: D. Kingma, J. Ba, ICLR 2015) on a smoothed maximum whose width
    shrinks geometrically; the vectors with the smallest worst pair of all steps are kept. No method
    is known that finds the best packing of many directions: the bound says how far it can be.

    Args:
        lines: a vector and its opposite are one direction, and |cosine| counts; else the signed
            cosine, as for points on a sphere.
        starts: random starts, as one batched program; None: 16 where vectors are few, else 1.
        shifts: search among packings that cyclic shifts of so many coordinates at a time map to
            themselves: `count` / `shifts` vectors stand for all, and a step takes the `shifts`-th
            part of the time. 1: no symmetry.
        products: number format of the products; None: float64 where vectors are few, else float32.
            `bfloat16` stays until the width is 0.02 and is followed by float32.
        block: rows that meet rows at a time; memory for cosines is a few times its square.
        start: unit vectors to go on from [count, d]; the width then begins at a tenth.
        progress: called after every step with its number and the largest cosine.
        stop: asked after every step; true ends the search with the best so far.

    Raises:
        GeometryError: numbers that cannot be.
    """
    starts = starts if starts is not None else _usual_starts(count, start)
    _check(count, dimensions, steps, starts, shifts, block, start)
    few = count <= _FEW_VECTORS and starts * count * count // shifts <= 4 * _FEW_PAIRS
    products = products or ("float64" if few else "float32")
    if products not in get_args(ProductsIn):
        raise GeometryError(f"products are in {', '.join(get_args(ProductsIn))}, not {products!r}.")
    settings = PackingSettings(
        lines, steps, starts, seed, shifts, products, block, start is not None
    )
    if start is None:
        leaders = _random(starts, count // shifts, dimensions, seed)
    else:
        leaders = unit_rows(start)[None, ::shifts]
    leaders = leaders.to(device or "cpu", _dtype(products))
    search = _Search(leaders, count, settings)
    for step in range(steps):
        search.step(step)
        if progress is not None:
            progress(step, search.history[-1].largest)
        if stop is not None and stop():
            break
    search.look()
    return _told(search)


def _check(
    count: int,
    dimensions: int,
    steps: int,
    starts: int,
    shifts: int,
    block: int,
    start: Tensor | None,
) -> None:
    if count < 2 or dimensions < 2:
        raise GeometryError(
            f"A packing has 2 vectors or more in 2 dimensions or more, not {count} in {dimensions}."
        )
    if steps < 1 or not 1 <= starts <= MOST_STARTS or block < 1:
        raise GeometryError(
            f"steps {steps} and block {block} must be 1 or more, starts {starts} from 1 to "
            f"{MOST_STARTS}."
        )
    if starts * count * dimensions > _MOST_NUMBERS:
        raise GeometryError(
            f"{starts} x {count:,} vectors of {dimensions:,} numbers are more than a search can "
            f"hold ({_MOST_NUMBERS:,} numbers): ask for fewer."
        )
    if not 1 <= shifts <= dimensions or count % shifts:
        raise GeometryError(
            f"shifts is {shifts}: it must divide the {count} vectors and be at most {dimensions}, "
            "since so many coordinates are turned round."
        )
    if start is None:
        return
    if start.shape != (count, dimensions) or starts != 1:
        found = " x ".join(map(str, start.shape))
        raise GeometryError(
            f"The vectors to start from are {found}, expected {count} x {dimensions} and one start."
        )
    if shifts > 1:
        _check_shifted(unit_rows(start), shifts)


def _check_shifted(unit: Tensor, shifts: int) -> None:
    """Vectors that are not each other's shifts cannot be gone on from as if they were."""
    whole = orbits(unit[None, ::shifts], shifted_places(unit.shape[1], shifts, unit.device))[0]
    off = float((whole - unit).abs().max())
    if off > 1e-4:
        raise GeometryError(
            f"The vectors to start from are not shifts of one another by {shifts} (off by "
            f"{off:.2g}): go on from them with shifts 1."
        )


def _usual_starts(count: int, start: Tensor | None) -> int:
    return 16 if start is None and count <= _FEW_VECTORS else 1


def _dtype(products: ProductsIn) -> torch.dtype:
    return torch.float64 if products == "float64" else torch.float32


def _random(starts: int, count: int, dimensions: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(starts, count, dimensions, generator=generator)
    return F.normalize(drawn.double(), dim=2)


class _Search:
    """The state of all starts: where the vectors are, how they move, the best they have been."""

    def __init__(self, leaders: Tensor, count: int, settings: PackingSettings) -> None:
        self.settings = settings
        self.count = count
        self.dimensions = leaders.shape[2]
        self.leaders = leaders
        self.places = shifted_places(self.dimensions, settings.shifts, leaders.device)
        self.mean = torch.zeros_like(leaders)
        self.square = leaders.new_zeros(*leaders.shape[:2], 1)
        self.best = leaders.clone()
        self.least = leaders.new_full((len(leaders),), math.inf)
        self.history: list[Moment] = []
        self.largest = self._look(coarse=False)
        self.done = 0
        self.widths = self._widths()

    def _widths(self) -> tuple[float, float]:
        """The first and the last width."""
        # Of vectors, the scale counts from where nothing can be below: all cosines alike.
        least = 0.0 if self.settings.lines else -1 / (self.count - 1)
        scale = float(self.largest.max()) - least
        wide = scale * _WIDE * (_NARROW_CONTINUED if self.settings.continued else 1.0)
        exact = self.settings.products == "float64"
        return wide, scale * (_NARROW_EXACT if exact else _NARROW)

    def _look(self, *, coarse: bool) -> Tensor:
        """The largest cosine as things stand, and the best kept."""
        return self._push(self.leaders.new_full((len(self.leaders),), 1.0), coarse)[1]

    def _push(self, threshold: Tensor, coarse: bool) -> tuple[Tensor, Tensor]:
        how = self.settings
        found = push(
            self.leaders,
            self.places,
            threshold,
            lines=how.lines,
            block=how.block,
            dtype=torch.bfloat16 if coarse else None,
        )
        # What coarse products say of the worst pair would be kept for its rounding error.
        if not coarse:
            better = found.largest < self.least
            self.least = torch.where(better, found.largest, self.least)
            self.best[better] = self.leaders[better]
        return found.force, found.largest

    def look(self) -> None:
        """Count where the last step led."""
        self.largest = self._look(coarse=False)

    def step(self, number: int) -> None:
        """Push once and move."""
        share = number / self.settings.steps
        width = self.widths[0] * (self.widths[1] / self.widths[0]) ** share
        coarse = self.settings.products == "bfloat16" and width > _COARSE
        threshold = self.largest - width
        if self.settings.lines:
            threshold = threshold.clamp(min=0)
        force, self.largest = self._push(threshold, coarse)
        self._move(force, _RATE * width, number)
        self.history.append(Moment(number, float(self.largest.min()), width))
        self.done = number + 1

    def _move(self, force: Tensor, rate: float, number: int) -> None:
        here = self.leaders
        force = force - (force * here).sum(2, keepdim=True) * here
        # Third powers of a small excess are very small numbers; only their direction is used.
        force = force / force.abs().amax((1, 2), keepdim=True).clamp(min=1e-37)
        self.mean.mul_(0.9).add_(force, alpha=0.1)
        self.square.mul_(0.99).add_((force * force).mean(2, keepdim=True), alpha=0.01)
        mean = self.mean / (1 - 0.9 ** (number + 1))
        scale = (self.square / (1 - 0.99 ** (number + 1))).sqrt_().clamp_(min=1e-12)
        self.leaders = F.normalize(here - rate * mean / scale, dim=2)


def _told(search: _Search) -> Packing:
    """The best start, looked at exactly."""
    how = search.settings
    best = int(search.least.argmin())
    vectors = orbits(search.best[best : best + 1], search.places)[0]
    random = _random(1, search.count, search.dimensions, how.seed)[0].to(vectors)
    cosines, chance = pair_cosines(vectors, bins=_BINS), pair_cosines(random, bins=_BINS)
    largest, pair = worst_pair(vectors, lines=how.lines)
    told = bounds(search.count, search.dimensions)
    limit, name = (told.best, told.which) if how.lines else (told.vectors.best, told.vectors.which)
    return Packing(
        vectors=vectors,
        largest=largest,
        pair=pair,
        as_worst=count_above(vectors, largest - _AS_WORST, lines=how.lines),
        bound=limit,
        bound_name=name,
        bounds=told,
        cosines=cosines,
        random=chance,
        random_largest=worst_pair(random, lines=how.lines)[0],
        reached=tuple(sorted(search.least.tolist())),
        history=tuple(search.history),
        steps_done=search.done,
        settings=how,
    )
