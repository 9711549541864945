"""The examples of the room's pages run, and print what the pages say."""

from __future__ import annotations

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "rooms" / "text.md"
CORPUS = PAGE.with_name("corpus.md")


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


def test_the_examples_of_the_page_on_corpora_run_and_give_what_they_show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", CORPUS.read_text("utf-8"), flags=re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        exec(compile(block, str(CORPUS), "exec"), names)
    assert eval("corpus.kinds", names) == ("moles",)
    assert eval("rows.shape", names) == eval("next(held.rows(8)).shape", names) == (8, 33)
    passage = eval("stream.texts(1000)[0][0]", names)
    shown = re.search(r"passage\.source, .* # (.*)$", CORPUS.read_text("utf-8"), re.MULTILINE)
    assert (passage.source, passage.number, passage.opening) == eval(f"({shown[1]})")
