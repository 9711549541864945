"""What starting costs, told by what is imported and not by a clock, which tells of the machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
HEAVY = {"torch", "transformers", "numpy", "fastapi", "plotly", "rich", "tokenizers"}


def heavy_after(code: str) -> tuple[list[str], str]:
    """The heavy libraries that a fresh interpreter has imported after `code`, and its output."""
    probe = f"{code}\nimport sys\nprint('HEAVY', *sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", probe],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
        check=True,
    )
    output, _, heavy = done.stdout.rpartition("HEAVY")
    return heavy.split(), output


def test_importing_the_package_imports_nothing_heavy():
    assert heavy_after("import molehill; molehill.MolehillError; dir(molehill)")[0] == []


def test_the_probe_would_notice():
    assert heavy_after("import molehill; molehill.ModelConfig")[0] != []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_the_command_line_answers_without_anything_heavy(arguments):
    heavy, output = heavy_after(f"from molehill.cli import main; main({arguments!r})")
    assert heavy == []
    assert "molehill" in output


def test_no_verb_needs_anything_heavy_for_its_help():
    code = """
from typer.main import get_command
from molehill.cli import main
from molehill.cli.main import app
for verb in get_command(app).commands:
    assert main([verb, "--help"]) == 0, verb
"""
    heavy, output = heavy_after(code)
    assert heavy == []
    assert "Usage: molehill models" in output
