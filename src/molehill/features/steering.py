"""Steering: what a model writes with features changed, beside what it writes without.

    found = steer(lm, features, "The mole", [Change(1177, "add", 5.0)], strengths=(0.5, 1, 2))
    found.runs[0].text                          # strength 0: unchanged
    found.runs[2].text, found.next[2]           # and what the next word would be

A strength multiplies what is added and where a feature is held; a factor moves from 1 towards its
own. All runs draw from the same seed, so that they part only where the features part them. What is
changed is what the features add; their error stays (`edits.py`). This module draws nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float64
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.edits import AddFeature, ClampFeature, ScaleFeature
from molehill.features.trained import Features
from molehill.language_model import Continuation, LanguageModel
from molehill.trace.ahead import AheadEditing
from molehill.trace.edits import During, Edit
from molehill.trace.record import record

__all__ = ["Change", "How", "NextWord", "Steering", "edits_of", "read_change", "steer"]

How = Literal["add", "clamp", "scale"]


@dataclass(frozen=True)
class Change:
    """What is done to one feature."""

    feature: int
    how: How
    number: float
    """What is added, the value it is held at, or the factor."""

    def __post_init__(self) -> None:
        if self.how not in get_args(How):
            raise ConfigError(f"{self.how!r} is no change, expected {', '.join(get_args(How))}.")

    def at(self, strength: float) -> Change:
        """The same at another strength."""
        scaled = 1 + strength * (self.number - 1) if self.how == "scale" else strength * self.number
        return replace(self, number=scaled)

    def __str__(self) -> str:
        told = {
            "add": f"{self.number:+g}",
            "clamp": f"held at {self.number:g}",
            "scale": f"times {self.number:g}" if self.number else "off",
        }
        return f"feature {self.feature} {told[self.how]}"


def read_change(text: str) -> Change:
    """A change as it is written: `123=+5` adds 5 (`123=-5` takes it off), `123=5` holds the feature
    at 5, `123=x2` doubles it, `123=off` switches it off.

    Raises:
        ConfigError: another form.
    """
    name, equals, told = text.partition("=")
    told = told.strip().lower()
    try:
        feature = int(name)
        if not equals or not told or feature < 0:
            raise ValueError
        if told == "off":
            return Change(feature, "scale", 0.0)
        if told.startswith("x"):
            return Change(feature, "scale", _finite(told[1:]))
        return Change(feature, "add" if told[0] in "+-" else "clamp", _finite(told))
    except ValueError:
        raise ConfigError(
            f"{text!r} is no change of a feature: write 123=+5 to add 5, 123=5 to hold it at 5, "
            "123=x2 to double it, 123=off to switch it off."
        ) from None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError
    return number


def edits_of(
    features: Features, changes: Sequence[Change], strength: float = 1.0, *, during: During = "all"
) -> list[Edit]:
    """Changes as edits: those of one kind in one edit, which reads the vector once.

    Raises:
        ConfigError: a feature that does not exist, or the same one twice in a kind.
    """
    made: list[Edit] = []
    for how in get_args(How):
        mine = [change for change in changes if change.how == how]
        if not mine:
            continue
        chosen = [change.feature for change in mine]
        kind = {"add": AddFeature, "clamp": ClampFeature, "scale": ScaleFeature}[how]
        numbers = [change.at(strength).number for change in mine]
        made.append(kind(features, chosen, numbers, during=during))
    return made


@dataclass(frozen=True)
class NextWord:
    """What the next word would be at one strength."""

    probabilities: tuple[float, ...]
    """Of the words of `Steering.words`."""
    divergence: float
    """KL(unchanged || changed) in nats."""


@dataclass(frozen=True)
class Steering:
    """One prompt with features changed by several strengths; the first is 0, unchanged."""

    prompt: str
    changes: tuple[Change, ...]
    during: During
    seed: int
    temperature: float
    strengths: tuple[float, ...]
    edits: tuple[tuple[str, ...], ...]
    """Each run's edits in words."""
    runs: tuple[Continuation, ...]
    words: tuple[int, ...]
    """Tokens that are among the likeliest next ones at any strength, by their largest change."""
    next: tuple[NextWord, ...]


@torch.no_grad()
def steer(
    lm: LanguageModel,
    features: Features,
    prompt: str,
    changes: Sequence[Change],
    *,
    strengths: Sequence[float] = (1.0,),
    during: During = "all",
    max_new_tokens: int = 40,
    temperature: float = 0.0,
    top_p: float | None = None,
    seed: int = 0,
    near: int = 5,
    base: Sequence[Edit] = (),
) -> Steering:
    """Write on from a prompt unchanged, and with the changes at every strength.

    Args:
        during: whether features are changed at all tokens, at the prompt's, or at those written.
        temperature: 0 takes the likeliest token every time.
        seed: of every run, so that they draw alike.
        near: how many of each run's likeliest next words are compared.
        base: edits that belong to every run, the unchanged one too.

    Raises:
        ConfigError: features of another model, no change, a strength that is not finite, or a model
                that writes nothing.
        TextError: a prompt that is empty or fills the context.
    """
    features.check(lm)
    if not changes:
        raise ConfigError("Nothing is changed: name a feature, such as 123=+5.")
    if not all(map(math.isfinite, strengths)):
        raise ConfigError("A strength is not finite: give numbers such as 1 or 0.5.")
    scale = (0.0, *(float(strength) for strength in strengths if strength))
    edits = [
        [*base, *(edits_of(features, changes, strength, during=during) if strength else ())]
        for strength in scale
    ]
    runs = [
        lm.generate(
            prompt,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            watch=AheadEditing(each, lm.model) if each else None,
        )[0]
        for each in edits
    ]
    logs = torch.stack([_next(lm, prompt, each) for each in edits])
    words = _words(logs, near)
    following = [
        NextWord(tuple(log.exp()[words].tolist()), float((logs[0].exp() * (logs[0] - log)).sum()))
        for log in logs
    ]
    told = tuple(tuple(map(str, each)) for each in edits)
    return Steering(
        prompt,
        tuple(changes),
        during,
        seed,
        temperature,
        scale,
        told,
        tuple(runs),
        tuple(words),
        tuple(following),
    )


def _next(lm: LanguageModel, prompt: str, edits: Sequence[Edit]) -> Float64[Tensor, " d_vocab"]:
    now = [edit for edit in edits if edit.during != "generated"]
    trace = record(lm, prompt, [], positions="last", edits=now, logits="last")
    return trace["logits"][0, -1].double().log_softmax(-1)


def _words(logs: Float64[Tensor, "run d_vocab"], near: int) -> list[int]:
    best = logs.topk(min(near, logs.shape[1]), dim=1).indices.unique()
    change = (logs.exp() - logs[0].exp()).abs().amax(0)
    return best[change[best].argsort(descending=True, stable=True)].tolist()
