"""Pickles are refused: by name and by content, before anything of them is interpreted.

A pickle is a program; opening one runs it. Restricting it (`torch.load(weights_only=True)`) was
bypassed twice (CVE-2025-32434, CVE-2026-24747), so this project never opens one and says how to
convert it instead. Knows only how such a file looks.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from molehill.checkpoints.raw_file import RawFile, printable
from molehill.errors import CheckpointError

__all__ = ["PICKLE_SUFFIXES", "pickle_error", "refuse_pickle"]

PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".th"})
"""Endings under which pickled weights are found."""

_ZIP = b"PK\x03\x04"  # torch.save since 1.6
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(1, 6))  # older torch.save

_CONVERSION = (
    "import sys, torch, safetensors.torch as s; "
    "w = torch.load(sys.argv[1], map_location='cpu', weights_only=True); "
    "s.save_file({k: v.clone().contiguous() for k, v in w.items()}, sys.argv[2])"
)


def pickle_error(path: str | os.PathLike[str]) -> CheckpointError:
    """The refusal of a pickle, with the command that converts it."""
    path = Path(path)
    target = path.with_name("model.safetensors")
    command = f'python -c "{_CONVERSION}" {shlex.quote(str(path))} {shlex.quote(str(target))}'
    return CheckpointError(
        f"{printable(str(path))}: is a pickle, a program that runs when it is opened, and is not "
        "read; prefer the same model as safetensors, or, if you trust where it comes from, "
        f"convert it: {printable(command, longest=1000)}"
    )


def refuse_pickle(file: RawFile) -> None:
    """Refuse a file that is named like pickled weights or begins like them.

    Raises:
        CheckpointError: It is one; the message holds the command that converts it.
    """
    start = bytes(file.read(0, min(9, file.size)))
    by_name = file.path.suffix.lower() in PICKLE_SUFFIXES and not start.startswith(b"GGUF")
    if by_name or start.startswith(_ZIP) or _begins_as_pickle(start):
        raise pickle_error(file.path)


def _begins_as_pickle(start: bytes) -> bool:
    """Whether the first 9 bytes are a pickle's. A safetensors header of 640 bytes begins so too."""
    is_safetensors = start[3:] == b"\0\0\0\0\0{"
    return start.startswith(_PICKLES) and not is_safetensors
