"""A model's geometry as data: what `--json` prints, the page draws and the text is written from.

Every number has beside it what random directions of the same shape would show and, where it says
more, what vectors of the same spectrum would. The schema is described in
docs/rooms/superposition.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molehill.superposition.chance import expected_histogram
from molehill.superposition.colliding import Bundle, Collision, kind_of_pair
from molehill.superposition.cosines import PairCosines
from molehill.superposition.report import Detail, Report, Summary
from molehill.superposition.spectrum import Spectrum
from molehill.superposition.together import Effect, Together
from molehill.superposition.twins import Twins
from molehill.views.superposition_report_words import summary_of
from molehill.views.words import significant

__all__ = ["SCHEMA", "Names", "report_data"]

SCHEMA = "molehill.superposition-report/1"

_DIGITS = 5
_BARS = 100
_POINTS = 160
_LISTED = 400
_NAMED = 10


@dataclass(frozen=True)
class Names:
    """How rows of token tables are named, and whether the vocabulary writes spaces."""

    piece: Callable[[int], str] | None
    spaced: bool = True


def report_data(
    found: Report,
    names: Names,
    *,
    provenance: dict[str, Any],
    together: Sequence[tuple[str, Together, Callable[[int], str]]] = (),
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything that the views of a report show, as plain values without NaN or infinities.

    Args:
        together: what was compared, in words, the result, and the names of its rows.
        notes: what else is to be told at the foot.
    """
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "summary": [],
        "tied": found.tied,
        "gains": found.gains,
        "seed": found.seed,
        "tables": [_table(one, names) for one in found.details],
        "layers": [_line(one) for one in found.layers],
        "twins": [_twins(layer, one) for layer, one in found.twins],
        "together": [_together(*one) for one in together],
        "notes": [*_notes(found), *notes],
        "provenance": provenance,
    }
    data["summary"] = summary_of(data)
    return data


def _line(one: Summary) -> dict[str, Any]:
    """A summary as plain numbers."""
    told = {
        name: _short(getattr(one, name))
        for name in (
            *("rms", "mean_cosine", "rms_centred", "mean_centred", "largest", "tail"),
            *("matched_largest", "matched_tail", "effective_rank", "random_rank"),
            *("participation", "participation_centred", "stable_rank", "top_share"),
            *("common_share", "median_length"),
        )
    }
    return {
        "name": one.name,
        "kind": one.kind,
        "layer": one.layer,
        "note": one.note,
        "count": one.count,
        "dimensions": one.dimensions,
        "left_out": one.left_out,
        **told,
        "lengths": [_short(value) for value in one.length_range],
        "random_rms": _short(one.chance.rms),
        "random_largest": _short(one.chance.largest),
        "welch": _short(one.chance.welch),
        "pair": list(one.largest_names),
    }


def _table(one: Detail, names: Names) -> dict[str, Any]:
    """A matrix in full."""
    label = _labels(one, names)
    bundle_of = {row: at for at, each in enumerate(one.bundles) for row in each.rows.tolist()}
    apart = [
        pair
        for pair in one.collisions
        if bundle_of.get(pair.first, -1) != bundle_of.get(pair.second, -2)
    ]
    tokens = one.matrix.kind in ("embedding", "unembedding") and names.piece is not None
    return {
        **_line(one.summary),
        "pair": [label(row) for row in one.pairs.largest_pair],
        "tokens": tokens,
        "bound": _short(one.bounds.best),
        "bound_name": one.bounds.which,
        "quantiles": [
            [share, _short(one.pairs.quantile(share)), _short(one.matched.pairs.quantile(share))]
            for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999)
        ],
        "nearest": _nearest(one.pairs),
        "histogram": _histogram(one),
        "spectrum": _spectra(one),
        "lengths_told": _lengths(one, label),
        "hubs": _hubs(one, label),
        "bundles": [_bundle(each, label) for each in one.bundles],
        "kinds": _kinds(apart, label, names) if tokens else {},
        "collisions": [
            {
                "first": label(pair.first),
                "second": label(pair.second),
                "cosine": _short(pair.cosine),
                "mutual": pair.mutual,
                "kind": _kind(pair, label, names) if tokens else "",
            }
            for pair in apart[:_LISTED]
        ],
        "collisions_in_all": len(apart),
    }


