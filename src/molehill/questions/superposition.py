"""Questions about superposition: bounds, packings, toy models, capacity, a model's own report.

All but the report ask no model. Sizes are held to what is answered in seconds; the library and the
command line have no such limits. Each answer says in `asked` what it was asked, so that a view can
ask again while a slider is moved. This module knows no form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field
from torch import Tensor

from molehill.errors import GeometryError
from molehill.questions.asking import Inputs, OfModel, Question, asked_as
from molehill.questions.desk import Desk
from molehill.questions.python import call, loading, written
from molehill.superposition.capacity import capacity_curve, learn_directions, random_directions
from molehill.superposition.matrices import matrix_names
from molehill.superposition.packing import pack
from molehill.superposition.report import report, steps
from molehill.superposition.toy_computing import train_absolute
from molehill.superposition.toy_models import toy_grid
from molehill.superposition.toy_phases import toy_phases
from molehill.superposition.toy_training import train_toys
from molehill.version import __version__
from molehill.views.provenance import provenance
from molehill.views.superposition_bounds import bounds_data
from molehill.views.superposition_bounds_text import bounds_text
from molehill.views.superposition_capacity import capacity_data
from molehill.views.superposition_capacity_text import capacity_text
from molehill.views.superposition_packing import packing_data
from molehill.views.superposition_packing_text import packing_text
from molehill.views.superposition_report import Names, report_data
from molehill.views.superposition_report_text import report_text
from molehill.views.superposition_toy import toy_computing_data, toy_phases_data, toy_sweep_data
from molehill.views.superposition_toy_text import toy_text

__all__ = [
    "QUESTIONS",
    "AskBounds",
    "AskCapacity",
    "AskPacking",
    "AskReport",
    "AskToy",
    "with_asked",
]

_ON_VIEW = asked_as("hidden")
"""These views have sliders of their own, which ask while they are moved."""
_SMOOTH = 48
"""Points of a growth curve: with 110, as on paper, a slider waits twice as long."""
_MOST_PACKED = 200 * 200 * 20
_MOST_TRAINED = 20_000_000
"""Numbers of all models together, times steps: some twenty seconds of one core."""
_TOLD = 20
"""Steps of a search between two tellings."""


def with_asked(data: dict[str, Any], question: str, asked: Inputs) -> dict[str, Any]:
    """Data that says what it was asked, without the model and its edits, which the host knows."""
    inputs = asked.model_dump(mode="json", exclude={"model", "edits"})
    return {**data, "asked": {"question": question, "inputs": inputs}}


# --- bounds ---------------------------------------------------------------------------------------


class AskBounds(Inputs):
    """So many directions, in so many dimensions, so far apart."""

    count: int = Field(
        10_000,
        ge=2,
        le=100_000_000,
        title="Directions",
        json_schema_extra=_ON_VIEW,
    )
    dimensions: int = Field(100, ge=2, le=100_000, title="Dimensions", json_schema_extra=_ON_VIEW)
    degrees: float = Field(
        89.0,
        ge=45,
        le=90,
        title="Angle",
        description="That every pair is to keep, in degrees.",
        json_schema_extra=_ON_VIEW,
    )


def _bounds(asked: AskBounds, desk: Desk) -> dict[str, Any]:
    data = bounds_data(
        asked.count, asked.dimensions, asked.degrees, version=__version__, points=_SMOOTH
    )
    return with_asked(data, "superposition.bounds", asked)


def _bounds_python(asked: AskBounds) -> str:
    needed = ", dimensions_needed" if asked.degrees < 90 else ""
    lines = [
        f"from molehill.superposition import bounds{needed}, how_many",
        "",
        f"print(bounds({asked.count}, {asked.dimensions}))",
        f"print(how_many({asked.dimensions}, {asked.degrees}))",
    ]
    if asked.degrees < 90:
        lines.append(f"print(dimensions_needed({asked.count}, {asked.degrees}))")
    return written(lines)


# --- packing --------------------------------------------------------------------------------------


class AskPacking(Inputs):
    """Directions that are to be pushed apart."""

    count: int = Field(28, ge=2, le=400, title="Directions", json_schema_extra=_ON_VIEW)
    dimensions: int = Field(7, ge=2, le=64, title="Dimensions", json_schema_extra=_ON_VIEW)
    kind: Literal["lines", "vectors"] = Field(
        "lines",
        title="What counts",
        description="Lines: a vector and its opposite are one. Vectors: opposites are far apart.",
        json_schema_extra=_ON_VIEW,
    )
    steps: int = Field(400, ge=50, le=2000, title="Steps", json_schema_extra=_ON_VIEW)
    seed: int = Field(0, ge=0, le=2**31 - 1, title="Seed", json_schema_extra=_ON_VIEW)


def _starts(asked: AskPacking) -> int:
    """As many as a second or two has room for, up to 16."""
    return max(1, min(16, 120_000 // asked.count**2))


def _packing(asked: AskPacking, desk: Desk) -> dict[str, Any]:
    if asked.count**2 * asked.dimensions > 4 * _MOST_PACKED:
        raise GeometryError(
            f"{asked.count} directions in {asked.dimensions} dimensions take longer than a page "
            f"should wait: molehill superposition pack {asked.count} {asked.dimensions}."
        )

    def told(step: int, largest: float) -> None:
        if step % _TOLD == 0:
            angle = math.degrees(math.acos(max(-1.0, min(1.0, largest))))
            desk.tell(step, asked.steps, f"Packing: closest pair {angle:.1f}°")

    found = pack(
        asked.count,
        asked.dimensions,
        lines=asked.kind == "lines",
        steps=asked.steps,
        starts=_starts(asked),
        seed=asked.seed,
        progress=told,
    )
    return with_asked(packing_data(found, version=__version__), "superposition.packing", asked)


def _packing_python(asked: AskPacking) -> str:
    made = call(
        "pack",
        str(asked.count),
        str(asked.dimensions),
        lines=asked.kind == "lines",
        steps=asked.steps,
        starts=_starts(asked),
        seed=asked.seed,
    )
    return written(
        [
            "from molehill.superposition import pack",
            "",
            f"found = {made}",
            "print(found.degrees, found.largest, found.bound)",
        ]
    )


# --- toy models -----------------------------------------------------------------------------------


class AskToy(Inputs):
    """Toy models of superposition, trained while one waits."""

    kind: Literal["sweep", "phases", "computing", "linear"] = Field(
        "sweep",
        title="What is trained",
        description="A sweep over densities; importance by density; absolute values computed by "
        "neurons; without a ReLU.",
        json_schema_extra=_ON_VIEW,
    )
    features: int = Field(5, ge=2, le=40, title="Features", json_schema_extra=_ON_VIEW)
    dimensions: int = Field(2, ge=1, le=20, title="Dimensions", json_schema_extra=_ON_VIEW)
    density: float = Field(
        0.01,
        ge=0.001,
        le=0.5,
        title="Sparsest",
        description="The sweep goes from 1 down to this chance that a feature is present.",
        json_schema_extra=_ON_VIEW,
    )
    importance: float = Field(
        1.0,
        ge=0.3,
        le=1.0,
        title="Importance",
        description="Of each feature, as a multiple of the one before.",
        json_schema_extra=_ON_VIEW,
    )
    points: int = Field(8, ge=1, le=20, title="Densities", json_schema_extra=_ON_VIEW)
    seeds: int = Field(4, ge=1, le=16, title="Seeds", json_schema_extra=_ON_VIEW)
    steps: int = Field(500, ge=100, le=3000, title="Steps", json_schema_extra=_ON_VIEW)


def _densities(asked: AskToy) -> list[float]:
    """From 1 down, each the same multiple of the one before."""
    last = asked.points - 1
    return [float(f"{asked.density ** (place / max(1, last)):.4g}") for place in range(last + 1)]


def _relative() -> list[float]:
    return [float(f"{10 ** (place / 4 - 1):.4g}") for place in range(9)]


def _toy(asked: AskToy, desk: Desk) -> dict[str, Any]:
    copies = asked.points * asked.seeds * (len(_relative()) if asked.kind == "phases" else 1)
    if copies * asked.features * asked.dimensions * asked.steps > _MOST_TRAINED:
        raise GeometryError(
            f"{copies} models of {asked.features} x {asked.dimensions} for {asked.steps} steps "
            "take longer than a page should wait: molehill superposition toy."
        )
    densities, whole, done = _densities(asked), asked.steps * asked.points, 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        desk.tell(min(done, whole), whole, f"Training {copies} models")

    how: dict[str, Any] = {"steps": asked.steps, "rows": 128, "progress": told}
    if asked.kind == "phases":
        found = toy_phases(asked.dimensions, densities, _relative(), seeds=asked.seeds, **how)
        data = toy_phases_data(found, version=__version__)
    elif asked.kind == "computing":
        whole = asked.steps
        made = train_absolute(
            asked.features,
            asked.dimensions,
            densities,
            decay=asked.importance,
            seeds=asked.seeds,
            **how,
        )
        data = toy_computing_data(made, version=__version__)
    else:
        models = train_toys(_grid(asked, densities), **how)
        data = toy_sweep_data(models, version=__version__)
    return with_asked(data, "superposition.toy", asked)


def _grid(asked: AskToy, densities: list[float]) -> Any:
    return toy_grid(
        asked.features,
        asked.dimensions,
        densities,
        decay=asked.importance,
        seeds=asked.seeds,
        relu=asked.kind == "sweep",
    )


def _toy_python(asked: AskToy) -> str:
    sizes = (str(asked.features), str(asked.dimensions))
    how = {"steps": asked.steps, "rows": 128}
    lines = [f"densities = {_densities(asked)}"]
    if asked.kind == "phases":
        more = {"seeds": asked.seeds, **how}
        made = call("toy_phases", sizes[1], "densities", repr(_relative()), **more)
        return written(
            [
                "from molehill.superposition import toy_phases",
                "",
                *lines,
                f"found = {made}",
                "print(found.found)",
            ]
        )
    more, room = {"decay": asked.importance, "seeds": asked.seeds}, ""
    if asked.kind == "computing":
        made = call("train_absolute", *sizes, "densities", **more, **how)
        names, room = "train_absolute", ".toy_computing"
    else:
        grid = call("toy_grid", *sizes, "densities", **more, relu=asked.kind == "sweep")
        lines.append(f"grid = {grid}")
        made, names = call("train_toys", "grid", **how), "toy_grid, train_toys"
    return written(
        [
            f"from molehill.superposition{room} import {names}",
            "",
            *lines,
            f"models = {made}",
            "print(models.loss)",
        ]
    )


# --- capacity -------------------------------------------------------------------------------------


class AskCapacity(Inputs):
    """Features written along directions and read back by a gate."""

    dimensions: int = Field(
        64,
        ge=8,
        le=512,
        title="Dimensions",
        json_schema_extra=_ON_VIEW,
    )
    active: int = Field(5, ge=1, le=32, title="Active at once", json_schema_extra=_ON_VIEW)
    directions: Literal["random", "random and packed", "all three"] = Field(
        "random and packed",
        title="Directions",
        description="Drawn at random, pushed apart, or learned to be read back.",
        json_schema_extra=_ON_VIEW,
    )
    inputs: int = Field(400, ge=100, le=5000, title="Inputs", json_schema_extra=_ON_VIEW)


_SOUGHT = {
    "random": ("random",),
    "random and packed": ("random", "packed"),
    "all three": ("random", "packed", "learned"),
}
_FACTORS = {"random": (0.25, 0.5, 1, 2, 4, 8, 16, 32), "packed": (0.5, 1, 2, 4)}


def _sizes(asked: AskCapacity, kind: str) -> list[int]:
    least = 2 * asked.active
    factors = _FACTORS.get(kind, _FACTORS["packed"])
    return sorted({max(least, round(asked.dimensions * factor)) for factor in factors})


def _maker(asked: AskCapacity, kind: str) -> Callable[[int], Tensor]:
    size = asked.dimensions
    if kind == "random":
        return lambda count: random_directions(count, size)
    if kind == "packed":
        return lambda count: pack(
            count, size, steps=150, starts=1, products="float32"
        ).vectors.float()
    return lambda count: learn_directions(count, size, active=float(asked.active), steps=200)


def _capacity(asked: AskCapacity, desk: Desk) -> dict[str, Any]:
    kinds = _SOUGHT[asked.directions]
    whole, done = sum(len(_sizes(asked, kind)) for kind in kinds), 0
    series = {}
    for kind in kinds:

        def told(more: int, kind: str = kind) -> None:
            nonlocal done
            done += more
            desk.tell(done, whole, f"Reading {kind} directions")

        series[kind] = capacity_curve(
            _maker(asked, kind),
            _sizes(asked, kind),
            active=float(asked.active),
            calibrate=kind != "random",
            inputs=asked.inputs,
            progress=told,
        )
    data = capacity_data(
        series, asked.dimensions, float(asked.active), fixed=True, seed=0, version=__version__
    )
    return with_asked(data, "superposition.capacity", asked)


def _capacity_python(asked: AskCapacity) -> str:
    return written(
        [
            "from molehill.superposition.capacity import capacity_curve, random_directions",
            "",
            "points = capacity_curve(",
            f"    lambda count: random_directions(count, {asked.dimensions}),",
            f"    {_sizes(asked, 'random')},",
            f"    active={float(asked.active)},",
            f"    inputs={asked.inputs},",
            ")",
            "print(points)",
        ]
    )


# --- a model's own --------------------------------------------------------------------------------


class AskReport(OfModel):
    """A model's matrices."""

    layers: bool = Field(
        True, title="Every layer", description="Each layer's matrices on one line each."
    )
    gains: bool = Field(
        True,
        title="With gains",
        description="Rows that read, times the gain of the norm before them.",
    )


