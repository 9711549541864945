"""Which reader a path is for.

Folders are safetensors, and a file says in its first bytes whether it is a GGUF. Everything else
about a file is for its reader to find out.
"""

from __future__ import annotations

from pathlib import Path

from molehill.checkpoints.gguf import GgufFile
from molehill.checkpoints.safetensors_file import SafetensorsFile, SafetensorsFolder
from molehill.checkpoints.source import TensorSource
from molehill.errors import CheckpointError

__all__ = ["open_weights"]


def open_weights(path: Path) -> TensorSource:
    """Open a folder, a `.safetensors` or a `.gguf`; the caller closes it.

    Raises:
        CheckpointError: no such file, a pickle, or a damaged or unknown file.
    """
    if path.is_dir():
        return SafetensorsFolder(path)
    if not path.exists():
        raise CheckpointError(f"{path}: there is no such file or folder.")
    named = path.suffix.lower() == ".gguf"
    if named or (path.is_file() and _begins_as_gguf(path)):
        return GgufFile(path)
    return SafetensorsFile(path)


def _begins_as_gguf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"GGUF"