def _labels(one: Detail, names: Names) -> Callable[[int], str]:
    tokens = one.matrix.kind in ("embedding", "unembedding") and names.piece is not None
    if tokens and names.piece is not None:
        piece = names.piece
        return lambda place: piece(one.row(place))
    if one.matrix.kind == "positions":
        return lambda place: f"position {one.row(place)}"
    return one.label


def _kind(pair: Collision, label: Callable[[int], str], names: Names) -> str:
    return kind_of_pair(label(pair.first), label(pair.second), spaced=names.spaced)


def _kinds(pairs: Sequence[Collision], label: Callable[[int], str], names: Names) -> dict[str, Any]:
    """How many pairs of nearest are of which kind, of all and of the closest hundred."""
    kinds = [_kind(pair, label, names) for pair in pairs]
    return {
        "all": dict(Counter(kinds).most_common()),
        "closest": dict(Counter(kinds[:100]).most_common()),
    }


def _nearest(pairs: PairCosines) -> list[list[float | None]]:
    """What |cosine| with the nearest these shares of rows stay below."""
    ordered = pairs.nearest.double().sort().values
    shares = (0.01, 0.1, 0.5, 0.9, 0.99)
    return [[one, _short(float(ordered[round(one * (len(ordered) - 1))]))] for one in shares]


