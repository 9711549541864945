"""docs/cli.md says what the program says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from typer.main import get_command

from molehill.cli.main import app

ROOT = Path(__file__).resolve().parents[1]


def test_the_page_of_the_command_line_is_current(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")  # whatever the terminal is, the page is the same
    monkeypatch.setenv("NO_COLOR", "1")
    script = runpy.run_path(str(ROOT / "scripts" / "docs-cli"))
    assert script["page"]() == script["PAGE"].read_text(encoding="utf-8"), "run scripts/docs-cli"


def every_command(command, name: str):
    yield name, command
    for inner, verb in getattr(command, "commands", {}).items():
        yield from every_command(verb, f"{name} {inner}")


COMMANDS = dict(every_command(get_command(app), "molehill"))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_has_an_example_of_its_own(name):
    """Groups too: whoever asks for `molehill senses` wants to see one of its verbs at work."""
    assert f"Example: {name}" in (COMMANDS[name].help or "")
