"""Damaged and hostile files: a `CheckpointError` naming the file, little memory, no code run."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import re
import shlex
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file
from tests.checkpoints.containers import (
    ARRAY,
    STRING,
    U32,
    U64,
    Gguf,
    entry,
    key,
    safetensors_bytes,
    tensor,
    text,
)
from torch import Tensor

from molehill.checkpoints import gguf as gguf_module
from molehill.checkpoints import safetensors_header
from molehill.checkpoints.gguf import GgufFile
from molehill.checkpoints.pickles import PICKLE_SUFFIXES
from molehill.checkpoints.raw_file import RawFile
from molehill.checkpoints.safetensors_file import SafetensorsFile, SafetensorsFolder
from molehill.errors import CheckpointError

F32 = entry("F32", [2], [0, 8])
MEMORY = 10 << 20  # bytes that a refusal may take at most; the files are smaller or sparse


def refusal(open_file: Callable[[Path], object], path: Path) -> str:
    """The message with which a file is refused, after bounded reading and in bounded memory."""
    read = 0
    real_fill = RawFile.fill

    def counted(self: RawFile, target: memoryview, offset: int) -> None:
        nonlocal read
        read += len(target)
        real_fill(self, target, offset)

    tracemalloc.start()
    try:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(CheckpointError) as caught:
            patch.setattr(RawFile, "fill", counted)
            open_file(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < MEMORY, f"{peak} bytes were taken to refuse a file"
    assert read < MEMORY, f"{read} bytes were read to refuse a file"
    message = str(caught.value)
    assert path.name in message and "\n" not in message and len(message) < 1500
    return message


# --- safetensors ------------------------------------------------------------------------------

DEEP = 100_000
SAFETENSORS = {
    "empty": (b"", "has 0 bytes"),
    "seven bytes": (b"\x02\0\0\0\0\0\0", "has 7 bytes"),
    "header of no length": (bytes(8), "does not begin with '{'"),
    "header length 2**63": (safetensors_bytes("{}", length=2**63), "claims .* 9223372036854775808"),
    "header length 2**64-1": (safetensors_bytes("{}", length=2**64 - 1), "claims"),
    "header longer than the file": (safetensors_bytes("{}", length=3), "of 3 bytes, but only 2"),
    "header shorter than its JSON": (safetensors_bytes({"w": F32}, bytes(8), 20), "w"),
    "no JSON": (safetensors_bytes("\0\1\2\3"), "does not begin"),
    "a list": (safetensors_bytes("[]"), "does not begin"),
    "leading space": (safetensors_bytes(" {}"), "does not begin"),
    "unclosed": (safetensors_bytes('{"w":'), "'w' is no JSON object"),
    "not UTF-8": (safetensors_bytes(b'{"\xff": 1}'), r"not UTF-8 \(byte 10\)"),
    "more after the header": (safetensors_bytes("{} {}"), "goes on after"),
    "trailing comma": (safetensors_bytes(json.dumps({"w": F32})[:-1] + ",}"), "lacks a string"),
    "no comma": (safetensors_bytes('{"a": {} "b": {}}'), "'a' has the keys"),
    "control character in a name": (safetensors_bytes('{"a\nb": {}}'), "broken string"),
    "lone surrogate as a name": (safetensors_bytes('{"\\ud800": {}}'), "broken string"),
    "overlapping": (
        safetensors_bytes({"a": F32, "b": entry("F32", [2], [4, 12])}, bytes(12)),
        "'b' overlaps tensor 'a'",
    ),
    "the same span twice": (safetensors_bytes({"a": F32, "b": F32}, bytes(8)), "'b' overlaps"),
    "a gap": (
        safetensors_bytes({"a": F32, "b": entry("F32", [1], [12, 16])}, bytes(16)),
        "'b' leaves a gap after tensor 'a'",
    ),
    "a gap at the start": (
        safetensors_bytes({"a": entry("F32", [1], [4, 8])}, bytes(8)),
        "'a' leaves a gap after the header",
    ),
    "bytes after the last": (safetensors_bytes({"a": F32}, bytes(9)), "tensors end at byte"),
    "past the end": (safetensors_bytes({"a": F32}, bytes(7)), "cut short"),
    "negative offset": (
        safetensors_bytes({"a": entry("F32", [2], [-8, 0])}, bytes(8)),
        r"'a' has the data_offsets \[-8, 0\]",
    ),
    "backward offsets": (safetensors_bytes({"a": entry("F32", [2], [8, 0])}, bytes(8)), "'a'"),
    "three offsets": (safetensors_bytes({"a": entry("F32", [2], [0, 8, 8])}, bytes(8)), "'a'"),
    "fractional offset": (safetensors_bytes({"a": entry("F32", [2], [0, 8.0])}, bytes(8)), "'a'"),
    "true as a size": (safetensors_bytes({"a": entry("F32", [True], [0, 4])}, bytes(4)), "shape"),
    "text as a size": (safetensors_bytes({"a": entry("F32", ["2"], [0, 8])}, bytes(8)), "shape"),
    "NaN as a size": (safetensors_bytes({"a": entry("F32", [float("nan")], [0, 8])}), "shape"),
    "negative size": (safetensors_bytes({"a": entry("F32", [-2], [0, 8])}, bytes(8)), "shape"),
    "size over 2**63": (safetensors_bytes({"a": entry("F32", [2**63], [0, 8])}), "shape"),
    "a size of 4,000 digits": (
        safetensors_bytes('{"a": {"dtype": "F32", "shape": [%s]}}' % ("9" * 4000)),
        "'a'",
    ),
    "17 axes": (safetensors_bytes({"a": entry("F32", [1] * 17, [0, 4])}, bytes(4)), "shape"),
    "sizes that overflow": (
        safetensors_bytes({"a": entry("F32", [2**32, 2**32, 4], [0, 0])}),
        "cannot be counted",
    ),
    "sizes that overflow beside a zero": (
        safetensors_bytes({"a": entry("F32", [0, 2**62, 2**62], [0, 0])}),
        "cannot be counted",
    ),
    "another span than its shape needs": (
        safetensors_bytes({"a": entry("F32", [3], [0, 8])}, bytes(8)),
        r"'a' needs 12 bytes as F32 \(3,\), but its data_offsets \[0, 8\] hold 8",
    ),
    "unknown dtype": (safetensors_bytes({"a": entry("F4", [2], [0, 1])}, b"1"), "'a' .* F4"),
    "a list as dtype": (
        safetensors_bytes({"a": {"dtype": [], "shape": [2], "data_offsets": [0, 8]}}, bytes(8)),
        "'a' is stored as",
    ),
    "no dtype": (safetensors_bytes({"a": {"shape": [2], "data_offsets": [0, 8]}}), "'a' .* keys"),
    "one field too many": (safetensors_bytes({"a": {**F32, "x": 1}}, bytes(8)), "'a' .* keys"),
    "a tensor twice": (
        safetensors_bytes('{"a": %s, "a": %s}' % ((json.dumps(F32),) * 2), bytes(8)),
        "tensor 'a' twice",
    ),
    "a tensor twice, once escaped": (
        safetensors_bytes('{"a": %s, "\\u0061": %s}' % ((json.dumps(F32),) * 2), bytes(8)),
        "tensor 'a' twice",
    ),
    "a field twice": (
        safetensors_bytes('{"a": {"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}}'),
        "'a' .* twice",
    ),
    "metadata twice": (
        safetensors_bytes('{"__metadata__": {}, "__metadata__": {}}'),
        "'__metadata__' twice",
    ),
    "a key of the metadata twice": (
        safetensors_bytes('{"__metadata__": {"k": "1", "k": "2"}}'),
        "'k' twice",
    ),
    "metadata that are no text": (safetensors_bytes('{"__metadata__": {"k": 1}}'), "string"),
    "nested in a shape": (
        safetensors_bytes('{"a": {"dtype": "F32", "shape": %s' % ("[" * DEEP)),
        "'a' is longer",
    ),
    "nested in a short shape": (
        safetensors_bytes('{"a": {"dtype": "F32", "shape": %s}}' % ("[" * 3000)),
        "'a' is not valid JSON",
    ),
    "nested objects": (safetensors_bytes('{"a":' * DEEP), "'a'"),
    "nested lists": (safetensors_bytes('{"a":' + "[" * DEEP), "'a' is no JSON object"),
    "nested in the metadata": (safetensors_bytes('{"__metadata__":' * DEEP), "string"),
    "a name of 1 MB": (safetensors_bytes({"x" * 2**20: 1}), "xxx"),
    "an unclosed string of 1 MB": (safetensors_bytes('{"' + "x" * 2**20), "broken string"),
    "1 MB of backslashes": (safetensors_bytes('{"' + "\\" * 2**20), "broken string"),
    "1 MB of space": (safetensors_bytes("{" + " " * 2**20), "lacks a string"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_hostile_safetensors_header_is_refused(tmp_path: Path, case: str) -> None:
    data, reason = SAFETENSORS[case]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(data)
    assert re.search(reason, refusal(SafetensorsFile, path))


def test_a_header_of_50_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(safetensors_bytes("{", length=50_000_000))
    os.truncate(path, 50_000_008)
    assert "at most 8388608 are read" in refusal(SafetensorsFile, path)


def test_a_header_of_the_largest_size_is_left_at_its_first_fault(tmp_path: Path) -> None:
    """Its text is held, at most twice; the million objects in it are never made."""
    path = tmp_path / "large.safetensors"
    header = '{"a": {"dtype": [' + "{}," * (safetensors_header.LARGEST_HEADER // 3 - 10)
    path.write_bytes(safetensors_bytes(header))
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError, match="'a' is not valid JSON"):
            SafetensorsFile(path)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * safetensors_header.LARGEST_HEADER
    finally:
        tracemalloc.stop()


def test_more_tensors_than_any_model_has_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safetensors_header, "MOST_KEYS", 100)
    none = {str(i): entry("F32", [0], [0, 0]) for i in range(101)}
    path = tmp_path / "many.safetensors"
    path.write_bytes(safetensors_bytes(none))
    assert "more than 100 keys" in refusal(SafetensorsFile, path)


# --- GGUF -------------------------------------------------------------------------------------


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def array(kind: int, n: int, values: bytes = b"") -> bytes:
    return u32(kind) + u64(n) + values


def keys(*made: bytes) -> bytes:
    return Gguf(keys=list(made)).bytes()


def tensors(*made: bytes, data: bytes = bytes(64)) -> bytes:
    return Gguf(tensors=list(made), data=data).bytes()


NESTED = array(ARRAY, 1) * DEEP + array(U32, 0)
GGUF = {
    "empty": (b"", "does not begin as a GGUF file"),
    "magic alone": (b"GGUF", "does not begin"),
    "other magic": (Gguf(magic=b"GGML").bytes(), "does not begin"),
    "version 1": (Gguf(version=u32(1)).bytes(), "version 1"),
    "version 4": (Gguf(version=u32(4)).bytes(), "version 4"),
    "big-endian": (Gguf(version=struct.pack(">I", 3)).bytes(), "big-endian"),
    "2**64-1 keys": (Gguf(n_keys=2**64 - 1).bytes(), "claims 18446744073709551615 keys"),
    "2**64-1 tensors": (Gguf(n_tensors=2**64 - 1).bytes(), "claims 18446744073709551615 tensors"),
    "one key too many": (
        Gguf([key("key", STRING, text("v" * 20))], n_keys=2, alignment=1).bytes(),
        "needs byte .* cut short",
    ),
    "key of 2**63 bytes": (keys(u64(2**63) + bytes(40)), "string of 9223372036854775808 bytes"),
    "string of 2**63 bytes": (keys(key("k", STRING, u64(2**63))), "9223372036854775808 bytes .k"),
    "string past the end": (keys(key("k", STRING, u64(1000))), "cut short"),
    "array of 2**63 bytes": (keys(key("k", ARRAY, array(0, 2**63))), "claims .* values in 'k'"),
    "array of 2**61 numbers": (keys(key("k", ARRAY, array(U64, 2**61))), "claims"),
    "array of 2**61 strings": (keys(key("k", ARRAY, array(STRING, 2**61))), "claims .* strings"),
    "array with a string of 2**63": (
        keys(key("k", ARRAY, array(STRING, 2, text("a") + u64(2**63)))),
        "string of 9223372036854775808",
    ),
    "array with a string past the end": (
        keys(key("k", ARRAY, array(STRING, 1, u64(1000)))),
        "cut short",
    ),
    "array of arrays": (keys(key("k", ARRAY, array(ARRAY, 1, array(U32, 0)))), "array of arrays"),
    "arrays 100,000 deep": (keys(key("k", ARRAY, NESTED)), "array of arrays"),
    "array of an unknown type": (keys(key("k", ARRAY, array(13, 1, bytes(9)))), "type 13 .*'k'"),
    "unknown type": (keys(key("k", 13, bytes(8))), "unknown type 13 under 'k'"),
    "a truth value of 2": (keys(key("k", 7, b"\2")), "truth value other than 0 and 1"),
    "a truth value of 2 in an array": (keys(key("k", ARRAY, array(7, 2, b"\1\2"))), "truth"),
    "a key twice": (keys(key("k", U32, u32(1)), key("k", U32, u32(1))), "key 'k' twice"),
    "a key that is no text": (keys(key(b"\xff", U32, u32(1))), "key that is not UTF-8"),
    "alignment 0": (keys(key("general.alignment", U32, u32(0))), "alignment 0"),
    "alignment 3": (keys(key("general.alignment", U32, u32(3))), "alignment 3"),
    "alignment -32": (keys(key("general.alignment", 5, struct.pack("<i", -32))), "alignment -32"),
    "alignment 32.0": (keys(key("general.alignment", 6, struct.pack("<f", 32))), "alignment 32.0"),
    "alignment true": (keys(key("general.alignment", 7, b"\1")), "alignment True"),
    "alignment as text": (keys(key("general.alignment", STRING, text("32"))), "alignment 32"),
    "alignment 2**62": (
        Gguf([key("general.alignment", U64, u64(2**62))], [tensor("w", [2])], bytes(64)).bytes(),
        "'w' ends at byte",
    ),
    "a tensor twice": (tensors(tensor("w", [2]), tensor("w", [2], offset=32)), "'w' twice"),
    "a tensor whose name is no text": (tensors(tensor(b"\xc3", [2])), "not UTF-8"),
    "2**32-1 axes": (tensors(tensor("w", [2], axes=2**32 - 1)), "4294967295 axes"),
    "5 axes": (tensors(tensor("w", [1] * 5)), "5 axes"),
    "sizes that overflow": (tensors(tensor("w", [2**32, 2**32])), "cannot be counted"),
    "sizes that overflow to 0": (tensors(tensor("w", [2**62, 2, 2, 2])), "cannot be counted"),
    "sizes that overflow beside a zero": (tensors(tensor("w", [2**62, 2**62, 0])), "be counted"),
    "size 2**64-1": (tensors(tensor("w", [2**64 - 1], kind=24)), "cannot be counted"),
    "offset past the end": (tensors(tensor("w", [2], offset=2**20)), "offset 1048576, expected 0"),
    "offset 2**64-32": (tensors(tensor("w", [2], offset=2**64 - 32)), "'w' has offset"),
    "offset not aligned": (tensors(tensor("w", [2], offset=4)), "offset 4, expected 0"),
    "overlapping": (tensors(tensor("v", [9]), tensor("w", [2], offset=32)), "expected 64"),
    "the same place twice": (tensors(tensor("v", [2]), tensor("w", [2])), "'w' .* expected 32"),
    "too large": (tensors(tensor("w", [17])), "'w' ends at byte"),
    "unknown quant": (tensors(tensor("w", [2], kind=99)), "'w' is stored as an unknown type"),
    "quant that is not read": (tensors(tensor("w", [256], kind=17)), "'w' is stored as IQ2_XS"),
    "rows that are no whole blocks": (
        tensors(tensor("w", [48, 32], kind=2), data=bytes(2**12)),
        "'w' has rows of 48 numbers",
    ),
    "a row that is no whole super-block": (
        tensors(tensor("w", [128, 2], kind=12), data=bytes(2**12)),
        "blocks of 256 as Q4_K needs",
    ),
}


@pytest.mark.parametrize("case", GGUF)
def test_a_hostile_gguf_header_is_refused(tmp_path: Path, case: str) -> None:
    data, reason = GGUF[case]
    path = tmp_path / "hostile.gguf"
    path.write_bytes(data)
    assert re.search(reason, refusal(GgufFile, path))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (key("k", STRING, u64(2**30)), "string of 1073741824 bytes"),
        (key("k", ARRAY, array(STRING, 2**27)), "claims 134217728 strings"),
        (key("k", ARRAY, array(U64, 2**27)), "claims 134217728 values"),
    ],
)
def test_a_sparse_file_cannot_make_a_header_large(
    tmp_path: Path, value: bytes, reason: str
) -> None:
    """The file is long enough for what its header claims, and costs nothing to make."""
    path = tmp_path / "sparse.gguf"
    path.write_bytes(keys(value))
    os.truncate(path, 2**32)
    assert re.search(reason, refusal(GgufFile, path))


def test_a_header_is_not_followed_beyond_its_largest_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_module, "LARGEST_HEADER", 1000)
    path = tmp_path / "long.gguf"
    path.write_bytes(keys(*(key(f"k{i}", STRING, text("v" * 50)) for i in range(20))))
    assert "at most 1000 bytes of header are read" in refusal(GgufFile, path)


# --- any damage at all ------------------------------------------------------------------------


def example_safetensors() -> tuple[bytes, int]:
    """A file of 5 tensors, and the length of its header."""
    generator = torch.Generator().manual_seed(0)
    weights = {f"layer.{i}": torch.randn(7, 31 * i, generator=generator) for i in range(5)}
    data = save(weights, {"format": "pt", "note": "mole"})
    return data, 8 + struct.unpack("<Q", data[:8])[0]


def example_gguf() -> tuple[bytes, int]:
    """A file of 3 tensors with some of every kind of key, and the length of its header."""
    rng = np.random.default_rng(0)
    file = Gguf(
        keys=[
            key("general.architecture", STRING, text("llama")),
            key("general.alignment", U32, u32(32)),
            key("tokens", ARRAY, array(STRING, 3, text("a") + text("mole") + text(""))),
            key("types", ARRAY, array(5, 4, bytes(16))),
            key("switch", 7, b"\1"),
            key("switches", ARRAY, array(7, 3, b"\1\0\1")),
            key("x", 12, struct.pack("<d", 0.5)),
        ],
        tensors=[
            tensor("a", [64, 60], kind=2),
            tensor("b", [256, 3], kind=14, offset=2176),
            tensor("c", [50, 40], offset=2816),
        ],
        data=bytes(rng.integers(0, 256, 2816 + 8000, np.uint8)),
    )
    data = file.bytes()
    return data, len(data) - len(file.data)


def all_tensors(open_file: Callable, path: Path) -> dict[str, Tensor]:
    with open_file(path) as source:
        return {name: source.read(name, torch.float32) for name in source.tensors}


EXAMPLES = {
    "safetensors": (SafetensorsFile, *example_safetensors()),
    "gguf": (GgufFile, *example_gguf()),
}
each_format = pytest.mark.parametrize("kind", EXAMPLES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files hypothesis may write again and again."""
    return tmp_path_factory.mktemp("damage")


