"""What a run tells of itself: frozen records, for a file, a terminal or whoever listens.

This module knows nothing of how anything of it is computed or shown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from molehill.training.plan import Plan

__all__ = ["Began", "Evaluated", "Event", "Listener", "Notice", "Sampled", "Saved", "Stepped"]


@dataclass(frozen=True)
class Began:
    """A part of the run begins."""

    step: int
    """Steps that were taken before."""
    plan: Plan
    version: str
    """Molehill's."""


@dataclass(frozen=True)
class Stepped:
    """One step was taken, or left out."""

    step: int
    """Steps up to and with this one."""
    loss: float
    """The mean over the step's tokens, in nats."""
    rate: float
    """The share of the top rate."""
    grad_norm: float
    """The length of the whole gradient before it was clipped."""
    tokens: int
    """Tokens that were read since the run began."""
    seconds: float
    """That were spent in steps since the run began, over all its parts."""
    tokens_per_second: float
    """Of this step, over all processes."""
    applied: bool = True
    """Whether it changed anything: a gradient that is no number does not."""


@dataclass(frozen=True)
class Evaluated:
    """The held-out text was read."""

    step: int
    bits_per_byte: Mapping[str, float]
    """By kind of text."""
    loss: float
    """Nats per token over all kinds."""


@dataclass(frozen=True)
class Sampled:
    """The model went on from a prompt."""

    step: int
    prompt: str
    text: str


@dataclass(frozen=True)
class Saved:
    """Something stands on the disk."""

    step: int
    what: str
    """`checkpoint`, `snapshot` or `model`."""
    path: str


@dataclass(frozen=True)
class Notice:
    """Something that the user should know, in a sentence."""

    step: int
    text: str


Event = Began | Stepped | Evaluated | Sampled | Saved | Notice
Listener = Callable[[Event], None]
