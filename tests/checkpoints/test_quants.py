"""Every decoder against the `gguf` library's, bit for bit, and one block worked by hand."""

from __future__ import annotations

import gguf
import numpy as np
import pytest
import torch

from molehill.checkpoints.quants import GGUF_STORAGE, GGUF_UNREAD, SAFETENSORS_STORAGE, dequantize

QUANTISED = {kind: s for kind, s in GGUF_STORAGE.items() if s.decode is not None}
each_quant = pytest.mark.parametrize("kind", QUANTISED, ids=lambda kind: QUANTISED[kind].name)


def same_bits(ours: np.ndarray, theirs: np.ndarray) -> bool:
    """Equal bit for bit, the sign of zero included; NaN equals any NaN."""
    both_nan = np.isnan(ours) & np.isnan(theirs)
    return bool(((ours.view(np.uint32) == theirs.view(np.uint32)) | both_nan).all())


@each_quant
def test_random_blocks_decode_to_the_same_bits_as_the_gguf_library(kind: int) -> None:
    storage = QUANTISED[kind]
    raw = np.random.default_rng(kind).integers(0, 256, (64, 40 * storage.block_bytes), np.uint8)
    with np.errstate(all="ignore"):
        theirs = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType(kind))
    ours = dequantize(torch.from_numpy(raw), storage)
    assert ours.shape == (64, 40 * storage.block_size)
    # Random scales reach NaN and infinity (1 in 16 of them); most are ordinary.
    assert np.isfinite(theirs).mean() > 0.5
    assert same_bits(ours.numpy(), theirs)


@pytest.mark.parametrize("name", ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
def test_what_the_gguf_library_quantised_comes_back_near(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name]
    weights = np.random.default_rng(7).normal(size=(16, 320)).astype(np.float32)
    raw = gguf.quants.quantize(weights, kind)
    ours = dequantize(torch.from_numpy(raw), GGUF_STORAGE[kind]).numpy()
    assert same_bits(ours, gguf.quants.dequantize(raw, kind))
    levels = 2 ** int(name[1]) - 1
    assert np.abs(ours - weights).max() < 1.2 * np.ptp(weights) / levels


def test_a_block_of_q4_0_worked_by_hand() -> None:
    """d = 0.5; byte i holds number i in its low half and number i + 16 in its high half."""
    halves = [(i, 15 - i) for i in range(16)]
    raw = np.float16(0.5).tobytes() + bytes(low | high << 4 for low, high in halves)
    want = [(i - 8) / 2 for i in range(16)] + [(15 - i - 8) / 2 for i in range(16)]
    got = dequantize(torch.frombuffer(bytearray(raw), dtype=torch.uint8), GGUF_STORAGE[2])
    assert got.tolist() == want


def test_no_block_gives_no_numbers() -> None:
    got = dequantize(torch.empty(0, 18, dtype=torch.uint8), GGUF_STORAGE[2])
    assert got.shape == (0, 32)


def test_sizes_and_names_are_those_of_the_gguf_library() -> None:
    known = {kind.value: kind.name for kind in gguf.GGMLQuantizationType}
    for kind, storage in GGUF_STORAGE.items():
        sizes = gguf.constants.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        assert (storage.block_size, storage.block_bytes) == sizes
        assert storage.name == known[kind]
    for kind, name in GGUF_UNREAD.items():
        assert known[kind] == name
    assert not GGUF_STORAGE.keys() & GGUF_UNREAD.keys()


def test_plain_numbers_take_the_bytes_of_their_dtype() -> None:
    for storage in SAFETENSORS_STORAGE.values():
        assert storage.dtype is not None
        assert storage.nbytes((3, 5)) == torch.empty(3, 5, dtype=storage.dtype).nbytes
