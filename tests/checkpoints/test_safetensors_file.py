"""Safetensors files and folders against the `safetensors` library, and how tensors are read."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save, save_file
from tests.checkpoints.containers import entry, safetensors_bytes
from torch import Tensor, nn

from molehill.checkpoints.quants import SAFETENSORS_STORAGE
from molehill.checkpoints.safetensors_file import SafetensorsFile, SafetensorsFolder
from molehill.checkpoints.source import TensorInfo, TensorSource
from molehill.errors import CheckpointError

STORED = {s.dtype: name for name, s in SAFETENSORS_STORAGE.items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file name that hypothesis may write to again and again."""
    return tmp_path_factory.mktemp("safetensors") / "weights.safetensors"


def random_tensor(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Every bit pattern of a dtype may come, NaN too."""
    generator = torch.Generator().manual_seed(seed)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, generator=generator).bool()
    n = torch.Size(shape).numel() * dtype.itemsize
    bits = torch.randint(0, 256, (n,), dtype=torch.uint8, generator=generator)
    return bits.view(dtype).reshape(shape)


def same_bits(one: Tensor, two: Tensor) -> bool:
    one, two = one.contiguous(), two.contiguous()
    return (one.shape, one.dtype) == (two.shape, two.dtype) and torch.equal(
        one.reshape(-1).view(torch.uint8), two.reshape(-1).view(torch.uint8)
    )


shapes = st.lists(st.integers(0, 5), max_size=4).map(tuple)
files = st.dictionaries(
    st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__"),
    st.tuples(shapes, st.sampled_from(sorted(STORED, key=str)), st.integers(0, 2**20)),
    max_size=6,
)
words = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3)


@settings(deadline=None, max_examples=150)
@given(described=files, metadata=words)
def test_what_the_safetensors_library_writes_is_read_exactly(
    place: Path, described: dict, metadata: dict[str, str]
) -> None:
    weights = {name: random_tensor(*rest) for name, rest in described.items()}
    place.write_bytes(save(weights, metadata or None))  # an empty dict it writes as broken JSON
    with SafetensorsFile(place) as source:
        assert isinstance(source, TensorSource)
        assert dict(source.metadata) == metadata
        assert source.tensors.keys() == weights.keys()
        for name, weight in weights.items():
            info = TensorInfo(name, STORED[weight.dtype], tuple(weight.shape), weight.nbytes)
            assert source.tensors[name] == info
            assert same_bits(source.read(name), weight)


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A file with one matrix `w` of each dtype, large enough to be cut into pieces."""
    path = tmp_path / "one.safetensors"
    weights = {
        "bf16": torch.randn(300, 1000).bfloat16(),
        "f32": torch.randn(300, 1000),
        "cube": torch.randn(3, 500, 200).half(),
        "i64": torch.randint(-1000, 1000, (40,)),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(3.5),
        "none": torch.empty(0, 7),
    }
    save_file(weights, path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["bf16", "f32", "cube", "i64", "scalar", "none", "bool"])
def test_numbers_are_converted_as_torch_converts_them(
    one: Path, name: str, dtype: torch.dtype
) -> None:
    with SafetensorsFile(one) as source:
        assert same_bits(source.read(name, dtype), source.read(name).to(dtype))


def test_rows_of_a_fused_matrix_and_a_transposed_one_are_filled_in_place(one: Path) -> None:
    with SafetensorsFile(one) as source:
        want = source.read("bf16").float()
        for name in ("bf16", "f32"):
            want = source.read(name).float()
            fused = torch.full((1000, 1000), -7.0)
            source.read_into(name, fused[500:800])
            assert torch.equal(fused[500:800], want)
            assert (fused[:500] == -7).all() and (fused[800:] == -7).all()
            turned = torch.empty(1000, 300)
            source.read_into(name, turned.T)
            assert torch.equal(turned, want.T)
            every_second = torch.zeros(600, 1000)
            source.read_into(name, every_second[::2])
            assert torch.equal(every_second[::2], want) and not every_second[1::2].any()


def test_a_parameter_is_filled_without_a_gradient(one: Path) -> None:
    weight = nn.Parameter(torch.zeros(300, 1000))
    with SafetensorsFile(one) as source:
        source.read_into("f32", weight)
        source.read_into("bf16", weight[:])
        assert torch.equal(weight.detach(), source.read("bf16").float())


def test_a_byte_that_is_no_truth_value_reads_as_true(tmp_path: Path) -> None:
    path = tmp_path / "bool.safetensors"
    path.write_bytes(safetensors_bytes({"b": entry("BOOL", [3], [0, 3])}, bytes([0, 1, 2])))
    with SafetensorsFile(path) as source:
        assert source.read("b").view(torch.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("f32", torch.int64),
        ("f32", torch.bool),
        ("i64", torch.int32),
        ("i64", torch.bool),
        ("f32", torch.complex64),
    ],
)
def test_numbers_that_a_dtype_cannot_hold_are_refused(
    one: Path, name: str, dtype: torch.dtype
) -> None:
    with SafetensorsFile(one) as source, pytest.raises(CheckpointError, match="cannot hold"):
        source.read(name, dtype)


def test_another_shape_is_refused_with_both(one: Path) -> None:
    with SafetensorsFile(one) as source:
        with pytest.raises(CheckpointError, match=r"'f32'.*\(300, 1000\).*\(1000, 300\)"):
            source.read_into("f32", torch.empty(1000, 300))
        with pytest.raises(CheckpointError, match=r"'scalar'.*\(\).*\(1,\)"):
            source.read_into("scalar", torch.empty(1))


