"""A model's geometry: each of its matrices measured, and beside each what chance would give.

Layers are measured shortly, one line each; tables of tokens and whatever else is asked for in
full, with neighbours, hubs, bundles and who collides with whom. Nothing is held but results and
the matrix at hand. This file puts together what the others measure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from molehill.errors import GeometryError
from molehill.model.transformer import Transformer
from molehill.superposition.bounds import Bounds, bounds
from molehill.superposition.chance import Chance, Matched, chance, matched
from molehill.superposition.colliding import Bundle, Collision, collisions, find_bundles
from molehill.superposition.cosines import PairCosines, cosine_moments, pair_cosines, unit_rows
from molehill.superposition.hubs import Hubs, hubs
from molehill.superposition.matrices import Matrix, matrices, matrix_names
from molehill.superposition.spectrum import Moments, Spectrum, random_draw
from molehill.superposition.twins import Twins, twins

__all__ = [
    "Detail",
    "Lengths",
    "Report",
    "Summary",
    "detail",
    "report",
    "steps",
    "summary",
    "work",
]

_BINS = 400
# Pairs that a bundle is looked for in.
_CLOSEST = 400
# Where rows that were hardly ever trained are worth looking for.
_OF_TOKENS = ("embedding", "unembedding", "tensor")
# Rows that hubs are compared on with drawn ones.
_SOME = 8192


@dataclass(frozen=True)
class Lengths:
    """How long rows are."""

    quantiles: tuple[tuple[float, float], ...]
    """(share, the length that this share of rows stays below)."""
    shortest: tuple[tuple[int, float], ...]
    longest: tuple[tuple[int, float], ...]
    with_number: float
    """Spearman's correlation of length and row number; vocabularies are sorted by frequency,
    about."""


@dataclass(frozen=True)
class Summary:
    """One matrix on one line, with what chance would give."""

    name: str
    kind: str
    layer: int | None
    note: str
    count: int
    dimensions: int
    left_out: int
    """Rows of zeros, which have no direction."""
    rms: float
    mean_cosine: float
    rms_centred: float
    """With the rows' mean taken off."""
    mean_centred: float
    largest: float
    """The largest |cosine|, with its sign."""
    largest_pair: tuple[int, int]
    largest_names: tuple[str, str]
    """What the matrix calls these rows."""
    chance: Chance
    matched_largest: float
    """The same of unit vectors drawn with the rows' own spectrum, lengths left aside."""
    matched_tail: float
    """The |cosine| that one pair in a thousand of those exceeds."""
    tail: float
    """The |cosine| that one pair in a thousand exceeds."""
    effective_rank: float
    random_rank: float
    """The effective rank of random vectors of the same shape."""
    participation: float
    participation_centred: float
    stable_rank: float
    top_share: float
    common_share: float
    median_length: float
    length_range: tuple[float, float]
    """The lengths that 1% and 99% stay below."""


@dataclass(frozen=True, eq=False)
class Detail:
    """One matrix in full."""

    matrix: Matrix
    summary: Summary
    rows: Tensor | None
    """Which rows were measured, where some had no direction: places below count in these."""
    pairs: PairCosines
    matched: Matched
    bounds: Bounds
    spectrum: Spectrum
    centred: Spectrum
    random: Spectrum
    """Of random vectors of the same shape and mean squared length."""
    lengths: Lengths
    hubs: Hubs | None
    compared_hubs: tuple[tuple[str, int, float], ...]
    """Skewness on some rows, real and drawn: (what, rows, skewness)."""
    bundles: tuple[Bundle, ...]
    collisions: tuple[Collision, ...]

    def label(self, place: int) -> str:
        """The name of a measured row."""
        return self.matrix.label(self.row(place))

    def row(self, place: int) -> int:
        """The number of a measured row in its matrix."""
        return place if self.rows is None else int(self.rows[place])


@dataclass(frozen=True, eq=False)
class Report:
    """The geometry of a model."""

    details: tuple[Detail, ...]
    layers: tuple[Summary, ...]
    twins: tuple[tuple[int, Twins], ...]
    """Of every layer, what neurons do whose rows are close."""
    tied: bool
    gains: bool
    seed: int


def steps(model: Transformer, names: Sequence[str], layers: bool) -> int:
    """How much work a report is, in pairs: what `progress` adds up to."""
    config = model.config
    total = 0
    for matrix in matrices(model, list(names)) if names else ():
        total += work(len(matrix.vectors))
    if layers:
        rows = config.d_mlp * (3 if config.gated else 2)
        total += config.n_layers * (rows + config.n_heads * config.d_head)
    return total


def work(count: int) -> int:
    """How much work a detail of so many rows is: two passes over pairs and one over squares."""
    return count * (count - 1) + count * count


