"""A vector moved by hand: one token's vector, at one point of its journey, pushed along a direction
by many strengths, and what the model says next because of it.

Each strength is run twice. `free`: everything after the move is recomputed. `frozen`: every head
looks where it looked when the model read the same text without the move; what stands there, norms
and MLPs are recomputed. What the two have in common went through the vector itself, what only
`free` has came of heads looking elsewhere. A frozen continuation keeps a companion: the unmoved
model reads the same words beside it, and its patterns are taken.

All strengths are rows of one batch. What the move cannot change is computed once: tokens before the
one that is moved, layers before the point. This module draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from molehill.errors import ConfigError, SiteError, TextError
from molehill.journey.paths import place_of, points_of
from molehill.language_model import LanguageModel
from molehill.model.cache import KVCache
from molehill.model.config import ModelConfig
from molehill.model.sites import parse_site
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens

__all__ = ["STRENGTHS", "Moved", "Moving", "half_way", "move"]

STRENGTHS = tuple(step / 5 for step in range(-10, 11))
"""From -2 to 2 lengths of the vector, in steps of a fifth."""


@dataclass(frozen=True)
class Moved:
    """What came of one strength, in one of the two ways.

    Attributes:
        probabilities: of the words in `Moving.words`, as the next word after the text.
        divergence: KL(unmoved || moved) of the next word, in nats.
        ids, text: the greedy continuation; nothing where none was asked for.
    """

    strength: float
    probabilities: tuple[float, ...]
    divergence: float
    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True, eq=False)
class Moving:
    """One token's vector moved along one direction.

    Attributes:
        pieces: the text's tokens.
        position: the one that is moved.
        at: the point at which it is.
        length: of its vector there, the unit of all strengths.
        cosine: between the vector and the direction.
        strengths: in rising order; 0 is among them.
        words: tokens that are among the likeliest next ones at some strength, or were asked for;
            those whose probability changes most come first.
        free, frozen: what came of each strength.
    """

    text: str
    pieces: tuple[str, ...]
    position: int
    at: str
    length: float
    cosine: float
    strengths: tuple[float, ...]
    words: tuple[int, ...]
    free: tuple[Moved, ...]
    frozen: tuple[Moved, ...]

    def __repr__(self) -> str:
        ends = self.free[0], self.free[self.strengths.index(0.0)], self.free[-1]
        told = [f"{each.strength:+g}: {each.text!r}" for each in ends]
        return (
            f"Moving of token {self.position} ({self.pieces[self.position]!r}) at {self.at}, "
            f"attention free; {'; '.join(told)}"
        )


def half_way(config: ModelConfig) -> str:
    """Where a vector is moved unless told otherwise: the last point of a model's first half."""
    ends = [point for point in points_of(config) if point.endswith("resid_post")]
    return ends[(len(ends) - 1) // 2]


@torch.no_grad()
def move(
    lm: LanguageModel,
    text: str,
    direction: Float[Tensor, " d_model"],
    *,
    position: int = -1,
    at: str,
    strengths: Sequence[float] = STRENGTHS,
    new_tokens: int = 12,
    near: int = 4,
    track: Sequence[int] = (),
    progress: Callable[[int, int], object] = lambda done, whole: None,
) -> Moving:
    """Move a token's vector x to x + strength * |x| * direction / |direction|.

    Args:
        position: of the token; negative from the end.
        at: a point of the journey before the last norm, such as `3.resid_post`.
        strengths: in lengths of the vector; 0 is added where it is missing.
        new_tokens: of each continuation at most; 0 for none.
        near: how many of each strength's likeliest next words are followed.
        track: tokens that are followed in any case.
        progress: hears how many of all passes are done.

    Raises:
        SiteError: no such token or point.
        ConfigError: a model that writes nothing, a direction without length or of another width, a
            strength that is not finite.
        TextError: a text without tokens, or that fills the context.
    """
    tokens = lm.encode([text])
    place = place_of(tokens, position).positions[0]
    unit = _checked(lm, tokens, direction, at)
    scale = sorted({0.0, *map(float, strengths)})
    if not all(map(math.isfinite, scale)):
        raise ConfigError("A strength is not finite: give numbers such as 1 or -0.5.")
    run = _Run(lm.model, tokens.ids, place, at, unit, scale)
    room = min(new_tokens, lm.config.n_ctx - tokens.ids.shape[1])
    logits = run.read(max(room, 1))
    progress(1, max(room, 1))
    stop = None if lm.tokenizer is None else lm.tokenizer.eos_id
    ids = run.write(logits, room, stop, progress)
    count = len(scale)
    logs = logits[: 2 * count].double().log_softmax(-1)
    words = _words(logs, near, track)
    before = logs[scale.index(0.0)]
    told = [
        Moved(
            strength,
            tuple(log.exp()[words].tolist()),
            float((before.exp() * (before - log)).sum().clamp(min=0.0)),
            own,
            _text(lm, tokens, own),
        )
        for strength, log, own in zip([*scale, *scale], logs, ids, strict=True)
    ]
    vector = run.vector.double()
    return Moving(
        text,
        tokens.pieces[0],
        place,
        at,
        float(vector.norm()),
        float(vector @ unit.double() / vector.norm().clamp(min=1e-30)),
        tuple(scale),
        tuple(words),
        tuple(told[:count]),
        tuple(told[count:]),
    )


def _checked(lm: LanguageModel, tokens: Tokens, direction: Tensor, at: str) -> Tensor:
    """The direction at length one, if all that was asked for can be done."""
    config = lm.config
    if not (config.causal and config.has_head):
        raise ConfigError(
            f"{lm.name} does not say what comes next, so that nothing would come of a move: take "
            "a model that reads from left to right and has a head."
        )
    points = [point for point in points_of(config) if point != "final"]
    if at not in points:
        raise SiteError(
            f"A vector can be moved at {', '.join(points[:3])} ... {points[-1]}, not at {at!r}."
        )
    if tokens.ids.shape[1] >= config.n_ctx:
        raise TextError(
            f"The text has {tokens.ids.shape[1]} tokens and the model reads at most "
            f"{config.n_ctx}, the next one included: shorten it."
        )
    length = float(direction.norm())
    if direction.shape != (config.d_model,) or not math.isfinite(length) or length == 0.0:
        raise ConfigError(
            f"The direction has shape {tuple(direction.shape)} and length {length:.3g}, expected "
            f"({config.d_model},) and more than 0."
        )
    return (direction / length).to(lm.model.dtype).to(lm.model.device)


class _Run:
    """All strengths of one move side by side: free rows, frozen rows, and the unmoved model."""

    def __init__(
        self,
        model: Transformer,
        ids: Int[Tensor, "1 pos"],
        place: int,
        at: str,
        unit: Float[Tensor, " d_model"],
        strengths: Sequence[float],
    ) -> None:
        self.model, self.ids, self.place, self.at = model, ids.to(model.device), place, at
        self.unit = unit
        self.strengths = torch.tensor(strengths, dtype=unit.dtype, device=unit.device)
        self.layer = parse_site(at)[0]
        self.vector = unit
        """What is moved, once the text was read."""
        self.cache: KVCache | None = None

    @property
    def count(self) -> int:
        """How many strengths there are."""
        return len(self.strengths)

    def read(self, room: int) -> Float[Tensor, "row d_vocab"]:
        """Read the text; the next word's scores of the free rows, the frozen rows, and the unmoved
        model. `room` is how many tokens may follow."""
        length = self.ids.shape[1]
        base = KVCache(
            self.model.config, 1, length, dtype=self.model.dtype, device=self.model.device
        )
        seen = _Seen({self.at, f"{self.layer or 0}.resid_pre"})
        self.model(self.ids, cache=base, watch=seen, logits="none")
        self.vector = seen.values[self.at][0, self.place]
        rows = 2 * self.count + 1
        cache = _spread(base, self.model, [0] * rows, length + room, self.place)
        pushes = self.strengths[:, None] * self.vector.norm() * self.unit
        watch = _Mover(self.at, self.place, torch.cat([pushes, pushes]), self.count)
        if self.layer is None:
            ids = self.ids[:, self.place :].expand(rows, -1)
            out = self.model(ids, cache=cache, watch=watch, logits="last")
        else:
            resid = seen.values[f"{self.layer}.resid_pre"][:, self.place :].expand(rows, -1, -1)
            out = self.model(
                None, resid=resid, first=self.layer, cache=cache, watch=watch, logits="last"
            )
        self.cache = cache
        return out.logits[:, -1]

    def write(
        self,
        logits: Float[Tensor, "row d_vocab"],
        steps: int,
        stop: int | None,
        progress: Callable[[int, int], object],
    ) -> list[tuple[int, ...]]:
        """Greedy continuations of the free rows and the frozen rows."""
        count = self.count
        written: list[list[int]] = [[] for _ in range(2 * count)]
        if not steps:
            return [() for _ in written]
        assert self.cache is not None, "the text was read"
        if self.model.step_products.packs is not None:
            self.model.step_products.packs.refresh()
        # From here on every frozen row has a companion of its own, which reads what it writes.
        rows = [*range(2 * count), *[2 * count] * count]
        cache = _spread(self.cache, self.model, rows, self.cache.capacity, self.cache.used)
        watch = _Mover(self.at, -1, self.unit[None], count)
        for step in range(1, steps + 1):
            chosen = logits[: 2 * count].argmax(-1)
            for own, token in zip(written, chosen.tolist(), strict=True):
                if not own or own[-1] != stop:
                    own.append(token)
            if step == steps or all(own[-1] == stop for own in written):
                break
            following = torch.cat([chosen, chosen[count:]])[:, None]
            logits = self.model(following, cache=cache, watch=watch, logits="last").logits[:, -1]
            progress(step + 1, steps)
        return [tuple(own) for own in written]


class _Seen:
    """A watcher that keeps what stands at some sites."""

    def __init__(self, sites: set[str]) -> None:
        self.sites = sites
        self.values: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing."""

    def wants(self, site: str) -> bool:
        """Whether it is kept."""
        return site in self.sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """The value, unchanged."""
        self.values[site] = x
        return x


class _Mover:
    """A watcher that moves a token in the free and the frozen rows, and gives the frozen rows the
    patterns of the unmoved ones, which come last."""

    def __init__(
        self, at: str, place: int, pushes: Float[Tensor, "row d_model"], count: int
    ) -> None:
        self.at, self.place, self.pushes, self.count = at, place, pushes, count
        self.here: Tensor = torch.zeros(0)

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Where the token stands in this pass, if it is there."""
        self.here = (positions[0] == self.place).nonzero()[:, 0]

    def wants(self, site: str) -> bool:
        """The point of the move, and every pattern."""
        return site == self.at or site.endswith(".attn.pattern")

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """The value that the run goes on with."""
        if site != self.at:
            free, frozen, unmoved = x.split([self.count, self.count, len(x) - 2 * self.count])
            return torch.cat([free, unmoved.expand_as(frozen), unmoved])
        if not len(self.here):
            return x
        x = x.clone()
        x[: 2 * self.count, self.here] += self.pushes[:, None]
        return x


def _spread(
    cache: KVCache, model: Transformer, rows: Sequence[int], capacity: int, used: int
) -> KVCache:
    """A cache whose texts are `rows` of another's, gone on with from slot `used`; the other's later
    slots come along for layers that are not run again."""
    found = KVCache(
        model.config, len(rows), capacity, dtype=cache.keys.dtype, device=cache.keys.device
    )
    chosen = torch.tensor(rows, device=cache.keys.device)
    held = cache.used
    found.keys[:, :, :, :held] = cache.keys[:, chosen, :, :held]
    found.values[:, :, :, :held] = cache.values[:, chosen, :, :held]
    found.positions[:, :used] = cache.positions[chosen, :used]
    found.real[:, :used] = cache.real[chosen, :used]
    found.used, found.padded = used, cache.padded
    return found


def _words(logs: Float64[Tensor, "row d_vocab"], near: int, track: Sequence[int]) -> list[int]:
    """The likeliest words of all rows and those that were asked for, by their largest change."""
    best = logs.topk(min(near, logs.shape[1]), dim=1).indices.flatten().tolist()
    words = torch.tensor(sorted({*best, *track}), device=logs.device)
    change = (logs.exp()[:, words].amax(0) - logs.exp()[:, words].amin(0)).argsort(
        descending=True, stable=True
    )
    return words[change].tolist()


def _text(lm: LanguageModel, tokens: Tokens, ids: Sequence[int]) -> str:
    """What a continuation reads as, behind the text."""
    if not ids or lm.tokenizer is None:
        return ""
    stream = lm.tokenizer.stream(after=tokens.row(0))
    return "".join(stream.push(token) for token in ids) + stream.close()
