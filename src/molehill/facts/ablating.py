"""Parts of a model switched off, one at a time and together, and what that does to an answer.

    ablate(lm, question, [Part("head", 23, 5, 7)], {"heads": [0]})

A head's mix or a neuron's coefficient is set to zero at one position, all in one sweep. Beside each
stand random parts of the same kind, layer and position: what switching off just any of them does.
This module does not know why a part was chosen.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from molehill.errors import FactError
from molehill.facts.asking import Question
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import Edit, Zero, sweep

__all__ = ["Ablations", "Change", "Control", "Part", "PartKind", "ablate"]

PartKind = Literal["head", "neuron"]


@dataclass(frozen=True)
class Part:
    """A head or a neuron at one position of a prompt."""

    kind: PartKind
    layer: int
    index: int
    position: int

    @property
    def label(self) -> str:
        """`head 23.5`."""
        return f"{self.kind} {self.layer}.{self.index}"

    def off(self) -> Edit:
        """The edit that switches it off."""
        if self.kind == "head":
            return Zero(f"{self.layer}.attn.mix", heads=[self.index], positions=[self.position])
        return Zero(f"{self.layer}.mlp.act", index=[self.index], positions=[self.position])


@dataclass(frozen=True)
class Change:
    """What became of an answer: after minus before."""

    log_probability: float
    """Of the whole answer, in nats."""
    probability: float


@dataclass(frozen=True)
class Control:
    """The same with random parts in place of the chosen ones: one change for each draw."""

    changes: tuple[Change, ...]
    parts: int
    """How many were switched off in a draw: fewer than were chosen where a layer has no more."""

    @property
    def mean(self) -> float:
        """Of the log probability's changes, in nats."""
        return sum(one.log_probability for one in self.changes) / len(self.changes)

    @property
    def low(self) -> float:
        return min(one.log_probability for one in self.changes)

    @property
    def high(self) -> float:
        return max(one.log_probability for one in self.changes)


@dataclass(frozen=True)
class Ablations:
    """What switching parts off does."""

    log_probability: float
    """Of the whole answer without any, in nats."""
    alone: tuple[tuple[Change, Control | None], ...]
    """For each part; no control where its layer has no other."""
    together: Mapping[str, tuple[Change, Control | None]]
    """For each group."""


_Where = tuple[PartKind, int, int]
"""Kind, layer, position: among what random parts are drawn."""


def ablate(
    lm: LanguageModel,
    question: Question,
    parts: Sequence[Part],
    groups: Mapping[str, Sequence[int]],
    *,
    controls: int = 10,
    seed: int = 0,
    progress: Callable[[int], object] | None = None,
) -> Ablations:
    """Switch parts off and look at the answer.

    Args:
        question: the prompt with its answer.
        parts: each is switched off alone.
        groups: by name, the numbers of the parts that are switched off together.
        controls: how often random parts are drawn; of one layer no more than it has others.
        progress: called with a number of runs since the last call.

    Raises:
        FactError: fewer than one draw.
        SiteError: a part that the model or the prompt does not have.
    """
    if controls < 1:
        raise FactError(f"controls is {controls}: draw random parts at least once.")
    drawn = _Peers(lm, parts, controls, random.Random(seed))
    sets = [[part] for part in parts]
    sets += [[parts[number] for number in group] for group in groups.values()]
    spread = [drawn.alone(part) for part in parts]
    spread += [drawn.together([parts[number] for number in group]) for group in groups.values()]
    variants = [[part.off() for part in some] for some in (*sets, *(s for c in spread for s in c))]
    swept = sweep(
        lm,
        Tokens.of_ids([list(question.ids)]),
        variants,
        at=list(question.at),
        progress=progress,
    )
    answer = torch.tensor([question.answer])
    base = float(swept.base_log_probs(answer).double().sum())
    logs = swept.log_probs(answer).double().sum((1, 2))
    changes = [
        Change(log - base, gain)
        for log, gain in zip(logs.tolist(), (logs.exp() - _exp(base)).tolist(), strict=True)
    ]
    told, rest = changes[: len(sets)], iter(changes[len(sets) :])
    beside = [
        Control(tuple(next(rest) for _ in some), max(map(len, some))) if some else None
        for some in spread
    ]
    found = list(zip(told, beside, strict=True))
    together = dict(zip(groups, found[len(parts) :], strict=True))
    return Ablations(base, tuple(found[: len(parts)]), together)


def _exp(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).exp())


class _Peers:
    """Random parts of the same kind, layer and position as the chosen ones, and none of them."""

    def __init__(
        self, lm: LanguageModel, parts: Sequence[Part], draws: int, drawn: random.Random
    ) -> None:
        sizes: dict[PartKind, int] = {"head": lm.config.n_heads, "neuron": lm.config.d_mlp}
        self.draws, self.drawn = draws, drawn
        self.others: dict[_Where, list[int]] = {}
        for where in dict.fromkeys(map(_where, parts)):
            chosen = {part.index for part in parts if _where(part) == where}
            self.others[where] = [n for n in range(sizes[where[0]]) if n not in chosen]

    def alone(self, part: Part) -> list[list[Part]]:
        """Different ones, as many as are to be drawn or there are."""
        where = _where(part)
        return [[one] for one in self._some(where, self.draws)]

    def together(self, group: Sequence[Part]) -> list[list[Part]]:
        """For each draw as many of each layer as the group has, or as there are."""
        counts = Counter(map(_where, group))
        draws = [
            [one for where, count in counts.items() for one in self._some(where, count)]
            for _ in range(self.draws)
        ]
        return [some for some in draws if some]

    def _some(self, where: _Where, count: int) -> list[Part]:
        others = self.others[where]
        kind, layer, position = where
        chosen = self.drawn.sample(others, min(count, len(others)))
        return [Part(kind, layer, index, position) for index in chosen]


def _where(part: Part) -> _Where:
    return part.kind, part.layer, part.position
