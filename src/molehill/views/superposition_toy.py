"""Toy models of superposition as data: what `--json` prints, pages draw and texts are made from.

A sweep over densities (many trained models, so that a slider can walk over them), a map of phases,
and models that compute; three forms of one schema, told apart by `kind`. This module knows nothing
of terminals, pages or files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from molehill.superposition.toy_computing import AbsoluteModels, features_per_neuron, neuron_uses
from molehill.superposition.toy_families import ToyFamily
from molehill.superposition.toy_models import ToyModels, linear_optimum
from molehill.superposition.toy_phases import PHASES, ToyPhases, phase_losses
from molehill.superposition.toy_shapes import (
    PLATEAUS,
    Shape,
    dimensionality,
    dimensions_per_feature,
    feature_norms,
    interference,
    shapes_of,
)
from molehill.views.words import enumerated, numbered, percent, significant

__all__ = [
    "BINS",
    "SCHEMA",
    "arrangement",
    "toy_computing_data",
    "toy_phases_data",
    "toy_sweep_data",
]

SCHEMA = "molehill.superposition-toy/1"
BINS = 60
"""Bins of dimensionality from 0 to 1."""

_PRESENT = 0.3
_DRAWN = 12
"""Seeds whose vectors are kept for drawing."""
_DIGITS = 4


def toy_sweep_data(
    models: ToyModels, *, version: str, families: Sequence[ToyFamily] = ()
) -> dict[str, Any]:
    """A sweep over densities as plain values without NaN.

    Args:
        version: of Molehill, for the provenance.
        families: the smallest models of each figure, told beside the sweep.

    Returns:
        Among other things `points`, one per density, with the spread over seeds of the loss, of
        dimensions per feature and of represented features, the share of features in each figure,
        what seeds found, and a histogram of dimensionalities; and per point `models`: with up to 3
        dimensions the vectors of the first 12 seeds, else the best seed's dimensionalities.
    """
    grid = models.grid
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "sweep",
        "summary": [],
        "features": grid.features,
        "dimensions": grid.dimensions,
        "relu": grid.relu,
        "importance": _plain(grid.importance[0]),
        "seeds": list(grid.seeds),
        "plateaus": [{"name": name, "size": round(size, 6)} for name, size in PLATEAUS.items()],
        "points": [_point(models, place) for place in range(len(grid.densities))],
        "families": [_family(one) for one in families],
        "training": _training(models),
    }
    data["notes"] = _sweep_notes(data)
    data["provenance"] = _provenance(version, grid.seeds, models.data_seed)
    data["summary"] = _sweep_summary(data)
    return data


def toy_phases_data(phases: ToyPhases, *, version: str) -> dict[str, Any]:
    """A map of phases: `found`, `expected`, `norm`, `shared` and `share` [relative][density], and
    the candidates' `losses` by theory."""
    models = phases.models
    grid = models.grid
    seeds = sorted(set(grid.seeds))
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "phases",
        "summary": [],
        "features": grid.features,
        "dimensions": grid.dimensions,
        "densities": [significant(one, _DIGITS) for one in grid.densities],
        "relative": [significant(one, _DIGITS) for one in phases.relative],
        "phases": list(PHASES),
        "found": phases.found.tolist(),
        "expected": phases.expected.tolist(),
        "norm": _plain(phases.norm),
        "shared": _plain(phases.shared),
        "share": _plain(phases.share),
        "losses": [
            [
                [significant(loss, _DIGITS) for loss in _losses(grid.dimensions, density, relative)]
                for density in grid.densities
            ]
            for relative in phases.relative
        ],
        "agreement": significant(phases.agreement, _DIGITS),
        "seeds": seeds,
        "training": _training(models),
    }
    data["off_boundary"] = _off_boundary(data)
    data["notes"] = _phase_notes(data)
    data["provenance"] = _provenance(version, seeds, models.data_seed)
    data["summary"] = _phase_summary(data)
    return data


