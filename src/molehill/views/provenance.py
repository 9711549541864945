"""Where a result comes from: what every view's data and every picture carry.

This module knows a model's name and fingerprint, and no view.
"""

from __future__ import annotations

from typing import Any

from molehill.language_model import LanguageModel

__all__ = ["digits_of", "provenance"]


def provenance(lm: LanguageModel, version: str) -> dict[str, Any]:
    """The model, its weights' hash, the dtype that it ran in, and the version of Molehill."""
    return {
        "model": lm.name,
        "fingerprint": lm.fingerprint,
        "dtype": _dtype(lm),
        "version": version,
    }


def digits_of(lm: LanguageModel) -> int:
    """How many significant digits numbers carry: 15 in float64, else 7."""
    return 15 if _dtype(lm) == "float64" else 7


def _dtype(lm: LanguageModel) -> str:
    return str(lm.model.dtype).removeprefix("torch.")
