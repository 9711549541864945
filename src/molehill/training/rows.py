"""What happened in a run, as a row of numbers and texts that any tracker can take.

    Stepped(step=100, loss=3.21, ...)  ->  train/loss, train/rate, train/grad_norm, ...
    Evaluated(step=100, ...)           ->  eval/loss, eval/bits_per_byte/KIND
    Sampled, Notice                    ->  samples/NUMBER of the prompt, notice

This module knows no tracker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from molehill.training.events import Evaluated, Event, Notice, Sampled, Stepped

__all__ = ["Row", "row_of"]


@dataclass(frozen=True)
class Row:
    """What a tracker is told at once."""

    step: int
    tokens: int
    """Tokens that were read up to and with this step."""
    numbers: Mapping[str, float] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)


def row_of(event: Event, *, step_tokens: int, prompts: Sequence[str]) -> Row | None:
    """An event as a row; None for one that only concerns the disk.

    Args:
        event: what happened.
        step_tokens: tokens of each step.
        prompts: those of the recipe; a sample is called by its prompt's number, from 1.
    """
    numbers: dict[str, float] = {}
    texts: dict[str, str] = {}
    match event:
        case Stepped():
            for name in ("loss", "rate", "grad_norm", "tokens_per_second"):
                numbers[f"train/{name}"] = getattr(event, name)
        case Evaluated():
            numbers["eval/loss"] = event.loss
            for kind, bits in event.bits_per_byte.items():
                numbers[f"eval/bits_per_byte/{kind}"] = bits
        case Sampled():
            number = prompts.index(event.prompt) + 1
            texts[f"samples/{number}"] = f"{event.prompt} … {event.text}"
        case Notice():
            texts["notice"] = event.text
        case _:
            return None
    return Row(event.step, event.step * step_tokens, numbers, texts)