def toy_computing_data(models: AbsoluteModels, *, version: str) -> dict[str, Any]:
    """Models that compute absolute values: per density the spread of the loss, how many features
    each neuron serves, and the neurons of the best seed with their rows and columns."""
    neurons, features = models.into.shape[2:]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "kind": "computing",
        "summary": [],
        "features": features,
        "neurons": neurons,
        "importance": _plain(models.importance),
        "seeds": list(models.seeds),
        "points": [_computing_point(models, place) for place in range(len(models.densities))],
        "training": {
            "models": len(models.densities) * len(models.seeds),
            "steps": models.steps,
            "rows": models.rows,
            "rate": models.rate,
            "seconds": round(models.seconds, 2),
        },
    }
    data["notes"] = _computing_notes(data)
    data["provenance"] = _provenance(version, models.seeds, 0)
    data["summary"] = _computing_summary(data)
    return data


def arrangement(names: Iterable[str]) -> str:
    """Figures side by side: `2 digons`, `triangle + alone`."""
    counted = Counter(names)
    told = [
        name
        if count == 1
        else f"{count} {name}{'' if name == 'alone' or name[0].isdigit() else 's'}"
        for name, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
    ]
    return " + ".join(told) or "nothing"


# --- one density --------------------------------------------------------------------------------


def _point(models: ToyModels, place: int) -> dict[str, Any]:
    grid, weights = models.grid, models.weights[place]
    norms, sizes = feature_norms(weights), dimensionality(weights)
    present = norms > _PRESENT
    shapes = [shapes_of(w) for w in weights]
    counted = Counter(shape.name for one in shapes for shape in one for _ in shape.features)
    whole = max(1, sum(counted.values()))
    found = Counter(arrangement(shape.name for shape in one) for one in shapes)
    best = int(models.loss[place].argmin())
    point: dict[str, Any] = {
        "density": significant(grid.densities[place], _DIGITS),
        "loss": _spread(models.loss[place]),
        "per_feature": _spread(dimensions_per_feature(weights)),
        "represented": _spread(present.sum(-1).float()),
        "interference": _spread((interference(weights) * present).amax(-1)),
        "shares": {name: significant(count / whole, 3) for name, count in counted.most_common()},
        "found": dict(found.most_common()) if grid.dimensions <= 3 else {},
        "histogram": _histogram(sizes[present]),
        "best": best,
        "models": _drawn(models, place, shapes, best),
    }
    if not grid.relu:
        optimum = linear_optimum(grid.importance, grid.dimensions, grid.densities[place])
        point["optimum"] = significant(float(optimum[0]), _DIGITS)
    return point


def _drawn(
    models: ToyModels, place: int, shapes: Sequence[tuple[Shape, ...]], best: int
) -> list[dict[str, Any]]:
    """What a page draws: the vectors of some seeds; in many dimensions the best seed's figures."""
    weights = models.weights[place]
    small = models.grid.dimensions <= 3
    kept = sorted({*range(min(_DRAWN, len(weights))), best}) if small else [best]
    return [
        {
            "seed": models.grid.seeds[copy],
            "copy": copy,
            "loss": significant(float(models.loss[place, copy]), _DIGITS),
            "vectors": _plain(weights[copy].T) if small else None,
            "bias": _plain(models.bias[place, copy]) if small else None,
            "norms": _plain(feature_norms(weights[copy])),
            "dimensionality": _plain(dimensionality(weights[copy])),
            "interference": _plain(interference(weights[copy])),
            "shapes": [_shape(shape) for shape in shapes[copy]],
        }
        for copy in kept
    ]


def _shape(shape: Shape) -> dict[str, Any]:
    return {
        "name": shape.name,
        "features": list(shape.features),
        "dimensions": shape.dimensions,
        "dimensionality": significant(shape.dimensionality, _DIGITS),
        "deviation": significant(shape.deviation, 3),
    }


def _histogram(sizes: Tensor) -> list[int]:
    """How many represented features have each dimensionality, 0 to 1."""
    bins = (sizes * BINS).long().clamp_(0, BINS - 1)
    return torch.bincount(bins, minlength=BINS).tolist()


def _spread(values: Tensor) -> list[float | None]:
    """The least, both quartiles around the median, and the most."""
    marks = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0], dtype=values.dtype)
    return [significant(value, _DIGITS) for value in values.quantile(marks).tolist()]


def _plain(values: Tensor) -> list[Any]:
    if values.dim() > 1:
        return [_plain(row) for row in values]
    # Four places are finer than any picture.
    return [None if value != value else round(value, 4) + 0.0 for value in values.tolist()]


