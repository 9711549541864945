"""What causal tracing found: of one fact, and of many as an average.

    FactTrace       the effect of restoring each layer and token of one prompt
    RelationTrace   the same averaged over facts, by the role of the token, with intervals

These are records; `locate.py` makes them. Terms follow Meng et al., "Locating and Editing Factual
Associations in GPT" (2022), section 2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from molehill.facts.showing import clipped, few

__all__ = ["ROLES", "Approximation", "FactTrace", "Kind", "Peak", "RelationTrace", "Role"]

Kind = Literal["state", "mlp", "attention"]
"""What is restored: the residual stream after a layer, what a window of MLPs adds, or what a window
of attention layers adds."""

Role = Literal[
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first further token",
    "further tokens",
    "last token",
]
ROLES: tuple[Role, ...] = (
    "first subject token",
    "middle subject tokens",
    "last subject token",
    "first further token",
    "further tokens",
    "last token",
)
"""The tokens of a prompt by what they are to its fact. A subject of one token is its last; a prompt
that ends right after its subject has no further tokens and its last token is the subject's."""


@dataclass(frozen=True)
class Peak:
    """The place with the largest effect."""

    layer: int
    position: int
    effect: float


@dataclass(frozen=True, eq=False)
class Approximation:
    """An estimate of the exact effects from gradients, and how well it agrees with them."""

    effects: Tensor
    """[layer, pos], in the units of the exact ones."""
    correlation: float
    """Pearson's, with the exact effects of the same kind over all layers and positions; NaN where
    either is constant."""


@dataclass(frozen=True, eq=False)
class FactTrace:
    """The effect of restoring each layer and token of one prompt whose subject was corrupted.

    Effects are differences of the target's probability: restored minus corrupted, averaged over the
    draws of noise. Tokens before the subject have an effect of exactly zero in a causal model.
    """

    model: str
    prompt: str
    subject: str
    target: str
    """The object as it goes on from the prompt; by default what the model itself says."""
    pieces: tuple[str, ...]
    """The prompt's tokens."""
    subject_span: tuple[int, int]
    """The subject's tokens: first, and one past the last."""
    clean: float
    """The target's probability after the prompt as it is."""
    corrupted: float
    """The same with the subject corrupted, the mean over draws."""
    effects: Mapping[Kind, Tensor]
    """Indirect effects by what was restored [layer, pos]."""
    errors: Mapping[Kind, Tensor]
    """Standard errors of the effects over the draws [layer, pos]; zeros for a single draw."""
    corruption: str
    """In words: `noise of 3.0 sigma (0.0421), 10 draws, seed 0`, or `Paris in place of Rome`."""
    windows: Mapping[Kind, int]
    """How many layers were restored together, by kind."""
    approximations: Mapping[str, Approximation] = field(default_factory=dict)
    """By name: `attribution patching`, `integrated gradients`; of the kind `state`."""
    gaps: tuple[int, ...] = ()
    """The tokens at which a gap-filling model says the object; empty for one that goes on from the
    last."""

    def __repr__(self) -> str:
        peaks = ((kind, self.peak(kind)) for kind in self.effects)
        return few(
            f"Trace of {self.target.strip()!r} after {clipped(self.prompt)!r} in {self.model}: "
            f"{self.clean:.2g}, corrupted {self.corrupted:.2g}",
            [
                f"{kind}: {peak.effect:+.2g} at layer {peak.layer}, {self.pieces[peak.position]!r}"
                for kind, peak in peaks
            ],
        )

    @property
    def total_effect(self) -> float:
        """The clean probability minus the corrupted one."""
        return self.clean - self.corrupted

    def peak(self, kind: Kind = "state") -> Peak:
        """Where restoring has the largest effect."""
        effects = self.effects[kind]
        layer, position = divmod(int(effects.argmax()), effects.shape[1])
        return Peak(layer, position, float(effects[layer, position]))

    def roles(self) -> tuple[Role | None, ...]:
        """The role of every token; None before the subject, and after a gap that is to be filled.

        Where the object is said counts as the last token: that, or every gap.
        """
        first, end = self.subject_span
        said = self.gaps or (len(self.pieces) - 1,)
        found: list[Role | None] = []
        for position in range(len(self.pieces)):
            if position < first or position > said[-1]:
                found.append(None)
            elif position < end:
                inner = "first subject token" if position == first else "middle subject tokens"
                found.append("last subject token" if position == end - 1 else inner)
            elif position in said:
                found.append("last token")
            else:
                found.append("first further token" if position == end else "further tokens")
        return tuple(found)


@dataclass(frozen=True, eq=False)
class RelationTrace:
    """Effects averaged over facts, by layer and by the role of the token.

    Every fact counts once: of several tokens with one role the mean is taken first. Intervals are
    95% percentile intervals of the mean over facts drawn again with replacement (Efron and
    Tibshirani, 1993, chapter 13).
    """

    model: str
    relation: str
    facts: tuple[str, ...]
    """The prompts with their targets."""
    roles: tuple[Role, ...]
    """Those that occur."""
    counts: tuple[int, ...]
    """How many facts have each role."""
    effects: Mapping[Kind, Tensor]
    """[layer, role]."""
    low: Mapping[Kind, Tensor]
    high: Mapping[Kind, Tensor]
    total_effect: tuple[float, float, float]
    """The mean and the ends of its interval."""
    corruption: str
    windows: Mapping[Kind, int]
    resamples: int
    seed: int

    def __repr__(self) -> str:
        peaks = ((kind, self.peak(kind)) for kind in self.effects)
        return few(
            f"Trace of {self.relation!r} in {self.model}, {len(self.facts)} facts: total effect "
            f"{self.total_effect[0]:.2g}",
            [
                f"{kind}: {effect:+.2g} at layer {layer}, {role}"
                for kind, (layer, role, effect) in peaks
            ],
        )

    def peak(self, kind: Kind = "state") -> tuple[int, Role, float]:
        """The layer and role with the largest mean effect."""
        effects = self.effects[kind]
        layer, role = divmod(int(effects.argmax()), effects.shape[1])
        return layer, self.roles[role], float(effects[layer, role])
