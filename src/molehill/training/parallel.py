"""The processes of one run: who is who, and how they agree.

`torchrun --nproc-per-node N -m molehill train ...` starts the same program N times. Each process
reads its share of every batch; gradients are averaged (DDP) or kept in shares (FSDP2). Alone, a
process is a world of one and nothing of this costs anything. This module knows nothing of what is
learned.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from molehill.errors import TrainingError
from molehill.training.learner import Objective

__all__ = ["World", "joined"]


@dataclass(frozen=True)
class World:
    """The processes that train together."""

    rank: int = 0
    size: int = 1
    kind: str = "ddp"

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and tells."""
        return self.rank == 0

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of one tensor each."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def any(self, wish: bool) -> bool:
        """Whether any process wishes it."""
        return bool(self.total(torch.tensor([int(wish)]))) if self.size > 1 else wish

    def wait(self) -> None:
        """Until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, objective: Objective) -> nn.Module:
        """What a learner calls in the objective's place."""
        return objective if self.size == 1 else DistributedDataParallel(objective)

    def adding(self, objective: nn.Module, last: bool) -> contextlib.AbstractContextManager[None]:
        """Around one micro-batch: only after the last one are gradients exchanged."""
        if isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        return contextlib.nullcontext()


@contextlib.contextmanager
def joined(kind: str, timeout: float) -> Iterator[World]:
    """The world that `torchrun` describes in the environment; a world of one without it.

    Raises:
        TrainingError: another process did not come, or was lost on the way.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(kind=kind)
        return
    try:
        dist.init_process_group("gloo", timeout=timedelta(seconds=timeout))
        yield World(dist.get_rank(), size, kind)
    except (dist.DistError, RuntimeError) as error:
        raise TrainingError(str(error)) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