def _family(one: ToyFamily) -> dict[str, Any]:
    found = Counter(arrangement(names) for names in one.arrangements)
    return {
        "name": one.name,
        "features": one.features,
        "dimensions": one.dimensions,
        "density": one.density,
        "size": round(one.size, 6),
        "seeds": one.seeds,
        "found": one.found,
        "held": one.held,
        "measured": _spread(one.dimensionalities.flatten()) if one.found + one.held else None,
        "best_loss": significant(one.best_loss, _DIGITS),
        "figure_loss": significant(one.figure_loss, _DIGITS),
        "arrangements": dict(found.most_common()),
    }


def _computing_point(models: AbsoluteModels, place: int) -> dict[str, Any]:
    into, out = models.into[place], models.out[place]
    served = features_per_neuron(into, out)
    alive = served > 0
    best = int(models.loss[place].argmin())
    uses = neuron_uses(into[best], out[best])
    total = max(1, int(alive.sum()))
    return {
        "density": significant(models.densities[place], _DIGITS),
        "loss": _spread(models.loss[place]),
        "served": _spread(served[alive]) if bool(alive.any()) else [0.0] * 5,
        "one": significant(float(((served < 1.2) & alive).sum()) / total, 3),
        "several": significant(float((served >= 1.2).sum()) / total, 3),
        "silent": significant(1 - total / served.numel(), 3),
        "computed": _spread((models.error[place] < 0.5).sum(-1).float()),
        "best": {
            "seed": models.seeds[best],
            "errors": _plain(models.error[place, best]),
            "into": _plain(into[best]),
            "out": _plain(out[best].T),
            "neurons": [
                {
                    "neuron": one.neuron,
                    "features": list(one.features),
                    "into": [round(value, 3) for value in one.into],
                    "out": [round(value, 3) for value in one.out],
                    "asymmetry": significant(min(one.asymmetry, 1e6), 3),
                }
                for one in uses
            ],
        },
    }


# --- where it comes from ------------------------------------------------------------------------


def _training(models: ToyModels) -> dict[str, Any]:
    return {
        "models": models.grid.models,
        "steps": models.steps,
        "rows": models.rows,
        "rate": models.rate,
        "seconds": round(models.seconds, 2),
    }


def _provenance(version: str, seeds: Sequence[int], data_seed: int) -> dict[str, Any]:
    return {
        "version": version,
        "torch": torch.__version__,
        "seeds": [min(seeds), max(seeds)],
        "data_seed": data_seed,
    }


# --- in words -----------------------------------------------------------------------------------


def _losses(dimensions: int, density: float, relative: float) -> list[float]:
    told = phase_losses(dimensions, density, relative)
    return [told[name] for name in PHASES]


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _trained(data: dict[str, Any]) -> str:
    made = data["training"]
    return f"{made['models']:,} models trained at once in {made['seconds']:.1f} s"


def _equal(data: dict[str, Any]) -> str:
    first, last = data["importance"][0], data["importance"][-1]
    return (
        "of equal importance" if first == last else f"of importance {_number(first)} to {last:.2g}"
    )


def _sweep_summary(data: dict[str, Any]) -> list[str]:
    points = data["points"]
    many = len(data["seeds"])
    reading = "" if data["relu"] else " without a ReLU"
    lines = [
        f"{numbered(data['features'], 'feature')} {_equal(data)} in "
        f"{numbered(data['dimensions'], 'dimension')}{reading}, "
        f"{numbered(len(points), 'density')}, {numbered(many, 'seed')} each: {_trained(data)}."
    ]
    if not data["relu"]:
        return [*lines, *_linear_words(points, data["importance"][0] == data["importance"][-1])]
    lines += _found_words(points, many) if data["dimensions"] <= 3 else _share_words(points)
    ends = [point["per_feature"][2] for point in points]
    if None not in ends:
        lines.append(
            f"Dimensions per feature (m / ‖W‖², median over seeds) go from {_number(ends[0])} at "
            f"density {points[0]['density']:g} to {_number(ends[-1])} at {points[-1]['density']:g}."
        )
    lines += _family_words(data["families"])
    return lines


