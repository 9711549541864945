"""Bytes of a file into a tensor: one copy where they fit as they are, small pieces where not.

Where the stored numbers are already of the tensor's type and order they are read straight into its
memory. Otherwise pieces of at most `_PIECE` numbers go through a scratch buffer of each thread, so
that peak memory is the tensor's own and a few megabytes, however large it is.

The work is shared among plain threads and every torch operation in them is kept below the size at
which torch would start threads of its own (see `quants`). Knows nothing of names or formats.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from molehill.checkpoints.quants import Storage
from molehill.checkpoints.raw_file import RawFile

__all__ = ["copy_stored", "fill_tensor"]

# Numbers in a piece: with its scratch it fits a core's own cache.
_PIECE = 1 << 17
# Numbers that torch converts in one step without starting threads (its grain is 32768).
_STEP = 1 << 14
# Bytes that one thread reads straight into a tensor before it asks for more work.
_STRETCH = 1 << 23
# Page faults and decoding gain from more threads than memory has channels, but not from many more.
_MOST_THREADS = 8

_Part = tuple[Tensor, int]
"""A part of a tensor, and how many of the tensor's numbers stand before it."""


def copy_stored(file: RawFile, offset: int, storage: Storage, out: Tensor) -> None:
    """Fill `out` from the numbers that start at byte `offset`, converting them to its dtype.

    `out` may be strided in any way and stand on any device. Shapes were compared by the caller.
    """
    if out.numel() == 0:
        return
    out = out.detach()
    if _fits_as_stored(storage, out):
        fill_tensor(file, offset, out)
        return

    def work(todo: Iterable[_Part]) -> None:
        n = min(_PIECE, out.numel())
        raw = torch.empty(storage.nbytes((n,)), dtype=torch.uint8)
        scratch = torch.empty(n if storage.decode else 0)
        for piece, start in todo:
            part = raw[: storage.nbytes((piece.numel(),))]
            file.fill(_memory(part), offset + storage.nbytes((start,)))
            _decode_piece(part, storage, scratch, piece)

    _share_out(list(_pieces(out, _PIECE, storage.block_size)), work)


def fill_tensor(file: RawFile, offset: int, out: Tensor) -> None:
    """Read `out`'s bytes from the file as they are. `out` is contiguous and on the CPU."""
    memory = _memory(out)

    def work(starts: Iterable[int]) -> None:
        for start in starts:
            file.fill(memory[start : start + _STRETCH], offset + start)

    _share_out(range(0, len(memory), _STRETCH), work)


def _fits_as_stored(storage: Storage, out: Tensor) -> bool:
    """Whether the file's bytes are the tensor's. Booleans are not: a byte of 2 is no bool."""
    same = storage.dtype == out.dtype and out.dtype != torch.bool
    return same and out.is_contiguous() and out.device.type == "cpu"


def _memory(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor on the CPU, to be written."""
    return tensor.reshape(-1).view(torch.uint8).numpy().data


def _pieces(out: Tensor, largest: int, multiple: int = 1, start: int = 0) -> Iterator[_Part]:
    """Cut a tensor, in the order of its numbers, into parts of at most `largest` numbers.

    Only a last axis is cut inside a row, and then at multiples of `multiple`.
    """
    if out.numel() <= largest:
        yield out, start
        return
    row = out[0].numel()
    if row > largest:
        for i in range(len(out)):
            yield from _pieces(out[i], largest, multiple, start + i * row)
        return
    n = largest // row
    if out.ndim == 1:
        n = n // multiple * multiple
    for i in range(0, len(out), n):
        yield out[i : i + n], start + i * row


def _decode_piece(raw: Tensor, storage: Storage, scratch: Tensor, piece: Tensor) -> None:
    """Turn the bytes of one piece into its numbers."""
    if storage.decode is None:
        assert storage.dtype is not None, "a storage is plain or has a decoder"
        plain = raw.ne(0) if storage.dtype == torch.bool else raw.view(storage.dtype)
        _convert(plain.view(piece.shape), piece)
        return
    direct = piece.dtype == torch.float32 and piece.is_contiguous() and piece.device.type == "cpu"
    target = piece if direct else scratch[: piece.numel()]
    blocks = raw.view(-1, storage.block_bytes).numpy()
    with np.errstate(all="ignore"):  # a damaged scale may be infinite; so are its numbers then
        storage.decode(blocks, target.view(-1, storage.block_size).numpy())
    if not direct:
        _convert(target.view(piece.shape), piece)


def _convert(values: Tensor, piece: Tensor) -> None:
    """Copy numbers to another dtype, order or device without waking torch's threads."""
    if piece.device.type != "cpu":
        piece.copy_(values)
        return
    for (part, _), (value, _) in zip(_pieces(piece, _STEP), _pieces(values, _STEP), strict=True):
        part.copy_(value)


def _share_out(items: Sequence, work: Callable[[Iterable], None]) -> None:
    """Let several threads take items from one queue; the caller's thread is one of them.

    The first error of any thread is raised here, when all threads have ended.
    """
    n_threads = min(torch.get_num_threads(), _MOST_THREADS, len(items))
    queue = iter(items)
    errors: list[BaseException] = []

    def guarded() -> None:
        try:
            work(queue)
        except BaseException as error:
            errors.append(error)
            for _ in queue:  # the others shall find nothing left to do
                pass

    helpers = [threading.Thread(target=guarded) for _ in range(n_threads - 1)]
    for helper in helpers:
        helper.start()
    guarded()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
