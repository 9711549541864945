"""rewrite: facts become an edit of the weights, by one of several methods.

    rome          one layer, one fact, the least change that keeps other keys' answers
                  (Meng et al., 2022, equation 2)
    memit         several layers, many facts at once, the change spread over them
                  (Meng et al., 2023, equations 14 and 20)
    null-space    as memit, but confined to keys that other texts do not use
                  (AlphaEdit, Fang et al., 2025, equation 14)
    fine-tuning   plain gradient steps on one layer's down matrix
    constrained   the same with no weight moving further than a bound (Zhu et al., 2020)

All of them change down matrices (columns) alone. This module measures nothing of what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.edits import Change, FactEdit, LowRank, apply_edits
from molehill.facts.fact import Fact
from molehill.facts.fine_tuning import Tuning, fine_tune
from molehill.facts.keys import KeyStatistics
from molehill.facts.values import (
    Context,
    Learning,
    Value,
    contexts_of,
    keys_at,
    learn_values,
    streams_at,
)
from molehill.language_model import LanguageModel

__all__ = ["METHODS", "Method", "Settings", "null_space", "rewrite"]

Method = Literal["rome", "memit", "null-space", "fine-tuning", "constrained"]
METHODS: tuple[Method, ...] = get_args(Method)
_TOGETHER = 16
"""Facts whose values are learnt side by side."""


@dataclass(frozen=True)
class Settings:
    """How facts are rewritten."""

    layers: tuple[int, ...]
    """The last one is where values are learnt; methods of one layer use that one alone."""
    learning: Learning = field(default_factory=Learning)
    tuning: Tuning = field(default_factory=Tuning)
    prefixes: tuple[str, ...] = ()
    """Texts before the prompt, so that key and value do not depend on where it stands."""
    weight: float = 2000.0
    """memit: how much the keys of other texts count against those of the facts."""
    ridge: float = 1e-3
    """Damping, against the mean diagonal of the keys' second moment; in the null space, against
    the mean square of what the facts' keys have there."""
    kept: float = 0.5
    """null-space: the share of the energy of other texts' keys that the change may still meet. A
    few directions have most of it: in SmolLM2's layer 5 half of it is in 305 of 1,536, and a fact's
    key has two thirds of its own length squared outside of these. With 0.02 it has a twentieth, so
    that a change must be long, and moves other texts' answers nine times as much as `rome` does."""


def rewrite(
    lm: LanguageModel,
    facts: Fact | Sequence[Fact],
    method: Method,
    statistics: Mapping[int, KeyStatistics],
    settings: Settings,
    *,
    edits: Sequence[FactEdit] = (),
    values: Sequence[Value] | None = None,
    progress: Callable[[int], object] | None = None,
) -> FactEdit:
    """Make an edit that teaches facts to a model.

    Args:
        lm: the model without any edits.
        facts: one or several, with the objects that they are to have.
        method: see above.
        statistics: the key statistics of every layer in `settings.layers`; fine-tuning needs none.
        edits: what the model was edited by before; the new edit is made for the model as they
            leave it, and is to be applied after them.
        values: what `learn_value` gave for these facts at the last layer, where it was asked
            before; None learns them.
        progress: called with the number of facts whose values have been learnt.

    Raises:
        FactError: an unknown method, no facts, several for `rome`, statistics of another model or
            of other layers.
    """
    facts = [facts] if isinstance(facts, Fact) else list(facts)
    if method not in METHODS:
        raise FactError(f"The method is {method!r}, expected one of {', '.join(METHODS)}.")
    if not facts or (method == "rome" and len(facts) > 1):
        raise FactError(f"{method} was given {len(facts)} facts; rome takes one, the others any.")
    tunes = method in ("fine-tuning", "constrained")
    for layer in () if tunes else settings.layers:
        if layer not in statistics:
            raise FactError(f"There are no key statistics of layer {layer}: gather them first.")
        statistics[layer].check(lm)
    now = apply_edits(lm, edits)
    if tunes:
        changes, measured = fine_tune(
            now, facts, settings.layers[-1], settings.tuning, constrained=method == "constrained"
        )
    else:
        learnt = values or _learnt(now, facts, settings, progress)
        changes, measured = _by_keys(now, learnt, method, statistics, settings, edits)
    return FactEdit(
        method=method,
        facts=tuple(facts),
        changes=tuple(changes),
        model=lm.name,
        fingerprint=lm.fingerprint,
        after=tuple(edit.digest for edit in edits),
        settings=_told(settings, method, statistics),
        metrics=measured,
    )


