"""GGUF files against the `gguf` library, which writes them here and decodes them a second time."""

from __future__ import annotations

import struct
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.checkpoints.containers import ARRAY, STRING, Gguf, key, tensor, text

from molehill.checkpoints.gguf import GgufFile
from molehill.checkpoints.quants import GGUF_STORAGE, dequantize
from molehill.checkpoints.source import TensorInfo, TensorSource
from molehill.errors import CheckpointError

PLAIN = [np.float32, np.float16, np.float64, np.int8, np.int16, np.int32, np.int64]


def written(path: Path, weights: dict, **keys: object) -> Path:
    """A file by the `gguf` library. A weight is an array, or raw blocks with their type."""
    writer = gguf.GGUFWriter(path, "llama")
    for name, value in keys.items():
        add = {
            bool: writer.add_bool,
            str: writer.add_string,
            int: writer.add_int64,
            float: writer.add_float64,
            list: writer.add_array,
        }[type(value)]
        add(name, value)
    for name, weight in weights.items():
        raw, kind = weight if isinstance(weight, tuple) else (weight, None)
        writer.add_tensor(name, raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file name that hypothesis may write to again and again."""
    return tmp_path_factory.mktemp("gguf") / "weights.gguf"


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(0, 4))
def test_plain_tensors_that_the_gguf_library_writes_are_read_exactly(
    place: Path, data: st.DataObject, n: int
) -> None:
    shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)
    dtypes = st.sampled_from(PLAIN)
    draw = st.builds(lambda dtype, shape: arrays(dtype, shape), dtypes, shapes).flatmap(lambda x: x)
    weights = {f"tensor.{i}": data.draw(draw) for i in range(n)}
    written(place, weights)
    with GgufFile(place) as source:
        assert isinstance(source, TensorSource)
        assert list(source.tensors) == list(weights)
        for name, weight in weights.items():
            got = source.read(name).numpy()
            assert got.shape == source.tensors[name].shape == weight.shape
            assert got.dtype == weight.dtype and got.tobytes() == weight.tobytes()


def test_quantised_tensors_are_read_as_the_gguf_library_decodes_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    quantised = {kind: s for kind, s in GGUF_STORAGE.items() if s.decode}
    weights = {}
    for kind, storage in quantised.items():
        # More than one piece of work each, and rows that do not divide a piece.
        n_blocks = 3 if storage.block_size == 256 else 21
        raw = rng.integers(0, 256, (260, n_blocks * storage.block_bytes), np.uint8)
        weights[storage.name] = (raw, gguf.GGMLQuantizationType(kind))
    path = written(tmp_path / "q.gguf", weights)
    reader = gguf.GGUFReader(path)
    with GgufFile(path) as source:
        for theirs in reader.tensors:
            raw, storage = weights[theirs.name][0], quantised[theirs.tensor_type]
            shape = (260, raw.shape[1] // storage.block_bytes * storage.block_size)
            info = TensorInfo(theirs.name, storage.name, shape, raw.nbytes)
            assert source.tensors[theirs.name] == info
            assert np.array_equal(source.raw(theirs.name).numpy(), raw)
            with np.errstate(all="ignore"):
                want = torch.from_numpy(gguf.quants.dequantize(theirs.data, theirs.tensor_type))
            assert torch.equal(source.read(theirs.name).nan_to_num(0.5), want.nan_to_num(0.5))
            turned = torch.empty(shape[::-1])
            source.read_into(theirs.name, turned.T)
            assert torch.equal(turned.T.nan_to_num(0.5), want.nan_to_num(0.5))
            short = source.read(theirs.name, torch.bfloat16)
            assert torch.equal(short.nan_to_num(0.5), want.bfloat16().nan_to_num(0.5))


def test_brain_floats_are_read_and_raw_blocks_of_three_axes_keep_them(tmp_path: Path) -> None:
    stored = torch.randn(4, 6, 32).bfloat16()
    raw = stored.view(torch.uint8).numpy()
    blocks = np.random.default_rng(1).integers(0, 64, (2, 5, 68), np.uint8)
    kinds = gguf.GGMLQuantizationType
    path = written(tmp_path / "b.gguf", {"w": (raw, kinds.BF16), "q": (blocks, kinds.Q8_0)})
    with GgufFile(path) as source:
        assert source.tensors["w"].dtype == "BF16" and source.tensors["w"].shape == (4, 6, 32)
        assert torch.equal(source.read("w"), stored)
        assert torch.equal(source.read("w", torch.float32), stored.float())
        assert source.tensors["q"].shape == (2, 5, 64)
        assert np.array_equal(source.raw("q").numpy(), blocks)
        assert torch.equal(source.read("q"), dequantize(source.raw("q"), GGUF_STORAGE[8]))


def test_a_long_row_is_decoded_in_pieces_of_whole_blocks(tmp_path: Path) -> None:
    raw = np.random.default_rng(2).integers(0, 60, (2, 1200 * 210), np.uint8)
    kind = gguf.GGMLQuantizationType.Q6_K
    with GgufFile(written(tmp_path / "long.gguf", {"w": (raw, kind)})) as source:
        assert np.array_equal(source.read("w").numpy(), gguf.quants.dequantize(raw, kind))


def test_quantised_weights_do_not_go_into_integers(tmp_path: Path) -> None:
    raw = np.zeros((1, 18), np.uint8)
    path = written(tmp_path / "q.gguf", {"w": (raw, gguf.GGMLQuantizationType.Q4_0)})
    with (
        GgufFile(path) as source,
        pytest.raises(CheckpointError, match=r"Q4_0, which torch\.int32"),
    ):
        source.read("w", torch.int32)


def test_metadata_are_plain_values(tmp_path: Path) -> None:
    keys = {
        "truth": True,
        "n": -(2**40),
        "x": 0.1,
        "name": "Maulwurf ✓",
        "tokens": ["<s>", "", "the", "Ġmole"],
        "types": [1, 2, 3],
        "scores": [0.5, -1.0],
        "switches": [True, False],
    }
    with GgufFile(written(tmp_path / "m.gguf", {}, **keys)) as source:
        found = dict(source.metadata)
    assert found.pop("general.architecture") == "llama"
    for name in ("types", "scores", "switches"):
        assert isinstance(found[name], np.ndarray)
        found[name] = found[name].tolist()
    assert found == keys
    assert [type(found[name]) for name in ("truth", "n", "x", "name")] == [bool, int, float, str]


@pytest.mark.parametrize("version", [2, 3])
def test_bytes_that_are_no_text_are_kept(tmp_path: Path, version: int) -> None:
    tokens = [b"\xff\xfe", "é".encode()[:1], b"ok"]
    array = struct.pack("<IQ", STRING, 3) + b"".join(map(text, tokens))
    keys = [key("tokens", ARRAY, array), key("name", STRING, text(b"\x80"))]
    path = tmp_path / "odd.gguf"
    path.write_bytes(Gguf(keys, version=struct.pack("<I", version)).bytes())
    with GgufFile(path) as source:
        kept = [str(t).encode("utf-8", "surrogateescape") for t in source.metadata["tokens"]]
        assert kept == tokens
        assert source.metadata["name"] == "\udc80"


def test_a_header_longer_than_one_read_is_read_whole(tmp_path: Path) -> None:
    tokens = [f"token {i} " + "x" * (i % 50) for i in range(60_000)]
    path = written(tmp_path / "big.gguf", {"w": np.arange(5, dtype=np.float32)}, tokens=tokens)
    assert path.stat().st_size > 2 << 20
    with GgufFile(path) as source:
        assert source.metadata["tokens"] == tokens
        assert source.read("w").tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("alignment", [1, 8, 64, 4096])
def test_the_alignment_that_a_file_asks_for_is_kept(tmp_path: Path, alignment: int) -> None:
    step = -(-12 // alignment) * alignment
    file = Gguf(
        keys=[key("general.alignment", 4, struct.pack("<I", alignment))],
        tensors=[tensor("a", [3]), tensor("b", [3], offset=step)],
        data=struct.pack("<3f", 1, 2, 3).ljust(step, b"\0") + struct.pack("<3f", 4, 5, 6),
        alignment=alignment,
    )
    path = tmp_path / "aligned.gguf"
    path.write_bytes(file.bytes())
    with GgufFile(path) as source:
        assert source.read("a").tolist() == [1, 2, 3]
        assert source.read("b").tolist() == [4, 5, 6]


def test_a_tensor_without_axes_is_one_number(tmp_path: Path) -> None:
    path = tmp_path / "scalar.gguf"
    path.write_bytes(Gguf(tensors=[tensor("s", [])], data=struct.pack("<f", 2.5)).bytes())
    with GgufFile(path) as source:
        assert source.read("s").item() == 2.5
        assert source.raw("s").tolist() == [0, 0, 0x20, 0x40]


def test_a_real_model_is_read_as_the_gguf_library_decodes_it(smollm2_gguf: Path) -> None:
    with GgufFile(smollm2_gguf) as source:
        assert len(source.tensors) == 272
        assert source.metadata["llama.block_count"] == 30
        assert len(source.metadata["tokenizer.ggml.tokens"]) == 49152
        assert source.tensors["blk.3.ffn_down.weight"].shape == (576, 1536)
        for name in ("token_embd.weight", "blk.3.ffn_down.weight", "output_norm.weight"):
            kind = gguf.GGMLQuantizationType[source.tensors[name].dtype]
            want = gguf.quants.dequantize(source.raw(name).numpy(), kind)
            assert np.array_equal(source.read(name).numpy(), want)
