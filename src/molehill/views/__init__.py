"""Results become data, text, pages and figures; each view says the same thing in all of them.

One file per result (`shift`, `ledger`, `lens`, `why`, `account`) makes the data that JSON and pages
hold, and the text for a terminal. `words` says things plainly, `strips` draws with characters,
`html` makes one self-contained page, `figure` draws PNG and SVG, `static/` holds one ES module and
one style sheet per page. Import what you need from its file: this one imports nothing, so that a
verb pays only for its own view.
"""

from __future__ import annotations

__all__: list[str] = []
