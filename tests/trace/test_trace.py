"""Trace: a record that is read by name and position, saved, and says where it comes from."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from tests.trace.small_families import build

from molehill.errors import CheckpointError, SiteError
from molehill.text import Tokens
from molehill.trace import Scale, Trace, record


@pytest.fixture
def llama():
    return build("llama", n_layers=3)


@pytest.fixture
def trace(llama, tokens):
    return record(llama, tokens, ["*.resid_post", "resid_pre", "1.attn.pattern", "final"])


def test_values_are_read_by_any_of_their_names(trace):
    assert trace["1.resid_post"] is trace.values["1.resid_post"]
    assert trace["blocks.1.hook_resid_post"] is trace["1.resid_post"]
    assert "1.resid_post" in trace and "1.mlp.out" not in trace
    with pytest.raises(SiteError, match=r"'1.mlp.out' was not recorded. .*L.resid_pre.*final"):
        trace["1.mlp.out"]
    with pytest.raises(SiteError, match="no site 'nonsense'"):
        trace["nonsense"]
    with pytest.raises(TypeError):
        trace.values["final"] = torch.zeros(1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        trace.values = {}


def test_a_kind_of_site_is_stacked_over_its_layers(trace, llama, tokens):
    stacked = trace.site("resid_post")
    assert stacked.shape == (3, 3, 7, 12)
    assert torch.equal(stacked[2], trace["2.resid_post"])
    some = record(llama, tokens, ["2.mlp.out", "0.mlp.out"])
    assert some.layers("mlp.out") == (0, 2)
    assert torch.equal(some.site("mlp.out")[1], some["2.mlp.out"])
    with pytest.raises(SiteError, match=r"No layer's 'mlp\.act'"):
        some.site("mlp.act")


def test_one_token_is_read_by_text_and_position(trace):
    assert torch.equal(trace.at(1, 2, "final"), trace["final"][1, 2])
    assert torch.equal(trace.at(1, -1, "final"), trace["final"][1, 2])
    assert torch.equal(trace.at(2, 1, "1.attn.pattern"), trace["1.attn.pattern"][2, :, 1])
    everything = trace.at(0, 6)
    assert list(everything) == list(trace.values)
    assert everything["logits"].shape == (30,)
    assert "logits" not in trace.at(0, 5)
    with pytest.raises(SiteError, match=r"Position 3 of text 1 .3 tokens"):
        trace.at(1, 3)
    with pytest.raises(SiteError, match="no text 3"):
        trace.at(3, 0)
    with pytest.raises(SiteError, match="kept are 6"):
        trace.at(0, 0, "logits")


def test_kept_positions_are_found_again(llama, tokens):
    trace = record(llama, tokens, ["final"], positions=[[4, 1], [0], []])
    whole = record(llama, tokens, ["final"])
    assert torch.equal(trace.at(0, 1, "final"), whole.at(0, 1, "final"))
    assert torch.equal(trace.at(0, -3, "final"), whole.at(0, 4, "final"))
    assert trace.kept("final") == ((4, 1), (0,), ())
    assert trace.kept("logits") == ((6,), (2,), (4,))
    with pytest.raises(SiteError, match=r"Position 2 of text 0 .*kept are 1, 4"):
        trace.at(0, 2, "final")


def test_memory_is_counted_once(trace):
    # embed and three outputs of blocks, final, one pattern, three rows of scores.
    expected = 8 * (4 * 3 * 7 * 12 + 3 * 7 * 12 + 3 * 4 * 7 * 7 + 3 * 30)
    assert trace.nbytes == expected


def test_a_trace_is_the_same_after_a_file(llama, tmp_path):
    tokens = Tokens.of_parts(
        [[3, 1, 4], [1, 5]],
        0,
        texts=["The mole", "dug"],
        pieces=[["The", "·mo", "le"], ["d", "ug"]],
        spans=[[(0, 3), (4, 6), (6, 8)], [(0, 1), (1, 3)]],
        special=[[False] * 3, [False] * 2],
        dropped=[0, 1],
    )
    edits = [Scale("0.mlp.out", 0.5)]
    trace = record(llama, tokens, ["*"], positions=[0, -1], edits=edits, dtype=torch.bfloat16)
    trace = trace.with_certificate({"passed": True})
    trace.save(tmp_path / "trace.safetensors")
    found = Trace.load(tmp_path / "trace.safetensors")
    assert list(found.values) == list(trace.values)
    for site, value in trace.values.items():
        assert torch.equal(found[site], value) and found[site].dtype == value.dtype
    assert torch.equal(found.tokens.ids, tokens.ids) and found.tokens.texts == tokens.texts
    assert found.tokens.find("dug")[0].positions == (0, 1)
    assert found.config == trace.config and found.positions == trace.positions
    assert found.provenance.to_dict() == trace.provenance.to_dict()
    assert found.provenance.edits == ("scale 0.mlp.out by 0.5",)
    assert found.provenance.certificate == {"passed": True}
    assert repr(found) == repr(trace)
    # Read back and used: the file is mapped, and a patch from it is a patch.
    assert [path.name for path in tmp_path.iterdir()] == ["trace.safetensors"]


def test_a_tensor_known_by_two_names_is_written_once(trace, tmp_path):
    trace.save(tmp_path / "trace.safetensors")
    assert (tmp_path / "trace.safetensors").stat().st_size < trace.nbytes + 8000
    found = Trace.load(tmp_path / "trace.safetensors")
    assert found.nbytes == trace.nbytes


def test_damaged_and_foreign_files_are_refused(trace, tmp_path):
    path = tmp_path / "trace.safetensors"
    with pytest.raises(CheckpointError, match="there is no such file"):
        Trace.load(path)
    trace.save(path)
    whole = path.read_bytes()
    for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"trace\.safetensors cannot be read"):
            Trace.load(path)
    import safetensors.torch

    safetensors.torch.save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="was not written by Molehill"):
        Trace.load(path)


def test_a_folder_that_cannot_be_written_leaves_the_old_file(trace, tmp_path, monkeypatch):
    path = tmp_path / "trace.safetensors"
    trace.save(path)
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"):
        trace.only(["final"]).save(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["trace.safetensors"]


def test_a_trace_names_the_weights_that_it_comes_from(llama, tokens):
    trace = record(llama, tokens, ["final"])
    again = record(llama, tokens, ["final"])
    assert trace.provenance.fingerprint == again.provenance.fingerprint
    assert len(trace.provenance.fingerprint) == 64
    other = record(build("llama", n_layers=2), tokens, ["final"])
    assert other.provenance.fingerprint != trace.provenance.fingerprint
    with torch.no_grad():
        llama.blocks[0].mlp.w_out.mul_(2)
    assert "changed in place" in again.provenance.fingerprint


def test_a_trace_can_be_read_at_a_glance(trace):
    assert repr(trace).splitlines() == [
        "Trace of 3 texts of 3 to 7 tokens, all positions, a transformer in float64, 15,504 bytes",
        "  0-2.resid_pre            [3, 7, 12] float64",
        "  0-2.resid_post           [3, 7, 12] float64",
        "  1.attn.pattern           [3, 4, 7, 7] float64",
        "  final                    [3, 7, 12] float64",
        "  logits                   [3, 1, 30] float64",
    ]


def test_a_trace_can_change_its_dtype_and_lose_its_graph(llama, tokens):
    trace = record(llama, tokens, ["final"], grad=True)
    half = trace.to(torch.float16)
    assert half["final"].dtype == torch.float16 and not half["final"].requires_grad
    only = trace.only(["final"])
    assert list(only.values) == ["final"] and not only["final"].requires_grad
