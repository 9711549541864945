"""Directions in questions: where those that name a feature get its vector, here and in Python.

This module knows no question.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from molehill.language_model import LanguageModel
from molehill.questions.desk import Desk
from molehill.views.feature_rows import feature_vector

__all__ = ["FEATURE_ARGUMENT", "feature_source", "features_imports"]

FEATURE_ARGUMENT = "feature=lambda name, one: feature_vector(lm, load_features(name), one)"
"""How lines of Python say where the features of named directions come from."""


def feature_source(lm: LanguageModel, desk: Desk) -> Callable[[str, int], Tensor]:
    """What a direction asks for a feature's vector."""
    return lambda name, number: feature_vector(lm, desk.features_of(name), number)


def features_imports() -> list[str]:
    """What the lines of Python need for `FEATURE_ARGUMENT`."""
    return [
        "from molehill.features import load_features",
        "from molehill.views.feature_rows import feature_vector",
    ]
