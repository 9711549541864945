"""One word in hundreds of sentences: where each use stands after every layer, in one basis, and how
the uses group.

What `shift` tells of a few sentences in full, this tells of many in outline: no ledgers, points
after whole layers only, and the nearest words at the end. Every sentence is kept; none is left out
of a picture. This module draws nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import SiteError, TextError
from molehill.journey.axes import NamedAxes, named_axes
from molehill.journey.basis import Basis, joint_basis
from molehill.journey.describe import describe
from molehill.journey.directions import FeatureVector, read_direction, vector_of
from molehill.journey.discover import default_point
from molehill.journey.gather import gather
from molehill.journey.grouping import group
from molehill.journey.lens import LensReading, nearest
from molehill.journey.paths import uses_by_text
from molehill.language_model import LanguageModel

__all__ = ["Crowd", "crowd"]


@dataclass(frozen=True, eq=False)
class Crowd:
    """Many uses of one word.

    Attributes:
        points: the start, the end of every layer, and `final` where there is a last norm.
        sentences: as they were given.
        places: where the word stands in each, in characters.
        lengths: of the vectors [sentence, point].
        bases: coordinates in fixed bases: `differences` (unit vectors less the mean of all uses at
            the same point), `directions` (unit vectors), and `axes` if some were named.
        named: how the named axes came about.
        groups: each sentence's group, 0 being the largest; all 0 where they were not grouped.
        group_words: what each group's sentences say more than the others.
        grouped_at: the point whose vectors were grouped; None where they were not.
        silhouette: how well the groups part, -1 to 1.
        near: the words that each use is nearest to at the end.
        cut: how many sentences were longer than the model reads, and were cut around the word.
    """

    word: str
    points: tuple[str, ...]
    sentences: tuple[str, ...]
    places: tuple[tuple[int, int], ...]
    lengths: Float[Tensor, "sentence point"]
    bases: dict[str, Basis]
    named: NamedAxes | None
    groups: tuple[int, ...]
    group_words: tuple[tuple[str, ...], ...]
    grouped_at: str | None
    silhouette: float | None
    near: tuple[LensReading, ...]
    cut: int

    def __repr__(self) -> str:
        kinds = f" in {len(self.group_words)} groups" if self.grouped_at else ""
        return (
            f"Crowd: {self.word!r} in {len(self.sentences)} sentences at {len(self.points)} "
            f"points{kinds}"
        )


@torch.no_grad()
def crowd(
    lm: LanguageModel,
    word: str,
    sentences: Sequence[str],
    *,
    twice: bool = False,
    groups: int | None = None,
    at: str | None = None,
    near: int = 3,
    axes: Sequence[str] = (),
    feature: FeatureVector | None = None,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Crowd:
    """Follow a word's last occurrence through many sentences.

    Args:
        twice: let the model read each text twice and follow the word in the second reading.
        groups: how many; None takes the number with the best silhouette, 1 does not group.
        at: the point whose vectors are grouped; None takes `default_point`.
        near: words at the end of each path.
        axes: up to three named directions; a number stands for the centroid of that group's ends.
        feature: where features come from.
        seed: of the grouping.
        progress: called with the number of sentences just read.

    Raises:
        TextError: no sentences, or the word is not in one of them.
        SiteError: `at` is no point that is kept.
        ConfigError: axes that cannot be made.
    """
    if not sentences:
        raise TextError("Give at least one sentence that holds the word.")
    found = uses_by_text(lm.encode(list(sentences), truncate=False), word)
    places = tuple((some[-1].start, some[-1].end) for some in found)
    held = gather(lm, sentences, places, twice=twice, progress=progress)
    at = at or default_point(lm.config)
    if at not in held.points:
        raise SiteError(f"{at!r} is not kept; choose one of {held.points[0]} to {held.points[-1]}.")
    labels, words, silhouette = _grouped(word, sentences, held.at(at), groups, seed)
    lengths = held.vectors.norm(dim=-1)
    unit = held.vectors / lengths.clamp(min=1e-30)[..., None]
    named = None
    if axes:
        centroids = torch.stack([unit[labels == one, -1].mean(0) for one in labels.unique()])
        told = [read_direction(text) for text in axes]
        vectors = [vector_of(lm, one, sentences=centroids, feature=feature).cpu() for one in told]
        named = named_axes(unit, torch.stack(vectors), [one.name for one in told])
    bases = {} if named is None else {"axes": named.basis}
    if len(sentences) > 1:
        bases["differences"] = joint_basis(unit - unit.mean(0))
    bases["directions"] = joint_basis(unit)
    finished = [held.points[-1] == "final"] * len(sentences)
    ends = held.vectors[:, -1].to(lm.model.device)
    return Crowd(
        word,
        held.points,
        tuple(sentences),
        places,
        lengths,
        bases,
        named,
        tuple(labels.tolist()),
        words,
        None if len(words) < 2 else at,
        silhouette,
        tuple(nearest(lm, ends, k=near, finished=finished)),
        held.cut,
    )


def _grouped(
    word: str,
    sentences: Sequence[str],
    vectors: Float[Tensor, "sentence d_model"],
    groups: int | None,
    seed: int,
) -> tuple[Int[Tensor, " sentence"], tuple[tuple[str, ...], ...], float | None]:
    """Groups by falling size, what their sentences say, and how well they part."""
    if groups == 1 or len(sentences) < 3:
        return torch.zeros(len(sentences), dtype=torch.int64), ((),), None
    found = group(vectors, groups, seed=seed)
    given = found.labels.tolist()
    words = describe(sentences, given, leave_out=[word, f"{word}s"])
    order = sorted(set(given), key=lambda label: (-given.count(label), label))
    labels = torch.tensor([order.index(label) for label in given])
    score = found.silhouettes.get(len(order))
    return labels, tuple(words[label] for label in order), None if score is None else float(score)
