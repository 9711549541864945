"""Dashboards of features as the JSON that SAEDashboard writes and Neuronpedia takes in.

    write_dashboards("dashboards", features, shown, about)    # batch-0.json, batch-1.json, ...

What is shown of a feature comes in one plain record, wherever its examples were found; what follows
from the weights (the vector, the numbers that it mostly consists of) is added here. JSON has no NaN
and no infinities: such numbers, as of a correlation with what is never active, become 0. Fields:
SAEDashboard, `neuronpedia_dashboard.py`; a first group of examples is marked there by -1.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehill.errors import CheckpointError
from molehill.features.trained import Features
from molehill.files import write_atomically
from molehill.model.sites import parse_site

__all__ = [
    "DashboardRun",
    "Example",
    "ExampleGroup",
    "FeatureExamples",
    "Histogram",
    "Relatives",
    "dashboard_batch",
    "write_dashboards",
]

_ALIGNED = 3
"""Numbers of a direction that are named, as there."""
_DIGITS = 6


@dataclass(frozen=True)
class Example:
    """A stretch of text, and the feature's value at each token."""

    tokens: tuple[str, ...]
    values: tuple[float, ...]
    at: int
    """The token for whose value it was chosen."""


@dataclass(frozen=True)
class ExampleGroup:
    """Examples whose chosen values lie in one range."""

    examples: tuple[Example, ...]
    low: float
    high: float
    share: float
    """Of the tokens at which the feature is active, those in the range."""
    top: bool = False
    """Whether these are the largest of all; `low` and `share` are then not shown."""


@dataclass(frozen=True)
class Histogram:
    """Bars: the middle of each, and how many are in it."""

    middles: tuple[float, ...] = ()
    heights: tuple[float, ...] = ()


@dataclass(frozen=True)
class Relatives:
    """Neurons or features that are active together with one: numbers, cosines, correlations."""

    numbers: tuple[int, ...] = ()
    cosines: tuple[float, ...] = ()
    correlations: tuple[float, ...] = ()


@dataclass(frozen=True)
class FeatureExamples:
    """What a dashboard shows of a feature."""

    feature: int
    groups: tuple[ExampleGroup, ...]
    density: float
    """The share of tokens at which it is active."""
    promoted: tuple[tuple[str, float], ...] = ()
    """Words whose score rises most, the first one most."""
    suppressed: tuple[tuple[str, float], ...] = ()
    """Words whose score falls most, the first one most."""
    activity: Histogram = Histogram()
    """Values where it is active."""
    scores: Histogram = Histogram()
    """What it adds to all words' scores."""
    neurons: Relatives = Relatives()
    features: Relatives = Relatives()


@dataclass(frozen=True)
class DashboardRun:
    """What examples were looked for in."""

    model: str
    """The model's name there."""
    name: str
    """The set of autoencoders."""
    dataset: str = ""
    texts: int = 0
    tokens: int = 0
    """Tokens of one text."""
    suffix: str = ""


def dashboard_batch(
    features: Features, shown: Iterable[FeatureExamples], about: DashboardRun
) -> dict[str, Any]:
    """One batch, as plain values that are JSON.

    Raises:
        CheckpointError: an example whose tokens and values are not as many, or a feature that is
            not there.
    """
    layer, _ = parse_site(features.writes[0])
    return {
        "model_id": about.model,
        "layer": 0 if layer is None else layer,
        "sae_set": about.name,
        "sae_id_suffix": about.suffix,
        "features": [_feature(features, each, about) for each in shown],
    }


def write_dashboards(
    folder: str | os.PathLike[str],
    features: Features,
    shown: Iterable[FeatureExamples],
    about: DashboardRun,
    *,
    batch: int = 128,
) -> list[Path]:
    """Write `batch-0.json`, `batch-1.json` and so on, each whole or not at all.

    Args:
        shown: is read one batch at a time.
        batch: features in a file.

    Raises:
        CheckpointError: as `dashboard_batch`; or a file cannot be written.
    """
    folder, paths = Path(folder), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, some in enumerate(_batches(shown, batch)):
            data = dashboard_batch(features, some, about)
            raw = json.dumps(data, allow_nan=False, ensure_ascii=False).encode("utf-8", "replace")
            paths.append(folder / f"batch-{number}.json")
            write_atomically(paths[-1], lambda file, raw=raw: file.write(raw))
    except OSError as error:
        raise CheckpointError(f"{folder} could not be written: {error.strerror}.") from error
    return paths


def _batches(shown: Iterable[FeatureExamples], size: int) -> Iterator[list[FeatureExamples]]:
    some: list[FeatureExamples] = []
    for each in shown:
        some.append(each)
        if len(some) == size:
            yield some
            some = []
    if some:
        yield some


def _feature(features: Features, shown: FeatureExamples, about: DashboardRun) -> dict[str, Any]:
    if not 0 <= shown.feature < features.n_features:
        raise CheckpointError(
            f"There is no feature {shown.feature}: {features.name} has {features.n_features}."
        )
    vector = features.autoencoder.w_dec[shown.feature].detach().float()
    aligned = vector.topk(min(_ALIGNED, len(vector)))
    share = aligned.values.abs() / vector.abs().sum().clamp(min=1e-30)
    return {
        "feature_index": shown.feature,
        "neuron_alignment_indices": aligned.indices.tolist(),
        "neuron_alignment_values": _plain(aligned.values.tolist()),
        "neuron_alignment_l1": _plain(share.tolist()),
        **_relatives("correlated_neurons", shown.neurons),
        **_relatives("correlated_features", shown.features),
        "neg_str": [word for word, _ in shown.suppressed],
        "neg_values": _plain([value for _, value in shown.suppressed]),
        "pos_str": [word for word, _ in shown.promoted],
        "pos_values": _plain([value for _, value in shown.promoted]),
        "frac_nonzero": _number(shown.density),
        "freq_hist_data_bar_values": _plain(shown.activity.middles),
        "freq_hist_data_bar_heights": _plain(shown.activity.heights),
        "logits_hist_data_bar_heights": _plain(shown.scores.heights),
        "logits_hist_data_bar_values": _plain(shown.scores.middles),
        "n_prompts_total": about.texts,
        "n_tokens_in_prompt": about.tokens,
        "dataset": about.dataset,
        "decoder_weights_dist": [],
        "vector": _plain(vector.tolist()),
        "activations": [
            _activation(group, each) for group in shown.groups for each in group.examples
        ],
    }


def _relatives(key: str, relatives: Relatives) -> dict[str, list[Any]]:
    return {
        f"{key}_indices": list(relatives.numbers),
        f"{key}_l1": _plain(relatives.cosines),
        f"{key}_pearson": _plain(relatives.correlations),
    }


def _activation(group: ExampleGroup, example: Example) -> dict[str, Any]:
    if len(example.tokens) != len(example.values) or not 0 <= example.at < len(example.tokens):
        raise CheckpointError(
            f"An example has {len(example.tokens)} tokens, {len(example.values)} values and was "
            f"chosen for token {example.at}: they do not belong together."
        )
    return {
        "bin_min": -1.0 if group.top else _number(group.low),
        "bin_max": _number(group.high),
        "bin_contains": -1.0 if group.top else _number(group.share),
        "tokens": list(example.tokens),
        "values": _plain(example.values),
        "qualifying_token_index": example.at,
    }


def _plain(values: Sequence[float]) -> list[float]:
    return [_number(value) for value in values]


def _number(value: float) -> float:
    """Six digits are what a screen needs; JSON has neither NaN nor infinities."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else 0.0