def _told(
    settings: Settings, method: str, statistics: Mapping[int, KeyStatistics]
) -> dict[str, Any]:
    told: dict[str, Any] = asdict(settings)
    told["method"] = method
    told["keys"] = {
        str(layer): {
            "count": found.count,
            "data": found.data,
            "curve": [list(point) for point in found.curve],
        }
        for layer, found in statistics.items()
        if layer in settings.layers
    }
    return told


def _learnt(
    now: LanguageModel,
    facts: Sequence[Fact],
    settings: Settings,
    progress: Callable[[int], object] | None,
) -> list[Value]:
    values: list[Value] = []
    for first in range(0, len(facts), _TOGETHER):
        some = facts[first : first + _TOGETHER]
        last = settings.layers[-1]
        values += learn_values(now, some, last, settings.prefixes, settings.learning)
        if progress is not None:
            progress(len(some))
    return values


def _by_keys(
    now: LanguageModel,
    values: Sequence[Value],
    method: Method,
    statistics: Mapping[int, KeyStatistics],
    settings: Settings,
    edits: Sequence[FactEdit],
) -> tuple[list[Change], dict[str, Any]]:
    measured = {
        "steps": [len(value.losses) - 1 for value in values],
        "probability": [round(value.probability, 4) for value in values],
        "divergence": [round(value.divergence, 4) for value in values],
    }
    if method == "rome":
        return [_rome(now, values[0], statistics[settings.layers[-1]], settings)], measured
    return _spread(now, values, method, statistics, settings, edits), measured


def _down(layer: int) -> str:
    return f"blocks.{layer}.mlp.w_out"


def _rome(
    now: LanguageModel, value: Value, statistics: KeyStatistics, settings: Settings
) -> LowRank:
    """The change of rank one that answers the key with the value and, among those that do, moves
    the answers to other texts' keys the least."""
    key = value.key[:, None]
    _check_keys(key, value.layer)
    asked = statistics.inverse_times(key, settings.ridge)
    right = asked.T / (asked.T @ key)
    return LowRank(_down(value.layer), value.difference[:, None].float(), right.float())


def _spread(
    now: LanguageModel,
    values: Sequence[Value],
    method: Method,
    statistics: Mapping[int, KeyStatistics],
    settings: Settings,
    edits: Sequence[FactEdit],
) -> list[Change]:
    """Layer by layer from the lowest: each takes its share of what is still missing at the last."""
    last = settings.layers[-1]
    contexts = [_contexts(now, value.fact, settings) for value in values]
    wanted = torch.stack([value.difference for value in values], 1)  # [d_model, fact]
    goal = _streams(now, contexts, last) + wanted
    changes: list[Change] = []
    edited = now
    for number, layer in enumerate(settings.layers):
        missing = goal - _streams(edited, contexts, last)
        share = missing / (len(settings.layers) - number)
        keys = _means(keys_at, edited, contexts, layer)
        _check_keys(keys, layer)
        if method == "memit":
            right = _memit(keys, statistics[layer], settings)
        else:
            right = _confined(
                keys, _earlier(edited, edits, settings, layer), statistics[layer], settings
            )
        change = LowRank(_down(layer), share.float(), right.float())
        changes.append(change)
        edited = _with(edited, change)
    return changes