def _found_words(points: Sequence[dict[str, Any]], many: int) -> list[str]:
    """Neighbouring densities at which most seeds found the same are told together."""
    runs: list[tuple[str, list[dict[str, Any]]]] = []
    for point in points:
        name = next(iter(point["found"]))
        if runs and runs[-1][0] == name:
            runs[-1][1].append(point)
        else:
            runs.append((name, [point]))
    told = []
    for name, run in runs:
        counts = [point["found"][name] for point in run]
        where = f"{run[0]['density']:.2g}"
        if len(run) > 1:
            where += f" to {run[-1]['density']:.2g}"
        told.append(f"{where}: {name} ({_range(counts)} of {many})")
    return [f"What most seeds found, by density: {'; '.join(told)}."]


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _share_words(points: Sequence[dict[str, Any]]) -> list[str]:
    told = []
    for name, size in sorted(PLATEAUS.items(), key=lambda one: -one[1]):
        best = max(points, key=lambda point: point["shares"].get(name) or 0.0)
        share = best["shares"].get(name)
        if share:
            told.append(f"{name} {percent(share)} (density {best['density']:.2g}, D = {size:.3g})")
    return [f"The most features in each figure: {'; '.join(told)}."] if told else []


def _family_words(families: Sequence[dict[str, Any]]) -> list[str]:
    if not families:
        return []
    told = [
        f"{one['name']} {one['found']} of {one['seeds']}"
        + (f", D {_number(one['measured'][2])}" if one["measured"] else "")
        for one in families
    ]
    dearer = [
        f"the {one['name']} by {percent(one['figure_loss'] / one['best_loss'] - 1)}"
        for one in families
        if one["figure_loss"] and one["best_loss"] and one["figure_loss"] > 1.02 * one["best_loss"]
    ]
    lines = [f"In the smallest model of each figure, seeds that found it: {'; '.join(told)}."]
    if dearer:
        lines.append(
            "Figures that lose more than the best arrangement found, and so are rare: "
            f"{enumerated(dearer)}."
        )
    return lines


def _linear_words(points: Sequence[dict[str, Any]], equal: bool) -> list[str]:
    ratios = [
        point["loss"][2] / point["optimum"]
        for point in points
        if point["loss"][2] is not None and point["optimum"]
    ]
    worst = max((point["interference"][4] or 0.0 for point in points), default=0.0)
    typical = max((point["interference"][2] or 0.0 for point in points), default=0.0)
    if worst < 0.05:
        told = (
            "No superposition: the largest interference of any represented feature, at any density "
            f"and seed, is {worst:.2g}."
        )
    elif equal:
        told = (
            "No more than m dimensions' worth of features is kept; equally important ones are "
            f"mixed at no cost (largest interference {worst:.2g})."
        )
    else:
        told = (
            f"Interference is at most {typical:.2g} in the median over seeds; a seed that had not "
            f"come to its end shows {worst:.2g}: give it more steps."
        )
    lines = [told]
    if ratios:
        lines.append(
            "The loss is that of keeping the most important features and dropping the rest, the "
            f"least a linear model can have: {min(ratios):.4f} to {max(ratios):.4f} times it "
            "(median over seeds, by density)."
        )
    return lines


def _off_boundary(data: dict[str, Any]) -> dict[str, int]:
    """Cells that differ from theory, and how many of them have a neighbour that theory puts into
    the phase they are in."""
    expected, found = data["expected"], data["found"]
    differing = near = 0
    for row, line in enumerate(found):
        for column, phase in enumerate(line):
            if phase == expected[row][column]:
                continue
            differing += 1
            around = [
                expected[r][c]
                for r in range(max(0, row - 1), min(len(found), row + 2))
                for c in range(max(0, column - 1), min(len(line), column + 2))
            ]
            near += phase in around
    cells = len(found) * len(found[0])
    return {"cells": cells, "differing": differing, "beside_the_boundary": near}


def _phase_summary(data: dict[str, Any]) -> list[str]:
    off = data["off_boundary"]
    seeds = len(data["seeds"])
    lines = [
        f"One feature of another importance beside {data['dimensions']} of importance 1, in "
        f"{numbered(data['dimensions'], 'dimension')}: {off['cells']} settings, "
        f"{numbered(seeds, 'seed')} each, {_trained(data)}.",
        f"In {percent(data['agreement'])} of the settings the best seed is in the phase that "
        f"theory expects; of the {off['differing']} others {off['beside_the_boundary']} lie "
        "one cell beside its boundary.",
    ]
    share = [value for line in data["share"] for value in line if value is not None]
    if seeds > 1:
        mean = sum(share) / len(share)
        lines.append(
            "All seeds agree."
            if mean == 1
            else f"Seeds do not all agree: on average {percent(mean)} are in the phase of the best."
        )
    return lines


