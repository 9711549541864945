"""FiringCertificate: where a neuron that was written for one subject fires, and where it does not.

Matches are in units of the subject's own: the pre-activation divided by its mean at the subject, so
that the subject has 1 and the threshold is 0. A ReLU neuron fires above 0 and adds exactly nothing
elsewhere. A smooth activation never is exactly nothing: there a neuron counts as firing where its
coefficient is at least a thousandth of the subject's. This module counts and fits nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.facts.reference import Batch, Line, Reference
from molehill.language_model import LanguageModel

__all__ = [
    "BINS",
    "FALSE_SHARE",
    "HIGHEST",
    "LOWEST",
    "FalseFiring",
    "FiringCertificate",
    "FiringCount",
    "activation_of",
    "count_firings",
]

FALSE_SHARE = 1e-3
"""The share of the subject's coefficient from which a smooth neuron counts as firing."""
LOWEST = -4.0
HIGHEST = 2.0
BINS = 72
"""Matches are counted in so many bins of a twelfth, from -4 to 2; those at the ends hold what lies
beyond."""
_SHOWN = 10
_AROUND = 24

_ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
}


def activation_of(name: str) -> Callable[[Tensor], Tensor]:
    """A model's activation by its name."""
    return _ACTIVATIONS[name]


@dataclass(frozen=True)
class FalseFiring:
    """A place where a neuron fires that is not its subject's."""

    text: int
    """The text's number; -1 where it was made up."""
    words: str
    """The text up to there, its last words."""
    match: float


@dataclass(frozen=True)
class FiringCount:
    """What a neuron did over some texts."""

    texts: int
    made_up: int
    """How many of them were made up: the prompts asked of others."""
    tokens: int
    """Looked at: all but those from the subject on, where it is there."""
    own_texts: int
    """In how many the subject stands."""
    own_fired: int
    """In how many of these the neuron fires where the subject is complete."""
    false_texts: int
    """In how many it fires on something else."""
    false: tuple[FalseFiring, ...]
    """The strongest of these, ten at most."""
    largest: float | None
    """The largest match of anything else; None where nothing was looked at."""
    nearest: str
    """The text up to there."""
    matches: tuple[int, ...] = ()
    """How many of the tokens looked at match by how much, in `BINS` bins from `LOWEST`; empty in
    certificates from before this was counted."""
    own_matches: tuple[int, ...] = ()
    """The same of the subject: one for each text in which it stands, where it is complete; the
    fact's own prompts are among them."""


@dataclass(frozen=True)
class FiringCertificate:
    """That one neuron fires for one subject alone, as far as was looked."""

    subject: str
    layer: int
    positives: int
    """Prompts, paraphrases and prefixed prompts."""
    fired: int
    """In how many of these it fires at the subject."""
    smallest_positive: float
    largest_positive: float
    later: int
    """Tokens after the subject in these, on which it fires too."""
    fitted: FiringCount
    """On texts that the row was fitted on."""
    held_out: FiringCount
    """On texts that it was not."""
    scale: float
    """The mean pre-activation at the subject: what matches are divided by."""
    coefficient: float
    """The mean coefficient at the subject."""
    exact: bool
    """Whether the coefficient is exactly nothing where the neuron does not fire (ReLU)."""
    elsewhere: float
    """The largest coefficient on anything else, of all texts, as a share of the subject's."""

    @property
    def margin(self) -> float:
        """Between the smallest match of the subject and the largest of anything fitted on."""
        assert self.fitted.largest is not None, "a row is fitted on at least one text"
        return self.smallest_positive - self.fitted.largest

    @property
    def clean(self) -> bool:
        """Whether it fires wherever it should and nowhere else, as far as was looked."""
        counts = (self.fitted, self.held_out)
        return self.fired == self.positives and all(
            one.false_texts == 0 and one.own_fired == one.own_texts for one in counts
        )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> FiringCertificate:
        """From its plain form (`dataclasses.asdict`), as an edit's metrics keep it."""
        counts = {name: _count_of(values[name]) for name in ("fitted", "held_out")}
        parts: dict[str, Any] = {**values, **counts}
        return cls(**parts)


def _count_of(values: Mapping[str, Any]) -> FiringCount:
    false = tuple(FalseFiring(**one) for one in values["false"])
    counts = {name: tuple(values.get(name, ())) for name in ("matches", "own_matches")}
    parts: dict[str, Any] = {**values, **counts, "false": false}
    return FiringCount(**parts)


