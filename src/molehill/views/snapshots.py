"""A word's journey over training as data: paths by snapshot in one basis, where they part by step.

The data hold every snapshot's paths, so that a page can scrub training and layers without asking
for more. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from molehill.journey.snapshots import Replay, ReplayBasis
from molehill.views.words import after, enumerated, numbered, percent, point_mark, significant

__all__ = ["SCHEMA", "snapshots_data"]

SCHEMA = "molehill.snapshots/1"

_DIGITS = 5
_LITTLE = 0.3
"""Of a snapshot's variance: where two axes hold less, the picture says little of it."""


def snapshots_data(
    found: Replay, *, version: str, run: str, kept: int | None = None
) -> dict[str, Any]:
    """A replay as plain values without NaN.

    Args:
        version: of Molehill, for the provenance.
        run: the run's name.
        kept: how many models the run keeps, where fewer are shown.

    Returns:
        Among other things `steps`, one per snapshot; `bases` with `paths` as
        [snapshot][sentence][point][axis], `explained` over all and `by_snapshot`; `pairs` with
        `distances` as [snapshot][point], without learned positions, and `parts_at`, a point's
        number or None, by snapshot.
    """
    names = list(found.points)
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "word": found.word,
        "run": run,
        "summary": [],
        "points": [
            {
                "name": point,
                "after": after(point, found.points),
                "mark": point_mark(point, found.points),
                "short": point_mark(point, found.points, short=True),
            }
            for point in names
        ],
        "sentences": [
            {
                "number": number,
                "text": one.text,
                "word_at": list(one.span),
                "positions": list(one.positions),
                "pieces": list(one.pieces),
            }
            for number, one in enumerate(found.sentences, start=1)
        ],
        "steps": [
            {
                "step": one.step,
                "fingerprint": one.fingerprint,
                "near": [_near(words) for words in one.near],
                "own": [_near(words) for words in one.own],
            }
            for one in found.steps
        ],
        "pairs": [
            {
                "a": pair.a + 1,
                "b": pair.b + 1,
                "distances": _plain(pair.without_position),
                "with_position": None
                if pair.distances is pair.without_position
                else _plain(pair.distances),
                "parts_at": [None if at is None else names.index(at) for at in pair.parts_at],
            }
            for pair in found.pairs
        ],
        "bases": {name: _basis(basis) for name, basis in found.bases.items()},
        "basis": _first(found),
        "kept": len(found.steps) if kept is None else kept,
        "notes": [],
        "provenance": {"run": run, "dtype": found.dtype, "version": version},
    }
    data["notes"] = list(_notes(found, data))
    data["summary"] = list(_summary(data))
    return data


def _basis(basis: ReplayBasis) -> dict[str, Any]:
    return {
        "explained": _plain(basis.explained),
        "by_snapshot": _plain(basis.by_snapshot),
        "paths": _plain(basis.coordinates.tolist()),
    }


def _first(found: Replay) -> str:
    """The basis that is shown first: the joint one, unless the last snapshot is hardly in it (an
    untrained model's differences, of positions alone, may outweigh all that is learnt)."""
    name = next(iter(found.bases))
    seen = sum(found.bases[name].by_snapshot[-1][:2])
    return "outcome" if "outcome" in found.bases and seen < _LITTLE else name


def _near(words) -> list[dict[str, Any]]:
    return [
        {"piece": one.piece, "score": significant(one.score, 4)}
        | ({} if one.probability is None else {"probability": significant(one.probability, 3)})
        for one in words
    ]


def _plain(values: Any) -> Any:
    if isinstance(values, float | int):
        return significant(float(values), _DIGITS)
    return [_plain(value) for value in values]


def _notes(found: Replay, data: dict[str, Any]) -> Iterable[str]:
    shown, kept = len(data["steps"]), data["kept"]
    if shown < kept:
        yield f"{shown} of the {kept} models that the run keeps are shown, chosen evenly."
    yield (
        "A basis is fitted once, to all snapshots, sentences and points together: what moves in "
        "the picture moved in the model. It holds for this run only."
    )
    if found.positions.any():
        places = [one["positions"][-1] for one in data["sentences"]]
        yield (
            "This model adds a learned vector for each position, and the word stands at positions "
            f"{enumerated(places)}. For distances and differences the position's own row, as far "
            "as it has come, is taken off: what is left is what the words around made of it."
        )
    if "outcome" in found.bases:
        yield (
            "Only the basis “outcome” is fitted to one snapshot, the last: its axes are those "
            "along which the sentences differ there. What lay elsewhere before is not seen in it, "
            "so earlier paths look shorter."
        )
    yield (
        "Two paths part at the first point from which on their distance never falls below half of "
        "its largest value at that snapshot; below 0.05 they do not part, and "
        "where the end is nearer than that half they come together again."
    )


def _summary(data: dict[str, Any]) -> Iterable[str]:
    steps = [one["step"] for one in data["steps"]]
    count = numbered(len(data["sentences"]), "sentence")
    yield (
        f"“{data['word']}” in {count}, replayed over {numbered(len(steps), 'snapshot')} of "
        f"{data['run']}, from step {steps[0]:,} to {steps[-1]:,}."
    )
    if data["pairs"]:
        yield from _parting(data, steps)
    name = data["basis"]
    plane = data["bases"][name]
    shares = [sum(axes[:2]) for axes in plane["by_snapshot"]]
    yield (
        f"Two axes of the basis “{name}” hold {percent(sum(plane['explained'][:2]))} of all "
        f"variance; of single snapshots {percent(min(shares))} to {percent(max(shares))}."
    )


def _parting(data: dict[str, Any], steps: list[int]) -> Iterable[str]:
    """Which two sentences end furthest apart, and since when; who is furthest at the end."""
    ends = [(pair["distances"][-1][-1], pair) for pair in data["pairs"]]
    distance, pair = max(ends, key=lambda one: one[0] or 0.0)
    over = [row[-1] for row in pair["distances"]]
    least = min(range(len(over)), key=lambda place: over[place] or 0.0)
    told = f"Sentences {pair['a']} and {pair['b']} end furthest apart, {distance:.2f}"
    if 0 < least < len(steps) - 1:
        told += (
            f" after {over[0]:.2f} at step {steps[0]:,} and {over[least]:.2f} at {steps[least]:,}"
        )
    else:
        told += f"; {over[0]:.2f} at step {steps[0]:,}"
    yield f"{told} (0 is one place, 1.41 a right angle)."
    at = pair["parts_at"][-1]
    if at is not None:
        since = len(steps) - 1
        while since and pair["parts_at"][since - 1] == at:
            since -= 1
        yield f"At the end they part {data['points'][at]['after']}, as since step {steps[since]:,}."
