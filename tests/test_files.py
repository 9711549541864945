"""A file is the old one or the new one, whatever goes wrong in between."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

import pytest

from molehill import files
from molehill.files import write_atomically


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_writes_a_new_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "new.bin", lambda file: file.write(b"content"))
    assert (tmp_path / "new.bin").read_bytes() == b"content"
    assert names(tmp_path) == ["new.bin"]


def test_replaces_a_file_and_keeps_its_permissions(tmp_path: Path) -> None:
    target = tmp_path / "private.bin"
    target.write_bytes(b"old")
    target.chmod(0o600)
    write_atomically(str(target), lambda file: file.write(b"new"))
    assert target.read_bytes() == b"new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_new_file_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "shared.bin", lambda file: file.write(b"x"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "shared.bin").stat().st_mode) == 0o640


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    seen = []

    def write(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        seen.append(target.read_bytes())

    write_atomically(target, write)
    assert seen == [b"old"]


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failing_writer_leaves_the_old_file_and_no_other(
    tmp_path: Path, fault: BaseException
) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        file.write(b"half of the new")
        raise fault

    with pytest.raises(type(fault)):
        write_atomically(target, write)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_system_call_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is gone")

    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(OSError, match="the disk is gone"):
        write_atomically(target, lambda file: file.write(b"new"))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    """`/dev/full` gives a true ENOSPC from the kernel, at the flush, as a full disk does."""
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")

    def write(file: BinaryIO) -> None:
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, file.fileno())
        os.close(full)
        file.write(b"new")

    with pytest.raises(OSError) as caught:
        write_atomically(target, write)
    assert caught.value.errno == errno.ENOSPC
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]


def test_a_folder_that_may_not_be_written_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "weights.bin"
    target.write_bytes(b"old")
    real_open = os.open

    def refuse(path: str | Path, flags: int, *mode: int) -> int:
        # Injected, because a test that runs as root may write everywhere.
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, flags, *mode)

    monkeypatch.setattr(files.os, "open", refuse)
    with pytest.raises(PermissionError):
        write_atomically(target, lambda file: file.write(b"new"))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["weights.bin"]
