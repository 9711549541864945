"""A shift as data: what `--json` prints, the page draws from and the text is written from.

Shares, names in plain words and the summary are worked out here, once, so that no two forms of the
view can disagree. The schema is described in docs/howto/shift.md. This module knows nothing of
terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from molehill.journey.axes import NamedAxes
from molehill.journey.basis import Basis, joint_basis
from molehill.journey.ledger import Row
from molehill.journey.lens import LensReading
from molehill.journey.shift import (
    PartedAt,
    PartedSide,
    Parting,
    Shift,
    ShiftPair,
    ShiftSentence,
    Source,
    Step,
)
from molehill.language_model import LanguageModel
from molehill.views.provenance import checked, provenance
from molehill.views.words import (
    after,
    clipped,
    component,
    enumerated,
    percent,
    point_mark,
    readable,
    significant,
    whole_word,
)

__all__ = [
    "MOST_ENTRIES",
    "PARTED",
    "SAME_PLACE",
    "SCHEMA",
    "far_apart",
    "first_to_part",
    "parted_data",
    "shift_data",
]

SCHEMA = "molehill.shift/1"
PARTED = "molehill.parted/1"

MOST_ENTRIES = 24
"""How many entries a list of shares names; what the rest add up to stands beside them."""

SAME_PLACE = 0.05
"""Two paths that end less than this apart count as one place in the summary."""


def shift_data(
    found: Shift,
    *,
    version: str,
    digits: int | None = None,
    features: dict[str, Any] | None = None,
    axes: NamedAxes | None = None,
) -> dict[str, Any]:
    """Everything that the views of a shift show, as plain values without NaN or infinities.

    Args:
        version: of Molehill, for the provenance.
        digits: significant digits of every number; None gives what the dtype carries, 7 or 15.
        features: which features part the paths (`parting_features`), if that was asked.
        axes: a basis of named axes (`axes_of`), if some were named.
    """
    digits = digits or (15 if found.dtype == "float64" else 7)
    sentences = [_sentence(found, number, digits) for number in range(len(found.sentences))]
    pairs = [_pair(found, pair, digits) for pair in found.pairs]
    data = {
        "schema": SCHEMA,
        "word": found.word,
        "summary": [],
        "closing_error": significant(found.closing_error, 3),
        "notes": list(found.notes),
        "provenance": {
            "model": found.model,
            "fingerprint": found.fingerprint,
            "dtype": found.dtype,
            "version": version,
            "checked": checked(found.model, found.fingerprint, found.dtype),
            "twice": found.twice,
        },
        "points": [
            {
                "name": point,
                "layer": int(point.partition(".")[0]) if "." in point else None,
                "after": after(point, found.points),
                "mark": point_mark(point, found.points),
            }
            for point in found.points
        ],
        "pairs": pairs,
        "sentences": sentences,
        "bases": {name: _basis(basis, digits) for name, basis in _bases(found).items()},
    }
    data["summary"] = _summary(data)
    if axes is not None:
        turned = [significant(angle, 3) for angle in axes.turned]
        named = {"names": list(axes.names), "turned": turned}
        data["bases"] = {"axes": named | _basis(axes.basis, digits)} | data["bases"]
        data["summary"].append(_along_axes(data["bases"]["axes"]))
    if features is not None:
        data["features"] = features
        data["summary"] += features["summary"]
    told = [pair for pair in pairs if pair["parting"]]
    if told:
        first = first_to_part(told)
        data["first_to_part"] = [first["a"], first["b"]]
    return data


def parted_data(
    lm: LanguageModel,
    found: PartedAt,
    *,
    numbers: tuple[int, int] = (1, 2),
    version: str,
    digits: int = 7,
) -> dict[str, Any]:
    """What parts two sentences at one point, as it stands in a pair of a shift.

    Args:
        numbers: what the two sentences are called.
    """
    told = _parting(found.sides, numbers, found.parting, digits)
    assert told is not None, "two sentences were compared"
    shares = [f"{kind['name']} {percent(kind['share'])}" for kind in told["kinds"][:3]]
    line = (
        f"At {told['point']} {numbers[0]} and {numbers[1]} lie {_number(told['distance'])} apart: "
        f"{enumerated(shares)}."
    )
    return {"schema": PARTED, "summary": [line], "provenance": provenance(lm, version)} | told


def _bases(found: Shift) -> dict[str, Basis]:
    """The bases that the paths can be drawn in; each is one basis for all paths and points.

    Most of a journey is common to all sentences. `differences` leaves that out: from every unit
    vector the mean of all paths at the same point is taken off, so that a shared start is one point
    and what the sentences do not share is all that is seen.
    """
    bases = {"directions": found.directions, "raw": found.raw}
    if len(found.sentences) < 2:
        return bases
    paths = torch.stack([sentence.vectors for sentence in found.sentences]).double()
    unit = torch.nn.functional.normalize(paths, dim=-1)
    return {"differences": joint_basis(unit - unit.mean(0))} | bases


def _basis(basis: Basis, digits: int) -> dict[str, Any]:
    return {
        "explained": [significant(share, digits) for share in basis.explained],
        "paths": _rounded(basis.coordinates.tolist(), min(digits, 6)),
    }


# --- sentences --------------------------------------------------------------------------------


def _sentence(found: Shift, number: int, digits: int) -> dict[str, Any]:
    sentence = found.sentences[number]
    words = [
        whole_word(sentence.read, span, piece)
        for span, piece in zip(sentence.spans, sentence.pieces, strict=True)
    ]
    whole = sum(sentence.by_component.values())
    steps = [
        _step(step, words, _spaced(found), digits, first=index == 0)
        for index, step in enumerate(sentence.steps)
    ]
    return {
        "number": number + 1,
        "text": sentence.text,
        "read": sentence.read,
        "word_at": list(_in_text(sentence)),
        "surface": sentence.surface,
        "found_by": sentence.rule,
        "carried_by": _carried_by(sentence),
        "positions": list(sentence.positions),
        "pieces": list(sentence.pieces),
        "spans": [list(span) for span in sentence.spans],
        "words": words,
        "closing_error": {
            "largest": significant(sentence.closing_error.largest, 3),
            "relative": significant(sentence.closing_error.relative, 3),
        },
        "moved": {
            "length": significant(whole, digits),
            "kinds": _kinds(sentence.by_source, sentence.sources, whole),
            "words": _words(sentence.sources, [words], whole, [number + 1], sentence.positions),
            "components": _shares(sentence.by_component, whole),
            "rows": [_row(row, [words], whole, digits, [number + 1]) for row in sentence.movers],
        },
        "steps": steps,
    }


def _step(
    step: Step, words: Sequence[str], spaced: bool, digits: int, *, first: bool
) -> dict[str, Any]:
    return {
        "norm": significant(step.norm, digits),
        "step": significant(step.step, digits),
        "next": _reading(step.near),
        "own": _reading(step.own),
        "own_words": readable((near.piece for near in step.own.near), 3, spaced=spaced),
        "rows": [] if first else [_row(row, [words], step.step, digits) for row in step.rows],
        "closing_error": significant(step.closing_error, 3),
    }


def _reading(reading: LensReading) -> list[dict[str, Any]]:
    """The words of a lens; probabilities only where the lens has them."""
    return [
        {"piece": near.piece, "score": significant(near.score, 4)}
        | ({} if near.probability is None else {"probability": significant(near.probability, 3)})
        for near in reading.near
    ]


def _in_text(sentence: ShiftSentence) -> tuple[int, int]:
    """Where the followed word stands in the text as it was given: the last reading, if several."""
    start, end = sentence.span
    offset = len(sentence.read) - len(sentence.text)
    return (start - offset, end - offset) if start >= offset else (start, end)


def _carried_by(sentence: ShiftSentence) -> str:
    names = [f"{place} {sentence.pieces[place]!r}" for place in sentence.positions]
    return f"token {names[0]}" if len(names) == 1 else f"the mean of tokens {enumerated(names)}"


def _spaced(found: Shift) -> bool:
    """Whether tokens say by a leading space that they begin a word."""
    return any(piece.startswith("·") for one in found.sentences for piece in one.pieces)


# --- shares -----------------------------------------------------------------------------------


def _row(
    row: Row,
    words: Sequence[Sequence[str]],
    whole: float,
    digits: int,
    numbers: Sequence[int] | None = None,
) -> dict[str, Any]:
    """One row of a ledger, with its share of what is told."""
    told: dict[str, Any] = {"kind": row.kind, "share": _share(row.toward, whole)}
    if row.kind == "head" and row.source is not None:
        told |= {"name": f"head {row.layer}.{row.head}", "layer": row.layer, "head": row.head}
        told |= {"source": row.source, "word": words[row.side][row.source]}
        if numbers is not None:
            told["sentence"] = numbers[row.side]
    elif row.kind == "neuron":
        told |= {"name": row.label, "layer": row.layer, "neuron": row.neuron}
    else:
        told |= {"name": component(row.label)}
    numerical = {"coefficient": row.coefficient, "norm": row.norm, "cosine": row.cosine}
    return told | {name: significant(value, min(digits, 4)) for name, value in numerical.items()}


def _share(value: float, whole: float) -> float | None:
    return significant(value / whole, 4) if whole else None


def _shares(sums: dict[str, float], whole: float) -> dict[str, Any]:
    """The largest entries and what the rest add up to."""
    entries = sorted(sums.items(), key=lambda entry: -abs(entry[1]))
    kept = [
        {"name": component(label), "share": _share(value, whole)}
        for label, value in entries[:MOST_ENTRIES]
    ]
    return _with_rest(kept, [value for _, value in entries[MOST_ENTRIES:]], whole)


def _with_rest(kept: list[dict[str, Any]], rest: list[float], whole: float) -> dict[str, Any]:
    return {"entries": kept, "rest": _share(sum(rest, 0.0), whole) or 0.0, "rest_count": len(rest)}


def _words(
    sources: Sequence[Source],
    words: Sequence[Sequence[str]],
    whole: float,
    numbers: Sequence[int],
    own: Sequence[int] | Sequence[Sequence[int]],
) -> dict[str, Any]:
    """Tokens' shares; a token that is the followed word itself says so."""
    places = [own] if own and isinstance(own[0], int) else own
    kept = [
        {
            "sentence": numbers[source.side],
            "position": source.position,
            "word": words[source.side][source.position],
            "share": _share(source.share, whole),
            # pyrefly: ignore[not-iterable] (a row of positions, not one of them)
            "itself": source.position in places[source.side],
        }
        for source in sources[:MOST_ENTRIES]
    ]
    return _with_rest(kept, [source.share for source in sources[MOST_ENTRIES:]], whole)


