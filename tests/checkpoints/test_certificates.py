"""Certificates that are kept: found again by the same weights, bounded, and never in the way."""

from __future__ import annotations

import json
import os

import pytest
import torch
from tests.trace.small_families import build

from molehill.checkpoints import certificates, save_checkpoint
from molehill.checkpoints.certificates import (
    certificate_folder,
    certificate_of,
    keep_certificate,
    kept_certificate,
)
from molehill.checkpoints.fingerprint import fingerprint
from molehill.language_model import LanguageModel
from molehill.text import Tokenizer
from molehill.trace import Store, Trace, certify, record
from molehill.version import __version__
from molehill.views.provenance import checked, provenance

FAILING = {"name": "cached", "passed": False, "worst": None}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MOLEHILL_CERTIFICATES", str(tmp_path / "kept"))
    return tmp_path / "kept"


def values(number: int = 0, **changes):
    return {
        "fingerprint": f"{number:064x}",
        "dtype": "float32",
        "molehill": __version__,
        "passed": True,
        "date": "2026-11-25",
        "checks": [{"name": "parts = whole", "passed": True}],
        **changes,
    }


def lm(family="llama", tokenizer=None):
    return LanguageModel(build(family, torch.float32, d_vocab=270), tokenizer, "tiny one")


@pytest.fixture(scope="module")
def reader():
    return Tokenizer.train(["the mole dug a tunnel"], d_vocab=270)


def test_what_was_kept_is_found_by_weights_dtype_and_version(folder):
    path = keep_certificate(values())
    assert path is not None and path.parent == folder
    assert kept_certificate(f"{0:064x}", "float32") == values()
    assert kept_certificate(f"{1:064x}", "float32") is None
    assert kept_certificate(f"{0:064x}", "bfloat16") is None
    assert kept_certificate(f"{0:064x}", "float32", "0.0.0-other") is None
    keep_certificate(values(date="2026-11-26"))
    assert kept_certificate(f"{0:064x}", "float32")["date"] == "2026-11-26"
    assert [each.name for each in folder.iterdir()] == [path.name]


@pytest.mark.parametrize("off", ["", "off", " OFF "])
def test_it_can_be_switched_off(off, monkeypatch, tmp_path):
    monkeypatch.setenv("MOLEHILL_CERTIFICATES", off)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert certificate_folder() is None
    assert keep_certificate(values()) is None
    assert kept_certificate(f"{0:064x}", "float32") is None
    assert list(tmp_path.iterdir()) == []


def test_by_itself_it_is_in_the_users_data_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("MOLEHILL_CERTIFICATES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert certificate_folder() == tmp_path / "molehill" / "certificates"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_as_good_as_none(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv("MOLEHILL_CERTIFICATES", str(tmp_path / "kept"))
    assert keep_certificate(values()) is None
    assert kept_certificate(f"{0:064x}", "float32") is None


def test_a_file_in_the_folders_place_is_as_good_as_none(tmp_path, monkeypatch):
    (tmp_path / "kept").write_text("")
    monkeypatch.setenv("MOLEHILL_CERTIFICATES", str(tmp_path / "kept"))
    assert keep_certificate(values()) is None
    assert kept_certificate(f"{0:064x}", "float32") is None
    assert certificate_of(build("llama")) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[1]",
        b"{",
        b"\xff\xfe",
        b"[" * 50_000,
        b" " * 70_000,
        json.dumps(values(1)).encode(),
        json.dumps(values(passed="yes")).encode(),
        json.dumps(values(checks=[3])).encode(),
    ],
)
def test_a_damaged_file_is_no_certificate(folder, content):
    path = keep_certificate(values())
    path.write_bytes(content)
    assert kept_certificate(f"{0:064x}", "float32") is None


def test_a_fingerprint_in_words_names_no_file(folder):
    for odd in ("unknown: the weights were changed", "../../etc/passwd", "ab", ""):
        assert kept_certificate(odd, "float32") is None
        assert keep_certificate(values(fingerprint=odd)) is None
    assert not folder.exists()


def test_the_oldest_makes_room(folder, monkeypatch):
    monkeypatch.setattr(certificates, "MOST_KEPT", 3)
    for number in range(5):
        path = keep_certificate(values(number))
        os.utime(path, ns=(number, number))
    found = [kept_certificate(f"{number:064x}", "float32") is not None for number in range(5)]
    assert found == [False, False, True, True, True]


# --- by itself ------------------------------------------------------------------------------------


def test_a_checked_model_carries_its_certificate_into_all_that_is_saved(folder, tmp_path, reader):
    model = lm(tokenizer=reader)
    early = record(model, "the mole", ["final"])
    certificate = certify(model, peer=False).to_dict()
    assert certificate["passed"] and len(certificate["date"]) == 10
    assert kept_certificate(model.fingerprint, "float32") == json.loads(json.dumps(certificate))

    early.save(tmp_path / "trace")
    assert Trace.load(tmp_path / "trace").provenance.certificate["passed"]
    Store.create(tmp_path / "store", model, ["0.resid_post"], ["the mole dug"])
    manifest = json.loads((tmp_path / "store" / "manifest.json").read_bytes())
    assert manifest["certificate"]["fingerprint"] == model.fingerprint
    save_checkpoint(model.model, reader, tmp_path / "saved")
    raw = (tmp_path / "saved" / "model.safetensors").read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert json.loads(header["__metadata__"]["molehill"])["date"] == certificate["date"]
    told = provenance(model, "0")["checked"]
    assert told == {
        "passed": True,
        "date": certificate["date"],
        "failed": [],
        "told": f"checked {certificate['date']}",
    }


def test_other_weights_have_no_certificate(folder, tmp_path):
    one = lm()
    certify(one, peer=False)
    assert certificate_of(one.model) is not None
    with torch.no_grad():
        one.model.w_token[0, 0] += 1
    assert certificate_of(one.model) is None
    save_checkpoint(one.model, None, tmp_path / "saved")
    assert b'"molehill"' not in (tmp_path / "saved" / "model.safetensors").read_bytes()[:4000]
    told = checked("my models/a b", fingerprint(one.model), "bfloat16")
    assert told["passed"] is None
    assert told["told"] == "not checked: molehill check 'my models/a b' --dtype bfloat16"


def test_a_model_that_fails_says_which(folder):
    keep_certificate(values(passed=False, checks=[FAILING, {"name": "padded", "passed": True}]))
    told = checked("tiny", f"{0:064x}", "float32")
    assert told["told"] == "FAILED: cached (checked 2026-11-25)"
    assert (told["passed"], told["failed"]) == (False, ["cached"])


def test_a_failure_that_is_no_number_is_kept_too(folder):
    model = lm()
    with torch.no_grad():
        model.model.w_token[:] = torch.nan
    found = certify(model, peer=False)
    assert not found.passed
    assert kept_certificate(model.fingerprint, "float32")["passed"] is False
    assert any("the error is nan" in check["what"] for check in found.to_dict()["checks"])


def test_a_check_on_texts_of_ones_own_that_passes_replaces_nothing(folder, reader):
    model = lm(tokenizer=reader)
    fails = values(fingerprint=model.fingerprint, passed=False, checks=[FAILING], date="2026-11-01")
    keep_certificate(fails)
    certify(model, ["the mole"], peer=False)
    assert kept_certificate(model.fingerprint, "float32")["passed"] is False
    certify(model, peer=False)
    assert kept_certificate(model.fingerprint, "float32")["passed"] is True
