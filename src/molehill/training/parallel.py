"""The processes of one run: who is who, how they share the work, and how they agree.

`torchrun --nproc-per-node N -m molehill train ...` starts the same program N times. Each process
reads its part of every batch. With `ddp` each holds the whole model and gradients are averaged;
with `fsdp` each holds its part of every weight, gradient and optimizer state, and weights are
gathered when they are used (FSDP2: Zhao et al. 2023). Alone, a process is a world of one and
nothing of this costs anything. This module knows nothing of what is learned.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from molehill.errors import ConfigError, TrainingError
from molehill.training.learner import Objective

__all__ = ["World", "chosen_device", "joined", "whole"]

# How torch's back ends say that another process is gone; gloo raises plain RuntimeErrors.
_LOST = re.compile(r"gloo|nccl|closed by peer|pair closure|timed? ?out|connection", re.IGNORECASE)


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

    @property
    def sharded(self) -> bool:
        """Whether each process holds a part of every weight."""
        return self.size > 1 and self.kind == "fsdp"

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes of one tensor each."""
        if self.size > 1:
            values = values.clone()
            dist.all_reduce(values)
        return values

    def most(self, number: int) -> int:
        """The largest of all processes' numbers."""
        if self.size == 1:
            return number
        numbers = torch.tensor([number])
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return int(numbers)

    def meet(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def wrap(self, objective: Objective) -> nn.Module:
        """What a learner calls in the objective's place."""
        if self.size == 1:
            return objective
        if not self.sharded:
            return DistributedDataParallel(objective)
        # Most of a second to import, for every page and command that comes near this room.
        from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

        mesh = init_device_mesh(objective.trunk.model.device.type, (self.size,))
        policy = MixedPrecisionPolicy(param_dtype=objective.dtype, reduce_dtype=torch.float32)
        for block in objective.trunk.model.blocks:
            fully_shard(block, mesh=mesh, mp_policy=policy)
        fully_shard(objective, mesh=mesh, mp_policy=policy)
        return objective  # the same module, now sharded

    def adding_up(
        self, objective: nn.Module, *, last: bool
    ) -> contextlib.AbstractContextManager[None]:
        """Around the pass of one micro-batch: gradients are exchanged after the last one only."""
        if isinstance(objective, DistributedDataParallel) and not last:
            return objective.no_sync()
        exchange = getattr(objective, "set_requires_gradient_sync", None)
        if exchange is not None:  # it is sharded
            exchange(last)
        return contextlib.nullcontext()


def whole(value: Tensor) -> Tensor:
    """A tensor of which each process may hold a part, whole; all processes have to ask."""
    gathered = getattr(value, "full_tensor", None)
    return value if gathered is None else gathered()


def chosen_device(wish: str) -> torch.device:
    """Where this process trains: with several GPUs, the one of its number on this machine.

    Args:
        wish: `cpu`, `cuda`, or `auto`: a GPU where there is one for every process here.

    Raises:
        ConfigError: `cuda`, and no GPU is left for this process.
    """
    local, here = (int(os.environ.get(name, "0")) for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"))
    found = torch.cuda.device_count()
    if wish == "cpu" or (wish == "auto" and found < max(here, 1)):
        return torch.device("cpu")
    if local >= found:
        raise ConfigError(
            f"training.device is 'cuda' and process {local + 1} on this machine finds {found} "
            "GPUs that torch can use: start no more processes than GPUs, or set "
            "training.device = 'cpu'."
        )
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


@contextlib.contextmanager
def joined(kind: str, timeout: float) -> Iterator[World]:
    """The world that `torchrun` describes in the environment; a world of one without it.

    Args:
        kind: `ddp` or `fsdp`.
        timeout: seconds after which a process that does not answer is given up.

    Raises:
        TrainingError: another process did not come, or was lost on the way.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(kind=kind)
        return
    rank = int(os.environ["RANK"])
    try:
        # Counts and losses are summed where they lie, on the processor, gradients where theirs are.
        ways = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(ways, timeout=timedelta(seconds=timeout))
        yield World(rank, size, kind)
    except (dist.DistError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        if not isinstance(error, dist.DistError) and not _LOST.search(reason):
            raise
        raise TrainingError(
            f"Process {rank} of {size} lost another one ({reason:.160}): it ended, or did not "
            f"answer within {timeout:g} s. The last checkpoint is whole; give the same command "
            "again to go on from it."
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()