def test_an_absent_tensor_is_refused_with_the_nearest_name(one: Path) -> None:
    with (
        SafetensorsFile(one) as source,
        pytest.raises(CheckpointError, match=r"no tensor 'scalor'.*nearest is 'scalar'"),
    ):
        source.read("scalor")


def test_a_closed_file_says_so(one: Path) -> None:
    source = SafetensorsFile(one)
    source.close()
    source.close()
    with pytest.raises(CheckpointError, match="was closed"):
        source.read("f32")


def test_a_file_that_shrinks_while_open_is_an_error_and_no_crash(one: Path) -> None:
    with SafetensorsFile(one) as source:
        os.truncate(one, 2000)
        for name, dtype in (("f32", None), ("bf16", torch.float32)):
            with pytest.raises(CheckpointError, match="cut short while being read"):
                source.read(name, dtype)


def test_many_threads_may_read_one_file(one: Path) -> None:
    with SafetensorsFile(one) as source:
        names = ["bf16", "f32", "cube"] * 4
        found: dict[int, Tensor] = {}

        def read(i: int) -> None:
            found[i] = source.read(names[i], torch.float32)

        threads = [threading.Thread(target=read, args=(i,)) for i in range(len(names))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for i, name in enumerate(names):
            assert torch.equal(found[i], source.read(name, torch.float32))


def test_a_header_of_640_bytes_is_not_taken_for_a_pickle(tmp_path: Path) -> None:
    """Its length begins with the two bytes of a pickle: 640 is 0x0280."""
    header = json.dumps({"w": entry("F32", [1], [0, 4])}).ljust(640)
    path = tmp_path / "w.safetensors"
    path.write_bytes(safetensors_bytes(header, b"\0\0\x80\x3f"))
    assert path.read_bytes().startswith(b"\x80\x02")
    with SafetensorsFile(path) as source:
        assert source.read("w").tolist() == [1.0]


# --- folders ----------------------------------------------------------------------------------


def sharded(folder: Path, weight_map: dict[str, object] | None = None) -> dict[str, Tensor]:
    """Two shards with two tensors each, and an index (another one, if given)."""
    weights = {name: torch.randn(3, 4) for name in "abcd"}
    shard_of = {name: f"model-0000{1 + (name > 'b')}-of-00002.safetensors" for name in weights}
    for shard in set(shard_of.values()):
        save_file({n: w for n, w in weights.items() if shard_of[n] == shard}, folder / shard)
    index = {"metadata": {"total_size": 192}, "weight_map": weight_map or shard_of}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return weights


def test_a_sharded_folder_reads_as_one(tmp_path: Path) -> None:
    weights = sharded(tmp_path)
    with SafetensorsFolder(tmp_path) as source:
        assert isinstance(source, TensorSource)
        assert list(source.tensors) == list("abcd")
        assert source.metadata == {"total_size": 192}
        for name, weight in weights.items():
            assert torch.equal(source.read(name), weight)
        out = torch.zeros(6, 4, dtype=torch.float64)
        source.read_into("c", out[3:])
        assert torch.equal(out[3:], weights["c"].double())
        with pytest.raises(CheckpointError, match="no tensor 'e'"):
            source.read("e")


@pytest.mark.parametrize("name", ["model.safetensors", "adapter.safetensors"])
def test_a_folder_with_a_single_file_needs_no_index(tmp_path: Path, name: str) -> None:
    save_file({"w": torch.arange(3.0)}, tmp_path / name, {"format": "pt"})
    with SafetensorsFolder(tmp_path) as source:
        assert source.read("w").tolist() == [0, 1, 2]
        assert source.metadata == {"format": "pt"}


def test_a_folder_of_several_files_without_index_asks_for_one_of_them(tmp_path: Path) -> None:
    for name in ("one", "two"):
        save_file({"w": torch.zeros(1)}, tmp_path / f"{name}.safetensors")
    with pytest.raises(CheckpointError, match=r"one\.safetensors, two\.safetensors"):
        SafetensorsFolder(tmp_path)


def test_a_folder_without_weights_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no weights.*model\.safetensors"):
        SafetensorsFolder(tmp_path)
    with pytest.raises(CheckpointError, match="No such file"):
        SafetensorsFolder(tmp_path / "absent")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"'model-00002-of-00002\.safetensors'.*missing"):
        SafetensorsFolder(tmp_path)


def test_a_tensor_that_its_shard_lacks_and_one_that_is_not_listed_are_named(tmp_path: Path) -> None:
    shard = "model-0000{}-of-00002.safetensors".format
    sharded(tmp_path, {"a": shard(1), "c": shard(2), "d": shard(1)})
    with pytest.raises(CheckpointError) as caught:
        SafetensorsFolder(tmp_path)
    message = str(caught.value)
    assert f"1 tensors that are absent: 'd' from '{shard(1)}'" in message
    assert "leaves out 2 tensors of its files: 'b', 'd'" in message


def test_a_hub_cache_is_links_into_its_own_store(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blobs = tmp_path / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    weights = sharded(snapshot)
    for i, file in enumerate(sorted(snapshot.glob("*.safetensors"))):
        file.rename(blobs / str(i))
        file.symlink_to(f"../../blobs/{i}")
    with SafetensorsFolder(snapshot) as source:
        assert torch.equal(source.read("d"), weights["d"])
