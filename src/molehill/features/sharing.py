"""Sharing: how several processes train one autoencoder together.

    rows       each process learns from its part of every batch; gradients are averaged
    features   each process holds its part of the features, and all read the same rows: what their
               parts add to a reconstruction is summed, and the k largest are found among all

With `features` only the reconstruction [rows, d] and k candidates a row travel, not gradients: the
wider the dictionary, the more that spares, and no process holds all of it. Alone, a process shares
nothing and nothing of this costs anything. This module knows no architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["ALONE", "Sharing"]


@dataclass(frozen=True)
class Sharing:
    """This process's part."""

    rank: int = 0
    size: int = 1
    kind: Literal["rows", "features"] = "rows"

    @property
    def by_rows(self) -> bool:
        """Whether each process learns from its part of every batch."""
        return self.size > 1 and self.kind == "rows"

    @property
    def by_features(self) -> bool:
        """Whether each process holds its part of the features."""
        return self.size > 1 and self.kind == "features"

    # --- by rows ----------------------------------------------------------------------------------

    def mine(self, rows: Tensor) -> Tensor:
        """This process's rows of a batch."""
        return rows[self.rank :: self.size] if self.by_rows else rows

    def average(self, model: nn.Module) -> None:
        """Every gradient becomes the mean over the processes."""
        if self.by_rows:
            for parameter in model.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
                    parameter.grad /= self.size

    def mean(self, value: Tensor) -> None:
        """A number that each process found becomes the mean of all."""
        if self.by_rows:
            dist.all_reduce(value)
            value /= self.size

    def anywhere(self, mask: Tensor) -> Tensor:
        """What is true in any process."""
        if self.by_rows:
            found = mask.to(torch.uint8)
            dist.all_reduce(found, dist.ReduceOp.MAX)
            return found.bool()
        return mask

    # --- by features ------------------------------------------------------------------------------

    def summed(self, part: Float[Tensor, "*some d"]) -> Float[Tensor, "*some d"]:
        """The sum of what all processes' features add; backward each gets the whole gradient."""
        return _Summed.apply(part) if self.by_features else part

    def spread(self, value: Tensor) -> Tensor:
        """A value that all processes have alike; backward the sum of what each asks of it."""
        return _Spread.apply(value) if self.by_features else value

    def kth_of_rows(self, values: Float[Tensor, "rows k"], k: int) -> Float[Tensor, "rows 1"]:
        """The k-th largest of each row among all processes' candidates."""
        return self._gathered(values).topk(k, dim=1).values[:, -1:]

    def kth_of_all(self, values: Float[Tensor, " count"], count: int) -> float:
        """The `count`-th largest among all processes' values; 0 where there are fewer."""
        padded = values.new_zeros(1, count)
        padded[0, : len(values)] = values
        return self._gathered(padded)[0].topk(count).values[-1].item()

    def total(self, number: float | int) -> float | int:
        """The sum over processes that hold different features."""
        if not self.by_features:
            return number
        value = torch.tensor(number, dtype=torch.float64)
        dist.all_reduce(value)
        return value.item()

    def part(self, whole: Tensor) -> Tensor:
        """This process's features of a table that has a row for each."""
        return whole.tensor_split(self.size)[self.rank] if self.by_features else whole

    def whole(self, part: Tensor) -> Tensor:
        """All processes' features one after another; every process has to ask."""
        if not self.by_features:
            return part
        counts = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([len(part)]))
        most = max(int(count) for count in counts)
        padded = part.new_zeros(most, *part.shape[1:])
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded)
        return torch.cat([one[: int(n)] for one, n in zip(parts, counts, strict=True)])

    def _gathered(self, values: Tensor) -> Tensor:
        """All processes' candidates side by side."""
        if not self.by_features:
            return values
        parts = [torch.empty_like(values) for _ in range(self.size)]
        dist.all_gather(parts, values.contiguous())
        return torch.cat(parts, dim=1)


ALONE = Sharing()


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        total = given[0].clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        return grad_outputs[0]


class _Spread(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        return given[0].view_as(given[0])

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        total = grad_outputs[0].clone()
        dist.all_reduce(total)
        return total
