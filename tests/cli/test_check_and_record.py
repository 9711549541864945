"""`molehill check` and `molehill record`, run as a person would, on a model of a few kilobytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tests.trace.small_families import build

from molehill.checkpoints.save import save_checkpoint
from molehill.cli import main
from molehill.text import Tokenizer
from molehill.trace import Store

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
SENTENCES = ["the mole dug a tunnel", "the spy was a mole", "", "a mole on the pier " * 9] * 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer.train(SENTENCES, d_vocab=270)
    save_checkpoint(build("llama", torch.float32, d_vocab=270), tokenizer, path)
    return path


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(SENTENCES), encoding="utf-8")
    return path


def run(capsys, *arguments) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_a_healthy_model_passes(folder, capsys):
    code, out, _ = run(capsys, "check", folder, "--no-peer")
    assert code == 0
    assert out.splitlines()[0].endswith("in float32 on cpu: passed")
    assert "parts = whole" in out and "cached" in out


def test_the_certificate_as_json(folder, capsys):
    code, out, _ = run(
        capsys, "check", folder, "the mole", "--no-peer", "--json", "--dtype", "float64"
    )
    certificate = json.loads(out)
    assert code == 0 and certificate["passed"] and certificate["dtype"] == "float64"
    assert [check["name"] for check in certificate["checks"]][:2] == [
        "parts = whole",
        "heads = attention",
    ]


def test_a_model_that_fails_exits_with_1(tmp_path, capsys):
    model = build("llama", torch.float32, d_vocab=270)
    with torch.no_grad():
        model.w_token[5] = torch.inf
    save_checkpoint(model, Tokenizer.train(["x"], d_vocab=270), tmp_path / "broken")
    code, out, _ = run(capsys, "check", tmp_path / "broken", "--no-peer")
    assert code == 1 and "FAILED" in out


def test_a_corpus_is_recorded_and_said(folder, texts, tmp_path, capsys):
    arguments = ["record", folder, "--texts", texts, "--out", tmp_path / "store"]
    arguments += ["--sites", "resid_post,1.mlp.act", "--sites", "embed", "--keep", "bfloat16"]
    code, out, _ = run(capsys, *arguments)
    store = Store.open(tmp_path / "store")
    assert code == 0 and f"Store of {len(store):,} tokens" in out
    assert store.sites == ("embed", "0.resid_post", "1.mlp.act", "1.resid_post")
    assert store.complete and store.settings["dtype"] == "bfloat16"
    code, out, _ = run(capsys, *arguments, "--json")
    assert code == 0 and json.loads(out)["tokens"] == len(store)


def test_lines_of_json_are_texts_too(folder, tmp_path, capsys):
    path = tmp_path / "texts.jsonl"
    path.write_text('{"text": "the mole"}\n{"text": "a spy", "more": 1}\n')
    arguments = ["record", folder, "--texts", path, "--sites", "embed", "--out", tmp_path / "s"]
    assert run(capsys, *arguments)[0] == 0
    assert set(Store.open(tmp_path / "s").read(0).text.tolist()) == {0, 1}
    for line, said in (('{"txt": 1}', "no field 'text'"), ("{", "is not JSON"), ("3", "no field")):
        path.write_text(line)
        code, _, err = run(capsys, *arguments[:-1], tmp_path / "other")
        assert code == 2 and said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--sites", "1.resid_pots"], "1.resid_post"),
        (["--sites", "attn.pattern"], "per pair of tokens"),
        (["--sites", "embed", "--context", "500"], "reads at most 32"),
    ],
)
def test_what_cannot_be_recorded_is_one_line_and_exit_2(
    folder, texts, tmp_path, capsys, change, said
):
    code, out, err = run(
        capsys, "record", folder, "--texts", texts, "--out", tmp_path / "s", *change
    )
    assert (code, out) == (2, "") and said in err and len(err.splitlines()) == 1


def test_texts_that_are_not_utf8_are_refused(folder, tmp_path, capsys):
    path = tmp_path / "texts.txt"
    path.write_bytes(b"\xff\xfe\x00")
    code, _, err = run(
        capsys, "record", folder, "--texts", path, "--sites", "embed", "--out", tmp_path / "s"
    )
    assert code == 2 and "not UTF-8" in err


def test_interrupted_it_says_how_to_go_on_and_does(folder, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(SENTENCES * 200), encoding="utf-8")
    arguments = ["record", folder, "--texts", path, "--sites", "resid_post"]
    arguments += ["--batch-size", 1, "--shard-tokens", 64, "--max-tokens", 2000]
    command = [sys.executable, "-c", "import sys; from molehill.cli import main; sys.exit(main())"]
    command += [str(argument) for argument in [*arguments, "--out", tmp_path / "s"]]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As many threads as here: another number of them may round otherwise.
        env={**os.environ, "PYTHONPATH": SOURCE},
    )
    deadline = time.monotonic() + 120
    while not (tmp_path / "s" / "000001.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 130, err
    assert out == "" and "shards with" in err and "give the same command again" in err
    assert "Traceback" not in err and "molehill: interrupted" not in err
    begun = Store.open(tmp_path / "s")
    assert 0 < len(begun) < 2000 and not begun.complete
    assert main([str(a) for a in [*arguments, "--out", tmp_path / "s"]]) == 0
    assert main([str(a) for a in [*arguments, "--out", tmp_path / "whole"]]) == 0
    names = [shard.file for shard in Store.open(tmp_path / "whole").shards]
    for name in names:
        assert (tmp_path / "s" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_after_a_check_what_is_saved_and_shown_says_so(
    folder, texts, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MOLEHILL_CERTIFICATES", str(tmp_path / "kept"))
    stored = ["record", folder, "--texts", texts, "--sites", "0.resid_post", "--out"]
    shown = ["ledger", "the mole", "-m", folder]
    assert run(capsys, *stored, tmp_path / "early")[0] == 0
    assert json.loads((tmp_path / "early" / "manifest.json").read_bytes())["certificate"] is None
    _, out, _ = run(capsys, *shown)
    assert f"not checked: molehill check {folder}." in " ".join(out.split())
    assert run(capsys, "check", folder, "--no-peer")[0] == 0
    assert run(capsys, *stored, tmp_path / "late")[0] == 0
    kept = json.loads((tmp_path / "late" / "manifest.json").read_bytes())["certificate"]
    assert kept["passed"] and kept["model"] == str(folder)
    _, out, _ = run(capsys, *shown, "--html", tmp_path / "page.html")
    assert f"checked {kept['date']}" in " ".join(out.split())
    assert f"checked {kept['date']}" in (tmp_path / "page.html").read_text("utf-8")
    _, out, _ = run(capsys, *shown, "--json")
    assert json.loads(out)["provenance"]["checked"]["passed"] is True
    _, out, _ = run(capsys, "generate", "the mole", "-m", folder, "-n", "2", "--json")
    assert json.loads(out)["checked"]["date"] == kept["date"]
    # In another number format nothing was looked at.
    _, out, _ = run(capsys, *shown, "--json", "--dtype", "bfloat16")
    assert json.loads(out)["provenance"]["checked"]["passed"] is None