def _kinds(
    by_source: dict[str, float], sources: Sequence[Source], whole: float
) -> list[dict[str, Any]]:
    """How much came from words through attention, and how much from all else."""
    brought = {f"{source.piece!r} ({source.position})" for source in sources}
    sums = {"words": sum(source.share for source in sources)}
    for label, value in by_source.items():
        if label not in brought:
            name = {"MLP": "MLPs"}.get(label, label)
            sums[name] = sums.get(name, 0.0) + value
    entries = sorted(sums.items(), key=lambda entry: -abs(entry[1]))
    return [{"name": name, "share": _share(value, whole)} for name, value in entries if value]


# --- pairs ------------------------------------------------------------------------------------


def _pair(found: Shift, pair: ShiftPair, digits: int) -> dict[str, Any]:
    parts_at = None if pair.parts_at is None else found.points.index(pair.parts_at)
    words_alone = pair.without_position
    both = [found.sentences[pair.a], found.sentences[pair.b]]
    numbers = [pair.a + 1, pair.b + 1]
    return {
        "a": pair.a + 1,
        "b": pair.b + 1,
        "parts_at": pair.parts_at,
        "parts_at_index": parts_at,
        "parts_after": None if parts_at is None else after(found.points[parts_at], found.points),
        "end_distance": significant(pair.distances[-1], digits),
        "distances": [significant(value, digits) for value in pair.distances],
        "cosines": [significant(value, digits) for value in pair.cosines],
        "without_position": words_alone and [significant(value, digits) for value in words_alone],
        "parting": _parting(both, numbers, pair.parting, digits),
        "end": _parting(both, numbers, pair.end, digits),
    }


