"""When a neuron fires: a corpus through the model, of which only this neuron is kept.

The pass ends at the neuron's layer, and what stays of a text is its largest coefficient and counts,
so a corpus of any size takes the same memory. A neuron fires where its pre-activation is above
nothing; of a gated MLP that is the gate's, and the up row then decides how much and with which
sign. This file knows nothing of what rows and columns mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import torch
from torch import Tensor

from molehill.errors import TextError
from molehill.language_model import LanguageModel
from molehill.text.tokenizer import Tokenizer
from molehill.trace.windows import Window, WindowStream

__all__ = ["Example", "Firing", "watch_neuron"]

_BINS = 64
_SORTED = 8
"""Of how many batches windows are sorted by length."""
_BEFORE, _AFTER = 32, 8
"""How many tokens around an example are kept."""


@dataclass(frozen=True)
class Example:
    """A place in a text where the coefficient is large."""

    text: int
    """The text's number in the corpus, from 0."""
    pieces: tuple[str, ...]
    """The token and its neighbours."""
    at: int
    """Which of the pieces is the token."""
    coefficient: float
    """What its column is multiplied by there."""
    asked: float
    """The pre-activation there; of a gated MLP, the gate's."""
    coefficients: tuple[float, ...]
    """At each of the pieces."""


@dataclass(frozen=True)
class Firing:
    """What a neuron did over a corpus, special tokens left out."""

    texts: int
    tokens: int
    fires: float
    """The share of tokens whose pre-activation (of a gated MLP, the gate's) is above nothing."""
    without_bias: float
    """The share that would be if no bias were added."""
    negative: float
    """The share of tokens whose coefficient is below nothing."""
    mean: float
    deviation: float
    """Of the pre-activation, bias included."""
    reach: float
    counts: tuple[int, ...]
    """A histogram of the pre-activation in bins of one width, from -reach to reach: the threshold
    is the edge in its middle."""
    examples: tuple[Example, ...]
    """The largest coefficients, one for each text at most."""
    lowest: tuple[Example, ...]
    """The most negative ones; only where MLPs are gated."""


