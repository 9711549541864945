"""Which facts one vector holds: concepts from a file become directions, and a prompt's vector is
held against each, beside chance.

    concepts = read_concepts("sport.json", without="Leo Rosner plays")
    held_facts(lm, "Leo Rosner plays", concepts, site="2.resid_post")

A concept is two lists of texts that end where the vector is taken: those in which it is so and
those in which it is not. A relation's file gives one concept for each of its objects. This module
knows no page; `directions.py` has the directions and their controls.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from molehill.errors import FactError
from molehill.facts.directions import (
    Direction,
    Holdings,
    Method,
    direction_between,
    holds,
    vectors_at,
)
from molehill.facts.relations import Relation, read_relation
from molehill.facts.showing import clipped, few
from molehill.language_model import LanguageModel

__all__ = ["Concept", "HeldFacts", "concepts_of", "held_facts", "read_concepts"]

_LEAST = 2
"""Texts of each group that a direction needs."""


@dataclass(frozen=True)
class Concept:
    """Texts in which something is so, and texts in which it is not."""

    name: str
    above: tuple[str, ...]
    below: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HeldFacts:
    """What one vector holds of each concept."""

    model: str
    text: str
    pieces: tuple[str, ...]
    at: int
    """The position of the vector."""
    site: str
    holdings: Holdings
    """Of the vector less the mean of all concepts' vectors."""
    directions: Mapping[str, Direction]
    above: Mapping[str, float]
    """By how much the vector itself lies above each direction's threshold, in its units."""
    texts: int
    """How many texts the directions were made from, each once."""
    left_out: tuple[str, ...]
    """Concepts that have too few texts."""

    def __repr__(self) -> str:
        return few(
            f"HeldFacts at {self.site} of {clipped(self.text)!r}, {self.pieces[self.at]!r}",
            [
                f"z {one.z:+.1f}: {one.name}, {self.directions[one.name].control}"
                for one in self.holdings.rows
            ],
        )


def read_concepts(path: Path, *, without: str = "", start: str = "") -> tuple[Concept, ...]:
    """Read concepts from a file.

    Either a relation's file: one concept for each object, its prompts against those of the other
    objects. They are asked in the template that `without` is asked in, else in the first, and
    facts whose subject stands in it are left out: a vector is not held against itself. Or
    `{"name": {"above": [texts], "below": [texts]}, ...}`.

    Raises:
        FactError: it cannot be read, or holds neither.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FactError(f"{path} cannot be read: {error}.") from None
    if isinstance(values, Mapping) and "samples" in values:
        return concepts_of(read_relation(path, start=start), without)
    return _of_lists(values, path, start)


def concepts_of(relation: Relation, without: str = "") -> tuple[Concept, ...]:
    """A relation's concepts, one for each object; see `read_concepts`."""
    asked = [form for form in relation.templates if without.endswith(form.partition("{}")[2])]
    template = asked[0] if asked and without else relation.templates[0]
    facts = [fact for fact in relation.facts if fact.subject not in without]
    return tuple(
        Concept(
            name,
            tuple(fact.ask(template) for fact in facts if fact.object == name),
            tuple(fact.ask(template) for fact in facts if fact.object != name),
        )
        for name in relation.objects()
    )


def _of_lists(values: Any, path: Path, start: str) -> tuple[Concept, ...]:
    told = '{"name": {"above": [texts], "below": [texts]}, ...}, or a relation\'s file'
    if not isinstance(values, Mapping) or not values:
        raise FactError(f"{path} holds no concepts; expected {told}.")
    concepts = []
    for name, groups in values.items():
        sides = [groups.get(side) for side in ("above", "below")] if _mapping(groups) else [None]
        if not all(isinstance(one, list) and all(isinstance(x, str) for x in one) for one in sides):
            raise FactError(f"{path}, concept {name!r:.60}: expected {told}.")
        above, below = (tuple(start + text for text in side) for side in sides)
        concepts.append(Concept(str(name), above, below))
    return tuple(concepts)


def _mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def held_facts(
    lm: LanguageModel,
    text: str,
    concepts: Sequence[Concept],
    *,
    site: str | None = None,
    at: int = -1,
    method: Method = "difference of means",
    shuffles: int = 200,
    draws: int = 1000,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> HeldFacts:
    """Hold one vector of a text against a direction for each concept.

    Directions are made at the same site from the texts' last tokens, each cross-validated and done
    again with labels shuffled. The mean of all these vectors is taken off the one that is asked
    about, and random directions are drawn from their covariance.

    Args:
        site: one name, such as `12.resid_post`; None: after the last layer.
        at: the position in the text; below nothing from its end.
        method, shuffles, seed: as for `direction_between`.
        draws: random directions.
        progress: called with 1 after each concept.

    Raises:
        FactError: no concept has two texts on each side, or there is no such position; see
            `vectors_at` and `direction_between`.
        SiteError, TextError: as `record`.
    """
    usable = [one for one in concepts if min(len(one.above), len(one.below)) >= _LEAST]
    if not usable:
        raise FactError(
            f"None of {len(concepts)} concepts has {_LEAST} texts in which it is so and as many in "
            "which it is not: a direction needs as many."
        )
    site = site or f"{lm.config.n_layers - 1}.resid_post"
    pieces = lm.encode([text]).pieces[0]
    if not -len(pieces) <= at < len(pieces):
        raise FactError(f"There is no position {at}: {text!r:.60} has {len(pieces)} tokens.")
    at %= len(pieces)
    (vector,) = vectors_at(lm, [text], site, [at]).double()
    texts = list(dict.fromkeys(one for some in usable for one in (*some.above, *some.below)))
    place = {one: number for number, one in enumerate(texts)}
    back = vectors_at(lm, texts, site).double()
    directions: dict[str, Direction] = {}
    for one in usable:
        above, below = (back[[place[text] for text in side]] for side in (one.above, one.below))
        directions[one.name] = direction_between(above, below, method, shuffles=shuffles, seed=seed)
        if progress is not None:
            progress(1)
    mean = back.mean(0)
    units = {name: one.vector for name, one in directions.items()}
    return HeldFacts(
        model=lm.name,
        text=text,
        pieces=tuple(pieces),
        at=at,
        site=site,
        holdings=holds(vector - mean, units, back - mean, draws=draws, seed=seed),
        directions=directions,
        above={name: float(one.above(vector)) for name, one in directions.items()},
        texts=len(texts),
        left_out=tuple(one.name for one in concepts if one not in usable),
    )
