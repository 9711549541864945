"""`molehill features`: sparse autoencoders trained, scored, looked at and used.

The verbs of this group live in `features_*.py`; here they are put under one name.
"""

from __future__ import annotations

from typing import Any

import typer

from molehill.cli import (
    features_convert,
    features_evaluate,
    features_examples,
    features_search,
    features_show,
    features_train,
    features_use,
)

__all__ = ["register"]

_FAMILIES: tuple[Any, ...] = (
    features_train,
    features_evaluate,
    features_convert,
    features_use,
    features_examples,
    features_show,
    features_search,
)


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    group = typer.Typer(
        no_args_is_help=True,
        rich_markup_mode=None,
        help="Sparse autoencoders: train, evaluate, look at and use the features of a model.\n\n"
        "Example: molehill features train docs/examples/features.toml",
    )
    for family in _FAMILIES:
        family.register(group)
    app.add_typer(group, name="features")
