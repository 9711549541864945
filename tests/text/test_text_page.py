"""The examples of docs/rooms/text.md run, and print what the page says."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "rooms" / "text.md"


def test_the_examples_run_and_give_what_they_show(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
        shown = re.findall(r"^# (.*)$", block, flags=re.MULTILINE)
        assert capsys.readouterr().out.splitlines() == shown
    for expression, value in re.findall(r"^(tokens\.\w+\[0\])\s+# (.*)$", "".join(blocks), re.M):
        assert eval(expression, names) == eval(value)
