"""A folder or a .gguf file becomes a model, and a model becomes a folder.

The names below are fetched when they are first used: looking up where a model lies (`names`) must
not cost the import of torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from molehill.checkpoints.load import (
        Loaded,
        LoadReport,
        Opened,
        load_checkpoint,
        open_checkpoint,
    )
    from molehill.checkpoints.names import find_model, model_path
    from molehill.checkpoints.save import save_checkpoint
    from molehill.checkpoints.source import TensorInfo, TensorSource

__all__ = [
    "LoadReport",
    "Loaded",
    "Opened",
    "TensorInfo",
    "TensorSource",
    "find_model",
    "load_checkpoint",
    "model_path",
    "open_checkpoint",
    "save_checkpoint",
]

_HOMES = {
    "LoadReport": "load",
    "Loaded": "load",
    "Opened": "load",
    "TensorInfo": "source",
    "TensorSource": "source",
    "find_model": "names",
    "load_checkpoint": "load",
    "model_path": "names",
    "open_checkpoint": "load",
    "save_checkpoint": "save",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(f"molehill.checkpoints.{_HOMES[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'molehill.checkpoints' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
