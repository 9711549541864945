"""How much of the village a model knows: its facts, and the senses of its words at every layer.

Facts are asked as the next token after a prompt. Senses are told by the nearest neighbour: the
vector of an ambiguous word in a sentence that was never told takes the sense of the closest vector
of the same word in sentences that may have been. This module needs a model and its tokenizer, and
nothing of how the model was made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import TextError
from molehill.model import Transformer
from molehill.text import Tokenizer
from molehill.village.tell import fact_prompts, sense_sentences
from molehill.village.truth import Cues, FactPrompt, Told
from molehill.village.world import World

__all__ = [
    "FactScore",
    "SensePoint",
    "SenseScore",
    "score_facts",
    "score_senses",
    "village_tokenizer",
    "word_vectors",
]

_BATCH = 256


@dataclass(frozen=True)
class FactScore:
    """What a model knows of a world's facts.

    Attributes:
        told: share of prompts answered rightly, of those in whose form the fact is told.
        withheld: the same of prompts in the form in which that fact is never told: who answers
            these knows the fact and not only its sentences.
        by_relation: share of all prompts answered rightly, for each relation.
        wrong: the prompts answered wrongly, each with what the model said.
    """

    told: float
    withheld: float
    by_relation: dict[str, float]
    wrong: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SensePoint:
    """Senses at one point of the model.

    Attributes:
        point: `0.resid_pre` is the embedding with its position; then the end of every layer.
        accuracy: the share of uses whose nearest neighbour has their sense, averaged over words.
        by_word: the same for each word.
    """

    point: str
    accuracy: float
    by_word: dict[str, float]


@dataclass(frozen=True)
class SenseScore:
    """How well a model separates senses, layer by layer.

    Attributes:
        cues: where the cues stand. With `after`, a model that reads from left to right can do no
            better than chance at the word.
        chance: what guessing gives, averaged over words.
        uses: how many uses were judged.
        points: the scores, in the order of the model.
    """

    cues: Cues
    chance: float
    uses: int
    points: tuple[SensePoint, ...]

    @property
    def first(self) -> SensePoint:
        """Before anything was read."""
        return self.points[0]

    @property
    def last(self) -> SensePoint:
        """At the end of the last layer."""
        return self.points[-1]


def village_tokenizer(world: World) -> Tokenizer:
    """The tokenizer of a world: one token for each word."""
    return Tokenizer.of_words(world.vocabulary)


@torch.no_grad()
def score_facts(world: World, model: Transformer, tokenizer: Tokenizer) -> FactScore:
    """Ask every fact in every form; the answer is the likeliest next token.

    Raises:
        TextError: the tokenizer is not this world's.
    """
    _check_words(world, tokenizer)
    prompts = fact_prompts(world)
    said = []
    for start in range(0, len(prompts), _BATCH):
        some = [prompt.prompt for prompt in prompts[start : start + _BATCH]]
        tokens = tokenizer.encode(some, limit=model.config.n_ctx)
        ids, mask = tokens.ids.to(model.device), tokens.mask.to(model.device)
        logits = model(ids, mask=mask, logits="last").logits
        assert logits is not None, "the model has a head: checked by the pass"
        said += [tokenizer.decode([token]) for token in logits[:, 0].argmax(-1).tolist()]
    right = [told == prompt.answer for told, prompt in zip(said, prompts, strict=True)]
    relations = dict.fromkeys(prompt.relation for prompt in prompts)

    def share(wanted: Callable[[FactPrompt], bool]) -> float:
        chosen = [ok for ok, prompt in zip(right, prompts, strict=True) if wanted(prompt)]
        return sum(chosen) / len(chosen)

    return FactScore(
        share(lambda prompt: not prompt.withheld),
        share(lambda prompt: prompt.withheld),
        {name: share(lambda prompt, name=name: prompt.relation == name) for name in relations},
        tuple(
            (prompt.prompt, answer)
            for prompt, answer, ok in zip(prompts, said, right, strict=True)
            if not ok
        ),
    )


def score_senses(
    world: World,
    model: Transformer,
    tokenizer: Tokenizer,
    *,
    each: int = 40,
    test: int = 15,
    cues: Cues = "before",
    seed: int = 0,
) -> SenseScore:
    """Tell the sense of every held-out use by its nearest neighbour, at every layer.

    Args:
        each: Sentences for every sense that may have been told: the neighbours.
        test: Held-out sentences for every sense: the uses that are judged.
        cues: Where the cues stand.
        seed: Other sentences for another seed.

    Raises:
        TextError: the tokenizer is not this world's, or there are not so many sentences.
    """
    _check_words(world, tokenizer)
    known = sense_sentences(world, each, seed, cues=cues)
    asked = sense_sentences(world, test, seed, cues=cues, held_out=True)
    points = ("0.resid_pre", *(f"{n}.resid_post" for n in range(model.config.n_layers)))
    near, far = (word_vectors(model, tokenizer, some, points) for some in (known, asked))
    by_word = [_word_accuracy(world, word.word, known, asked, near, far) for word in world.words]
    names = [word.word for word in world.words]
    return SenseScore(
        cues,
        sum(1 / len(word.senses) for word in world.words) / len(names),
        len(asked),
        tuple(
            SensePoint(
                point,
                sum(one[place] for one in by_word) / len(names),
                {name: one[place] for name, one in zip(names, by_word, strict=True)},
            )
            for place, point in enumerate(points)
        ),
    )


def _word_accuracy(
    world: World,
    word: str,
    known: Sequence[Told],
    asked: Sequence[Told],
    near: Tensor,
    far: Tensor,
) -> list[float]:
    """For every point, the share of a word's uses whose nearest neighbour has their sense."""
    meant = {sense.name: sense.word for sense in world.senses}
    rows = [n for n, told in enumerate(known) if told.sense and meant[told.sense] == word]
    tests = [n for n, told in enumerate(asked) if told.sense and meant[told.sense] == word]
    # [point, test, known]
    distances = torch.cdist(far[tests].transpose(0, 1), near[rows].transpose(0, 1))
    nearest = distances.argmin(-1).tolist()
    return [
        sum(
            known[rows[best]].sense == asked[row].sense
            for best, row in zip(at_point, tests, strict=True)
        )
        / len(tests)
        for at_point in nearest
    ]