def _parting(
    both: Sequence[ShiftSentence | PartedSide],
    numbers: Sequence[int],
    parting: Parting | None,
    digits: int,
) -> dict[str, Any] | None:
    if parting is None:
        return None
    words = [
        [
            whole_word(one.read, span, piece)
            for span, piece in zip(one.spans, one.pieces, strict=True)
        ]
        for one in both
    ]
    own = [one.positions for one in both]
    whole = parting.distance
    return {
        "point": parting.point,
        "distance": significant(whole, digits),
        "closing_error": significant(parting.closing_error.relative, 3),
        "kinds": _kinds(parting.by_source, parting.sources, whole),
        "words": _words(parting.sources, words, whole, numbers, own),
        "components": _shares(parting.by_component, whole),
        "heads": _shares(parting.by_head, whole),
        "rows": [_row(row, words, whole, digits, numbers) for row in parting.rows],
    }


# --- the summary ------------------------------------------------------------------------------


def _summary(data: dict[str, Any]) -> list[str]:
    """What a reader must take away, in a few plain sentences."""
    lines = [_where_it_starts(data)]
    if data["pairs"]:
        lines += [_where_they_part(data), *_what_parts(data), *_howfar_apart(data)]
    else:
        lines += [_what_moved(data)]
    lines += [line for line in [_whereto(data)] if line]
    error = data["closing_error"]
    lines.append(
        "Some numbers here are not finite: look at the model's weights before believing the rest."
        if error is None
        else "Nothing is left out: every vector is the sum of its rows, "
        f"to within {error:.1e} of its length."
    )
    return lines