def _report(asked: AskReport, desk: Desk) -> dict[str, Any]:
    lm = desk.model(asked.model, asked.edits)
    tables = [name for name in matrix_names(lm.model) if "." not in name]
    whole, done = steps(lm.model, tables, asked.layers), 0

    def told(more: int) -> None:
        nonlocal done
        done += more
        desk.tell(done, whole, f"Measuring {lm.name}")

    found = report(lm.model, tables, layers=asked.layers, gains=asked.gains, progress=told)
    data = report_data(found, _names(lm), provenance=provenance(lm, __version__))
    return with_asked(data, "superposition.report", asked)


def _names(lm: Any) -> Names:
    if lm.tokenizer is None:
        return Names(None)
    some = range(0, lm.config.d_vocab, max(1, lm.config.d_vocab // 500))
    spaced = any(lm.tokenizer.piece(token).startswith("·") for token in some)
    return Names(lm.tokenizer.piece, spaced)


def _report_python(asked: AskReport) -> str:
    made = call("report", "lm.model", "tables", layers=asked.layers, gains=asked.gains)
    return written(
        [
            *loading(
                asked,
                "from molehill.superposition import report",
                "from molehill.superposition.matrices import matrix_names",
            ),
            'tables = [name for name in matrix_names(lm.model) if "." not in name]',
            f"found = {made}",
            "print(found)",
        ]
    )


QUESTIONS = (
    Question(
        "superposition.bounds",
        "How many fit",
        "How many nearly orthogonal directions a space holds, and how far apart they can be.",
        "superposition-bounds",
        AskBounds,
        _bounds,
        bounds_text,
        _bounds_python,
        needs=(),
    ),
    Question(
        "superposition.packing",
        "Packing",
        "Directions pushed apart before your eyes, beside what theory and chance say.",
        "superposition-packing",
        AskPacking,
        _packing,
        packing_text,
        _packing_python,
        needs=(),
    ),
    Question(
        "superposition.toy",
        "Toy models",
        "Small models trained now, with more features than dimensions: what they do about it.",
        "superposition-toy",
        AskToy,
        _toy,
        toy_text,
        _toy_python,
        needs=(),
    ),
    Question(
        "superposition.capacity",
        "Capacity",
        "Features written along directions and read back by a gate: how many, until it errs.",
        "superposition-capacity",
        AskCapacity,
        _capacity,
        capacity_text,
        _capacity_python,
        needs=(),
    ),
    Question(
        "superposition.report",
        "A model's geometry",
        "The model's own matrices: who collides, what is chance and what is not.",
        "superposition-report",
        AskReport,
        _report,
        report_text,
        _report_python,
        eager=False,  # a minute of one core on SmolLM2
    ),
)
