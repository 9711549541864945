"""`molehill facts`: find, read, write and rewrite what the MLPs store.

The verbs of this group live in `facts_*.py`; here they are put under one name.
"""

from __future__ import annotations

import typer

from molehill.cli import (
    facts_edit,
    facts_evaluate,
    facts_holds,
    facts_neuron,
    facts_read,
    facts_trace,
    facts_write,
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Facts in the MLPs: find, read, trace, write, rewrite, evaluate.\n\n"
        'Example: molehill facts read "An oak is a kind of" --subject oak',
    )
    families = (
        facts_read,
        facts_neuron,
        facts_holds,
        facts_trace,
        facts_edit,
        facts_evaluate,
        facts_write,
    )
    for family in families:
        family.register(group)
    app.add_typer(group, name="facts")
