"""Examples as dashboards: what an examples file holds of a feature, in the neutral record from
which `dashboard.py` writes what Neuronpedia takes in.

The groups are those of `quarters`: the largest activations, and those drawn at random, by quarters
of their values. This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from molehill.features.dashboard import (
    DashboardRun,
    Example,
    ExampleGroup,
    FeatureExamples,
    Histogram,
    Relatives,
)
from molehill.features.examples_file import Examples, KeptExample, KeptFeature
from molehill.features.gathering import bin_edges

__all__ = ["Group", "bars", "dashboard_run", "quarters", "shown_features"]

_FEWEST = 8
"""Random examples below which there are no quarters."""


@dataclass(frozen=True)
class Group:
    """Examples of one kind."""

    name: str
    examples: tuple[KeptExample, ...]
    low: float
    high: float
    share: float
    """Of all activations, about how many are such."""
    top: bool


def quarters(examples: Sequence[KeptExample]) -> list[Group]:
    """A feature's examples: the largest, and those drawn at random by quarters of their values."""
    top = [one for one in examples if one.kind == "top"]
    sample = sorted((one for one in examples if one.kind == "sample"), key=lambda one: -one.value)
    groups = [_group("largest", top, 0.0, top=True)] if top else []
    names = ("upper quarter", "second quarter", "third quarter", "lower quarter")
    if len(sample) < _FEWEST:
        return groups + ([_group("drawn at random", sample, 1.0)] if sample else [])
    for number, name in enumerate(names):
        first, last = (len(sample) * part // 4 for part in (number, number + 1))
        groups.append(_group(name, sample[first:last], 0.25))
    return groups


def _group(name: str, examples: Sequence[KeptExample], share: float, *, top: bool = False) -> Group:
    values = [one.value for one in examples]
    return Group(name, tuple(examples), min(values), max(values), share, top)


def bars(feature: KeptFeature) -> tuple[list[float], list[int]]:
    """How a feature's values are spread: the middle of each bar (its edges' geometric mean), and
    its height; bars at the ends that are empty are left out."""
    held = [place for place, count in enumerate(feature.bins) if count]
    if not held:
        return [], []
    edges = bin_edges()
    span = range(held[0], held[-1] + 1)
    middles = [float((edges[place] * edges[place + 1]) ** 0.5) for place in span]
    return middles, [feature.bins[place] for place in span]


def shown_features(examples: Examples, numbers: Iterable[int]) -> Iterator[FeatureExamples]:
    """Features as records for `write_dashboards`, one at a time.

    Raises:
        TextError: there is no such feature.
    """
    for number in numbers:
        feature = examples.feature(number)
        middles, heights = bars(feature)
        yield FeatureExamples(
            number,
            tuple(_for_dashboard(group) for group in quarters(examples.examples(number))),
            feature.density,
            tuple((examples.pieces[token], z) for token, z in feature.promoted),
            tuple((examples.pieces[token], z) for token, z in feature.demoted),
            Histogram(tuple(middles), tuple(map(float, heights))),
            features=Relatives(
                tuple(other for other, _, _ in feature.together),
                tuple(share for _, share, _ in feature.together),
                tuple(correlation for _, _, correlation in feature.together),
            ),
        )


def _for_dashboard(group: Group) -> ExampleGroup:
    made = tuple(Example(one.pieces, one.values, one.at) for one in group.examples)
    return ExampleGroup(made, group.low, group.high, group.share, group.top)


def dashboard_run(examples: Examples) -> DashboardRun:
    """What the examples were looked for in."""
    about = examples.about
    return DashboardRun(
        about["model"],
        about["features_name"],
        ", ".join(about["texts_named"]),
        int(about["texts"]),
        int(about["settings"]["context"]),
    )