@torch.no_grad()
def report(
    model: Transformer,
    names: Sequence[str] | None = None,
    *,
    layers: bool = True,
    gains: bool = True,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Report:
    """Measure a model's matrices.

    Args:
        names: those to measure in full, by name or pattern. None: the tables of tokens and of
            positions.
        layers: whether to measure every layer's matrices shortly.
        gains: see `matrices`.
        seed: of what is drawn beside them.
        progress: called with work done, which adds up to `steps`.

    Raises:
        GeometryError: a name that no matrix has.
    """
    known = matrix_names(model)
    tables = [name for name in known if "." not in name]
    wanted = tables if names is None else list(names)
    ruler = _Ruler(seed)
    details = tuple(
        detail(matrix, seed=seed, progress=progress)
        for matrix in (matrices(model, wanted, gains=gains) if wanted else ())
    )
    lines = []
    for name in [name for name in known if "." in name] if layers else []:
        for matrix in matrices(model, name, gains=gains):
            lines.append(ruler.summary(matrix))
            if progress is not None:
                progress(len(matrix.vectors))
    tied = model.config.has_head and model.w_unembed is None
    numbers = range(model.config.n_layers) if layers else ()
    pairs = [(layer, _twins(model, layer, gains)) for layer in numbers]
    return Report(details, tuple(lines), tuple(pairs), tied, gains, seed)


def _twins(model: Transformer, layer: int, gains: bool) -> Twins:
    kinds = (
        ("mlp.gate", "mlp.columns", "mlp.up") if model.config.gated else ("mlp.up", "mlp.columns")
    )
    given = [next(matrices(model, f"{layer}.{kind}", gains=gains)).vectors for kind in kinds]
    there = torch.stack([(one != 0).any(1) for one in given]).all(0)
    found = twins(*(one[there] for one in given))
    if there.all():
        return found
    rows = there.nonzero().squeeze(1).tolist()
    closest = tuple((rows[a], rows[b], row, column) for a, b, row, column in found.closest)
    return replace(found, closest=closest)


def summary(matrix: Matrix, *, seed: int = 0) -> Summary:
    """One matrix on one line.

    Raises:
        GeometryError: fewer than two rows with a direction.
    """
    return _Ruler(seed).summary(matrix)


@torch.no_grad()
def detail(
    matrix: Matrix, *, seed: int = 0, progress: Callable[[int], None] | None = None
) -> Detail:
    """One matrix in full.

    Raises:
        GeometryError: fewer than two rows with a direction.
    """
    vectors, rows = _with_direction(matrix)
    count, dimensions = vectors.shape
    moments = Moments.of(vectors)
    pairs = pair_cosines(vectors, bins=_BINS, closest=_CLOSEST, progress=progress)
    drawn = matched(unit_rows(vectors), bins=_BINS, seed=seed, progress=progress)
    found = None
    if count > 10:
        rowwise = None if progress is None else lambda done: progress(done * count)
        found = hubs(vectors, progress=rowwise)
    ruler = _Ruler(seed)
    lengths = vectors.double().norm(dim=1)
    return Detail(
        matrix=matrix,
        summary=ruler.line(matrix, vectors, rows, moments, pairs, drawn),
        rows=rows,
        pairs=pairs,
        matched=drawn,
        bounds=bounds(count, dimensions),
        spectrum=moments.spectrum(centred=False),
        centred=moments.spectrum(centred=True),
        random=ruler.random(count, dimensions),
        lengths=_lengths(lengths),
        hubs=found,
        compared_hubs=_compared_hubs(vectors, drawn.vectors, moments, seed) if found else (),
        bundles=find_bundles(vectors, pairs) if matrix.kind in _OF_TOKENS else (),
        collisions=tuple(collisions(vectors, pairs)),
    )


class _Ruler:
    """Measures matrices one after another; what chance gives depends on their shape alone and is
    found once."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.by_shape: dict[tuple[int, int], tuple[Chance, Spectrum]] = {}

    def summary(self, matrix: Matrix) -> Summary:
        vectors, rows = _with_direction(matrix)
        moments = Moments.of(vectors)
        pairs = pair_cosines(vectors, bins=_BINS, closest=1)
        drawn = matched(unit_rows(vectors), bins=_BINS, seed=self.seed)
        return self.line(matrix, vectors, rows, moments, pairs, drawn)

    def random(self, count: int, dimensions: int) -> Spectrum:
        return self._by_shape(count, dimensions)[1]

    def _by_shape(self, count: int, dimensions: int) -> tuple[Chance, Spectrum]:
        shape = (count, dimensions)
        if shape not in self.by_shape:
            drawn = random_draw(count, dimensions, seed=self.seed)
            spectrum = Moments.of(drawn).spectrum(centred=False)
            self.by_shape[shape] = (chance(count, dimensions), spectrum)
        return self.by_shape[shape]

    def line(
        self,
        matrix: Matrix,
        vectors: Tensor,
        rows: Tensor | None,
        moments: Moments,
        pairs: PairCosines,
        drawn: Matched,
    ) -> Summary:
        by_chance, random = self._by_shape(*vectors.shape)
        raw = moments.spectrum(centred=False)
        off_mean, off_square = _centred_cosines(vectors, moments)
        lengths = vectors.norm(dim=1)
        ends = _quantiles(lengths, (0.01, 0.5, 0.99))
        pair = [row if rows is None else int(rows[row]) for row in pairs.largest_pair]
        return Summary(
            name=matrix.name,
            kind=matrix.kind,
            layer=matrix.layer,
            note=matrix.note,
            count=len(vectors),
            dimensions=vectors.shape[1],
            left_out=len(matrix.vectors) - len(vectors),
            rms=pairs.rms,
            mean_cosine=pairs.mean,
            rms_centred=off_square**0.5,
            mean_centred=off_mean,
            largest=pairs.closest[0][2],
            largest_pair=(pair[0], pair[1]),
            largest_names=(matrix.label(pair[0]), matrix.label(pair[1])),
            chance=by_chance,
            matched_largest=drawn.largest,
            matched_tail=drawn.pairs.size_exceeded_by(0.001),
            tail=pairs.size_exceeded_by(0.001),
            effective_rank=raw.effective_rank,
            random_rank=random.effective_rank,
            participation=raw.participation_ratio,
            participation_centred=moments.participation_ratio(centred=True),
            stable_rank=raw.stable_rank,
            top_share=raw.top_share,
            common_share=moments.common_share,
            median_length=ends[1],
            length_range=(ends[0], ends[2]),
        )


def _with_direction(matrix: Matrix) -> tuple[Tensor, Tensor | None]:
    """The rows that are not zero, and which they are where some are left out."""
    vectors = matrix.vectors
    there = (vectors != 0).any(1)
    if bool(there.all()) and len(vectors) > 1:
        return vectors, None
    rows = there.nonzero().squeeze(1)
    if len(rows) < 2:
        raise GeometryError(
            f"{matrix.name} has {len(rows)} rows that are not zero: two are needed for an angle."
        )
    return vectors[rows], rows


def _centred_cosines(vectors: Tensor, moments: Moments) -> tuple[float, float]:
    """The mean and mean square of cosines with the rows' mean taken off."""
    centred = vectors - moments.mean.to(vectors.dtype)
    there = (centred != 0).any(1)
    if int(there.sum()) < 2:
        return 0.0, 0.0
    return cosine_moments(unit_rows(centred[there]))


def _compared_hubs(
    vectors: Tensor, drawn: Tensor, moments: Moments, seed: int
) -> tuple[tuple[str, int, float], ...]:
    """How uneven nearness is on some rows: as they are, without their mean, drawn with the same
    spectrum, and without any preference."""
    count, dimensions = vectors.shape
    some = torch.arange(0, count, -(-count // _SOME), device=vectors.device)
    compared = {
        "as they are": vectors[some],
        "mean taken off": vectors[some] - moments.mean.to(vectors.dtype),
        "same spectrum": drawn[some],
        "random": random_draw(len(some), dimensions, seed=seed),
    }
    return tuple((name, len(some), hubs(each).skewness) for name, each in compared.items())


def _lengths(lengths: Tensor) -> Lengths:
    shares = (0.0, 0.01, 0.1, 0.5, 0.9, 0.99, 1.0)
    order = lengths.argsort(stable=True)
    ends = [order[:10].tolist(), order.flip(0)[:10].tolist()]
    named = [tuple((row, float(lengths[row])) for row in rows) for rows in ends]
    return Lengths(
        quantiles=tuple(zip(shares, _quantiles(lengths, shares), strict=True)),
        shortest=named[0],
        longest=named[1],
        with_number=_rank_correlation(order),
    )


def _quantiles(values: Tensor, shares: Sequence[float]) -> list[float]:
    ordered = values.double().sort().values
    return [float(ordered[round(share * (len(ordered) - 1))]) for share in shares]


def _rank_correlation(order: Tensor) -> float:
    """Spearman's correlation of row number and rank, from the order of rows by value."""
    ranks = torch.empty(len(order), dtype=torch.float64)
    ranks[order] = torch.arange(len(order), dtype=torch.float64)
    both = torch.stack([torch.arange(len(order), dtype=torch.float64), ranks])
    return float(torch.corrcoef(both)[0, 1]) if len(order) > 1 else 0.0
