"""Causal traces made by hand, of the form that large models show: an early site at the subject's
last token in middle layers, a late site at the last token in upper layers."""

from __future__ import annotations

from typing import Any

import torch
from tests.journey.tiny import tiny_language
from torch import Tensor

from molehill.facts.traced import ROLES, Approximation, FactTrace, RelationTrace
from molehill.views.fact_trace import fact_trace_data, relation_trace_data

PIECES = ("<|im_start|>", "Michael", "·Jordan", "·plays", "·the", "·sport", "·of")
LAYERS = 30
SUBJECT, LAST = 2, 6
CLEAN, CORRUPTED = 0.8125, 0.0425
TOTAL = CLEAN - CORRUPTED


def hill(centre: float, width: float, height: float, layers: int = LAYERS) -> Tensor:
    """A bell over the layers."""
    place = torch.arange(layers, dtype=torch.float64)
    return height * torch.exp(-(((place - centre) / width) ** 2))


def rise(centre: float, width: float, height: float, layers: int = LAYERS) -> Tensor:
    """A step over the layers that ends at its height exactly."""
    place = torch.arange(layers, dtype=torch.float64)
    step = torch.sigmoid((place - centre) / width)
    return height * step / step[-1]


def maps(layers: int = LAYERS) -> dict[str, Tensor]:
    """Effects of the three kinds [layer, pos] for `PIECES`."""
    scale = layers / LAYERS
    state, mlp, attention = (
        torch.zeros(layers, len(PIECES), dtype=torch.float64) for _ in range(3)
    )

    def bell(centre: float, width: float, height: float) -> Tensor:
        return hill(centre * scale, width * scale, height, layers)

    state[:, 1] = bell(2, 3, 0.11)
    state[:, SUBJECT] = bell(10, 8, 0.56)
    state[:, 3] = bell(15, 5, 0.07)
    state[:, 5] = bell(16, 4, -0.06)
    state[:, LAST] = rise(21 * scale, 1.6 * scale, TOTAL, layers)
    mlp[:, 1] = bell(3, 3, 0.05)
    mlp[:, SUBJECT] = bell(12, 6, 0.48)
    mlp[:, 4] = bell(18, 4, -0.09)
    mlp[:, LAST] = bell(25, 4, 0.13)
    attention[:, SUBJECT] = bell(9, 5, 0.08)
    attention[:, 3] = bell(20, 5, -0.05)
    attention[:, LAST] = bell(21, 4, 0.43)
    return {"state": state, "mlp": mlp, "attention": attention}


def fact(
    *,
    layers: int = LAYERS,
    pieces: tuple[str, ...] = PIECES,
    target: str = " basketball",
    subject: str = "Michael Jordan",
    drawn: bool = True,
    approximated: bool = True,
) -> FactTrace:
    """One fact: `Michael Jordan plays the sport of`, or the same numbers with other tokens."""
    effects = maps(layers)
    errors = {
        kind: (0.02 + 0.05 * effect.abs()) * (effect != 0) * drawn
        for kind, effect in effects.items()
    }
    state = effects["state"]
    wave = torch.sin(torch.arange(state.numel(), dtype=torch.float64)).view_as(state)
    wave[:, 0] = 0
    close = {
        "attribution patching": Approximation(0.7 * state + 0.03 * wave, 0.87),
        "integrated gradients": Approximation(0.95 * state, 0.985),
    }
    return FactTrace(
        model="tiny llama",
        prompt=f"{subject} plays the sport of",
        subject=subject,
        target=target,
        pieces=pieces,
        subject_span=(1, SUBJECT + 1),
        clean=CLEAN,
        corrupted=CORRUPTED,
        effects=effects,
        errors=errors,
        corruption="noise of 3.0 sigma (0.0421), 10 draws, seed 0"
        if drawn
        else "“Serena Williams” in place of “Michael Jordan”",
        windows={"state": 1, "mlp": 10, "attention": 10},
        approximations=close if approximated else {},
    )


def relation(name: str = "plays the sport of") -> RelationTrace:
    """The mean over 24 facts, in the same form."""
    effects = {
        kind: 0.8 * torch.stack([effect[:, column] for column in (1, 1, 2, 3, 5, 6)], 1)
        for kind, effect in maps().items()
    }
    return RelationTrace(
        model="tiny llama",
        relation=name,
        facts=tuple(f"Athlete {number} {name} tennis" for number in range(24)),
        roles=ROLES,
        counts=(22, 9, 24, 24, 20, 24),
        effects=effects,
        low={kind: effect - 0.03 - 0.1 * effect.abs() for kind, effect in effects.items()},
        high={kind: effect + 0.04 + 0.1 * effect.abs() for kind, effect in effects.items()},
        total_effect=(0.616, 0.552, 0.671),
        corruption="noise of 3.0 sigma (0.0421), 10 draws, seed 0",
        windows={"state": 1, "mlp": 10, "attention": 10},
        resamples=2000,
        seed=0,
    )


def fact_made(**options: Any) -> dict[str, Any]:
    """The fact's data; made anew, since a test may change them."""
    return fact_trace_data(tiny_language("llama"), fact(**options), version="0.0.0", digits=5)


def relation_made(name: str = "plays the sport of") -> dict[str, Any]:
    """The relation's data."""
    return relation_trace_data(tiny_language("llama"), relation(name), version="0.0.0", digits=5)