def count_firings(
    lm: LanguageModel,
    reference: Reference,
    rows: Tensor,
    bias: Tensor,
    scales: Sequence[float],
    wanted: Callable[[Line], bool] = lambda line: True,
) -> list[FiringCount]:
    """Count what neurons do over a reference, each with the facts' numbers in its lines.

    Args:
        rows, bias, scales: [neuron, d_model], [neuron] and what matches are divided by.
        wanted: which lines are looked at.
    """
    act = activation_of(lm.config.activation)
    counts = [_Counting(lm, number, scale, act) for number, scale in enumerate(scales)]
    texts, made_up = set[int](), 0
    for batch in reference.batches():
        for line in batch.lines:
            if wanted(line):
                made_up += line.made_up
                texts |= set() if line.made_up else {line.text}
        asked = batch.vectors.double() @ rows.double().T + bias.double()
        others, chosen = batch.others(len(rows)), _chosen(batch, wanted)
        for number, counting in enumerate(counts):
            counting.add(batch, asked[:, number], others[:, number] & chosen, wanted)
    return [counting.result(len(texts) + made_up, made_up) for counting in counts]


def _chosen(batch: Batch, wanted: Callable[[Line], bool]) -> Tensor:
    return torch.tensor([wanted(line) for line in batch.lines])[batch.line]


@dataclass
class _Counting:
    """One neuron's counts while the batches go by."""

    lm: LanguageModel
    number: int
    scale: float
    act: Callable[[Tensor], Tensor]
    tokens: int = 0
    own: dict[tuple[bool, int], bool] = field(default_factory=dict)
    false: dict[tuple[bool, int], tuple[float, tuple[int, ...]]] = field(default_factory=dict)
    largest: float = -torch.inf
    nearest: tuple[int, ...] = ()
    matches: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))
    own_matches: Tensor = field(default_factory=lambda: torch.zeros(BINS, dtype=torch.int64))

    def add(
        self, batch: Batch, asked: Tensor, others: Tensor, wanted: Callable[[Line], bool]
    ) -> None:
        match = asked / self.scale
        self.tokens += int(others.sum())
        self.matches += _binned(match[others])
        if bool(others.any()):
            at = int(match.masked_fill(~others, -torch.inf).argmax())
            if float(match[at]) > self.largest:
                self.largest, self.nearest = float(match[at]), _upto(batch, at)
        fires = self.fires(asked)
        for at in (fires & others).nonzero()[:, 0].tolist():
            key = _key(batch.lines[int(batch.line[at])])
            if key not in self.false or self.false[key][0] < float(match[at]):
                self.false[key] = (float(match[at]), _upto(batch, at))
        for number, line in enumerate(batch.lines):
            end = line.own.get(self.number)
            if end is not None and wanted(line):
                at = int(((batch.line == number) & (batch.position == end)).nonzero()[0, 0])
                key = _key(line)
                self.own[key] = self.own.get(key, True) and bool(fires[at])
                self.own_matches += _binned(match[at : at + 1])

    def fires(self, asked: Tensor) -> Tensor:
        if self.lm.config.activation == "relu":
            return asked > 0
        whole = self.act(torch.tensor(self.scale, dtype=torch.float64))
        return self.act(asked).abs() >= FALSE_SHARE * whole

    def result(self, texts: int, made_up: int) -> FiringCount:
        strongest = sorted(self.false.items(), key=lambda item: -item[1][0])[:_SHOWN]
        return FiringCount(
            texts=texts,
            made_up=made_up,
            tokens=self.tokens,
            own_texts=len(self.own),
            own_fired=sum(self.own.values()),
            false_texts=len(self.false),
            false=tuple(
                FalseFiring(-1 if key[0] else key[1], _shown(self.lm, ids), match)
                for key, (match, ids) in strongest
            ),
            largest=self.largest if self.tokens else None,
            nearest=_shown(self.lm, self.nearest),
            matches=tuple(self.matches.tolist()),
            own_matches=tuple(self.own_matches.tolist()),
        )


def _binned(matches: Tensor) -> Tensor:
    """How many lie in each bin [BINS]; what lies beyond the ends is counted at them."""
    places = ((matches - LOWEST) * (BINS / (HIGHEST - LOWEST))).floor().clamp(0, BINS - 1).long()
    return torch.bincount(places.cpu(), minlength=BINS)


def _key(line: Line) -> tuple[bool, int]:
    return line.made_up, line.text


def _upto(batch: Batch, at: int) -> tuple[int, ...]:
    """The ids of a token's line up to it, the last ones."""
    line, position = batch.lines[int(batch.line[at])], int(batch.position[at])
    return line.ids[max(0, position + 1 - _AROUND) : position + 1]


def _shown(lm: LanguageModel, ids: Sequence[int]) -> str:
    return lm.decode(ids) if lm.tokenizer is not None else str(list(ids))
