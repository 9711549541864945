"""What kind of looking a head does, in one number each: for a glance over all heads of a model.

Every measure is a mean over the text's queries that have a choice (they see two tokens or more),
or over those of them that the measure speaks of. Previous, first and itself are the plain
positional heads; induction and duplicate follow Olsson et al., "In-context Learning and Induction
Heads" (2022), and Wang et al., "Interpretability in the Wild" (2022). They describe this text: a
head that looks back in one may rest in another. This file knows nothing of how they are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.journey.attention import Attention, HeadAttention, Toward

__all__ = ["MEASURES", "HeadMeasure", "Heads", "measure_heads"]


@dataclass(frozen=True)
class HeadMeasure:
    """One measure of heads."""

    name: str
    title: str
    told: str
    """What the number is, in one sentence."""
    unit: str
    """`share` (0 to 1), `bits`, `tokens`, or `length` (of a vector, or along one)."""
    signed: bool = False


MEASURES = (
    HeadMeasure(
        "previous",
        "token before",
        "The share of attention on the token just before, mean over queries that see it.",
        "share",
    ),
    HeadMeasure(
        "following",
        "token after",
        "The share of attention on the token just after, mean over queries that see it.",
        "share",
    ),
    HeadMeasure(
        "first",
        "first token",
        "The share of attention on the first token, mean over later queries that see it. Many "
        "heads rest there when they find nothing.",
        "share",
    ),
    HeadMeasure(
        "itself",
        "itself",
        "The share of attention on the query's own token, mean over queries that see others too.",
        "share",
    ),
    HeadMeasure(
        "duplicate",
        "same token elsewhere",
        "The share of attention on other copies of the query's token, mean over queries that see "
        "one.",
        "share",
    ),
    HeadMeasure(
        "induction",
        "what followed it earlier",
        "The share of attention on tokens that came right after an earlier copy of the query's "
        "token, mean over queries that see one.",
        "share",
    ),
    HeadMeasure(
        "entropy",
        "spread",
        "The entropy of the attention, mean over queries with a choice: 0 for one token, 3 as if "
        "over 8 alike.",
        "bits",
    ),
    HeadMeasure(
        "distance",
        "how far away",
        "How many tokens away it looks, weighted by attention, mean over queries with a choice.",
        "tokens",
    ),
    HeadMeasure(
        "adds",
        "how much it adds",
        "The length of the vector that the head adds, mean over all queries.",
        "length",
    ),
    HeadMeasure(
        "toward",
        "toward",
        "What the head adds to the chosen token, along the chosen direction.",
        "length",
        signed=True,
    ),
)
"""Every measure that there is. `following` has no meaning in a causal model."""

Heads = tuple[tuple[float | None, ...], ...]
"""[layer][head]; None where no query is there to be measured."""


def measure_heads(
    attention: Attention,
    toward: Toward,
    position: int = -1,
    *,
    hear: Callable[[HeadAttention], None] = lambda head: None,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> Mapping[str, Heads]:
    """Every measure of every head.

    Args:
        position: the token at which `toward` is measured; -1 is the last.
        hear: is given every head's matrices in turn, which are let go afterwards.
        tell: hears how many layers are done, of how many.

    Returns:
        By the names of `MEASURES`, [layer][head].
    """
    config = attention.model.config
    found: dict[str, list[tuple[float | None, ...]]] = {
        one.name: [] for one in MEASURES if one.name != "following" or not config.causal
    }
    by_window: dict[int | None, _Places] = {}
    for layer in range(config.n_layers):
        window = config.window_of(layer)
        if window not in by_window:
            by_window[window] = _places(attention, layer)
        rows: list[dict[str, float | None]] = []
        for number in range(config.n_heads):
            head = attention.head(layer, number, toward)
            rows.append(_measured(head, by_window[window], position))
            hear(head)
        for name, values in found.items():
            values.append(tuple(row[name] for row in rows))
        tell(layer + 1, config.n_layers)
    return {name: tuple(values) for name, values in found.items()}


@dataclass(frozen=True, eq=False)
class _Places:
    """What a text's tokens are to one another, in layers of one window."""

    choice: Tensor  # [query] whether it sees more than one token
    distance: Tensor  # [query, key]
    marks: Mapping[str, tuple[Tensor, Tensor, int]]
    """Where a share is looked for, as (queries, keys), and by how many queries; only what is
    seen."""


def _places(attention: Attention, layer: int) -> _Places:
    seen = attention.visible(layer)
    place = torch.arange(len(attention), device=seen.device)
    ahead = place[None, :] - place[:, None]
    ids = torch.tensor(attention.ids, device=seen.device)
    same = ids[:, None] == ids[None, :]
    followed = torch.zeros_like(same)
    followed[:, 1:] = same[:, :-1] & (ahead[:, :-1] < 0)
    choice = seen.sum(1) > 1
    marks = {
        "previous": ahead == -1,
        "following": ahead == 1,
        "first": (place[None, :] == 0) & (ahead < 0),
        "itself": (ahead == 0) & choice[:, None],
        "duplicate": same & (ahead != 0),
        # An earlier copy just before: what followed it is the query itself.
        "induction": followed & (ahead != 0),
    }
    found = {}
    for name, mark in marks.items():
        queries, keys = (mark & seen).nonzero(as_tuple=True)
        found[name] = (queries, keys, len(queries.unique()))
    return _Places(choice, ahead.abs().to(attention.captured.dtype), found)


def _measured(head: HeadAttention, places: _Places, position: int) -> dict[str, float | None]:
    assert head.toward is not None, "heads are measured toward something"
    pattern = head.pattern
    found: dict[str, float | None] = {}
    for name, (queries, keys, count) in places.marks.items():
        # A mean over queries of a sum over keys, where only a few pairs are looked at.
        found[name] = float(pattern[queries, keys].sum()) / count if count else None
    bits = torch.special.entr(pattern).sum(1) / math.log(2)
    found["entropy"] = _mean(bits, places.choice)
    found["distance"] = _mean(torch.linalg.vecdot(pattern, places.distance), places.choice)
    found["adds"] = float(head.adds.mean())
    found["toward"] = float(head.toward[position].sum())
    return found


def _mean(values: Tensor, which: Tensor) -> float | None:
    return float(values[which].mean()) if bool(which.any()) else None
