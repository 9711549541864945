"""Files of edits: everything comes back, and what is damaged or hostile is refused in one line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tests.facts.test_edits import DOWN, edit, hashes, language, low_rank, noise

from molehill.checkpoints.tensorfile import read_description, write_tensors
from molehill.errors import CheckpointError, FactError
from molehill.facts.edit_files import load_fact_edits, save_fact_edits
from molehill.facts.edits import Dense, FactEdit, Neurons, apply_edits
from molehill.facts.fact import Fact

KIND = "molehill.edits/1"


def stack(lm) -> list[FactEdit]:
    first = edit(lm, low_rank(), low_rank("blocks.0.mlp.w_out", seed=4))
    facts = (
        Fact("Ælfric", "ploughs", "{} has\ttwo", "owns", ("What {} has:", "{} “owns”"), "<s>"),
        Fact("b", "c", "{}"),
    )
    second = FactEdit(
        "memit",
        facts,
        (
            Dense(DOWN, noise(12, 20).float()),
            Neurons(1, noise(2, 12).float(), noise(2).bfloat16(), noise(12, 2)),
        ),
        lm.name,
        lm.fingerprint,
        (first.digest,),
        {"layers": [0, 1], "learning": {"steps": 25, "rate": 0.5}, "keys": None, "on": True},
        {"probability": [0.25, 1e-9]},
        "0.0.1",
    )
    return [first, second]


def test_everything_comes_back(tmp_path):
    lm = language("gpt2")
    edits = stack(lm)
    save_fact_edits(tmp_path / "edits.safetensors", edits)
    back = load_fact_edits(tmp_path / "edits.safetensors")
    assert len(back) == 2
    for one, was in zip(back, edits, strict=True):
        assert one.digest == was.digest and one.facts == was.facts
        for name in ("method", "model", "fingerprint", "after", "settings", "metrics", "molehill"):
            assert getattr(one, name) == getattr(was, name), name
        assert [type(change) for change in one.changes] == [type(c) for c in was.changes]
    assert hashes(apply_edits(lm, back)) == hashes(apply_edits(lm, edits))
    save_fact_edits(tmp_path / "again.safetensors", back)
    files = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("edits", "again")]
    assert files[0] == files[1]


def test_no_edits_are_a_file_too(tmp_path):
    save_fact_edits(tmp_path / "none.safetensors", [])
    assert load_fact_edits(tmp_path / "none.safetensors") == ()


def test_what_json_lacks_becomes_plain_or_is_refused(tmp_path):
    lm, path = language("gpt2"), tmp_path / "edits.safetensors"
    made = replace(edit(lm, low_rank()), settings={"layers": (1, 2)}, metrics={"far": float("nan")})
    save_fact_edits(path, [made])
    (back,) = load_fact_edits(path)
    assert back.settings == {"layers": [1, 2]} and back.metrics == {"far": None}
    content = path.read_bytes()
    with pytest.raises(FactError, match="Tensor"):
        save_fact_edits(path, [replace(made, metrics={"x": torch.zeros(2)})])
    assert path.read_bytes() == content


def written(path, change) -> None:
    """A file of edits whose description or tensors were tampered with."""
    save_fact_edits(path, stack(language("gpt2")))
    described = read_description(path, KIND)
    tensors = load_file(path)
    change(described, tensors)
    write_tensors(path, tensors, described)


def first_of(described) -> dict:
    return described["edits"][0]


def drop(name):
    return lambda described, tensors: first_of(described).pop(name)


def put(name, value):
    return lambda described, tensors: first_of(described).update({name: value})


def in_change(**values):
    return lambda described, tensors: first_of(described)["changes"][0].update(values)


def tensor(name, value):
    return lambda described, tensors: tensors.update({name: value})


def deep(described, tensors) -> None:
    nested: list = []
    for _ in range(900):
        nested = [nested]
    described["edits"] = nested


DAMAGES = {
    "edits is no list": lambda d, t: d.update(edits="none"),
    "no edits": lambda d, t: d.pop("edits"),
    "an edit is a number": lambda d, t: d.update(edits=[3]),
    "deep": deep,
    **{
        f"without {name}": drop(name)
        for name in ("digest", "method", "facts", "changes", "model", "fingerprint", "after")
    },
    "digest of another": put("digest", "0" * 64),
    "digest is a list": put("digest", []),
    "method is a number": put("method", 7),
    "fingerprint is nothing": put("fingerprint", None),
    "after is a text": put("after", "abc"),
    "settings are a list": put("settings", [1]),
    "metrics are a text": put("metrics", "good"),
    "a fact is a text": put("facts", ["moles dig"]),
    "a fact without an object": put("facts", [{"subject": "a", "template": "{}"}]),
    "a fact with more": put(
        "facts",
        [{"subject": "a", "object": "b", "template": "{}", "paraphrases": [], "evil": "x"}],
    ),
    "a template without a place": put(
        "facts", [{"subject": "a", "object": "b", "template": "who", "paraphrases": []}]
    ),
    "another kind of change": in_change(kind="Pickle"),
    "a kind that is a list": in_change(kind=[]),
    "a parameter that is a number": in_change(parameter=3),
    "a change that says more": in_change(evil=1),
    "a change for another weight": in_change(parameter="blocks.0.mlp.w_in"),
    "a missing tensor": lambda d, t: t.pop("0.0.left"),
    "a tensor too many": tensor("9.0.left", torch.zeros(1)),
    "whole numbers": tensor("0.0.left", torch.zeros(12, 2, dtype=torch.int64)),
    "another shape": tensor("0.0.left", torch.zeros(12)),
    "factors that do not fit": tensor("0.0.left", torch.zeros(12, 3)),
    "not finite": tensor("0.0.left", torch.full((12, 2), torch.nan)),
    "other numbers": tensor("0.0.left", torch.zeros(12, 2)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_tampered_files_are_refused(damage, tmp_path):
    path = tmp_path / "edits.safetensors"
    written(path, DAMAGES[damage])
    with pytest.raises(CheckpointError) as caught:
        load_fact_edits(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_tampering_that_changes_nothing_is_read(tmp_path):
    """The tool of the tests above alters no more than it is told to."""
    path = tmp_path / "edits.safetensors"
    written(path, lambda described, tensors: None)
    assert len(load_fact_edits(path)) == 2


def test_broken_bytes_are_refused(tmp_path):
    path = tmp_path / "edits.safetensors"
    save_fact_edits(path, stack(language("gpt2")))
    whole = path.read_bytes()
    for content in (b"", whole[:100], whole[:-7], b"\x80\x04pickle", json.dumps({}).encode()):
        path.write_bytes(content)
        with pytest.raises(CheckpointError):
            load_fact_edits(path)
    # One bit of a number: the length is right, the digest is not.
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(CheckpointError, match="expected"):
        load_fact_edits(path)
    with pytest.raises(CheckpointError, match="no such file"):
        load_fact_edits(tmp_path / "absent.safetensors")


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    write_tensors(path, {}, {"kind": "molehill.keys/1"})
    with pytest.raises(CheckpointError, match=r"molehill\.keys/1.*molehill\.edits/1"):
        load_fact_edits(path)


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    lm, path = language("gpt2"), tmp_path / "absent" / "edits.safetensors"
    with pytest.raises(CheckpointError, match="could not be written"):
        save_fact_edits(path, stack(lm))
    assert not path.parent.exists()