@settings(deadline=None, max_examples=200)
@given(kind=st.sampled_from(sorted(EXAMPLES)), seed=st.integers(0, 2**32), n=st.integers(1, 12))
def test_flipped_bits_of_a_header_give_tensors_or_a_checkpoint_error(
    folder: Path, kind: str, seed: int, n: int
) -> None:
    open_file, data, header = EXAMPLES[kind]
    damaged, chance = bytearray(data), random.Random(seed)
    for _ in range(n):
        damaged[chance.randrange(header)] ^= 1 << chance.randrange(8)
    path = folder / "flipped"
    path.write_bytes(damaged)
    tracemalloc.start()
    try:
        all_tensors(open_file, path)
    except CheckpointError as error:
        assert path.name in str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < MEMORY


@settings(deadline=None, max_examples=200)
@given(
    kind=st.sampled_from(sorted(EXAMPLES)),
    at=st.floats(0, 1),
    cut=st.integers(0, 40),
    patch=st.binary(max_size=40) | st.sampled_from([b"\xff" * 8, u64(2**63), b"[" * 30, b'{"a":']),
)
def test_replaced_parts_of_a_header_give_tensors_or_a_checkpoint_error(
    folder: Path, kind: str, at: float, cut: int, patch: bytes
) -> None:
    open_file, data, header = EXAMPLES[kind]
    start = int(at * header)
    path = folder / "patched"
    path.write_bytes(data[:start] + patch + data[start + cut :])
    try:
        all_tensors(open_file, path)
    except CheckpointError as error:
        assert path.name in str(error)