def _histogram(one: Detail) -> dict[str, Any]:
    """Shares of pairs in bins of equal width, of the rows and of both nulls; empty ends are left
    out."""
    edges = one.pairs.edges
    step = max(1, (len(edges) - 1) // _BARS)
    real, drawn = (
        _merged(pairs.histogram.double() / pairs.pairs, step)
        for pairs in (one.pairs, one.matched.pairs)
    )
    chance = _merged(expected_histogram(edges, one.pairs.dimensions), step)
    held = ((real + drawn > 0) | (chance > 1e-9)).nonzero().squeeze(1)
    first, last = int(held[0]), int(held[-1]) + 1
    return {
        "from": _short(float(edges[first * step])),
        "to": _short(float(edges[last * step])),
        "real": _list(real[first:last]),
        "matched": _list(drawn[first:last]),
        "random": _list(chance[first:last]),
        "matched_rows": one.matched.pairs.count,
    }


def _merged(values: Tensor, step: int) -> Tensor:
    return values.view(-1, step).sum(1)


def _spectra(one: Detail) -> dict[str, Any]:
    """Shares of the squared length along each axis, at up to so many of them, evenly by ratio."""
    width = one.summary.dimensions
    places = torch.logspace(0, torch.log10(torch.tensor(float(width))).item(), _POINTS)
    axes = sorted({min(width, max(1, round(float(place)))) for place in places})
    chosen = torch.tensor(axes) - 1

    def shares(spectrum: Spectrum) -> list[float | None]:
        return _list((spectrum.eigenvalues / spectrum.eigenvalues.sum())[chosen.tolist()])

    return {
        "axis": axes,
        "real": shares(one.spectrum),
        "centred": shares(one.centred),
        "random": shares(one.random),
        "for_half": one.spectrum.dimensions_for(0.5),
        "for_most": one.spectrum.dimensions_for(0.9),
        "centred_for_half": one.centred.dimensions_for(0.5),
        "centred_for_most": one.centred.dimensions_for(0.9),
        "random_for_most": one.random.dimensions_for(0.9),
    }


def _lengths(one: Detail, label: Callable[[int], str]) -> dict[str, Any]:
    told = one.lengths
    return {
        "quantiles": [[share, _short(value)] for share, value in told.quantiles],
        "shortest": [[label(row), _short(value)] for row, value in told.shortest],
        "longest": [[label(row), _short(value)] for row, value in told.longest],
        "with_number": _short(told.with_number),
    }


def _hubs(one: Detail, label: Callable[[int], str]) -> dict[str, Any] | None:
    if one.hubs is None:
        return None
    return {
        "k": one.hubs.k,
        "skewness": _short(one.hubs.skewness),
        "orphans": _short(one.hubs.orphans),
        "held_by_a_hundredth": _short(one.hubs.held_by(0.01)),
        "largest": [[label(row), times] for row, times in one.hubs.largest(_NAMED)],
        "compared": [[name, rows, _short(value)] for name, rows, value in one.compared_hubs],
    }


def _bundle(found: Bundle, label: Callable[[int], str]) -> dict[str, Any]:
    return {
        "size": found.size,
        "mean_cosine": _short(found.mean_cosine),
        "length": _short(found.length),
        "spread": _short(found.spread),
        "others": _short(found.others),
        "rows": [label(row) for row in found.rows[:60].tolist()],
    }


def _twins(layer: int, found: Twins) -> dict[str, Any]:
    return {
        "layer": layer,
        "pairs": found.pairs,
        "columns": _short(found.columns),
        "opposed": _short(found.opposed),
        "agreeing": None if found.agreeing is None else _short(found.agreeing),
        "correlation": _short(found.correlation),
        "closest": [
            [f"{layer}.{one}", f"{layer}.{other}", _short(row), _short(column)]
            for one, other, row, column in found.closest
        ],
    }


def _together(what: str, found: Together, name: Callable[[int], str]) -> dict[str, Any]:
    def pairs(listed: Sequence[tuple[int, int, float, int]]) -> list[list[Any]]:
        return [[name(one), name(other), _short(cos), common] for one, other, cos, common in listed]

    return {
        "what": what,
        "events": found.events,
        "rows": found.rows,
        "linked": found.linked,
        "others": found.others,
        "size": _effect(found.size),
        "signed": _effect(found.signed),
        "alike": pairs(found.alike),
        "opposed": pairs(found.opposed),
    }


def _effect(one: Effect) -> dict[str, Any]:
    told = {
        "linked": one.with_one_another,
        "others": one.apart,
        "difference": one.difference,
        "low": one.low,
        "high": one.high,
        "null": one.null,
        "z": one.z,
    }
    return {name: _short(value) for name, value in told.items()}


def _notes(found: Report) -> list[str]:
    told = [
        "Random: directions that prefer nothing, by the Beta law of their cosines. Same spectrum: "
        "drawn from the Gaussian with the mean and covariance of the rows at length 1 (seed "
        f"{found.seed}); what goes beyond it is not due to the spectrum.",
        "The largest cosines are exact, over all pairs; quantiles are read from a histogram of all "
        "pairs, of drawn vectors from the first 8,192.",
    ]
    if found.layers or any("gain" in one.summary.note for one in found.details):
        told.append(
            "Rows that read are told as the stream meets them, times the gain of the norm before "
            "them; columns as they are added. --no-gains leaves the gains out."
            if found.gains
            else "Gains of norms are left out, as was asked."
        )
    if found.tied and any(one.matrix.kind == "embedding" for one in found.details):
        told.append(
            "Embedding and unembedding are one table, measured once, as it is stored; the "
            "unembedding reads it times the gain of the last norm."
        )
    if any(one.kind == "attn.out" for one in found.layers):
        told.append(
            "A head's directions are the left singular vectors of its output times its value "
            "matrix, at right angles within the head; by that alone their cosines are smaller than "
            "chance."
        )
    return told


def _short(value: float | None) -> float | None:
    return significant(value, _DIGITS)


def _list(values: Tensor) -> list[float | None]:
    return [_short(value) for value in values.tolist()]
