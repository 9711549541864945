"""The lines of Python that a view gives away: what the same question is in the library.

This module knows how a model is loaded, and no question.
"""

from __future__ import annotations

from molehill.questions.asking import OfModel

__all__ = ["call", "loading", "written"]

_WIDEST = 96


def loading(inputs: OfModel, *more: str) -> list[str]:
    """How the model of a question is loaded; `more` are further imports."""
    lines = ["import molehill", *more, "", f"lm = molehill.load({inputs.model!r})"]
    if inputs.edits:
        told = ", ".join(digest[:12] for digest in inputs.edits)
        lines.append("# saved from the page's list of edits: " + told)
        lines.append('lm = molehill.apply_edits(lm, molehill.load_fact_edits("edits.safetensors"))')
    return lines


def call(name: str, *given: str, **named: object) -> str:
    """A call of a function; what is None is left out; one line, or one line for each argument."""
    parts = [*given, *(f"{key}={value!r}" for key, value in named.items() if value is not None)]
    line = f"{name}({', '.join(parts)})"
    if len(line) <= _WIDEST:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), ")"])


def written(lines: list[str]) -> str:
    """Lines as one text."""
    return "\n".join(lines) + "\n"
