"""A file of weights as bounded, positional reads: never a byte more than the file has.

Reads go through `pread` into memory that already exists, and not through a memory map: there is no
second, mapped copy to count against the process, and a file that somebody shortens while it is read
gives an error, where a map would kill the process (SIGBUS). Knows nothing of any format.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from molehill.errors import CheckpointError

__all__ = ["RawFile", "printable"]

# Linux moves at most 2 GiB - 4 KiB in one call; asking for less makes a short read mean the end.
_LARGEST_READ = 1 << 30


class RawFile:
    """An opened regular file.

    Args:
        path: The file. A symbolic link is followed.

    Raises:
        CheckpointError: It does not exist, may not be read, or is no regular file (a folder, a
            pipe, a device: those can block for ever or have no end).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._descriptor: int | None = None
        try:
            # O_NONBLOCK: opening a named pipe would otherwise wait for somebody to write into it.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise self.error(f"cannot be opened: {reason}") from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise self.error("is no regular file; give the path of a file of weights")
        self._descriptor = descriptor
        self.size = status.st_size

    def error(self, reason: str) -> CheckpointError:
        """An error that names this file; a path that is no text is shown escaped."""
        return CheckpointError(f"{printable(str(self.path))}: {reason.rstrip('.')}.")

    def read(self, offset: int, n: int) -> bytearray:
        """`n` bytes from `offset`; the caller has already bounded `n`."""
        if offset + n > self.size:
            raise self.error(
                f"ends at byte {self.size}, but bytes {offset} to {offset + n} are needed; "
                "it is cut short or damaged: fetch it again"
            )
        data = bytearray(n)
        self.fill(memoryview(data), offset)
        return data

    def fill(self, target: memoryview, offset: int) -> None:
        """Read bytes from `offset` until `target` is full. Safe to call from several threads.

        Raises:
            CheckpointError: The file ends first, or was closed.
        """
        if self._descriptor is None:
            raise self.error("was closed; open it again to read from it")
        done = 0
        while done < len(target):
            part = target[done : done + _LARGEST_READ]
            try:
                n = os.preadv(self._descriptor, [part], offset + done)
            except OSError as error:
                raise self.error(f"cannot be read: {error.strerror}") from error
            if n == 0:
                raise self.error(
                    f"ends before byte {offset + len(target)}; it was cut short while being read"
                )
            done += n

    def close(self) -> None:
        """Give the file back; closing twice does nothing."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def printable(text: str, longest: int = 200) -> str:
    """Text from a file or a path, made safe to print: control and broken characters escaped."""
    shown = text if text.isprintable() else ascii(text)[1:-1]
    return shown if len(shown) <= longest else f"{shown[:longest]}..."
