"""What a desk has, for whoever is to choose: models with their sizes, features, examples, runs.

Read from descriptions and headers alone: nothing is loaded for a list. This module knows no page.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from molehill.checkpoints.names import KNOWN_MODELS
from molehill.features.trained import features_path
from molehill.questions.desk import Desk

__all__ = ["model_offers", "place_offers", "shipped_features"]

_SHIPPED = ("lexicon-4", "village-1", "village-mlp-0", "village-mlp-1", "village-mlp-2")


def model_offers(desk: Desk) -> list[dict[str, Any]]:
    """The desk's models: name, title where it is a known one, and sizes of those in memory."""
    titles = {known.name: known.title for known in KNOWN_MODELS}
    found = []
    for name in desk.models:
        held = desk.held(name)
        sizes = None
        if held is not None:
            config = held.config
            sizes = {
                "layers": config.n_layers,
                "heads": config.n_heads,
                "d_model": config.d_model,
                "d_mlp": config.d_mlp,
                "d_vocab": config.d_vocab,
                "context": config.n_ctx,
            }
        found.append({"name": name, "title": titles.get(name, ""), "sizes": sizes})
    return found


def place_offers(desk: Desk) -> dict[str, Any]:
    """Features with the model and sites that they belong to, examples and runs by name."""
    return {
        "features": [desk.described(name) for name in desk.features],
        "examples": list(desk.examples),
        "runs": list(desk.runs),
    }


def shipped_features() -> dict[str, str | Path]:
    """The features that come with Molehill, for a desk."""
    return {name: name for name in _SHIPPED if features_path(name).exists()}
