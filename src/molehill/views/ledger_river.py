"""A ledger as a river: what each source word, head, neuron, feature and layer brings to the sum.

Rows run from where they come from (a source word, or the token itself) through what wrote them (a
head, a neuron, a feature) and its layer into the whole, at three levels of detail. The largest of
each column are named; all others of a kind are one band, named with their count, so that at every
level the flows add up to what the model computed. A flow is the net of the rows that it gathers;
how much of them is above and how much below nothing stands beside it. This module draws nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from molehill.journey.ledger import Reading
from molehill.journey.parts import Part
from molehill.views.words import bare, component, significant

__all__ = ["LEVELS", "river_data"]

LEVELS = {
    "words": ("source", "writer", "layer", "sum"),
    "writers": ("writer", "layer", "sum"),
    "layers": ("layer", "sum"),
}
"""The columns of each level, from what brings to the whole."""

_MOST = {"source": 10, "writer": 16, "layer": 12}
"""Nodes of a column that are named; in a river of layers alone there is room for twice as many."""

_WRITERS = {"head": "heads", "neuron": "neurons", "feature": "features"}
_NAMED = ("embedding", "position", "type", "start", "feature", "error")


@dataclass(frozen=True)
class _Event:
    """Rows that run together: their source, writer and layer, as far as these have names here."""

    source: tuple
    writer: tuple
    layer: tuple
    rows: Tensor

    @property
    def sides(self) -> tuple[int, float, float]:
        """How many rows, and what those above and those below nothing add up to."""
        above = float(self.rows.clamp(min=0).sum())
        return self.rows.numel(), above, float(self.rows.clamp(max=0).sum())


@dataclass(frozen=True)
class _Column:
    """Which keys of a column have a band of their own, and how many there are of each kind."""

    named: frozenset[tuple]
    counts: Mapping[str, int]

    def shown(self, key: tuple) -> tuple:
        """The key of the band that a key's rows run in."""
        return key if not key[2] or key in self.named else (key[0], "", ())


def river_data(reading: Reading, digits: int) -> dict[str, Any]:
    """The rivers of all levels, as plain values.

    Each level has `columns`, `nodes` (`column`, `kind`, `name`, how many `others` it gathers and of
    how many `rows`, `value`; `up` and `down`, what its flows above and below nothing add up to;
    `rows_up` and `rows_down`, the same of its single rows) and `flows` (`path`, a node in each
    column from where it begins, `rows`, `value`). At every node what comes in is what goes out, on
    either side of nothing; the last node's `value` is the sum.
    """
    return {level: _level(reading, columns, digits) for level, columns in LEVELS.items()}


# --- what has a name ----------------------------------------------------------------------------


def _columns(reading: Reading, columns: Sequence[str]) -> dict[str, _Column]:
    """The keys that bring most, on either side; and what stands by itself."""
    found = {"source": _sources, "writer": _writers, "layer": _layers}
    room = 2 if columns[0] == "layer" else 1
    return {
        name: _column(found[name](reading, room * _MOST[name] + 1), room * _MOST[name])
        for name in columns[:-1]
    }


def _column(found: tuple[list[tuple[tuple, float]], Mapping[str, int]], most: int) -> _Column:
    candidates, counts = found
    order = [key for key, _ in sorted(candidates, key=lambda one: -abs(one[1])) if key[2]]
    named = set(order[:most])
    for kind, count in counts.items():
        # One that is left over takes no more room under its own name.
        if count - sum(key[0] == kind for key in named) == 1:
            named |= {key for key in order if key[0] == kind}
    return _Column(frozenset(named), counts)


def _parts(reading: Reading) -> Iterator[tuple[Part, Tensor]]:
    for part, value in zip(reading.ledger.parts, reading.values, strict=True):
        yield part, value.double()


