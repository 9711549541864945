"""A word's journey replayed over training: its paths at one snapshot after another, in one basis.

    found = replay(snapshot_models("runs/first", steps), "mole", sentences)
    found.pairs[0].parts_at       # where two sentences' paths part, by snapshot

All snapshots of one run share the axes of their stream: training moves weights by small steps, and
never exchanges one axis for another. So one basis for all of them is fair; for different runs it
would not be. Models come one by one and are let go: what is kept of each is a vector by sentence
and point, and a few words. This module knows no files and no run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from molehill.errors import TextError
from molehill.journey.basis import joint_basis
from molehill.journey.capture import capture
from molehill.journey.lens import Near, nearest, set_apart
from molehill.journey.paths import carriers, journeys, points_of, uses_by_text
from molehill.journey.shift import MOLE_SENTENCES, parting_point
from molehill.journey.showing import few
from molehill.journey.unknown import refuse_unknown
from molehill.language_model import LanguageModel
from molehill.text.tokens import Occurrence, Tokens

__all__ = ["Replay", "ReplayBasis", "ReplayPair", "ReplaySentence", "ReplayStep", "replay"]

_STREAM = ("embed", "resid_pre", "resid_mid", "resid_post", "final")


@dataclass(frozen=True)
class ReplaySentence:
    """One of the sentences, which every snapshot read alike.

    Attributes:
        text: as it was given.
        pieces, positions: its tokens, and those that carry the word.
        span: where the word stands in it, in characters.
    """

    text: str
    pieces: tuple[str, ...]
    positions: tuple[int, ...]
    span: tuple[int, int]


@dataclass(frozen=True)
class ReplayStep:
    """What one snapshot says at the end of the word's journey.

    Attributes:
        near: by sentence, the words that the vector is nearest to at the last point.
        own: by sentence, the words that set it apart from the other sentences there.
    """

    step: int
    fingerprint: str
    near: tuple[tuple[Near, ...], ...]
    own: tuple[tuple[Near, ...], ...]


@dataclass(frozen=True)
class ReplayPair:
    """Two of the sentences.

    Attributes:
        distances: [snapshot][point], |a - b| against the root mean square of |a| and |b|: 0 is one
            place, 1.41 a right angle.
        without_position: the same with the position's own row taken off both vectors: what the
            words around made of it. Without learned positions, the same numbers.
        parts_at: by snapshot, the first point from which on `without_position` never falls below
            half of its largest value; None where the two do not part, or come together again.
    """

    a: int
    b: int
    distances: tuple[tuple[float, ...], ...]
    without_position: tuple[tuple[float, ...], ...]
    parts_at: tuple[str | None, ...]


@dataclass(frozen=True, eq=False)
class ReplayBasis:
    """Axes that all snapshots share.

    Attributes:
        axes: unit vectors at right angles [axis, d_model].
        explained: the share of all points' variance along each axis.
        by_snapshot: [snapshot][axis], the same of each snapshot's own points about their mean: how
            much of that moment the picture shows.
        coordinates: [snapshot, sentence, point, axis].
    """

    axes: Tensor
    explained: tuple[float, ...]
    by_snapshot: tuple[tuple[float, ...], ...]
    coordinates: Tensor


@dataclass(frozen=True, eq=False)
class Replay:
    """A word's journeys at every snapshot.

    Attributes:
        points: of the journey, in order.
        vectors: where the word stands [snapshot, sentence, point, d_model].
        positions: what the position's own row has become there; zero without learned ones.
        bases: by name, one basis for all snapshots, sentences and points. `directions` is of unit
            vectors, `raw` of the vectors themselves. With two sentences or more there are
            `differences`, of the vectors without their position's row, at length one, with the mean
            of all sentences at the same snapshot and point taken off; and `outcome`, of these too,
            whose axes are the last snapshot's: what tells the sentences apart at the end, and how
            much of it was there before.
    """

    word: str
    model: str
    dtype: str
    points: tuple[str, ...]
    sentences: tuple[ReplaySentence, ...]
    steps: tuple[ReplayStep, ...]
    pairs: tuple[ReplayPair, ...]
    vectors: Tensor
    positions: Tensor
    bases: dict[str, ReplayBasis]

    def __repr__(self) -> str:
        return few(
            f"Replay of {self.word!r} in {len(self.sentences)} sentences over "
            f"{len(self.steps)} snapshots, {len(self.points)} points each",
            [
                f"step {step.step}: " + ", ".join(repr(near[0].piece) for near in step.near if near)
                for step in self.steps
            ],
        )


def replay(
    models: Iterable[tuple[int, LanguageModel]],
    word: str,
    sentences: Sequence[str] = MOLE_SENTENCES,
    *,
    near: int = 5,
) -> Replay:
    """Follow `word` through `sentences` in one model after another.

    Args:
        models: steps with the models of one run, in order; each is let go before the next is asked
            for.
        near: how many near words are kept.

    Raises:
        TextError: no sentences or no models, the word is not in a sentence or the models do not
            know it, or models that differ in shape or vocabulary and so are not of one run.
    """
    if not sentences:
        raise TextError("Give at least one sentence that holds the word.")
    told: tuple[ReplaySentence, ...] = ()
    shape: tuple[object, ...] = ()
    name, dtype, points = "", "", ()
    steps, paths, placed = [], [], []
    for step, lm in models:
        tokens = lm.encode(list(sentences))
        words = [some[-1] for some in uses_by_text(tokens, word, given=sentences)]
        read = tuple(
            ReplaySentence(text, tuple(pieces), one.positions, (one.start, one.end))
            for text, pieces, one in zip(sentences, tokens.pieces, words, strict=True)
        )
        if not steps:
            told, shape, name = read, _shape(lm), lm.name
            dtype = str(lm.model.dtype).removeprefix("torch.")
            points = points_of(lm.model.config)
        elif (read, _shape(lm)) != (told, shape):
            raise TextError(
                f"The model of step {step:,} has another shape or vocabulary than the one before: "
                "a replay is of one run."
            )
        found, own = _paths(lm, tokens, words)
        paths.append(found.to("cpu"))
        placed.append(own.to("cpu"))
        steps.append(_step(step, lm, found, points, near))
    if not steps:
        raise TextError("There is no snapshot to replay: keep some by the recipe's [snapshots].")
    vectors, positions = torch.stack(paths), torch.stack(placed)
    pairs = tuple(
        _pair(vectors, positions, points, a, b) for a, b in combinations(range(len(told)), 2)
    )
    bases = _bases(vectors, positions)
    return Replay(word, name, dtype, points, told, tuple(steps), pairs, vectors, positions, bases)


def _shape(lm: LanguageModel) -> tuple[object, ...]:
    config = lm.model.config
    return (config.d_model, config.d_vocab, points_of(config))


def _paths(lm: LanguageModel, tokens: Tokens, words: Sequence[Occurrence]) -> tuple[Tensor, Tensor]:
    """Where the word stands in each sentence [sentence, point, d_model], and what the position's
    own row has become there, which is zero without learned ones."""
    config = lm.model.config
    if lm.model.w_pos is not None:
        followed = journeys(lm, tokens, words)
        own = [torch.stack([walked.position for walked in one.walk()]) for one in followed]
        return torch.stack([one.path() for one in followed]), torch.stack(own)
    places = [(word.text, carriers(config, word.positions)) for word in words]
    refuse_unknown(lm, tokens, places)
    device = lm.model.device
    held = capture(lm.model, tokens.ids.to(device), tokens.mask.to(device), places, only=_STREAM)
    paths = torch.stack(
        [torch.stack([one.at(point) for point in points_of(config)]) for one in held]
    )
    return paths, torch.zeros_like(paths)


def _step(
    step: int, lm: LanguageModel, paths: Tensor, points: Sequence[str], near: int
) -> ReplayStep:
    finished = points[-1] == "final"
    ends = paths[:, -1]
    readings = nearest(lm, ends, k=near, finished=[finished] * len(ends))
    own: tuple[tuple[Near, ...], ...] = ()
    if len(ends) > 1:
        apart = set_apart(lm, ends[:, None], k=near, finished=[finished])
        own = tuple(one[0].near for one in apart)
    return ReplayStep(step, lm.fingerprint, tuple(one.near for one in readings), own)


def _pair(vectors: Tensor, positions: Tensor, points: Sequence[str], a: int, b: int) -> ReplayPair:
    whole = _apart(vectors[:, a], vectors[:, b])
    words = vectors - positions
    without = _apart(words[:, a], words[:, b]) if positions.any() else whole
    return ReplayPair(a, b, whole, without, tuple(parting_point(each, points) for each in without))


def _apart(one: Tensor, other: Tensor) -> tuple[tuple[float, ...], ...]:
    """Relative distances [snapshot][point] of two paths [snapshot, point, d_model]."""
    one, other = one.double(), other.double()
    size = ((one.square().sum(-1) + other.square().sum(-1)) / 2).sqrt().clamp(min=1e-30)
    return tuple(map(tuple, ((one - other).norm(dim=-1) / size).tolist()))


def _bases(vectors: Tensor, positions: Tensor) -> dict[str, ReplayBasis]:
    """Each is fitted to all snapshots, sentences and points at once, `outcome` to the last."""
    unit = torch.nn.functional.normalize(vectors.double(), dim=-1)
    kinds = {"directions": unit, "raw": vectors.double()}
    first: dict[str, ReplayBasis] = {}
    if vectors.shape[1] > 1:
        words = torch.nn.functional.normalize((vectors - positions).double(), dim=-1)
        apart = words - words.mean(1, keepdim=True)
        first = {"differences": _basis(apart, apart), "outcome": _basis(apart, apart[-1:])}
    return first | {name: _basis(each, each) for name, each in kinds.items()}


def _basis(vectors: Tensor, fitted_to: Tensor) -> ReplayBasis:
    fitted = joint_basis(fitted_to.flatten(0, 1))
    coordinates = (vectors - fitted.mean) @ fitted.axes.T
    flat = vectors.flatten(0, -2)
    total = (flat - flat.mean(0)).square().sum().clamp(min=1e-30)
    seen = coordinates.flatten(0, -2)
    explained = ((seen - seen.mean(0)).square().sum(0) / total).tolist()
    whole = _variance(vectors).sum(-1, keepdim=True)
    shares = (_variance(coordinates) / whole.clamp(min=1e-30)).tolist()
    return ReplayBasis(fitted.axes, tuple(explained), tuple(map(tuple, shares)), coordinates)


def _variance(vectors: Tensor) -> Tensor:
    """By snapshot and axis, about the snapshot's own mean [snapshot, axis]."""
    flat = vectors.flatten(1, 2)
    return (flat - flat.mean(1, keepdim=True)).square().sum(1)
