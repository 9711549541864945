"""One word in several sentences: how its vector moves from one shared start, where the paths part,
and what parted them.

This is the main question that Molehill answers. The record holds everything that a picture of it
needs and nothing of how it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import torch
from torch import Tensor

from molehill.errors import TextError
from molehill.journey.basis import Basis, joint_basis
from molehill.journey.ledger import ClosingError, Ledger, Reading, Row, between
from molehill.journey.lens import LensReading, nearest, set_apart
from molehill.journey.parts import Walked
from molehill.journey.paths import Journey, journeys, uses_by_text
from molehill.journey.showing import clipped, few, largest
from molehill.journey.unknown import unknown_note, unknown_words
from molehill.language_model import LanguageModel
from molehill.text.tokens import Occurrence, Tokens

__all__ = [
    "MOLE_SENTENCES",
    "PartedAt",
    "PartedSide",
    "Parting",
    "Shift",
    "ShiftPair",
    "ShiftSentence",
    "Source",
    "Step",
    "part_at",
    "parting_point",
    "shift",
]

MOLE_SENTENCES = (
    "In the garden a small blind animal dug a tunnel under the lawn: it was a mole.",
    "The agency learned that the traitor who sold its secrets to the enemy was a mole.",
    "In chemistry the amount of a substance, its number of molecules, is measured by the mole.",
    "The Mexican cook served the turkey with chili, chocolate and a dark sauce called mole.",
    "The doctor looked at the dark spot on the skin of her arm and said it was only a mole.",
    "Stones were sunk to keep the waves from the ships, and the harbour was closed by a mole.",
)
"""Six senses of one word, each told before the word is reached: a causal model has seen its
context."""


@dataclass(frozen=True)
class Source:
    """What all heads of all layers together brought from one token.

    Attributes:
        side: which of two sentences the token stands in, where two are compared; else 0.
        position, piece: the token.
        share: of the length that is told, positive or negative.
    """

    side: int
    position: int
    piece: str
    share: float


@dataclass(frozen=True)
class Step:
    """One step of a journey: from the point before to `point`.

    Attributes:
        norm: the vector's length here.
        step: the length of what was added.
        near: the words that it is nearest to here.
        own: the words that set it apart from the other sentences here (scores in standard
        deviations).
        rows: what was added, the rows that matter most first (projected on the step itself).
        closing_error: of the ledger at this point.
    """

    point: str
    norm: float
    step: float
    near: LensReading
    own: LensReading
    rows: tuple[Row, ...]
    closing_error: float


@dataclass(frozen=True, eq=False)
class ShiftSentence:
    """One sentence's journey.

    Attributes:
        text: as it was given.
        read: what the model read (the text twice, perhaps).
        pieces: the tokens of that.
        spans: where each token stands in `read`, in characters; (0, 0) for those that no text
        stands behind.
        positions: the tokens that carry the word.
        surface, rule: the word as it stands there and how it was found.
        span: where it stands in `read`, in characters.
        vectors: where the word stands at every point [point, d_model].
        steps: one per point.
        movers: the rows that make up most of the whole move, at the last point.
        sources: what was brought from each token, the largest first.
        by_source, by_component: shares of the whole move's length; they add up to it with the rest.
        closing_error: of the ledger at the last point.
    """

    text: str
    read: str
    pieces: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]
    surface: str
    rule: str
    span: tuple[int, int]
    vectors: Tensor
    steps: tuple[Step, ...]
    movers: tuple[Row, ...]
    sources: tuple[Source, ...]
    by_source: dict[str, float]
    by_component: dict[str, float]
    closing_error: ClosingError


@dataclass(frozen=True)
class Parting:
    """What makes the difference between two journeys at one point; all shares add up to the
    distance.

    Attributes:
        distance: the length of the difference.
        rows: the rows with the largest shares; `side` says whose sentence a head's source stands
        in. sources: what was brought from each token of either sentence, the largest first.
        by_source, by_head, by_component: the shares added up, the largest first.
    """

    point: str
    distance: float
    rows: tuple[Row, ...]
    sources: tuple[Source, ...]
    by_source: dict[str, float]
    by_head: dict[str, float]
    by_component: dict[str, float]
    closing_error: ClosingError

    def __repr__(self) -> str:
        return few(
            f"Parting at {self.point}: {self.distance:.4g} apart, to within "
            f"{self.closing_error.relative:.1e}",
            [
                f"by part: {largest(self.by_component)}",
                f"by source: {largest(self.by_source)}",
                f"by head: {largest(self.by_head)}",
            ],
        )


@dataclass(frozen=True)
class ShiftPair:
    """Two of the sentences.

    Attributes:
        distances: at every point, |a - b| against the root mean square of |a| and |b|: 0 is one
        place, 1.41 a right angle.
        without_position: the same with the position's own row taken off both vectors: what the
            words around made of it. None without learned positions, where it would be the same.
        parts_at: the first point from which on that distance never falls below half of its largest
            value; None where the two never part (the largest is below 0.05).
        parting, end: what makes the difference there, and at the last point; None where rows were
        not asked for.
    """

    a: int
    b: int
    distances: tuple[float, ...]
    cosines: tuple[float, ...]
    without_position: tuple[float, ...] | None
    parts_at: str | None
    parting: Parting | None
    end: Parting | None

    def __repr__(self) -> str:
        parts = f"part at {self.parts_at}" if self.parts_at else "do not part"
        return (
            f"ShiftPair: sentences {self.a + 1} and {self.b + 1} {parts}, and end "
            f"{self.distances[-1]:.3g} apart"
        )


@dataclass(frozen=True)
class PartedSide:
    """One of two sentences that are compared: what was read, its tokens, where they stand in
    characters, and which carry the word."""

    read: str
    pieces: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class PartedAt:
    """Two sentences compared at one point."""

    sides: tuple[PartedSide, PartedSide]
    parting: Parting


@dataclass(frozen=True, eq=False)
class Shift:
    """A word's journeys through several sentences, side by side.

    Attributes:
        points: the points of the journey, in order.
        directions, raw: one fixed basis for all sentences and points, of the unit vectors and of
        the vectors themselves.
        closing_error: the largest of all ledgers that were opened, relative.
        notes: what a reader must know to read the result rightly.
        rows, near: how many rows each list of movers, and how many near words each point, was asked
            to keep.
    """

    word: str
    model: str
    fingerprint: str
    dtype: str
    twice: bool
    points: tuple[str, ...]
    sentences: tuple[ShiftSentence, ...]
    pairs: tuple[ShiftPair, ...]
    directions: Basis
    raw: Basis
    closing_error: float
    notes: tuple[str, ...]
    rows: int = 8
    near: int = 5

    def __repr__(self) -> str:
        count, twice = len(self.sentences), ", read twice" if self.twice else ""
        told = []
        for number, one in enumerate(self.sentences, start=1):
            near = one.steps[-1].own.near or one.steps[-1].near.near
            words = ", ".join(repr(each.piece) for each in near[:3])
            told.append(f"{number} {clipped(one.text, 44)} -> {words}")
        parted = sum(pair.parts_at is not None for pair in self.pairs)
        return few(
            f"Shift of {self.word!r} in {count} sentence{'s' if count > 1 else ''}{twice}: "
            f"{self.model} in {self.dtype}, {parted} of {len(self.pairs)} pairs part, to within "
            f"{self.closing_error:.1e}",
            told,
        )


def shift(
    lm: LanguageModel,
    word: str,
    sentences: Sequence[str] = MOLE_SENTENCES,
    *,
    twice: bool = False,
    rows: int = 8,
    near: int = 5,
    most_pairs: int = 28,
    before: Shift | None = None,
) -> Shift:
    """Follow `word` through `sentences`.

    Args:
        twice: let the model read each text twice and follow the word in the second reading: there
        a causal model has
            seen what comes after the word.
        rows: how many rows each list of movers keeps.
        near: how many near words each point keeps.
        most_pairs: for how many pairs the rows that part them are worked out; the notes say where
        it was not all.

    Raises:
        TextError: no sentences, the word is not in one of them, or the model does not know it.
    """
    if not sentences:
        raise TextError("Give at least one sentence that holds the word.")
    read = tuple(f"{text} {text}" for text in sentences) if twice else tuple(sentences)
    tokens = lm.encode(read)
    words, notes = _choose(tokens, word, sentences, twice)
    followed = journeys(lm, tokens, words)
    notes += _start_notes(followed, words)
    unread = unknown_note([unknown_words(lm, tokens, text) for text in range(len(tokens))])
    notes += [] if unread is None else [unread]
    if lm.model.config.causal and not twice:
        notes.append(
            "This model reads from left to right: the word has seen only what stands before it. "
            "Reading the text twice lets its second occurrence see it all."
        )
    points = followed[0].points
    paths = torch.stack([journey.path() for journey in followed])
    ends = [journey.ledger(points[-1]) for journey in followed]
    walks = [tuple(journey.walk()) for journey in followed]
    placed = torch.stack([torch.stack([walked.position for walked in walk]) for walk in walks])
    finished = [point == "final" for point in points]
    apart = set_apart(lm, paths, k=near, finished=finished)
    before = before if _serves(before, lm, word, twice, rows, near) else None
    known = {} if before is None else {one.read: one for one in before.sentences}
    told = tuple(
        _told_before(known.get(journey.text), journey, text, own)
        or _tell(lm, journey, walk, end, text, tokens, occurrence, path, own, rows, near)
        for journey, walk, end, text, occurrence, path, own in zip(
            followed, walks, ends, sentences, words, paths, apart, strict=True
        )
    )
    pairs, pair_errors = _pairs(
        followed, ends, paths, placed, rows, most_pairs, _known_pairs(before)
    )
    if len(pairs) > most_pairs:
        notes.append(f"What parts them was worked out for {most_pairs} of {len(pairs)} pairs.")
    errors = [step.closing_error for sentence in told for step in sentence.steps]
    unit = torch.nn.functional.normalize(paths, dim=-1)
    return Shift(
        word,
        lm.name,
        lm.fingerprint,
        str(lm.model.dtype).removeprefix("torch."),
        twice,
        points,
        told,
        pairs,
        joint_basis(unit),
        joint_basis(paths),
        max([*errors, *pair_errors]),
        tuple(notes),
        rows,
        near,
    )


def part_at(
    lm: LanguageModel,
    word: str,
    sentences: tuple[str, str],
    at: str,
    *,
    twice: bool = False,
    rows: int = 8,
) -> PartedAt:
    """What makes the difference between a word's vectors in two sentences, at any point.

    Raises:
        TextError: the word is not in one of them, or the model does not know it.
        SiteError: no such point.
    """
    read = tuple(f"{text} {text}" for text in sentences) if twice else sentences
    tokens = lm.encode(read)
    words, _ = _choose(tokens, word, sentences, twice)
    followed = journeys(lm, tokens, words)
    a, b = (
        PartedSide(one.text, one.pieces, tuple(tokens.spans[used.text]), one.positions)
        for one, used in zip(followed, words, strict=True)
    )
    return PartedAt((a, b), _parting(between(*(one.ledger(at) for one in followed)), rows))


def parting_point(
    distances: Sequence[float], points: Sequence[str], *, least: float = 0.05
) -> str | None:
    """The first point from which on the distance never falls below half of its largest value.

    None where the largest distance is below `least`: the paths do not part.
    """
    largest = max(distances)
    if largest < least:
        return None
    parted = len(distances)
    while parted > 0 and distances[parted - 1] >= largest / 2:
        parted -= 1
    return points[parted] if parted < len(points) else None


def _choose(
    tokens: Tokens, word: str, given: Sequence[str], twice: bool
) -> tuple[list[Occurrence], list[str]]:
    """One occurrence per text: the last one."""
    found = uses_by_text(tokens, word, given=given)
    notes = []
    most = 2 if twice else 1
    if several := [number + 1 for number, some in enumerate(found) if len(some) > most]:
        notes.append(
            f"The word stands more than once in sentence {_list(several)}: "
            "the last one is followed."
        )
    return [some[-1] for some in found], notes


def _start_notes(followed: Sequence[Journey], words: Sequence[Occurrence]) -> list[str]:
    starts = torch.stack([journey.vector("embed") for journey in followed])
    notes = []
    if apart := [n + 1 for n, start in enumerate(starts) if not torch.equal(start, starts[0])]:
        forms = sorted(
            {
                "".join(j.pieces[p] for p in w.positions)
                for j, w in zip(followed, words, strict=True)
            }
        )
        notes.append(
            f"Sentence {_list(apart)} starts elsewhere: the word has other tokens there "
            f"({', '.join(forms)})."
        )
    if first := [n + 1 for n, journey in enumerate(followed) if 0 in journey.positions]:
        notes.append(
            f"In sentence {_list(first)} the word is the first token, on which many "
            "models park attention: its vector "
            "there says little about the word. Put something before it."
        )
    long = [n + 1 for n, word in enumerate(words) if len(word.positions) > 1]
    if long:
        how = "the last of them" if followed[0].model.config.causal else "their mean"
        notes.append(
            f"In sentence {_list(long)} the word spans several tokens: {how} stands for it."
        )
    return notes


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


def _tell(
    lm: LanguageModel,
    journey: Journey,
    walk: Sequence[Walked],
    end: Ledger,
    text: str,
    tokens: Tokens,
    word: Occurrence,
    path: Tensor,
    apart: Sequence[LensReading],
    rows: int,
    near: int,
) -> ShiftSentence:
    points = journey.points
    finished = [point == "final" for point in points]
    readings = nearest(lm, path, k=near, finished=finished)
    steps = tuple(
        _step(journey, walked, path, number, reading, own, rows)
        for number, (walked, reading, own) in enumerate(zip(walk, readings, apart, strict=True))
    )
    move = end.move
    unit = move / move.norm().clamp(min=1e-30)
    reading = end.toward(unit)
    return ShiftSentence(
        text,
        journey.text,
        journey.pieces,
        tuple(tokens.spans[word.text]),
        journey.positions,
        journey.surface,
        word.rule,
        (word.start, word.end),
        path,
        steps,
        tuple(reading.top(rows)),
        _sources(reading),
        _sorted(reading.by("source")),
        _sorted(reading.by("component")),
        end.closing_error,
    )


def _step(
    journey: Journey,
    walked: Walked,
    path: Tensor,
    number: int,
    near: LensReading,
    own: LensReading,
    rows: int,
) -> Step:
    """What happened on the way to the point of this number. The last norm adds nothing but its
    bias."""
    vector = path[number]
    step = vector - path[number - 1] if number else vector
    size = float(step.norm())
    added = Ledger(walked.point, vector, walked.added, journey.pieces, journey.model)
    error = float((walked.total.double() - vector.double()).norm() / vector.double().norm())
    largest = tuple(added.top(rows, toward=step / max(size, 1e-30)))
    return Step(walked.point, float(vector.norm()), size, near, own, largest, error)


def _pairs(
    followed: Sequence[Journey],
    ends: Sequence[Ledger],
    paths: Tensor,
    placed: Tensor,
    rows: int,
    most: int,
    known: Mapping[tuple[str, str, str], ShiftPair],
) -> tuple[tuple[ShiftPair, ...], list[float]]:
    pairs: list[ShiftPair] = []
    errors: list[float] = []
    points = followed[0].points
    learned = followed[0].model.w_pos is not None
    for count, (a, b) in enumerate(combinations(range(len(followed)), 2)):
        distances, cosines = _apart(paths[a], paths[b])
        without = _apart(paths[a] - placed[a], paths[b] - placed[b])[0] if learned else None
        parts_at = parting_point(without or distances, points)
        parting = end = None
        if count < most and parts_at is not None:
            same = known.get((followed[a].text, followed[b].text, parts_at))
            if same is not None and same.parting is not None and same.end is not None:
                parting, end = same.parting, same.end
            else:
                parting = _parting(
                    between(followed[a].ledger(parts_at), followed[b].ledger(parts_at)), rows
                )
                end = _parting(between(ends[a], ends[b]), rows)
            errors += [parting.closing_error.relative, end.closing_error.relative]
        pairs.append(ShiftPair(a, b, distances, cosines, without, parts_at, parting, end))
    return tuple(pairs), errors


def _serves(
    before: Shift | None, lm: LanguageModel, word: str, twice: bool, rows: int, near: int
) -> bool:
    """Whether an earlier shift was asked the same of the same weights."""
    if before is None:
        return False
    asked = (word, lm.fingerprint, twice, rows, near)
    return asked == (before.word, before.fingerprint, before.twice, before.rows, before.near)


def _told_before(
    known: ShiftSentence | None, journey: Journey, text: str, apart: Sequence[LensReading]
) -> ShiftSentence | None:
    """A sentence as it was told before, with what sets it apart from the others of now."""
    if known is None or (known.text, known.positions) != (text, journey.positions):
        return None
    steps = tuple(replace(step, own=own) for step, own in zip(known.steps, apart, strict=True))
    return replace(known, steps=steps)


def _known_pairs(before: Shift | None) -> dict[tuple[str, str, str], ShiftPair]:
    """Pairs that were worked out already, by what was read of both and where they part."""
    if before is None:
        return {}
    read = [sentence.read for sentence in before.sentences]
    return {
        (read[pair.a], read[pair.b], pair.parts_at): pair
        for pair in before.pairs
        if pair.parts_at is not None
    }


def _apart(a: Tensor, b: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Relative distances and cosines of two paths [point, d_model], point by point."""
    a, b = a.double(), b.double()
    size = ((a.square().sum(-1) + b.square().sum(-1)) / 2).sqrt().clamp(min=1e-30)
    distances = (a - b).norm(dim=-1) / size
    cosines = torch.nn.functional.cosine_similarity(a, b, dim=-1)
    return tuple(distances.tolist()), tuple(cosines.tolist())


def _parting(difference: Ledger, rows: int) -> Parting:
    distance = difference.vector.norm()
    unit = difference.vector / distance.clamp(min=1e-30)
    reading = difference.toward(unit)
    return Parting(
        difference.at,
        float(distance),
        tuple(reading.top(rows)),
        _sources(reading),
        _sorted(reading.by("source")),
        _sorted(reading.by("head")),
        _sorted(reading.by("component")),
        difference.closing_error,
    )


def _sources(reading: Reading) -> tuple[Source, ...]:
    """Every token's sum over layers and heads."""
    sums: dict[int, Tensor] = {}
    for part, value in zip(reading.ledger.parts, reading.values, strict=True):
        if part.kind == "head":
            brought = value.double().sum(0)
            sums[part.side] = sums[part.side] + brought if part.side in sums else brought
    found = [
        Source(side, position, reading.ledger.piece(side, position), share)
        for side, shares in sums.items()
        for position, share in enumerate(shares.tolist())
    ]
    return tuple(sorted(found, key=lambda source: -abs(source.share)))


def _sorted(shares: dict[str, float]) -> dict[str, float]:
    return dict(sorted(shares.items(), key=lambda entry: -abs(entry[1])))
