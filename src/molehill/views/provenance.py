"""Where a result comes from: what every view's data and every picture carry.

This module knows a model's name and fingerprint, and no view.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from molehill.checkpoints.certificates import kept_certificate
from molehill.language_model import LanguageModel

__all__ = ["checked", "digits_of", "provenance"]


def provenance(lm: LanguageModel, version: str) -> dict[str, Any]:
    """The model, its weights' hash, the dtype that it ran in, the version of Molehill, and whether
    the model was checked."""
    return {
        "model": lm.name,
        "fingerprint": lm.fingerprint,
        "dtype": _dtype(lm),
        "version": version,
        "checked": checked(lm.name, lm.fingerprint, _dtype(lm)),
    }


def checked(model: str, fingerprint: str, dtype: str) -> dict[str, Any]:
    """What `molehill check` found of these weights on this machine.

    Returns:
        `passed` (None: not checked), `date`, the names of the checks that `failed`, and all of it
        in words, `told`: "checked 2026-11-25", "not checked: molehill check smollm2", "FAILED:
        cached (checked 2026-11-25)".
    """
    found = kept_certificate(fingerprint, dtype)
    if found is None:
        how = "" if dtype == "float32" else f" --dtype {dtype}"
        told = f"not checked: molehill check {_named(model)}{how}"
        return {"passed": None, "date": None, "failed": [], "told": told}
    failed = [check["name"] for check in found["checks"] if check.get("passed") is False]
    when = f"checked {found['date']}"
    told = when if found["passed"] else f"FAILED: {', '.join(failed)} ({when})"
    return {"passed": found["passed"], "date": found["date"], "failed": failed, "told": told}


def _named(model: str) -> str:
    """A model's name as a command takes it; edits are given by their file."""
    name, plus, edits = model.rpartition(" + ")
    if plus and re.fullmatch(r"\d+ edits?", edits):
        return f"{shlex.quote(name)} --edits FILE"
    return shlex.quote(model)


def digits_of(lm: LanguageModel) -> int:
    """How many significant digits numbers carry: 15 in float64, else 7."""
    return 15 if _dtype(lm) == "float64" else 7


def _dtype(lm: LanguageModel) -> str:
    return str(lm.model.dtype).removeprefix("torch.")
