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


@pytest.mark.parametrize("verb", sorted(get_command(app).commands))
def test_the_help_of_a_verb_has_an_example(verb):
    command = get_command(app).commands[verb]
    texts = [command.help, *(inner.help for inner in getattr(command, "commands", {}).values())]
    assert any(f"molehill {verb}" in (text or "") for text in texts)