def _streams(lm: LanguageModel, contexts: Sequence[Sequence[Context]], layer: int) -> Tensor:
    """What the layer's MLP leaves at each fact's subject, the mean over contexts [d_model, fact].

    The stream after the layer, so that what lower layers have added already counts.
    """
    return _means(streams_at, lm, contexts, layer)


def _means(
    what: Callable[[LanguageModel, Sequence[Context], int], Tensor],
    lm: LanguageModel,
    contexts: Sequence[Sequence[Context]],
    layer: int,
) -> Tensor:
    """What `keys_at` or `streams_at` gives for each fact, the mean over its contexts [..., fact];
    one pass serves all facts."""
    found = what(lm, [one for some in contexts for one in some], layer)
    return torch.stack([own.mean(0) for own in found.split([len(some) for some in contexts])], 1)


def _check_keys(keys: Tensor, layer: int) -> None:
    """Refuse a fact that no neuron fires for: with ReLU that happens, and there is no key then."""
    if not bool(keys.any(0).all()):
        raise FactError(
            f"No neuron of layer {layer} fires at the subject of a fact, so that no change of its "
            "columns is read there: choose another layer."
        )


def _memit(keys: Tensor, statistics: KeyStatistics, settings: Settings) -> Tensor:
    """K' (weight C + K K')^-1 [fact, d_mlp], by the smaller of the two inverses."""
    asked = statistics.inverse_times(keys, settings.ridge) / settings.weight
    inner = torch.eye(keys.shape[1], dtype=torch.float64) + keys.T @ asked
    return torch.linalg.solve(inner, asked.T)


def _confined(
    keys: Tensor, earlier: Tensor, statistics: KeyStatistics, settings: Settings
) -> Tensor:
    """K' P (K_e K_e' P + K K' P + I)^-1 with P onto the directions that other texts' keys hardly
    use [fact, d_mlp]."""
    inside, before = (_into_null_space(some, statistics, settings.kept) for some in (keys, earlier))
    scale = settings.ridge * float(inside.square().sum(0).mean())
    every = torch.cat([before, inside], 1)
    # (scale I + M M')^-1 M is M (scale I + M' M)^-1, which is as small as there are facts.
    small = torch.linalg.inv(scale * torch.eye(every.shape[1]).double() + every.T @ every)
    return (every @ small)[:, before.shape[1] :].T


def null_space(statistics: KeyStatistics, kept: float) -> Tensor:
    """The eigenvectors of C with the smallest eigenvalues, as many as together hold the share
    `kept` of its trace [d_mlp, n]."""
    values, vectors = statistics.spectrum
    share = values.clamp(min=0).cumsum(0) / values.clamp(min=0).sum()
    return vectors[:, share <= kept]


def _into_null_space(keys: Tensor, statistics: KeyStatistics, kept: float) -> Tensor:
    """Keys [d_mlp, n] without what other texts use."""
    inside = null_space(statistics, kept)
    return inside @ (inside.T @ keys)


def _earlier(
    lm: LanguageModel, edits: Sequence[FactEdit], settings: Settings, layer: int
) -> Tensor:
    """The keys of the facts that earlier edits taught [d_mlp, fact]: they are to stay answered."""
    facts = [fact for edit in edits for fact in edit.facts]
    if not facts:
        return torch.zeros(lm.config.d_mlp, 0, dtype=torch.float64)
    contexts = [_contexts(lm, fact, settings) for fact in facts]
    return _means(keys_at, lm, contexts, layer)


def _contexts(lm: LanguageModel, fact: Fact, settings: Settings) -> list[Context]:
    return contexts_of(lm, fact, settings.prefixes, settings.learning.token)


def _with(lm: LanguageModel, change: LowRank) -> LanguageModel:
    """The model with one more change, for looking ahead."""
    edit = FactEdit("part", (), (change,), lm.name, "")
    return apply_edits(lm, [edit], force=True)