def _computing_summary(data: dict[str, Any]) -> list[str]:
    points = data["points"]
    first, last = points[0], points[-1]
    seeds = len(data["seeds"])
    lines = [
        f"{numbered(data['neurons'], 'neuron')} for the absolute values of "
        f"{numbered(data['features'], 'feature')}, {numbered(len(points), 'density')}, "
        f"{numbered(seeds, 'seed')} each: {_trained(data)}.",
        f"At density {first['density']:g} {percent(first['one'])} of the working neurons serve one "
        f"feature; at {last['density']:g} {percent(last['several'])} serve several, "
        f"{_number(last['served'][2])} in the median.",
    ]
    strong = [
        (one["asymmetry"], point["density"], one["neuron"])
        for point in points
        for one in point["best"]["neurons"]
        if one["asymmetry"] is not None and one["asymmetry"] >= 4 and len(one["features"]) > 1
    ]
    if strong:
        where = sorted({density for _, density, _ in strong}, reverse=True)
        lines.append(
            f"{len(strong)} neurons of the best seeds treat two features asymmetrically (the ratio "
            "of row to column differs by 4 times or more: one is read strongly and written weakly, "
            f"the other the other way round), at densities {', '.join(f'{d:.2g}' for d in where)}."
        )
    return lines


_DATA = "All models read the same stream of inputs; seeds differ in where they begin."


def _how(data: dict[str, Any]) -> str:
    made = data["training"]
    return (
        f"Adam, {made['steps']:,} steps of {made['rows']:,} inputs, learning rate {made['rate']:g} "
        f"falling to 0. {_DATA}"
    )


def _sweep_notes(data: dict[str, Any]) -> list[str]:
    read = "ReLU(WᵀWx + b)" if data["relu"] else "WᵀWx + b"
    return [
        f"A model reads x as h = Wx and says {read}; a feature is present with probability density "
        "and then uniform in [0, 1]; the loss is the summed squared error, weighted by importance.",
        _how(data),
        "The dimensionality of feature i is ‖W_i‖² divided by the sum over all j of (u_iᵀW_j)², "
        f"u_i being W_i at length 1. Features whose vector is shorter than {_PRESENT} count as not "
        "represented.",
        "A figure is named where all cosines within a group of features are those of the regular "
        "figure to within 0.12; groups share no |cosine| of 0.2 or more. `5 in 2` has no name.",
        "Dimensions per feature, D* = m / ‖W‖², count lengths and the figures' fractions do not: "
        "sparse models make vectors longer than 1, and D* ends below the plateau.",
        "Spreads are the least, the quartiles and the most over seeds.",
    ]


def _phase_notes(data: dict[str, Any]) -> list[str]:
    return [
        "Not represented: a norm below 1/2. Superposition: more than 1/4 of interference along the "
        "feature, the sum of (uᵀW_j)² over the others, u its vector at length 1. Of the seeds, the "
        "one with the smallest loss is shown.",
        "Theory compares candidate solutions made of unit vectors, in closed form: given up "
        "r (p/3 - p²/4), antipodal (1 + r) p²/6"
        + (
            ", alone beside an antipodal pair 2 p²/6, or in place of another p/3 - p²/4."
            if data["dimensions"] == 2
            else ", alone in place of the other p/3 - p²/4."
        )
        + " Trained models choose lengths and biases too, so that boundaries may differ a little.",
        _how(data),
    ]


def _computing_notes(data: dict[str, Any]) -> list[str]:
    return [
        "A model says ReLU(W₂ ReLU(W₁x) + b) and should say |x|; a feature is present with "
        "probability density, then uniform in [-1, 1]; importance falls from feature to feature.",
        "A neuron's features are told by the product of its row's and its column's entry: the "
        "number it serves is (Σ s²)² / Σ s⁴ of these products s; below 1.2 it serves one.",
        "A feature is computed where its error is below half of what its mean as the one answer "
        "costs.",
        _how(data),
    ]
