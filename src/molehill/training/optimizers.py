"""Which optimizer moves which weights: Muon for the matrices inside the blocks, AdamW for the rest.

Muon (Jordan et al. 2024) makes each update of a matrix orthogonal: all of its singular values are
one. Its rate is scaled as in "Muon is Scalable for LLM Training" (Liu et al. 2025, section 2.2), so
that an update is as large as one of AdamW typically is. Tables of which a token reads one row,
gains and biases belong to AdamW (Loshchilov and Hutter 2019) always. This module knows names and
shapes of weights, and nothing of texts, gradients or schedules.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from molehill.errors import ConfigError

__all__ = ["OptimizerChoice", "make_optimizers"]

# What is looked up row by row, and what is read as one row per word.
_TABLES = ("w_token", "w_pos", "w_type", "w_unembed")


@dataclass(frozen=True)
class OptimizerChoice:
    """What is chosen about the optimizer. Rates are those at the schedule's top.

    Raises:
        ConfigError: values that no optimizer takes; all of them are listed at once.
    """

    matrices: Literal["muon", "adamw"] = "muon"
    """What moves the matrices: Muon, or AdamW as everything else."""
    muon_rate: float = 0.005
    """Of an update with root mean square 0.2."""
    adamw_rate: float = 0.003
    momentum: float = 0.95
    """Muon's, with Nesterov's look ahead."""
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    """Of matrices only: each step takes rate * weight_decay of them away. Tables, gains and biases
    do not decay."""
    max_norm: float | None = 1.0
    """A longer gradient, over all weights, is scaled down to this length. None: as it is."""

    def __post_init__(self) -> None:
        problems = []
        for name in ("muon_rate", "adamw_rate", "weight_decay"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                problems.append(f"{name} is {getattr(self, name)!r}, expected a number from 0")
        for name, value in (("momentum", self.momentum), *(("betas", b) for b in self.betas)):
            if not 0.0 <= value < 1.0:
                problems.append(f"{name} has {value!r}, expected numbers from 0 to below 1")
        if not self.eps > 0.0:
            problems.append(f"eps is {self.eps!r}, expected a number above 0")
        if self.max_norm is not None and not self.max_norm > 0.0:
            problems.append(f"max_norm is {self.max_norm!r}, expected a number above 0, or none")
        if problems:
            raise ConfigError("The optimizer cannot be made: " + "; ".join(problems) + ".")


def make_optimizers(
    named: Iterable[tuple[str, nn.Parameter]], choice: OptimizerChoice
) -> list[Optimizer]:
    """The optimizers of a model's named weights; together they hold each weight once.

    Every group has the entry `top_rate`: its rate where the schedule is 1.
    """
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, weight in named:
        table = name.rpartition(".")[2] in _TABLES
        (others if table or weight.ndim != 2 else matrices).append(weight)
    rate, decay = choice.adamw_rate, choice.weight_decay
    rest = [{"params": others, "weight_decay": 0.0, "top_rate": rate}]
    optimizers: list[Optimizer] = []
    if choice.matrices == "muon" and matrices:
        group = {"params": matrices, "top_rate": choice.muon_rate}
        optimizers.append(
            Muon(
                [group],
                lr=choice.muon_rate,
                weight_decay=decay,
                momentum=choice.momentum,
                adjust_lr_fn="match_rms_adamw",
            )
        )
    elif matrices:
        rest.append({"params": matrices, "weight_decay": decay, "top_rate": rate})
    # One pass over each weight and its state, instead of one per operation.
    optimizers.append(AdamW(rest, lr=rate, betas=choice.betas, eps=choice.eps, fused=True))
    return optimizers
