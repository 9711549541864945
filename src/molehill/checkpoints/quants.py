"""How numbers are stored, and the way back from quantised blocks to float32.

A quantised tensor is a row of equal blocks; a block holds a few small integers per number and one
or more scales that they share. Each decoder here turns many blocks at once. Layouts: ggml's
`ggml-quants.h` (https://github.com/ggml-org/ggml); the tests hold every decoder bit-equal to the
`gguf` library's.

Decoders are written in numpy, not torch, and run side by side in plain threads: numpy's loops stay
in the thread that calls them, while torch shares each small step out through OpenMP, whose barriers
took a load of 150 million Q4_1 weights from 0.7 s to 30 s on a machine that was busy otherwise.

Exactness: a scale has 11 significant bits, a sub-scale at most 7 and a quant at most 6 with its
sign, so their product has at most 24 and is exact in float32. The only rounding is that of the last
addition, if there is one; so the order of multiplications does not matter. Knows nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["GGUF_STORAGE", "GGUF_UNREAD", "SAFETENSORS_STORAGE", "Storage", "dequantize"]

_Bytes = npt.NDArray[np.uint8]
_Floats = npt.NDArray[np.float32]

_HALF = np.dtype("<f2")
_LOW = np.uint8(0x0F)


@dataclass(frozen=True, slots=True)
class Storage:
    """One way to store numbers.

    Attributes:
        name: The formats' own word for it.
        block_size: Numbers in a block; 1 for plain numbers.
        block_bytes: Bytes that a block takes.
        dtype: The plain numbers' type; None for quantised blocks.
        decode: For quantised blocks: `decode(raw, out)` fills `out`, float32 [block, block_size],
            from `raw`, uint8 [block, block_bytes].
    """

    name: str
    block_size: int
    block_bytes: int
    dtype: torch.dtype | None = None
    decode: Callable[[_Bytes, _Floats], None] | None = None

    def nbytes(self, shape: tuple[int, ...]) -> int:
        """Bytes that a tensor of this shape takes; its last size is whole blocks."""
        n = 1
        for size in shape:
            n *= size
        return n // self.block_size * self.block_bytes


def dequantize(raw: Tensor, storage: Storage) -> Tensor:
    """Quantised rows as float32.

    Args:
        raw: uint8 [..., bytes of a row], as `GgufFile.raw` gives them.
        storage: Their storage, from `GGUF_STORAGE`.

    Returns:
        float32 [..., numbers of a row].
    """
    assert storage.decode is not None, f"{storage.name} is not quantised: nothing to decode"
    blocks = raw.reshape(-1, storage.block_bytes).numpy()
    out = torch.empty(len(blocks), storage.block_size)
    with np.errstate(all="ignore"):  # a damaged scale may be infinite; so are its numbers then
        storage.decode(blocks, out.numpy())
    row_blocks = raw.shape[-1] // storage.block_bytes
    return out.reshape(*raw.shape[:-1], row_blocks * storage.block_size)


# Pieces that the layouts share.


def _half(raw: _Bytes, at: int) -> _Floats:
    """The float16 at byte `at` of every block, as float32 [block, 1]."""
    return raw[:, at : at + 2].view(_HALF).astype(np.float32)


def _cut(raw: _Bytes, start: int, stop: int) -> _Bytes:
    """Bytes `start` to `stop` of every block, side by side in memory: [block, stop - start].

    Copied as one item of that many bytes for each block: 3 times as fast as numpy's copy of a
    strided array of single bytes, and the steps that follow run over one long row.
    """
    whole = np.dtype((np.void, stop - start))
    return raw[:, start:stop].view(whole).ravel().view(np.uint8).reshape(-1, stop - start)


def _fields(packed: _Bytes, bits: int, width: int) -> _Bytes:
    """Numbers of `bits` bits out of [block, n] bytes, as [block, n / width, 8 / bits, width].

    Of each `width` bytes, the lowest bits of all come first, then the next higher ones of all.
    """
    run, mask, n_fields = np.dtype((np.void, width)), np.uint8((1 << bits) - 1), 8 // bits
    n_blocks, n_runs = len(packed), packed.shape[1] // width
    out = np.empty((n_blocks, n_runs, n_fields), run)
    for i in range(n_fields):
        # The top field needs no mask, the lowest no shift.
        field = packed >> np.uint8(bits * i) if i else packed
        field = field & mask if i < n_fields - 1 else field
        out[:, :, i] = field.view(run)
    return out.view(np.uint8).reshape(n_blocks, n_runs, n_fields, width)


def _bits(packed: _Bytes) -> _Bytes:
    """[block, n] bytes to [block, 8 n] zeros and ones, the lowest bit of a byte first."""
    return np.unpackbits(packed, axis=1, bitorder="little")


def _scale_runs(out: _Floats, scale: _Floats, minimum: _Floats | None = None) -> None:
    """Multiply each run of numbers by its scale [block, run], then take its minimum away."""
    runs = out.reshape(*scale.shape, -1)
    runs *= scale[:, :, None]
    if minimum is not None:
        runs -= minimum[:, :, None]


# Blocks of 32 with one scale.


def _q4_0(raw: _Bytes, out: _Floats) -> None:
    """d, then 16 bytes of nibbles: (q - 8) d."""
    out[:] = _fields(_cut(raw, 2, 18), 4, 16).reshape(out.shape)
    out -= np.float32(8)
    out *= _half(raw, 0)


def _q4_1(raw: _Bytes, out: _Floats) -> None:
    """d, m, then 16 bytes of nibbles: q d + m."""
    out[:] = _fields(_cut(raw, 4, 20), 4, 16).reshape(out.shape)
    out *= _half(raw, 0)
    out += _half(raw, 2)


def _fives(raw: _Bytes, at: int) -> _Bytes:
    """32 high bits and, behind them, 16 bytes of nibbles, as 5-bit numbers [block, 32]."""
    q = _fields(_cut(raw, at + 4, at + 20), 4, 16).reshape(-1, 32)
    q |= _bits(_cut(raw, at, at + 4)) << np.uint8(4)
    return q


def _q5_0(raw: _Bytes, out: _Floats) -> None:
    """d, 32 high bits, 16 bytes of nibbles: (q - 16) d."""
    out[:] = _fives(raw, 2)
    out -= np.float32(16)
    out *= _half(raw, 0)


def _q5_1(raw: _Bytes, out: _Floats) -> None:
    """d, m, 32 high bits, 16 bytes of nibbles: q d + m."""
    out[:] = _fives(raw, 4)
    out *= _half(raw, 0)
    out += _half(raw, 2)


def _q8_0(raw: _Bytes, out: _Floats) -> None:
    """d, then 32 signed bytes: q d."""
    out[:] = _cut(raw, 2, 34).view(np.int8)
    out *= _half(raw, 0)


# The 16 levels of a non-linear quant, denser near zero (ggml's `kvalues_iq4nl`).
_IQ4_LEVELS = np.array(
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.int8
)


def _iq4_nl(raw: _Bytes, out: _Floats) -> None:
    """d, then 16 bytes of nibbles: level[q] d. What llama.cpp writes where Q2_K and Q3_K cannot."""
    q = _fields(_cut(raw, 2, 18), 4, 16).reshape(out.shape)
    out[:] = _IQ4_LEVELS[q]
    out *= _half(raw, 0)


# Super-blocks of 256, cut into 8 or 16 runs with a small scale each.


def _q2_k(raw: _Bytes, out: _Floats) -> None:
    """16 bytes of scale (low half) and minimum (high half), 64 of 2-bit numbers, d, dmin."""
    scales = raw[:, :16]
    out[:] = _fields(_cut(raw, 16, 80), 2, 32).reshape(out.shape)
    minimum = _half(raw, 82) * (scales >> np.uint8(4))
    _scale_runs(out, _half(raw, 80) * (scales & _LOW), minimum)


def _q3_k(raw: _Bytes, out: _Floats) -> None:
    """32 bytes of third bits, 64 of 2-bit numbers, 12 of scales, d: (q - 4) (scale - 32) d."""
    q = _fields(_cut(raw, 32, 96), 2, 32).reshape(out.shape)
    q |= _fields(_cut(raw, 0, 32), 1, 32).reshape(out.shape) << np.uint8(2)
    out[:] = q
    out -= np.float32(4)
    _scale_runs(out, _half(raw, 108) * (_q3_k_scales(raw).view(np.int8) - np.int8(32)))


def _q3_k_scales(raw: _Bytes) -> _Bytes:
    """The 16 scales of 6 bits: their low nibbles in 8 bytes, their top pairs in the next 4."""
    low = _fields(_cut(raw, 96, 104), 4, 8).reshape(-1, 16)
    return low | _fields(_cut(raw, 104, 108), 2, 4).reshape(-1, 16) << np.uint8(4)


def _scale_eighths(raw: _Bytes, out: _Floats) -> None:
    """Q4_K's and Q5_K's common end: d, dmin and 12 bytes of scales over 8 runs of 32.

    8 scales and 8 minima have 6 bits each. The first four of each stand in the low 6 bits of bytes
    0-3 and 4-7; the last four have their low nibbles in the halves of bytes 8-11 and their top two
    bits in what bytes 0-7 leave over.
    """
    packed = raw[:, 4:16]
    first, rest = packed[:, :8], packed[:, 8:]
    low, top = first & np.uint8(0x3F), first >> np.uint8(2) & np.uint8(0x30)
    scales = np.concatenate([low[:, :4], rest & _LOW | top[:, :4]], axis=1)
    minima = np.concatenate([low[:, 4:], rest >> np.uint8(4) | top[:, 4:]], axis=1)
    _scale_runs(out, _half(raw, 0) * scales, _half(raw, 2) * minima)


def _q4_k(raw: _Bytes, out: _Floats) -> None:
    """d, dmin, 12 bytes of scales, 128 of nibbles: q scale d - minimum dmin."""
    out[:] = _fields(_cut(raw, 16, 144), 4, 32).reshape(out.shape)
    _scale_eighths(raw, out)


def _q5_k(raw: _Bytes, out: _Floats) -> None:
    """As Q4_K, with 32 bytes of fifth bits before the nibbles."""
    q = _fields(_cut(raw, 48, 176), 4, 32).reshape(out.shape)
    q |= _fields(_cut(raw, 16, 48), 1, 32).reshape(out.shape) << np.uint8(4)
    out[:] = q
    _scale_eighths(raw, out)


def _q6_k(raw: _Bytes, out: _Floats) -> None:
    """128 bytes of nibbles, 64 of high pairs, 16 signed scales, d: (q - 32) scale d."""
    q = _fields(_cut(raw, 0, 128), 4, 64).reshape(out.shape)
    q |= _fields(_cut(raw, 128, 192), 2, 32).reshape(out.shape) << np.uint8(4)
    out[:] = q
    out -= np.float32(32)
    _scale_runs(out, _half(raw, 208) * raw[:, 192:208].view(np.int8))


def _plain(name: str, dtype: torch.dtype) -> Storage:
    return Storage(name, 1, dtype.itemsize, dtype=dtype)


SAFETENSORS_STORAGE: Mapping[str, Storage] = MappingProxyType(
    {
        name: _plain(name, dtype)
        for name, dtype in {
            "F64": torch.float64,
            "F32": torch.float32,
            "F16": torch.float16,
            "BF16": torch.bfloat16,
            "F8_E4M3": torch.float8_e4m3fn,
            "F8_E5M2": torch.float8_e5m2,
            "I64": torch.int64,
            "I32": torch.int32,
            "I16": torch.int16,
            "I8": torch.int8,
            "U8": torch.uint8,
            "BOOL": torch.bool,
        }.items()
    }
)
"""What a safetensors header may say of a tensor's numbers, of what is read here."""