@each_format
def test_a_file_cut_anywhere_in_its_header_or_at_4_kib_is_an_error_or_whole(
    tmp_path: Path, kind: str
) -> None:
    open_file, data, header = EXAMPLES[kind]
    path = tmp_path / "cut"
    path.write_bytes(data)
    whole = all_tensors(open_file, path)
    refused = 0
    for size in [*range(0, header, 7), *range(4096, len(data), 4096), len(data) - 1]:
        path.write_bytes(data[:size])
        try:
            rest = all_tensors(open_file, path)
        except CheckpointError:
            refused += 1
        else:
            assert rest.keys() == whole.keys()
            assert all(torch.equal(rest[n].nan_to_num(), whole[n].nan_to_num()) for n in whole)
    assert refused >= header // 7 + 3


def test_padding_after_the_last_tensor_of_a_gguf_file_may_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "padded.gguf"
    path.write_bytes(tensors(tensor("w", [2]), data=bytes(64)))
    os.truncate(path, path.stat().st_size - 56)
    assert all_tensors(GgufFile, path)["w"].tolist() == [0, 0]


# --- what is no file of weights ---------------------------------------------------------------


@pytest.mark.parametrize("open_file", [SafetensorsFile, GgufFile])
def test_what_is_no_regular_file_is_refused_without_waiting(
    tmp_path: Path, open_file: Callable
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)  # opening one to read waits until somebody writes
    assert "no regular file" in refusal(open_file, pipe)
    assert "no regular file" in refusal(open_file, tmp_path)
    assert "No such file" in refusal(open_file, tmp_path / "absent")
    with pytest.raises(CheckpointError, match="null byte"):
        open_file(tmp_path / "a\0b")


