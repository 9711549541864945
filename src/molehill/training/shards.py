"""The state of a learner whose weights lie in parts over several processes, to disk and back.

Each process writes its own part as safetensors, by torch's distributed checkpoints in the layout
that they have for this format; no pickles. What N processes wrote, M can read, one included. This
module knows files, and nothing of steps or manifests.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from molehill.errors import CheckpointError

# torch's distributed checkpoints take most of a second to import, for every page and command that
# comes near this room; so those who write and read shards import them.

__all__ = ["read_shards", "write_shards"]


def write_shards(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Write this process's part of a state; all processes have to.

    Args:
        folder: on a disk that all processes share.
        state: tensors by name; those that lie in parts are DTensors.

    Raises:
        CheckpointError: some process could not write its part.
    """
    import torch.distributed.checkpoint as dcp

    writer = dcp.HuggingFaceStorageWriter(str(folder), save_distributed=True)
    try:
        dcp.save(dict(state), storage_writer=writer)
    except dcp.CheckpointException as error:
        raise CheckpointError(str(error)) from error


def read_shards(folder: Path, weights: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The tensors of a state, each laid out over the processes as the weight that it belongs to.

    Args:
        folder: files of `write_shards`, or of `checkpoints.write_state`.
        weights: the model's, by name, as they lie now.

    Returns:
        Every tensor of the files by its name. `model.NAME` and `optimizer.NAME.SLOT` are laid out
        as the weight NAME, unless they are single numbers.
    """
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    reader = dcp.HuggingFaceStorageReader(str(folder))
    found = reader.read_metadata().state_dict_metadata
    state = {}
    for name, kept in found.items():
        assert isinstance(kept, TensorStorageMetadata), f"{name} is no tensor"
        weight = weights.get(_owner(name))
        if weight is not None and kept.size == weight.shape:
            state[name] = torch.zeros_like(weight, requires_grad=False)
        else:
            state[name] = torch.zeros(kept.size, dtype=kept.properties.dtype)
    with warnings.catch_warnings():
        # That one process reads alone is meant so.
        warnings.filterwarnings("ignore", "torch.distributed is disabled", UserWarning)
        dcp.load(state, storage_reader=reader)
    return state


def _owner(name: str) -> str:
    """`optimizer.blocks.0.mlp.w_in.exp_avg` -> `blocks.0.mlp.w_in`."""
    kind, _, rest = name.partition(".")
    return rest.rpartition(".")[0] if kind == "optimizer" else rest