@torch.no_grad()
def word_vectors(
    model: Transformer, tokenizer: Tokenizer, sentences: Sequence[Told], points: Sequence[str]
) -> Tensor:
    """The vectors of each sentence's ambiguous word at these points [sentence, point, d_model]."""
    found = []
    for start in range(0, len(sentences), _BATCH):
        some = sentences[start : start + _BATCH]
        tokens = tokenizer.encode([told.text for told in some], limit=model.config.n_ctx)
        kept = _Kept(points)
        ids, mask = tokens.ids.to(model.device), tokens.mask.to(model.device)
        model(ids, mask=mask, watch=kept, logits="none")
        places = torch.tensor([_position(told) for told in some], device=ids.device)
        rows = torch.arange(len(some), device=ids.device)
        # One norm's gain can dwarf the rest of the stream; distances are taken as they are.
        found.append(torch.stack([kept.values[point][rows, places] for point in points], dim=1))
    return torch.cat(found).float().cpu()


def _position(told: Told) -> int:
    if told.position is None:
        raise TextError(f"There is no ambiguous word in {told.text!r}: it tells a fact.")
    return told.position


class _Kept:
    """Watches one pass and keeps the values at some sites."""

    def __init__(self, sites: Sequence[str]) -> None:
        self.sites = frozenset(sites)
        self.values: dict[str, Tensor] = defaultdict(Tensor)

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing to prepare."""

    def wants(self, site: str) -> bool:
        return site in self.sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        self.values[site] = x
        return x


def _check_words(world: World, tokenizer: Tokenizer) -> None:
    """Every word of the world has to be one token, since truth is told by position."""
    words = [word for word, kind in world.kinds.items() if kind != "stop"]
    for word, ids in zip(words, tokenizer.ids(words), strict=True):
        if len(ids) != 1 or ids == [tokenizer.unk_id]:
            raise TextError(
                f"The tokenizer has no single token for {word!r}, a word of this world: use the "
                "model and the world that belong together, or village_tokenizer(world)."
            )
