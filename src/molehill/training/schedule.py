"""How the learning rate goes over a run: up, level, down.

    wsd       warm up, stay, and decay linearly at the end (warm-up/stable/decay: Hu et al. 2024,
              MiniCPM, section 4; linear decay: Hägele et al. 2024)
    cosine    warm up, then half a cosine down (Loshchilov and Hutter 2017)
    constant  warm up, then stay

This module knows step numbers, and nothing of optimizers: what it gives is a share of whatever rate
each of them has at the top.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

__all__ = ["Schedule", "ScheduleKind", "steps_of"]

ScheduleKind = Literal["wsd", "cosine", "constant"]


@dataclass(frozen=True)
class Schedule:
    """The rate's course over the steps of a run."""

    steps: int
    """All steps of the run."""
    kind: ScheduleKind = "wsd"
    warm_up: int = 0
    """Steps that go up linearly; the last of them has the whole rate."""
    decay: int = 0
    """Steps that go down at the end, of `wsd` only."""
    final: float = 0.0
    """The share of the rate that is left after the last step."""

    def at(self, step: int) -> float:
        """The share of the top rate for a step, counted from 0."""
        if step < self.warm_up:
            return (step + 1) / self.warm_up
        match self.kind:
            case "wsd":
                # The share after the last step is `final`, so the last step still moves.
                left = min(1.0, (self.steps - step) / self.decay) if self.decay else 1.0
            case "cosine":
                gone = (step - self.warm_up) / max(1, self.steps - self.warm_up)
                left = 0.5 * (1.0 + math.cos(math.pi * min(1.0, gone)))
            case _:
                return 1.0
        return self.final + (1.0 - self.final) * left


def steps_of(length: int | float, steps: int) -> int:
    """A length of the schedule in steps: a whole number is that already, a share below 1 is of
    `steps`."""
    return length if isinstance(length, int) else round(length * steps)
