"""Where one word stands at every layer in many sentences: the vectors that senses are told apart
by.

Sentences are run in batches of like length, and only the word's own vectors are kept. A causal
model runs each text up to the word and no further. It knows nothing of senses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import TextError
from molehill.journey.capture import capture
from molehill.journey.fitting import Fitted, fit
from molehill.journey.paths import carriers, points_of, tokens_at
from molehill.journey.unknown import refuse_unknown
from molehill.language_model import LanguageModel

__all__ = ["Place", "WordVectors", "doubled", "gather"]

Place = tuple[int, int]
"""First character of a word and the one after its last."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """One word's vectors in many sentences.

    Attributes:
        points: the points that were kept, in order: the embedding, then the end of every layer.
        vectors: [sentence, point, d_model], in float32.
        twice: whether each text was read twice and the word followed in the second reading.
    """

    points: tuple[str, ...]
    vectors: Tensor
    twice: bool
    cut: int = 0
    """How many sentences were longer than the model reads, and were cut around the word."""

    def at(self, point: str) -> Tensor:
        """All sentences' vectors at one point [sentence, d_model]."""
        return self.vectors[:, self.points.index(point)]


def gather(
    lm: LanguageModel,
    sentences: Sequence[str],
    places: Sequence[Place],
    *,
    twice: bool = False,
    separator: str = " ",
    tokens_per_batch: int = 2048,
    progress: Callable[[int], None] | None = None,
) -> WordVectors:
    """Run every sentence and keep the word's vector at the embedding and after every layer.

    Args:
        places: where the word stands in each sentence, in characters.
        twice: read `sentence + separator + sentence` and follow the word in the second copy.
        tokens_per_batch: padded tokens run at a time; memory grows with this and not with the
        number of sentences.
        progress: called with the number of sentences just done.

    Raises:
        TextError: a place outside its sentence.

    A sentence that is longer than the model reads is cut to what stands around the word, and
    counted.
    """
    if len(sentences) != len(places):
        raise TextError(
            f"{len(sentences)} sentences and {len(places)} places: give one place for each."
        )
    config = lm.model.config
    points = tuple(p for p in points_of(config) if not p.endswith("resid_mid") and p != "final")
    points = tuple(dict.fromkeys((*points, "final"))) if config.final_norm else points
    limit = config.n_ctx // 2 - 1 if twice else config.n_ctx
    fitted = Fitted(tuple(sentences), tuple(places), 0)
    if lm.tokenizer is not None:  # without one, encoding says so
        fitted = fit(lm.tokenizer, sentences, places, limit, ahead=twice or not config.causal)
    texts, shifted = list(fitted.texts), list(fitted.places)
    if twice:
        texts, shifted = doubled(texts, shifted, separator)
    out = torch.empty(len(texts), len(points), config.d_model)
    tokens = lm.encode(texts)
    held = [
        carriers(config, tokens_at(tokens, number, *place)) for number, place in enumerate(shifted)
    ]
    refuse_unknown(lm, tokens, enumerate(held))
    # What follows the word cannot reach it in a causal model, so it is not run.
    lengths = [max(some) + 1 for some in held] if config.causal else tokens.lengths.tolist()
    order = sorted(range(len(texts)), key=lambda number: lengths[number])
    for batch in _batches(order, lengths, tokens_per_batch):
        longest = lengths[batch[-1]]
        kept = torch.arange(longest) < torch.tensor([lengths[number] for number in batch])[:, None]
        ids = tokens.ids[batch, :longest]
        found = capture(
            lm.model,
            ids.where(kept, ids[0, 0]).to(lm.model.device),
            kept.to(lm.model.device),
            [(row, held[number]) for row, number in enumerate(batch)],
            only=("embed", "resid_pre", "resid_post", "final"),
        )
        for number, one in zip(batch, found, strict=True):
            out[number] = torch.stack([one.at(point) for point in points]).float().cpu()
        if progress is not None:
            progress(len(batch))
    return WordVectors(points, out, twice, fitted.cut)


def doubled(
    sentences: Sequence[str], places: Sequence[Place], separator: str = " "
) -> tuple[list[str], list[Place]]:
    """Each sentence written twice, and where the word stands in its second copy: a causal model has
    read all of the sentence by then."""
    starts = [len(sentence) + len(separator) for sentence in sentences]
    return (
        [f"{sentence}{separator}{sentence}" for sentence in sentences],
        [(a + start, b + start) for (a, b), start in zip(places, starts, strict=True)],
    )


def _batches(order: Sequence[int], lengths: Sequence[int], most: int) -> list[list[int]]:
    """Neighbours in `order`, as many as fit when padded to the longest of them."""
    batches: list[list[int]] = []
    for number in order:
        if batches and lengths[number] * (len(batches[-1]) + 1) <= most:
            batches[-1].append(number)
        else:
            batches.append([number])
    return batches