GGUF_STORAGE: Mapping[int, Storage] = MappingProxyType(
    {
        0: _plain("F32", torch.float32),
        1: _plain("F16", torch.float16),
        2: Storage("Q4_0", 32, 18, decode=_q4_0),
        3: Storage("Q4_1", 32, 20, decode=_q4_1),
        6: Storage("Q5_0", 32, 22, decode=_q5_0),
        7: Storage("Q5_1", 32, 24, decode=_q5_1),
        8: Storage("Q8_0", 32, 34, decode=_q8_0),
        10: Storage("Q2_K", 256, 84, decode=_q2_k),
        11: Storage("Q3_K", 256, 110, decode=_q3_k),
        12: Storage("Q4_K", 256, 144, decode=_q4_k),
        13: Storage("Q5_K", 256, 176, decode=_q5_k),
        14: Storage("Q6_K", 256, 210, decode=_q6_k),
        20: Storage("IQ4_NL", 32, 18, decode=_iq4_nl),
        24: _plain("I8", torch.int8),
        25: _plain("I16", torch.int16),
        26: _plain("I32", torch.int32),
        27: _plain("I64", torch.int64),
        28: _plain("F64", torch.float64),
        30: _plain("BF16", torch.bfloat16),
    }
)
"""ggml's number of a storage to what is read here."""

GGUF_UNREAD: Mapping[int, str] = MappingProxyType(
    {
        9: "Q8_1",
        15: "Q8_K",
        16: "IQ2_XXS",
        17: "IQ2_XS",
        18: "IQ3_XXS",
        19: "IQ1_S",
        21: "IQ3_S",
        22: "IQ2_S",
        23: "IQ4_XS",
        29: "IQ1_M",
        34: "TQ1_0",
        35: "TQ2_0",
        39: "MXFP4",
    }
)
"""Storages that exist and are not read, so that a refusal can name them."""
