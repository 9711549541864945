"""JSON that a person can read too: one line per entry, numbers side by side.

`json.dumps(indent=2)` gives every number a line of its own: a shift of six sentences would have
50,000. This module knows no view.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["readable_json"]

_WIDTH = 110


def readable_json(data: Any, *, ascii_only: bool = False) -> str:
    """One JSON document. What fits on a line of 110 characters, or holds no lists or objects of
    its own, stands on one.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
    """
    return "".join(_written(data, 0, ascii_only)) + "\n"


def _written(data: Any, depth: int, ascii_only: bool) -> Iterator[str]:
    line = json.dumps(data, ensure_ascii=ascii_only, allow_nan=False)
    if not isinstance(data, dict | list) or len(line) <= _WIDTH - depth or _flat(data):
        yield line
        return
    inner, edge = "\n" + " " * (depth + 1), "\n" + " " * depth
    opening, closing = "{}" if isinstance(data, dict) else "[]"
    yield opening
    entries = data.items() if isinstance(data, dict) else ((None, value) for value in data)
    for number, (name, value) in enumerate(entries):
        yield f"{',' if number else ''}{inner}"
        if name is not None:
            yield f"{json.dumps(str(name), ensure_ascii=ascii_only)}: "
        yield from _written(value, depth + 1, ascii_only)
    yield f"{edge}{closing}"


def _flat(data: dict | list) -> bool:
    values = data.values() if isinstance(data, dict) else data
    return not any(isinstance(value, dict | list) for value in values)
