"""Files that are either the old one or the new one, never half of each.

A crash, a full disk or a killed process must not cost a user the file that was there before. This
module knows nothing of what is written: the caller's function writes the bytes.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that a reader sees the old content or the whole new content.

    The bytes go to a hidden temporary name in the same folder (a rename does not cross file
    systems), are synced to the disk, and take the final name in one step; then the folder is
    synced too, because the rename itself lives there. A file that is replaced passes its
    permissions on. When anything fails the temporary file is removed and the old file is untouched.

    Args:
        path: Where the file shall stand. Its folder must exist.
        write: Called once with the open file; whatever it raises is passed on.

    Raises:
        OSError: The folder cannot be written, the disk is full, or syncing failed.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    # 0o666 lets the user's umask decide, as for any file that a program creates; O_EXCL refuses
    # a name that somebody else has laid out, a symbolic link included.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            _keep_permissions(target, file.fileno())
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


def _keep_permissions(target: Path, descriptor: int) -> None:
    """Give a new file the permissions of the one that it will replace, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.fchmod(descriptor, stat.S_IMODE(os.stat(target).st_mode))


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