def test_names_from_a_file_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.safetensors"
    path.write_bytes(safetensors_bytes({"\x1b]0;owned\x07": 1}))
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFile(path)
    assert str(caught.value).isprintable()


# --- folders ----------------------------------------------------------------------------------


def hostile_index(folder: Path, index: object) -> Path:
    path = folder / "model.safetensors.index.json"
    path.write_text(index if isinstance(index, str) else json.dumps(index))
    return path


@pytest.mark.parametrize(
    "shard",
    [
        "../../etc/passwd",
        "../secret.safetensors",
        "/etc/passwd",
        "sub/model.safetensors",
        "..",
        ".",
        "",
        "a\\b.safetensors",
        "a\0b.safetensors",
    ],
)
def test_an_index_may_only_name_files_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: str
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"w": torch.zeros(2)}, tmp_path / "secret.safetensors")
    hostile_index(folder, {"weight_map": {"w": shard}})
    opened = opened_paths(monkeypatch)
    with pytest.raises(CheckpointError, match="no plain file name"):
        SafetensorsFolder(folder)
    assert opened == [folder / "model.safetensors.index.json"]


def opened_paths(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every path that a `RawFile` is opened for from now on."""
    opened: list[Path] = []
    real = RawFile.__init__

    def noted(self: RawFile, path: str | Path) -> None:
        opened.append(Path(path))
        real(self, path)

    monkeypatch.setattr(RawFile, "__init__", noted)
    return opened


@pytest.mark.parametrize("target", ["../secret.safetensors", "/etc/passwd", "sub/../../secret.x"])
def test_a_link_out_of_the_folder_is_refused_before_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    for name in ("secret.safetensors", "secret.x"):
        save_file({"w": torch.zeros(2)}, tmp_path / name)
    (folder / "shard.safetensors").symlink_to(target)
    hostile_index(folder, {"weight_map": {"w": "shard.safetensors"}})
    opened = opened_paths(monkeypatch)
    with pytest.raises(CheckpointError, match="a link that leads out of the folder"):
        SafetensorsFolder(folder)
    assert opened == [folder / "model.safetensors.index.json"]


def test_a_link_in_a_circle_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "shard.safetensors").symlink_to("shard.safetensors")
    hostile_index(tmp_path, {"weight_map": {"w": "shard.safetensors"}})
    with pytest.raises(CheckpointError, match=r"'shard\.safetensors', which is missing"):
        SafetensorsFolder(tmp_path)


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    save_file({"w": torch.ones(2)}, tmp_path / "real.safetensors")
    (tmp_path / "shard.safetensors").symlink_to("real.safetensors")
    hostile_index(tmp_path, {"weight_map": {"w": "shard.safetensors"}})
    with SafetensorsFolder(tmp_path) as source:
        assert source.read("w").tolist() == [1, 1]


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("", "not valid JSON"),
        ("[]", "no 'weight_map'"),
        ({}, "no 'weight_map'"),
        ({"weight_map": []}, "no 'weight_map'"),
        ({"weight_map": {"w": 1}}, "no 'weight_map'"),
        ({"weight_map": {"w": ["x"]}}, "no 'weight_map'"),
        ({"weight_map": {f"w{i}": f"{i}.safetensors" for i in range(5000)}}, "more than 4096"),
        ('{"weight_map": {"w": "a", "w": "b"}}', "twice"),
        ('{"weight_map": {}, "weight_map": {}}', "twice"),
        ("[" * DEEP, "not valid JSON"),
        ('{"weight_map":' * DEEP, "not valid JSON"),
        ("9" * 5000, "not valid JSON"),
    ],
)
def test_a_hostile_index_is_refused(tmp_path: Path, index: object, reason: str) -> None:
    path = hostile_index(tmp_path, index)
    with pytest.raises(CheckpointError, match=reason) as caught:
        SafetensorsFolder(tmp_path)
    assert path.name in str(caught.value)


def test_an_index_of_50_mb_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = hostile_index(tmp_path, "{}")
    os.truncate(path, 50_000_000)
    assert "at most 16777216" in refusal(lambda path: SafetensorsFolder(path.parent), path)


# --- pickles ----------------------------------------------------------------------------------


class Payload:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


def pickled(payload: Payload, kind: str) -> bytes:
    """The payload as `torch.save` writes it (a zip), as older ones did, or bare."""
    if kind != "zip":
        return pickle.dumps({"w": payload}, protocol=int(kind))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"w": payload}, protocol=2))
    return file.getvalue()


PICKLE_NAMES = [f"model{suffix}" for suffix in sorted(PICKLE_SUFFIXES)] + ["MODEL.BIN"]


@pytest.mark.parametrize("kind", ["zip", "0", "1", "2", "3", "4", "5"])
@pytest.mark.parametrize("open_file", [SafetensorsFile, GgufFile])
def test_a_pickle_is_refused_by_name_and_by_content_and_never_run(
    tmp_path: Path, kind: str, open_file: Callable
) -> None:
    marker = tmp_path / "ran"
    payload = pickled(Payload(marker), kind)
    names = PICKLE_NAMES
    if kind not in "01":  # these begin with any letter: they are refused as unknown files
        names = [*names, "model.safetensors", "model.gguf", "model"]
    for name in names:
        path = tmp_path / name
        path.write_bytes(payload)
        message = refusal(open_file, path)
        assert "is a pickle" in message and "weights_only=True" in message
    path = tmp_path / "unknown.safetensors"
    path.write_bytes(payload)
    refusal(open_file, path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(Payload(marker)))
    assert marker.exists(), "the payload does run where pickles are opened"


@pytest.mark.parametrize("index", [True, False])
def test_a_folder_with_only_pickles_is_refused_with_the_way_to_convert_them(
    tmp_path: Path, index: bool
) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "pytorch_model.bin").write_bytes(pickled(Payload(marker), "zip"))
    if index:
        hostile_index(tmp_path, {"weight_map": {"w": "pytorch_model.bin"}})
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: is a pickle"):
        SafetensorsFolder(tmp_path)
    assert not marker.exists()


def test_the_command_in_the_refusal_converts_a_pickle(tmp_path: Path) -> None:
    """Shared and transposed tensors too, and a folder whose name would end a quoted word."""
    folder = tmp_path / "it's; $(touch ran)"
    folder.mkdir()
    path = folder / "pytorch_model.bin"
    shared = torch.randn(3, 4)
    torch.save({"a": shared, "b": shared, "c": shared.T}, path)
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFile(path)
    command = str(caught.value).split("convert it: ")[1]
    words = shlex.split(command)
    assert words[0] == "python" and words[3:] == [str(path), str(folder / "model.safetensors")]
    subprocess.run([sys.executable, *words[1:]], check=True, timeout=120)
    found = load_file(folder / "model.safetensors")
    assert torch.equal(found["b"], shared) and torch.equal(found["c"], shared.T)


def test_a_gguf_file_may_be_called_bin(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(tensors(tensor("w", [2])))
    assert all_tensors(GgufFile, path)["w"].tolist() == [0, 0]


# --- memory -----------------------------------------------------------------------------------


def resident(key: str) -> int:
    """Bytes of memory that this process has (`VmRSS`) or had at most (`VmHWM`)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{key}:")[1].split()[0]) * 1024


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        ("F32", torch.float32),
        ("BF16", torch.bfloat16),
        ("BF16", torch.float32),
        ("F32", torch.bfloat16),
        ("Q4_1", torch.float32),
        ("Q4_1", torch.bfloat16),
    ],
)
@pytest.mark.parametrize("turned", [False, True], ids=["as stored", "transposed"])
def test_reading_takes_the_weights_own_memory_and_little_more(
    tmp_path: Path, kind: str, dtype: torch.dtype, turned: bool
) -> None:
    rows, columns = 6144, 2048
    path = tmp_path / "large"
    if kind == "Q4_1":
        path.write_bytes(tensors(tensor("w", [columns, rows], kind=3), data=b""))
        os.truncate(path, path.stat().st_size + rows * columns // 32 * 20)
    else:
        n = rows * columns * (4 if kind == "F32" else 2)
        path.write_bytes(safetensors_bytes({"w": entry(kind, [rows, columns], [0, n])}))
        os.truncate(path, path.stat().st_size + n)
    out = torch.ones((columns, rows) if turned else (rows, columns), dtype=dtype)
    with (GgufFile if kind == "Q4_1" else SafetensorsFile)(path) as source:
        Path("/proc/self/clear_refs").write_text("5")  # the peak is forgotten
        before = resident("VmRSS")
        source.read_into("w", out.T if turned else out)
        growth = resident("VmHWM") - before
    assert not out.any()
    assert growth < 0.15 * out.nbytes + (8 << 20)