@torch.no_grad()
def watch_neuron(
    lm: LanguageModel,
    layer: int,
    neuron: int,
    texts: Iterable[str],
    *,
    bias: float = 0.0,
    k: int = 10,
    context: int | None = None,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> Firing:
    """Run a corpus up to the neuron's layer and count.

    Args:
        texts: read once, in their order; a long one is read in windows.
        bias: what is added to the row's dot product, to say what it changes.
        k: how many examples are kept.
        context: the most tokens that are read together; None: the model's context, at most 512.
        batch_size: windows in a pass.
        progress: called after each pass with the number of windows that were read in it.

    Raises:
        TextError: no tokenizer, or a corpus without a token.
    """
    tokenizer = lm.tokenizer
    if tokenizer is None:
        raise TextError(f"{lm.name} came without a tokenizer: it cannot read texts.")
    context = min(lm.config.n_ctx, 512) if context is None else context
    counting = _Counting(lm, layer, neuron, bias, k)
    last = -1
    for batch in _batches(WindowStream(tokenizer, texts, context), batch_size):
        counting.add(batch, tokenizer)
        last = max(last, *(window.text for window in batch))
        if progress is not None:
            progress(len(batch))
    if not counting.tokens:
        raise TextError("The corpus has no token that is text: give at least one line.")
    return counting.result(last + 1, tokenizer)


def _batches(stream: Iterable[Window], size: int) -> Iterator[list[Window]]:
    """Windows of about one length together, so that little is read that is only padding."""
    windows = iter(stream)
    while group := list(islice(windows, _SORTED * size)):
        group.sort(key=lambda window: len(window.ids))
        for start in range(0, len(group), size):
            yield group[start : start + size]


class _OneNeuron:
    """The watch of a pass: keeps one neuron's numbers [batch, pos]."""

    def __init__(self, layer: int, neuron: int, gated: bool) -> None:
        self.asked_at = f"{layer}.mlp.{'gate' if gated else 'pre'}"
        self.act_at = f"{layer}.mlp.act"
        self.neuron = neuron
        self.kept: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        self.kept.clear()

    def wants(self, site: str) -> bool:
        return site in (self.asked_at, self.act_at)

    def __call__(self, site: str, x: Tensor) -> Tensor:
        self.kept[site] = x[..., self.neuron].double().cpu()
        return x


@dataclass(frozen=True, eq=False)
class _Place:
    """An example while better ones may still come: ids instead of pieces."""

    coefficient: float
    asked: float
    window: Window
    position: int
    coefficients: tuple[float, ...]

    def example(self, tokenizer: Tokenizer) -> Example:
        first, last = _around(self.position, len(self.window.ids))
        pieces = tuple(tokenizer.piece(token) for token in self.window.ids[first:last])
        at = self.position - first
        return Example(
            self.window.text, pieces, at, self.coefficient, self.asked, self.coefficients
        )


def _around(position: int, length: int) -> tuple[int, int]:
    return max(0, position - _BEFORE), min(length, position + _AFTER + 1)


@dataclass
class _Counting:
    """Everything that is counted, while the corpus goes by."""

    lm: LanguageModel
    layer: int
    neuron: int
    bias: float
    k: int
    tokens: int = 0
    fires: int = 0
    without: int = 0
    negative: int = 0
    total: float = 0.0
    squares: float = 0.0
    reach: float = 0.0
    counts: Tensor = field(default_factory=lambda: torch.zeros(_BINS, dtype=torch.int64))
    highest: list[_Place] = field(default_factory=list)
    lowest: list[_Place] = field(default_factory=list)

    def add(self, batch: Sequence[Window], tokenizer: Tokenizer) -> None:
        model = self.lm.model
        width = max(len(window.ids) for window in batch)
        ids = torch.zeros(len(batch), width, dtype=torch.int64)
        mask = torch.zeros(len(batch), width, dtype=torch.bool)
        for row, window in enumerate(batch):
            ids[row, : len(window.ids)] = torch.tensor(window.ids)
            mask[row, : len(window.ids)] = True
        watch = _OneNeuron(self.layer, self.neuron, self.lm.config.gated)
        model(
            ids.to(model.device),
            mask=mask.to(model.device),
            watch=watch,
            logits="none",
            last=self.layer + 1,
        )
        special = torch.tensor(sorted(tokenizer.special_ids), dtype=torch.int64)
        counted = mask & ~torch.isin(ids, special)
        asked, act = watch.kept[watch.asked_at], watch.kept[watch.act_at]
        self._count(asked[counted], act[counted])
        self._rank(batch, counted, asked, act)

    def _count(self, asked: Tensor, act: Tensor) -> None:
        self.tokens += asked.numel()
        self.fires += int((asked > 0).sum())
        self.without += int((asked - self.bias > 0).sum())
        self.negative += int((act < 0).sum())
        self.total += float(asked.sum())
        self.squares += float(asked.square().sum())
        self._bin(asked[asked.isfinite()])

    def _bin(self, values: Tensor) -> None:
        """Into bins around nothing that grow twice as wide, two into one, until all values fit."""
        largest = float(values.abs().max()) if values.numel() else 0.0
        if largest and not self.reach:
            self.reach = 2.0 ** float(torch.tensor(largest).log2().ceil())
        while largest > self.reach:
            inner = self.counts.view(-1, 2).sum(1)
            self.counts = torch.nn.functional.pad(inner, (_BINS // 4, _BINS // 4))
            self.reach *= 2
        width = 2 * self.reach / _BINS or 1.0
        # The threshold itself does not fire: it belongs to the bin below.
        places = torch.ceil(values / width).long() + _BINS // 2 - 1
        self.counts += torch.bincount(places.clamp(0, _BINS - 1), minlength=_BINS)

    def _rank(self, batch: Sequence[Window], counted: Tensor, asked: Tensor, act: Tensor) -> None:
        for row, window in enumerate(batch):
            if not bool(counted[row].any()):
                continue
            for places, sign in ((self.highest, 1), (self.lowest, -1)):
                signed = (sign * act[row]).masked_fill(~counted[row], -torch.inf)
                at = int(signed.argmax())
                value = float(signed[at])
                worst = sign * places[-1].coefficient if len(places) >= self.k else 0.0
                if value > max(worst, 0.0):
                    first, last = _around(at, len(window.ids))
                    near = tuple(act[row, first:last].tolist())
                    place = _Place(sign * value, float(asked[row, at]), window, at, near)
                    places[:] = _ranked([*places, place], sign, self.k)

    def result(self, texts: int, tokenizer: Tokenizer) -> Firing:
        count = self.tokens
        mean = self.total / count
        gated = self.lm.config.gated
        return Firing(
            texts=texts,
            tokens=count,
            fires=self.fires / count,
            without_bias=self.without / count,
            negative=self.negative / count,
            mean=mean,
            deviation=max(0.0, self.squares / count - mean * mean) ** 0.5,
            reach=self.reach,
            counts=tuple(self.counts.tolist()),
            examples=tuple(place.example(tokenizer) for place in self.highest),
            lowest=tuple(place.example(tokenizer) for place in self.lowest) if gated else (),
        )


def _ranked(places: Sequence[_Place], sign: int, k: int) -> list[_Place]:
    """The largest (of sign -1, lowest) first: of each text the best only, and of texts that read
    alike up to the token the first only."""
    kept: list[_Place] = []
    texts, read = set[int](), set[tuple[int, ...]]()
    for place in sorted(places, key=lambda one: -sign * one.coefficient):
        first, _ = _around(place.position, len(place.window.ids))
        before = place.window.ids[first : place.position + 1]
        if place.window.text in texts or before in read:
            continue
        texts.add(place.window.text)
        read.add(before)
        kept.append(place)
    return kept[:k]