def _sources(reading: Reading, most: int) -> tuple[list[tuple[tuple, float]], Mapping[str, int]]:
    sums: dict[int, Tensor] = {}
    for part, value in _parts(reading):
        if part.kind == "head":
            sums[part.side] = sums.get(part.side, 0.0) + value.sum(0)
    found = [
        (_source(reading, side, place), float(values[place]))
        for side, values in sums.items()
        for place in _largest(values, most)
    ]
    return found, {"source": sum(map(len, sums.values()))}


def _writers(reading: Reading, most: int) -> tuple[list[tuple[tuple, float]], Mapping[str, int]]:
    found, counts = [], Counter[str]()
    for part, value in _parts(reading):
        if part.kind != "head" and not part.by_column:
            continue
        sums = value.sum(1) if part.kind == "head" else value
        counts[part.kind] += len(sums)
        found += [(_writer(part, place), float(sums[place])) for place in _largest(sums, most)]
    return found, counts


def _layers(reading: Reading, most: int) -> tuple[list[tuple[tuple, float]], Mapping[str, int]]:
    found, counts = [], Counter[str]()
    for part, value in _parts(reading):
        key = _layer(part)
        found.append((key, float(value.sum())))
        counts[key[0]] += 1
    return found, counts


def _largest(values: Tensor, most: int) -> list[int]:
    return values.abs().topk(min(most, len(values))).indices.tolist()


def _source(reading: Reading, side: int, place: int) -> tuple:
    return ("source", bare(reading.ledger.piece(side, place)), (side, place))


def _writer(part: Part, place: int) -> tuple:
    if part.numbers is not None:
        number = int(part.numbers[place])
        return ("feature", f"feature {number}", (number, place))
    return (part.kind, f"{part.kind} {part.layer}.{place}", (part.layer, place))


def _layer(part: Part) -> tuple:
    """The component that a part is of: attention or MLP of a layer, or what stands by itself. All
    biases are one."""
    if part.kind == "bias":
        return ("bias", "biases", ())
    if part.kind in _NAMED or part.layer is None:
        return (part.kind, part.name, ())
    kind = "attention" if part.kind == "head" else "MLP"
    return (kind, component(f"{part.layer} {part.name}"), (part.layer,))


# --- one level ----------------------------------------------------------------------------------


def _events(reading: Reading, columns: Mapping[str, _Column]) -> Iterator[_Event]:
    """All rows, those of one path together."""
    for part, value in _parts(reading):
        layer = columns["layer"].shown(_layer(part))
        if part.kind == "head":
            heads = _bands(len(value), lambda head, of=part: _writer(of, head), columns, "writer")
            places = _bands(
                value.shape[1],
                lambda place, side=part.side: _source(reading, side, place),
                columns,
                "source",
            )
            for writer, own in heads:
                for source, here in places:
                    yield _Event(source, writer, layer, value[own][:, here])
        elif part.by_column:
            for writer, own in _bands(
                len(value), lambda place, of=part: _writer(of, place), columns, "writer"
            ):
                yield _Event((), writer, layer, value[own])
        else:
            yield _Event(layer, layer, layer, value.reshape(-1))
    if reading.constant:
        own = ("constant", "the reader's own bias", ())
        yield _Event(own, own, own, torch.tensor([reading.constant], dtype=torch.float64))


def _bands(
    count: int, key: Callable[[int], tuple], columns: Mapping[str, _Column], name: str
) -> list[tuple[tuple, Tensor]]:
    """Which of `count` things run in which band; a column that is not there parts nothing."""
    every = torch.arange(count)
    if name not in columns:
        return [((), every)]
    kind = key(0)[0]
    places = {more[-1] for one, _, more in columns[name].named if one == kind}
    own = sorted(place for place in places if place < count and key(place) in columns[name].named)
    left = torch.ones(count, dtype=torch.bool)
    left[own] = False
    bands = [(key(place), every[place : place + 1]) for place in own]
    return [*bands, *([((kind, "", ()), every[left])] if left.any() else [])]


