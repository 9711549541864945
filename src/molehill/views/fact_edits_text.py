"""Files of edits as text for a terminal or a pipe, from the data of `views/fact_edits.py`.

This module knows no model.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from molehill.views.terminal import as_text, facts, heading, plain
from molehill.views.words import enumerated, percent

__all__ = ["fact_edits_renderable", "fact_edits_text"]

_MOST = 12
_STATES = {
    "here": "",
    "gone": "taken off",
    "stays": "stays",
    "later": "stays; made with it",
    "first": "only in A",
    "second": "only in B",
    "both": "in both",
}
_ELSEWHERE = ("sizes",)
"""What stands with the changes."""


def fact_edits_text(data: dict[str, Any], *, width: int = 80, ascii_only: bool = False) -> str:
    """The whole view as plain text."""
    return as_text(fact_edits_renderable(data), width, ascii_only=ascii_only)


def fact_edits_renderable(data: dict[str, Any]) -> RenderableType:
    """The whole view for rich's console."""
    return Group(*_view(data))


def _view(data: dict[str, Any]) -> Iterator[RenderableType]:
    for line in data["summary"]:
        yield plain(line)
    if data["kind"] == "diff":
        yield facts(zip("AB", data["files"], strict=True))
    if data["edits"]:
        yield Text()
    brief = data["kind"] != "list"
    for number, one in enumerate(data["edits"], 1):
        yield _title(number, one)
        yield facts(_brief(one) if brief else _entry(one))
    if data["kind"] == "diff" and (data["weights"] or data["neurons"]):
        yield heading("How far the weights are apart (Frobenius norms)")
        yield _weights(data)


def _title(number: int, one: dict[str, Any]) -> Text:
    title = Text(f"{number}  {one['name']}", style="bold")
    state = _STATES[one["state"]]
    title.append(f"  {one['method']}, for {one['model']} ({one['fingerprint'][:12]})")
    return title.append(f"  {state}", style="bold") if state else title


def _brief(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    told = [f"{fact['prompt']} → {fact['object']}" for fact in one["facts"][:2]]
    more = f" and {len(one['facts']) - 2} more" if len(one["facts"]) > 2 else ""
    yield "fact", f"{'; '.join(told)}{more}"


def _entry(one: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for fact in one["facts"][:_MOST]:
        yield "fact", f"{fact['prompt']} → {fact['object']}"
    if len(one["facts"]) > _MOST:
        yield "", f"and {len(one['facts']) - _MOST} more"
    yield "changes", enumerated([_change(change) for change in one["changes"]])
    told = {name: value for name, value in one["metrics"].items() if name not in _ELSEWHERE}
    if told:
        yield "measured", "; ".join(_told(name, value) for name, value in told.items())
    yield "after", enumerated(one["after"]) or "no other edit"


def _change(change: dict[str, Any]) -> str:
    if change["kind"] == "neurons":
        many = "" if change["count"] == 1 else "s"
        return f"{change['count']} new neuron{many} in layer {change['layer']}"
    share = change["relative"]
    size = f"norm {_short(change['norm'])}" if share is None else f"{percent(share)} of its size"
    return f"{change['parameter']} (rank {change['rank']}, {size})"


def _told(name: str, value: Any) -> str:
    named = name.replace("_", " ")
    if isinstance(value, dict):
        return f"{named} ({', '.join(f'{key} {_short(one)}' for key, one in value.items())})"
    return f"{named}: {value}" if isinstance(value, str) else f"{named} {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        return f"of {len(value)} (--json has {'it' if len(value) == 1 else 'them'})"
    if isinstance(value, list):
        return ", ".join(_short(one) for one in value[:4]) + (", …" if len(value) > 4 else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _weights(data: dict[str, Any]) -> RenderableType:
    """Each weight's difference, beside what each file changes there."""
    table = Table.grid(padding=(0, 3))
    table.add_column(overflow="fold")
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    heads = ("weight", "difference", "what A changes", "what B changes")
    table.add_row(*(Text(name, style="dim") for name in heads))
    for one in data["weights"]:
        told = (_short(one[name]) for name in ("norm", "first", "second"))
        table.add_row(one["weight"], *told)
    for one in data["neurons"]:
        counts = (one["first"], one["second"])
        name = f"new neurons of layer {one['layer']}"
        table.add_row(name, f"{counts[0] - counts[1]:+d}".replace("-", "−"), *map(str, counts))
    return Padding(table, (0, 0, 0, 2))