def _where_it_starts(data: dict[str, Any]) -> str:
    word, sentences = _quoted(data["word"]), data["sentences"]
    first, last = sentences[0]["steps"][0]["norm"], sentences[0]["steps"][-1]["norm"]
    if len(sentences) == 1:
        lengths = f"of length {_number(first)} and ends at one of length {_number(last)}"
        return f"{word} starts at a vector {lengths}."
    starts, ends = _places(data, 0), _places(data, -1)
    count = len(sentences)
    both = "both" if count == 2 else f"all {count}"
    start = (
        f"starts at one and the same vector in {both} sentences"
        if starts == 1
        else f"starts at {starts} vectors in {count} sentences (it is written with other tokens)"
    )
    return f"{word} {start} and ends in {ends} {'place' if ends == 1 else 'places'}."


def _places(data: dict[str, Any], point: int) -> int:
    """How many places the paths stand in: those that are almost in one place count once."""
    leaders: list[int] = []
    apart = {(pair["a"], pair["b"]): pair["distances"][point] for pair in data["pairs"]}
    for sentence in data["sentences"]:
        number = sentence["number"]
        gaps = [apart[leader, number] for leader in leaders]
        if all(gap is None or gap >= SAME_PLACE for gap in gaps):
            leaders.append(number)
    return len(leaders)


def _where_they_part(data: dict[str, Any]) -> str:
    parted = [pair for pair in data["pairs"] if pair["parts_at_index"] is not None]
    if not parted:
        return "The paths do not part."
    together = len(data["pairs"]) - len(parted)
    first = first_to_part(parted)
    last = max(far_apart(parted), key=lambda pair: pair["parts_at_index"])
    if len(data["pairs"]) == 1:
        told = f"The two paths part {first['parts_after']}"
        return f"{told}, and end {_number(first['end_distance'])} apart ({_SCALE})."
    if first["parts_at"] == last["parts_at"]:
        told = f"Paths that end far apart all part {first['parts_after']}"
    else:
        told = (
            f"The paths part one by one: first {first['a']} and {first['b']}, "
            f"{first['parts_after']}; last {last['a']} and {last['b']}, {last['parts_after']}"
        )
    never = f" {together} {'pair never parts' if together == 1 else 'pairs never part'}."
    return f"{told}.{never if together else ''}"