def _level(reading: Reading, columns: Sequence[str], digits: int) -> dict[str, Any]:
    shown = _columns(reading, columns)
    nodes: dict[tuple[int, tuple], list[int | float]] = {}
    flows: dict[tuple[tuple[int, tuple], ...], list[int | float]] = {}
    for event in _events(reading, shown):
        keys = [_WHOLE if name == "sum" else getattr(event, name) for name in columns]
        path = tuple((number, key) for number, key in enumerate(keys) if key)
        count, up, down = event.sides
        for node in path:
            _add(nodes.setdefault(node, [0, 0.0, 0.0]), (count, up, down))
        _add(flows.setdefault(path, [0, 0.0]), (count, float(event.rows.sum())))
    return _told(columns, shown, nodes, flows, digits)


_WHOLE = ("sum", "the sum", ())


def _add(held: list, more: Sequence) -> None:
    for place, one in enumerate(more):
        held[place] += one


_PLURALS = {"source": "words", "attention": "attention layers", "MLP": "MLPs", **_WRITERS}


def _told(
    columns: Sequence[str],
    shown: Mapping[str, _Column],
    nodes: Mapping[tuple[int, tuple], list[int | float]],
    flows: Mapping[tuple[tuple[int, tuple], ...], list[int | float]],
    digits: int,
) -> dict[str, Any]:
    """Nodes in the order in which they stand in their columns, and flows along them."""
    order = sorted(nodes, key=_standing)
    place = {node: number for number, node in enumerate(order)}
    sides = [[0.0, 0.0] for _ in order]
    told: list[tuple[list[int], int | float, int | float]] = []
    for path, (count, value) in flows.items():
        places = [place[node] for node in path]
        for node in places:
            sides[node][value < 0] += value
        if value != 0:
            told.append((places, count, value))
    return {
        "columns": list(columns),
        "nodes": [
            _node(node, shown, nodes[node], sides[number], digits)
            for number, node in enumerate(order)
        ],
        "flows": [
            {"path": path, "rows": count, "value": significant(value, digits)}
            for path, count, value in sorted(told, key=lambda one: one[0])
        ],
    }


_KINDS = ("embedding", "position", "type", "start", "source", "head", "neuron", "attention", "MLP")
_KINDS += ("feature", "bias", "error", "constant", "sum")


def _standing(node: tuple[int, tuple]) -> tuple:
    """What comes first in the model stands first; what is not named stands below what is."""
    column, (kind, name, more) = node
    layered = kind in ("attention", "MLP", "head", "neuron")
    at = _KINDS.index("attention" if layered else kind)
    step = (more[0], kind in ("MLP", "neuron"), more[-1]) if layered and more else more
    return (column, at, not name, step, kind, name)


def _node(
    node: tuple[int, tuple],
    shown: Mapping[str, _Column],
    rows: Sequence[int | float],
    sides: Sequence[int | float],
    digits: int,
) -> dict[str, Any]:
    number, (kind, name, more) = node
    others = 0
    if not name:
        column = [*shown.values()][number]
        others = column.counts[kind] - sum(key[0] == kind for key in column.named)
    (up, down), (count, rows_up, rows_down) = sides, rows
    told: dict[str, Any] = {
        "column": number,
        "kind": kind,
        "name": name or f"{others:,} other {_PLURALS[kind]}",
        "others": others,
        "rows": count,
        "value": significant(up + down, digits),
        "up": significant(up, digits),
        "down": significant(down, digits),
        "rows_up": significant(rows_up, digits),
        "rows_down": significant(rows_down, digits),
    }
    return told | (dict(zip(_OPENED[kind], more, strict=False)) if more else {})


_OPENED = {
    "source": ("side", "source"),
    "head": ("layer", "head"),
    "neuron": ("layer", "neuron"),
    "feature": ("feature",),
    "attention": ("layer",),
    "MLP": ("layer",),
}
"""What is needed to look at the thing itself."""
