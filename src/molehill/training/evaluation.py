"""How well a model predicts held-out text, in bits per byte: comparable between vocabularies.

The loss over all tokens in bits, divided by the bytes of UTF-8 that these tokens stand for (as in
The Pile: Gao et al. 2020, section 3.1). A document's end costs bits and has no bytes. This module
knows rows of tokens, and nothing of where they come from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

__all__ = ["add_up", "bits_per_byte"]


def add_up(
    batches: Iterable[Int64[Tensor, "row token"]], evaluate: Callable[[Tensor], float]
) -> Float64[Tensor, 2]:
    """Sums over batches of rows: nats and predicted tokens, so that what several processes have
    read can be added.

    Args:
        batches: token ids; ids below zero end a row and are not counted.
        evaluate: the mean loss of rows in nats per predicted token (`Learner.evaluate`).
    """
    sums = torch.zeros(2, dtype=torch.float64)
    for rows in batches:
        counted = int((rows[:, 1:] >= 0).sum())
        # A share without a token is read all the same, as another: where weights are kept in
        # shares too, every process has to take part in every pass.
        mean = evaluate(rows if counted else torch.zeros_like(rows))
        sums += torch.tensor([mean * counted, counted], dtype=sums.dtype) if counted else 0.0
    return sums


def bits_per_byte(
    sums: Mapping[str, Float64[Tensor, 2]], n_bytes: Mapping[str, int]
) -> tuple[dict[str, float], float]:
    """What `add_up` gave for each kind of text, and the bytes of each -> bits per byte by kind, and
    the loss in nats per token over all of them."""
    by_kind = {kind: float(nats) / math.log(2) / n_bytes[kind] for kind, (nats, _) in sums.items()}
    nats, tokens = torch.stack(list(sums.values())).sum(0)
    return by_kind, float(nats / tokens)