def first_to_part(pairs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of the pairs that end far apart, the one that parts first; of several, the furthest apart."""
    return min(
        far_apart(pairs),
        key=lambda pair: (pair["parts_at_index"], -(pair["end_distance"] or 0.0)),
    )


def far_apart(pairs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pairs that end at least 0.4 of the largest distance apart: where two that stay close part is
    chance, and says little."""
    largest = max((pair["end_distance"] or 0.0 for pair in pairs), default=0.0)
    return [pair for pair in pairs if (pair["end_distance"] or 0.0) >= 0.4 * largest]


def _howfar_apart(data: dict[str, Any]) -> list[str]:
    if len(data["pairs"]) < 2:
        return []
    ends = sorted(data["pairs"], key=lambda pair: pair["end_distance"] or 0.0)
    return [
        f"At the end {ends[-1]['a']} and {ends[-1]['b']} are furthest apart "
        f"({_number(ends[-1]['end_distance'])}), {ends[0]['a']} and {ends[0]['b']} closest "
        f"({_number(ends[0]['end_distance'])}; {_SCALE})."
    ]


_SCALE = "0 is one place, 1.41 a right angle"


def _what_parts(data: dict[str, Any]) -> list[str]:
    told = [pair for pair in data["pairs"] if pair["parting"]]
    if not told:
        return []
    pair = first_to_part(told)
    parting = pair["parting"]
    shares = {kind["name"]: kind["share"] for kind in parting["kinds"]}
    if not {"words", "MLPs"} & shares.keys():
        return [_part_by_token(data, pair)]
    brought = " and ".join(
        f"{enumerated(names, last='and')} in {number}"
        for number in (pair["a"], pair["b"])
        if (names := _names(parting["words"]["entries"], number))
    )
    line = (
        f"What parts {pair['a']} and {pair['b']}: heads brought {brought}"
        if brought
        else (f"What parts {pair['a']} and {pair['b']}")
    )
    direct = f" ({percent(shares.get('words', 0.0))} of the distance)" if brought else ""
    mlps = shares.get("MLPs")
    built = f"{'; MLPs' if brought else ': MLPs'} added {percent(mlps)}" if mlps else ""
    where = parting["components"]["entries"][0]
    most = f" The largest parts are {_by_whom(parting)}." if where["share"] else ""
    return [f"{line}{direct}{built}.{most}"]


def _part_by_token(data: dict[str, Any], pair: dict[str, Any]) -> str:
    """Paths that part before any layer has added to them were never of one token."""
    pieces = {
        number: " ".join(f"“{one['pieces'][place]}”" for place in one["positions"])
        for number in (pair["a"], pair["b"])
        for one in [data["sentences"][number - 1]]
    }
    named = " and ".join(f"{told} in {number}" for number, told in pieces.items())
    return (
        f"What parts {pair['a']} and {pair['b']}: to the model they are different tokens from the "
        f"start, {named}; no head or MLP parted them."
    )


def _by_whom(parting: dict[str, Any]) -> str:
    entries = parting["components"]["entries"][:2]
    return enumerated([f"{entry['name']} ({percent(entry['share'])})" for entry in entries])


def _names(entries: Sequence[dict[str, Any]], number: int, most: int = 3) -> list[str]:
    """The words of one sentence that parted it from the other, without the followed word itself."""
    chosen: dict[str, None] = {}
    for entry in entries:
        wanted = entry["sentence"] == number and not entry["itself"]
        if wanted and (entry["share"] or 0.0) > 0.005 and any(map(str.isalnum, entry["word"])):
            chosen.setdefault(_quoted(entry["word"]))
    return list(chosen)[:most]


def _what_moved(data: dict[str, Any]) -> str:
    moved = data["sentences"][0]["moved"]
    shares = [f"{kind['name']} {percent(kind['share'])}" for kind in moved["kinds"][:3]]
    names = _names(moved["words"]["entries"], 1)
    brought = f"; of the words, {enumerated(names)} most" if names else ""
    return f"Of that move, {', '.join(shares)}{brought}."


def _whereto(data: dict[str, Any]) -> str:
    drawn = [
        f"{sentence['number']} {', '.join(words)}"
        for sentence in data["sentences"][:6]
        if (words := sentence["steps"][-1]["own_words"])
    ]
    if not drawn:
        return ""
    more = len(data["sentences"]) - 6
    rest = f"; and {more} more" if more > 0 else ""
    return f"Words that set the ends apart: {'; '.join(drawn)}{rest}."


def _along_axes(basis: dict[str, Any]) -> str:
    """What the named axes show of the paths, and where the ends lie on the first."""
    names = basis["names"]
    share = percent(sum(basis["explained"][: len(names)]))
    ends = [(number, path[-1][0]) for number, path in enumerate(basis["paths"], start=1)]
    ends.sort(key=lambda end: -(end[1] or 0.0))
    shown = [ends[0], ends[-1]] if len(ends) > 1 else ends
    told = " and ".join(f"{number} ends at {_number(value)}" for number, value in shown)
    last = ", the furthest to both sides" if len(ends) > 2 else ""
    axes = f"axis {names[0]} shows" if len(names) == 1 else f"axes {enumerated(names)} show"
    return (
        f"The named {axes} {share} of the variance of the vectors’ directions. By cosine with "
        f"{names[0]}, sentence {told}{last}."
    )


def _quoted(word: str) -> str:
    return f"“{clipped(word, 40)}”"


def _number(value: float | None) -> str:
    if value is None:
        return "not finite"
    told = f"{value:.2f}" if abs(value) < 10 else f"{value:.0f}"
    return "0.00" if told == "-0.00" else told.replace("-", "−")


def _rounded(values: Any, digits: int) -> Any:
    if isinstance(values, list):
        return [_rounded(value, digits) for value in values]
    return significant(values, digits)
