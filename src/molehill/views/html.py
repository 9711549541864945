"""One self-contained page: a view's module and style sheet, its data, and its text for those
without scripts.

The page opens from a disk without a network and can ask nothing of one: its content policy names
the hash of the one script and of the one style sheet and allows nothing else. Data travel as JSON
in which no character can end the element they stand in. This module knows no view.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html import escape
from importlib.resources import files
from typing import Any

__all__ = ["SHARED", "embedded_json", "host_class", "module", "page", "sheet"]

_HOST = """
const held = { data: JSON.parse(document.getElementById("data").textContent) };
render({
  model: { get: (name) => held[name], set: () => {}, on: () => {}, off: () => {} },
  el: document.getElementById("view"),
});
"""
"""The host of the module: what a notebook does for a widget, in six lines."""

SHARED = "kit"
"""What all views' modules and style sheets stand on."""

_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z-]+)\.js";\n', flags=re.MULTILINE)
_EXPORT = re.compile(r"^export (?=const |async function |function |class )", flags=re.MULTILINE)


def page(view: str, data: Any, *, title: str, text: str) -> str:
    """The page of one view as a string of HTML.

    Args:
        view: names `static/<view>.js`, an ES module with a function `render({model, el})`, and
            `static/<view>.css`, which goes on from `kit.css`.
        data: what `model.get("data")` gives; plain values.
        title: for the tab.
        text: the view as text, shown where scripts do not run.
    """
    script = module(view) + _HOST
    style = f"{sheet(SHARED)}\n{sheet(view)}"
    assert "</script" not in script.lower(), "a view's module would end its own element"
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "img-src data: blob:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    return "\n".join(
        (
            "<!doctype html>",
            '<html lang="en" class="mh-page">',
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            f"<title>{_clean(title)}</title>",
            f"<style>{style}</style>",
            f'<main id="view" class="{host_class(view)}"></main>',
            f"<noscript><pre>{_clean(text)}</pre></noscript>",
            f'<script type="application/json" id="data">{embedded_json(data)}</script>',
            f'<script type="module">{script}</script>',
            "</html>\n",
        )
    )


def module(view: str) -> str:
    """A view's ES module with the modules of this package that it imports written into it, each
    once and before what needs it: one text for any host that cannot fetch files."""
    names = _needed(view, [])
    assert SHARED in names, f"{view}.js imports kit.js"
    return "\n".join(_source(name, is_view=name == view) for name in names)


def _needed(name: str, found: list[str]) -> list[str]:
    """What a module stands on, then itself, in the order in which they must run."""
    for needed in _IMPORT.findall(_script(name)):
        if needed not in found:
            _needed(needed, found)
    found.append(name)
    return found


def _script(name: str) -> str:
    return (files("molehill.views") / "static" / f"{name}.js").read_text(encoding="utf-8")


def _source(name: str, *, is_view: bool) -> str:
    """A module's text without its imports; only the view itself goes on exporting."""
    text = _IMPORT.sub("", _script(name))
    return text if is_view else _EXPORT.sub("", text)


def sheet(view: str) -> str:
    """A view's style sheet, or the one that all share. A view's own rules hold only inside its
    host (see `host_class`), so that several views can stand on one page."""
    rules = (files("molehill.views") / "static" / f"{view}.css").read_text(encoding="utf-8")
    return rules if view == SHARED else f".v-{view} {{\n{rules}}}\n"


def host_class(view: str) -> str:
    """The classes of the element that a view is drawn into."""
    return f"mh-host v-{view}"


def embedded_json(data: Any) -> str:
    """JSON in which nothing can end a script element, start a comment or break a line.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # A lone half of a character has no place in UTF-8; JSON can name it.
    return "".join(
        f"\\u{ord(character):04x}" if "\ud800" <= character <= "\udfff" else character
        for character in text
    )


def _clean(text: str) -> str:
    """Text as content of an element, with what UTF-8 and HTML do not have taken out."""
    kept = text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "�")
    return escape(kept)


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
