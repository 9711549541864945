"""Senses without labels: a word's uses grouped by where the model puts them, each group told in
its own words.

It knows nothing of true senses; how well groups agree with them is for the caller to score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from molehill.errors import SenseError
from molehill.journey.describe import describe
from molehill.journey.gather import gather
from molehill.journey.grouping import group, unlabelled_space
from molehill.journey.paths import uses_by_text
from molehill.language_model import LanguageModel
from molehill.model.config import ModelConfig

__all__ = ["FoundSense", "FoundSenses", "default_point", "discover_senses"]


@dataclass(frozen=True)
class FoundSense:
    """One group of uses.

    Attributes:
        sentences: numbers of the sentences in it, the most typical first.
        words: what its sentences say more than the others.
    """

    sentences: tuple[int, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class FoundSenses:
    """A word's uses in groups, the largest first.

    Attributes:
        at: the point whose vectors were grouped.
        silhouettes: for every number of groups that was tried, how well they part (-1 to 1).
        silhouette: of the number that was taken.
    """

    word: str
    model: str
    fingerprint: str
    at: str
    twice: bool
    groups: tuple[FoundSense, ...]
    silhouettes: dict[int, float]
    silhouette: float | None


def default_point(config: ModelConfig) -> str:
    """Where senses are looked for unless told otherwise: three fifths of the way up a causal
    model, whose last layers turn to the next word; the last layer of a bidirectional one."""
    layer = round(0.6 * (config.n_layers - 1)) if config.causal else config.n_layers - 1
    return f"{layer}.resid_post"


def discover_senses(
    lm: LanguageModel,
    word: str,
    sentences: Sequence[str],
    *,
    k: int | None = None,
    at: str | None = None,
    twice: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> FoundSenses:
    """Group the uses of `word` (its last occurrence in each sentence).

    Args:
        k: how many groups; None takes the number with the best silhouette.
        at: the point whose vectors are compared; None takes `default_point`.
        twice: read each text twice and follow the word in the second reading.

    Raises:
        SenseError: fewer than three sentences, or no such point.
        TextError: a sentence without the word.
    """
    if len(sentences) < 3:
        raise SenseError(f"{len(sentences)} sentences cannot be grouped: give three or more.")
    tokens = lm.encode(list(sentences))
    places = [(some[-1].start, some[-1].end) for some in uses_by_text(tokens, word)]
    found = gather(
        lm,
        sentences,
        places,
        twice=twice,
        progress=progress,
    )
    at = at or default_point(lm.config)
    if at not in found.points:
        raise SenseError(
            f"{at!r} is not kept; choose one of {found.points[0]} to {found.points[-1]}."
        )
    grouped = group(found.at(at), k, seed=seed)
    labels = grouped.labels.tolist()
    words = describe(sentences, labels, leave_out=[word, f"{word}s"])
    space = unlabelled_space(found.at(at))
    groups = []
    for number in sorted(set(labels), key=lambda label: (-labels.count(label), label)):
        members = torch.tensor([place for place, label in enumerate(labels) if label == number])
        centre = space[members].mean(0)
        typical = members[(space[members] - centre).norm(dim=-1).argsort()]
        groups.append(FoundSense(tuple(typical.tolist()), words[number]))
    scores = {int(count): float(score) for count, score in grouped.silhouettes.items()}
    return FoundSenses(
        word,
        lm.name,
        lm.fingerprint,
        at,
        twice,
        tuple(groups),
        scores,
        scores.get(len(groups)),
    )
