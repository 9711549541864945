"""`molehill superposition pack`, as a person types it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

import molehill.superposition.known_packings as known_packings
from molehill.checkpoints.tensorfile import read_description
from molehill.cli.main import main


def run(*arguments: str) -> int:
    return main(["superposition", "pack", *arguments])


def test_a_packing_is_told_kept_and_gone_on_from(capsys, tmp_path):
    out, page, figure = (tmp_path / name for name in ("a.safetensors", "a.html", "a.png"))
    told = ["--out", str(out), "--html", str(page), "--figure", str(figure)]
    assert run("40", "6", "--steps", "80", "--starts", "2", *told) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("packing · 40 lines in 6 dimensions")
    assert printed.err.count("Written: ") == 3
    vectors = load_file(out)["vectors"]
    assert vectors.shape == (40, 6)
    largest = float((vectors @ vectors.T).abs().fill_diagonal_(0).max())
    kept = read_description(out, "molehill.packing/1")
    assert kept["largest"] == pytest.approx(largest, abs=1e-9)
    assert kept["settings"]["steps"] == 80
    assert "molehill.packing/1" in page.read_text(encoding="utf-8")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert run("40", "6", "--steps", "60", "--start", str(out), "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["provenance"]["settings"]["continued"]
    assert data["largest"] <= largest + 1e-9


def test_signed_vectors_and_shifts(capsys):
    assert run("8", "7", "--vectors", "--steps", "300", "--starts", "2", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["largest"] == pytest.approx(-1 / 7, abs=1e-3)
    assert run("28", "7", "--shifts", "7", "--steps", "300", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["largest"] == pytest.approx(1 / 3, abs=1e-3)


def test_known_optima_are_a_table(capsys, monkeypatch):
    few = known_packings.KNOWN_PACKINGS[:2]
    monkeypatch.setattr(known_packings, "KNOWN_PACKINGS", few)
    assert run("--known", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["kind"] == "known"
    assert [row["met"] for row in data["rows"]] == [True, True]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "Give COUNT and DIMENSIONS"),
        (["28"], "Give COUNT and DIMENSIONS"),
        (["--known", "28", "7"], "--known has its own sizes"),
        (["--known", "--steps", "5"], "give nothing beside it but --seed"),
        (["--known", "--vectors"], "give nothing beside it but --seed"),
        (["1000000000", "10"], "more than a search can hold"),
        (["28", "7", "--figure", "a.gif"], "name a .png or a .svg file"),
        (["28", "7", "--shifts", "5"], "must divide the 28 vectors"),
        (["28", "1"], "2 dimensions or more"),
        (["28", "7", "--start", "none.safetensors"], "no such file"),
        (["28", "7", "--device", "nonsense"], "--device nonsense"),
    ],
)
def test_what_cannot_be_is_one_line(capsys, given, message):
    assert run(*given) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_ctrl_c_keeps_the_best_so_far_where_there_is_a_file(tmp_path):
    out = tmp_path / "best.safetensors"
    command = [sys.executable, "-m", "molehill", "superposition", "pack", "300", "20"]
    command += ["--steps", "1000000", "--out", str(out), "--json"]
    work = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent,
    )
    time.sleep(6)
    work.send_signal(signal.SIGINT)
    told, _ = work.communicate(timeout=60)
    assert work.returncode == 0
    data = json.loads(told)
    assert data["stopped"] and data["steps_done"] < 1000000
    assert load_file(out)["vectors"].shape == (300, 20)
