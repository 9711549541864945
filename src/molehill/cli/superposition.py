"""`molehill superposition`: how many directions fit, and what a model does with them.

The verbs of this group live in `superposition_*.py`; here they are put under one name.
"""

from __future__ import annotations

from typing import Any

import typer

from molehill.cli import (
    superposition_bounds,
    superposition_capacity,
    superposition_pack,
    superposition_report,
    superposition_toy,
)

__all__ = ["register"]

_FAMILIES: tuple[Any, ...] = (
    superposition_bounds,
    superposition_capacity,
    superposition_pack,
    superposition_report,
    superposition_toy,
)


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Nearly orthogonal directions: bounds, packings, toy models, capacity, and a model's "
        "own geometry.\n\n"
        "Example: molehill superposition bounds 10000 100",
    )
    for family in _FAMILIES:
        family.register(group)
    app.add_typer(group, name="superposition")
